//go:build conform

package conformance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/conformance/script"
	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// A toolRun is one command line of the walk through Apache's own tools. %A is
// the broker's address.
type toolRun struct {
	line  string
	input string
}

var toolWalk = []toolRun{
	{line: "kafka-topics --bootstrap-server %A --create --topic walk --partitions 3 --config retention.ms=3600000"},
	{line: "kafka-topics --bootstrap-server %A --create --topic walk"},
	{line: "kafka-topics --bootstrap-server %A --describe --topic walk"},
	{line: "kafka-topics --bootstrap-server %A --alter --topic walk --partitions 4"},
	{line: "kafka-configs --bootstrap-server %A --alter --entity-type topics --entity-name walk --add-config segment.bytes=2000000,cleanup.policy=[compact,delete]"},
	{line: "kafka-configs --bootstrap-server %A --describe --entity-type topics --entity-name walk"},
	{line: "kafka-console-producer --bootstrap-server %A --topic walk --property parse.key=true --property key.separator=:", input: "a:1\nb:2\nc:3\nd:4\n"},
	{line: "kafka-console-consumer --bootstrap-server %A --topic walk --from-beginning --max-messages 4 --group walkers --property print.key=true --timeout-ms 20000"},
	{line: "kafka-consumer-groups --bootstrap-server %A --describe --group walkers"},
	{line: "kafka-consumer-groups --bootstrap-server %A --list --state"},
	{line: "kafka-consumer-groups --bootstrap-server %A --group walkers --reset-offsets --to-earliest --topic walk --execute"},
	{line: "kafka-console-consumer --bootstrap-server %A --topic walk --from-beginning --max-messages 4 --group talkers --consumer-property group.protocol=consumer --timeout-ms 20000"},
	{line: "kafka-consumer-groups --bootstrap-server %A --describe --group talkers"},
	{line: "kafka-consumer-groups --bootstrap-server %A --describe --group talkers --state --verbose"},
	{line: "kafka-consumer-groups --bootstrap-server %A --describe --group talkers --members --verbose"},
	{line: "kafka-consumer-groups --bootstrap-server %A --list --type consumer --state Empty"},
	{line: "kafka-groups --bootstrap-server %A --list --consumer"},
	{line: "kafka-configs --bootstrap-server %A --alter --entity-type groups --entity-name talkers --add-config consumer.session.timeout.ms=50000"},
	{line: "kafka-configs --bootstrap-server %A --alter --entity-type groups --entity-name talkers --add-config consumer.session.timeout.ms=1000"},
	{line: "kafka-configs --bootstrap-server %A --describe --entity-type groups --entity-name talkers"},
	{line: "kafka-consumer-groups --bootstrap-server %A --group talkers --reset-offsets --shift-by -1 --topic walk --execute"},
	{line: "kafka-consumer-groups --bootstrap-server %A --delete --group talkers"},
	{line: "kafka-get-offsets --bootstrap-server %A --topic walk"},
	{line: "kafka-log-dirs --bootstrap-server %A --describe --topic-list walk"},
	{line: "kafka-producer-perf-test --bootstrap-server %A --topic perf --num-records 20000 --record-size 100 --throughput -1 --command-property compression.type=lz4"},
	{line: "kafka-consumer-perf-test --bootstrap-server %A --topic perf --num-records 20000 --group perf --timeout 20000"},
	{line: "kafka-producer-perf-test --bootstrap-server %A --topic walk-transactions --num-records 2000 --record-size 100 --throughput 4000 --transactional-id walk-perf --transaction-duration-ms 100"},
	{line: "kafka-console-consumer --bootstrap-server %A --topic walk-transactions --from-beginning --isolation-level read_committed --max-messages 2000 --property print.value=false --timeout-ms 20000"},
	{line: "kafka-transactions --bootstrap-server %A list"},
	{line: "kafka-transactions --bootstrap-server %A describe --transactional-id walk-perf"},
	{line: "kafka-transactions --bootstrap-server %A describe --transactional-id walk-nobody"},
	{line: "kafka-transactions --bootstrap-server %A describe-producers --topic walk-transactions --partition 0"},
	{line: "kafka-transactions --bootstrap-server %A find-hanging --broker-id 1"},
	{line: "kafka-transactions --bootstrap-server %A abort --topic walk-transactions --partition 0 --start-offset 0"},
	{line: "kafka-transactions --bootstrap-server %A forceTerminateTransaction --transactionalId walk-perf"},
	{line: "kafka-verifiable-producer --bootstrap-server %A --topic verify --max-messages 20"},
	{line: "kafka-features --bootstrap-server %A upgrade --feature kraft.version=2"},
	{line: "kafka-features --bootstrap-server %A upgrade --feature kraft.version=1"},
	{line: "kafka-metadata-quorum --bootstrap-server %A describe --status"},
	{line: "kafka-features --bootstrap-server %A describe"},
	{line: "kafka-cluster cluster-id --bootstrap-server %A"},
	{line: "kafka-leader-election --bootstrap-server %A --election-type preferred --all-topic-partitions"},
	{line: "kafka-configs --bootstrap-server %A --alter --entity-type users --entity-name alice --entity-type clients --entity-default --add-config request_percentage=50,producer_byte_rate=1048576"},
	{line: "kafka-configs --bootstrap-server %A --alter --user alice --add-config SCRAM-SHA-256=[iterations=4096,password=pw]"},
	{line: "kafka-configs --bootstrap-server %A --alter --user alice --add-config consumer_byte_rate=2097152"},
	{line: "kafka-configs --bootstrap-server %A --alter --ip-defaults --add-config connection_creation_rate=10000"},
	{line: "kafka-configs --bootstrap-server %A --describe --entity-type users"},
	{line: "kafka-configs --bootstrap-server %A --describe --entity-type ips --entity-default"},
	{line: "kafka-consumer-groups --bootstrap-server %A --delete --group walkers"},
	{line: "kafka-topics --bootstrap-server %A --delete --topic walk"},
}

// TestTools walks through Apache's tools against both brokers and compares
// what they print.
func TestTools(t *testing.T) {
	explained := explanations(t)
	d := dist(t, kafkadist.Current)
	ref := walk(t, d, apache(t, nil))
	sub := walk(t, d, subject(t, nil))
	judge(t, explained, ref, sub)
}

func walk(t *testing.T, d *kafkadist.Dist, b *brokers.Broker) script.Transcript {
	tr := script.Transcript{Scenario: "tools"}
	for _, run := range toolWalk {
		args := strings.Fields(strings.ReplaceAll(run.line, "%A", b.Addr))
		out, code := tool(t, d, nil, run.input, args[0], args[1:]...)
		facts := map[string]string{"exit code": fmt.Sprint(code)}
		for line, times := range printed(out, b) {
			facts["prints "+line] = fmt.Sprintf("%d times", times)
		}
		tr.Entries = append(tr.Entries, script.Entry{Label: strings.ReplaceAll(run.line, " --bootstrap-server %A", ""), Facts: facts})
	}
	if err := b.Stop(); err != nil {
		t.Error(err)
	}
	return tr
}

// tool runs one of Apache's tools; its JVM gets little and ends soon.
func tool(t *testing.T, d *kafkadist.Dist, env []string, input, name string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := d.Command(ctx, name, args...)
	// A compiler that stops early and a simple collector: half the CPU of a tool that lives for a second.
	cmd.Env = append(append(os.Environ(), "KAFKA_JVM_PERFORMANCE_OPTS=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"), env...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Errorf("%s %s: %v", name, strings.Join(args, " "), ctx.Err())
	}
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// What differs from run to run in the output of tools.
var vary = []struct {
	expr *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`TopicId: \S+`), "TopicId: <id>"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`Cluster ID: \S+|ClusterId: +\S+`), "<cluster>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T][\d:.,]+`), "<time>"},
	{regexp.MustCompile(`"timestamp":\d+`), `"timestamp":<time>`},
	{regexp.MustCompile(`[\d.]+ records/sec.*`), "<rates>"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "<addr>"},
	{regexp.MustCompile(`"(host|port)":"?[^,"]+"?`), `"$1":<addr>`},
	{regexp.MustCompile(`(LeaderEpoch|HighWatermark|MaxFollowerLag|MaxFollowerLagTimeMs|Epoch): +\d+`), "$1: <n>"},
	{regexp.MustCompile(`"directoryId": ?"\S+"`), "<directory>"},
	{regexp.MustCompile(`usableBytes":\d+|totalBytes":\d+`), "<bytes>"},
	{regexp.MustCompile(`"size":[678]\d`), `"size":<one batch>`}, // its timestamps take a byte more or less
	{regexp.MustCompile(`^(1\s+)?walk-perf\s.*(Complete\w+|Empty).*`), "${1}walk-perf <producer> $2"},
	{regexp.MustCompile(`^\d+\s+\d+\s+\d+\s+-?\d+\s+\d+\s+None$`), "<producer> without a transaction"},
	{regexp.MustCompile(`avg_throughput":[\d.E-]+`), "<rate>"},
	{regexp.MustCompile(`^<time> <time> .*`), "<rates>"},
	{regexp.MustCompile(` +`), " "},
}

// printed counts the lines of a tool's output in a comparable form; their
// order is often a hash map's.
func printed(out string, b *brokers.Broker) map[string]int {
	out = strings.ReplaceAll(out, b.DataDir(), "<data>")
	lines := map[string]int{}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		for _, v := range vary {
			line = v.expr.ReplaceAllString(line, v.by)
		}
		if line != "" && !strings.HasPrefix(line, "[<time>] WARN") {
			lines[line]++
		}
	}
	return lines
}

// TestOldTutorial walks through a tutorial of 2020: Kafka 2.5's sample file,
// ZooKeeper's scripts, the daemon, the name my-kafka, and the tools of 2.5.0
// as they are printed there. The tools of Weir go by the same names.
func TestOldTutorial(t *testing.T) {
	d := dist(t, kafkadist.Old)
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	command(t, "", binary(t), "install-tools", bin)
	port, err := brokers.FreePort(basePort)
	if err != nil {
		t.Fatal(err)
	}
	props := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(props, []byte(sample25(port, filepath.Join(dir, "kafka-logs"))), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LOG_DIR", filepath.Join(dir, "logs"))
	command(t, "", filepath.Join(bin, "zookeeper-server-start.sh"), "-daemon", "config/zookeeper.properties")
	command(t, "", filepath.Join(bin, "kafka-server-start.sh"), "-daemon", props)
	t.Cleanup(func() {
		if out, err := exec.Command(filepath.Join(bin, "kafka-server-stop.sh"), "--node-id", fmt.Sprint(tutorialID)).CombinedOutput(); err != nil {
			t.Errorf("kafka-server-stop: %v: %s", err, out)
		}
		eventually(t, "a clean stop", func() bool {
			_, err := os.Stat(filepath.Join(dir, "kafka-logs", ".kafka_cleanshutdown"))
			return err == nil
		})
	})
	addr := fmt.Sprintf("my-kafka:%d", port)
	// The name stands in /etc/hosts in the tutorial; a JVM can be given a file of its own.
	hosts := filepath.Join(dir, "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.1 my-kafka localhost\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	env := []string{"KAFKA_OPTS=-Djdk.net.hosts.file=" + hosts}
	step := func(input, want, name string, args ...string) {
		t.Helper()
		out, code := tool(t, d, env, input, name, args...)
		if code != 0 || !strings.Contains(out, want) {
			t.Fatalf("%s %s: exit code %d, want 0 and %q in\n%s", name, strings.Join(args, " "), code, want, out)
		}
	}
	step("", fmt.Sprintf("my-kafka:%d (id: %d rack: null)", port, tutorialID), "kafka-broker-api-versions", "--bootstrap-server", addr)
	step("", "Created topic hello.kafka", "kafka-topics", "--create", "--bootstrap-server", addr, "--topic", "hello.kafka")
	step("", "Created topic hello.kafka.2", "kafka-topics", "--create", "--bootstrap-server", addr, "--partitions", "3", "--replication-factor", "1",
		"--config", "retention.ms=172800000", "--topic", "hello.kafka.2")
	step("", "hello.kafka.2", "kafka-topics", "--list", "--bootstrap-server", addr)
	step("", "PartitionCount: 1", "kafka-topics", "--describe", "--bootstrap-server", addr, "--topic", "hello.kafka")
	step("hello\nkafka\n0\n1\n", "", "kafka-console-producer", "--bootstrap-server", addr, "--topic", "hello.kafka")
	step("key1:no1\nkey2:no2\n", "", "kafka-console-producer", "--broker-list", addr, "--topic", "hello.kafka", "--property", "parse.key=true", "--property", "key.separator=:")
	step("", "key2-no2", "kafka-console-consumer", "--bootstrap-server", addr, "--topic", "hello.kafka", "--property", "print.key=true", "--property", "key.separator=-",
		"--group", "hello-group", "--from-beginning", "--max-messages", "6", "--timeout-ms", "20000")
	step("", "hello-group", "kafka-consumer-groups", "--bootstrap-server", addr, "--list")
	step("", "hello.kafka", "kafka-consumer-groups", "--bootstrap-server", addr, "--group", "hello-group", "--describe")
	step("", `"name":"records_consumed","count":6`, "kafka-verifiable-consumer", "--broker-list", addr, "--topic", "hello.kafka", "--group-id", "verify", "--max-messages", "6", "--reset-policy", "earliest")
	step("", `"name":"producer_send_success"`, "kafka-verifiable-producer", "--broker-list", addr, "--max-messages", "10", "--topic", "verify-test")
	step("", "low_watermark: 2", "kafka-delete-records", "--bootstrap-server", addr, "--offset-json-file", write(t, dir, "delete.json",
		`{"partitions": [{"topic": "hello.kafka", "partition": 0, "offset": 2}], "version": 1}`))
	command(t, "", filepath.Join(bin, "zookeeper-server-stop.sh"))
}

// eventually waits for a condition that comes about by itself.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// tutorialID is a broker.id that no other broker of this machine has, because
// kafka-server-stop goes by it.
const tutorialID = 4202

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// sample25 has the keys of the sample file that came with Kafka 2.5.
func sample25(port int, dir string) string {
	return fmt.Sprintf(`broker.id=%d
listeners=PLAINTEXT://:%d
advertised.listeners=PLAINTEXT://my-kafka:%d
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=%s
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
zookeeper.connect=localhost:2181
zookeeper.connection.timeout.ms=18000
group.initial.rebalance.delay.ms=0
`, tutorialID, port, port, dir)
}
