package wire

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/vfs"
)

// FetchResponse is a Fetch answer whose record bytes are ranges of files rather than bytes in memory. The server
// releases the ranges when they are sent or the connection is gone.
type FetchResponse struct {
	Version       int16
	ThrottleMs    int32
	ErrorCode     Code
	SessionID     int32
	Topics        []FetchTopic
	NodeEndpoints []kmsg.FetchResponseBroker
}

// SetThrottle says for how long the client is held back, as kmsg's answers do.
func (r *FetchResponse) SetThrottle(ms int32) { r.ThrottleMs = ms }

// FetchTopic is one topic of a FetchResponse; ID is written from version 13 on, Name before it.
type FetchTopic struct {
	Name       string
	ID         TopicID
	Partitions []FetchPartition
}

// FetchPartition is one partition's answer.
type FetchPartition struct {
	Index                int32
	ErrorCode            Code
	HighWatermark        int64
	LastStableOffset     int64 // from version 4 on; -1 if unknown
	LogStartOffset       int64
	DivergingEpoch       *EpochEnd // nil: none
	CurrentLeader        *LeaderHint
	SnapshotID           *EpochEnd
	AbortedTransactions  []AbortedTransaction // nil is written as null
	PreferredReadReplica int32                // -1: none
	// Records is what to send: nil or a range of whole batches. Bytes, if set, is sent instead (small or
	// converted answers).
	Records *vfs.Range
	Bytes   []byte
}

// EpochEnd is an epoch with its end offset.
type EpochEnd struct {
	Epoch     int32
	EndOffset int64
}

// LeaderHint names the partition's leader (KIP-951).
type LeaderHint struct {
	LeaderID    int32
	LeaderEpoch int32
}

// AbortedTransaction is one entry of the aborted list that read_committed consumers get.
type AbortedTransaction struct {
	ProducerID  int64
	FirstOffset int64
}
