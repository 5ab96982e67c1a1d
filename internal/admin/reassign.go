package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Reassignment is a running move of one partition.
type Reassignment struct {
	Topic                      string
	Partition                  int32
	Replicas, Adding, Removing []int32
}

// Assignment is where a partition shall lie; no replicas means to cancel its
// running move.
type Assignment struct {
	Topic     string
	Partition int32
	Replicas  []int32
}

// Reassign begins moves, or cancels those without replicas. Cancelling a move
// that does not run is no error. The error names each partition that failed;
// the others have begun.
func (c *Client) Reassign(ctx context.Context, moves ...Assignment) error {
	var req kadm.AlterPartitionAssignmentsReq
	for _, m := range moves {
		if len(m.Replicas) == 0 {
			req.CancelAssign(m.Topic, m.Partition)
		} else {
			req.Assign(m.Topic, m.Partition, m.Replicas)
		}
	}
	rs, err := c.adm.AlterPartitionAssignments(ctx, req)
	if err != nil {
		return fmt.Errorf("reassign: %w", err)
	}
	for _, r := range rs.Sorted() {
		if r.Err != nil && !errors.Is(r.Err, kerr.NoReassignmentInProgress) {
			err = errors.Join(err, fmt.Errorf("reassign %s-%d: %w %s", r.Topic, r.Partition, r.Err, r.ErrMessage))
		}
	}
	return err
}

// Reassignments lists running moves.
func (c *Client) Reassignments(ctx context.Context) ([]Reassignment, error) {
	rs, err := c.adm.ListPartitionReassignments(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list reassignments: %w", err)
	}
	var out []Reassignment
	for _, r := range rs.Sorted() {
		out = append(out, Reassignment{r.Topic, r.Partition, r.Replicas, r.AddingReplicas, r.RemovingReplicas})
	}
	return out, nil
}

// throttles are the settings that limit replication: rates of brokers, and
// which replicas of a topic they hold for.
var (
	brokerThrottles = []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate"}
	topicThrottles  = []string{"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"}
)

// Throttle limits the copying of topics to bytesPerSecond on each of the
// brokers; 0 removes all limits from them. Replicas in sync are never held
// back (KIP-73), but one that falls behind later would be, so the limit has to
// be removed when the moves are done.
func (c *Client) Throttle(ctx context.Context, bytesPerSecond int64, brokers []int32, topics []string) error {
	var rate, replicas *string
	if bytesPerSecond > 0 {
		text, all := strconv.FormatInt(bytesPerSecond, 10), "*"
		rate, replicas = &text, &all
	}
	for _, b := range brokers {
		if err := c.SetBroker(ctx, b, map[string]*string{brokerThrottles[0]: rate, brokerThrottles[1]: rate}); err != nil {
			return err
		}
	}
	if len(topics) == 0 {
		return nil
	}
	rs, err := c.adm.AlterTopicConfigs(ctx, alterations(map[string]*string{topicThrottles[0]: replicas, topicThrottles[1]: replicas}), topics...)
	if err != nil {
		return fmt.Errorf("throttle: %w", err)
	}
	for _, r := range rs {
		if r.Err != nil && !errors.Is(r.Err, kerr.UnknownTopicOrPartition) {
			err = errors.Join(err, fmt.Errorf("throttle %s: %w", r.Name, r.Err))
		}
	}
	return err
}

// Unthrottle removes every limit on replication: those of the given brokers
// that answer, and those of all topics. A broker that is down keeps its rate,
// which does nothing without the topics'.
func (c *Client) Unthrottle(ctx context.Context, brokers []int32) error {
	all, err := c.adm.ListTopicsWithInternal(ctx)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	limited, err := c.TopicSetting(ctx, topicThrottles[0], all.Names()...)
	if err != nil {
		return err
	}
	var topics []string
	for topic, replicas := range limited {
		if replicas != "" {
			topics = append(topics, topic)
		}
	}
	if err := c.Throttle(ctx, 0, nil, topics); err != nil {
		return err
	}
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if !n.Fenced && slices.Contains(brokers, n.ID) {
			err = errors.Join(err, c.Throttle(ctx, 0, []int32{n.ID}, nil))
		}
	}
	return err
}

// ElectPreferred gives every partition to its first replica, where that is in
// sync and not the leader already.
func (c *Client) ElectPreferred(ctx context.Context) error {
	rs, err := c.adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil)
	if err != nil {
		return fmt.Errorf("elect leaders: %w", err)
	}
	for _, ps := range rs {
		for _, r := range ps {
			if r.Err != nil && !errors.Is(r.Err, kerr.ElectionNotNeeded) {
				err = errors.Join(err, fmt.Errorf("elect a leader of %s-%d: %w", r.Topic, r.Partition, r.Err))
			}
		}
	}
	return err
}
