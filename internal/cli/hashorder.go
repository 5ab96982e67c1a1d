package cli

import (
	"cmp"
	"slices"
	"unicode/utf16"
)

// defaultHashCapacity is the size of the table of a Java HashMap that was made without saying how large.
const defaultHashCapacity = 16

// hashOrder sorts items as Java's HashMap iterates over them, when they are put into a map of the given initial
// capacity in the order given. Several of Kafka's tools print in that order, which looks random but is fixed, and
// output is to be compared line by line.
func hashOrder[T any](items []T, capacity int, hash func(T) int32) {
	table := 1
	for table < capacity {
		table <<= 1
	}
	for len(items)*4 > table*3 {
		table <<= 1
	}
	bucket := func(item T) uint32 {
		h := uint32(hash(item))
		return (h ^ h>>16) & uint32(table-1)
	}
	slices.SortStableFunc(items, func(a, b T) int { return cmp.Compare(bucket(a), bucket(b)) })
}

// stringHash is Java's String.hashCode.
func stringHash(s string) (h int32) {
	for _, r := range s {
		if r > 0xffff {
			high, low := utf16.EncodeRune(r)
			h = (h*31+high)*31 + low
			continue
		}
		h = h*31 + r
	}
	return h
}

// topicPartition names a partition.
type topicPartition struct {
	topic     string
	partition int32
}

// hash is the hashCode of Kafka's TopicPartition.
func (tp topicPartition) hash() int32 { return 31*(31+tp.partition) + stringHash(tp.topic) }

// compare orders by topic, then by partition.
func (tp topicPartition) compare(other topicPartition) int {
	return cmp.Or(cmp.Compare(tp.topic, other.topic), cmp.Compare(tp.partition, other.partition))
}
