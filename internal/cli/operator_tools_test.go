package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// asKafka is a tool of this package and its class in Kafka.
type asKafka struct {
	class string
	tool  func() Command
}

var changing = regexp.MustCompile(`\b\d{13}\b|\d+ ms ago|HighWatermark: +\d+|Epoch: +\d+$|adminclient-\d+|\t\d+ +\t0  \t|\[\d{4}-\d\d-\d\d [0-9:,]+\]`)

// withoutChanging takes out what changes from run to run.
func withoutChanging(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(changing.ReplaceAllString(line, "#"), " \t")
	}
	return strings.Join(lines, "\n")
}

// usageTable cuts the table of flags, whose explanations are this project's own.
var usageTable = regexp.MustCompile(`(?s)\nOption +Description.*?(# exit|$)`)

// TestOperatorToolsAgainstKafka runs each command line with Kafka's own tool and with this project's, both against
// Apache Kafka, and compares everything that is printed.
func TestOperatorToolsAgainstKafka(t *testing.T) {
	kafka := startKafka(t)
	if r := runTool(t, newTopicsTool, "", "--bootstrap-server", kafka, "--create", "--topic", "alpha", "--partitions", "5"); r.exit != 0 {
		t.Fatal(r)
	}
	dir := t.TempDir()
	o := startOracle(t, dir)
	tools := map[string]asKafka{
		"kafka-broker-api-versions": {"BrokerApiVersionsCommand", newBrokerAPIVersionsTool},
		"kafka-cluster":             {"ClusterTool", newClusterTool},
		"kafka-log-dirs":            {"LogDirsCommand", newLogDirsTool},
		"kafka-features":            {"FeatureCommand", newFeaturesTool},
		"kafka-metadata-quorum":     {"MetadataQuorumCommand", newMetadataQuorumTool},
		"kafka-leader-election":     {"LeaderElectionCommand", newLeaderElectionTool},
		"kafka-reassign-partitions": {"reassign.ReassignPartitionsCommand", newReassignTool},
	}
	table, err := os.ReadFile("testdata/operator_tools/cases")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/operator_tools/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(string(table)) {
		words := strings.Fields(strings.ReplaceAll(line, "$BROKER", kafka))
		if len(words) == 0 {
			continue
		}
		t.Run(strings.Join(words, " "), func(t *testing.T) {
			t.Chdir(dir)
			pair := tools[words[0]]
			got := withoutChanging(usageTable.ReplaceAllString(runTool(t, pair.tool, "", words[1:]...).String(), "$1"))
			want := withoutChanging(usageTable.ReplaceAllString(o.run(t, pair.class, words[1:]...).String(), "$1"))
			got, want = withoutTrace(got), withoutTrace(want)
			if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("(-kafka +got):\n%s", diff)
			}
		})
	}
}

func apiFeature(name string, low, high int16) kmsg.ApiVersionsResponseSupportedFeature {
	f := kmsg.NewApiVersionsResponseSupportedFeature()
	f.Name, f.MinVersion, f.MaxVersion = name, low, high
	return f
}

func TestFeaturesDescribe(t *testing.T) {
	b := newFakeBroker(t)
	b.on(kmsg.NewPtrApiVersionsRequest(), func(kmsg.Request) kmsg.Response {
		resp := allVersions()
		resp.SupportedFeatures = []kmsg.ApiVersionsResponseSupportedFeature{apiFeature("metadata.version", 7, 99), apiFeature("group.version", 0, 1)}
		final := kmsg.NewApiVersionsResponseFinalizedFeature()
		final.Name, final.MaxVersionLevel = "metadata.version", 30
		resp.FinalizedFeatures, resp.FinalizedFeaturesEpoch = append(resp.FinalizedFeatures, final), 4825
		return resp
	})
	wantResult(t, runTool(t, newFeaturesTool, "", "--bootstrap-server", b.addr, "describe"), ""+
		"Feature: group.version                             SupportedMinVersion: 0                SupportedMaxVersion: 1                FinalizedVersionLevel: 0                Epoch: 4825\n"+
		"Feature: metadata.version                          SupportedMinVersion: 3.3-IV3          SupportedMaxVersion: UNKNOWN 99       FinalizedVersionLevel: 4.3-IV0          Epoch: 4825\n# exit: 0\n")
}

func TestFeaturesChange(t *testing.T) {
	b := newFakeBroker(t)
	b.on(kmsg.NewPtrUpdateFeaturesRequest(), func(r kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrUpdateFeaturesResponse()
		if r.(*kmsg.UpdateFeaturesRequest).FeatureUpdates[0].MaxVersionLevel == 9 {
			message := "The update failed for all features since the following feature had an error: no"
			resp.ErrorCode, resp.ErrorMessage = 95, &message
		}
		return resp
	})
	server := []string{"--bootstrap-server", b.addr}
	run := func(args ...string) result { return runTool(t, newFeaturesTool, "", append(server, args...)...) }
	wantResult(t, run("downgrade", "--feature", "transaction.version=1", "--dry-run"), "transaction.version can be downgraded to 1.\n# exit: 0\n")
	wantResult(t, run("upgrade", "--feature", "transaction.version=9"), "Could not upgrade transaction.version to 9. The update failed for all features "+
		"since the following feature had an error: no\n# stderr:\n1 out of 1 operation(s) failed.\n# exit: 1\n")
	wantResult(t, run("disable", "--feature", "group.version"), "group.version was disabled.\n# exit: 0\n")
	wantResult(t, run("upgrade"), "# stderr:\nYou must specify at least one feature to upgrade\n# exit: 1\n")
	wantResult(t, run("upgrade", "--feature", "x"), "# stderr:\nCan't parse feature=level string x: equals sign not found.\n# exit: 1\n")
	kinds := []int8{}
	for _, r := range b.requests(kmsg.NewPtrUpdateFeaturesRequest()) {
		kinds = append(kinds, r.(*kmsg.UpdateFeaturesRequest).FeatureUpdates[0].UpgradeType)
	}
	if diff := cmp.Diff([]int8{featureSafeDowngrade, featureUpgrade, featureSafeDowngrade}, kinds); diff != "" {
		t.Errorf("kinds of change (-want +got):\n%s", diff)
	}
}

func quorumReplica(id int32, end, fetched, caughtUp int64) kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
	s := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
	s.ReplicaID, s.LogEndOffset, s.LastFetchTimestamp, s.LastCaughtUpTimestamp = id, end, fetched, caughtUp
	s.ReplicaDirectoryID[0] = byte(id)
	return s
}

// TestMetadataQuorum has the tables of Kafka's tool for a quorum of two with an observer.
func TestMetadataQuorum(t *testing.T) {
	b := newFakeBroker(t)
	b.on(kmsg.NewPtrDescribeClusterRequest(), clusterAnswer(b, describedNode(1, "", 0, "", false)))
	b.on(kmsg.NewPtrDescribeQuorumRequest(), func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrDescribeQuorumResponse()
		p := kmsg.NewDescribeQuorumResponseTopicPartition()
		p.LeaderID, p.LeaderEpoch, p.HighWatermark = 3001, 9, 2253
		p.CurrentVoters = append(p.CurrentVoters, quorumReplica(3002, 2259, 1700000000100, 1700000000100), quorumReplica(3001, 2260, 1700000000463, 1700000000463))
		p.Observers = append(p.Observers, quorumReplica(11, 2260, 1700000000400, -1))
		topic := kmsg.NewDescribeQuorumResponseTopic()
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		for _, id := range []int32{3001, 3002} {
			n := kmsg.NewDescribeQuorumResponseNode()
			n.NodeID = id
			l := kmsg.NewDescribeQuorumResponseNodeListener()
			l.Name, l.Host, l.Port = "CONTROLLER", "127.0.0.1", uint16(26000+id)
			n.Listeners = append(n.Listeners, l)
			resp.Nodes = append(resp.Nodes, n)
		}
		return resp
	})
	run := func(args ...string) result {
		return runTool(t, newMetadataQuorumTool, "", append([]string{"--bootstrap-server", b.addr}, args...)...)
	}
	wantResult(t, run("describe", "--status"), `ClusterId:              kXbsFcGxQcWy9XzurXHdmQ
LeaderId:               3001
LeaderEpoch:            9
HighWatermark:          2253
MaxFollowerLag:         1
MaxFollowerLagTimeMs:   363
CurrentVoters:          [{"id": 3002, "directoryId": "ugAAAAAAAAAAAAAAAAAAAA", "endpoints": ["CONTROLLER://127.0.0.1:29002"]}, {"id": 3001, "directoryId": "uQAAAAAAAAAAAAAAAAAAAA", "endpoints": ["CONTROLLER://127.0.0.1:29001"]}]
CurrentObservers:       [{"id": 11, "directoryId": "CwAAAAAAAAAAAAAAAAAAAA"}]
# exit: 0
`)
	wantResult(t, run("describe", "--replication"), ""+
		"NodeId\tDirectoryId           \tLogEndOffset\tLag\tLastFetchTimestamp\tLastCaughtUpTimestamp\tStatus  \t\n"+
		"3001  \tuQAAAAAAAAAAAAAAAAAAAA\t2260        \t0  \t1700000000463     \t1700000000463        \tLeader  \t\n"+
		"3002  \tugAAAAAAAAAAAAAAAAAAAA\t2259        \t1  \t1700000000100     \t1700000000100        \tFollower\t\n"+
		"11    \tCwAAAAAAAAAAAAAAAAAAAA\t2260        \t0  \t1700000000400     \t-1                   \tObserver\t\n# exit: 0\n")
	if r := run("describe", "--replication", "--human-readable"); !strings.Contains(r.stdout, " ms ago") || r.exit != 0 {
		t.Errorf("human readable: %v", r)
	}
	wantResult(t, run("describe"), "# stderr:\nOne of --status or --replication must be specified with describe sub-command\n# exit: 1\n")
	wantResult(t, run("remove-controller", "-i", "3002", "-d", "bznUphfni9pI66gJ8l2ljQ", "--dry-run"),
		"DRY RUN of removing  KRaft controller 3002 with directory id bznUphfni9pI66gJ8l2ljQ\n# exit: 0\n")
}

func TestAddControllerReadsItsSettings(t *testing.T) {
	b := newFakeBroker(t)
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "meta.properties"), []byte("directory.id=bznUphfni9pI66gJ8l2ljQ\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, "node.id=3002\nprocess.roles=controller\nlog.dirs="+data+",/elsewhere\ncontroller.listener.names=CONTROLLER\nlisteners=CONTROLLER://:29290\n")
	wantResult(t, runTool(t, newMetadataQuorumTool, "", "--bootstrap-controller", b.addr, "--command-config", file, "add-controller", "--dry-run"),
		"DRY RUN of adding controller 3002 with directory id bznUphfni9pI66gJ8l2ljQ and endpoints: CONTROLLER://localhost:29290\n# exit: 0\n")
}

func electionAnswer(codes map[topicPartition]int16) func(kmsg.Request) kmsg.Response {
	return func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrElectLeadersResponse()
		for tp, code := range codes {
			topic := kmsg.NewElectLeadersResponseTopic()
			topic.Topic = tp.topic
			p := kmsg.NewElectLeadersResponseTopicPartition()
			p.Partition, p.ErrorCode = tp.partition, code
			topic.Partitions = append(topic.Partitions, p)
			resp.Topics = append(resp.Topics, topic)
		}
		return resp
	}
}

// TestLeaderElection has the output of Kafka's tool for these outcomes, order of partitions included.
func TestLeaderElection(t *testing.T) {
	b := newFakeBroker(t)
	run := func(args ...string) result {
		return runTool(t, newLeaderElectionTool, "", append([]string{"--bootstrap-server", b.addr, "--election-type"}, args...)...)
	}
	b.on(kmsg.NewPtrElectLeadersRequest(), electionAnswer(map[topicPartition]int16{{"rep2", 2}: 0, {"rep", 1}: 0, {"__consumer_offsets", 1}: 0}))
	wantResult(t, run("preferred", "--all-topic-partitions"),
		"Successfully completed leader election (PREFERRED) for partitions rep2-2, rep-1, __consumer_offsets-1\n# exit: 0\n")
	b.on(kmsg.NewPtrElectLeadersRequest(), electionAnswer(map[topicPartition]int16{{"alpha", 0}: 84}))
	wantResult(t, run("unclean", "--topic", "alpha", "--partition", "0"), "Valid replica already elected for partitions alpha-0\n# exit: 0\n")
	b.on(kmsg.NewPtrElectLeadersRequest(), electionAnswer(map[topicPartition]int16{{"rep2", 0}: 83}))
	r := run("UNCLEAN", "--topic", "rep2", "--partition", "0")
	if r.exit != 1 || !strings.HasPrefix(r.stdout, "Error completing leader election (UNCLEAN) for partition: rep2-0: org.apache.kafka.common.errors.EligibleLeadersNotAvailableException: ") ||
		!strings.HasPrefix(r.stderr, "1 replica(s) could not be elected\norg.apache.kafka.tools.AdminCommandFailedException: 1 replica(s) could not be elected\n\tSuppressed: ") {
		t.Errorf("failed election: %v", r)
	}
	wantResult(t, run("preferred"), "# stderr:\nOne and only one of the following options is required: topic, all-topic-partitions, path-to-json-file\n"+
		"org.apache.kafka.tools.AdminCommandFailedException: One and only one of the following options is required: topic, all-topic-partitions, path-to-json-file\n\n# exit: 1\n")
	file := writeFile(t, `{"partitions":[{"topic":"a","partition":1},{"topic":"a","partition":1}]}`)
	if r := run("preferred", "--path-to-json-file", file); !strings.Contains(r.stderr, "Replica election data contains duplicate partitions: [a-1]") {
		t.Errorf("duplicates: %v", r)
	}
}
