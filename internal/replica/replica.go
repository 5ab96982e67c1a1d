// Package replica holds all of a broker's partitions: it finds them, appends to and reads from their logs in the
// role that the cluster gave them, advances the high watermark, lets requests wait for that, asks the controller for
// changes of the ISR, and fetches from the leaders of those that it follows.
//
// It knows no request format of clients and no metadata image: handler calls it with plain values, node tells it of
// changes and how to reach other brokers. What to do it asks partition, which is pure.
// Locks: a replica's role and log are atomic pointers for readers; its mu makes changes of the role, of what is known of
// followers and of the high watermark one at a time, and is held for memory only, as are the locks of its wait lists.
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

	role                                   atomic.Pointer[partition.Role]
	log                                    atomic.Pointer[log.Log] // nil: its directory is offline
	minInSync                              atomic.Int32
	ledSince                               atomic.Int32 // the leader epoch since which this broker leads without a break
	lag                                    atomic.Int64 // how many records the leader had committed that this follower had not
	stats                                  *telemetry.Topic
	throttledAsLeader, throttledAsFollower atomic.Bool
	waits                                  waitList // for the committed end or the role to change
	appended                               waitList // for the log end or the role to change: followers' fetches

	mu     sync.Mutex
	leader *partition.Leader // nil unless this broker leads
}

// Role returns the present role.
func (r *Replica) Role() *partition.Role { return r.role.Load() }

// Log returns the log, or nil if its directory is offline.
func (r *Replica) Log() *log.Log { return r.log.Load() }

// MinInSync is the topic's min.insync.replicas.
func (r *Replica) MinInSync() int { return int(r.minInSync.Load()) }

// anyEpoch is claimed by who does not say which leader epoch is the current one.
const anyEpoch = -1

// leaderLog returns the role and the log for a request that only the leader may serve, in the epoch that the asker claims
// is the current one. That is looked at first: to know that metadata is out of date is of more use than that it leads elsewhere.
func (r *Replica) leaderLog(claimed partition.LeaderEpoch) (*partition.Role, *log.Log, error) {
	role := r.role.Load()
	err := role.CheckLeaderEpoch(claimed)
	if err == nil {
		err = role.CheckLeader()
	}
	if err != nil {
		return role, nil, err
	}
	l := r.log.Load()
	if l == nil {
		return role, nil, wire.KafkaStorageError
	}
	return role, l, nil
}

// changed wakes all waiters because role or log are not what they were.
func (r *Replica) changed() {
	r.waits.signal(0, true)
	r.appended.signal(0, true)
}

// Hint names the leader as far as this broker knows (KIP-951).
func (r *Replica) Hint() wire.LeaderHint {
	role := r.role.Load()
	return wire.LeaderHint{LeaderID: role.Leader, LeaderEpoch: role.LeaderEpoch}
}
