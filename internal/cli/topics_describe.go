package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

// describedTopic is a topic as kafka-topics shows it.
type describedTopic struct {
	name       string
	id         [16]byte
	partitions []describedPartition
	configs    []configEntry
}

// describedPartition is a partition as kafka-topics shows it. elr is nil when the broker does not tell.
type describedPartition struct {
	index             int32
	leader            int32 // -1 for none
	replicas, isr     []int32
	elr, lastKnownELR []int32
	hasELR            bool
	reassignment      *kmsg.ListPartitionReassignmentsResponseTopicPartition
}

func (c *topicsRun) runDescribe(ctx context.Context) error {
	topics, err := c.describedTopics(ctx)
	if err != nil {
		return err
	}
	if err := c.addConfigs(ctx, topics); err != nil {
		return err
	}
	live, err := c.liveBrokers(ctx)
	if err != nil {
		return err
	}
	if err := c.addReassignments(ctx, topics); err != nil {
		return err
	}
	reporting := c.underReplicated.Present() || c.unavailable.Present() || c.underMinISR.Present() || c.atMinISR.Present()
	for _, t := range topics {
		slices.SortFunc(t.partitions, func(a, b describedPartition) int { return int(a.index - b.index) })
		if !reporting && (!c.overrides.Present() || t.hasOverrides()) {
			fmt.Fprintln(c.env.Stdout, t.summary())
		}
		if c.overrides.Present() {
			continue
		}
		for _, p := range t.partitions {
			if !reporting || c.reports(t, p, live) {
				fmt.Fprintln(c.env.Stdout, p.line(t.name))
			}
		}
	}
	return nil
}

func (c *topicsRun) describedTopics(ctx context.Context) ([]*describedTopic, error) {
	if id, ok := parseUUID(c.topicID.Value()); c.topicID.Present() && (!ok || id != [16]byte{}) {
		if !ok {
			return nil, client.IllegalArgument("Input string `" + c.topicID.Value() + "` cannot be decoded as a 16-byte base64 topic id")
		}
		return c.describeByID(ctx, id)
	}
	names, err := c.existingTopics(ctx)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	topics, err := c.describeByName(ctx, names)
	hashOrder(topics, len(names), func(t *describedTopic) int32 { return stringHash(t.name) })
	return topics, err
}

func parseUUID(text string) (id [16]byte, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 16 {
		return id, false
	}
	return [16]byte(raw), true
}

func uuidString(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// describeByID uses Metadata, which knows nothing of eligible leaders, as Kafka's admin client does for ids.
func (c *topicsRun) describeByID(ctx context.Context, id [16]byte) ([]*describedTopic, error) {
	all, err := listTopics(ctx, c.admin)
	if err != nil {
		return nil, err
	}
	for _, t := range all.Topics {
		if t.TopicID == id && t.Topic != nil && !(c.excludeInternal.Present() && t.IsInternal) {
			return []*describedTopic{fromMetadata(t)}, nil
		}
	}
	if c.ifExists.Present() {
		return nil, nil
	}
	return nil, client.IllegalArgument("TopicId '" + c.topicID.Value() + "' does not exist as expected")
}

func fromMetadata(t kmsg.MetadataResponseTopic) *describedTopic {
	d := &describedTopic{name: *t.Topic, id: t.TopicID}
	for _, p := range t.Partitions {
		d.partitions = append(d.partitions, describedPartition{index: p.Partition, leader: p.Leader, replicas: p.Replicas, isr: p.ISR})
	}
	return d
}

// describeByName pages through DescribeTopicPartitions, or asks for Metadata where brokers do not have it.
func (c *topicsRun) describeByName(ctx context.Context, names []string) ([]*describedTopic, error) {
	byName := map[string]*describedTopic{}
	var topics []*describedTopic
	var cursor *kmsg.DescribeTopicPartitionsRequestCursor
	for {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit = 2000
		if c.pageSize.Present() {
			req.ResponsePartitionLimit = int32(c.pageSize.Int64())
		}
		req.Cursor = cursor
		for _, name := range names {
			if cursor == nil || name >= cursor.Topic {
				t := kmsg.NewDescribeTopicPartitionsRequestTopic()
				t.Topic = name
				req.Topics = append(req.Topics, t)
			}
		}
		raw, err := c.admin.Call(ctx, "describeTopicPartitions", req)
		if cursor == nil && (client.HasCode(err, kerr.UnsupportedVersion) || client.Unsupported(err)) {
			return c.describeByMetadata(ctx, names)
		}
		if err != nil {
			return nil, err
		}
		resp := raw.(*kmsg.DescribeTopicPartitionsResponse)
		for _, t := range resp.Topics {
			if err := client.Coded(t.ErrorCode, nil); err != nil {
				return nil, err
			}
			d := byName[*t.Topic]
			if d == nil {
				d = &describedTopic{name: *t.Topic, id: t.TopicID}
				byName[*t.Topic] = d
				topics = append(topics, d)
			}
			d.addPage(t.Partitions)
		}
		if resp.NextCursor == nil {
			return topics, nil
		}
		next := kmsg.NewDescribeTopicPartitionsRequestCursor()
		next.Topic, next.Partition = resp.NextCursor.Topic, resp.NextCursor.Partition
		if cursor != nil && next.Topic == cursor.Topic && next.Partition == cursor.Partition {
			return topics, fmt.Errorf("the broker repeats the page at %s-%d", next.Topic, next.Partition)
		}
		cursor = &next
	}
}

func (d *describedTopic) addPage(page []kmsg.DescribeTopicPartitionsResponseTopicPartition) {
	for _, p := range page {
		d.partitions = append(d.partitions, describedPartition{
			index: p.Partition, leader: p.LeaderID, replicas: p.Replicas, isr: p.ISR,
			elr: p.EligibleLeaderReplicas, lastKnownELR: p.LastKnownELR, hasELR: true,
		})
	}
}

func (c *topicsRun) describeByMetadata(ctx context.Context, names []string) ([]*describedTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := c.admin.Call(ctx, "describeTopics", req)
	if err != nil {
		return nil, err
	}
	var topics []*describedTopic
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		if err := client.Coded(t.ErrorCode, nil); err != nil {
			return nil, err
		}
		topics = append(topics, fromMetadata(t))
	}
	return topics, nil
}

func (c *topicsRun) addConfigs(ctx context.Context, topics []*describedTopic) error {
	if len(topics) == 0 {
		return nil
	}
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.name
	}
	configs, err := describeConfigs(ctx, c.admin, kmsg.ConfigResourceTypeTopic, names, false)
	if err != nil {
		return err
	}
	for _, t := range topics {
		found := configs[t.name]
		if found.err != nil {
			return found.err
		}
		t.configs = found.entries
	}
	return nil
}

func (c *topicsRun) liveBrokers(ctx context.Context) ([]int32, error) {
	nodes, err := clusterNodes(ctx, c.admin)
	if err != nil {
		return nil, err
	}
	ids := make([]int32, len(nodes))
	for i, n := range nodes {
		ids[i] = n.id
	}
	return ids, nil
}

// addReassignments attaches running reassignments. A cluster that cannot tell, or may not, is taken to have none.
func (c *topicsRun) addReassignments(ctx context.Context, topics []*describedTopic) error {
	if len(topics) == 0 {
		return nil
	}
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.TimeoutMillis = 30000
	for _, t := range topics {
		rt := kmsg.NewListPartitionReassignmentsRequestTopic()
		rt.Topic = t.name
		for _, p := range t.partitions {
			rt.Partitions = append(rt.Partitions, p.index)
		}
		req.Topics = append(req.Topics, rt)
	}
	raw, err := c.admin.Call(ctx, "listPartitionReassignments", req)
	if err == nil {
		resp := raw.(*kmsg.ListPartitionReassignmentsResponse)
		if err = client.Coded(resp.ErrorCode, resp.ErrorMessage); err == nil {
			attachReassignments(topics, resp.Topics)
			return nil
		}
	}
	if client.HasCode(err, kerr.UnsupportedVersion, kerr.ClusterAuthorizationFailed) || client.Unsupported(err) {
		return nil
	}
	return err
}

func attachReassignments(topics []*describedTopic, running []kmsg.ListPartitionReassignmentsResponseTopic) {
	for _, rt := range running {
		for _, t := range topics {
			if t.name != rt.Topic {
				continue
			}
			for _, rp := range rt.Partitions {
				for i := range t.partitions {
					if t.partitions[i].index == rp.Partition {
						t.partitions[i].reassignment = &rp
					}
				}
			}
		}
	}
}

func (t *describedTopic) hasOverrides() bool {
	return slices.ContainsFunc(t.configs, func(e configEntry) bool { return !e.isDefault() })
}

func (t *describedTopic) summary() string {
	var overrides []string
	for _, e := range t.configs {
		if !e.isDefault() {
			overrides = append(overrides, e.name+"="+e.value)
		}
	}
	line := "Topic: " + t.name
	if t.id != [16]byte{} {
		line += "\tTopicId: " + uuidString(t.id)
	}
	factor := 0
	if len(t.partitions) > 0 {
		factor = t.partitions[0].replicationFactor()
	}
	return fmt.Sprintf("%s\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s", line, len(t.partitions), factor, strings.Join(overrides, ","))
}

// replicationFactor leaves out replicas that a running reassignment only adds.
func (p describedPartition) replicationFactor() int {
	if r := p.reassignment; r != nil && p.reassigning() {
		return len(r.Replicas) - len(r.AddingReplicas)
	}
	return len(p.replicas)
}

func (p describedPartition) reassigning() bool {
	for _, id := range slices.Concat(p.reassignment.AddingReplicas, p.reassignment.RemovingReplicas) {
		if slices.Contains(p.replicas, id) {
			return true
		}
	}
	return false
}

func (c *topicsRun) reports(t *describedTopic, p describedPartition, live []int32) bool {
	minISR := 1
	for _, e := range t.configs {
		if e.name == "min.insync.replicas" {
			minISR, _ = strconv.Atoi(e.value)
		}
	}
	return c.underReplicated.Present() && p.replicationFactor()-len(p.isr) > 0 ||
		c.unavailable.Present() && (p.leader < 0 || !slices.Contains(live, p.leader)) ||
		c.underMinISR.Present() && (p.leader < 0 || len(p.isr) < minISR) ||
		c.atMinISR.Present() && len(p.isr) == minISR
}

func (p describedPartition) line(topic string) string {
	leader := "none"
	if p.leader >= 0 {
		leader = strconv.Itoa(int(p.leader))
	}
	line := fmt.Sprintf("\tTopic: %s\tPartition: %d\tLeader: %s\tReplicas: %s\tIsr: %s", topic, p.index, leader, joinIDs(p.replicas), joinIDs(p.isr))
	if p.reassignment != nil {
		line += "\tAdding Replicas: " + joinIDs(p.reassignment.AddingReplicas) + "\tRemoving Replicas: " + joinIDs(p.reassignment.RemovingReplicas)
	}
	if !p.hasELR {
		return line + "\tElr: N/A\tLastKnownElr: N/A"
	}
	return line + "\tElr: " + joinIDs(p.elr) + "\tLastKnownElr: " + joinIDs(p.lastKnownELR)
}

func joinIDs(ids []int32) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = strconv.Itoa(int(id))
	}
	return strings.Join(words, ",")
}
