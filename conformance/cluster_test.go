//go:build conform

package conformance

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// What is asked of three nodes by Apache's tools. %A are the addresses of all, %D is the folder of the plans.
var clusterWalk = []struct {
	before func(*trio, *testing.T)
	line   string
	input  string
}{
	{line: "kafka-topics --bootstrap-server %A --create --topic assigned --replica-assignment 1:2:3,2:3:1,3:1:2 --config min.insync.replicas=2"},
	{line: "kafka-topics --bootstrap-server %A --create --topic wide --partitions 6 --replication-factor 3 --config min.insync.replicas=2"},
	{line: "kafka-topics --bootstrap-server %A --create --topic unknown --replica-assignment 1:9"},
	{line: "kafka-topics --bootstrap-server %A --create --topic twice --replica-assignment 1:1"},
	{line: "kafka-topics --bootstrap-server %A --describe --topic assigned"},
	{line: "kafka-topics --bootstrap-server %A --alter --topic assigned --partitions 4 --replica-assignment 1:2:3,2:3:1,3:1:2,3:2:1"},
	{line: "kafka-console-producer --bootstrap-server %A --topic assigned --producer-property acks=all --property parse.key=true --property key.separator=:", input: "a:1\nb:2\nc:3\nd:4\n"},
	{line: "kafka-console-consumer --bootstrap-server %A --topic assigned --from-beginning --max-messages 4 --group walkers --timeout-ms 20000"},
	{line: "kafka-consumer-groups --bootstrap-server %A --describe --group walkers"},
	{line: "kafka-metadata-quorum --bootstrap-server %A describe --replication", before: (*trio).waitVoters},
	{line: "kafka-reassign-partitions --bootstrap-server %A --execute --reassignment-json-file %D/shrink.json"},
	{line: "kafka-reassign-partitions --bootstrap-server %A --verify --reassignment-json-file %D/shrink.json", before: settled("assigned", 0, 2, 3)},
	{line: "kafka-topics --bootstrap-server %A --describe --topic assigned"},
	{line: "kafka-reassign-partitions --bootstrap-server %A --execute --reassignment-json-file %D/grow.json --throttle 10000000 --replica-alter-log-dirs-throttle 10000000"},
	{line: "kafka-configs --bootstrap-server %A --describe --entity-type brokers --entity-name 1"},
	{line: "kafka-reassign-partitions --bootstrap-server %A --verify --reassignment-json-file %D/grow.json", before: settled("assigned", 0, 1, 2, 3)},
	{line: "kafka-configs --bootstrap-server %A --describe --entity-type brokers --entity-name 1"},
	{line: "kafka-configs --bootstrap-server %A --describe --entity-type topics --entity-name assigned"},
	{line: "kafka-reassign-partitions --bootstrap-server %A --execute --reassignment-json-file %D/wrong.json"},
	{line: "kafka-reassign-partitions --bootstrap-server %A --cancel --reassignment-json-file %D/grow.json"},
	{line: "kafka-reassign-partitions --bootstrap-server %A --list"},
	{line: "kafka-log-dirs --bootstrap-server %A --describe --broker-list 1,2 --topic-list wide"},
	{line: "kafka-topics --bootstrap-server %A --describe --under-replicated-partitions --topic assigned", before: (*trio).stopThird},
	{line: "kafka-topics --bootstrap-server %A --describe --at-min-isr-partitions --topic assigned"},
	{line: "kafka-topics --bootstrap-server %A --describe --topic assigned"},
	{line: "kafka-leader-election --bootstrap-server %A --election-type preferred --topic assigned --partition 2"},
	{line: "kafka-console-producer --bootstrap-server %A --topic assigned --producer-property acks=all --property parse.key=true --property key.separator=:", input: "e:5\nf:6\n"},
	{line: "kafka-leader-election --bootstrap-server %A --election-type preferred --topic assigned --partition 2", before: (*trio).startThird},
	{line: "kafka-topics --bootstrap-server %A --describe --topic assigned", before: settled("assigned", 2, 1, 2, 3)},
	{line: "kafka-console-consumer --bootstrap-server %A --topic assigned --from-beginning --max-messages 6 --timeout-ms 20000"},
	{line: "kafka-topics --bootstrap-server %A --delete --topic wide"},
	{line: "kafka-topics --bootstrap-server %A --list"},
	{line: "kafka-features --bootstrap-server %A upgrade --feature kraft.version=1", before: (*trio).waitTold},
	{line: "kafka-metadata-quorum --bootstrap-server %A describe --replication"},
	{line: "kafka-features --bootstrap-server %A downgrade --feature kraft.version=0"},
}

// The plans that the walk carries out, by file name.
var clusterPlans = map[string]string{
	"shrink.json": `{"version":1,"partitions":[{"topic":"assigned","partition":0,"replicas":[2,3]}]}`,
	"grow.json":   `{"version":1,"partitions":[{"topic":"assigned","partition":0,"replicas":[1,2,3]}]}`,
	"wrong.json":  `{"version":1,"partitions":[{"topic":"assigned","partition":0,"replicas":[1,2,7]}]}`,
}

// trio is three nodes, each a broker and a voter.
type trio struct {
	nodes []*brokers.Broker
	cl    *kgo.Client
	adm   *kadm.Client
}

// TestClusterTools walks through Apache's tools against three nodes of each side and compares what they print.
func TestClusterTools(t *testing.T) {
	d := dist(t, kafkadist.Current)
	apacheNodes := brokers.Config{Dist: d, Heap: "384M"}
	subjectNodes := brokers.Config{Binary: binary(t)}
	if selfComparison() {
		subjectNodes = apacheNodes
	}
	ref := walkTrio(t, d, apacheNodes)
	sub := walkTrio(t, d, subjectNodes)
	judge(t, explanations(t), ref, sub)
}

func walkTrio(t *testing.T, d *kafkadist.Dist, c brokers.Config) script.Transcript {
	c.Dir = t.TempDir()
	c.Port = basePort + int(started.Add(3))*portsEach
	c.Props = map[string]string{"auto.leader.rebalance.enable": "false"}
	nodes, err := brokers.StartNodes(t.Context(), 3, c)
	if err != nil {
		t.Fatal(err)
	}
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.Addr)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		t.Fatal(err)
	}
	three := &trio{nodes: nodes, cl: cl, adm: kadm.NewClient(cl)}
	defer func() {
		cl.Close()
		for _, n := range nodes {
			if t.Failed() {
				t.Logf("the end of %s's log:\n%s", n.Dir, n.LogTail(10))
			}
			n.Kill()
		}
	}()
	for name, text := range clusterPlans {
		write(t, c.Dir, name, text)
	}
	fill := strings.NewReplacer("%A", strings.Join(addrs, ","), "%D", c.Dir)
	tr := script.Transcript{Scenario: "cluster-tools"}
	for _, run := range clusterWalk {
		if run.before != nil {
			run.before(three, t)
		}
		args := strings.Fields(fill.Replace(run.line))
		out, code := tool(t, d, nil, run.input, args[0], args[1:]...)
		facts := map[string]string{"exit code": fmt.Sprint(code)}
		for line, times := range three.printed(out) {
			facts["prints "+line] = fmt.Sprintf("%d times", times)
		}
		tr.Entries = append(tr.Entries, script.Entry{Label: strings.ReplaceAll(run.line, " --bootstrap-server %A", ""), Facts: facts})
	}
	return tr
}

// What runs differ in freely: in which order replicas came back into the ISR, and which voter leads at which offset.
var (
	freely = regexp.MustCompile(`Isr: ([\d,]+)`)
	voter  = regexp.MustCompile(`(?m)^\d+\s+\S{22}\s+\d+\s+\d+\s+\d+\s+\d+\s+(Leader|Follower)`)
)

func (c *trio) printed(out string) map[string]int {
	for _, n := range c.nodes {
		out = strings.ReplaceAll(out, n.Dir, "<dir>")
	}
	out = freely.ReplaceAllStringFunc(out, func(s string) string {
		ids := strings.Split(strings.TrimPrefix(s, "Isr: "), ",")
		slices.Sort(ids)
		return "Isr: " + strings.Join(ids, ",")
	})
	return printed(voter.ReplaceAllString(out, "<voter> $1"), c.nodes[0])
}

// settled waits until a partition has these replicas, all in sync.
func settled(topic string, partition int32, replicas ...int32) func(*trio, *testing.T) {
	return func(c *trio, t *testing.T) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s-%d in sync on %v", topic, partition, replicas), func() bool {
			all, err := c.adm.ListTopics(t.Context(), topic)
			if err != nil {
				return false
			}
			p := all[topic].Partitions[partition]
			isr, have := slices.Sorted(slices.Values(p.ISR)), slices.Sorted(slices.Values(p.Replicas))
			return p.Leader >= 0 && slices.Equal(isr, replicas) && slices.Equal(have, replicas)
		})
	}
}

func (c *trio) waitVoters(t *testing.T) {
	t.Helper()
	eventually(t, "three brokers", func() bool {
		all, err := c.adm.ListBrokers(t.Context())
		return err == nil && len(all) == 3
	})
}

// waitTold waits until all voters have told the leader what it must know of them to make the quorum a dynamic one.
func (c *trio) waitTold(t *testing.T) {
	t.Helper()
	eventually(t, "three voters that have told of themselves", func() bool {
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.ValidateOnly = true
		u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		u.Feature, u.MaxVersionLevel, u.UpgradeType = "kraft.version", 1, 1
		req.FeatureUpdates = append(req.FeatureUpdates, u)
		resp, err := req.RequestWith(t.Context(), c.cl)
		return err == nil && resp.ErrorCode == 0
	})
}

func (c *trio) stopThird(t *testing.T) {
	t.Helper()
	if err := c.nodes[2].Stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the third broker is gone", func() bool {
		all, err := c.adm.ListTopics(t.Context())
		return err == nil && !slices.ContainsFunc(slices.Collect(maps.Values(all)), func(d kadm.TopicDetail) bool {
			return slices.ContainsFunc(d.Partitions.Sorted(), func(p kadm.PartitionDetail) bool {
				return p.Leader == 3 || slices.Contains(p.ISR, 3)
			})
		})
	})
}

func (c *trio) startThird(t *testing.T) {
	t.Helper()
	if err := c.nodes[2].Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	settled("assigned", 2, 1, 2, 3)(c, t)
}
