package log

import (
	"context"
	"flag"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/vfs"
)

var manyLogs = flag.Int("logs", 2000, "partitions in TestManyPartitions")

// TestManyPartitions measures what a partition costs: to make, to hold, to stop and to start with again.
func TestManyPartitions(t *testing.T) {
	n := *manyLogs
	if testing.Short() {
		n = 200
	}
	dir := filepath.Join(t.TempDir(), "data")
	fsys := vfs.OS()
	formatDir(t, fsys, dir, 0)
	mc := ManagerConfig{FS: fsys, Dirs: []string{dir}, NodeID: 1, Logger: quiet}
	heap := func() int64 {
		runtime.GC()
		var st runtime.MemStats
		runtime.ReadMemStats(&st)
		return int64(st.HeapAlloc)
	}
	m, err := OpenManager(mc)
	must.NoError(t, err)
	must.NoError(t, m.Load(context.Background()))
	before, start := heap(), time.Now()
	for i := range n {
		l, err := m.Open(TopicPartition{"many", int32(i)}, TopicID{1}, [16]byte{})
		must.NoError(t, err)
		_, err = l.BecomeLeader(0)
		must.NoError(t, err)
	}
	made := time.Since(start)
	held := heap() - before
	must.True(t, m.env.files.open() <= 1024)
	start = time.Now()
	must.NoError(t, m.Close(1))
	stopped := time.Since(start)
	runtime.KeepAlive(m)
	m = nil
	before, start = heap(), time.Now()
	m, err = OpenManager(mc)
	must.NoError(t, err)
	must.NoError(t, m.Load(context.Background()))
	loaded := time.Since(start)
	must.Equal(t, n, len(m.All()))
	must.Equal(t, 0, m.env.files.open(), "a cleanly left log is not opened")
	again := heap() - before
	start = time.Now()
	must.NoError(t, m.Abandon())
	m, err = OpenManager(mc)
	must.NoError(t, err)
	must.NoError(t, m.Load(context.Background()))
	recovered := time.Since(start)
	must.NoError(t, m.Abandon())
	t.Logf("%d partitions: made in %v, %d bytes each; stopped in %v; started in %v, %d bytes each; after a kill in %v",
		n, made, held/int64(n), stopped, loaded, again/int64(n), recovered)
}
