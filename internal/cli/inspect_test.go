package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func wantResult(t *testing.T, got result, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// logDir is a directory of a DescribeLogDirs answer with partitions "topic-number" and their sizes.
func logDir(path string, partitions map[topicPartition]int64) kmsg.DescribeLogDirsResponseDir {
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = path
	for tp, size := range partitions {
		topic := kmsg.NewDescribeLogDirsResponseDirTopic()
		topic.Topic = tp.topic
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size = tp.partition, size
		topic.Partitions = append(topic.Partitions, p)
		dir.Topics = append(dir.Topics, topic)
	}
	return dir
}

// TestLogDirs has Kafka's own output for these directories.
func TestLogDirs(t *testing.T) {
	b := newFakeBroker(t)
	b.on(kmsg.NewPtrDescribeLogDirsRequest(), func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrDescribeLogDirsResponse()
		resp.Dirs = []kmsg.DescribeLogDirsResponseDir{
			logDir("/var/lib/kafka/data1", map[topicPartition]int64{{"alpha", 4}: 0, {"alpha", 2}: 72, {"alpha", 1}: 85, {"bravo", 0}: 5}),
			logDir("/var/lib/kafka/data2", map[topicPartition]int64{{"charlie", 0}: 437, {"alpha", 0}: 0, {"alpha", 3}: 72, {"bravo", 1}: 5}),
		}
		return resp
	})
	wantResult(t, runTool(t, newLogDirsTool, "", "--bootstrap-server", b.addr, "--describe", "--topic-list", "alpha,charlie"),
		`Querying brokers for log directories information
Received log directory information from brokers 1
{"brokers":[{"broker":1,"logDirs":[{"partitions":[{"partition":"alpha-4","size":0,"offsetLag":0,"isFuture":false},{"partition":"alpha-2","size":72,"offsetLag":0,"isFuture":false},{"partition":"alpha-1","size":85,"offsetLag":0,"isFuture":false}],"error":null,"logDir":"/var/lib/kafka/data1"},{"partitions":[{"partition":"alpha-3","size":72,"offsetLag":0,"isFuture":false},{"partition":"alpha-0","size":0,"offsetLag":0,"isFuture":false},{"partition":"charlie-0","size":437,"offsetLag":0,"isFuture":false}],"error":null,"logDir":"/var/lib/kafka/data2"}]}],"version":1}
# exit: 0
`)
	wantResult(t, runTool(t, newLogDirsTool, "", "--bootstrap-server", b.addr, "--describe", "--broker-list", "1", "--topic-list", "charlie"),
		`Querying brokers for log directories information
Received log directory information from brokers 1
{"brokers":[{"broker":1,"logDirs":[{"partitions":[],"error":null,"logDir":"/var/lib/kafka/data1"},{"partitions":[{"partition":"charlie-0","size":437,"offsetLag":0,"isFuture":false}],"error":null,"logDir":"/var/lib/kafka/data2"}]}],"version":1}
# exit: 0
`)
	wantResult(t, runTool(t, newLogDirsTool, "", "--bootstrap-server", b.addr, "--describe", "--broker-list", "7"),
		`# stderr:
ERROR: The given brokers do not exist from --broker-list: 7. Current existent brokers: 1
# exit: 1
`)
}

// TestLogDirsOfTwoBrokers has Kafka's own output, in which the second broker comes first, and a failed directory.
func TestLogDirsOfTwoBrokers(t *testing.T) {
	b := newFakeBroker(t)
	b.on(kmsg.NewPtrMetadataRequest(), func(kmsg.Request) kmsg.Response { return b.metadata(11, 12) })
	b.on(kmsg.NewPtrDescribeLogDirsRequest(), func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrDescribeLogDirsResponse()
		bad := logDir("/bad", nil)
		bad.ErrorCode = 56
		resp.Dirs = []kmsg.DescribeLogDirsResponseDir{bad}
		return resp
	})
	const dirs = `"logDirs":[{"partitions":[],"error":"org.apache.kafka.common.errors.KafkaStorageException","logDir":"/bad"}]`
	wantResult(t, runTool(t, newLogDirsTool, "", "--bootstrap-server", b.addr, "--describe"),
		`Querying brokers for log directories information
Received log directory information from brokers 11,12
{"brokers":[{"broker":12,`+dirs+`},{"broker":11,`+dirs+`}],"version":1}
# exit: 0
`)
}

func TestLogDirsCommandLine(t *testing.T) {
	r := runTool(t, newLogDirsTool, "", "--bootstrap-server", "127.0.0.1:1")
	if r.exit != 1 || !strings.HasPrefix(r.stderr, "Missing required argument \"[describe]\"\n") {
		t.Errorf("without --describe: %v", r)
	}
}

func clusterAnswer(b *fakeBroker, nodes ...kmsg.DescribeClusterResponseBroker) func(kmsg.Request) kmsg.Response {
	return func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrDescribeClusterResponse()
		resp.ClusterID, resp.ControllerID = "kXbsFcGxQcWy9XzurXHdmQ", 3001
		for _, n := range nodes {
			if n.Host == "" {
				n.Host, n.Port = b.host, b.port
			}
			resp.Brokers = append(resp.Brokers, n)
		}
		return resp
	}
}

func describedNode(id int32, host string, port int32, rack string, fenced bool) kmsg.DescribeClusterResponseBroker {
	n := kmsg.NewDescribeClusterResponseBroker()
	n.NodeID, n.Host, n.Port, n.IsFenced = id, host, port, fenced
	if rack != "" {
		n.Rack = &rack
	}
	return n
}

func TestClusterTool(t *testing.T) {
	b := newFakeBroker(t)
	b.on(kmsg.NewPtrDescribeClusterRequest(), clusterAnswer(b, describedNode(12, "127.0.0.1", 29192, "r12", true), describedNode(11, "127.0.0.1", 29191, "r11", false)))
	wantResult(t, runTool(t, newClusterTool, "", "cluster-id", "-b", b.addr), "Cluster ID: kXbsFcGxQcWy9XzurXHdmQ\n# exit: 0\n")
	wantResult(t, runTool(t, newClusterTool, "", "list-endpoints", "--bootstrap-server", b.addr, "--include-fenced-brokers"),
		"ID         HOST      PORT       RACK STATE      ENDPOINT_TYPE  \n"+
			"11         127.0.0.1 29191      r11 unfenced   broker         \n"+
			"12         127.0.0.1 29192      r12 fenced     broker         \n# exit: 0\n")
	for _, r := range b.requests(kmsg.NewPtrDescribeClusterRequest()) {
		if r.(*kmsg.DescribeClusterRequest).EndpointType != 1 {
			t.Errorf("asked for endpoints of type %d, want brokers", r.(*kmsg.DescribeClusterRequest).EndpointType)
		}
	}
}

func TestClusterToolControllers(t *testing.T) {
	b := newFakeBroker(t)
	b.on(kmsg.NewPtrMetadataRequest(), nil) // which controllers do not know
	b.on(kmsg.NewPtrDescribeClusterRequest(), clusterAnswer(b, describedNode(3001, "127.0.0.1", 29190, "", false), describedNode(3002, "127.0.0.1", 29290, "", false)))
	wantResult(t, runTool(t, newClusterTool, "", "list-endpoints", "--bootstrap-controller", b.addr),
		"ID         HOST      PORT       RACK       ENDPOINT_TYPE  \n"+
			"3001       127.0.0.1 29190      null       controller     \n"+
			"3002       127.0.0.1 29290      null       controller     \n# exit: 0\n")
}

func TestClusterToolUnregister(t *testing.T) {
	b := newFakeBroker(t)
	b.on(kmsg.NewPtrDescribeClusterRequest(), clusterAnswer(b, describedNode(3001, "", 0, "", false)))
	b.on(kmsg.NewPtrUnregisterBrokerRequest(), func(r kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrUnregisterBrokerResponse()
		if r.(*kmsg.UnregisterBrokerRequest).BrokerID == 77 {
			message := "Broker ID 77 is not currently registered"
			resp.ErrorCode, resp.ErrorMessage = 102, &message
		}
		return resp
	})
	for _, flag := range []string{"--bootstrap-server", "--bootstrap-controller"} {
		wantResult(t, runTool(t, newClusterTool, "", "unregister", flag, b.addr, "--id", "12"), "Broker 12 is no longer registered.\n# exit: 0\n")
		r := runTool(t, newClusterTool, "", "unregister", flag, b.addr, "--id", "77")
		lines := strings.Split(r.stderr, "\n")
		const java = "org.apache.kafka.common.errors.BrokerIdNotRegisteredException: Broker ID 77 is not currently registered"
		if r.exit != 1 || len(lines) < 3 || !strings.HasSuffix(lines[0], "] ERROR [AdminClient clientId=adminclient-1] Unregister broker request for broker "+
			"ID 77 failed: Broker ID 77 is not currently registered (org.apache.kafka.clients.admin.KafkaAdminClient)") ||
			lines[1] != java || lines[2] != "java.util.concurrent.ExecutionException: "+java {
			t.Errorf("missing broker: %v", r)
		}
	}
}

func TestBrokerAPIVersions(t *testing.T) {
	b := newFakeBroker(t)
	versions := func(key, low, high int16) kmsg.ApiVersionsResponseApiKey {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = key, low, high
		return k
	}
	b.on(kmsg.NewPtrApiVersionsRequest(), func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{versions(18, 0, 4), versions(3, 0, 12), versions(0, 0, 99), versions(46, 0, 0), versions(1, 90, 99), versions(999, 3, 3),
			versions(60, 0, 0)}
		return resp
	})
	got := runTool(t, newBrokerAPIVersionsTool, "", "--bootstrap-server", b.addr)
	for _, want := range []string{
		b.addr + " (id: 1 rack: null isFenced: false) -> (\n\tProduce(0): 0 to 99 [usable: ",
		"\tFetch(1): 90 to 99 [unusable: node too new],\n",
		"\tListOffsets(2): UNSUPPORTED,\n",
		"\tMetadata(3): 0 to 12 [usable: 12],\n",
		"\tListPartitionReassignments(46): 0 [usable: 0],\n",
		"\tDescribeUserScramCredentials(50): UNSUPPORTED,\n",
		"\tUNKNOWN(999): 3\n)\n",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("output lacks %q:\n%s", want, got.stdout)
		}
	}
}
