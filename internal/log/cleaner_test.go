package log

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// committed reads the log as a read_committed consumer would and returns the last value of each key, with tombstones
// taken out, and all records by offset. Transactions that are still open count for nothing.
func committed(t testing.TB, l *Log) (state map[string]string, all map[int64]string) {
	t.Helper()
	type seen struct {
		pid      int64
		key, val string
		null     bool
	}
	all = map[int64]string{}
	records := map[int64]seen{} // decided for good
	open := map[int64][]int64{} // offsets of each producer's open transaction
	undecided := map[int64]seen{}
	for off := l.LogStartOffset(); ; {
		info, err := l.Read(off, 2000, true, BoundLogEnd)
		must.NoError(t, err)
		if info.Range == nil {
			break
		}
		buf := make([]byte, info.Range.Len)
		_, err = info.Range.ReadAt(buf, 0)
		must.NoError(t, err)
		info.Range.Release()
		for b, err := range record.Split(buf) {
			must.NoError(t, err)
			must.NoError(t, b.VerifyCRC())
			off = b.NextOffset()
			pid := b.ProducerID()
			if b.IsControl() {
				m, ok, err := decodeMarker(b)
				must.NoError(t, err)
				if ok && m.commit {
					for _, o := range open[pid] {
						records[o] = undecided[o]
					}
				}
				if ok {
					delete(open, pid)
				}
				continue
			}
			it := b.Records(0)
			for it.Next() {
				r := it.Record()
				s := seen{pid, string(r.Key), string(r.Value), r.Value == nil}
				all[r.Offset] = fmt.Sprint(s, r.Timestamp)
				if b.IsTransactional() {
					open[pid] = append(open[pid], r.Offset)
					undecided[r.Offset] = s
				} else {
					records[r.Offset] = s
				}
			}
			must.NoError(t, it.Close())
		}
	}
	state = map[string]string{}
	for _, o := range slices.Sorted(maps.Keys(records)) {
		if r := records[o]; r.null {
			delete(state, r.key)
		} else {
			state[r.key] = r.val
		}
	}
	return state, all
}

type keyed struct {
	*managed
	rng  *rand.Rand
	l    *Log
	seq  map[int64]int32
	open map[int64]bool
}

// appendKeyed appends a batch of random keys, plain, idempotent or transactional, or ends a transaction.
func (x *keyed) appendKeyed() {
	t := x.t
	pid := int64(x.rng.IntN(4))
	if pid > 1 && x.open[pid] && x.rng.IntN(3) == 0 {
		var b record.Builder
		b.Reset(record.Compression{}, 0)
		b.AppendEndTxn(x.l.env.nowMs(), pid, 0, record.EndTxnMarker{Commit: x.rng.IntN(2) == 0})
		p, err := b.Build()
		must.NoError(t, err)
		_, err = x.l.AppendAsLeader(p, 0, AppendOptions{Origin: OriginCoordinator})
		must.NoError(t, err)
		x.open[pid] = false
		return
	}
	var b record.Builder
	b.Reset(record.NewCompression(record.Codec(x.rng.IntN(5))), 0)
	n := 1 + x.rng.IntN(5)
	if pid > 0 {
		b.SetProducer(pid, 0, x.seq[pid])
		x.seq[pid] += int32(n)
	}
	if pid > 1 {
		b.SetTransactional()
		x.open[pid] = true
	}
	for range n {
		var v []byte
		if x.rng.IntN(4) > 0 {
			v = fmt.Appendf(nil, "value-%d", x.rng.IntN(1000))
		}
		b.Append(x.l.env.nowMs(), fmt.Appendf(nil, "key-%d", x.rng.IntN(12)), v)
	}
	p, err := b.Build()
	must.NoError(t, err)
	_, err = x.l.AppendAsLeader(p, 0, AppendOptions{})
	must.NoError(t, err)
	x.clock.now = x.clock.now.Add(100 * time.Millisecond)
}

func TestCompactionKeepsWhatCounts(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		mem := vfs.NewMem()
		rng := rand.New(rand.NewPCG(seed, 3))
		x := &keyed{managed: newManaged(t, mem, "/a"), rng: rng, seq: map[int64]int32{}, open: map[int64]bool{}}
		x.cfg.SegmentBytes, x.cfg.IndexIntervalBytes = int32(500+rng.IntN(1500)), int32(rng.IntN(200))
		x.cfg.Compact, x.cfg.Delete, x.cfg.DeleteRetentionMs, x.cfg.MinCleanableDirtyRatio = true, false, 10_000, 0
		x.m.cfg.CleanerDedupeBufferBytes = int64(100+rng.IntN(400)) * offsetSlotSize
		x.l = x.log("c", 0)
		where := fmt.Sprint("seed ", seed)
		for range 6 {
			for range 30 {
				x.appendKeyed()
			}
			x.l.SetHighWatermark(x.l.LogEndOffset())
			must.NoError(t, x.l.flush())
			want, before := committed(t, x.l)
			lso := x.l.LastStableOffset()
			x.m.CleanNow(context.Background())
			must.NoError(t, x.m.dirs[0].offline())
			got, after := committed(t, x.l)
			must.Equal(t, want, got, where)
			must.Equal(t, lso, x.l.LastStableOffset(), where)
			for o, r := range after {
				must.True(t, before[o] == r, where, "offset", o, before[o], r)
			}
			checkIndexes(t, x.l, where)
		}
		// A second life: whether the stop was clean or not, the same is there and the producers are known.
		want, _ := committed(t, x.l)
		if seed%2 == 0 {
			must.NoError(t, x.m.Close(1))
		} else {
			must.NoError(t, x.m.Abandon())
		}
		ents, err := mem.List("/a/c-0")
		must.NoError(t, err)
		for _, e := range ents {
			if strings.HasSuffix(e.Name, snapshotSuffix) {
				must.NoError(t, mem.Remove("/a/c-0/"+e.Name))
			}
		}
		x.open0()
		x.l = x.log("c", 0)
		got, _ := committed(t, x.l)
		must.Equal(t, want, got, where)
		ps, err := x.l.ActiveProducers()
		must.NoError(t, err)
		known := map[int64]int32{}
		for _, p := range ps {
			known[p.ProducerID] = p.LastSequence + 1
			must.True(t, (p.CurrentTxnStartOffset >= 0) == x.open[p.ProducerID], where, "producer", p)
		}
		must.Equal(t, x.seq, known, where)
	}
}

func (x *keyed) open0() { x.managed.open() }

func TestTombstonesAndMarkersGoInTheEnd(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a")
	x.cfg.SegmentBytes, x.cfg.Compact, x.cfg.Delete, x.cfg.DeleteRetentionMs, x.cfg.MinCleanableDirtyRatio = 300, true, false, 10_000, 0
	l := x.log("c", 0)
	put := func(k, v string) {
		var b record.Builder
		b.Reset(record.Compression{}, 0)
		var val []byte
		if v != "" {
			val = []byte(v)
		}
		b.Append(l.env.nowMs(), []byte(k), val)
		p, err := b.Build()
		must.NoError(t, err)
		_, err = l.AppendAsLeader(p, 0, AppendOptions{})
		must.NoError(t, err)
	}
	tx := &txnLog{t: t, l: l, seq: map[int64]int32{}}
	put("a", "1")
	put("a", "")
	tx.data(5, 2)
	tx.end(5, true)
	tx.data(6, 2)
	tx.end(6, false)
	round := func() {
		// New keys make the log dirty and move the clean part on.
		for range 8 {
			put(fmt.Sprint("filler", x.clock.now.UnixMilli()), strings.Repeat("f", 50))
			x.clock.now = x.clock.now.Add(time.Millisecond)
		}
		put("k", "again")
		l.SetHighWatermark(l.LogEndOffset())
		must.NoError(t, l.flush())
		x.m.CleanNow(context.Background())
	}
	markers := func() (n int) {
		w := func(s *segment) {
			o, err := l.env.files.acquire(s)
			must.NoError(t, err)
			defer o.release()
			hw := newHeaderWalk(o, 0, s.size.Load())
			defer hw.close()
			for {
				h, _, ok, err := hw.next()
				must.NoError(t, err)
				if !ok {
					return
				}
				if h.IsControl() && h.NumRecords() > 0 {
					n++
				}
			}
		}
		for _, s := range l.segments() {
			w(s)
		}
		return n
	}
	round()
	_, all := committed(t, l)
	_, first := all[0]
	_, tomb := all[1]
	must.True(t, !first && tomb, "the value goes, its tombstone stays for a while")
	must.Equal(t, 2, markers())
	round()
	_, all = committed(t, l)
	_, tomb = all[1]
	must.True(t, tomb, "the delete horizon has not come")
	x.clock.now = x.clock.now.Add(11 * time.Second)
	round()
	round()
	_, all = committed(t, l)
	_, tomb = all[1]
	must.True(t, !tomb, "the delete horizon has passed")
	must.Equal(t, 2, markers(), "the last batches of active producers are kept, empty, and so the markers")
	x.clock.now = x.clock.now.Add(25 * time.Hour)
	greater(t, l.expireProducers(x.clock.now.UnixMilli()), 0)
	round()
	round()
	x.clock.now = x.clock.now.Add(11 * time.Second)
	round()
	must.True(t, markers() == 0, "markers of transactions without records go", markers())
}

func TestCompactionLags(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a")
	x.cfg.SegmentBytes, x.cfg.Compact, x.cfg.Delete, x.cfg.MinCleanableDirtyRatio = 300, true, false, 0.9
	x.cfg.MinCompactionLagMs = 60_000
	l := x.log("c", 0)
	batch := func() []byte {
		var b record.Builder
		b.Reset(record.Compression{}, 0)
		b.Append(x.clock.now.UnixMilli(), []byte("k"), []byte(strings.Repeat("v", 50)))
		p, err := b.Build()
		must.NoError(t, err)
		return p
	}
	for range 20 {
		_, err := l.AppendAsLeader(batch(), 0, AppendOptions{})
		must.NoError(t, err)
	}
	l.SetHighWatermark(20)
	must.NoError(t, l.flush())
	got, due, err := l.cleanable(l.env.nowMs())
	must.NoError(t, err)
	must.True(t, !due && got.uncleanable == 0, "too young", got)
	x.clock.now = x.clock.now.Add(2 * time.Minute)
	_, due, err = l.cleanable(l.env.nowMs())
	must.NoError(t, err)
	must.True(t, due)
	// Mostly clean: only the maximum lag makes it due.
	l.tailMu.Lock()
	l.firstDirty = l.segments()[len(l.segments())-2].base
	l.tailMu.Unlock()
	_, due, err = l.cleanable(l.env.nowMs())
	must.NoError(t, err)
	must.True(t, !due, "not dirty enough")
	cfg := l.Config()
	cfg.MaxCompactionLagMs = 60_001
	l.SetConfig(cfg)
	_, due, err = l.cleanable(l.env.nowMs())
	must.NoError(t, err)
	must.True(t, due, "overdue")
}

// TestCrashInCompaction cuts the power at every call of a compaction in turn.
func TestCrashInCompaction(t *testing.T) {
	build := func(fsys vfs.FS) *keyed {
		x := &keyed{managed: newManaged(t, fsys, "/a"), rng: rand.New(rand.NewPCG(4, 4)), seq: map[int64]int32{}, open: map[int64]bool{}}
		x.cfg.SegmentBytes, x.cfg.IndexIntervalBytes = 900, 100
		x.cfg.Compact, x.cfg.Delete, x.cfg.MinCleanableDirtyRatio = true, false, 0
		x.l = x.log("c", 0)
		for range 120 {
			x.appendKeyed()
		}
		x.l.SetHighWatermark(x.l.LogEndOffset())
		must.NoError(t, x.l.flush())
		return x
	}
	stride := 1
	if testing.Short() {
		stride = 17
	}
	for cut := 1; ; cut += stride {
		mem := vfs.NewMem()
		var after *vfs.Mem
		ops, armed := 0, false
		rng := rand.New(rand.NewPCG(uint64(cut), 1))
		x := build(vfs.Inject(mem, func(op vfs.Op) error {
			if armed {
				if ops++; ops == cut {
					after = mem.Crash(rng)
				}
			}
			return nil
		}))
		want, _ := committed(t, x.l)
		end := x.l.LogEndOffset()
		armed = true
		x.m.CleanNow(context.Background())
		must.NoError(t, x.m.dirs[0].offline())
		x.m.dirs[0].runDeletes(x.l.env.nowMs() + 1_000_000)
		if after == nil {
			greater(t, ops, 30)
			return
		}
		must.NoError(t, x.m.Abandon())
		x.mc.FS, x.fsys = after, after
		x.cfg.Compact, x.cfg.Delete = false, true // a start does not know that it is compacted
		x.open0()
		x.l = x.log("c", 0)
		got, _ := committed(t, x.l)
		must.Equal(t, want, got, "cut at", cut)
		must.Equal(t, end, x.l.LogEndOffset())
		checkIndexes(t, x.l, fmt.Sprint("cut at ", cut))
	}
}
