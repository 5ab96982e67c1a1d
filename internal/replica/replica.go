// Package replica holds all of a broker's partitions: it finds them, appends to and reads from their logs in the
// role that the cluster gave them, advances the high watermark, and lets requests wait for that.
//
// It knows no request format and no metadata image: handler calls it with plain values, node tells it of changes.
// Locks: a replica's role and log are atomic pointers; its wait list has a lock of its own, held for list work only;
// another makes each step of its high watermark one.
package replica

import (
	"sync"
	"sync/atomic"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// Replica is this broker's copy of one partition. Safe for concurrent use.
type Replica struct {
	Topic   string
	TopicID wire.TopicID
	Index   int32

	role      atomic.Pointer[partition.Role]
	log       atomic.Pointer[log.Log] // nil: its directory is offline
	minInSync atomic.Int32
	stats     *telemetry.Topic
	waits     waitList
	advancing sync.Mutex // makes one step of reading and raising the log's high watermark; held over no I/O
}

// Role returns the present role.
func (r *Replica) Role() *partition.Role { return r.role.Load() }

// Log returns the log, or nil if its directory is offline.
func (r *Replica) Log() *log.Log { return r.log.Load() }

// MinInSync is the topic's min.insync.replicas.
func (r *Replica) MinInSync() int { return int(r.minInSync.Load()) }

// leaderLog returns the role and the log for a request that only the leader may serve.
func (r *Replica) leaderLog() (*partition.Role, *log.Log, error) {
	role := r.role.Load()
	if err := role.CheckLeader(); err != nil {
		return role, nil, err
	}
	l := r.log.Load()
	if l == nil {
		return role, nil, wire.KafkaStorageError
	}
	return role, l, nil
}

// changed wakes all waiters because role or log are not what they were.
func (r *Replica) changed() { r.waits.signal(0, true) }

// Hint names the leader as far as this broker knows (KIP-951).
func (r *Replica) Hint() wire.LeaderHint {
	role := r.role.Load()
	return wire.LeaderHint{LeaderID: role.Leader, LeaderEpoch: role.LeaderEpoch}
}
