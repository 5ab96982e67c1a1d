package log

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

var crashes = flag.Int("crashes", 0, "simulated power losses in TestCrash; 0: 2000, or 200 under -short")

// history is what one partition may and must hold.
type history struct {
	tp        TopicPartition
	life      byte                      // counts deletions; part of the topic id
	values    map[int64]map[string]bool // what was ever written at an offset
	present   map[int64]string          // what is there now
	acked     int64                     // flushed: everything present below must survive
	appended  int64                     // end of what was appended: everything present below must survive the process
	start     int64                     // highest log start that was asked for
	seq       map[int64]int32
	producers int64               // first id in use
	last      map[int64]sentBatch // last batch of each producer
}

type sentBatch struct {
	bytes []byte
	base  int64
	last  int64
}

// crashRun is one random history on a file system that loses power at a random call.
type crashRun struct {
	t       *testing.T
	rng     *rand.Rand
	seed    uint64
	mem     *vfs.Mem
	fsys    vfs.FS
	clock   *fakeClock
	m       *Manager
	parts   []*history
	ops     int
	cutAt   int
	kill    bool     // the process ends, and the machine stays
	runs    bool     // a run has begun
	hadRun  bool     // when the process ended
	judged  bool     // the first start after it is over
	after   *vfs.Mem // what the power cut, or the process, left
	cfg     Config
	ackedAt []int64 // acked of each partition when the power went
	startAt []int64
}

func newCrashRun(t *testing.T, seed uint64, kill bool) *crashRun {
	rng := rand.New(rand.NewPCG(seed, 7))
	r := &crashRun{t: t, rng: rng, seed: seed, mem: vfs.NewMem(), clock: newClock(), cutAt: 60 + rng.IntN(900), kill: kill}
	r.mem.SetClock(r.clock.Now)
	var mu sync.Mutex
	var torn vfs.Op // the write in which the process ended
	r.fsys = vfs.Inject(r.mem, func(op vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if torn.Len > 0 {
			r.after = r.mem.Kill()
			f, err := r.after.Open(torn.Name, vfs.ReadWrite)
			must.NoError(t, err)
			if size, err := f.Size(); err == nil && size == torn.Off+int64(torn.Len) {
				must.NoError(t, f.Truncate(torn.Off+rng.Int64N(int64(torn.Len)+1)))
			}
			torn = vfs.Op{}
		}
		if r.ops++; r.ops == r.cutAt {
			r.cut()
			if r.kill && op.Kind == vfs.OpWrite && strings.HasSuffix(op.Name, logSuffix) {
				r.after, torn = nil, op
			}
		}
		return nil
	})
	r.cfg = DefaultConfig()
	r.cfg.SegmentBytes, r.cfg.IndexIntervalBytes = int32(400+rng.IntN(2000)), int32(rng.IntN(300))
	r.cfg.FileDeleteDelayMs = int64(rng.IntN(2000))
	r.cfg.Preallocate = rng.IntN(4) == 0
	for _, name := range []string{"a", "b"} {
		r.parts = append(r.parts, &history{tp: TopicPartition{name, 0}, values: map[int64]map[string]bool{}, present: map[int64]string{},
			seq: map[int64]int32{}, last: map[int64]sentBatch{}})
	}
	return r
}

// cut ends the power, or the process, before a call.
func (r *crashRun) cut() {
	if r.hadRun = r.runs; r.kill {
		r.after = r.mem.Kill()
	} else {
		r.after = r.mem.Crash(r.rng)
	}
	for _, h := range r.parts {
		if r.kill {
			h.acked = h.appended
		}
		r.ackedAt = append(r.ackedAt, h.acked)
		r.startAt = append(r.startAt, h.start)
	}
}

func formatDir(t testing.TB, fsys vfs.FS, dir string, n byte) {
	t.Helper()
	must.NoError(t, fsys.MkdirAll(dir))
	must.NoError(t, WriteMetaProperties(fsys, dir, MetaProperties{Version: 1, ClusterID: "c", NodeID: 1, DirectoryID: [16]byte{9, n}}, time.Unix(0, 0)))
	for p := dir; p != "/"; p = filepath.Dir(p) {
		must.NoError(t, fsys.SyncDir(filepath.Dir(p)))
	}
}

func (r *crashRun) open(fsys vfs.FS) *Manager {
	r.t.Helper()
	m, err := OpenManager(ManagerConfig{FS: fsys, Dirs: []string{"/data"}, NodeID: 1, Logger: quiet, Now: r.clock.Now, MaxOpenFiles: 5,
		TopicConfig: func(string) Config { return r.cfg }})
	must.NoError(r.t, err, "seed", r.seed)
	must.NoError(r.t, m.Load(context.Background()), "seed", r.seed)
	must.NoError(r.t, m.dirs[0].offline(), "seed", r.seed)
	if fsys == r.after && !r.judged {
		r.judged = true
		previous := m.PreviousBrokerEpoch()
		must.True(r.t, r.kill || previous <= stoppedRun, "a power cut is taken for a kill: epoch", previous, "seed", r.seed)
		must.True(r.t, !r.kill || !r.hadRun || r.cfg.Preallocate || previous > 0, "a killed process has lost nothing, seed", r.seed)
	}
	m.BeginRun(killedRun)
	r.runs = true
	return m
}

// The broker epochs of the runs of a history: those that are killed, those that are stopped.
const (
	stoppedRun = 3
	killedRun  = 7
)

func (r *crashRun) log(h *history) *Log {
	l, err := r.m.Open(h.tp, TopicID{1, h.tp.Topic[0], h.life}, [16]byte{})
	must.NoError(r.t, err, "seed", r.seed)
	return l
}

func (r *crashRun) step() {
	h := r.parts[r.rng.IntN(len(r.parts))]
	l := r.log(h)
	r.clock.now = r.clock.now.Add(time.Duration(r.rng.IntN(500)) * time.Millisecond)
	switch n := r.rng.IntN(100); {
	case n < 60:
		r.append(h, l)
	case n < 72:
		must.NoError(r.t, l.flush(), "seed", r.seed)
		h.acked = l.FlushedOffset()
		l.SetHighWatermark(h.acked)
	case n < 76:
		r.m.checkpoint(r.m.dirs[0], recoveryPointFile, highWatermarkFile, logStartFile)
	case n < 80:
		to := l.LogStartOffset() + r.rng.Int64N(l.HighWatermark()-l.LogStartOffset()+1)
		h.start = max(h.start, to)
		_, err := l.DeleteRecordsTo(to)
		must.NoError(r.t, err)
		l.SetConfig(l.Config())
		_, _, err = l.retain(r.clock.now.UnixMilli())
		must.NoError(r.t, err)
	case n < 84:
		r.m.dirs[0].runDeletes(r.clock.now.UnixMilli())
	case n < 88 && l.LogEndOffset() > l.HighWatermark():
		r.truncate(h, l)
	case n < 91:
		l.cool(math.MaxInt64)
	case n < 93:
		r.clean()
	case n < 95:
		// A kill: nothing is lost but what the process knew.
		must.NoError(r.t, r.m.Abandon())
		r.m = r.open(r.fsys)
	case n < 96:
		must.NoError(r.t, r.m.Delete(h.tp))
		h.life++
		h.acked, h.appended, h.start = 0, 0, 0
		h.values, h.present = map[int64]map[string]bool{}, map[int64]string{}
		h.newProducers()
	}
}

// newProducers has others write from now on: the log may have lost batches of the present ones.
func (h *history) newProducers() {
	h.producers += 10
	h.seq, h.last = map[int64]int32{}, map[int64]sentBatch{}
}

func (r *crashRun) append(h *history, l *Log) {
	n := 1 + r.rng.IntN(4)
	var b []byte
	pid := int64(-1)
	ts := r.clock.now.UnixMilli()
	if r.rng.IntN(2) == 0 {
		pid = h.producers + int64(r.rng.IntN(3))
		b = idempotentBatch(r.t, ts, pid, 0, h.seq[pid], n)
	} else {
		vals := make([]string, n)
		for i := range vals {
			vals[i] = fmt.Sprintf("v%d-%s", r.ops, make([]byte, r.rng.IntN(60)))
		}
		b = producedBatch(r.t, ts, vals...)
	}
	epoch := max(l.LatestEpoch(), l.role.epoch.Load())
	if epoch < 0 || r.rng.IntN(20) == 0 {
		epoch++
		_, err := l.BecomeLeader(epoch)
		must.NoError(r.t, err)
	} else if !l.role.leader.Load() {
		_, err := l.BecomeLeader(epoch)
		must.NoError(r.t, err)
	}
	base := l.LogEndOffset()
	it := record.Batch(b).Records(0)
	for i := int64(0); it.Next(); i++ {
		v := string(it.Record().Value)
		if h.values[base+i] == nil {
			h.values[base+i] = map[string]bool{}
		}
		h.values[base+i][v] = true
		h.present[base+i] = v
	}
	must.NoError(r.t, it.Close())
	sent := append([]byte(nil), b...)
	info, err := l.AppendAsLeader(b, epoch, AppendOptions{})
	must.NoError(r.t, err, "seed", r.seed)
	must.True(r.t, !info.Duplicate && info.BaseOffset == base, "seed", r.seed)
	h.appended = info.LastOffset + 1
	if pid >= 0 {
		h.seq[pid] += int32(n)
		h.last[pid] = sentBatch{sent, info.BaseOffset, info.LastOffset}
	}
}

func (r *crashRun) truncate(h *history, l *Log) {
	to := l.HighWatermark() + r.rng.Int64N(l.LogEndOffset()-l.HighWatermark())
	h.acked = min(h.acked, l.HighWatermark()) // what a follower may lose by truncation was never promised
	h.appended = h.acked
	must.NoError(r.t, l.TruncateTo(to), "seed", r.seed)
	for o := range h.present {
		if o >= l.LogEndOffset() {
			delete(h.present, o)
		}
	}
	h.appended = l.LogEndOffset()
	// A log is truncated because there is another leader.
	_, err := l.BecomeLeader(max(l.LatestEpoch(), l.role.epoch.Load()) + 1)
	must.NoError(r.t, err)
	h.newProducers()
}

func (r *crashRun) clean() {
	must.NoError(r.t, r.m.Close(stoppedRun), "seed", r.seed)
	r.m = r.open(r.fsys)
	for _, h := range r.parts {
		if l := r.m.Get(h.tp); l != nil {
			must.Equal(r.t, l.LogEndOffset(), l.FlushedOffset())
			h.acked = max(h.acked, l.LogEndOffset())
		}
	}
}

func (r *crashRun) run() {
	formatDir(r.t, r.fsys, "/data", 1)
	r.m = r.open(r.fsys)
	for r.after == nil {
		r.step()
	}
	must.NoError(r.t, r.m.Abandon())
	r.m = r.open(r.after)
	for i, h := range r.parts {
		l := r.m.Get(h.tp)
		if l != nil && l.TopicID() != (TopicID{1, h.tp.Topic[0], h.life}) {
			// The deletion did not last, or not even the topic id of a new log.
			must.True(r.t, r.ackedAt[i] == 0 || len(h.present) == 0, "flushed log is replaced by a deleted one, seed", r.seed)
			must.NoError(r.t, r.m.Delete(h.tp))
			h.values = map[int64]map[string]bool{}
			continue
		}
		if l != nil {
			r.check(h, l, r.ackedAt[i], r.startAt[i])
		} else {
			must.True(r.t, r.ackedAt[i] == 0 || h.acked == 0, "log with flushed records is gone, seed", r.seed)
		}
	}
	// Life goes on, and a clean stop leaves the same.
	for _, h := range r.parts {
		h.newProducers()
	}
	for range 30 {
		h := r.parts[r.rng.IntN(len(r.parts))]
		l := r.log(h)
		r.append(h, l)
	}
	ends := map[TopicPartition][]record.Record{}
	for _, l := range r.m.All() {
		ends[l.tp] = readAll(r.t, l, BoundLogEnd, 700)
	}
	must.NoError(r.t, r.m.Close(4))
	r.m = r.open(r.after)
	for _, l := range r.m.All() {
		must.Equal(r.t, values(ends[l.tp]), values(readAll(r.t, l, BoundLogEnd, 300)), "seed", r.seed)
	}
}

// check compares what is there after the power cut with what must and may be there.
func (r *crashRun) check(h *history, l *Log, acked, start int64) {
	t := r.t
	t.Helper()
	where := fmt.Sprintf("%s seed %d [%d,%d) acked %d start %d", h.tp, r.seed, l.LogStartOffset(), l.LogEndOffset(), acked, start)
	if h.acked == 0 && len(h.present) == 0 {
		acked = 0 // deleted in the step of the cut
	}
	must.True(t, l.LogEndOffset() >= acked, "flushed records are lost:", where)
	must.True(t, l.LogStartOffset() <= max(start, h.start), "start went up:", where)
	must.True(t, l.HighWatermark() <= l.LogEndOffset() && l.HighWatermark() >= l.LogStartOffset(), where)
	next := l.LogStartOffset()
	for _, rec := range readAll(t, l, BoundLogEnd, 500) {
		must.True(t, rec.Offset == next, "hole at", next, where)
		next++
		must.True(t, h.values[rec.Offset][string(rec.Value)], "never written:", string(rec.Value), "at", rec.Offset, where)
		if want, ok := h.present[rec.Offset]; ok && rec.Offset < acked {
			must.True(t, want == string(rec.Value), "other record at", rec.Offset, where)
		}
	}
	must.True(t, next == l.LogEndOffset(), "end is", l.LogEndOffset(), "last read", next, where)
	checkIndexes(t, l, where)
	for pid, sent := range h.last {
		if sent.last >= acked || sent.base < l.LogStartOffset() {
			continue
		}
		epoch := max(l.LatestEpoch(), 0)
		_, err := l.BecomeLeader(epoch)
		must.NoError(t, err)
		info, err := l.AppendAsLeader(append([]byte(nil), sent.bytes...), epoch, AppendOptions{})
		must.NoError(t, err, where, "producer", pid)
		must.True(t, info.Duplicate && info.BaseOffset == sent.base, "flushed batch of producer", pid, "is taken again:", where)
	}
}

// checkIndexes makes sure that no entry points astray.
func checkIndexes(t testing.TB, l *Log, where string) {
	t.Helper()
	for _, s := range l.segments() {
		v, err := s.offsetView()
		must.NoError(t, err, where)
		o, err := l.env.files.acquire(s)
		must.NoError(t, err, where)
		for _, e := range v.all() {
			w := newHeaderWalk(o, e.position(), s.size.Load())
			b, _, ok, err := w.next()
			must.True(t, err == nil && ok && b.LastOffset() == s.base+int64(e.relative()), "index entry astray in segment", s.base, where)
			w.close()
		}
		s.log.mu.Lock()
		times, err := s.allTimes()
		s.log.mu.Unlock()
		must.NoError(t, err)
		for i, e := range times {
			must.True(t, i == 0 || e.timestamp > times[i-1].timestamp, "time index", where)
			must.True(t, s.base+int64(e.relative) < max(l.LogEndOffset(), 1), "time index entry beyond the end", where)
		}
		o.release()
	}
}

// TestCrash cuts the power at a random call of a random history, many times.
func TestCrash(t *testing.T) {
	n := *crashes
	if n == 0 {
		if n = 2000; testing.Short() {
			n = 200
		}
	}
	seed := 0
	defer func() {
		if t.Failed() {
			t.Log("the seed was", seed)
		}
	}()
	for ; seed < n; seed++ {
		newCrashRun(t, uint64(seed), false).run()
	}
}

// TestKill ends the process at a random call of a random history, many times: all that was appended is there, and the next
// process knows it.
func TestKill(t *testing.T) {
	n := *crashes
	if n == 0 {
		if n = 500; testing.Short() {
			n = 100
		}
	}
	for seed := range n {
		newCrashRun(t, uint64(seed), true).run()
	}
}
