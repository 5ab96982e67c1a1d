package txn

import (
	"maps"
	"math"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

// state is where a transactional id is; the numbers stand in the log.
type state int8

const (
	stateNone              state = -1
	stateEmpty             state = 0
	stateOngoing           state = 1
	statePrepareCommit     state = 2
	statePrepareAbort      state = 3
	stateCompleteCommit    state = 4
	stateCompleteAbort     state = 5
	stateDead              state = 6
	statePrepareEpochFence state = 7
)

var stateNames = [...]string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"}

// String is the name in DescribeTransactions and ListTransactions.
func (s state) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "Unknown"
	}
	return stateNames[s]
}

// stateOf finds a state by its name.
func stateOf(name string) (state, bool) {
	for i, n := range stateNames {
		if n == name {
			return state(i), true
		}
	}
	return stateNone, false
}

func (s state) preparing() bool { return s == statePrepareCommit || s == statePrepareAbort }
func (s state) atRest() bool {
	return s == stateEmpty || s == stateCompleteCommit || s == stateCompleteAbort
}

const (
	noProducerID    = -1
	noProducerEpoch = -1
	// lastEpoch is the last epoch that a client gets: one more is left to fence it with.
	lastEpoch = math.MaxInt16 - 1
	// versionEpochBump is the transaction.version from which on each transaction has an epoch of its own.
	versionEpochBump = 2
)

// Producer is a producer id with its epoch.
type Producer struct {
	ID    int64
	Epoch int16
}

type partitionSet map[log.TopicPartition]struct{}

// values are what the log knows of a transactional id. They are not changed once made, except that partitions whose marker
// is written leave the set.
type values struct {
	producerID     int64
	prevProducerID int64 // before the last change
	nextProducerID int64 // what takes producerID's place when the transaction is complete; -1: nothing
	epoch          int16
	lastEpoch      int16 // before the last raise that the producer itself asked for; not in the log
	timeoutMs      int32
	state          state
	partitions     partitionSet
	startMs        int64 // -1: no transaction yet
	updateMs       int64
	version        int8 // transaction.version of the client that made the last change
}

// next is a copy for a change to another state.
func (v *values) next(s state) values {
	n := *v
	n.state, n.prevProducerID = s, v.producerID
	return n
}

func (v *values) exhausted() bool { return v.epoch >= lastEpoch }

// transaction is one transactional id.
//
//	Empty --partitions are added--> Ongoing --EndTxn--> PrepareCommit --all markers are written--> CompleteCommit
//	  ^                               |   \--EndTxn, time-out, another producer--> PrepareAbort --> CompleteAbort
//	  +---InitProducerId--- CompleteCommit, CompleteAbort, which also begin the next transaction like Empty
//
// A change that is being written is pending: nothing else may change the id until it is committed or refused, and whoever
// tries is told CONCURRENT_TRANSACTIONS. Values change when the record is committed, not before.
//
// Invariants: pending is statePrepareEpochFence only within one operation; job is set only while the state is
// PrepareCommit or PrepareAbort; the epoch that is committed never goes back for a producer id.
type transaction struct {
	id      string
	v       values
	pending state
	// failedFence says that a raised epoch may stand in the log though its write was refused: it is not raised again.
	failedFence bool
	job         *job // markers that are under way
}

func newTransaction(id string, v values) *transaction {
	return &transaction{id: id, v: v, pending: stateNone}
}

func (t *transaction) busy() bool { return t.pending != stateNone }

func (t *transaction) withPartitions(more []log.TopicPartition) partitionSet {
	set := maps.Clone(t.v.partitions)
	if set == nil {
		set = partitionSet{}
	}
	for _, p := range more {
		set[p] = struct{}{}
	}
	return set
}

func (t *transaction) has(parts []log.TopicPartition) bool {
	for _, p := range parts {
		if _, ok := t.v.partitions[p]; !ok {
			return false
		}
	}
	return true
}

// errorCode is what a client is told when the coordinator's log refused its record.
func errorCode(err error) wire.Code {
	switch c := wire.CodeOf(err); c {
	case wire.UnknownTopicOrPartition, wire.NotEnoughReplicas, wire.NotEnoughReplicasAfterAppend, wire.RequestTimedOut:
		return wire.CoordinatorNotAvailable
	case wire.NotLeaderOrFollower, wire.KafkaStorageError, wire.FencedLeaderEpoch, wire.UnknownLeaderEpoch:
		return wire.NotCoordinator
	case wire.MessageTooLarge, wire.RecordListTooLarge:
		return wire.UnknownServerError
	default:
		return c
	}
}
