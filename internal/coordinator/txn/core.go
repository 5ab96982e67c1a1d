package txn

import (
	"math"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

// verdict is what one of the rules says: an error, or that all is as was asked for already (code None), or a change. needsID
// asks for a new producer id with which the rule is asked again.
type verdict struct {
	code    wire.Code
	change  bool
	needsID bool
	next    values
	// fence, with a change of InitProducerId: the transaction that is open is aborted first, under a raised epoch.
	fence bool
}

func refuse(c wire.Code) verdict { return verdict{code: c} }
func change(v values) verdict    { return verdict{change: true, next: v} }

// initProducer is the rule of InitProducerId. expected, if not nil, is what the producer had until now (KIP-360); newID is a
// producer id that nobody has, or -1.
func (t *transaction) initProducer(timeoutMs int32, expected *Producer, newID, nowMs int64) verdict {
	v := &t.v
	if t.busy() {
		return refuse(wire.ConcurrentTransactions)
	}
	if expected != nil && v.epoch != noProducerEpoch && expected.ID != v.producerID &&
		!(expected.ID == v.prevProducerID && expected.Epoch >= lastEpoch) {
		return refuse(wire.ProducerFenced)
	}
	switch v.state {
	case stateOngoing:
		return verdict{fence: true}
	case statePrepareCommit, statePrepareAbort:
		return refuse(wire.ConcurrentTransactions)
	case stateEmpty, stateCompleteCommit, stateCompleteAbort:
	default:
		return refuse(wire.UnknownServerError)
	}
	n := v.next(stateEmpty)
	n.timeoutMs, n.partitions, n.startMs, n.updateMs = timeoutMs, nil, -1, nowMs
	switch {
	case v.exhausted() && (expected == nil || expected.Epoch == v.epoch):
		if newID < 0 {
			return verdict{needsID: true}
		}
		n.producerID, n.epoch, n.lastEpoch = newID, 0, noProducerEpoch
		if expected != nil {
			n.lastEpoch = v.epoch
		}
	case expected == nil:
		n.epoch, n.lastEpoch = v.epoch+1, noProducerEpoch
	case v.epoch == noProducerEpoch || expected.Epoch == v.epoch:
		n.epoch, n.lastEpoch = v.epoch+1, v.epoch
	case expected.Epoch == v.lastEpoch:
		// The answer to the last raise was lost: it is given once more.
	default:
		return refuse(wire.ProducerFenced)
	}
	return change(n)
}

// addPartitions is the rule of AddPartitionsToTxn and AddOffsetsToTxn.
func (t *transaction) addPartitions(p Producer, parts []log.TopicPartition, version int8, nowMs int64) verdict {
	v := &t.v
	switch {
	case t.busy():
		return refuse(wire.ConcurrentTransactions)
	case v.producerID != p.ID:
		return refuse(wire.InvalidProducerIdMapping)
	case v.epoch != p.Epoch:
		return refuse(wire.ProducerFenced)
	case v.state.preparing():
		return refuse(wire.ConcurrentTransactions)
	case v.state == stateOngoing && t.has(parts):
		return verdict{}
	}
	n := v.next(stateOngoing)
	n.partitions, n.updateMs, n.version = t.withPartitions(parts), nowMs, version
	if v.state != stateOngoing {
		n.startMs = nowMs
	}
	return change(n)
}

// verify is the rule of AddPartitionsToTxn that only asks (KIP-890): whether the partitions are in the transaction. A change
// that is pending does not matter, since the log looks once more at the append.
func (t *transaction) verify(p Producer) wire.Code {
	switch {
	case t.v.producerID != p.ID:
		return wire.InvalidProducerIdMapping
	case t.v.epoch != p.Epoch:
		return wire.ProducerFenced
	case t.v.state.preparing():
		return wire.ConcurrentTransactions
	}
	return wire.None
}

// end is the rule of EndTxn for clients before transactions V2.
func (t *transaction) end(p Producer, commit bool, nowMs int64) verdict {
	v := &t.v
	switch {
	case v.producerID != p.ID:
		return refuse(wire.InvalidProducerIdMapping)
	case v.epoch != p.Epoch:
		return refuse(wire.ProducerFenced)
	case t.busy():
		return refuse(wire.ConcurrentTransactions)
	}
	switch wantPrepare, wantComplete := prepared(commit), completed(commit); v.state {
	case stateOngoing:
		n := v.next(wantPrepare)
		n.updateMs, n.nextProducerID, n.version = nowMs, noProducerID, 0
		return change(n)
	case wantComplete:
		return verdict{}
	case wantPrepare:
		return refuse(wire.ConcurrentTransactions)
	default:
		return refuse(wire.InvalidTxnState)
	}
}

// endAndBump is the rule of EndTxn under transactions V2 (KIP-890): the epoch rises with each transaction, so that nothing of
// the one before can get into the next.
func (t *transaction) endAndBump(p Producer, commit bool, newID, nowMs int64) verdict {
	v := &t.v
	// A successor that is an older client ends its transactions without a raise: what it has is no repetition.
	raised := v.version >= versionEpochBump
	overflowed := raised && v.prevProducerID == p.ID && p.Epoch == lastEpoch && v.epoch == 0
	bumped := raised && v.epoch == p.Epoch+1
	again := overflowed || bumped
	valid := v.epoch == p.Epoch
	switch {
	case v.state.preparing():
		valid = bumped
	case v.state == stateCompleteCommit || v.state == stateCompleteAbort:
		valid = valid || again
	}
	switch {
	case t.busy():
		return refuse(wire.ConcurrentTransactions)
	case v.producerID != p.ID && !overflowed:
		return refuse(wire.InvalidProducerIdMapping)
	case !valid:
		return refuse(wire.ProducerFenced)
	}
	switch v.state {
	case stateOngoing:
		return t.prepare(prepared(commit), false, newID, nowMs)
	case prepared(commit):
		return refuse(wire.ConcurrentTransactions)
	case completed(commit):
		if again {
			return verdict{}
		}
		if !commit {
			return t.prepare(statePrepareAbort, true, newID, nowMs)
		}
	case stateEmpty, stateCompleteCommit, stateCompleteAbort:
		// A transaction that no partition was added to, as far as is known here, can be aborted: what its producer sent may
		// be on its way still, and the raised epoch fences it.
		if !commit && !again {
			return t.prepare(statePrepareAbort, true, newID, nowMs)
		}
	}
	return refuse(wire.InvalidTxnState)
}

func prepared(commit bool) state {
	if commit {
		return statePrepareCommit
	}
	return statePrepareAbort
}

func completed(commit bool) state {
	if commit {
		return stateCompleteCommit
	}
	return stateCompleteAbort
}

// prepare raises the epoch and decides. A transaction without partitions begins with its end.
func (t *transaction) prepare(s state, empty bool, newID, nowMs int64) verdict {
	v := &t.v
	if v.exhausted() && newID < 0 {
		return verdict{needsID: true}
	}
	n := v.next(s)
	n.updateMs, n.nextProducerID, n.version = nowMs, noProducerID, versionEpochBump
	if v.exhausted() {
		n.nextProducerID = newID
	}
	if v.epoch < math.MaxInt16 {
		n.epoch++
	}
	n.lastEpoch = v.epoch
	if empty {
		n.startMs = nowMs
	}
	return change(n)
}

// abort is what happens to an open transaction whose time is over, or whose producer has a successor: it is aborted under a
// raised epoch, so that the producer is fenced. version is the transaction.version of the cluster.
func (t *transaction) abort(version int8, newID, nowMs int64) verdict {
	v := &t.v
	switch {
	case t.busy():
		return refuse(wire.ConcurrentTransactions)
	case v.state != stateOngoing:
		return refuse(wire.InvalidTxnState)
	case version >= versionEpochBump:
		return t.prepare(statePrepareAbort, false, newID, nowMs)
	}
	n := v.next(statePrepareAbort)
	n.updateMs, n.nextProducerID, n.version, n.lastEpoch = nowMs, noProducerID, 0, noProducerEpoch
	if !t.failedFence && v.epoch < math.MaxInt16 {
		n.epoch++
	}
	return change(n)
}

// complete is what a decided transaction becomes when all its markers are written.
func (t *transaction) complete(nowMs int64) values {
	v := &t.v
	n := v.next(completed(v.state == statePrepareCommit))
	if v.version >= versionEpochBump && v.nextProducerID != noProducerID {
		n.producerID, n.epoch = v.nextProducerID, 0
	}
	n.nextProducerID, n.partitions, n.updateMs = noProducerID, nil, nowMs
	return n
}

// expired reports whether the id has not been used for long enough to be forgotten.
func (t *transaction) expired(nowMs, expirationMs int64) bool {
	return !t.busy() && t.v.state.atRest() && t.v.updateMs <= nowMs-expirationMs
}

// timedOut reports whether the transaction is open for longer than its producer said it would be.
func (t *transaction) timedOut(nowMs int64) bool {
	return !t.busy() && t.v.state == stateOngoing && t.v.startMs+int64(t.v.timeoutMs) < nowMs
}
