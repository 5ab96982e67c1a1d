package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// freePorts are ports that nobody listens on at the moment.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// startKafka starts one node of Apache Kafka in a fresh directory and returns its address. It ends with the test.
func startKafka(t testing.TB) string {
	t.Helper()
	ports := freePorts(t, 2)
	broker := fmt.Sprintf("127.0.0.1:%d", ports[0])
	runKafka(t, broker, []string{
		"process.roles=broker,controller", "node.id=1", fmt.Sprintf("controller.quorum.bootstrap.servers=127.0.0.1:%d", ports[1]),
		fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d", broker, ports[1]), "controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
		"transaction.state.log.num.partitions=1", "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
		"offsets.topic.num.partitions=1", "offsets.topic.replication.factor=1", "group.initial.rebalance.delay.ms=0",
	})
	return broker
}

// runKafka starts Apache Kafka with settings and waits until broker answers.
func runKafka(t testing.TB, broker string, settings []string) {
	t.Helper()
	dist := kafkaDist(t)
	dir := t.TempDir()
	settings = append(settings, "log.dirs="+filepath.Join(dir, "data"))
	file := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(file, []byte(strings.Join(settings, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "KAFKA_HEAP_OPTS=-Xmx400M", "LOG_DIR="+dir, "KAFKA_GC_OPTS=", "KAFKA_JMX_OPTS=")
	format := exec.Command(filepath.Join(dist, "bin/kafka-storage.sh"), "format", "--standalone", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", file)
	format.Env = env
	if out, err := format.CombinedOutput(); err != nil {
		t.Fatalf("format: %v\n%s", err, out)
	}
	node := exec.Command(filepath.Join(dist, "bin/kafka-server-start.sh"), file)
	node.Env = env
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = node.Process.Kill()
		_ = node.Wait()
	})
	awaitBroker(t, broker)
}

// awaitBroker waits until a broker answers.
func awaitBroker(t testing.TB, address string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for cl.Ping(ctx) != nil {
		if ctx.Err() != nil {
			t.Fatalf("no broker answers at %s", address)
		}
	}
}

// groupMember joins a consumer group and returns once it has partitions. It leaves when the returned function is
// called.
func groupMember(t testing.TB, broker, group, topic, clientID, instance string, newProtocol bool) (leave func()) {
	t.Helper()
	assigned := make(chan struct{}, 1)
	opts := []kgo.Opt{
		kgo.SeedBrokers(broker), kgo.ClientID(clientID), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.Balancers(kgo.RangeBalancer()), kgo.AutoCommitInterval(100 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
			if len(m) > 0 {
				assigned <- struct{}{}
			}
		}),
	}
	if instance != "" {
		opts = append(opts, kgo.InstanceID(instance))
	}
	if newProtocol {
		opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	consumed, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		first := true
		for ctx.Err() == nil {
			if fetches := cl.PollFetches(ctx); !fetches.Empty() && first {
				first = false
				close(consumed)
			}
		}
	}()
	for _, c := range []<-chan struct{}{assigned, consumed} {
		select {
		case <-c:
		case <-time.After(30 * time.Second):
			t.Fatalf("member of %s got nothing of %s", group, topic)
		}
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	return func() {
		cancel()
		<-done
		cl.Close()
	}
}

// transact produces values in a transaction, which ends as how says: commit, abort, or open for none.
func transact(t testing.TB, broker, topic, how string, values []string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.TransactionalID("txn-"+how), kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if err := cl.ProduceSync(ctx, kgo.StringRecord(v)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if how == "open" {
		return
	}
	if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(how == "commit")); err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(cl)
	for stable, end := int64(0), int64(-1); stable != end; { // the marker is written after the answer
		s, err := adm.ListCommittedOffsets(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		e, err := adm.ListEndOffsets(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		stable, end = s[topic][0].Offset, e[topic][0].Offset
	}
}

// topicID is the id of a topic, as the tools print it.
func topicID(t testing.TB, broker, topic string) string {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	topics, err := kadm.NewClient(cl).ListTopics(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return uuidString(topics[topic].ID)
}
