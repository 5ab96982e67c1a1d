package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// OffsetDelete, version 0 (KIP-496).
func (b *Broker) handleOffsetDelete(r *wire.Request) {
	req := r.Body.(*kmsg.OffsetDeleteRequest)
	resp := req.ResponseKind().(*kmsg.OffsetDeleteResponse)
	if !b.allowed(r, authz.Delete, authz.Group, req.Group) {
		resp.ErrorCode = int16(wire.GroupAuthorizationFailed)
		r.Reply(resp)
		return
	}
	ask, slots := b.deletableOffsets(r, req, resp)
	b.Groups.DeleteOffsets(req.Group, ask, func(code wire.Code, codes []wire.Code) {
		if code != wire.None {
			resp.ErrorCode, resp.Topics = int16(code), nil
		}
		for i, c := range codes {
			if code == wire.None {
				resp.Topics[slots[i].topic].Partitions[slots[i].partition].ErrorCode = int16(c)
			}
		}
		r.Reply(resp)
	})
}

// deletableOffsets fills the answer, and returns the partitions that exist and may be touched with their places in
// the answer.
func (b *Broker) deletableOffsets(r *wire.Request, req *kmsg.OffsetDeleteRequest, resp *kmsg.OffsetDeleteResponse) (ask []group.FetchTopic, slots []commitSlot) {
	img := b.Image()
	for i := range req.Topics {
		t := &req.Topics[i]
		topic, code := img.TopicByName(t.Topic), wire.None
		if !b.allowed(r, authz.Read, authz.Topic, t.Topic) {
			code = wire.TopicAuthorizationFailed
		}
		rt := kmsg.NewOffsetDeleteResponseTopic()
		rt.Topic = t.Topic
		at := group.FetchTopic{Name: t.Topic}
		for j := range t.Partitions {
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition, rp.ErrorCode = t.Partitions[j].Partition, int16(code)
			switch {
			case code != wire.None:
			case topic.Partition(rp.Partition) == nil:
				rp.ErrorCode = int16(wire.UnknownTopicOrPartition)
			default:
				slots = append(slots, commitSlot{i, j})
				at.Partitions = append(at.Partitions, rp.Partition)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
		if len(at.Partitions) > 0 {
			ask = append(ask, at)
		}
	}
	return ask, slots
}
