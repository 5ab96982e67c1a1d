package replica

import (
	"log/slog"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// kit is a manager of replicas on a file system in memory.
type kit struct {
	*Manager
	topic wire.TopicID
}

func newKit(t *testing.T, change func(*log.ManagerConfig)) *kit {
	t.Helper()
	var m *Manager
	mc := log.ManagerConfig{
		FS: vfs.NewMem(), Dirs: []string{"/data"}, NodeID: 1, ClusterID: "cluster", Logger: slog.New(slog.DiscardHandler),
		OnFlushed: func(l *log.Log) { m.OnFlushed(l) },
	}
	if err := mc.FS.MkdirAll("/data"); err != nil {
		t.Fatal(err)
	}
	if err := log.WriteMetaProperties(mc.FS, "/data", log.MetaProperties{ClusterID: "cluster", NodeID: 1, DirectoryID: [16]byte{9}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&mc)
	}
	logs, err := log.OpenManager(mc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = logs.Abandon() }) // nothing is left of a file system in memory
	if err := logs.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	g := lifecycle.New("log", mc.Logger)
	t.Cleanup(g.Stop)
	logs.Start(g)
	m = New(Config{NodeID: 1, Logs: logs, Logger: mc.Logger, Metrics: telemetry.New(telemetry.Options{})})
	return &kit{Manager: m, topic: wire.TopicID{1}}
}

// lead makes the broker the leader of partition 0 of topic t in the epoch.
func (k *kit) lead(t *testing.T, epoch int32) *Replica {
	t.Helper()
	c := Change{Topic: "t", TopicID: k.topic, MinInSync: 1, Role: partition.Role{
		Self: 1, Leader: 1, LeaderEpoch: epoch, PartitionEpoch: epoch, Replicas: []int32{1}, ISR: []int32{1},
	}}
	if _, _, err := k.Apply(c); err != nil {
		t.Fatal(err)
	}
	r, _, code := k.Find("t", k.topic, 0, true)
	if code != wire.None {
		t.Fatal(code)
	}
	return r
}

func batch(t *testing.T, values ...string) []byte {
	t.Helper()
	var b record.Builder
	for _, v := range values {
		b.Append(1700000000000, nil, []byte(v))
	}
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
