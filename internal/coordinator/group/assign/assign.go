// Package assign has the assignors of consumer groups on the server's side (KIP-848): uniform and range. They are pure
// functions from the members' subscriptions and present target assignments to the next target assignment.
//
// Where Apache Kafka's result hangs on the order of a hash table, members go by id and topics by id here, so that the
// same input gives the same answer.
//
// The package knows neither epochs nor who owns a partition at the moment, and stores nothing.
package assign

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"github.com/weir-stream/weir/internal/wire"
)

// ErrUnknownTopic is wrapped by the error of an assignor whose members subscribe to a topic that does not exist. The
// caller resolves names to topics, so that this is its mistake.
var ErrUnknownTopic = errors.New("members are subscribed to a topic that does not exist")

// Partitions are partitions by topic, each list in ascending order, without empty lists. They are not changed once they
// are shared.
type Partitions map[wire.TopicID][]int32

// Member is one member of the group.
type Member struct {
	InstanceID *string
	// Topics are the topics that the member is subscribed to and that exist, in any order, each once.
	Topics []wire.TopicID
	// Target is what the member was meant to have so far.
	Target Partitions
}

// Group is what an assignor decides on.
type Group struct {
	Members map[string]Member
	// Homogeneous says that all members are subscribed to the same topics.
	Homogeneous bool
	// Partitions tells how many partitions a topic has, -1 if it does not exist.
	Partitions func(wire.TopicID) int32
}

// Assignor computes the next target assignment. Members without an entry get nothing.
type Assignor func(*Group) (map[string]Partitions, error)

// Names of the assignors, in the order in which group.consumer.assignors has them by default.
const (
	UniformName = "uniform"
	RangeName   = "range"
)

// ByName finds an assignor.
func ByName(name string) (Assignor, bool) {
	switch name {
	case UniformName:
		return Uniform, true
	case RangeName:
		return Range, true
	}
	return nil, false
}

// CompareTopics orders topic ids as Java orders its Uuids: by two signed halves.
func CompareTopics(a, b wire.TopicID) int {
	flip := func(id *wire.TopicID) {
		id[0] ^= 0x80
		id[8] ^= 0x80
	}
	flip(&a)
	flip(&b)
	return bytes.Compare(a[:], b[:])
}

// Equal reports whether both have the same partitions.
func (p Partitions) Equal(q Partitions) bool { return maps.EqualFunc(p, q, slices.Equal[[]int32]) }

// Topics lists the topics in order.
func (p Partitions) Topics() []wire.TopicID {
	return slices.SortedFunc(maps.Keys(p), CompareTopics)
}

// Has reports whether the partition is there.
func (p Partitions) Has(t wire.TopicID, partition int32) bool {
	_, ok := slices.BinarySearch(p[t], partition)
	return ok
}

// Len is the number of partitions.
func (p Partitions) Len() int {
	n := 0
	for _, l := range p {
		n += len(l)
	}
	return n
}

// only returns the partitions of the topics that keep says; the receiver is left as it is.
func (p Partitions) only(keep func(wire.TopicID) bool) Partitions {
	out := make(Partitions, len(p))
	for t, l := range p {
		if keep(t) {
			out[t] = l
		}
	}
	return out
}

func (g *Group) memberIDs() []string { return slices.Sorted(maps.Keys(g.Members)) }

// count is how many partitions an existing topic has.
func (g *Group) count(t wire.TopicID) (int32, error) {
	n := g.Partitions(t)
	if n < 0 {
		return 0, ErrUnknownTopic
	}
	return n, nil
}

// builder collects partitions member by member; lists are sorted at the end.
type builder struct {
	lists   map[string]Partitions
	touched map[string]map[wire.TopicID]bool // lists that belong to the builder
}

func newBuilder(n int) *builder {
	return &builder{lists: make(map[string]Partitions, n), touched: map[string]map[wire.TopicID]bool{}}
}

// own makes the list of the member's topic one that may be changed.
func (b *builder) own(id string, t wire.TopicID) {
	if b.touched[id][t] {
		return
	}
	if b.touched[id] == nil {
		b.touched[id] = map[wire.TopicID]bool{}
		b.lists[id] = maps.Clone(b.lists[id])
		if b.lists[id] == nil {
			b.lists[id] = Partitions{}
		}
	}
	b.touched[id][t] = true
	b.lists[id][t] = slices.Clone(b.lists[id][t])
}

func (b *builder) add(id string, t wire.TopicID, p int32) {
	b.own(id, t)
	b.lists[id][t] = append(b.lists[id][t], p)
}

func (b *builder) remove(id string, t wire.TopicID, p int32) {
	b.own(id, t)
	l := b.lists[id][t]
	if i := slices.Index(l, p); i >= 0 {
		b.lists[id][t] = slices.Delete(l, i, i+1)
	}
}

// result hands the lists over.
func (b *builder) result() map[string]Partitions {
	for id, topics := range b.touched {
		for t := range topics {
			if len(b.lists[id][t]) == 0 {
				delete(b.lists[id], t)
			} else {
				slices.Sort(b.lists[id][t])
			}
		}
	}
	return b.lists
}
