package image

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"slices"
)

// table is a map that is never changed: a trie over the keys' hashes, five bits a level (Bagwell's hash array mapped trie, as
// Steindorff and Vinju lay it out). A change copies one branch of each level, a few hundred bytes, however many keys there
// are. The zero value is an empty map. It is made anew through an edit only.
type table[K comparable, V any] struct {
	root *branch[K, V]
	n    int
	// age is how many edits it comes from: its branches belong to none that is younger.
	age uint64
}

// branch is a part of a table. leaves and kids say which of the 32 values of the level's bits have an entry, and which a
// branch; no value has both. Below the last level it is a plain list of entries whose hashes are equal.
type branch[K comparable, V any] struct {
	age          uint64 // of the edit that made it, and may change it until it is shared
	leaves, kids uint32
	entries      []entry[K, V]
	branches     []*branch[K, V]
}

type entry[K comparable, V any] struct {
	k K
	v V
}

const (
	levelBits = 5
	lastLevel = 60 // bits of the hash that are used up below all levels
)

var seed = maphash.MakeSeed()

func hashOf[K comparable](k K) uint64 { return maphash.Comparable(seed, k) }

// at are the bit of a hash on a level, and where what belongs to it stands in a list that a set of bits describes.
func at(hash uint64, level uint) (bit uint32) { return 1 << (hash >> level & (1<<levelBits - 1)) }

func index(set, bit uint32) int { return bits.OnesCount32(set & (bit - 1)) }

func (t table[K, V]) get(k K) (v V, ok bool) { return t.root.get(k, hashOf(k), 0) }

func (b *branch[K, V]) get(k K, hash uint64, level uint) (v V, ok bool) {
	for ; b != nil && level < lastLevel; level += levelBits {
		bit := at(hash, level)
		if b.leaves&bit != 0 {
			e := &b.entries[index(b.leaves, bit)]
			if e.k != k {
				return v, false
			}
			return e.v, true
		}
		if b.kids&bit == 0 {
			return v, false
		}
		b = b.branches[index(b.kids, bit)]
	}
	if b != nil {
		if i := b.find(k); i >= 0 {
			return b.entries[i].v, true
		}
	}
	return v, false
}

// find looks for a key among all entries.
func (b *branch[K, V]) find(k K) int {
	return slices.IndexFunc(b.entries, func(e entry[K, V]) bool { return e.k == k })
}

// all yields all entries in no order.
func (t table[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.root.each(yield) }
}

func (b *branch[K, V]) each(yield func(K, V) bool) bool {
	if b == nil {
		return true
	}
	for i := range b.entries {
		if !yield(b.entries[i].k, b.entries[i].v) {
			return false
		}
	}
	for _, kid := range b.branches {
		if !kid.each(yield) {
			return false
		}
	}
	return true
}

// edit changes a table without touching the one it began with.
type edit[K comparable, V any] struct {
	now table[K, V]
}

func editOf[K comparable, V any](t table[K, V]) edit[K, V] {
	t.age++
	return edit[K, V]{now: t}
}

func (e *edit[K, V]) get(k K) (V, bool) { return e.now.get(k) }

func (e *edit[K, V]) set(k K, v V) {
	root, added := e.put(e.now.root, entry[K, V]{k, v}, hashOf(k), 0)
	e.now.root = root
	if added {
		e.now.n++
	}
}

func (e *edit[K, V]) remove(k K) {
	if _, ok := e.now.get(k); ok {
		e.now.root = e.take(e.now.root, k, hashOf(k), 0)
		e.now.n--
	}
}

// share gives what there is now: it may be read while the edit goes on.
func (e *edit[K, V]) share() table[K, V] {
	t := e.now
	e.now.age++
	return t
}

// own is a branch that this edit may change.
func (e *edit[K, V]) own(b *branch[K, V]) *branch[K, V] {
	if b == nil {
		return &branch[K, V]{age: e.now.age}
	}
	if b.age == e.now.age {
		return b
	}
	return &branch[K, V]{age: e.now.age, leaves: b.leaves, kids: b.kids, entries: slices.Clone(b.entries), branches: slices.Clone(b.branches)}
}

// put sets an entry in a branch, and reports whether its key is new.
func (e *edit[K, V]) put(b *branch[K, V], in entry[K, V], hash uint64, level uint) (_ *branch[K, V], added bool) {
	b = e.own(b)
	bit := at(hash, level)
	switch {
	case level >= lastLevel:
		if i := b.find(in.k); i >= 0 {
			b.entries[i] = in
			return b, false
		}
		b.entries = append(b.entries, in)
		return b, true
	case b.kids&bit != 0:
		i := index(b.kids, bit)
		b.branches[i], added = e.put(b.branches[i], in, hash, level+levelBits)
		return b, added
	case b.leaves&bit == 0:
		b.entries = slices.Insert(b.entries, index(b.leaves, bit), in)
		b.leaves |= bit
		return b, true
	}
	i := index(b.leaves, bit)
	if b.entries[i].k == in.k {
		b.entries[i] = in
		return b, false
	}
	kid, _ := e.put(nil, b.entries[i], hashOf(b.entries[i].k), level+levelBits)
	kid, _ = e.put(kid, in, hash, level+levelBits)
	b.entries = slices.Delete(b.entries, i, i+1)
	b.leaves &^= bit
	b.branches = slices.Insert(b.branches, index(b.kids, bit), kid)
	b.kids |= bit
	return b, true
}

// take removes a key that is there. What is left may be nil; a branch with one entry only goes up into the one above it.
func (e *edit[K, V]) take(b *branch[K, V], k K, hash uint64, level uint) *branch[K, V] {
	b = e.own(b)
	bit := at(hash, level)
	switch {
	case level >= lastLevel:
		i := b.find(k)
		b.entries = slices.Delete(b.entries, i, i+1)
	case b.leaves&bit != 0:
		i := index(b.leaves, bit)
		b.entries = slices.Delete(b.entries, i, i+1)
		b.leaves &^= bit
	default:
		i := index(b.kids, bit)
		kid := e.take(b.branches[i], k, hash, level+levelBits)
		if kid != nil && (len(kid.branches) > 0 || len(kid.entries) > 1) {
			b.branches[i] = kid
			return b
		}
		b.branches = slices.Delete(b.branches, i, i+1)
		b.kids &^= bit
		if kid != nil {
			b.entries = slices.Insert(b.entries, index(b.leaves, bit), kid.entries[0])
			b.leaves |= bit
		}
	}
	if len(b.entries) == 0 && len(b.branches) == 0 {
		return nil
	}
	return b
}
