//go:build conform

package conformance

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// TestMixedBrokers: a broker of the one kind lives under a controller of the other, beside that one's own broker: it
// registers and is unfenced, leads and follows, leaves in order and comes back, is killed and comes back; nothing that was
// acknowledged is lost, and records of either leader are the same from both.
func TestMixedBrokers(t *testing.T) {
	if os.Getenv("WEIR_CONFORM_MIXED") == "" {
		t.Skip("WEIR_CONFORM_MIXED=1 plays it; it takes more than a minute")
	}
	d := dist(t, kafkadist.Current)
	ours, apaches := brokers.Config{Binary: binary(t)}, brokers.Config{Dist: d, Heap: heap}
	t.Run("Apache Kafka's broker under Weir's controller", func(t *testing.T) { mixed(t, ours, apaches) })
	t.Run("Weir's broker under Apache Kafka's controller", func(t *testing.T) { mixed(t, apaches, ours) })
}

// TestRefusedForFeatures: a cluster that Apache Kafka formatted by default refuses Weir's broker, which then says what is
// finalized beyond it and by which command that is lowered. Carried out by Apache's own tool, it lets the broker in.
func TestRefusedForFeatures(t *testing.T) {
	if os.Getenv("WEIR_CONFORM_MIXED") == "" {
		t.Skip("WEIR_CONFORM_MIXED=1 plays it, with the brokers of both kinds")
	}
	d := dist(t, kafkadist.Current)
	one := apache(t, nil)
	c := brokers.Config{Binary: binary(t), Dir: t.TempDir(), Port: basePort + int(started.Add(1))*portsEach, Props: map[string]string{
		"process.roles": "broker", "node.id": "2", "controller.quorum.voters": fmt.Sprintf("1@127.0.0.1:%d", one.Controller)}}
	if _, err := brokers.Start(t.Context(), c); err == nil {
		t.Fatal("the broker was let in")
	} else if says := regexp.MustCompile(`kafka-features --bootstrap-server \S+ downgrade( --feature [a-z.]+=\d+)+`).FindString(err.Error()); says == "" {
		t.Fatalf("no command in what the broker says: %v", err)
	} else {
		args := strings.Fields(says)
		if out, code := tool(t, d, nil, "", args[0], args[1:]...); code != 0 {
			t.Fatalf("%s: exit code %d\n%s", says, code, out)
		}
	}
	start(t, c)
}

func mixed(t *testing.T, first, second brokers.Config) {
	first.Props = map[string]string{"broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500", "replica.lag.time.max.ms": "5000",
		"offsets.topic.replication.factor": "2", "auto.leader.rebalance.enable": "false"}
	// What Weir does not do yet must not be finalized: its brokers could not register.
	first.Format = []string{"--feature", "transaction.version=0", "--feature", "share.version=0", "--feature", "streams.version=0"}
	if first.Binary != "" {
		first.Format = []string{"--release-version", "4.3"}
	}
	one := start(t, first)
	second.Props = map[string]string{"process.roles": "broker", "node.id": "2", "controller.quorum.voters": fmt.Sprintf("1@127.0.0.1:%d", one.Controller),
		"broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500", "replica.lag.time.max.ms": "5000"}
	two := start(t, second)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(one.Addr, two.Addr), kgo.MetadataMinAge(100*time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	eventually(t, "both brokers live", func() bool {
		all, err := adm.ListBrokers(ctx)
		return err == nil && len(all) == 2
	})
	minISR := "1"
	eventually(t, "the topic is made", func() bool {
		_, err := adm.CreateTopic(ctx, 6, 2, map[string]*string{"min.insync.replicas": &minISR}, "t")
		return err == nil || strings.Contains(err.Error(), "EXISTS")
	})
	inSync := func() bool {
		all, err := adm.ListTopics(ctx, "t")
		return err == nil && len(all["t"].Partitions) == 6 && !slices.ContainsFunc(all["t"].Partitions.Sorted(), func(p kadm.PartitionDetail) bool { return p.Leader < 0 || len(p.ISR) < 2 })
	}
	sent := 0
	write := func(when string) {
		t.Helper()
		var records []*kgo.Record
		for range 300 {
			records = append(records, &kgo.Record{Topic: "t", Partition: int32(sent % 6), Value: fmt.Append(nil, sent)})
			sent++
		}
		if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatalf("write %s: %v", when, err)
		}
	}
	eventually(t, "all replicas are in sync", inSync)
	led := map[int32]int{}
	all, err := adm.ListTopics(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all["t"].Partitions {
		led[p.Leader]++
	}
	if led[1] == 0 || led[2] == 0 {
		t.Errorf("leaders %v: each should lead some", led)
	}
	movers := startMovers(ctx, t, one, two)
	write("with both")
	eventually(t, "all replicas are in sync", inSync)
	if err := two.Stop(); err != nil {
		t.Fatal(err)
	}
	write("without the second")
	if err := two.Run(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all replicas are in sync after a stop", inSync)
	if _, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil); err != nil {
		t.Fatal(err)
	}
	write("with both again")
	two.Kill()
	write("after a kill")
	if err := two.Run(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all replicas are in sync after a kill", inSync)
	for _, b := range []*brokers.Broker{one, two} {
		readAll(ctx, t, b, sent)
	}
	for _, m := range movers {
		eventually(t, "a consumer group has read everything", func() bool { return m.read() == sent })
	}
}

// mover is a group of the consumer protocol (KIP-848) whose coordinator moves from a broker of the one kind to one of the other.
type mover struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (m *mover) read() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.seen)
}

// startMovers starts consumer groups, so many that each broker coordinates some.
func startMovers(ctx context.Context, t *testing.T, one, two *brokers.Broker) (out []*mover) {
	t.Helper()
	for i := range 4 {
		m := &mover{seen: map[string]bool{}}
		out = append(out, m)
		for range 2 {
			cl, err := kgo.NewClient(kgo.SeedBrokers(one.Addr, two.Addr), kgo.ConsumeTopics("t"), kgo.ConsumerGroup(fmt.Sprint("mover-", i)), kgo.ServerSideBalancer(),
				kgo.Balancers(kgo.StickyBalancer()), kgo.AutoCommitInterval(300*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(100*time.Millisecond))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cl.Close)
			go func() {
				for ctx.Err() == nil {
					fs := cl.PollFetches(ctx)
					m.mu.Lock()
					fs.EachRecord(func(r *kgo.Record) { m.seen[string(r.Value)] = true })
					m.mu.Unlock()
				}
			}()
		}
	}
	return out
}

// readAll reads all records through a group that one broker is asked for first.
func readAll(ctx context.Context, t *testing.T, b *brokers.Broker, want int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g-"+b.Name()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	seen := map[string]bool{}
	for n := 0; n < want; {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records are there", n, want)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if seen[string(r.Value)] {
				t.Errorf("record %s is there twice", r.Value)
			}
			seen[string(r.Value)] = true
			n++
		})
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		t.Error(err)
	}
}
