package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/vfs"
)

func startOn(t *testing.T, cfg *config.Set, fs vfs.FS) *Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n, err := Start(ctx, Options{Config: cfg, FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What was acknowledged under weir.durability=fsync is there after the power went, whatever the disk kept of the rest;
// the metadata (topics, groups, their offsets) too.
func TestPowerLossKeepsWhatWasAcknowledged(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 6
	}
	rng := rand.New(rand.NewPCG(1, 2))
	disk := vfs.NewMem()
	acked := map[string]bool{}
	next := 0
	for round := range rounds {
		cfg := settings(t, "/data", "weir.durability=fsync", "auto.create.topics.enable=true")
		n := startOn(t, cfg, disk)
		if round > 0 {
			if got := consume(t, client(t, n, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), len(acked)); !contains(got, acked) {
				t.Fatalf("round %d: acknowledged records are missing among %d", round, len(got))
			}
		}
		c := client(t, n, kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(50))
		var mu sync.Mutex
		var sent sync.WaitGroup
		enough := make(chan struct{})
		var once sync.Once
		goal := int32(20 + rng.IntN(200))
		var done atomic.Int32
		for range 300 {
			value := fmt.Sprint("value ", next)
			next++
			sent.Add(1)
			c.Produce(t.Context(), &kgo.Record{Topic: "orders", Value: []byte(value)}, func(r *kgo.Record, err error) {
				defer sent.Done()
				mu.Lock()
				defer mu.Unlock()
				if err == nil && done.Load() < goal {
					acked[string(r.Value)] = true
				}
				if done.Add(1) >= goal {
					once.Do(func() { close(enough) })
				}
			})
			if done.Load() >= goal {
				break
			}
		}
		<-enough
		mu.Lock()
		done.Store(goal) // what is acknowledged from here on does not count
		crashed := disk.Crash(rng)
		mu.Unlock()
		c.Close()
		sent.Wait()
		n.Stop() // its file system is not the one that goes on
		disk = crashed
	}
}

// contains reports whether all of want are in got, once each.
func contains(got map[string]int, want map[string]bool) bool {
	for v := range want {
		if got[v] != 1 {
			return false
		}
	}
	return true
}

// One of two log directories fails: its partitions are offline, the others serve, and the process goes on.
func TestOneDirectoryFails(t *testing.T) {
	var broken atomic.Bool
	fs := vfs.Inject(vfs.NewMem(), func(op vfs.Op) error {
		if broken.Load() && strings.HasPrefix(op.Name, "/two") && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpSync) {
			return syscall.EIO
		}
		return nil
	})
	n := startOn(t, settings(t, "/one,/two"), fs)
	defer n.Stop()
	c := client(t, n, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(2*time.Second), kgo.DisableIdempotentWrite())
	adm := kadm.NewClient(c)
	if _, err := adm.CreateTopic(t.Context(), 4, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	at := map[int32]string{}
	dirs, err := adm.DescribeAllLogDirs(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	dirs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) { at[p.Partition] = p.Dir })
	})
	write := func(p int32) error {
		return c.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: p, Value: []byte("x")}).FirstErr()
	}
	for p := range int32(4) {
		if err := write(p); err != nil {
			t.Fatal(err)
		}
	}
	broken.Store(true)
	for p := range int32(4) {
		err := write(p)
		if lost := at[p] == "/two"; lost != (err != nil) {
			t.Errorf("partition %d in %s: %v", p, at[p], err)
		}
	}
	await(t, "the metadata shows the lost partitions without leader", func() bool {
		topics, err := kadm.NewClient(client(t, n)).ListTopics(t.Context(), "t")
		if err != nil {
			return false
		}
		for p, d := range topics["t"].Partitions {
			if lost := at[p] == "/two"; lost != (d.Leader == -1) || lost != (len(d.OfflineReplicas) == 1) {
				return false
			}
		}
		return true
	})
	select {
	case err := <-n.Failed():
		t.Fatal("the node gave up: ", err)
	default:
	}
}

// A full disk refuses writes and nothing else, and heals without a restart.
func TestFullDisk(t *testing.T) {
	var full atomic.Bool
	fs := vfs.Inject(vfs.NewMem(), func(op vfs.Op) error {
		if full.Load() && op.Kind == vfs.OpWrite && strings.Contains(op.Name, "/t-0/") {
			return syscall.ENOSPC
		}
		return nil
	})
	n := startOn(t, settings(t, "/data"), fs)
	defer n.Stop()
	c := client(t, n, kgo.RecordRetries(0), kgo.DisableIdempotentWrite(), kgo.RecordDeliveryTimeout(5*time.Second))
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	produce(t, c, "t", 0, 100)
	full.Store(true)
	err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("too much")}).FirstErr()
	if !errors.Is(err, kerr.KafkaStorageError) {
		t.Fatal("a full disk gave: ", err)
	}
	if got := consume(t, client(t, n, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 100); len(got) != 100 {
		t.Fatalf("%d records can be read", len(got))
	}
	cut := kadm.Offsets{"t": {0: {Topic: "t", Partition: 0, At: 50}}}
	if _, err := kadm.NewClient(c).DeleteRecords(t.Context(), cut); err != nil {
		t.Fatal("DeleteRecords on a full disk: ", err)
	}
	full.Store(false)
	c2 := client(t, n, kgo.DisableIdempotentWrite())
	produce(t, c2, "t", 100, 110)
	if got := consume(t, client(t, n, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 60); len(got) != 60 {
		t.Fatalf("%d records after the disk has room again", len(got))
	}
}

// A disk that does not give up what a consumer is sent takes its directory offline, as any other read error does.
func TestReadFaultWhileSending(t *testing.T) {
	var broken atomic.Bool
	fs := vfs.Inject(vfs.NewMem(), func(op vfs.Op) error {
		if broken.Load() && op.Kind == vfs.OpRead && strings.HasPrefix(op.Name, "/two/t-") {
			return syscall.EIO
		}
		return nil
	})
	n := startOn(t, settings(t, "/one,/two"), fs)
	defer n.Stop()
	c := client(t, n, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	adm := kadm.NewClient(c)
	if _, err := adm.CreateTopic(t.Context(), 2, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: p, Value: make([]byte, 1000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	broken.Store(true)
	reader := client(t, n, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			reader.PollFetches(ctx)
		}
	}()
	await(t, "the directory is offline", func() bool { return len(n.offlineDirectories()) == 1 })
}

// While a node closes its logs, /readyz says that it is not ready, rather than nothing at all.
func TestReadyWhileStopping(t *testing.T) {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := probe.Addr().String()
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	var closing atomic.Bool
	release := make(chan struct{})
	fs := vfs.Inject(vfs.NewMem(), func(op vfs.Op) error {
		if closing.Load() && op.Kind == vfs.OpSync && strings.Contains(op.Name, "/t-0/") {
			<-release
		}
		return nil
	})
	n := startOn(t, settings(t, "/data", "weir.metrics.listeners="+address), fs)
	c := client(t, n)
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	produce(t, c, "t", 0, 10)
	status := func() int {
		resp, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return -1
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if got := status(); got != http.StatusOK {
		t.Fatalf("/readyz answers %d while the node serves", got)
	}
	c.Close()
	closing.Store(true)
	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop() }()
	await(t, "/readyz answers 503", func() bool { return status() == http.StatusServiceUnavailable })
	await(t, "the listeners are closed", func() bool {
		conn, err := net.Dial("tcp", n.Addr("PLAINTEXT"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d while the logs are closed", got)
	}
	close(release)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}
