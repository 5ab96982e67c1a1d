package controller

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

func ptr(s string) *string { return &s }

type topicSpec struct {
	name       string
	partitions int32
	factor     int16
	assign     [][]int32
	configs    []string
}

func createRequest(validate bool, specs ...topicSpec) kmsg.Request {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.ValidateOnly, req.TimeoutMillis = 7, validate, 10000
	for _, s := range specs {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = s.name, s.partitions, s.factor
		for i, r := range s.assign {
			a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			a.Partition, a.Replicas = int32(i), r
			t.ReplicaAssignment = append(t.ReplicaAssignment, a)
		}
		for i := 0; i+1 < len(s.configs); i += 2 {
			e := kmsg.NewCreateTopicsRequestTopicConfig()
			e.Name = s.configs[i]
			if s.configs[i+1] != "<null>" {
				e.Value = &s.configs[i+1]
			}
			t.Configs = append(t.Configs, e)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

func deleteRequest(names ...string) kmsg.Request {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis = 6, 10000
	for _, n := range names {
		t := kmsg.NewDeleteTopicsRequestTopic()
		switch n {
		case "<id>":
			t.TopicID = [16]byte{1, 2, 3}
		case "<neither>":
		case "<both>":
			t.Topic, t.TopicID = ptr("x"), [16]byte{9}
		default:
			t.Topic = &n
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

func partitionsRequest(topic string, count int32, assign ...[]int32) kmsg.Request {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.TimeoutMillis = 3, 10000
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = topic, count
	for _, r := range assign {
		a := kmsg.NewCreatePartitionsRequestTopicAssignment()
		a.Replicas = r
		t.Assignment = append(t.Assignment, a)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// alterRequest takes triples of operation, name, value; the operation is one of set, del, app, sub.
func alterRequest(kind kmsg.ConfigResourceType, name string, ops ...string) kmsg.Request {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	for i := 0; i+2 < len(ops); i += 3 {
		e := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		e.Op = kmsg.IncrementalAlterConfigOp(slices.Index([]string{"set", "del", "app", "sub"}, ops[i]))
		e.Name = ops[i+1]
		if ops[i+2] != "<null>" {
			e.Value = &ops[i+2]
		}
		r.Configs = append(r.Configs, e)
	}
	req.Resources = append(req.Resources, r)
	return req
}

func legacyAlterRequest(kind kmsg.ConfigResourceType, name string, pairs ...string) kmsg.Request {
	req := kmsg.NewPtrAlterConfigsRequest()
	req.Version = 2
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	for i := 0; i+1 < len(pairs); i += 2 {
		e := kmsg.NewAlterConfigsRequestResourceConfig()
		e.Name, e.Value = pairs[i], &pairs[i+1]
		r.Configs = append(r.Configs, e)
	}
	req.Resources = append(req.Resources, r)
	return req
}

func electRequest(kind int8, topic string, partitions ...int32) kmsg.Request {
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version, req.ElectionType, req.TimeoutMillis = 2, kind, 10000
	if topic != "" {
		t := kmsg.NewElectLeadersRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
	}
	return req
}

func featureRequest(validate bool, kind int8, pairs ...any) kmsg.Request {
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.Version, req.ValidateOnly, req.TimeoutMillis = 1, validate, 10000
	for i := 0; i+1 < len(pairs); i += 2 {
		u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		u.Feature, u.MaxVersionLevel, u.UpgradeType = pairs[i].(string), int16(pairs[i+1].(int)), kind
		req.FeatureUpdates = append(req.FeatureUpdates, u)
	}
	return req
}

func reassignRequest(topic string, partition int32, replicas []int32) kmsg.Request {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.Version, req.TimeoutMillis = 1, 10000
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic = topic
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	p.Partition, p.Replicas = partition, replicas
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func quotaRequest(entity []string, key string, value float64, remove bool) kmsg.Request {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.Version = 1
	e := kmsg.NewAlterClientQuotasRequestEntry()
	for i := 0; i+1 < len(entity); i += 2 {
		p := kmsg.NewAlterClientQuotasRequestEntryEntity()
		p.Type = entity[i]
		if entity[i+1] != "<default>" {
			p.Name = &entity[i+1]
		}
		e.Entity = append(e.Entity, p)
	}
	op := kmsg.NewAlterClientQuotasRequestEntryOp()
	op.Key, op.Value, op.Remove = key, value, remove
	e.Ops = append(e.Ops, op)
	req.Entries = append(req.Entries, e)
	return req
}

const (
	ofTopic   = kmsg.ConfigResourceTypeTopic
	ofBroker  = kmsg.ConfigResourceTypeBroker
	ofGroup   = kmsg.ConfigResourceType(32)
	ofMetrics = kmsg.ConfigResourceType(16)
)

// dialogue is a course of requests whose answers are Apache Kafka's word for word. It begins with an empty cluster of
// one broker and leaves it so.
var dialogue = []struct {
	name string
	req  kmsg.Request
}{
	{"create", createRequest(false, topicSpec{name: "oracle-a", partitions: 3, factor: 1}, topicSpec{name: "oracle.b", partitions: 1, factor: 1, configs: []string{"cleanup.policy", "compact"}})},
	{"exists", createRequest(false, topicSpec{name: "oracle-a", partitions: 3, factor: 1})},
	{"validate", createRequest(true, topicSpec{name: "oracle-c", partitions: -1, factor: -1})},
	{"collides", createRequest(false, topicSpec{name: "oracle_b", partitions: 1, factor: 1})},
	{"names", createRequest(false, topicSpec{name: "", partitions: 1, factor: 1}, topicSpec{name: ".", partitions: 1, factor: 1}, topicSpec{name: "a/b", partitions: 1, factor: 1}, topicSpec{name: strings.Repeat("x", 250), partitions: 1, factor: 1})},
	{"duplicate", createRequest(false, topicSpec{name: "oracle-d", partitions: 1, factor: 1}, topicSpec{name: "oracle-d", partitions: 2, factor: 1})},
	{"metadata topic", createRequest(false, topicSpec{name: "__cluster_metadata", partitions: 1, factor: 1})},
	{"counts", createRequest(false, topicSpec{name: "c1", partitions: 0, factor: 1}, topicSpec{name: "c2", partitions: -2, factor: 1}, topicSpec{name: "c3", partitions: 1, factor: 0}, topicSpec{name: "c4", partitions: 1, factor: -2}, topicSpec{name: "c5", partitions: 1, factor: 2})},
	{"manual", createRequest(false, topicSpec{name: "m1", partitions: 1, factor: -1, assign: [][]int32{{1}}}, topicSpec{name: "m2", partitions: -1, factor: 1, assign: [][]int32{{1}}}, topicSpec{name: "m3", partitions: -1, factor: -1, assign: [][]int32{{7}}},
		topicSpec{name: "m4", partitions: -1, factor: -1, assign: [][]int32{{1, 1}}}, topicSpec{name: "m5", partitions: -1, factor: -1, assign: [][]int32{{}}}, topicSpec{name: "m6", partitions: -1, factor: -1, assign: [][]int32{{1}, {1, 2}}})},
	{"manual works", createRequest(false, topicSpec{name: "oracle-m", partitions: -1, factor: -1, assign: [][]int32{{1}, {1}}})},
	{"configs", createRequest(false, topicSpec{name: "k1", partitions: 1, factor: 1, configs: []string{"nope", "1"}}, topicSpec{name: "k2", partitions: 1, factor: 1, configs: []string{"retention.ms", "x"}}, topicSpec{name: "k3", partitions: 1, factor: 1, configs: []string{"segment.bytes", "1"}},
		topicSpec{name: "k4", partitions: 1, factor: 1, configs: []string{"retention.ms", "<null>"}}, topicSpec{name: "k5", partitions: 1, factor: 1, configs: []string{"cleanup.policy", "bogus"}})},
	{"too many", createRequest(false, topicSpec{name: "big", partitions: 10001, factor: 1})},
	{"partitions same", partitionsRequest("oracle-a", 3)},
	{"partitions fewer", partitionsRequest("oracle-a", 2)},
	{"partitions unknown", partitionsRequest("nowhere", 2)},
	{"partitions assignment count", partitionsRequest("oracle-a", 5, []int32{1})},
	{"partitions assignment broker", partitionsRequest("oracle-a", 4, []int32{5})},
	{"partitions assignment factor", partitionsRequest("oracle-a", 4, []int32{})},
	{"partitions more", partitionsRequest("oracle-a", 5)},
	{"set", alterRequest(ofTopic, "oracle-a", "set", "retention.ms", "1000", "set", "cleanup.policy", "compact")},
	{"append", alterRequest(ofTopic, "oracle-a", "app", "cleanup.policy", "delete")},
	{"append number", alterRequest(ofTopic, "oracle-a", "app", "retention.ms", "1")},
	{"subtract number", alterRequest(ofTopic, "oracle-a", "sub", "retention.ms", "1")},
	{"subtract", alterRequest(ofTopic, "oracle-a", "sub", "cleanup.policy", "compact")},
	{"delete not set", alterRequest(ofTopic, "oracle-a", "del", "segment.ms", "<null>")},
	{"unknown key", alterRequest(ofTopic, "oracle-a", "set", "no.such.key", "1")},
	{"bad value", alterRequest(ofTopic, "oracle-a", "set", "retention.ms", "soon")},
	{"null value", alterRequest(ofTopic, "oracle-a", "set", "retention.ms", "<null>")},
	{"twice", alterRequest(ofTopic, "oracle-a", "set", "retention.ms", "1", "set", "retention.ms", "2")},
	{"no topic", alterRequest(ofTopic, "nowhere", "set", "retention.ms", "1")},
	{"empty topic name", alterRequest(ofTopic, "", "set", "retention.ms", "1")},
	{"broker", alterRequest(ofBroker, "1", "set", "log.cleaner.threads", "2")},
	{"broker unset", alterRequest(ofBroker, "1", "del", "log.cleaner.threads", "<null>")},
	{"broker read-only", alterRequest(ofBroker, "1", "set", "broker.rack", "r")},
	{"broker bad value", alterRequest(ofBroker, "1", "set", "log.cleaner.threads", "x")},
	{"broker name", alterRequest(ofBroker, "abc", "set", "log.cleaner.threads", "2")},
	{"broker min isr", alterRequest(ofBroker, "1", "set", "min.insync.replicas", "1")},
	{"cluster min isr gone", alterRequest(ofBroker, "", "del", "min.insync.replicas", "<null>")},
	{"cluster", alterRequest(ofBroker, "", "set", "log.retention.ms", "604800000")},
	{"cluster unset", alterRequest(ofBroker, "", "del", "log.retention.ms", "<null>")},
	{"group", alterRequest(ofGroup, "g", "set", "consumer.session.timeout.ms", "50000")},
	{"group bad", alterRequest(ofGroup, "g", "set", "consumer.session.timeout.ms", "1")},
	{"group unknown key", alterRequest(ofGroup, "g", "set", "nope", "1")},
	{"group unset", alterRequest(ofGroup, "g", "del", "consumer.session.timeout.ms", "<null>")},
	{"group empty", alterRequest(ofGroup, "", "set", "consumer.session.timeout.ms", "50000")},
	{"metrics empty", alterRequest(ofMetrics, "", "set", "interval.ms", "1000")},
	{"metrics bad", alterRequest(ofMetrics, "m", "set", "interval.ms", "1")},
	{"type", alterRequest(kmsg.ConfigResourceType(3), "x", "set", "a", "b")},
	{"legacy", legacyAlterRequest(ofTopic, "oracle-a", "retention.ms", "2000")},
	{"legacy bad", legacyAlterRequest(ofTopic, "oracle-a", "retention.ms", "y")},
	{"elect preferred", electRequest(0, "oracle-a", 0)},
	{"elect unclean", electRequest(1, "oracle-a", 0)},
	{"elect missing", electRequest(0, "nowhere", 0)},
	{"elect missing partition", electRequest(0, "oracle-a", 99)},
	{"elect all", electRequest(0, "")},
	{"reassign nothing", reassignRequest("oracle-a", 0, []int32{1})},
	{"reassign missing", reassignRequest("nowhere", 0, []int32{1})},
	{"reassign missing partition", reassignRequest("oracle-a", 99, []int32{1})},
	{"reassign broker", reassignRequest("oracle-a", 0, []int32{9})},
	{"reassign empty", reassignRequest("oracle-a", 0, []int32{})},
	{"reassign twice", reassignRequest("oracle-a", 0, []int32{1, 1})},
	{"reassign cancel", reassignRequest("oracle-a", 0, nil)},
	{"features same", featureRequest(true, 1, "metadata.version", 30)},
	{"features unknown", featureRequest(true, 1, "no.such.feature", 1)},
	{"features negative", featureRequest(true, 1, "metadata.version", -1)},
	{"features downgrade as upgrade", featureRequest(true, 1, "metadata.version", 20)},
	{"features safe downgrade", featureRequest(true, 2, "metadata.version", 15)},
	{"features unsafe downgrade", featureRequest(true, 3, "metadata.version", 15)},
	{"quota", quotaRequest([]string{"user", "u"}, "producer_byte_rate", 1000, false)},
	{"quota gone", quotaRequest([]string{"user", "u"}, "producer_byte_rate", 0, true)},
	{"quota key", quotaRequest([]string{"user", "u"}, "bogus", 1, false)},
	{"quota zero", quotaRequest([]string{"user", "u"}, "producer_byte_rate", 0, false)},
	{"quota fraction", quotaRequest([]string{"user", "u"}, "producer_byte_rate", 1.5, false)},
	{"quota type", quotaRequest([]string{"planet", "u"}, "producer_byte_rate", 1, false)},
	{"quota none", quotaRequest(nil, "producer_byte_rate", 1, false)},
	{"quota ip and user", quotaRequest([]string{"user", "u", "ip", "1.2.3.4"}, "connection_creation_rate", 1, false)},
	{"quota ip key", quotaRequest([]string{"ip", "1.2.3.4"}, "producer_byte_rate", 1, false)},
	{"quota empty name", quotaRequest([]string{"user", ""}, "producer_byte_rate", 1, false)},
	{"delete odd", deleteRequest("nowhere", "<id>")},
	{"delete neither", deleteRequest("<neither>")},
	{"delete both", deleteRequest("<both>")},
	{"delete twice", deleteRequest("oracle-m", "oracle-m")},
	{"delete", deleteRequest("oracle-a", "oracle.b", "oracle-m")},
}

// outline is what of an answer must be equal: codes, messages and the settings that a new topic gets.
func outline(resp kmsg.Response) string {
	var out []string
	add := func(name string, code int16, message *string, more ...any) {
		out = append(out, fmt.Sprintf("%s: %s %s %v", name, wire.Code(code).Name(), text(message), more))
	}
	switch r := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		for _, t := range r.Topics {
			var set []string
			for _, c := range t.Configs {
				if c.Source != 5 {
					set = append(set, fmt.Sprintf("%s=%s %d %v %v", c.Name, text(c.Value), c.Source, c.ReadOnly, c.IsSensitive))
				}
			}
			slices.Sort(set)
			add(t.Topic, t.ErrorCode, t.ErrorMessage, t.NumPartitions, t.ReplicationFactor, t.Configs == nil, set)
		}
	case *kmsg.DeleteTopicsResponse:
		for _, t := range r.Topics {
			add(text(t.Topic), t.ErrorCode, t.ErrorMessage, t.TopicID == [16]byte{})
		}
	case *kmsg.CreatePartitionsResponse:
		for _, t := range r.Topics {
			add(t.Topic, t.ErrorCode, t.ErrorMessage)
		}
	case *kmsg.IncrementalAlterConfigsResponse:
		for _, t := range r.Resources {
			add(t.ResourceName, t.ErrorCode, t.ErrorMessage)
		}
	case *kmsg.AlterConfigsResponse:
		for _, t := range r.Resources {
			add(t.ResourceName, t.ErrorCode, t.ErrorMessage)
		}
	case *kmsg.ElectLeadersResponse:
		add("all", r.ErrorCode, nil)
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				add(fmt.Sprint(t.Topic, "-", p.Partition), p.ErrorCode, p.ErrorMessage)
			}
		}
	case *kmsg.UpdateFeaturesResponse:
		add("all", r.ErrorCode, r.ErrorMessage)
		for _, t := range r.Results {
			add(t.Feature, t.ErrorCode, t.ErrorMessage)
		}
	case *kmsg.AlterPartitionAssignmentsResponse:
		add("all", r.ErrorCode, r.ErrorMessage, r.AllowReplicationFactorChange)
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				add(fmt.Sprint(t.Topic, "-", p.Partition), p.ErrorCode, p.ErrorMessage)
			}
		}
	case *kmsg.AlterClientQuotasResponse:
		for _, e := range r.Entries {
			add(fmt.Sprint(len(e.Entity)), e.ErrorCode, e.ErrorMessage)
		}
	default:
		out = append(out, fmt.Sprintf("%T", resp))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// dialogueFile has the outlines of Apache Kafka 4.3.1's answers.
const dialogueFile = "testdata/dialogue.txt"

// recorded reads the answers by the names of their requests.
func recorded(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(dialogueFile)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, part := range strings.Split(string(data), "# ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		out[name] = strings.TrimSuffix(text, "\n\n")
	}
	return out
}

// TestDialogue wants Apache Kafka's words from the controller.
func TestDialogue(t *testing.T) {
	want := recorded(t)
	k := newCluster(t)
	k.broker(1, -1)
	for _, d := range dialogue {
		got, err := k.c.Handle(k.ctx(), RequestContext{}, d.req)
		if err != nil {
			_, message := errorFields(err)
			got = wire.ErrorResponse(d.req, wire.CodeOf(err), text(message))
		}
		if g := outline(got); g != want[d.name] {
			t.Errorf("%s:\n got %s\nwant %s", d.name, g, want[d.name])
		}
	}
}

// TestDialogueOfApacheKafka holds the dialogue with a running Apache Kafka (WEIR_KAFKA_ORACLE=host:port, one combined
// node with id 1, format's defaults) and writes down its answers.
func TestDialogueOfApacheKafka(t *testing.T) {
	addr := os.Getenv("WEIR_KAFKA_ORACLE")
	if addr == "" {
		t.Skip("WEIR_KAFKA_ORACLE is not set")
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	clean := func() { _, _ = cl.Request(context.Background(), deleteRequest("oracle-a", "oracle.b", "oracle-m")) }
	clean() // what a run that was cut off may have left
	defer clean()
	var out strings.Builder
	for _, d := range dialogue {
		resp, err := cl.Broker(1).Request(context.Background(), d.req)
		if err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		fmt.Fprintf(&out, "# %s\n%s\n\n", d.name, outline(resp))
	}
	if err := os.WriteFile(dialogueFile, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
