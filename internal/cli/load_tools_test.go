package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// startWeir runs a node in this process until the test ends and returns its address.
func startWeir(t *testing.T) string {
	t.Helper()
	ports := freePorts(t, 2)
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	runWeir(t, address, []string{
		"process.roles=broker,controller", "node.id=1", fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d", address, ports[1]),
		"controller.listener.names=CONTROLLER", "offsets.topic.num.partitions=1", "offsets.topic.replication.factor=1",
		"group.initial.rebalance.delay.ms=0", fmt.Sprintf("controller.quorum.voters=1@127.0.0.1:%d", ports[1]),
	})
	return address
}

// runWeir runs a node with settings in this process until the test ends, and waits until broker answers.
func runWeir(t *testing.T, broker string, settings []string) {
	t.Helper()
	settings = append(settings, "log.dirs="+filepath.Join(t.TempDir(), "data"))
	file := writeFile(t, strings.Join(settings, "\n"))
	ctx, cancel := context.WithCancel(context.Background())
	var out bytes.Buffer
	var stopped sync.WaitGroup
	stopped.Go(func() {
		Tool{Name: "kafka-server-start", New: newServerStart}.Run(ctx, Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}, []string{file})
	})
	t.Cleanup(func() {
		cancel()
		stopped.Wait()
		if t.Failed() {
			t.Logf("the node said:\n%s", out.String())
		}
	})
	awaitBroker(t, broker)
}

// TestLoadTools runs the tools that make load, one on the records of the other.
func TestLoadTools(t *testing.T) {
	broker := startWeir(t)
	server := []string{"--bootstrap-server", broker}
	matches := func(r result, exit int, pattern string) {
		t.Helper()
		if r.exit != exit || !regexp.MustCompile(pattern).MatchString(r.stdout) {
			t.Errorf("got %v, want exit %d and output like %s", r, exit, pattern)
		}
	}
	if r := runTool(t, newTopicsTool, "", append(server, "--create", "--topic", "perf", "--partitions", "2")...); r.exit != 0 {
		t.Fatal(r)
	}
	matches(runTool(t, newProducerPerfTool, "", append(server, "--topic", "perf", "--num-records", "2000", "--record-size", "100", "--throughput", "-1",
		"--warmup-records", "500", "--print-metrics", "--command-property", "acks=all", "batch.size=4096")...), 0,
		`(?s)^Warmup first 500 records\. Steady state results will print after the complete test summary\.
2000 records sent, [0-9.]+ records/sec \([0-9.]+ MB/sec\), [0-9.]+ ms avg latency, [0-9.]+ ms max latency, \d+ ms 50th, \d+ ms 95th, \d+ ms 99th, \d+ ms 99\.9th\.
1500 steady state records sent, .*
Metric Name +Value
.*producer-metrics:record-send-total:\{client-id=perf-producer-client\} +: 2000\.000`)
	const number = `-?[0-9.]+`
	matches(runTool(t, newConsumerPerfTool, "", append(server, "--topic", "perf", "--num-records", "2000", "--group", "g")...), 0,
		`^start\.time, end\.time, data\.consumed\.in\.MB, MB\.sec, data\.consumed\.in\.nMsg, nMsg\.sec, rebalance\.time\.ms, fetch\.time\.ms, fetch\.MB\.sec, fetch\.nMsg\.sec
\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}, 0\.1907, `+number+`, 2000, `+number+`, \d+, \d+, `+number+`, `+number+`
$`)
	if at := committed(t, broker, "g", "perf"); at != 2000 {
		t.Errorf("the consumer left its group at %d", at)
	}
	matches(runTool(t, newConsumerPerfTool, "", append(server, "--include", "pe.f", "--messages", "3000", "--timeout", "500", "--hide-header",
		"--show-detailed-stats", "--reporting-interval", "1", "--date-format", "HH")...), 0,
		`(?s)^Warning: --messages is deprecated\. Use --num-records instead\.\n(\d\d, 0, .*\n)?WARNING: Exiting before consuming the expected number of records: timeout \(500 ms\) exceeded\.`)
	matches(runTool(t, newE2ELatencyTool, "", broker, "e2e", "20", "all", "100"), 0,
		`(?s)^WARNING: Positional argument usage is deprecated.*
Topic "e2e" does not exist\. Will create topic with 1 partition\(s\) and replication factor = 1
0\t[0-9.]+
Avg latency: [0-9.]+ ms
Percentiles: 50th = \d+, 99th = \d+, 99\.9th = \d+
$`)
	matches(runTool(t, newE2ELatencyTool, "", append(server, "--topic", "e2e", "--num-records", "3", "--producer-acks", "1", "--record-size", "0", "--record-key-size", "3",
		"--num-headers", "2", "--record-header-key-size", "1", "--record-header-size", "-1")...), 0, `^0\t[0-9.]+\nAvg latency`)
}

// names are the names of the events in a verifiable tool's output, and the output without times.
func verifiableEvents(t *testing.T, out string) (names []string, steady string) {
	t.Helper()
	for line := range strings.Lines(out) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		names = append(names, e.Name)
	}
	return names, regexp.MustCompile(`"(timestamp|avg_throughput)":[0-9.]+`).ReplaceAllString(out, `"$1":#`)
}

func TestVerifiableTools(t *testing.T) {
	broker := startWeir(t)
	server := []string{"--bootstrap-server", broker, "--topic", "verif"}
	if r := runTool(t, newTopicsTool, "", append(server, "--create")...); r.exit != 0 {
		t.Fatal(r)
	}
	r := runTool(t, newVerifiableProducer, "", append(server, "--max-messages", "3", "--value-prefix", "7", "--repeating-keys", "2")...)
	_, got := verifiableEvents(t, r.stdout)
	want := `{"timestamp":#,"name":"startup_complete"}
{"timestamp":#,"name":"producer_send_success","key":"0","value":"7.0","offset":0,"topic":"verif","partition":0}
{"timestamp":#,"name":"producer_send_success","key":"1","value":"7.1","offset":1,"topic":"verif","partition":0}
{"timestamp":#,"name":"producer_send_success","key":"0","value":"7.2","offset":2,"topic":"verif","partition":0}
{"timestamp":#,"name":"shutdown_complete"}
{"timestamp":#,"name":"tool_data","sent":3,"acked":3,"target_throughput":-1,"avg_throughput":#}
`
	if diff := cmp.Diff(want, got); diff != "" || r.exit != 0 {
		t.Errorf("producer, exit %d (-want +got):\n%s", r.exit, diff)
	}
	r = runTool(t, newVerifiableConsumer, "", append(server, "--group-id", "g", "--max-messages", "2", "--verbose")...)
	_, got = verifiableEvents(t, r.stdout)
	want = `{"timestamp":#,"name":"startup_complete"}
{"timestamp":#,"name":"partitions_assigned","partitions":[{"topic":"verif","partition":0}]}
{"timestamp":#,"name":"record_data","key":"0","value":"7.0","topic":"verif","partition":0,"offset":0}
{"timestamp":#,"name":"record_data","key":"1","value":"7.1","topic":"verif","partition":0,"offset":1}
{"timestamp":#,"name":"records_consumed","count":3,"partitions":[{"topic":"verif","partition":0,"count":2,"minOffset":0,"maxOffset":1}]}
{"timestamp":#,"name":"offsets_committed","offsets":[{"topic":"verif","partition":0,"offset":2}],"success":true}
{"timestamp":#,"name":"partitions_revoked","partitions":[{"topic":"verif","partition":0}]}
{"timestamp":#,"name":"shutdown_complete"}
{"timestamp":#,"name":"shutdown_requested"}
`
	if diff := cmp.Diff(want, got); diff != "" || r.exit != 0 {
		t.Errorf("consumer, exit %d (-want +got):\n%s", r.exit, diff)
	}
	if r := runTool(t, newVerifiableConsumer, "", append(server, "--group-id", "auto", "--max-messages", "1", "--enable-autocommit")...); r.exit != 0 {
		t.Error(r)
	}
	if at := committed(t, broker, "auto", "verif"); at != 3 { // all of what was polled
		t.Errorf("--enable-autocommit left the group at %d", at)
	}
}

// committed is the sum of the group's offsets in the topic.
func committed(t *testing.T, broker, group, topic string) (sum int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range offsets[topic] {
		sum += o.At
	}
	return sum
}

func TestPerfToolsRefuse(t *testing.T) {
	tests := []struct {
		tool func() Command
		args string
		want string // the last line of the error stream, or the first one
	}{
		{newProducerPerfTool, "--topic t --num-records 0 --record-size 1 --throughput -1 --bootstrap-server b:1", "--num-records should be greater than zero."},
		{newProducerPerfTool, "--topic t --num-records 5 --record-size 1 --throughput -1", "At least one of --bootstrap-server, --command-property"},
		{newProducerPerfTool, "--topic t --num-records 5 --record-size 1 --throughput -1 --bootstrap-server b:1 --warmup-records 5", "The value for --warmup-records must be strictly fewer"},
		{newProducerPerfTool, "--topic t --num-records 5 --record-size 1 --throughput -1 --producer-props a=b --command-property a=b", "cannot be specified together"},
		{newProducerPerfTool, "--topic t --num-records 5 --payload-file nosuch --throughput -1 --bootstrap-server b:1", "File does not exist or empty file provided."},
		{newConsumerPerfTool, "--bootstrap-server b:1 --num-records 5", "Exactly one of the following arguments is required: [topic], [include]"},
		{newConsumerPerfTool, "--bootstrap-server b:1 --topic t", "Exactly one of the following arguments is required: [messages], [num-records]"},
		{newConsumerPerfTool, "--broker-list b:1 --topic t --messages 1", "use --bootstrap-server"},
		{newE2ELatencyTool, "b:1 t", "Invalid number of arguments. Expected 5 or 6 positional arguments, but got 2."},
		{newE2ELatencyTool, "b:1 t 5 0 10", "Invalid value for --producer-acks. Latency testing requires synchronous acknowledgement."},
	}
	for _, tt := range tests {
		if r := runTool(t, tt.tool, "", strings.Fields(tt.args)...); r.exit != 1 || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%s: %v, want %q", tt.args, r, tt.want)
		}
	}
}

func TestPayloadFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "payloads")
	if err := os.WriteFile(file, []byte("one|two||"), 0o600); err != nil {
		t.Fatal(err)
	}
	tool := newProducerPerfTool().(*producerPerfTool)
	args := []string{"--topic", "t", "--num-records", "1", "--throughput", "-1", "--payload-file", file, "--payload-delimiter", `\|`}
	if err := tool.Flags().Parse(args); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	payloads, err := tool.payloads(Env{Stdout: &out})
	if err != nil || out.String() != "Reading payloads from: "+file+"\nNumber of records read: 2\n" {
		t.Fatalf("%q, %v", out.String(), err)
	}
	if v := string(payloads.Next(0)); v != "one" && v != "two" {
		t.Errorf("payload %q", v)
	}
}

func TestCompareSent(t *testing.T) {
	sent := &kgo.Record{Key: []byte("k"), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}}}
	same := *sent
	tests := []struct {
		read *kgo.Record
		want string
	}{
		{&same, ""},
		{nil, "poll() timed out before finding a result (timeout:[60000ms])"},
		{&kgo.Record{Key: sent.Key, Value: []byte("w")}, "The message value read [w] did not match the message value sent [v]"},
		{&kgo.Record{Value: sent.Value}, "Expected message key but received null"},
		{&kgo.Record{Key: []byte("l"), Value: sent.Value}, "The message key read [l] did not match the message key sent [k]"},
		{&kgo.Record{Key: sent.Key, Value: sent.Value}, "Expected message headers but received none"},
		{&kgo.Record{Key: sent.Key, Value: sent.Value, Headers: []kgo.RecordHeader{{Key: "h"}}}, "The message header read [h:] did not match the message header sent [h:x]"},
	}
	for _, tt := range tests {
		var read []*kgo.Record
		if tt.read != nil {
			read = append(read, tt.read)
		}
		if err := compareSent(sent, read); tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}

func TestSpreadKeepsToTheRules(t *testing.T) {
	var brokers []clusterNode
	for id := range int32(6) {
		brokers = append(brokers, clusterNode{id: id, rack: fmt.Sprint("rack", id%3)})
	}
	for _, racks := range []bool{false, true} {
		assigned, err := spread(brokers, racks, 12, 3)
		if err != nil {
			t.Fatal(err)
		}
		leaders := map[int32]int{}
		for p, replicas := range assigned {
			leaders[replicas[0]]++
			if len(replicas) != 3 || len(duplicates(replicas)) > 0 {
				t.Errorf("partition %d has replicas %v", p, replicas)
			}
			inRack := map[int32]bool{}
			for _, id := range replicas {
				inRack[id%3] = true
			}
			if racks && len(inRack) != 3 {
				t.Errorf("partition %d has replicas %v in %d racks", p, replicas, len(inRack))
			}
		}
		for id, n := range leaders {
			if n != 2 {
				t.Errorf("broker %d leads %d of 12 partitions", id, n)
			}
		}
	}
	if _, err := spread(brokers, false, 1, 7); err == nil {
		t.Error("seven replicas on six brokers")
	}
}

// TestReassignAcrossBrokers has a move that is under way and throttled, which one node of Apache Kafka cannot show.
func TestReassignAcrossBrokers(t *testing.T) {
	b := newFakeBroker(t)
	b.on(kmsg.NewPtrMetadataRequest(), func(kmsg.Request) kmsg.Response {
		resp := b.metadata(11, 12)
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = kmsg.StringPtr("rep2")
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Leader, p.Replicas = 12, []int32{12, 11}
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp
	})
	b.on(kmsg.NewPtrListPartitionReassignmentsRequest(), func(kmsg.Request) kmsg.Response { return kmsg.NewPtrListPartitionReassignmentsResponse() })
	b.on(kmsg.NewPtrDescribeLogDirsRequest(), func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrDescribeLogDirsResponse()
		resp.Dirs = append(resp.Dirs, logDir("/d", map[topicPartition]int64{{"rep2", 0}: 5}))
		return resp
	})
	b.on(kmsg.NewPtrIncrementalAlterConfigsRequest(), func(kmsg.Request) kmsg.Response { return kmsg.NewPtrIncrementalAlterConfigsResponse() })
	b.on(kmsg.NewPtrAlterPartitionAssignmentsRequest(), func(kmsg.Request) kmsg.Response { return kmsg.NewPtrAlterPartitionAssignmentsResponse() })
	file := writeFile(t, `{"version":1,"partitions":[{"topic":"rep2","partition":0,"replicas":[11]}]}`)
	run := func(args ...string) result {
		return runTool(t, newReassignTool, "", append([]string{"--bootstrap-server", b.addr}, args...)...)
	}
	wantResult(t, run("--execute", "--reassignment-json-file", file, "--throttle", "1000000", "--replica-alter-log-dirs-throttle", "5000"), `Current partition replica assignment

{"version":1,"partitions":[{"topic":"rep2","partition":0,"replicas":[12,11],"log_dirs":["/d","/d"]}]}

Save this to use as the --reassignment-json-file option during rollback
Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed.
The inter-broker throttle limit was set to 1000000 B/s
The replica-alter-dir throttle limit was set to 5000 B/s
Successfully started partition reassignment for rep2-0
# exit: 0
`)
	settings := map[string]string{}
	for _, r := range b.requests(kmsg.NewPtrIncrementalAlterConfigsRequest()) {
		for _, res := range r.(*kmsg.IncrementalAlterConfigsRequest).Resources {
			for _, c := range res.Configs {
				settings[res.ResourceName+" "+c.Name] = *c.Value
			}
		}
	}
	want := map[string]string{
		"rep2 leader.replication.throttled.replicas": "0:11,0:12", "rep2 follower.replication.throttled.replicas": "",
		"11 leader.replication.throttled.rate": "1000000", "11 follower.replication.throttled.rate": "1000000",
		"12 leader.replication.throttled.rate": "1000000", "12 follower.replication.throttled.rate": "1000000",
	}
	if diff := cmp.Diff(want, settings); diff != "" {
		t.Errorf("throttles (-want +got):\n%s", diff)
	}
	b.on(kmsg.NewPtrListPartitionReassignmentsRequest(), func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrListPartitionReassignmentsResponse()
		topic := kmsg.NewListPartitionReassignmentsResponseTopic()
		topic.Topic = "rep2"
		p := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
		p.Replicas, p.RemovingReplicas = []int32{11, 12}, []int32{12}
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp
	})
	wantResult(t, run("--list"), "Current partition reassignments:\nrep2-0: replicas: 11,12. removing: 12.\n# exit: 0\n")
	wantResult(t, run("--verify", "--reassignment-json-file", file),
		"Status of partition reassignment:\nReassignment of partition rep2-0 is still in progress.\n\n# exit: 0\n")
	r := run("--execute", "--reassignment-json-file", file)
	if r.exit != 1 || !strings.HasPrefix(r.stdout, "Cannot execute because there is an existing partition assignment.") {
		t.Errorf("a second move: %v", r)
	}
	wantResult(t, run("--cancel", "--reassignment-json-file", file, "--preserve-throttles"),
		"Successfully cancelled partition reassignment for: rep2-0\nNone of the specified partition moves are active.# exit: 0\n")
	requests := b.requests(kmsg.NewPtrAlterPartitionAssignmentsRequest())
	if last := requests[len(requests)-1].(*kmsg.AlterPartitionAssignmentsRequest); last.Topics[0].Partitions[0].Replicas != nil {
		t.Errorf("the cancellation asks for replicas %v", last.Topics[0].Partitions[0].Replicas)
	}
	b.on(kmsg.NewPtrMetadataRequest(), func(kmsg.Request) kmsg.Response { return nil }) // controllers do not answer it
	b.on(kmsg.NewPtrDescribeClusterRequest(), func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrDescribeClusterResponse()
		resp.ControllerID = 1
		resp.Brokers = append(resp.Brokers, kmsg.DescribeClusterResponseBroker{NodeID: 1, Host: b.host, Port: b.port})
		return resp
	})
	wantResult(t, runTool(t, newReassignTool, "", "--bootstrap-controller", b.addr, "--cancel", "--reassignment-json-file", file),
		"Successfully cancelled partition reassignment for: rep2-0\nNone of the specified partition moves are active.Clearing broker-level throttles on brokers 1,11\n"+
			"Clearing topic-level throttles on topic rep2\n# exit: 0\n")
}
