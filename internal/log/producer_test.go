package log

import (
	"math"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

func TestProducerSequences(t *testing.T) {
	l := openTest(t, vfs.NewMem(), DefaultConfig(), newClock())
	ts := l.env.nowMs()
	send := func(epoch int16, seq int32, n int) (AppendInfo, error) {
		return l.AppendAsLeader(idempotentBatch(t, ts, 7, epoch, seq, n), 0, AppendOptions{})
	}
	var first AppendInfo
	for i := range int32(6) {
		info, err := send(3, i*2, 2)
		must.NoError(t, err)
		if i == 1 {
			first = info
		}
	}
	// The second of six batches is still one of the last five.
	dup, err := send(3, 2, 2)
	must.NoError(t, err)
	must.True(t, dup.Duplicate && dup.BaseOffset == first.BaseOffset && dup.LastOffset == first.LastOffset, "duplicate", dup)
	must.Equal(t, int64(12), l.LogEndOffset())
	// The first one is forgotten.
	_, err = send(3, 0, 2)
	must.ErrorIs(t, err, wire.OutOfOrderSequenceNumber)
	_, err = send(3, 20, 2)
	must.ErrorIs(t, err, wire.OutOfOrderSequenceNumber)
	_, err = send(2, 12, 1)
	must.ErrorIs(t, err, wire.InvalidProducerEpoch)
	_, err = send(4, 5, 1)
	must.ErrorIs(t, err, wire.OutOfOrderSequenceNumber)
	_, err = send(4, 0, 1)
	must.NoError(t, err)
	must.Equal(t, int64(13), l.LogEndOffset())
	// A producer that the log does not know may start anywhere.
	_, err = l.AppendAsLeader(idempotentBatch(t, ts, 8, 0, math.MaxInt32-1, 2), 0, AppendOptions{})
	must.NoError(t, err)
	_, err = l.AppendAsLeader(idempotentBatch(t, ts, 8, 0, 0, 1), 0, AppendOptions{})
	must.NoError(t, err, "the sequence wraps")
}

func TestProducersSurviveStops(t *testing.T) {
	for _, clean := range []bool{true, false} {
		fsys, clock := vfs.NewMem(), newClock()
		cfg := DefaultConfig()
		cfg.SegmentBytes = 300
		l := openTest(t, fsys, cfg, clock)
		for i := range int32(20) {
			_, err := l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), int64(i%3), 0, i/3, 1), 0, AppendOptions{})
			must.NoError(t, err)
		}
		if clean {
			must.NoError(t, l.Close())
		}
		l = openTest(t, fsys, cfg, clock)
		dup, err := l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 1, 0, 6, 1), 0, AppendOptions{})
		must.NoError(t, err)
		must.True(t, dup.Duplicate && dup.BaseOffset == 19, dup)
		_, err = l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 1, 0, 9, 1), 0, AppendOptions{})
		must.ErrorIs(t, err, wire.OutOfOrderSequenceNumber)
	}
}

// TestProducersAreRememberedWhole: after a stop, in order or not, all five batches that a producer may have had on its way
// are known to be repeated, though a snapshot has only the last one; those before them are not.
func TestProducersAreRememberedWhole(t *testing.T) {
	for _, segment := range []int32{300, 1 << 20} {
		for _, clean := range []bool{true, false} {
			x := newManaged(t, vfs.NewMem(), "/a")
			x.cfg.SegmentBytes = segment
			l := x.log("t", 0)
			for i := range int32(20) {
				_, err := l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), int64(i%3), 0, i/3, 1), 0, AppendOptions{})
				must.NoError(t, err)
			}
			// Another epoch of the same producer begins anew.
			_, err := l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 0, 1, 0, 1), 0, AppendOptions{})
			must.NoError(t, err)
			if clean {
				must.NoError(t, x.m.Close(1))
			} else {
				must.NoError(t, x.m.Abandon())
			}
			x.open()
			l = x.log("t", 0)
			for seq := range int32(7) {
				dup, err := l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 1, 0, seq, 1), 0, AppendOptions{})
				if seq < 2 {
					must.ErrorIs(t, err, wire.OutOfOrderSequenceNumber)
					continue
				}
				must.NoError(t, err, segment, clean, seq)
				must.True(t, dup.Duplicate && dup.BaseOffset == int64(1+3*seq), clean, seq, dup)
			}
			dup, err := l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 0, 1, 0, 1), 0, AppendOptions{})
			must.True(t, err == nil && dup.Duplicate && dup.BaseOffset == 20, dup)
			_, err = l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 0, 0, 6, 1), 0, AppendOptions{})
			must.ErrorIs(t, err, wire.InvalidProducerEpoch)
			must.NoError(t, x.m.Close(1))
		}
	}
}

func TestProducerExpiry(t *testing.T) {
	clock := newClock()
	l := openTest(t, vfs.NewMem(), DefaultConfig(), clock)
	_, err := l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 1, 0, 0, 1), 0, AppendOptions{})
	must.NoError(t, err)
	clock.now = clock.now.Add(23 * time.Hour)
	must.Equal(t, 0, l.expireProducers(l.env.nowMs()))
	clock.now = clock.now.Add(2 * time.Hour)
	must.Equal(t, 1, l.expireProducers(l.env.nowMs()))
	ps, err := l.ActiveProducers()
	must.NoError(t, err)
	must.Equal(t, 0, len(ps))
}

// TestKIP360ProducerAfterRetention: retention takes all that a producer wrote. It is known all the same, also after a stop of
// either kind: its next batch is taken, its last one recognized, and one that skips something refused.
func TestKIP360ProducerAfterRetention(t *testing.T) {
	for _, stop := range []func(*managed) error{nil, func(x *managed) error { return x.m.Close(1) }, func(x *managed) error { return x.m.Abandon() }} {
		x := newManaged(t, vfs.NewMem(), "/a")
		l := x.log("p", 0)
		_, err := l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 1, 0, 0, 3), 0, AppendOptions{})
		must.NoError(t, err)
		cfg := l.Config()
		cfg.RetentionMs = time.Hour.Milliseconds()
		l.SetConfig(cfg)
		l.SetHighWatermark(3)
		x.clock.now = x.clock.now.Add(2 * time.Hour)
		x.m.RetainNow()
		must.Equal(t, int64(3), l.LogStartOffset())
		must.Equal(t, int64(0), l.SizeBytes())
		if stop != nil {
			must.NoError(t, stop(x))
			x.open()
			l = x.log("p", 0)
		}
		dup, err := l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 1, 0, 0, 3), 0, AppendOptions{})
		must.True(t, err == nil && dup.Duplicate && dup.BaseOffset == 0, "duplicate", dup, err)
		_, err = l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 1, 0, 4, 1), 0, AppendOptions{})
		must.ErrorIs(t, err, wire.OutOfOrderSequenceNumber)
		info, err := l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 1, 0, 3, 1), 0, AppendOptions{})
		must.NoError(t, err)
		must.Equal(t, int64(3), info.BaseOffset)
	}
}

func TestFailedWriteChangesNothing(t *testing.T) {
	mem := vfs.NewMem()
	var fail error
	fsys := vfs.Inject(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite && fail != nil {
			return fail
		}
		return nil
	})
	clock := newClock()
	l := openTest(t, fsys, DefaultConfig(), clock)
	_, err := l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 1, 0, 0, 3), 0, AppendOptions{})
	must.NoError(t, err)
	fail = &vfs.Short{N: 50, Err: errNoSpace}
	_, err = l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 1, 0, 3, 3), 0, AppendOptions{})
	must.ErrorIs(t, err, wire.KafkaStorageError)
	must.Equal(t, int64(3), l.LogEndOffset())
	must.Equal(t, 3, len(readAll(t, l, BoundLogEnd, 1000)))
	fail = nil
	info, err := l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 1, 0, 3, 1), 0, AppendOptions{})
	must.NoError(t, err, "a full disk is no reason to stay away")
	must.Equal(t, int64(3), info.BaseOffset)
	l2 := openTest(t, mem, DefaultConfig(), clock)
	must.Equal(t, int64(4), l2.LogEndOffset())
}

// txnLog writes transactions the way a coordinator and clients would.
type txnLog struct {
	t   *testing.T
	l   *Log
	seq map[int64]int32

	epoch int32 // in which the log leads
}

func (x *txnLog) data(pid int64, n int) AppendInfo {
	x.t.Helper()
	var b record.Builder
	b.Reset(record.Compression{}, 0)
	b.SetProducer(pid, 0, x.seq[pid])
	b.SetTransactional()
	for range n {
		b.Append(x.l.env.nowMs(), []byte("k"), []byte("v"))
	}
	x.seq[pid] += int32(n)
	p, err := b.Build()
	must.NoError(x.t, err)
	info, err := x.l.AppendAsLeader(p, 0, AppendOptions{})
	must.NoError(x.t, err)
	return info
}

func (x *txnLog) end(pid int64, commit bool) AppendInfo {
	x.t.Helper()
	var b record.Builder
	b.Reset(record.Compression{}, 0)
	b.AppendEndTxn(x.l.env.nowMs(), pid, 0, record.EndTxnMarker{Commit: commit, CoordinatorEpoch: 1})
	p, err := b.Build()
	must.NoError(x.t, err)
	info, err := x.l.AppendAsLeader(p, 0, AppendOptions{Origin: OriginCoordinator})
	must.NoError(x.t, err)
	return info
}

func TestTransactionsHoldTheStableOffsetBack(t *testing.T) {
	fsys, clock := vfs.NewMem(), newClock()
	cfg := DefaultConfig()
	cfg.SegmentBytes = 400
	l := openTest(t, fsys, cfg, clock)
	x := &txnLog{t: t, l: l, seq: map[int64]int32{}}
	x.data(1, 2)    // 0 1
	x.data(2, 3)    // 2 3 4
	x.data(1, 1)    // 5
	x.end(1, false) // 6
	l.SetHighWatermark(7)
	must.Equal(t, int64(2), l.LastStableOffset())
	x.data(3, 2)   // 7 8
	x.end(2, true) // 9
	must.Equal(t, int64(2), l.LastStableOffset(), "the marker is above the high watermark")
	l.SetHighWatermark(10)
	must.Equal(t, int64(7), l.LastStableOffset())
	x.end(3, false) // 10
	l.SetHighWatermark(11)
	must.Equal(t, int64(11), l.LastStableOffset())
	check := func(l *Log) {
		t.Helper()
		aborted := map[wire.AbortedTransaction]bool{}
		for off := int64(0); off < 11; {
			info, err := l.Read(off, 1, true, BoundLastStable)
			must.NoError(t, err)
			for _, a := range info.Aborted {
				aborted[a] = true
				must.True(t, a.FirstOffset < info.EndOffset, "a transaction that begins behind the range", a, info.EndOffset)
			}
			off = info.EndOffset
			info.Range.Release()
		}
		must.Equal(t, map[wire.AbortedTransaction]bool{{ProducerID: 1, FirstOffset: 0}: true, {ProducerID: 3, FirstOffset: 7}: true}, aborted)
	}
	check(l)
	greater(t, l.NumSegments(), 1)
	x.data(4, 1) // 11: open over the stop
	for _, clean := range []bool{false, true} {
		if clean {
			must.NoError(t, l.Close())
		}
		l = openTest(t, fsys, cfg, clock)
		l.SetHighWatermark(12)
		must.Equal(t, int64(11), l.LastStableOffset())
		check(l)
	}
	// What is only in the transaction index of a lost file comes back with the batches.
	ents, err := fsys.List("/d/t-0")
	must.NoError(t, err)
	for _, e := range ents {
		if base, kind, ok := parseBase(e.Name); ok && (kind == txnIndexSuffix || kind == snapshotSuffix) {
			must.NoError(t, fsys.Remove("/d/t-0/"+e.Name), base)
		}
	}
	l = openTest(t, fsys, cfg, clock)
	l.SetHighWatermark(12)
	check(l)
	x = &txnLog{t: t, l: l, seq: map[int64]int32{}}
	_, err = l.AppendAsLeader(idempotentBatch(t, 0, 4, 0, 1, 1), 0, AppendOptions{})
	must.ErrorIs(t, err, wire.InvalidTxnState)
}

func TestZombieCoordinatorIsFenced(t *testing.T) {
	l := openTest(t, vfs.NewMem(), DefaultConfig(), newClock())
	x := &txnLog{t: t, l: l, seq: map[int64]int32{}}
	x.data(1, 1)
	x.end(1, true)
	var b record.Builder
	b.Reset(record.Compression{}, 0)
	b.AppendEndTxn(0, 1, 0, record.EndTxnMarker{CoordinatorEpoch: 0})
	p, err := b.Build()
	must.NoError(t, err)
	_, err = l.AppendAsLeader(p, 0, AppendOptions{Origin: OriginCoordinator})
	must.ErrorIs(t, err, wire.TransactionCoordinatorFenced)
}

// TestTornTransactionIndex: what of a .txnindex was not synced may be anything after a power cut, zeros above all, which would
// read as an aborted transaction of producer 0.
func TestTornTransactionIndex(t *testing.T) {
	for n, torn := range []func([]byte) []byte{
		func(p []byte) []byte { return make([]byte, len(p)) },
		func(p []byte) []byte { return append(make([]byte, abortedEntrySize), p[abortedEntrySize:]...) },
		func(p []byte) []byte { return p[:len(p)-3] },
		func(p []byte) []byte { clear(p[len(p)-20:]); return p },
		func([]byte) []byte { return abortedTxn{9, 0, 2, 3}.appendTo(nil) },
	} {
		for _, recoveryPoint := range []int64{0, 4} { // with 4 nothing of the index was synced, and entries below 4 do not count all the same
			fsys, clock := vfs.NewMem(), newClock()
			l := openTest(t, fsys, DefaultConfig(), clock)
			x := &txnLog{t: t, l: l, seq: map[int64]int32{}}
			x.data(1, 3)    // 0 1 2
			x.end(1, true)  // 3
			x.data(1, 2)    // 4 5
			x.end(1, false) // 6
			x.data(2, 1)    // 7
			x.end(2, false) // 8
			must.NoError(t, l.segments()[0].writeTxns())
			name := "/d/t-0/00000000000000000000" + txnIndexSuffix
			p, err := vfs.ReadFile(fsys, name, 1<<20)
			must.NoError(t, err)
			must.Equal(t, 2*abortedEntrySize, len(p))
			must.NoError(t, writeAt(fsys, name, torn(p), 0, false))
			must.NoError(t, truncateFile(fsys, name, int64(len(torn(p)))))
			l, err = OpenSingle(fsys, "/d/t-0", testTP, DefaultConfig(), SingleOptions{Logger: quiet, Now: clock.Now, TopicID: TopicID{1}, RecoveryPoint: recoveryPoint})
			must.NoError(t, err)
			_, err = l.BecomeLeader(0)
			must.NoError(t, err)
			l.SetHighWatermark(9)
			info, err := l.Read(0, 1<<20, true, BoundLastStable)
			must.NoError(t, err)
			info.Range.Release()
			must.Equal(t, []wire.AbortedTransaction{{ProducerID: 1, FirstOffset: 4}, {ProducerID: 2, FirstOffset: 7}}, info.Aborted, n, recoveryPoint)
		}
	}
}
