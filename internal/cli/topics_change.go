package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

// topicsRun is one run of kafka-topics against a cluster.
type topicsRun struct {
	*topicsTool
	env   Env
	admin *client.Admin
}

func (c *topicsRun) runCreate(ctx context.Context) error {
	req, err := c.createRequest()
	if err != nil {
		return err
	}
	name := req.Topics[0].Topic
	if strings.ContainsAny(name, "._") {
		fmt.Fprintln(c.env.Stdout, "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. "+
			"To avoid issues it is best to use either, but not both.")
	}
	if f := c.replicationFactor; f.Present() && (f.Int64() < 1 || f.Int64() > 32767) {
		return client.IllegalArgument("The replication factor must be between 1 and 32767 inclusive")
	}
	if f := c.partitions; f.Present() && f.Int64() < 1 {
		return client.IllegalArgument("The partitions must be greater than 0")
	}
	resp, err := c.admin.Call(ctx, "createTopics", req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
		if err := client.Coded(t.ErrorCode, t.ErrorMessage); err != nil {
			if client.HasCode(err, kerr.TopicAlreadyExists) && c.ifNotExists.Present() {
				return nil
			}
			return err
		}
	}
	c.awaitEverywhere(ctx, name)
	fmt.Fprintf(c.env.Stdout, "Created topic %s.\n", name)
	return nil
}

// everywherePatience bounds how long a tool waits until all brokers have heard of a new topic.
const everywherePatience = 2 * time.Second

// awaitEverywhere waits until all brokers have heard of a new topic. They do so within milliseconds, but the next command line may
// be as quick, and ask another one than this.
func (c *topicsRun) awaitEverywhere(ctx context.Context, topic string) {
	ctx, cancel := context.WithTimeout(ctx, everywherePatience)
	defer cancel()
	nodes, err := clusterNodes(ctx, c.admin)
	if err != nil || len(nodes) < 2 {
		return
	}
	for _, n := range nodes {
		for ctx.Err() == nil && c.unknownAt(ctx, n.id, topic) {
			pause(ctx, 10*time.Millisecond)
		}
	}
}

// unknownAt reports whether a broker says that it does not know a topic.
func (c *topicsRun) unknownAt(ctx context.Context, broker int32, topic string) bool {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	req.Topics = append(req.Topics, t)
	resp, err := c.admin.CallBroker(ctx, "describeTopics", broker, req)
	if err != nil {
		return false
	}
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		if client.HasCode(client.Coded(t.ErrorCode, nil), kerr.UnknownTopicOrPartition) {
			return true
		}
	}
	return false
}

func (c *topicsRun) createRequest() (*kmsg.CreateTopicsRequest, error) {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic = c.topic.Value()
	t.NumPartitions, t.ReplicationFactor = -1, -1
	if c.partitions.Present() {
		t.NumPartitions = int32(c.partitions.Int64())
	}
	if c.replicationFactor.Present() {
		t.ReplicationFactor = int16(c.replicationFactor.Int64())
	}
	if c.assignment.Value() != "" {
		t.NumPartitions, t.ReplicationFactor = -1, -1
		replicas, err := parseReplicaAssignment(c.assignment.Value())
		if err != nil {
			return nil, err
		}
		for i, r := range replicas {
			a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			a.Partition, a.Replicas = int32(i), r
			t.ReplicaAssignment = append(t.ReplicaAssignment, a)
		}
	}
	configs, err := topicConfigs(c.config.Values())
	if err != nil {
		return nil, err
	}
	for _, kv := range configs {
		cfg := kmsg.NewCreateTopicsRequestTopicConfig()
		cfg.Name, cfg.Value = kv[0], kmsg.StringPtr(kv[1])
		t.Configs = append(t.Configs, cfg)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30000
	req.Topics = append(req.Topics, t)
	return req, nil
}

func (c *topicsRun) runList(ctx context.Context) error {
	topics, err := c.matchingTopics(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.env.Stdout, strings.Join(topics, "\n"))
	return nil
}

// matchingTopics are the topics that --topic and --exclude-internal leave, in order of their names.
func (c *topicsRun) matchingTopics(ctx context.Context) ([]string, error) {
	meta, err := listTopics(ctx, c.admin)
	if err != nil {
		return nil, err
	}
	var filter *topicFilter
	if c.topic.Present() {
		if filter, err = newTopicFilter(c.topic.Value()); err != nil {
			return nil, err
		}
	}
	exclude := c.excludeInternal.Present()
	var names []string
	for _, t := range meta.Topics {
		switch {
		case t.Topic == nil, exclude && (t.IsInternal || isInternalTopic(*t.Topic)):
		case filter == nil || filter.allows(*t.Topic, exclude):
			names = append(names, *t.Topic)
		}
	}
	slices.Sort(names)
	return names, nil
}

// listTopics asks for the metadata of all topics.
func listTopics(ctx context.Context, admin *client.Admin) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil
	resp, err := admin.Call(ctx, "listTopics", req)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.MetadataResponse), nil
}

// existingTopics are matchingTopics, of which there must be one unless --if-exists allows that there is none.
func (c *topicsRun) existingTopics(ctx context.Context) ([]string, error) {
	topics, err := c.matchingTopics(ctx)
	if err == nil && len(topics) == 0 && c.topic.Value() != "" && !c.ifExists.Present() {
		err = client.IllegalArgument("Topic '" + c.topic.Value() + "' does not exist as expected")
	}
	return topics, err
}

func (c *topicsRun) runAlter(ctx context.Context) error {
	assignment, err := [][]int32(nil), error(nil)
	if c.assignment.Value() != "" {
		if assignment, err = parseReplicaAssignment(c.assignment.Value()); err != nil {
			return err
		}
	}
	topics, err := c.existingTopics(ctx)
	if err != nil || len(topics) == 0 {
		return err
	}
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 30000
	var present map[string]int
	if assignment != nil {
		if present, err = partitionCounts(ctx, c.admin); err != nil {
			return err
		}
	}
	for _, name := range topics {
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = name, int32(c.partitions.Int64())
		for i := present[name]; i < len(assignment); i++ {
			a := kmsg.NewCreatePartitionsRequestTopicAssignment()
			a.Replicas = assignment[i]
			t.Assignment = append(t.Assignment, a)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := c.admin.Call(ctx, "createPartitions", req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.CreatePartitionsResponse).Topics {
		if err := client.Coded(t.ErrorCode, t.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

func partitionCounts(ctx context.Context, admin *client.Admin) (map[string]int, error) {
	meta, err := listTopics(ctx, admin)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, t := range meta.Topics {
		if t.Topic != nil {
			counts[*t.Topic] = len(t.Partitions)
		}
	}
	return counts, nil
}

func (c *topicsRun) runDelete(ctx context.Context) error {
	topics, err := c.existingTopics(ctx)
	if err != nil || len(topics) == 0 {
		return err
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 30000
	req.TopicNames = topics
	for _, name := range topics {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := c.admin.Call(ctx, "deleteTopics", req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.DeleteTopicsResponse).Topics {
		if err := client.Coded(t.ErrorCode, t.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}
