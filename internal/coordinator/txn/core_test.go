package txn

import (
	"math"
	"testing"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

var part = []log.TopicPartition{{Topic: "t", Partition: 0}}

func fresh(epoch int16) *transaction {
	return newTransaction("x", values{producerID: 7, prevProducerID: -1, nextProducerID: -1, epoch: epoch, lastEpoch: -1, state: stateEmpty, startMs: -1})
}

// take does what a verdict says, as if its record were committed.
func (t *transaction) take(tb testing.TB, v verdict, want wire.Code) {
	tb.Helper()
	if v.code != want {
		tb.Fatalf("told %v, want %v", v.code.Name(), want.Name())
	}
	if v.needsID {
		tb.Fatal("a new producer id is wanted")
	}
	if v.change {
		t.v = v.next
	}
}

func (t *transaction) me() Producer { return Producer{t.v.producerID, t.v.epoch} }

func TestEpochRisesWithEachTransaction(t *testing.T) {
	x := fresh(3)
	for range 3 {
		x.take(t, x.addPartitions(x.me(), part, 2, 10), wire.None)
		before := x.me()
		x.take(t, x.endAndBump(before, true, -1, 20), wire.None)
		if x.v.epoch != before.Epoch+1 || x.v.state != statePrepareCommit {
			t.Fatalf("%+v", x.v)
		}
		x.take(t, x.endAndBump(before, true, -1, 20), wire.ConcurrentTransactions)
		x.take(t, x.endAndBump(before, false, -1, 20), wire.InvalidTxnState)
		x.take(t, x.addPartitions(x.me(), part, 2, 10), wire.ConcurrentTransactions)
		x.v = x.complete(30)
		x.take(t, x.endAndBump(before, true, -1, 20), wire.None) // the answer was lost
		x.take(t, x.endAndBump(before, false, -1, 20), wire.InvalidTxnState)
		x.take(t, x.addPartitions(before, part, 2, 10), wire.ProducerFenced)
		x.take(t, x.endAndBump(x.me(), true, -1, 20), wire.InvalidTxnState) // nothing to commit
	}
}

// TestOlderSuccessorIsNotTheProducerItself: a client of transactions V2 is told again how its transaction ended, but not how that
// of a successor did which is a client from before them, whose epoch is the next one too.
func TestOlderSuccessorIsNotTheProducerItself(t *testing.T) {
	for _, commit := range []bool{true, false} {
		x := fresh(3)
		x.take(t, x.addPartitions(x.me(), part, 2, 10), wire.None)
		x.take(t, x.endAndBump(x.me(), true, -1, 20), wire.None)
		x.v = x.complete(30)
		zombie := x.me()
		x.take(t, x.initProducer(1, nil, -1, 40), wire.None)
		x.take(t, x.addPartitions(x.me(), part, 0, 50), wire.None)
		x.take(t, x.end(x.me(), commit, 60), wire.None)
		x.take(t, x.endAndBump(zombie, commit, -1, 70), wire.ProducerFenced)
		x.v = x.complete(80)
		x.take(t, x.endAndBump(zombie, commit, -1, 90), wire.ProducerFenced)
	}
}

func TestEpochsRunOut(t *testing.T) {
	x := fresh(lastEpoch)
	x.take(t, x.addPartitions(x.me(), part, 2, 10), wire.None)
	before := x.me()
	if v := x.endAndBump(before, true, -1, 20); !v.needsID {
		t.Fatal("there is no epoch left but the one to fence with")
	}
	x.take(t, x.endAndBump(before, true, 9, 20), wire.None)
	if x.v.producerID != 7 || x.v.epoch != math.MaxInt16 || x.v.nextProducerID != 9 {
		t.Fatalf("markers are of the old producer: %+v", x.v)
	}
	x.v = x.complete(30)
	if x.me() != (Producer{9, 0}) || x.v.prevProducerID != 7 {
		t.Fatalf("%+v", x.v)
	}
	x.take(t, x.endAndBump(before, true, -1, 20), wire.None) // the answer was lost
	x.take(t, x.addPartitions(before, part, 2, 10), wire.InvalidProducerIdMapping)
	y := fresh(lastEpoch)
	if v := y.initProducer(1, nil, -1, 10); !v.needsID {
		t.Fatal("InitProducerId cannot raise the last epoch")
	}
	y.take(t, y.initProducer(1, nil, 9, 10), wire.None)
	if y.me() != (Producer{9, 0}) {
		t.Fatalf("%+v", y.v)
	}
	y.take(t, y.initProducer(1, &Producer{7, lastEpoch}, -1, 10), wire.ProducerFenced)
}

func TestProducerComesBack(t *testing.T) {
	x := fresh(-1)
	x.take(t, x.initProducer(1, nil, -1, 10), wire.None)
	old := x.me()
	x.take(t, x.initProducer(1, &old, -1, 10), wire.None)
	if x.v.epoch != old.Epoch+1 {
		t.Fatalf("%+v", x.v)
	}
	raised := x.me()
	x.take(t, x.initProducer(1, &old, -1, 10), wire.None) // again, since the answer was lost
	if x.me() != raised {
		t.Fatal("it was raised twice")
	}
	x.take(t, x.initProducer(1, nil, -1, 10), wire.None) // another one
	x.take(t, x.initProducer(1, &raised, -1, 10), wire.ProducerFenced)
	x.take(t, x.initProducer(1, &Producer{8, x.v.epoch}, -1, 10), wire.ProducerFenced)
}

func TestAbortFencesTheProducer(t *testing.T) {
	for _, version := range []int8{0, 1, 2} {
		x := fresh(3)
		x.take(t, x.addPartitions(x.me(), part, version, 10), wire.None)
		old := x.me()
		if !x.initProducer(1, nil, -1, 10).fence {
			t.Fatal("an open transaction is aborted first")
		}
		x.take(t, x.abort(version, -1, 20), wire.None)
		if x.v.epoch != 4 || x.v.state != statePrepareAbort {
			t.Fatalf("version %d: %+v", version, x.v)
		}
		x.v = x.complete(30)
		x.take(t, x.end(old, true, 40), wire.ProducerFenced)
		x.take(t, x.addPartitions(old, part, version, 40), wire.ProducerFenced)
	}
	x := fresh(3)
	x.take(t, x.addPartitions(x.me(), part, 0, 10), wire.None)
	x.failedFence, x.v.epoch = true, 4
	x.take(t, x.abort(0, -1, 20), wire.None)
	if x.v.epoch != 4 {
		t.Fatal("an epoch that was raised in vain is not raised again")
	}
}

func TestTransactionsBeforeV2(t *testing.T) {
	x := fresh(0)
	x.take(t, x.end(x.me(), false, 10), wire.InvalidTxnState)
	x.take(t, x.addPartitions(x.me(), part, 0, 10), wire.None)
	if !x.timedOut(10+int64(x.v.timeoutMs)+1) || x.timedOut(10) || x.expired(1<<40, 1) {
		t.Fatal("time-outs and expiry of an open transaction")
	}
	x.take(t, x.addPartitions(x.me(), part, 0, 11), wire.None)
	x.take(t, x.end(x.me(), true, 20), wire.None)
	if x.v.epoch != 0 {
		t.Fatal("the epoch stays")
	}
	x.take(t, x.end(x.me(), true, 20), wire.ConcurrentTransactions)
	x.v = x.complete(30)
	x.take(t, x.end(x.me(), true, 20), wire.None)
	x.take(t, x.end(x.me(), false, 20), wire.InvalidTxnState)
	if x.expired(30, 1) || !x.expired(31, 1) {
		t.Fatal("expiry")
	}
}
