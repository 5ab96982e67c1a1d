package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/coordinator/group/assign"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// ConsumerGroupDescribe, versions 0 and 1 (KIP-848): 1 whether a member uses the classic protocol (KIP-1099).
//
// A group that has topics which the client may not describe is not shown.
func (b *Broker) handleConsumerGroupDescribe(r *wire.Request) {
	req := r.Body.(*kmsg.ConsumerGroupDescribeRequest)
	resp := req.ResponseKind().(*kmsg.ConsumerGroupDescribeResponse)
	if !b.servesConsumerGroups() {
		for _, id := range req.Groups {
			resp.Groups = append(resp.Groups, undescribed(id, wire.UnsupportedVersion, ""))
		}
		r.Reply(resp)
		return
	}
	var ids []string
	for _, id := range req.Groups {
		if b.allowed(r, authz.Describe, authz.Group, id) {
			ids = append(ids, id)
		} else {
			resp.Groups = append(resp.Groups, undescribed(id, wire.GroupAuthorizationFailed, ""))
		}
	}
	b.Groups.DescribeConsumerGroups(ids, func(ds []group.ConsumerDescription) {
		for i := range ds {
			resp.Groups = append(resp.Groups, b.describedConsumerGroup(r, req, &ds[i]))
		}
		r.Reply(resp)
	})
}

func undescribed(id string, code wire.Code, message string) kmsg.ConsumerGroupDescribeResponseGroup {
	g := kmsg.NewConsumerGroupDescribeResponseGroup()
	g.Group, g.ErrorCode = id, int16(code)
	if message != "" {
		g.ErrorMessage = &message
	}
	return g
}

func (b *Broker) describedConsumerGroup(r *wire.Request, req *kmsg.ConsumerGroupDescribeRequest, d *group.ConsumerDescription) kmsg.ConsumerGroupDescribeResponseGroup {
	if d.Err != nil {
		return undescribed(d.Group, wire.CodeOf(d.Err), message(d.Err))
	}
	for _, name := range d.Names {
		if !b.visible(r, authz.Describe, authz.Topic, name) {
			return undescribed(d.Group, wire.TopicAuthorizationFailed, "The group has described topic(s) that the client is not authorized to describe.")
		}
	}
	g := undescribed(d.Group, wire.None, "")
	g.State, g.Epoch, g.AssignmentEpoch, g.AssignorName = d.State, d.Epoch, d.TargetEpoch, d.Assignor
	if req.IncludeAuthorizedOperations {
		g.AuthorizedOperations = authz.AuthorizedOperations(b.Authorizer, caller(r), authz.Group, d.Group)
	}
	for _, m := range d.Members {
		gm := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		gm.MemberID, gm.InstanceID, gm.RackID, gm.MemberEpoch = m.ID, m.InstanceID, m.RackID, m.Member.Epoch
		gm.ClientID, gm.ClientHost, gm.SubscribedTopics, gm.SubscribedTopicRegex = m.ClientID, m.ClientHost, m.Topics, &m.Regex
		for _, t := range shownTopics(m.Owned, d.Names) {
			gm.Assignment.TopicPartitions = append(gm.Assignment.TopicPartitions, kmsg.AssignmentTopicPartition{TopicID: t, Topic: d.Names[t], Partitions: m.Owned[t]})
		}
		for _, t := range shownTopics(m.Target, d.Names) {
			gm.TargetAssignment.TopicPartitions = append(gm.TargetAssignment.TopicPartitions, kmsg.AssignmentTopicPartition{TopicID: t, Topic: d.Names[t], Partitions: m.Target[t]})
		}
		if gm.MemberType = 1; m.Classic != nil {
			gm.MemberType = 0
		}
		g.Members = append(g.Members, gm)
	}
	return g
}

// shownTopics are the topics of an assignment that exist, in order.
func shownTopics(p assign.Partitions, names map[wire.TopicID]string) (out []wire.TopicID) {
	for _, t := range p.Topics() {
		if names[t] != "" {
			out = append(out, t)
		}
	}
	return out
}
