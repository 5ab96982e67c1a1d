// Package coordinator is the runtime that all coordinators share: one shard of state per partition of an internal
// topic, owned by one loop, kept in that partition's log.
//
// An operation runs in the loop of its shard, changes the state at once, and says which records make the change
// last. The records of all operations that came while an append was under way go into the next batch (group
// commit); an answer is released when its batch is committed. When an append fails, everything that is not yet
// committed is undone, newest first, and the answers get the error.
//
// A shard without work has no goroutine, and without deadlines no timer.
//
// The runtime does not know what groups or transactions are (see the packages below it), writes to no file and
// elects nobody: who owns a partition's log tells it by Elected and Resigned.
package coordinator

import "github.com/weir-stream/weir/internal/log"

// Partition is the leader's replica of one partition of a coordinator's topic.
type Partition interface {
	// Append writes one record batch as the leader of that epoch. An error says that the log did not take it, and done
	// is not called; else the log has it, before all that is appended later, and done is called, once, when the batch is
	// committed (on as many replicas as the topic wants) or cannot be under this leader, which goes for what comes
	// after it too. done may be called before Append returns, from any goroutine, but not under a lock that a following
	// Append needs. The batch's bytes belong to the partition until then; it patches offsets and epoch in place. how
	// says what the log has to know of a transactional batch.
	Append(leaderEpoch int32, batch []byte, how log.AppendOptions, done func(baseOffset int64, err error)) error
	// ReadFrom returns whole record batches from the one that holds offset on, up to the log's end: as many as fit
	// into maxBytes, but at least one; nothing at the end. The caller owns the bytes.
	ReadFrom(offset int64, maxBytes int) ([]byte, error)
	// StartOffset is the first offset of the log.
	StartOffset() int64
	// HighWatermark is the end of what is committed.
	HighWatermark() int64
}

// BatchLimiter is implemented by a Partition that knows the largest batch it takes (max.message.bytes, which may change).
type BatchLimiter interface {
	MaxBatchBytes() int
}

// Partitions finds the partitions that this broker leads. An error wraps a wire.Code.
type Partitions interface {
	Partition(topic string, p int32) (part Partition, leaderEpoch int32, err error)
}
