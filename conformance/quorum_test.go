//go:build conform

package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/kwire"
)

// What Apache's tools are told to do with a dynamic quorum (KIP-853) of two controllers and a third that has no vote yet. %A
// are the brokers, %C the controllers, %P3 the third's settings, %D3 its directory; %L is the leader when the line is
// run, %F a follower, each with its directory as %DL and %DF.
var quorumWalk = []string{
	"kafka-metadata-quorum --bootstrap-server %A describe --status",
	"kafka-metadata-quorum --bootstrap-server %A describe --replication",
	"kafka-metadata-quorum --bootstrap-server %A --command-config %P3 add-controller",
	"kafka-metadata-quorum --bootstrap-server %A --command-config %P3 add-controller",
	"kafka-metadata-quorum --bootstrap-controller %C describe --status",
	"kafka-metadata-quorum --bootstrap-server %A remove-controller -i 9 -d %D3",
	"kafka-metadata-quorum --bootstrap-server %A remove-controller -i %F -d %DF",
	"kafka-metadata-quorum --bootstrap-server %A remove-controller -i %L -d %DL",
	"kafka-metadata-quorum --bootstrap-server %A describe --status",
}

// TestQuorumTools has Apache's tools change the voters of a quorum of each side, and compares what they print.
func TestQuorumTools(t *testing.T) {
	d := dist(t, kafkadist.Current)
	ref := walkQuorum(t, d, brokers.Config{Dist: d, Heap: "384M"})
	c := brokers.Config{Binary: binary(t)}
	if selfComparison() {
		c = brokers.Config{Dist: d, Heap: "384M"}
	}
	judge(t, explanations(t), ref, walkQuorum(t, d, c))
}

func walkQuorum(t *testing.T, d *kafkadist.Dist, c brokers.Config) script.Transcript {
	c.Dir = t.TempDir()
	c.Port = basePort + int(started.Add(3))*portsEach
	nodes, directories, err := brokers.StartDynamic(t.Context(), 3, 2, c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, n := range nodes {
			if t.Failed() {
				t.Logf("the end of %s's log:\n%s", n.Dir, n.LogTail(10))
			}
			n.Kill()
		}
	}()
	directories = append(directories, directoryID(t, nodes[2]))
	var addrs, controllers []string
	for _, n := range nodes {
		addrs = append(addrs, n.Addr)
		controllers = append(controllers, fmt.Sprintf("127.0.0.1:%d", n.Controller))
	}
	tr := script.Transcript{Scenario: "quorum-tools"}
	for i, line := range quorumWalk {
		t.Logf("%s: %s", nodes[0].Name(), line)
		leader, follower := quorumRoles(t, nodes)
		fill := strings.NewReplacer("%A", strings.Join(addrs, ","), "%C", strings.Join(controllers, ","), "%P3", nodes[2].PropsFile(), "%D3", directories[2],
			"%DL", directories[leader-1], "%DF", directories[max(follower, 1)-1], "%L", fmt.Sprint(leader), "%F", fmt.Sprint(follower))
		args := strings.Fields(fill.Replace(line))
		out, code := tool(t, d, nil, "", args[0], args[1:]...)
		facts := map[string]string{"exit code": fmt.Sprint(code)}
		t.Logf("%s", out)
		for text, times := range quorumPrinted(out, nodes, leader, follower, directories) {
			facts["prints "+text] = fmt.Sprintf("%d times", times)
		}
		tr.Entries = append(tr.Entries, script.Entry{Label: fmt.Sprintf("%d: %s", i+1, line), Facts: facts})
	}
	return tr
}

// directoryID is the id of a node's directory.
func directoryID(t *testing.T, b *brokers.Broker) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.DataDir(), "meta.properties"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`directory\.id=(\S+)`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no directory.id in %s", text)
	}
	return string(m[1])
}

// quorumRoles are the leader and the first other voter, 0 if there is none.
func quorumRoles(t *testing.T, nodes []*brokers.Broker) (leader, follower int32) {
	t.Helper()
	eventually(t, "a leader of the quorum", func() bool {
		conn, err := kwire.Dial(nodes[0].Addr)
		if err != nil {
			return false
		}
		defer conn.Close()
		req := kmsg.NewPtrDescribeQuorumRequest()
		req.Version = 2
		topic := kmsg.NewDescribeQuorumRequestTopic()
		topic.Topic = "__cluster_metadata"
		topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
		req.Topics = append(req.Topics, topic)
		resp, err := conn.Request(req)
		if err != nil {
			return false
		}
		r := resp.(*kmsg.DescribeQuorumResponse)
		if r.ErrorCode != 0 || len(r.Topics) != 1 || r.Topics[0].Partitions[0].LeaderID < 1 {
			return false
		}
		p := &r.Topics[0].Partitions[0]
		leader, follower = p.LeaderID, 0
		for _, v := range p.CurrentVoters {
			if v.ReplicaID != leader {
				follower = v.ReplicaID
				break
			}
		}
		return true
	})
	return leader, follower
}

var (
	quorumRow    = regexp.MustCompile(`(?m)^(\d+)\s+(\S{22})\s+\d+\s+\d+\s+\S+\s+\S+\s+(Leader|Follower|Observer)`)
	quorumMember = regexp.MustCompile(`\{"id": (\d+), "directoryId": "?[^",}]+"?(, "endpoints": \["CONTROLLER://127\.0\.0\.1:\d+"\])?\}(, )?`)
)

// quorumPrinted is printed, with the parts that nodes play in place of who they are.
func quorumPrinted(out string, nodes []*brokers.Broker, leader, follower int32, directories []string) map[string]int {
	names := []string{}
	for i, n := range nodes {
		part := "the other"
		switch int32(i + 1) {
		case leader:
			part = "the leader"
		case follower:
			part = "the follower"
		}
		names = append(names, directories[i], "<directory of "+part+">", n.Dir, "<folder>")
	}
	out = strings.NewReplacer(names...).Replace(quorumRow.ReplaceAllString(out, "<node> $3"))
	out = quorumMember.ReplaceAllString(out, "<member$2>")
	out = regexp.MustCompile(`:\d{5}`).ReplaceAllString(out, ":<port>")
	out = regexp.MustCompile(`(controller|replica|voter|id=|LeaderId: +)( ?)[123]\b`).ReplaceAllString(out, "$1$2<id>")
	out = regexp.MustCompile(`\[(ReplicaKey\([^)]*\)(, )?)+\]`).ReplaceAllString(out, "<voters>")
	out = regexp.MustCompile(`CurrentObservers:.*`).ReplaceAllString(out, "CurrentObservers: <those who have asked yet>")
	return printed(out, nodes[0])
}
