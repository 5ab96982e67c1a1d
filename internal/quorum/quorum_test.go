package quorum

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/lifecycle"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// recorder is a Listener that keeps the names of the topics it was told of, by offset.
type recorder struct {
	mu      sync.Mutex
	cond    *sync.Cond
	names   []string
	last    int64
	epoch   int32
	ts      int64
	leads   int32
	voters  int
	fatal   error
	changes int
}

func newRecorder() *recorder {
	r := &recorder{last: -1}
	r.cond = sync.NewCond(&r.mu)
	return r
}

func (r *recorder) add(v mr.Versioned, err error) error {
	if err != nil {
		return err
	}
	if t, ok := v.Record.(*mr.TopicRecord); ok {
		r.names = append(r.names, t.Name)
	}
	return nil
}

func (r *recorder) LoadSnapshot(s *Snapshot) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names = nil
	for v, err := range s.Records() {
		if err := r.add(v, err); err != nil {
			return err
		}
	}
	r.last, r.epoch, r.ts = s.ID.EndOffset-1, s.ID.Epoch, s.Timestamp
	return nil
}

func (r *recorder) Commit(batches []record.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range batches {
		if b.BaseOffset() != r.last+1 {
			return fmt.Errorf("batch at %d after %d", b.BaseOffset(), r.last)
		}
		for v, err := range mr.Records(b) {
			if err := r.add(v, err); err != nil {
				return err
			}
		}
		for m, err := range mr.ControlRecords(b) {
			if err != nil {
				return err
			}
			switch m.(type) {
			case *mr.VotersRecord:
				r.voters++
			case *mr.LeaderChangeMessage:
				r.changes++
			}
		}
		r.last, r.epoch, r.ts = b.LastOffset(), b.LeaderEpoch(), b.MaxTimestamp()
	}
	r.cond.Broadcast()
	return nil
}

func (r *recorder) Leader(epoch int32, next int64) {
	r.mu.Lock()
	r.leads = epoch
	r.cond.Broadcast()
	r.mu.Unlock()
}

func (r *recorder) Resigned(int32, int32) {}

func (r *recorder) SnapshotSource() SnapshotSource {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &recorded{append([]string{}, r.names...), r.last, r.epoch, r.ts}
}

type recorded struct {
	names []string
	last  int64
	epoch int32
	ts    int64
}

func (r *recorded) LastOffset() int64 { return r.last }
func (r *recorded) Epoch() int32      { return r.epoch }
func (r *recorded) Timestamp() int64  { return r.ts }
func (r *recorded) Records(yield func(mr.Versioned) bool) {
	for _, n := range r.names {
		if !yield(mr.V0(&mr.TopicRecord{Name: n})) {
			return
		}
	}
}

// until waits for a condition on the recorder.
func (r *recorder) until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.AfterFunc(10*time.Second, func() { r.mu.Lock(); r.fatal = errors.New("timeout"); r.cond.Broadcast(); r.mu.Unlock() })
	defer deadline.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !cond() {
		if r.fatal != nil {
			t.Fatalf("waiting for %s: %v", what, r.fatal)
		}
		r.cond.Wait()
	}
}

func (r *recorder) fail(err error) {
	r.mu.Lock()
	r.fatal = err
	r.cond.Broadcast()
	r.mu.Unlock()
}

func testConfig(fsys vfs.FS, l Listener) Config {
	return Config{FS: fsys, Dir: "/data", NodeID: 1, DirectoryID: [16]byte{1, 2, 3}, ClusterID: "c", Listener: l,
		Log: slog.New(slog.DiscardHandler)}
}

type running struct {
	*Quorum
	rec *recorder
	g   *lifecycle.Group
}

func start(t *testing.T, cfg Config) *running {
	t.Helper()
	rec := newRecorder()
	cfg.Listener, cfg.OnFault = rec, rec.fail
	q, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g := lifecycle.New("test", slog.New(slog.DiscardHandler))
	q.Start(g)
	rec.until(t, "leadership", func() bool { return rec.leads != 0 })
	return &running{q, rec, g}
}

func (r *running) topic(t *testing.T, name string) int64 {
	t.Helper()
	last, err := r.Propose(r.rec.leads, []mr.Versioned{mr.V0(&mr.TopicRecord{Name: name})})
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func (r *running) committed(t *testing.T, offset int64) {
	t.Helper()
	r.rec.until(t, fmt.Sprint("offset ", offset), func() bool { return r.rec.last >= offset })
}

func (r *running) close(t *testing.T) {
	t.Helper()
	r.g.Stop()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func newFS(t *testing.T) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	if err := m.MkdirAll("/data"); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCommitAndRestart(t *testing.T) {
	fsys := newFS(t)
	r := start(t, testConfig(fsys, nil))
	var last int64
	for i := range 20 {
		last = r.topic(t, fmt.Sprint("t", i))
	}
	r.committed(t, last)
	if r.rec.leads != 1 || last != 20 {
		t.Errorf("epoch %d, last offset %d; want 1 and 20", r.rec.leads, last)
	}
	if _, err := r.Propose(7, nil); !errors.Is(err, ErrNotLeader) {
		t.Errorf("proposal of another epoch: %v", err)
	}
	r.close(t)
	r = start(t, testConfig(fsys, nil))
	defer r.close(t)
	if len(r.rec.names) != 20 || r.rec.leads != 2 || r.rec.last != 21 || r.rec.changes != 2 {
		t.Errorf("after restart: %d topics, epoch %d, last %d, %d leader changes", len(r.rec.names), r.rec.leads, r.rec.last, r.rec.changes)
	}
}

// TestPowerLoss cuts the power at random moments; whatever was committed before is there afterwards.
func TestPowerLoss(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for round := range 60 {
		fsys := newFS(t)
		if err := fsys.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		want := 0
		for life := range 4 {
			cfg := testConfig(fsys, nil)
			cfg.SegmentBytes, cfg.SnapshotBytes, cfg.RaftLogBytes, cfg.RetentionBytes = 600, 900, 700, 1500
			r := start(t, cfg)
			for i := range want {
				if r.rec.names[i] != fmt.Sprint("t", i) {
					t.Fatalf("round %d life %d: topic %d is %q", round, life, i, r.rec.names[i])
				}
			}
			want = len(r.rec.names)
			proposed := want
			for range rnd.IntN(30) {
				last := r.topic(t, fmt.Sprint("t", proposed))
				proposed++
				if rnd.IntN(3) == 0 {
					r.committed(t, last)
					want = proposed
				}
			}
			fsys.PowerOff()
			r.g.Stop()
			fsys = fsys.Crash(rnd)
		}
	}
}

func TestDamageIsRefused(t *testing.T) {
	fsys := newFS(t)
	r := start(t, testConfig(fsys, nil))
	for i := range 5 {
		r.committed(t, r.topic(t, fmt.Sprint("t", i)))
	}
	r.close(t)
	names, err := raftLogFiles(fsys, filepath.Join("/data", LogDirName, RaftDirName))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	f, err := fsys.Open(filepath.Join("/data", LogDirName, RaftDirName, names[0]), vfs.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, 200); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testConfig(fsys, newRecorder())); !errors.Is(err, ErrDamaged) {
		t.Errorf("a bad group before good ones: %v", err)
	}
}

// TestSnapshotsAndRetention: snapshots are taken by size, old ones and their segments go, and a start needs no more than
// the newest snapshot and what follows.
func TestSnapshotsAndRetention(t *testing.T) {
	fsys := newFS(t)
	cfg := testConfig(fsys, nil)
	cfg.SegmentBytes, cfg.SnapshotBytes, cfg.RetentionBytes, cfg.RaftLogBytes = 1000, 3000, 4000, 2000
	r := start(t, cfg)
	for i := range 400 {
		r.committed(t, r.topic(t, fmt.Sprint("t", i)))
	}
	r.close(t) // waits for a snapshot that is being written
	rec := newRecorder()
	cfg.Listener = rec
	q, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if len(rec.names) != 400 || rec.names[399] != "t399" {
		t.Errorf("%d topics after a start from a snapshot", len(rec.names))
	}
	if q.Status().LogStart == 0 {
		t.Error("the log still begins at 0")
	}
	infos, err := fsys.List(filepath.Join("/data", LogDirName))
	if err != nil {
		t.Fatal(err)
	}
	var snapshots []SnapshotID
	var kept int64
	for _, i := range infos {
		if id, ok := ParseSnapshotName(i.Name); ok {
			snapshots = append(snapshots, id)
		} else if filepath.Ext(i.Name) == ".log" {
			info, err := fsys.Stat(filepath.Join("/data", LogDirName, i.Name))
			if err != nil {
				t.Fatal(err)
			}
			kept += info.Size
		}
	}
	// More than the limit may only stay as far as the newest snapshot needs it.
	if len(snapshots) == 0 || kept > cfg.RetentionBytes && len(snapshots) > 1 {
		t.Errorf("snapshots %v and %d bytes of log are left", snapshots, kept)
	}
}

// TestSnapshotByTime: with the interval over, the next commit brings a snapshot.
func TestSnapshotByTime(t *testing.T) {
	fsys := newFS(t)
	now := time.Now()
	var mu sync.Mutex
	cfg := testConfig(fsys, nil)
	cfg.SnapshotInterval = time.Hour
	cfg.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	r := start(t, cfg)
	r.committed(t, r.topic(t, "a"))
	mu.Lock()
	now = now.Add(2 * time.Hour)
	mu.Unlock()
	r.committed(t, r.topic(t, "b"))
	dir := filepath.Join("/data", LogDirName)
	// Whether a snapshot is due is looked at after the commit is told.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		files, err := fsys.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(files, func(f vfs.Info) bool { return strings.HasSuffix(f.Name, ".checkpoint") }) {
			break
		}
	}
	r.close(t) // waits for the snapshot's goroutine
	s, err := openSnapshots(fsys, dir)
	// The clock may be seen to have moved just after the first topic was applied, or with the second.
	if err != nil || len(s.have) != 1 || s.have[0].EndOffset < 2 {
		t.Errorf("snapshots %v, %v", s.have, err)
	}
}

// TestFullDisk: a commit waits while the disk is full and goes on when there is space; nothing is lost or refused.
func TestFullDisk(t *testing.T) {
	for space := int64(1); space < 600; space += 37 { // it runs out in Raft's log, in the metadata log, in small files
		fsys := newFS(t)
		cfg := testConfig(fsys, nil)
		cfg.RaftLogBytes, cfg.SegmentBytes = 400, 300
		r := start(t, cfg)
		fsys.SetCapacity(fsys.Used() + space)
		var last int64
		for i := range 5 {
			last = r.topic(t, fmt.Sprint("late", i))
		}
		time.AfterFunc(2*time.Millisecond, func() { fsys.SetCapacity(0) })
		r.committed(t, last)
		r.close(t)
		r = start(t, cfg)
		if len(r.rec.names) != 5 {
			t.Errorf("%d bytes of space: topics %v", space, r.rec.names)
		}
		r.close(t)
	}
}

// TestContinuedByAnother: batches of a higher epoch that Raft's log knows nothing of are taken over; batches of an epoch
// that it knows mean that its tail is lost, and that is refused.
func TestContinuedByAnother(t *testing.T) {
	for _, c := range []struct {
		epoch int32
		ok    bool
	}{{2, true}, {1, false}} {
		fsys := newFS(t)
		r := start(t, testConfig(fsys, nil))
		r.committed(t, r.topic(t, "ours"))
		r.close(t)
		var b record.Builder
		b.Reset(record.Compression{}, 2)
		b.SetLeaderEpoch(c.epoch)
		b.Append(1, nil, mr.V0(&mr.TopicRecord{Name: "theirs"}).AppendFrame(nil))
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Open(filepath.Join("/data", LogDirName, metaSegmentName(0)), vfs.ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := f.Size()
		if _, err := f.WriteAt(batch, size); err != nil {
			t.Fatal(err)
		}
		if !c.ok {
			if _, err := Open(testConfig(fsys, newRecorder())); !errors.Is(err, ErrDamaged) {
				t.Errorf("a lost tail of Raft's log: %v", err)
			}
			continue
		}
		r = start(t, testConfig(fsys, nil))
		if len(r.rec.names) != 2 || r.rec.leads != 3 {
			t.Errorf("taken over: topics %v, epoch %d", r.rec.names, r.rec.leads)
		}
		r.close(t)
	}
}

// TestForeignLogIsNotTouched: a metadata log without Raft's log is refused until it is imported.
func TestForeignLogIsNotTouched(t *testing.T) {
	fsys := newFS(t)
	r := start(t, testConfig(fsys, nil))
	r.committed(t, r.topic(t, "a"))
	r.close(t)
	if err := fsys.RemoveAll(filepath.Join("/data", LogDirName, RaftDirName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testConfig(fsys, newRecorder())); !errors.Is(err, ErrNotInitialized) {
		t.Errorf("opened without Raft's log: %v", err)
	}
	if _, err := Initialize(fsys, "/data", 1, [16]byte{1, 2, 3}, false, InitialState{Epoch: 7, NextOffset: 2}); err != nil {
		t.Fatal(err)
	}
	r = start(t, testConfig(fsys, nil))
	defer r.close(t)
	if r.rec.leads != 8 || len(r.rec.names) != 1 {
		t.Errorf("epoch %d, topics %v", r.rec.leads, r.rec.names)
	}
}

// TestTornMetadataLogComesBack: what a power cut took from the lazily synced metadata log is written again from Raft's.
func TestTornMetadataLogComesBack(t *testing.T) {
	fsys := newFS(t)
	r := start(t, testConfig(fsys, nil))
	for i := range 10 {
		r.committed(t, r.topic(t, fmt.Sprint("t", i)))
	}
	r.close(t)
	name := filepath.Join("/data", LogDirName, metaSegmentName(0))
	whole, err := vfs.ReadFile(fsys, name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Open(name, vfs.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(len(whole) - 100)); err != nil {
		t.Fatal(err)
	}
	r = start(t, testConfig(fsys, nil))
	defer r.close(t)
	if len(r.rec.names) != 10 {
		t.Errorf("%d topics", len(r.rec.names))
	}
	again, err := vfs.ReadFile(fsys, name, 1<<20)
	if err != nil || string(again[:len(whole)]) != string(whole) {
		t.Errorf("the log is not byte for byte what it was (%v)", err)
	}
}

func FuzzScanRaftLog(f *testing.F) {
	fsys := vfs.NewMem()
	if err := fsys.MkdirAll("/data"); err != nil {
		f.Fatal(err)
	}
	if _, err := Initialize(fsys, "/data", 1, [16]byte{1}, false, InitialState{Epoch: 3, NextOffset: 9}); err != nil {
		f.Fatal(err)
	}
	b, err := vfs.ReadFile(fsys, filepath.Join("/data", LogDirName, RaftDirName, raftLogName(1)), 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _, _ = (&raftLog{}).scan(b)
	})
}
