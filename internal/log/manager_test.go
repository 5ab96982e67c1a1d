package log

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// managed is a node's log directories for one test.
type managed struct {
	t     testing.TB
	fsys  vfs.FS
	clock *fakeClock
	cfg   Config
	mc    ManagerConfig
	m     *Manager
}

func newManaged(t testing.TB, fsys vfs.FS, dirs ...string) *managed {
	x := &managed{t: t, fsys: fsys, clock: newClock(), cfg: DefaultConfig()}
	for i, d := range dirs {
		formatDir(t, fsys, d, byte(i))
	}
	x.mc = ManagerConfig{FS: fsys, Dirs: dirs, NodeID: 1, Logger: quiet, Now: x.clock.Now, TopicConfig: func(string) Config { return x.cfg }}
	x.open()
	return x
}

func (x *managed) open() {
	x.t.Helper()
	m, err := OpenManager(x.mc)
	must.NoError(x.t, err)
	must.NoError(x.t, m.Load(context.Background()))
	x.m = m
}

func (x *managed) log(topic string, dir byte) *Log {
	x.t.Helper()
	l, err := x.m.Open(TopicPartition{topic, 0}, TopicID{1, topic[0]}, [16]byte{9, dir})
	must.NoError(x.t, err)
	if !l.role.leader.Load() {
		_, err = l.BecomeLeader(max(l.LatestEpoch(), 0))
		must.NoError(x.t, err)
	}
	return l
}

func TestCleanStop(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a", "/b")
	for i := range 4 {
		l := x.log(string(rune('p'+i)), byte(i%2))
		appendValues(t, l, "one", "two")
		l.SetHighWatermark(2)
	}
	must.NoError(t, x.m.Close(823))
	for _, d := range []string{"/a", "/b"} {
		p, err := vfs.ReadFile(mem, d+"/.kafka_cleanshutdown", 100)
		must.NoError(t, err)
		must.Equal(t, `{"version":0,"brokerEpoch":823}`, string(p))
		_, err = mem.Stat(d + "/.lock")
		must.True(t, vfs.IsNotExist(err), "the lock file is gone")
	}
	p, err := vfs.ReadFile(mem, "/a/recovery-point-offset-checkpoint", 100)
	must.NoError(t, err)
	must.Equal(t, "0\n2\np 0 2\nr 0 2\n", string(p))
	p, err = vfs.ReadFile(mem, "/a/replication-offset-checkpoint", 100)
	must.NoError(t, err)
	must.Equal(t, "0\n2\np 0 2\nr 0 2\n", string(p))

	// The next start opens no file of any partition.
	var touched []string
	x.mc.FS = vfs.Inject(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpOpen && strings.Contains(op.Name, "-0/") {
			touched = append(touched, op.Name)
		}
		return nil
	})
	x.open()
	must.Equal(t, int64(823), x.m.PreviousBrokerEpoch())
	must.Equal(t, 0, len(touched), touched)
	must.Equal(t, 4, len(x.m.All()))
	l := x.m.Get(TopicPartition{"q", 0})
	must.Equal(t, int64(2), l.HighWatermark())
	must.Equal(t, TopicID{1, 'q'}, l.TopicID())
	must.Equal(t, []string{"one", "two"}, values(readAll(t, l, BoundHighWatermark, 1000)))
	_, err = mem.Stat("/a/.kafka_cleanshutdown")
	must.True(t, vfs.IsNotExist(err), "a start takes the mark away")
	// Stopping again at once writes nothing into the partitions.
	touched = nil
	must.NoError(t, x.m.Close(824))
	for _, name := range touched {
		must.True(t, strings.HasSuffix(name, ".log"), name)
	}
}

func TestSidecarIsNotBelievedAfterAChange(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a")
	l := x.log("p", 0)
	appendValues(t, l, "one", "two")
	must.NoError(t, x.m.Close(1))
	// Somebody else took the directory in between and left it cleanly with another end.
	single, err := OpenSingle(mem, "/a/p-0", TopicPartition{"p", 0}, x.cfg, SingleOptions{Logger: quiet, Now: func() time.Time { return x.clock.now.Add(time.Second) }})
	must.NoError(t, err)
	_, err = single.BecomeLeader(1)
	must.NoError(t, err)
	appendValues(t, single, "three")
	must.NoError(t, single.Close())
	x.open()
	must.Equal(t, int64(3), x.m.Get(TopicPartition{"p", 0}).LogEndOffset())
}

func TestStartIsRefused(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a")
	_, err := OpenManager(x.mc)
	must.True(t, err != nil && strings.Contains(err.Error(), "in use"), err)
	must.NoError(t, x.m.Abandon())
	other := x.mc
	other.NodeID = 2
	_, err = OpenManager(other)
	must.True(t, err != nil && strings.Contains(err.Error(), "belongs to node 1"), err)
	other = x.mc
	other.Dirs = []string{"/a", "/new"}
	_, err = OpenManager(other)
	must.True(t, err != nil && strings.Contains(err.Error(), "not formatted"), err)
	formatDir(t, mem, "/twin", 0)
	other.Dirs = []string{"/a", "/twin"}
	_, err = OpenManager(other)
	must.True(t, err != nil && strings.Contains(err.Error(), "same directory.id"), err)
	x.open()
}

func TestOldFormatIsRefusedByName(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a")
	must.NoError(t, x.m.Abandon())
	must.NoError(t, mem.MkdirAll("/a/old-0"))
	p := make([]byte, 40)
	p[11], p[16], p[12] = 28, 1, 7
	must.NoError(t, writeAt(mem, "/a/old-0/00000000000000000000.log", p, 0, false))
	m, err := OpenManager(x.mc)
	must.NoError(t, err)
	err = m.Load(context.Background())
	must.True(t, err != nil && strings.Contains(err.Error(), "/a/old-0/00000000000000000000.log has message format 1"), err)
}

func TestFullDisk(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a")
	x.cfg.SegmentBytes = 1000
	l := x.log("p", 0)
	big := strings.Repeat("x", 200)
	for range 20 {
		appendValues(t, l, big)
	}
	mem.SetCapacity(mem.Used() + 300)
	var err error
	n := 0
	for ; err == nil; n++ {
		must.True(t, n < 10, "the disk is never full")
		_, err = l.AppendAsLeader(producedBatch(t, l.env.nowMs(), big), 0, AppendOptions{})
	}
	must.ErrorIs(t, err, wire.KafkaStorageError)
	end := l.LogEndOffset()
	must.Equal(t, int(end), len(readAll(t, l, BoundLogEnd, 1000)))
	must.NoError(t, x.m.dirs[0].offline(), "a full disk is not a broken one")
	// DeleteRecords and retention go on and make room, and appends work again without a restart.
	l.SetHighWatermark(end)
	_, err = l.DeleteRecordsTo(15)
	must.NoError(t, err)
	x.m.sweepOnce(x.m.dirs[0], l.env.nowMs())
	appendValues(t, l, big)
	must.Equal(t, end+1, l.LogEndOffset())
	must.Equal(t, int(end+1-15), len(readAll(t, l, BoundLogEnd, 1000)))
}

func TestOneDirectoryFails(t *testing.T) {
	mem := vfs.NewMem()
	var broken atomic.Bool
	fsys := vfs.Inject(mem, func(op vfs.Op) error {
		if broken.Load() && strings.HasPrefix(op.Name, "/b") && (op.Kind == vfs.OpSync || op.Kind == vfs.OpWrite || op.Kind == vfs.OpRead) {
			return syscall.EIO
		}
		return nil
	})
	x := newManaged(t, fsys, "/a", "/b")
	must.NoError(t, x.m.Close(1))
	told := make(chan DirState, 1)
	x.mc.OnDirFailure = func(st DirState, err error) { told <- st }
	x.open()
	g := lifecycle.New("test", quiet)
	x.m.Start(g)
	defer g.Stop()
	good, bad := x.log("good", 0), x.log("sick", 1)
	appendValues(t, good, "1")
	appendValues(t, bad, "1")
	broken.Store(true)
	must.ErrorIs(t, bad.Sync(context.Background(), 1), wire.KafkaStorageError)
	st := <-told
	must.Equal(t, "/b", st.Path)
	broken.Store(false)
	// Never again, even if the disk seems to be well.
	_, err := bad.AppendAsLeader(producedBatch(t, 0, "2"), 0, AppendOptions{})
	must.ErrorIs(t, err, wire.KafkaStorageError)
	_, err = bad.Read(0, 100, true, BoundLogEnd)
	must.ErrorIs(t, err, wire.KafkaStorageError)
	_, err = x.m.Open(TopicPartition{"new", 0}, TopicID{3}, [16]byte{9, 1})
	must.ErrorIs(t, err, wire.KafkaStorageError)
	appendValues(t, good, "2")
	l, err := x.m.Open(TopicPartition{"new", 0}, TopicID{3}, [16]byte{})
	must.NoError(t, err)
	must.Equal(t, "/a", l.Dir().Path)
	must.True(t, x.m.Dirs()[0].Online && !x.m.Dirs()[1].Online)
	must.NoError(t, good.Sync(context.Background(), 2))
}

// Logs that are made at the same time spread over the directories like logs made one after the other; one that could not
// be made counts for nothing.
func TestLogsMadeSideBySideSpread(t *testing.T) {
	var waiting atomic.Int32
	both := make(chan struct{})
	var full atomic.Bool
	fsys := vfs.Inject(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind != vfs.OpMkdir || !strings.Contains(op.Name, "/t-") {
			return nil
		}
		if full.Load() {
			return syscall.ENOSPC
		}
		if waiting.Add(1) == 2 {
			close(both)
		}
		<-both
		return nil
	})
	x := newManaged(t, fsys, "/a", "/b")
	var wg sync.WaitGroup
	var made [2]*Log
	for p := range made {
		wg.Go(func() {
			var err error
			made[p], err = x.m.Open(TopicPartition{"t", int32(p)}, TopicID{1}, [16]byte{})
			must.NoError(t, err)
		})
	}
	wg.Wait()
	must.True(t, made[0].Dir().Path != made[1].Dir().Path)
	full.Store(true)
	_, err := x.m.Open(TopicPartition{"t", 2}, TopicID{1}, [16]byte{})
	must.ErrorIs(t, err, syscall.ENOSPC)
	for _, d := range x.m.dirs {
		must.Equal(t, int64(1), d.logs.Load())
	}
}

func TestDeleteAndMakeAnew(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a")
	l := x.log("p", 0)
	for range 50 {
		appendValues(t, l, "old")
	}
	l.SetHighWatermark(50)
	must.NoError(t, l.flush())
	x.m.checkpoint(x.m.dirs[0], recoveryPointFile, highWatermarkFile)
	_, err := x.m.Open(TopicPartition{"p", 0}, TopicID{77}, [16]byte{})
	must.ErrorIs(t, err, wire.InconsistentTopicId)
	got, err := l.Read(0, 10_000, true, BoundLogEnd)
	must.NoError(t, err)
	must.NoError(t, x.m.Delete(TopicPartition{"p", 0}))
	_, err = l.AppendAsLeader(producedBatch(t, 0, "late"), 0, AppendOptions{})
	must.ErrorIs(t, err, wire.NotLeaderOrFollower)
	// Who was reading goes on reading.
	buf := make([]byte, got.Range.Len)
	_, err = got.Range.ReadAt(buf, 0)
	must.NoError(t, err)
	got.Range.Release()

	l, err = x.m.Open(TopicPartition{"p", 0}, TopicID{78}, [16]byte{})
	must.NoError(t, err)
	must.Equal(t, int64(0), l.LogEndOffset())
	p, err := vfs.ReadFile(mem, "/a/recovery-point-offset-checkpoint", 100)
	must.NoError(t, err)
	must.Equal(t, "0\n0\n", string(p), "the old recovery point must not be taken for the new log's")
	x.clock.now = x.clock.now.Add(61 * time.Second)
	x.m.sweepOnce(x.m.dirs[0], x.clock.now.UnixMilli())
	ents, err := mem.List("/a")
	must.NoError(t, err)
	for _, e := range ents {
		must.True(t, !strings.HasSuffix(e.Name, "-delete"), e.Name)
	}
}

func TestStraysAreSetAsideUnlessTheyAreMost(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a")
	for _, name := range []string{"p", "q", "r"} {
		appendValues(t, x.log(name, 0), name)
	}
	_, err := x.m.SetAsideStrays(func(tp TopicPartition, _ TopicID) bool { return tp.Topic != "p" })
	must.True(t, err != nil && len(x.m.All()) == 3, err)
	out, err := x.m.SetAsideStrays(func(tp TopicPartition, id TopicID) bool { return id == TopicID{1, 'q'} })
	must.NoError(t, err)
	must.Equal(t, []TopicPartition{{"q", 0}}, out)
	must.NoError(t, x.m.Close(1))
	x.open()
	must.Equal(t, 2, len(x.m.All()))
	ents, err := mem.List("/a")
	must.NoError(t, err)
	n := 0
	for _, e := range ents {
		if tp, suffix, ok := parseDirName(e.Name); ok && suffix == strayDirSuffix && tp.Topic == "q" {
			n++
		}
	}
	must.Equal(t, 1, n)
}

func TestMoveBetweenDirectories(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a", "/b")
	must.NoError(t, x.m.Abandon())
	var mu sync.Mutex
	var current *Log
	swapped := make(chan struct{})
	x.mc.OnSwapped = func(old, now *Log) {
		mu.Lock()
		current = now
		mu.Unlock()
		close(swapped)
	}
	x.cfg.SegmentBytes = 1000
	x.open()
	g := lifecycle.New("test", quiet)
	x.m.Start(g)
	defer g.Stop()
	l := x.log("p", 0)
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprint("v", i))
		appendValues(t, l, want[i])
	}
	l.SetHighWatermark(100)
	_, err := l.DeleteRecordsTo(10)
	must.NoError(t, err)
	must.ErrorIs(t, x.m.MoveTo(TopicPartition{"none", 0}, [16]byte{9, 1}), wire.ReplicaNotAvailable)
	must.ErrorIs(t, x.m.MoveTo(l.tp, [16]byte{1}), wire.LogDirNotFound)
	must.NoError(t, x.m.MoveTo(l.tp, [16]byte{9, 1}))
	<-swapped
	mu.Lock()
	defer mu.Unlock()
	must.True(t, x.m.Get(l.tp) == current && x.m.Future(l.tp) == nil)
	must.Equal(t, "/b/p-0", current.Path())
	must.Equal(t, want[10:], values(readAll(t, current, BoundHighWatermark, 500)))
	_, err = l.AppendAsLeader(producedBatch(t, 0, "x"), 0, AppendOptions{})
	must.ErrorIs(t, err, wire.NotLeaderOrFollower)
	appendValues(t, current, "more")
	must.Equal(t, l.Epochs(), current.Epochs())
	must.Equal(t, TopicID{1, 'p'}, current.TopicID())
}

// A move that is held back is seen to be under way, goes on at once when it may go faster, and ends when it is called off.
func TestMoveRateChangesUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newManaged(t, vfs.NewMem(), "/a", "/b")
		must.NoError(t, x.m.Abandon())
		swapped := make(chan struct{}, 1)
		x.mc.OnSwapped = func(*Log, *Log) { swapped <- struct{}{} }
		x.open()
		g := lifecycle.New("test", quiet)
		x.m.Start(g)
		defer g.Stop()
		l := x.log("p", 0)
		for range 50 {
			appendValues(t, l, "v")
		}
		x.m.SetMoveRate(10)
		must.NoError(t, x.m.MoveTo(l.tp, [16]byte{9, 1}))
		synctest.Wait()
		time.Sleep(30 * time.Second) // virtual time: a few batches are copied
		f := x.m.Futures()
		must.True(t, len(f) == 1 && f[0].IsFuture() && f[0].LogEndOffset() > 0 && f[0].LogEndOffset() < 50, f)
		must.NoError(t, x.m.MoveTo(l.tp, [16]byte{9})) // back to where it is
		synctest.Wait()
		must.Equal(t, 0, len(x.m.Futures()))
		must.NoError(t, x.m.MoveTo(l.tp, [16]byte{9, 1}))
		time.Sleep(time.Minute)
		must.Equal(t, 1, len(x.m.Futures()))
		began := time.Now()
		x.m.SetMoveRate(0)
		<-swapped
		must.True(t, time.Since(began) < time.Second, time.Since(began))
	})
}

func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		var syncs atomic.Int64
		slow := vfs.Inject(mem, func(op vfs.Op) error {
			if op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, ".log") {
				syncs.Add(1)
				time.Sleep(10 * time.Second) // the disk takes its time; virtual time must go on
			}
			return nil
		})
		x := newManaged(t, slow, "/a")
		must.NoError(t, x.m.Abandon())
		flushed := make(chan *Log, 100)
		x.mc.Durability, x.mc.OnFlushed, x.mc.Now = DurabilityFsync, func(l *Log) { flushed <- l }, time.Now
		x.open()
		g := lifecycle.New("test", quiet)
		x.m.Start(g)
		l := x.log("p", 0)
		must.True(t, l.SyncsBeforeAck())
		appendValues(t, l, "first")
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				info, err := l.AppendAsLeader(producedBatch(t, time.Now().UnixMilli(), "x"), 0, AppendOptions{})
				must.NoError(t, err)
				must.NoError(t, l.Sync(context.Background(), info.LastOffset+1))
				must.True(t, l.FlushedOffset() > info.LastOffset)
			})
		}
		wg.Wait()
		must.True(t, syncs.Load() <= 3, "20 appends share the rounds:", syncs.Load())
		must.True(t, <-flushed == l)
		g.Stop()
	})
}

func TestNoFileIsOpenForIdlePartitions(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a")
	must.NoError(t, x.m.Abandon())
	x.mc.MaxOpenFiles = 10
	x.open()
	for i := range 100 {
		l := x.log(fmt.Sprint("t", i), 0)
		appendValues(t, l, "a")
	}
	must.True(t, x.m.env.files.open() <= 10, x.m.env.files.open())
	for _, l := range x.m.All() {
		must.Equal(t, 1, len(readAll(t, l, BoundLogEnd, 100)))
		appendValues(t, l, "b")
		must.Equal(t, 2, len(readAll(t, l, BoundLogEnd, 1000)))
	}
	must.True(t, x.m.env.files.open() <= 10)
}

func TestDirNames(t *testing.T) {
	long := strings.Repeat("t", 249)
	for _, tp := range []TopicPartition{{"a", 0}, {"a-b.c", 17}, {long, 12345}} {
		got, suffix, ok := parseDirName(tp.String())
		must.True(t, ok && suffix == "" && got == tp)
		name := uniqueDirName(tp, deleteDirSuffix)
		must.True(t, len(name) <= 255)
		got, suffix, ok = parseDirName(name)
		must.True(t, ok && suffix == deleteDirSuffix && got.Partition == tp.Partition && strings.HasPrefix(tp.Topic, got.Topic))
	}
	for _, bad := range []string{"", "a", "-1", "a-", "a-x", "a-01", "lost+found", "weir"} {
		_, _, ok := parseDirName(bad)
		must.True(t, !ok, bad)
	}
}
