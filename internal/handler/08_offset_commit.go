package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// OffsetCommit, versions 2 to 10.
//
//	3 throttle time              6 leader epochs (KIP-320)     8 flexible
//	5 no retention time any more 7 instance ids (KIP-345)      9 member epochs, GROUP_ID_NOT_FOUND (KIP-848)
//	                                                          10 topic ids instead of names
func (b *Broker) handleOffsetCommit(r *wire.Request) {
	req := r.Body.(*kmsg.OffsetCommitRequest)
	c := &offsetCommit{req: req, resp: req.ResponseKind().(*kmsg.OffsetCommitResponse)}
	groupAllowed := b.allowed(r, authz.Read, authz.Group, req.Group)
	img := b.Image()
	for i := range req.Topics {
		b.checkCommit(r, c, img, &req.Topics[i], groupAllowed)
	}
	if len(c.commit.Topics) == 0 {
		r.Reply(c.resp)
		return
	}
	c.commit.Group, c.commit.MemberID, c.commit.InstanceID = req.Group, req.MemberID, req.InstanceID
	c.commit.Generation, c.commit.APIVersion = req.Generation, r.Version
	c.commit.RetentionMs = -1
	if r.Version <= 4 {
		c.commit.RetentionMs = req.RetentionTimeMillis
	}
	b.Groups.CommitOffsets(&c.commit, func(codes []wire.Code) {
		for i, code := range codes {
			c.slots[i].set(c.resp, code)
		}
		r.Reply(c.resp)
	})
}

// offsetCommit is an OffsetCommit on its way: slots tell where in the answer each partition of commit stands.
type offsetCommit struct {
	req    *kmsg.OffsetCommitRequest
	resp   *kmsg.OffsetCommitResponse
	commit group.Commit
	slots  []commitSlot
}

type commitSlot struct{ topic, partition int }

func (s commitSlot) set(resp *kmsg.OffsetCommitResponse, code wire.Code) {
	resp.Topics[s.topic].Partitions[s.partition].ErrorCode = int16(code)
}

// checkCommit adds a topic to the answer, and what of it may be committed to the commit.
func (b *Broker) checkCommit(r *wire.Request, c *offsetCommit, img *image.Image, t *kmsg.OffsetCommitRequestTopic, groupAllowed bool) {
	topic := img.TopicByName(t.Topic)
	unknown := wire.UnknownTopicOrPartition
	name := t.Topic
	if r.Version >= 10 {
		topic, unknown = img.TopicByID(t.TopicID), wire.UnknownTopicId
		if topic != nil {
			name = topic.Name
		}
	}
	code := wire.None
	switch {
	case !groupAllowed:
		code = wire.GroupAuthorizationFailed
	case topic == nil && r.Version >= 10:
		code = unknown
	case !b.allowed(r, authz.Read, authz.Topic, name):
		code = wire.TopicAuthorizationFailed
	case topic == nil:
		code = unknown
	}
	rt := kmsg.NewOffsetCommitResponseTopic()
	rt.Topic, rt.TopicID = t.Topic, t.TopicID
	var ct group.CommitTopic
	for i := range t.Partitions {
		p := &t.Partitions[i]
		rp := kmsg.NewOffsetCommitResponseTopicPartition()
		rp.Partition, rp.ErrorCode = p.Partition, int16(code)
		switch {
		case code != wire.None:
		case topic.Partition(p.Partition) == nil:
			rp.ErrorCode = int16(wire.UnknownTopicOrPartition)
		default:
			c.slots = append(c.slots, commitSlot{len(c.resp.Topics), i})
			ct.Partitions = append(ct.Partitions, group.CommitPartition{
				Index: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata,
			})
		}
		rt.Partitions = append(rt.Partitions, rp)
	}
	c.resp.Topics = append(c.resp.Topics, rt)
	if len(ct.Partitions) > 0 {
		ct.Name, ct.ID = name, topic.ID
		c.commit.Topics = append(c.commit.Topics, ct)
	}
}
