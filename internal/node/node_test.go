package node

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
)

// settings makes the configuration of a node of its own with free ports.
func settings(t *testing.T, dir string, lines ...string) *config.Set {
	t.Helper()
	text := append([]string{
		"broker.id=1", "listeners=PLAINTEXT://127.0.0.1:0", "log.dirs=" + dir, "offsets.topic.replication.factor=1", "group.initial.rebalance.delay.ms=0",
	}, lines...)
	props, err := config.ParseProperties([]byte(strings.Join(text, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	set, _, err := config.Load(props, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func start(t *testing.T, cfg *config.Set) *Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n, err := Start(ctx, Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func client(t *testing.T, n *Node, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(n.Addr("PLAINTEXT")), kgo.ProducerBatchCompression(kgo.NoCompression())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func produce(t *testing.T, c *kgo.Client, topic string, from, to int) {
	t.Helper()
	var rs []*kgo.Record
	for i := from; i < to; i++ {
		rs = append(rs, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "value %d", i)})
	}
	if err := c.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// consume reads n records and returns their values.
func consume(t *testing.T, c *kgo.Client, n int) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got := map[string]int{}
	for total := 0; total < n; {
		fs := c.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Fatalf("after %d records: %v", total, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			got[string(r.Value)]++
			total++
		})
	}
	return got
}

func TestProduceConsumeRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	cfg := settings(t, dir)
	n := start(t, cfg)
	produce(t, client(t, n, kgo.AllowAutoTopicCreation()), "orders", 0, 1000)
	if got := consume(t, client(t, n, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 1000); len(got) != 1000 {
		t.Fatalf("%d different records", len(got))
	}
	cluster := n.ClusterID()
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, cfg)
	defer n.Stop()
	if n.ClusterID() != cluster {
		t.Fatalf("cluster %s became %s", cluster, n.ClusterID())
	}
	produce(t, client(t, n, kgo.AllowAutoTopicCreation()), "orders", 1000, 1500)
	if got := consume(t, client(t, n, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 1500); len(got) != 1500 {
		t.Fatalf("%d different records after the restart", len(got))
	}
}

func TestGroupGoesOnAfterRestart(t *testing.T) {
	cfg := settings(t, filepath.Join(t.TempDir(), "data"))
	n := start(t, cfg)
	produce(t, client(t, n, kgo.AllowAutoTopicCreation()), "orders", 0, 100)
	g := client(t, n, kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	consume(t, g, 100)
	if err := g.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Close()
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, cfg)
	defer n.Stop()
	produce(t, client(t, n, kgo.AllowAutoTopicCreation()), "orders", 100, 150)
	got := consume(t, client(t, n, kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 50)
	if len(got) != 50 || got["value 100"] != 1 {
		t.Fatalf("the group read %d records, not the 50 new ones", len(got))
	}
}

func TestTopicsAndSettingsTakeEffect(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data")))
	defer n.Stop()
	c := client(t, n)
	adm := kadm.NewClient(c)
	small := "1000"
	if _, err := adm.CreateTopic(t.Context(), 3, 1, map[string]*string{"max.message.bytes": &small}, "t"); err != nil {
		t.Fatal(err)
	}
	big := &kgo.Record{Topic: "t", Value: make([]byte, 5000)}
	if err := c.ProduceSync(t.Context(), big).FirstErr(); err == nil {
		t.Fatal("a record above max.message.bytes was taken")
	}
	large := "100000"
	if _, err := adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &large}}, "t"); err != nil {
		t.Fatal(err)
	}
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: make([]byte, 5000)}).FirstErr(); err != nil {
		t.Fatal("the raised max.message.bytes has no effect:", err)
	}
	if _, err := adm.DeleteTopic(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	topics, err := kadm.NewClient(client(t, n)).ListTopics(t.Context(), "t") // a client of its own: they keep what they saw
	if err != nil || topics.Has("t") {
		t.Fatalf("the topic is still there: %v, %v", topics, err)
	}
}

// A consumer that waits for data must not hold up the end of the node.
func TestStopDoesNotWaitForParkedRequests(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data")))
	produce(t, client(t, n, kgo.AllowAutoTopicCreation()), "orders", 0, 1)
	c := client(t, n, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(30*time.Second))
	consume(t, c, 1)
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		c.PollFetches(ctx)
	}()
	began := time.Now()
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > stopGrace/2 {
		t.Fatalf("the node took %v to stop", took)
	}
	c.Close()
	<-polled
}

// Java's tools do not bear a null where Apache Kafka sends an empty list.
func TestDescribeTopicPartitionsHasNoNulls(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data")))
	defer n.Stop()
	produce(t, client(t, n, kgo.AllowAutoTopicCreation()), "orders", 0, 1)
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 10
	resp, err := req.RequestWith(t.Context(), client(t, n))
	if err != nil || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		t.Fatalf("%+v, %v", resp, err)
	}
	if p := resp.Topics[0].Partitions[0]; p.EligibleLeaderReplicas == nil || p.LastKnownELR == nil || p.LeaderID != 1 {
		t.Fatalf("%+v", p)
	}
}

// A replica that moves between log directories keeps its records and goes on to take new ones; the controller knows
// where it lies then.
func TestMoveBetweenDirectories(t *testing.T) {
	base := t.TempDir()
	one, two := filepath.Join(base, "one"), filepath.Join(base, "two")
	cfg := settings(t, one+","+two)
	n := start(t, cfg)
	defer func() { n.Stop() }()
	c := client(t, n, kgo.AllowAutoTopicCreation())
	produce(t, c, "orders", 0, 500)
	here := func() string {
		dirs, err := kadm.NewClient(c).DescribeAllLogDirs(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		at := ""
		dirs.Each(func(d kadm.DescribedLogDir) {
			d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
				if p.Topic == "orders" && !p.IsFuture {
					at = p.Dir
				}
			})
		})
		return at
	}
	target := one
	if here() == one {
		target = two
	}
	req := kadm.AlterReplicaLogDirsReq{target: kadm.TopicsSet{"orders": {0: {}}}}
	resp, err := kadm.NewClient(c).AlterAllReplicaLogDirs(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Each(func(r kadm.AlterReplicaLogDirsResponse) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	})
	await(t, "the replica has moved", func() bool { return here() == target })
	produce(t, c, "orders", 500, 700)
	c.Close()
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, cfg)
	c = client(t, n)
	if at := here(); at != target {
		t.Fatalf("after the restart the replica lies in %s, not in %s", at, target)
	}
	if got := consume(t, client(t, n, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 700); len(got) != 700 {
		t.Fatalf("%d different records", len(got))
	}
}

// A move that is under way is listed with how much it lacks, and takes a change of its rate.
func TestMoveUnderWay(t *testing.T) {
	base := t.TempDir()
	one, two := filepath.Join(base, "one"), filepath.Join(base, "two")
	n := start(t, settings(t, one+","+two))
	defer n.Stop()
	c := client(t, n, kgo.AllowAutoTopicCreation(), kgo.ProducerBatchMaxBytes(1000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	produce(t, c, "orders", 0, 500)
	adm := kadm.NewClient(c)
	lag := func() (at, to string, lag int64) {
		dirs, err := adm.DescribeAllLogDirs(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		dirs.Each(func(d kadm.DescribedLogDir) {
			d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
				switch {
				case p.Topic == "orders" && p.IsFuture:
					to, lag = p.Dir, p.OffsetLag
				case p.Topic == "orders":
					at = p.Dir
				}
			})
		})
		return at, to, lag
	}
	rate := func(value *string) {
		op := kadm.AlterConfig{Op: kadm.SetConfig, Name: "replica.alter.log.dirs.io.max.bytes.per.second", Value: value}
		if value == nil {
			op.Op = kadm.DeleteConfig
		}
		if resp, err := adm.AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{op}, 1); err != nil || resp[0].Err != nil {
			t.Fatal(resp, err)
		}
	}
	rate(kmsg.StringPtr("10"))
	from, _, _ := lag()
	target := one
	if from == one {
		target = two
	}
	if _, err := adm.AlterAllReplicaLogDirs(t.Context(), kadm.AlterReplicaLogDirsReq{target: kadm.TopicsSet{"orders": {0: {}}}}); err != nil {
		t.Fatal(err)
	}
	if at, to, left := lag(); at != from || to != target || left <= 0 {
		t.Fatalf("lies in %s, moves to %q and lacks %d", at, to, left)
	}
	rate(nil)
	await(t, "the replica has moved", func() bool { at, to, _ := lag(); return at == target && to == "" })
}

// await polls until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatal("not in time: ", what)
		case <-tick.C:
		}
	}
}

// A fetch that asks for more than there is waits as long as it said, though there is something to read.
func TestFetchWaitsForMinBytes(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data")))
	defer n.Stop()
	c := client(t, n, kgo.AllowAutoTopicCreation())
	produce(t, c, "orders", 0, 10)
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxBytes, req.MaxWaitMillis, req.SessionEpoch = 1<<20, 1<<20, 300, -1
	topic, part := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	topic.Topic, topic.TopicID, part.PartitionMaxBytes = "orders", n.image.Load().TopicByName("orders").ID, 1<<20
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	ask := func() (time.Duration, int) {
		began := time.Now()
		resp, err := c.Broker(1).Request(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return time.Since(began), len(resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches)
	}
	if took, size := ask(); took < 290*time.Millisecond || size == 0 {
		t.Fatalf("%d bytes after %v", size, took)
	}
	req.MinBytes = 1
	if took, size := ask(); took > 250*time.Millisecond || size == 0 {
		t.Fatalf("%d bytes after %v", size, took)
	}
	// It waits no longer once there is enough.
	req.MinBytes, req.MaxWaitMillis = 100_000, 20_000
	go func() {
		for range 20 {
			c.Produce(t.Context(), &kgo.Record{Topic: "orders", Value: make([]byte, 10_000)}, nil)
		}
	}()
	if took, size := ask(); took > 10*time.Second || size < 100_000 {
		t.Fatalf("%d bytes after %v", size, took)
	}
}
