package log

import (
	"math"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

func verifyingLog(t *testing.T) *txnLog {
	l := openTest(t, vfs.NewMem(), DefaultConfig(), newClock())
	l.env.verifyTxns.Store(true)
	return &txnLog{t: t, l: l, seq: map[int64]int32{}}
}

func (x *txnLog) try(pid int64, epoch int16, seq int32, g VerificationGuard) error {
	x.t.Helper()
	var b record.Builder
	b.Reset(record.Compression{}, 0)
	b.SetProducer(pid, epoch, seq)
	b.SetTransactional()
	b.Append(x.l.env.nowMs(), []byte("k"), []byte("v"))
	p, err := b.Build()
	must.NoError(x.t, err)
	_, err = x.l.AppendAsLeader(p, x.epoch, AppendOptions{Guard: g})
	return err
}

func (x *txnLog) mark(pid int64, epoch int16, version int8) error {
	x.t.Helper()
	var b record.Builder
	b.Reset(record.Compression{}, 0)
	b.AppendEndTxn(x.l.env.nowMs(), pid, epoch, record.EndTxnMarker{})
	p, err := b.Build()
	must.NoError(x.t, err)
	_, err = x.l.AppendAsLeader(p, 0, AppendOptions{Origin: OriginCoordinator, TxnVersion: version})
	return err
}

func (x *txnLog) ask(pid int64, epoch int16, seq int32, bump bool) VerificationGuard {
	x.t.Helper()
	g, err := x.l.StartVerification(pid, epoch, seq, bump)
	must.NoError(x.t, err)
	return g
}

func TestTransactionBeginsOnlyWithItsGuard(t *testing.T) {
	x := verifyingLog(t)
	must.ErrorIs(t, x.try(1, 0, 0, 0), wire.InvalidTxnState)
	g := x.ask(1, 0, 0, false)
	must.ErrorIs(t, x.try(1, 0, 0, g+1), wire.InvalidTxnState)
	must.NoError(t, x.try(1, 0, 0, g))
	must.Equal(t, VerificationGuard(0), x.ask(1, 0, 1, false), "a transaction that has begun needs no guard")
	must.NoError(t, x.try(1, 0, 1, 0))
	must.NoError(t, x.mark(1, 0, 0))
	must.ErrorIs(t, x.try(1, 0, 2, g), wire.InvalidTxnState, "the guard of the transaction before")
}

func TestMarkerTakesTheGuardAway(t *testing.T) {
	x := verifyingLog(t)
	g := x.ask(1, 0, 0, false)
	must.NoError(t, x.mark(1, 0, 0)) // aborted before anything was written
	must.ErrorIs(t, x.try(1, 0, 0, g), wire.InvalidTxnState)
	must.NoError(t, x.try(1, 0, 0, x.ask(1, 0, 0, false)))
	_, err := x.l.StartVerification(1, -1, 0, false)
	must.ErrorIs(t, err, wire.InvalidProducerEpoch)
}

func TestBatchesThatWaitForTheAnswerKeepTheirOrder(t *testing.T) {
	x := verifyingLog(t)
	g := x.ask(1, 0, 3, false)
	must.Equal(t, g, x.ask(1, 0, 4, false))
	must.ErrorIs(t, x.try(1, 0, 4, g), wire.OutOfOrderSequenceNumber)
	must.NoError(t, x.try(1, 0, 3, g))
	must.NoError(t, x.try(1, 0, 4, g))
	// Under transactions V2 nothing but sequence 0 can be the first that is known of a producer.
	g = x.ask(2, 0, 3, true)
	must.ErrorIs(t, x.try(2, 0, 3, g), wire.OutOfOrderSequenceNumber)
}

func TestMarkersOfTransactionsV2HaveAHigherEpoch(t *testing.T) {
	x := verifyingLog(t)
	must.NoError(t, x.try(1, 5, 0, x.ask(1, 5, 0, true)))
	must.ErrorIs(t, x.mark(1, 5, 2), wire.InvalidProducerEpoch)
	must.NoError(t, x.mark(1, 6, 2))
	must.NoError(t, x.mark(1, 6, 2), "a marker may come twice")
	must.NoError(t, x.try(1, 6, 0, x.ask(1, 6, 0, true)))
	must.ErrorIs(t, x.mark(1, 6, 2), wire.InvalidProducerEpoch, "a marker that was under way when the next transaction began")
	must.NoError(t, x.mark(1, math.MaxInt16, 2))
	must.NoError(t, x.mark(1, math.MaxInt16, 0))
}

func TestGuardsAreForgottenInTheEnd(t *testing.T) {
	x := verifyingLog(t)
	g := x.ask(1, 0, 0, false)
	x.l.expireProducers(x.l.env.nowMs() + x.l.env.producerExpirationMs.Load() - 1)
	must.Equal(t, g, x.ask(1, 0, 0, false))
	x.l.expireProducers(x.l.env.nowMs() + x.l.env.producerExpirationMs.Load())
	must.True(t, x.ask(1, 0, 0, false) != g, "a new guard")
}

func TestStableOffsetIsNotBelowTheLogStart(t *testing.T) {
	x := verifyingLog(t)
	must.NoError(t, x.try(1, 0, 0, x.ask(1, 0, 0, true)))
	must.NoError(t, x.try(1, 0, 1, 0))
	x.l.SetHighWatermark(2)
	_, err := x.l.DeleteRecordsTo(1)
	must.NoError(t, err)
	must.Equal(t, int64(1), x.l.LastStableOffset())
}

// A client of transactions V2 writes for its next transaction when EndTxn is answered, which is before the markers are there.
func TestMarkerOfTheTransactionBeforeLeavesTheGuard(t *testing.T) {
	x := verifyingLog(t)
	must.NoError(t, x.try(1, 5, 0, x.ask(1, 5, 0, true)))
	g := x.ask(1, 6, 0, true)
	must.NoError(t, x.mark(1, 6, 2))
	must.NoError(t, x.try(1, 6, 0, g))
	must.NoError(t, x.mark(1, 7, 2))
	g = x.ask(1, 7, 0, true)
	must.NoError(t, x.mark(1, 8, 2)) // ends the transaction that was asked for
	must.ErrorIs(t, x.try(1, 7, 0, g), wire.InvalidTxnState)
}

// A batch that the log refuses has begun nothing: its guard stays for the next try, and goes with the end of the transaction.
func TestRefusalLeavesTheGuard(t *testing.T) {
	for name, c := range map[string]struct {
		epoch, next int16
		version     int8
		bump        bool
	}{"transaction.version 1": {3, 3, 0, false}, "transaction.version 2": {3, 4, 2, true}} {
		t.Run(name, func(t *testing.T) {
			x := verifyingLog(t)
			g := x.ask(1, c.epoch, 0, c.bump)
			must.ErrorIs(t, x.try(1, c.epoch, 7, g), wire.OutOfOrderSequenceNumber)
			must.ErrorIs(t, x.try(1, c.epoch, 0, 0), wire.InvalidTxnState, "a refusal opens nothing")
			must.Equal(t, g, x.ask(1, c.epoch, 0, c.bump))
			must.NoError(t, x.try(1, c.epoch, 0, g))
			must.NoError(t, x.mark(1, c.next, c.version))
			// The same again, and the transaction ends without a batch in this partition.
			g = x.ask(1, c.next, 0, c.bump)
			must.ErrorIs(t, x.try(1, c.next, 9, g), wire.OutOfOrderSequenceNumber)
			must.NoError(t, x.mark(1, c.next+1, c.version))
			must.ErrorIs(t, x.try(1, c.next+1, 0, g), wire.InvalidTxnState)
			must.Equal(t, x.l.LogEndOffset(), int64(3))
			x.l.SetHighWatermark(3)
			must.Equal(t, int64(3), x.l.LastStableOffset(), "nothing is left open")
		})
	}
}

func TestFailedWriteLeavesTheGuard(t *testing.T) {
	var fail error
	faulty := vfs.Inject(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite && fail != nil {
			return fail
		}
		return nil
	})
	l := openTest(t, faulty, DefaultConfig(), newClock())
	l.env.verifyTxns.Store(true)
	x := &txnLog{t: t, l: l, seq: map[int64]int32{}}
	g := x.ask(1, 0, 0, true)
	fail = errNoSpace
	must.ErrorIs(t, x.try(1, 0, 0, g), wire.KafkaStorageError)
	fail = nil
	must.Equal(t, g, x.ask(1, 0, 0, true))
	must.NoError(t, x.try(1, 0, 0, g))
	must.Equal(t, VerificationGuard(0), x.ask(1, 0, 1, true))
}

// What a coordinator wrote for a transaction that moved to another leader reaches this log as its follower.
func TestMarkerOfALeaderTakesTheGuardAway(t *testing.T) {
	x := verifyingLog(t)
	other := verifyingLog(t)
	must.NoError(t, other.mark(1, 1, 2))
	info, err := other.l.Read(0, 1000, true, BoundLogEnd)
	must.NoError(t, err)
	p := make([]byte, info.Range.Len)
	_, err = info.Range.ReadAt(p, 0)
	must.NoError(t, err)
	info.Range.Release()
	g := x.ask(1, 0, 0, true)
	x.l.BecomeFollower(1)
	_, err = x.l.AppendAsFollower(p, 1)
	must.NoError(t, err)
	_, err = x.l.BecomeLeader(2)
	must.NoError(t, err)
	x.epoch = 2
	must.ErrorIs(t, x.try(1, 1, 0, g), wire.InvalidTxnState)
	must.NoError(t, x.try(1, 1, 0, x.ask(1, 1, 0, true)))
}

// A client that adds partitions by writing to them may end its transaction without a higher epoch all the same: that marker ends
// the transaction that the guard was given for, and what comes with the guard afterwards would begin one that nobody ends.
func TestMarkerWithoutAHigherEpochTakesTheGuardAway(t *testing.T) {
	for _, version := range []int8{0, 1} {
		x := verifyingLog(t)
		g := x.ask(1, 5, 0, true)
		must.NoError(t, x.mark(1, 5, version))
		must.ErrorIs(t, x.try(1, 5, 0, g), wire.InvalidTxnState)
		must.NoError(t, x.try(1, 5, 0, x.ask(1, 5, 0, true)))
		must.NoError(t, x.mark(1, 5, version))
		g = x.ask(1, 6, 0, true)
		must.NoError(t, x.mark(1, 5, version), "of a transaction before, once more")
		must.NoError(t, x.try(1, 6, 0, g))
	}
	// Apache Kafka 4.0 to 4.2 does not say which version a marker is of: it may be of the transaction before.
	x := verifyingLog(t)
	must.NoError(t, x.try(1, 5, 0, x.ask(1, 5, 0, true)))
	g := x.ask(1, 6, 0, true)
	must.NoError(t, x.mark(1, 6, TxnVersionUnknown))
	must.NoError(t, x.try(1, 6, 0, g))
}

// However long a transaction is silent, its producer is known until it ends: else its end would leave it open.
func TestProducerWithAnOpenTransactionIsNotForgotten(t *testing.T) {
	fsys, clock := vfs.NewMem(), newClock()
	l := openTest(t, fsys, DefaultConfig(), clock)
	x := &txnLog{t: t, l: l, seq: map[int64]int32{}}
	x.data(1, 2)
	x.data(2, 1)
	x.end(2, true)
	l.SetHighWatermark(4)
	clock.now = clock.now.Add(25 * time.Hour)
	must.Equal(t, 1, l.expireProducers(l.env.nowMs()))
	for _, clean := range []bool{false, true} {
		if clean {
			must.NoError(t, l.Close())
		}
		l = openTest(t, fsys, DefaultConfig(), clock)
		l.SetHighWatermark(4)
		active, err := l.ActiveProducers()
		must.NoError(t, err)
		must.Equal(t, 1, len(active))
		must.Equal(t, int64(0), active[0].CurrentTxnStartOffset)
		must.Equal(t, int64(0), l.LastStableOffset())
	}
	x.l = l
	x.end(1, false)
	l.SetHighWatermark(5)
	must.Equal(t, int64(5), l.LastStableOffset())
	clock.now = clock.now.Add(25 * time.Hour)
	must.Equal(t, 1, l.expireProducers(l.env.nowMs()))
}
