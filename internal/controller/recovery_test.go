package controller

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/vfs"
)

// TestOpenMetadataTransactionIsAborted: a controller that finds a metadata transaction open aborts it first, and what it
// did is gone (KIP-868).
func TestOpenMetadataTransactionIsAborted(t *testing.T) {
	k := newCluster(t)
	k.broker(1, -1)
	k.create("before", 1, 1)
	last, err := k.q.Propose(1, []mr.Versioned{mr.V0(&mr.BeginTransactionRecord{}), mr.V0(&mr.TopicRecord{Name: "half", TopicID: [16]byte{5}})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.q.Propose(1, []mr.Versioned{mr.V0(&mr.PartitionRecord{TopicID: [16]byte{5}, Replicas: []int32{1}, ISR: []int32{1}})}); err != nil {
		t.Fatal(err)
	}
	k.stop(false)
	k.start()
	img := k.c.Image()
	if img.Offset() < last || img.TopicByName("half") != nil || img.TopicByName("before") == nil {
		t.Errorf("at offset %d: half %v, before %v", img.Offset(), img.TopicByName("half"), img.TopicByName("before"))
	}
	k.broker(1, -1)
	k.create("half", 1, 1)
}

// TestApacheKafkaReadsOurLog: Apache Kafka's own kafka-dump-log (WEIR_KAFKA_DIST) takes every batch of the log and of a
// snapshot, and names each record.
func TestApacheKafkaReadsOurLog(t *testing.T) {
	dist := os.Getenv("WEIR_KAFKA_DIST")
	if dist == "" {
		t.Skip("WEIR_KAFKA_DIST is not set")
	}
	dir := t.TempDir()
	set := settings(t)
	quiet := slog.New(slog.DiscardHandler)
	c := New(Config{NodeID: 1, DirectoryID: image.UUID{1}, ClusterID: "cluster", Settings: func() *config.Set { return set }, Log: quiet,
		Endpoints: []image.Endpoint{{Name: "CONTROLLER", Host: "127.0.0.1", Port: 9093}}})
	g := lifecycle.New("test", quiet)
	q, err := quorum.Open(quorum.Config{FS: vfs.OS(), Dir: dir, NodeID: 1, DirectoryID: image.UUID{1}, Listener: c, Log: quiet, SnapshotBytes: 2000,
		OnFault: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	c.Start(g, q)
	q.Start(g)
	k := &cluster{t: t, c: c, q: q, epochs: map[int32]int64{}}
	if err := c.WaitActive(k.ctx()); err != nil {
		t.Fatal(err)
	}
	k.broker(1, -1)
	k.create("orders", 20, 1, "min.insync.replicas", "1")
	ask[*kmsg.AlterClientQuotasResponse](k, quotaRequest([]string{"user", "u"}, "producer_byte_rate", 1000, false))
	k.beat(1, true, false)
	k.beat(1, false, false)
	g.Stop()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, quorum.LogDirName)
	logs, _ := filepath.Glob(filepath.Join(folder, "*.log"))
	snapshots, _ := filepath.Glob(filepath.Join(folder, "*.checkpoint"))
	if len(logs) != 1 || len(snapshots) == 0 {
		t.Fatalf("logs %v, snapshots %v", logs, snapshots)
	}
	for _, file := range append(logs, snapshots...) {
		out, err := exec.CommandContext(context.Background(), filepath.Join(dist, "bin", "kafka-dump-log.sh"), "--cluster-metadata-decoder", "--files", file).CombinedOutput()
		text := string(out)
		if err != nil || strings.Contains(text, "isvalid: false") || strings.Contains(text, "Exception") || strings.Contains(text, "Could not") {
			t.Errorf("%s: %v\n%s", filepath.Base(file), err, text)
		}
		for _, want := range []string{"FEATURE_LEVEL_RECORD", "REGISTER_BROKER_RECORD", "TOPIC_RECORD", "PARTITION_RECORD", "CONFIG_RECORD", "REGISTER_CONTROLLER_RECORD"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s has no %s", filepath.Base(file), want)
			}
		}
	}
}
