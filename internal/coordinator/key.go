package coordinator

import (
	"math"
	"unicode/utf16"
)

// PartitionFor is the partition of a coordinators' topic that a group belongs to: the amount of the hash
// of Java's String, as in Apache Kafka, whose directories are taken over and given back.
func PartitionFor(key string, partitions int32) int32 {
	var h int32
	for _, u := range utf16.Encode([]rune(key)) {
		h = 31*h + int32(u)
	}
	switch {
	case h == math.MinInt32:
		h = 0
	case h < 0:
		h = -h
	}
	return h % max(partitions, 1)
}
