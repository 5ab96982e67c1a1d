package consumer

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"

	"github.com/zeebo/xxh3"

	"github.com/weir-stream/weir/internal/wire"
)

// Topic is what a group has to know of a topic.
type Topic struct {
	ID         wire.TopicID
	Name       string
	Partitions int32
}

// Topics is the metadata of the cluster's topics, as it is at the moment.
type Topics interface {
	// Topic finds a topic by its name.
	Topic(name string) (Topic, bool)
	// TopicByID finds a topic by its id.
	TopicByID(id wire.TopicID) (Topic, bool)
	// Hash is the TopicHash of a topic that exists.
	Hash(name string) uint64
	// NewTopicsVersion is the version of the metadata in which a topic was last created, or with which this coordinator began.
	NewTopicsVersion() int64
}

// hashVersion stands first in what is hashed of a topic.
const hashVersion = 0

// TopicHash is the hash of a topic's id, name, partitions and of the racks of their replicas, as Apache Kafka has it: by
// it a coordinator sees that a group has to be assigned anew. racks gives the racks of a partition's replicas, in any order.
func TopicHash(t Topic, racks func(partition int32) []string) uint64 {
	var h javaHash
	h.byte(hashVersion)
	h.long(binary.BigEndian.Uint64(t.ID[:8]))
	h.long(binary.BigEndian.Uint64(t.ID[8:]))
	h.string(t.Name)
	h.int(uint32(t.Partitions))
	for p := range t.Partitions {
		h.int(uint32(p))
		for _, r := range slices.Sorted(slices.Values(racks(p))) {
			h.int(uint32(len(utf16.Encode([]rune(r)))))
			h.string(r)
		}
	}
	return xxh3.Hash(h.b)
}

// javaHash is what a stream of hash4j has been fed: little-endian numbers, strings in UTF-16 with their lengths behind them.
type javaHash struct{ b []byte }

func (h *javaHash) byte(v byte)   { h.b = append(h.b, v) }
func (h *javaHash) int(v uint32)  { h.b = binary.LittleEndian.AppendUint32(h.b, v) }
func (h *javaHash) long(v uint64) { h.b = binary.LittleEndian.AppendUint64(h.b, v) }

func (h *javaHash) string(s string) {
	units := utf16.Encode([]rune(s))
	for _, u := range units {
		h.b = binary.LittleEndian.AppendUint16(h.b, u)
	}
	h.int(uint32(len(units)))
}

// metadataHash is the hash of all topics of a subscription that exist, in the order of their names.
func metadataHash(subscribed map[string]subscription, topics Topics) uint64 {
	var names []string
	for n := range subscribed {
		if _, ok := topics.Topic(n); ok {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return 0
	}
	slices.Sort(names)
	var h javaHash
	for _, n := range names {
		h.long(topics.Hash(n))
	}
	return xxh3.Hash(h.b)
}
