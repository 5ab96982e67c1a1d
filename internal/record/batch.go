// Package record reads, checks, stamps and makes record batches of magic 2, and their compressed contents.
//
// A Batch is a view of bytes that somebody else owns. The package never keeps one, knows nothing of files,
// partitions or producer state, and decides nothing about offsets: log does. Batches of magic 0 and 1 are
// recognized (see Magic) and refused.
package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/weir-stream/weir/internal/wire"
)

// Positions of the header's fields; see Batch.
const (
	posBaseOffset      = 0
	posLength          = 8
	posLeaderEpoch     = 12
	posMagic           = 16
	posCRC             = 17
	posAttributes      = 21
	posLastOffsetDelta = 23
	posBaseTimestamp   = 27
	posMaxTimestamp    = 35
	posProducerID      = 43
	posProducerEpoch   = 51
	posBaseSequence    = 53
	posNumRecords      = 57

	// HeaderSize is the length of a batch without its records.
	HeaderSize = 61
	// LogOverhead is what stands before the part that the length field counts.
	LogOverhead = 12
	// CurrentMagic is the only format that is written and accepted.
	CurrentMagic = 2
)

// Values that stand for "none".
const (
	NoProducerID    int64 = -1
	NoProducerEpoch int16 = -1
	NoSequence      int32 = -1
	NoTimestamp     int64 = -1
)

// Attribute bits of a batch.
const (
	attrCodecMask     = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
	attrDeleteHorizon = 0x40
	attrKnown         = 0x7f
)

// TimestampType says who set the timestamps of a batch.
type TimestampType int8

// The timestamp types, with the numbers that the attributes use.
const (
	CreateTime    TimestampType = 0
	LogAppendTime TimestampType = 1
)

// String is the name that Kafka's configuration and tools use.
func (t TimestampType) String() string {
	if t == LogAppendTime {
		return "LogAppendTime"
	}
	return "CreateTime"
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is the bytes of exactly one batch, header and records. Its accessors read the header without checks: a Batch
// that came from outside must have gone through Next, Split or Validate, which check the lengths.
//
//	0 baseOffset int64 | 8 batchLength int32 | 12 leaderEpoch int32 | 16 magic int8 | 17 crc uint32 |
//	21 attributes int16 | 23 lastOffsetDelta int32 | 27 baseTimestamp int64 | 35 maxTimestamp int64 |
//	43 producerId int64 | 51 producerEpoch int16 | 53 baseSequence int32 | 57 recordsCount int32 | 61 records
//
// The CRC-32C covers everything from the attributes on, so base offset and leader epoch may be patched freely.
type Batch []byte

// BaseOffset is the offset of the first record that the batch had when it was made.
func (b Batch) BaseOffset() int64 { return int64(binary.BigEndian.Uint64(b[posBaseOffset:])) }

// SetBaseOffset patches the base offset; the CRC does not cover it.
func (b Batch) SetBaseOffset(o int64) { binary.BigEndian.PutUint64(b[posBaseOffset:], uint64(o)) }

// Size is the length of the whole batch as its header declares it.
func (b Batch) Size() int { return LogOverhead + int(int32(binary.BigEndian.Uint32(b[posLength:]))) }

// LeaderEpoch is the epoch of the leader that appended the batch, -1 if unknown.
func (b Batch) LeaderEpoch() int32 { return int32(binary.BigEndian.Uint32(b[posLeaderEpoch:])) }

// SetLeaderEpoch patches the leader epoch; the CRC does not cover it.
func (b Batch) SetLeaderEpoch(e int32) { binary.BigEndian.PutUint32(b[posLeaderEpoch:], uint32(e)) }

// Magic is the format's number, at the same place in all formats.
func (b Batch) Magic() int8 { return int8(b[posMagic]) }

// CRC is the checksum that the header declares.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[posCRC:]) }

// Attributes are the batch's attribute bits.
func (b Batch) Attributes() int16 { return int16(binary.BigEndian.Uint16(b[posAttributes:])) }

// Codec is how the records are compressed.
func (b Batch) Codec() Codec { return Codec(b.Attributes() & attrCodecMask) }

// TimestampType says who set the timestamps.
func (b Batch) TimestampType() TimestampType {
	return TimestampType(b.Attributes() & attrLogAppendTime >> 3)
}

// IsTransactional reports whether the batch belongs to a transaction.
func (b Batch) IsTransactional() bool { return b.Attributes()&attrTransactional != 0 }

// IsControl reports whether the batch holds control records, which consumers never see.
func (b Batch) IsControl() bool { return b.Attributes()&attrControl != 0 }

// HasDeleteHorizon reports whether the base timestamp is the time from which the cleaner may drop the batch's
// tombstones and markers.
func (b Batch) HasDeleteHorizon() bool { return b.Attributes()&attrDeleteHorizon != 0 }

// DeleteHorizonMs is that time, or NoTimestamp.
func (b Batch) DeleteHorizonMs() int64 {
	if b.HasDeleteHorizon() {
		return b.BaseTimestamp()
	}
	return NoTimestamp
}

// LastOffsetDelta is the last record's distance from the base offset when the batch was made.
func (b Batch) LastOffsetDelta() int32 {
	return int32(binary.BigEndian.Uint32(b[posLastOffsetDelta:]))
}

// LastOffset is the offset of the last record that the batch had when it was made.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// NextOffset is the offset after LastOffset.
func (b Batch) NextOffset() int64 { return b.LastOffset() + 1 }

// BaseTimestamp is what the records' timestamp deltas count from.
func (b Batch) BaseTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[posBaseTimestamp:])) }

// MaxTimestamp is the highest timestamp, or the append time with LogAppendTime.
func (b Batch) MaxTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[posMaxTimestamp:])) }

// ProducerID is the idempotent producer's id or NoProducerID.
func (b Batch) ProducerID() int64 { return int64(binary.BigEndian.Uint64(b[posProducerID:])) }

// HasProducerID reports whether an idempotent or transactional producer made the batch.
func (b Batch) HasProducerID() bool { return b.ProducerID() > NoProducerID }

// ProducerEpoch is the producer's epoch or NoProducerEpoch.
func (b Batch) ProducerEpoch() int16 { return int16(binary.BigEndian.Uint16(b[posProducerEpoch:])) }

// BaseSequence is the sequence number of the first record or NoSequence.
func (b Batch) BaseSequence() int32 { return int32(binary.BigEndian.Uint32(b[posBaseSequence:])) }

// LastSequence is the sequence number of the last record or NoSequence. It wraps from the largest int32 to 0.
func (b Batch) LastSequence() int32 {
	base := b.BaseSequence()
	if base == NoSequence {
		return NoSequence
	}
	return AddSequence(base, b.LastOffsetDelta())
}

// NumRecords is how many records the batch holds now; after compaction fewer than LastOffsetDelta+1.
func (b Batch) NumRecords() int32 { return int32(binary.BigEndian.Uint32(b[posNumRecords:])) }

// Payload is the bytes after the header: the records, or one compressed block.
func (b Batch) Payload() []byte { return b[HeaderSize:] }

// AddSequence adds to a sequence number, which wraps from the largest int32 to 0.
func AddSequence(seq, n int32) int32 {
	const maxInt32 = 1<<31 - 1
	if seq > maxInt32-n {
		return n - (maxInt32 - seq) - 1
	}
	return seq + n
}

// ComputeCRC is the checksum of the bytes as they are.
func (b Batch) ComputeCRC() uint32 { return crc32.Checksum(b[posAttributes:], castagnoli) }

// VerifyCRC compares the declared checksum with the bytes. The error wraps wire.CorruptMessage.
func (b Batch) VerifyCRC() error {
	if got := b.ComputeCRC(); got != b.CRC() {
		return fmt.Errorf("record batch at offset %d is corrupt (stored crc = %d, computed crc = %d): %w",
			b.BaseOffset(), b.CRC(), got, wire.CorruptMessage)
	}
	return nil
}

// Seal writes the checksum of the bytes as they are.
func (b Batch) Seal() { binary.BigEndian.PutUint32(b[posCRC:], b.ComputeCRC()) }

// StampTimestamps sets the timestamp type and the maximum timestamp, with a new CRC only if something changed.
// For LogAppendTime max is the time of the append; the records keep their deltas, which readers then ignore.
func (b Batch) StampTimestamps(t TimestampType, max int64) {
	if b.TimestampType() == t && b.MaxTimestamp() == max {
		return
	}
	attrs := b.Attributes() &^ attrLogAppendTime
	if t == LogAppendTime {
		attrs |= attrLogAppendTime
	}
	binary.BigEndian.PutUint16(b[posAttributes:], uint16(attrs))
	binary.BigEndian.PutUint64(b[posMaxTimestamp:], uint64(max))
	b.Seal()
}
