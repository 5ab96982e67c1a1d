package log

import (
	"fmt"

	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String is the name of the partition's directory.
func (tp TopicPartition) String() string { return fmt.Sprintf("%s-%d", tp.Topic, tp.Partition) }

// Less orders by topic, then partition.
func (tp TopicPartition) Less(o TopicPartition) bool {
	if tp.Topic != o.Topic {
		return tp.Topic < o.Topic
	}
	return tp.Partition < o.Partition
}

// TopicID is a topic's id; the zero value stands for unknown.
type TopicID = wire.TopicID

// Bound says how far a reader may see.
type Bound int8

// The bounds: replicas read to the log end, consumers to the high watermark, those with read_committed to the last
// stable offset.
const (
	BoundLogEnd Bound = iota
	BoundHighWatermark
	BoundLastStable
)

// Origin says where a batch comes from, which decides how much of it is checked.
type Origin int8

// The origins. Client batches are checked in full; Coordinator batches were made by this node; Replication batches
// were accepted by a leader before.
const (
	OriginClient Origin = iota
	OriginCoordinator
	OriginReplication
)

// AppendOptions says how AppendAsLeader treats its batches.
type AppendOptions struct {
	Origin Origin
	// Guard is what StartVerification gave, if the batch may begin a transaction in the log (KIP-890).
	Guard VerificationGuard
	// TxnVersion is the transaction.version that a marker was written under: from 2 on it has a higher epoch than the
	// transaction's data (KIP-890, KIP-1228). TxnVersionUnknown: who wrote it did not say.
	TxnVersion int8
}

// TxnVersionUnknown is the transaction.version of a marker from a coordinator that does not send it: one of Apache Kafka before
// 4.3.
const TxnVersionUnknown int8 = -1

// RecordError is the reason why one record of a batch was refused.
type RecordError struct {
	Index   int32
	Message string
}

// AppendInfo tells what an append did. On an error it may still carry RecordErrors.
type AppendInfo struct {
	// BaseOffset and LastOffset are the offsets of the first and last record, or those of the earlier append if
	// Duplicate. BaseOffset is -1 if nothing was appended.
	BaseOffset, LastOffset int64
	LogStartOffset         int64
	// AppendTimeMs is the append time with LogAppendTime, that of the first append for a Duplicate, else -1.
	AppendTimeMs int64
	// Duplicate says that an idempotent producer sent the batch before and nothing was written.
	Duplicate bool
	// LeaderEpoch is the epoch the batches were stamped with.
	LeaderEpoch int32
	Bytes       int
	Records     int
	// MaxTimestamp is the highest timestamp of the batches, -1 if none.
	MaxTimestamp int64
	RecordErrors []RecordError
	// ErrorMessage says in one sentence what was wrong, for clients.
	ErrorMessage string
	// Conversions is set when batches were compressed anew.
	Recompressed bool
}

// ReadInfo is the outcome of a read. The caller releases Range, if it is not nil.
type ReadInfo struct {
	// Range covers whole batches of one segment; nil when there is nothing to read.
	Range *vfs.Range
	// StartOffset is the offset that was asked for.
	StartOffset int64
	// EndOffset is an offset at or above the last one of the range.
	EndOffset        int64
	LogStartOffset   int64
	HighWatermark    int64
	LastStableOffset int64
	LogEndOffset     int64
	// Truncated says that Range ends before the bound because of the size limit or the segment's end.
	Truncated bool
	// Aborted lists the aborted transactions in the range (only for BoundLastStable, never nil there).
	Aborted []wire.AbortedTransaction
}

// TimestampOffset is a record's timestamp and offset, with the leader epoch of its batch. Offset -1 stands for
// not found.
type TimestampOffset struct {
	Timestamp   int64
	Offset      int64
	LeaderEpoch int32
}

// ActiveProducer is the state of one producer, as DescribeProducers shows it.
type ActiveProducer struct {
	ProducerID            int64
	ProducerEpoch         int16
	LastSequence          int32
	LastTimestamp         int64
	CoordinatorEpoch      int32
	CurrentTxnStartOffset int64 // -1: none
}

// EpochEntry is the first offset of a leader epoch.
type EpochEntry struct {
	Epoch       int32
	StartOffset int64
}
