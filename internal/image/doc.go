// Package image is the picture of a cluster's metadata at one offset of the metadata log: features, brokers,
// topics, configs, quotas, producer ids, ACLs, credentials. An Image never changes; replaying records makes the
// next one, which shares with it all that did not change, and a Delta that names what did. A change costs in
// proportion to itself, not to the image.
//
// It decides nothing (controller), stores nothing (quorum) and calls nobody (node publishes images).
package image

import (
	"hash/maphash"
	"iter"
)

// shardCount is the number of parts of a shards map. One change copies one part.
const shardCount = 256

// shards is a map in parts that are copied on the first write after the map was shared. The zero value is an empty
// map. It must be changed only through an edit.
type shards[K comparable, V any] struct {
	parts *[shardCount]map[K]V
	n     int
}

var seed = maphash.MakeSeed()

func shardOf[K comparable](k K) int { return int(maphash.Comparable(seed, k) % shardCount) }

func (s shards[K, V]) get(k K) (v V, ok bool) {
	if s.parts == nil {
		return v, false
	}
	v, ok = s.parts[shardOf(k)][k]
	return v, ok
}

func (s shards[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if s.parts == nil {
			return
		}
		for _, part := range s.parts {
			for k, v := range part {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}

// edit changes a shards map without touching the one it began with.
type edit[K comparable, V any] struct {
	now   shards[K, V]
	owned *[shardCount]bool
}

func editOf[K comparable, V any](s shards[K, V]) edit[K, V] { return edit[K, V]{now: s} }

func (e *edit[K, V]) get(k K) (V, bool) { return e.now.get(k) }

func (e *edit[K, V]) own(shard int) map[K]V {
	if e.owned == nil {
		e.owned = new([shardCount]bool)
		parts := new([shardCount]map[K]V)
		if e.now.parts != nil {
			*parts = *e.now.parts
		}
		e.now.parts = parts
	}
	if !e.owned[shard] {
		e.owned[shard] = true
		part := make(map[K]V, len(e.now.parts[shard])+1)
		for k, v := range e.now.parts[shard] {
			part[k] = v
		}
		e.now.parts[shard] = part
	}
	return e.now.parts[shard]
}

func (e *edit[K, V]) set(k K, v V) {
	part := e.own(shardOf(k))
	before := len(part)
	part[k] = v
	e.now.n += len(part) - before
}

func (e *edit[K, V]) remove(k K) {
	if _, ok := e.now.get(k); ok {
		delete(e.own(shardOf(k)), k)
		e.now.n--
	}
}

// share ends the ownership of all parts: what done returned may be read while the edit goes on.
func (e *edit[K, V]) share() shards[K, V] {
	e.owned = nil
	return e.now
}
