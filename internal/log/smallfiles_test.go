package log

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weir-stream/weir/internal/vfs"
)

// A clean stop does not wait for the disk for logs that never held a record; what a power cut takes of them is made
// anew, and what is written to them later is as durable as ever.
func TestStopDoesNotSyncEmptyLogs(t *testing.T) {
	for seed := range uint64(20) {
		stopEmpty(t, rand.New(rand.NewPCG(seed, 0)), seed%2 == 0)
	}
}

func stopEmpty(t *testing.T, rng *rand.Rand, cut bool) {
	mem := vfs.NewMem()
	synced := 0
	x := newManaged(t, mem, "/a")
	must.NoError(t, x.m.Abandon())
	x.mc.FS = vfs.Inject(mem, func(op vfs.Op) error {
		if (op.Kind == vfs.OpSync || op.Kind == vfs.OpSyncDir) && strings.Contains(op.Name, "/a/p") {
			synced++
		}
		return nil
	})
	x.open()
	for i := range 5 {
		x.log(fmt.Sprint("p", i), 0)
	}
	must.NoError(t, x.m.Close(1))
	must.Equal(t, 0, synced)
	for _, name := range []string{"leader-epoch-checkpoint", "partition.metadata", segmentName(0) + ".log", segmentName(0) + ".index"} {
		_, err := mem.Stat("/a/p1-0/" + name)
		must.NoError(t, err)
	}
	if cut {
		mem = mem.Crash(rng)
	}
	x.mc.FS = mem
	x.open()
	for i := range 5 {
		l := x.log(fmt.Sprint("p", i), 0)
		must.Equal(t, int64(0), l.LogEndOffset())
		appendValues(t, l, "kept")
		if i == 0 {
			must.NoError(t, l.flush())
		}
	}
	x.mc.FS = mem.Crash(rng)
	x.open()
	l := x.m.Get(TopicPartition{"p0", 0})
	must.True(t, l != nil, "what was flushed is there")
	must.Equal(t, []string{"kept"}, values(readAll(t, l, BoundLogEnd, 1000)))
	must.Equal(t, TopicID{1, 'p'}, l.TopicID())
	must.Equal(t, []EpochEntry{{0, 0}}, l.epochs.entries())
}

// Small files that turn into garbage after a clean stop are named in the log, kept aside and made anew, though nobody
// touched the directory itself.
func TestGarbageAfterACleanStopIsReported(t *testing.T) {
	for _, name := range []string{"leader-epoch-checkpoint", "partition.metadata"} {
		mem := vfs.NewMem()
		x := newManaged(t, mem, "/a")
		l := x.log("p", 0)
		appendValues(t, l, "one", "two")
		must.NoError(t, x.m.Close(1))
		x.clock.now = x.clock.now.Add(1e9)
		mem.SetClock(x.clock.Now)
		f, err := mem.Open("/a/p-0/"+name, vfs.ReadWrite)
		must.NoError(t, err)
		_, err = f.WriteAt([]byte("??"), 0)
		must.NoError(t, err)
		must.NoError(t, f.Close())
		var said bytes.Buffer
		x.mc.Logger = slog.New(slog.NewTextHandler(&said, nil))
		x.open()
		must.True(t, strings.Contains(said.String(), "damaged file is set aside") && strings.Contains(said.String(), name), name, said.String())
		_, err = mem.Stat("/a/p-0/" + name + corruptSuffix)
		must.NoError(t, err)
		l, err = x.m.Open(TopicPartition{"p", 0}, TopicID{1, 'p'}, [16]byte{})
		must.NoError(t, err)
		must.Equal(t, []string{"one", "two"}, values(readAll(t, l, BoundLogEnd, 1000)))
		must.Equal(t, []EpochEntry{{0, 0}}, l.epochs.entries())
		must.Equal(t, TopicID{1, 'p'}, l.TopicID())
	}
}

// A log start beyond the log's end means that the records below it are deleted: the log starts over there and says so,
// after a clean stop too, as in Apache Kafka.
func TestLogStartBeyondTheEnd(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a")
	appendValues(t, x.log("p", 0), "one", "two")
	must.NoError(t, x.m.Close(1))
	must.NoError(t, vfs.WriteFileAtomic(mem, "/a/"+logStartFile, []byte("0\n1\np 0 7\n"), true))
	var said bytes.Buffer
	x.mc.Logger = slog.New(slog.NewTextHandler(&said, nil))
	m, err := OpenManager(x.mc)
	must.NoError(t, err)
	must.NoError(t, m.Load(context.Background()))
	l := m.Get(TopicPartition{"p", 0})
	must.True(t, strings.Contains(said.String(), "log ends below its start offset"), said.String())
	must.Equal(t, int64(7), l.LogStartOffset())
	must.Equal(t, int64(7), l.LogEndOffset())
	must.NoError(t, m.Close(2))
}
