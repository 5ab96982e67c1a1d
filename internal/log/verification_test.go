package log

import (
	"math"
	"testing"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

func verifyingLog(t *testing.T) *txnLog {
	l := openTest(t, vfs.NewMem(), DefaultConfig(), newClock())
	l.env.verifyTxns.Store(true)
	return &txnLog{t, l, map[int64]int32{}}
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
	_, err = x.l.AppendAsLeader(p, 0, AppendOptions{Guard: g})
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
