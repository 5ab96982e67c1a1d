package log

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/weir-stream/weir/internal/vfs"
)

// running is a broker's log directories in a run that was registered with epoch 20, with records that are not synced.
func running(t *testing.T, fsys vfs.FS, dirs ...string) *managed {
	x := newManaged(t, fsys, dirs...)
	must.Equal(t, int64(-1), x.m.PreviousBrokerEpoch())
	x.m.BeginRun(20)
	for i := range dirs {
		appendValues(t, x.log(fmt.Sprint("t", i), byte(i)), "one")
		appendValues(t, x.log(fmt.Sprint("t", i), byte(i)), "two")
	}
	return x
}

// again starts the next process on the directories and says what it takes the run before for.
func (x *managed) again() int64 {
	x.t.Helper()
	_ = x.m.Abandon() // of a disk that failed it is no use
	x.open()
	return x.m.PreviousBrokerEpoch()
}

func (x *managed) marks(want bool) {
	x.t.Helper()
	for _, d := range x.mc.Dirs {
		_, err := x.fsys.Stat(d + "/" + runFile)
		must.Equal(x.t, want, !vfs.IsNotExist(err), d)
	}
}

func TestKilledRunHasLostNothing(t *testing.T) {
	x := running(t, vfs.NewMem(), "/a", "/b")
	must.Equal(t, int64(20), x.again())
	must.Equal(t, int64(20), x.again()) // it was killed before it was registered
	for i := range 2 {
		must.Equal(t, []string{"one", "two"}, values(readAll(t, x.log(fmt.Sprint("t", i), byte(i)), BoundLogEnd, 1000)))
	}
	x.m.BeginRun(30)
	must.Equal(t, int64(30), x.again())
	must.NoError(t, x.m.Close(30))
	x.marks(false)
	must.Equal(t, int64(30), x.again()) // the stop was clean
	x.marks(true)
	must.Equal(t, int64(30), x.again()) // and this start was killed
	must.NoError(t, x.m.Close(-1))
	must.Equal(t, int64(-1), x.again())
	x.marks(false)
}

func TestPowerCutIsNoKill(t *testing.T) {
	for seed := range uint64(40) {
		mem := vfs.NewMem()
		x := running(t, mem, "/a", "/b")
		must.NoError(t, x.m.Abandon())
		for _, d := range []string{"/a", "/b"} { // even where the mark itself was synced
			must.NoError(t, syncFile(mem, d+"/"+runFile))
			must.NoError(t, mem.SyncDir(d))
		}
		x.mc.FS = mem.Crash(rand.New(rand.NewPCG(seed, 1)))
		must.Equal(t, int64(-1), x.again())
		must.Equal(t, int64(-1), x.again())
	}
}

// TestFailedDirectoryEndsTheRun: what a disk has not taken may be gone from the page cache too, in whatever call the fault
// came up, and even if nothing can be done about the failed directory's own mark.
func TestFailedDirectoryEndsTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		fails func(vfs.Op) bool
		act   func(*managed)
		dirs  []string
	}{
		"sync": {func(op vfs.Op) bool { return op.Kind == vfs.OpSync }, func(x *managed) { _ = x.log("t0", 0).flush() }, []string{"/a", "/b"}},
		"write": {func(op vfs.Op) bool { return op.Kind == vfs.OpWrite }, func(x *managed) {
			_, _ = x.log("t0", 0).AppendAsLeader(producedBatch(x.t, 1, "lost"), 0, AppendOptions{})
		}, []string{"/a", "/b"}},
		"all":     {func(vfs.Op) bool { return true }, func(x *managed) { _ = x.m.Get(TopicPartition{"t0", 0}).flush() }, []string{"/a", "/b"}},
		"only":    {func(op vfs.Op) bool { return op.Kind == vfs.OpSync }, func(x *managed) { _ = x.log("t0", 0).flush() }, []string{"/a"}},
		"stop":    {func(op vfs.Op) bool { return op.Kind == vfs.OpSync }, func(x *managed) { _ = x.m.Close(20) }, []string{"/a"}},
		"offline": {func(vfs.Op) bool { return false }, func(x *managed) { x.log("t0", 0).GiveUpDirectory(syscall.ENOSPC) }, []string{"/a", "/b"}},
	} {
		t.Run(name, func(t *testing.T) {
			var failing atomic.Bool
			mem := vfs.NewMem()
			x := running(t, vfs.Inject(mem, func(op vfs.Op) error {
				if failing.Load() && strings.HasPrefix(op.Name, "/a") && c.fails(op) {
					return syscall.EIO
				}
				return nil
			}), c.dirs...)
			failing.Store(true)
			c.act(x)
			must.True(t, x.m.dirs[0].offline() != nil, "the directory has not failed")
			x.m.BeginRun(25) // nor can it go on as a run that keeps everything
			failing.Store(false)
			must.Equal(t, int64(-1), x.again())
			x.marks(false)
		})
	}
}

func TestOtherDirectoriesAreNotThoseOfTheRun(t *testing.T) {
	mem := vfs.NewMem()
	x := running(t, mem, "/a", "/b")
	x.mc.Dirs = []string{"/a"}
	must.Equal(t, int64(-1), x.again())

	x = running(t, vfs.NewMem(), "/a")
	formatDir(t, x.fsys, "/new", 7)
	x.mc.Dirs = []string{"/a", "/new"}
	must.Equal(t, int64(-1), x.again())

	// A copy, as of a backup, stands in the place of one.
	mem = vfs.NewMem()
	x = running(t, mem, "/a", "/b")
	must.NoError(t, x.m.Abandon())
	must.NoError(t, mem.Rename("/b", "/was"))
	must.NoError(t, mem.MkdirAll("/b"))
	names, err := mem.List("/was")
	must.NoError(t, err)
	for _, n := range names {
		if n.IsDir {
			continue
		}
		p, err := vfs.ReadFile(mem, "/was/"+n.Name, 1<<20)
		must.NoError(t, err)
		must.NoError(t, writeAt(mem, "/b/"+n.Name, p, 0, false))
	}
	must.Equal(t, int64(-1), x.again())
}

// TestDamageIsNoKill: a process that dies leaves whole batches and perhaps the beginning of one. What else is found means
// that a disk has lost something, and the next process knows it too.
func TestDamageIsNoKill(t *testing.T) {
	const file = "/a/t0-0/00000000000000000000.log"
	size := func(fsys vfs.FS) int64 {
		st, err := fsys.Stat(file)
		must.NoError(t, err)
		return st.Size
	}
	for name, c := range map[string]struct {
		damage func(fsys vfs.FS)
		want   int64
	}{
		"none":               {func(vfs.FS) {}, 20},
		"the end of a batch": {func(fsys vfs.FS) { must.NoError(t, truncateFile(fsys, file, size(fsys)-1)) }, 20},
		"most of a batch":    {func(fsys vfs.FS) { must.NoError(t, truncateFile(fsys, file, size(fsys)/2+20)) }, 20},
		"a few bytes":        {func(fsys vfs.FS) { must.NoError(t, truncateFile(fsys, file, size(fsys)/2+5)) }, 20},
		"another byte":       {func(fsys vfs.FS) { must.NoError(t, writeAt(fsys, file, []byte{1}, size(fsys)-1, false)) }, -1},
		"zeros": {func(fsys vfs.FS) {
			must.NoError(t, writeAt(fsys, file, make([]byte, size(fsys)/2), size(fsys)/2, false))
		}, -1},
		"zeros in between": {func(fsys vfs.FS) { must.NoError(t, writeAt(fsys, file, make([]byte, size(fsys)/2), 0, false)) }, -1},
		"no end":           {func(fsys vfs.FS) { must.NoError(t, truncateFile(fsys, file, 0)) }, -1}, // the high watermark was there
		"leader epochs":    {func(fsys vfs.FS) { must.NoError(t, writeAt(fsys, "/a/t0-0/"+leaderEpochFile, []byte("?"), 0, false)) }, -1},
		"a checkpoint":     {func(fsys vfs.FS) { must.NoError(t, writeAt(fsys, "/a/"+highWatermarkFile, []byte("?"), 0, false)) }, -1},
	} {
		t.Run(name, func(t *testing.T) {
			x := running(t, vfs.NewMem(), "/a", "/b")
			x.log("t0", 0).SetHighWatermark(1)
			x.m.checkpoint(x.m.dirs[0], highWatermarkFile)
			must.NoError(t, x.m.Abandon())
			c.damage(x.fsys)
			must.Equal(t, c.want, x.again())
			must.Equal(t, c.want, x.again())
			x.marks(c.want > 0)
		})
	}
}

// forgetful is a file system of which nobody knows what becomes of its page cache.
type forgetful struct{ vfs.FS }

func (forgetful) Memory(string) (vfs.Memory, error) { return vfs.Memory{}, vfs.ErrNoMemory }

func TestUnknownFileSystemIsNotTrusted(t *testing.T) {
	mem := vfs.NewMem()
	x := running(t, forgetful{mem}, "/a")
	x.marks(false)
	must.Equal(t, int64(-1), x.again())
	x.m.BeginRun(20)
	x.marks(false)
	x = running(t, vfs.NewMem(), "/a")
	x.mc.FS = forgetful{x.fsys}
	must.Equal(t, int64(-1), x.again())
}
