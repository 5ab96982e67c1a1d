package format

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/vfs"
)

const oracleAddr = "127.0.0.1:20320"

// runApacheKafka formats dir, runs one node on it while use is at work, and stops it cleanly.
func runApacheKafka(t *testing.T, dist, dir string, use func(*kadm.Client)) []string {
	t.Helper()
	lines := []string{"process.roles=broker,controller", "node.id=1", "listeners=PLAINTEXT://" + oracleAddr + ",CONTROLLER://127.0.0.1:20321",
		"advertised.listeners=PLAINTEXT://" + oracleAddr + ",CONTROLLER://127.0.0.1:20321", "controller.listener.names=CONTROLLER",
		"controller.quorum.bootstrap.servers=127.0.0.1:20321", "offsets.topic.num.partitions=2", "offsets.topic.replication.factor=1", "log.dirs=" + filepath.Join(dir, "data")}
	file := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "KAFKA_HEAP_OPTS=-Xmx300m", "LOG_DIR="+dir)
	format := exec.Command(filepath.Join(dist, "bin", "kafka-storage.sh"), "format", "--standalone", "-t", clusterID, "-c", file)
	format.Env = env
	if out, err := format.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	kafka := exec.Command(filepath.Join(dist, "bin", "kafka-server-start.sh"), file)
	kafka.Env = env
	if err := kafka.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- kafka.Wait() }()
	cl, err := kgo.NewClient(kgo.SeedBrokers(oracleAddr))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for cl.Ping(ctx) != nil {
		if ctx.Err() != nil {
			t.Fatal("Apache Kafka does not answer")
		}
	}
	use(kadm.NewClient(cl))
	cl.Close()
	if err := kafka.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := <-stopped; err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return lines
}

// TestTakeOverFromApacheKafka (WEIR_KAFKA_DIST) goes on with a directory that a real Apache Kafka left: same topics and
// ids, epochs and offsets continue, its finalized features stay, and the originals are in the backup.
func TestTakeOverFromApacheKafka(t *testing.T) {
	dist := os.Getenv("WEIR_KAFKA_DIST")
	if dist == "" {
		t.Skip("WEIR_KAFKA_DIST is not set")
	}
	dir := t.TempDir()
	var id kadm.TopicID
	lines := runApacheKafka(t, dist, dir, func(adm *kadm.Client) {
		value := "100000"
		r, err := adm.CreateTopic(context.Background(), 3, 1, map[string]*string{"retention.ms": &value}, "orders")
		if err != nil {
			t.Fatal(err)
		}
		id = r.ID
	})
	node := nodeOf(t, lines...)
	h, err := readHistory(vfs.OS(), filepath.Join(node.MetadataDir, quorum.LogDirName))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Prepare(vfs.OS(), node, time.Now(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	props, _ := config.ParseProperties([]byte(strings.Join(lines, "\n")))
	set, _, err := config.Load(props, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctl := controller.New(controller.Config{NodeID: 1, DirectoryID: p.MetadataDirectoryID, ClusterID: p.ClusterID, Settings: func() *config.Set { return set }, Log: quiet()})
	q, err := quorum.Open(quorum.Config{FS: vfs.OS(), Dir: node.MetadataDir, NodeID: 1, DirectoryID: p.MetadataDirectoryID, Listener: ctl, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	g := lifecycle.New("test", quiet())
	ctl.Start(g, q)
	q.Start(g)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := ctl.WaitActive(ctx); err != nil {
		t.Fatal(err)
	}
	img := ctl.Image()
	topic := img.TopicByName("orders")
	if topic == nil || topic.ID != id || len(topic.Partitions) != 3 || img.Config(image.TopicConfig, "orders")["retention.ms"] != "100000" {
		t.Errorf("topic %+v", topic)
	}
	if st := q.Status(); st.LeaderEpoch != h.epoch+1 || img.Offset() < h.end || st.KRaftVersion != 1 {
		t.Errorf("status %+v after epoch %d and end %d", st, h.epoch, h.end)
	}
	if img.Finalized(image.FeatureTransaction) != 2 || img.Finalized(image.FeatureGroup) != 1 {
		t.Errorf("finalized features were not kept: %v", img.FinalizedFeatures())
	}
	for _, f := range img.EffectiveFeatures() {
		if f.Name == image.FeatureTransaction && f.Max != 2 || f.Name == image.FeatureGroup && f.Max != 1 {
			t.Errorf("clients are told of %+v", f)
		}
	}
	g.Stop()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	backups, _ := filepath.Glob(filepath.Join(node.MetadataDir, quorum.LogDirName, quorum.RaftDirName, "before-*", "*.log"))
	if len(backups) != 1 {
		t.Fatalf("backups %v", backups)
	}
	if info, err := os.Stat(backups[0]); err != nil || info.Size() == 0 {
		t.Errorf("backup: %v %v", info, err)
	}
}
