package cli

import (
	"cmp"
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

// describedGroup is a classic or consumer group as its coordinator describes it.
type describedGroup struct {
	id, state, assignor string
	epoch, targetEpoch  int32 // -1 for classic groups
	coordinator         kgo.BrokerMetadata
	members             []describedMember
	err                 error
}

// describedMember is a member with what it owns.
type describedMember struct {
	id, instance, host, clientID string
	epoch                        int32 // -1 for classic groups
	upgraded                     int8  // 1 uses the new protocol, 0 the classic one, -1 is not known
	assignment, target           []topicPartition
}

// describeGroups describes groups by the new protocol's call first, and those that it does not know by the classic
// one, as Kafka's admin client does.
func (c *consumerGroups) describeGroups(ctx context.Context, ids []string) (map[string]*describedGroup, error) {
	groups := map[string]*describedGroup{}
	if len(ids) == 0 {
		return groups, nil
	}
	classic := c.describeConsumerGroups(ctx, ids, groups)
	if len(classic) > 0 {
		c.describeClassicGroups(ctx, classic, groups)
	}
	for _, id := range ids {
		if g := groups[id]; g == nil {
			groups[id] = &describedGroup{id: id, err: client.Coded(kerr.CoordinatorNotAvailable.Code, nil)}
		}
	}
	return groups, nil
}

// describeConsumerGroups returns the ids that have to be asked for by the classic call.
func (c *consumerGroups) describeConsumerGroups(ctx context.Context, ids []string, groups map[string]*describedGroup) (classic []string) {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = ids
	answered := map[string]bool{}
	for _, shard := range c.admin.CallSharded(ctx, "describeConsumerGroups", req) {
		if shard.Err != nil {
			if !client.Unsupported(shard.Err) {
				noteFailure(groups, shard, answered)
			}
			continue
		}
		for _, g := range shard.Resp.(*kmsg.ConsumerGroupDescribeResponse).Groups {
			err := client.Coded(g.ErrorCode, g.ErrorMessage)
			if client.HasCode(err, kerr.GroupIDNotFound, kerr.UnsupportedVersion) {
				continue
			}
			answered[g.Group] = true
			groups[g.Group] = fromConsumerGroup(g, shard.Meta, err)
		}
	}
	for _, id := range ids {
		if !answered[id] {
			classic = append(classic, id)
		}
	}
	return classic
}

func noteFailure(groups map[string]*describedGroup, shard kgo.ResponseShard, answered map[string]bool) {
	var ids []string
	switch req := shard.Req.(type) {
	case *kmsg.ConsumerGroupDescribeRequest:
		ids = req.Groups
	case *kmsg.DescribeGroupsRequest:
		ids = req.Groups
	}
	for _, id := range ids {
		answered[id] = true
		groups[id] = &describedGroup{id: id, err: shard.Err}
	}
}

func fromConsumerGroup(g kmsg.ConsumerGroupDescribeResponseGroup, from kgo.BrokerMetadata, err error) *describedGroup {
	d := &describedGroup{id: g.Group, state: g.State, assignor: g.AssignorName, epoch: g.Epoch, targetEpoch: g.AssignmentEpoch, coordinator: from, err: err}
	for _, m := range g.Members {
		member := describedMember{id: m.MemberID, host: m.ClientHost, clientID: m.ClientID, epoch: m.MemberEpoch, upgraded: m.MemberType,
			assignment: assigned(m.Assignment), target: assigned(m.TargetAssignment)}
		if m.InstanceID != nil {
			member.instance = *m.InstanceID
		}
		d.members = append(d.members, member)
	}
	return d
}

func assigned(a kmsg.Assignment) (tps []topicPartition) {
	for _, t := range a.TopicPartitions {
		for _, p := range t.Partitions {
			tps = append(tps, topicPartition{t.Topic, p})
		}
	}
	return tps
}

func (c *consumerGroups) describeClassicGroups(ctx context.Context, ids []string, groups map[string]*describedGroup) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = ids
	for _, shard := range c.admin.CallSharded(ctx, "describeConsumerGroups", req) {
		if shard.Err != nil {
			noteFailure(groups, shard, map[string]bool{})
			continue
		}
		for _, g := range shard.Resp.(*kmsg.DescribeGroupsResponse).Groups {
			groups[g.Group] = fromClassicGroup(g, shard.Meta)
		}
	}
}

func fromClassicGroup(g kmsg.DescribeGroupsResponseGroup, from kgo.BrokerMetadata) *describedGroup {
	d := &describedGroup{id: g.Group, state: g.State, assignor: g.Protocol, epoch: -1, targetEpoch: -1, coordinator: from, err: client.Coded(g.ErrorCode, g.ErrorMessage)}
	switch {
	case d.err != nil:
	case g.State == "Dead": // brokers before 4.0 say so instead of an error
		message := "Group " + g.Group + " not found."
		d.err = client.Coded(kerr.GroupIDNotFound.Code, &message)
	case g.ProtocolType != "" && g.ProtocolType != "consumer":
		d.err = client.IllegalArgument("GroupId " + g.Group + " is not a consumer group (" + g.ProtocolType + ").")
	}
	for _, m := range g.Members {
		member := describedMember{id: m.MemberID, host: m.ClientHost, clientID: m.ClientID, epoch: -1, upgraded: -1}
		if m.InstanceID != nil {
			member.instance = *m.InstanceID
		}
		var a kmsg.ConsumerMemberAssignment
		if len(m.MemberAssignment) > 0 && a.ReadFrom(m.MemberAssignment) == nil {
			for _, t := range a.Topics {
				for _, p := range t.Partitions {
					member.assignment = append(member.assignment, topicPartition{t.Topic, p})
				}
			}
		}
		d.members = append(d.members, member)
	}
	return d
}

// committedOffset is an offset that a group has committed.
type committedOffset struct {
	offset      int64
	leaderEpoch int32
}

// committedOffsets are the offsets of a group, of all topics.
func (c *consumerGroups) committedOffsets(ctx context.Context, group string) (map[topicPartition]committedOffset, error) {
	var fetched kadm.OffsetResponses
	err := c.admin.Do(ctx, "listConsumerGroupOffsets", func(ctx context.Context) (err error) {
		fetched, err = c.admin.Kadm().FetchOffsets(ctx, group)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := map[topicPartition]committedOffset{}
	for topic, partitions := range fetched {
		for p, o := range partitions {
			if o.At >= 0 {
				out[topicPartition{topic, p}] = committedOffset{o.At, o.LeaderEpoch}
			}
		}
	}
	return out, nil
}

// offsetRow is a line of the description of a group's offsets. Numbers are -1 when they are not known.
type offsetRow struct {
	tp                         topicPartition
	hasPartition               bool
	offset, logEnd             int64
	leaderEpoch                int32
	consumerID, host, clientID string
}

// offsetRows puts the members with the most partitions first, then the offsets that no member owns.
func (c *consumerGroups) offsetRows(ctx context.Context, g *describedGroup) ([]offsetRow, error) {
	committed, err := c.committedOffsets(ctx, g.id)
	if err != nil {
		return nil, err
	}
	members := slices.DeleteFunc(slices.Clone(g.members), func(m describedMember) bool { return len(m.assignment) == 0 })
	slices.SortStableFunc(members, func(a, b describedMember) int { return cmp.Compare(len(b.assignment), len(a.assignment)) })
	owned := map[topicPartition]bool{}
	var rows []offsetRow
	for _, m := range members {
		block := make([]offsetRow, 0, len(m.assignment))
		for _, tp := range m.assignment {
			owned[tp] = true
			block = append(block, offsetRow{tp: tp, hasPartition: true, offset: -1, logEnd: -1, leaderEpoch: -1, consumerID: m.id, host: m.host, clientID: m.clientID})
		}
		rows = append(rows, sortedRows(block)...)
	}
	var rest []offsetRow
	for tp := range committed {
		if !owned[tp] {
			rest = append(rest, offsetRow{tp: tp, hasPartition: true, offset: -1, logEnd: -1, leaderEpoch: -1, consumerID: "-", host: "-", clientID: "-"})
		}
	}
	rows = append(rows, sortedRows(rest)...)
	return rows, c.fillOffsets(ctx, rows, committed)
}

func sortedRows(rows []offsetRow) []offsetRow {
	slices.SortFunc(rows, func(a, b offsetRow) int { return a.tp.compare(b.tp) })
	return rows
}

func (c *consumerGroups) fillOffsets(ctx context.Context, rows []offsetRow, committed map[topicPartition]committedOffset) error {
	tps := make([]topicPartition, len(rows))
	for i, r := range rows {
		tps[i] = r.tp
	}
	ends := listOffsets(ctx, c.admin, tps, offsetLatest)
	for i := range rows {
		if o, ok := committed[rows[i].tp]; ok {
			rows[i].offset, rows[i].leaderEpoch = o.offset, o.leaderEpoch
		}
		if end := ends[rows[i].tp]; end.err == nil {
			rows[i].logEnd = end.offset
		} else if !client.HasCode(end.err, kerr.LeaderNotAvailable, kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition) {
			return end.err
		}
	}
	return nil
}
