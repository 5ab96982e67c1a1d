package handler

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// OffsetFetch, versions 1 to 10.
//
//	2 null topics means all, top-level error  6 flexible                     9 member ids and epochs (KIP-848)
//	3 throttle time                           7 require stable (KIP-447)    10 topic ids instead of names
//	5 leader epochs (KIP-320)                 8 many groups (KIP-709)
//
// No offset is answered before it is committed for good. If stable offsets are required, one that a transaction holds is
// UNSTABLE_OFFSET_COMMIT, on which consumers ask again: read before the transaction ends it would be processed twice.
func (b *Broker) handleOffsetFetch(r *wire.Request) {
	req := r.Body.(*kmsg.OffsetFetchRequest)
	groups := req.Groups
	if r.Version < 8 {
		groups = []kmsg.OffsetFetchRequestGroup{oldFetchGroup(req)}
	}
	out := make([]kmsg.OffsetFetchResponseGroup, len(groups))
	var left atomic.Int32
	left.Store(int32(len(groups)) + 1)
	done := func() {
		if left.Add(-1) == 0 {
			r.Reply(offsetFetchResponse(req, out))
		}
	}
	img := b.Image()
	for i := range groups {
		b.fetchGroup(r, img, &groups[i], &out[i], done)
	}
	done()
}

// oldFetchGroup is the one group of versions before 8.
func oldFetchGroup(req *kmsg.OffsetFetchRequest) kmsg.OffsetFetchRequestGroup {
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.MemberEpoch = req.Group, -1
	if req.Topics != nil {
		g.Topics = make([]kmsg.OffsetFetchRequestGroupTopic, 0, len(req.Topics))
	}
	for _, t := range req.Topics {
		gt := kmsg.NewOffsetFetchRequestGroupTopic()
		gt.Topic, gt.Partitions = t.Topic, t.Partitions
		g.Topics = append(g.Topics, gt)
	}
	return g
}

func (b *Broker) fetchGroup(r *wire.Request, img *image.Image, g *kmsg.OffsetFetchRequestGroup, out *kmsg.OffsetFetchResponseGroup, done func()) {
	*out = kmsg.NewOffsetFetchResponseGroup()
	out.Group = g.Group
	if !b.allowed(r, authz.Describe, authz.Group, g.Group) {
		failFetch(r, g, out, wire.GroupAuthorizationFailed)
		done()
		return
	}
	by := group.Anybody
	if r.Version >= 9 {
		by = group.Fetcher{MemberID: g.MemberID, Epoch: g.MemberEpoch}
	}
	stable := r.Version >= 7 && r.Body.(*kmsg.OffsetFetchRequest).RequireStable
	if g.Topics == nil {
		b.Groups.FetchOffsets(g.Group, by, nil, stable, func(code wire.Code, topics []group.FetchedTopic) {
			out.ErrorCode = int16(code)
			out.Topics = b.describableOffsets(r, img, topics)
			done()
		})
		return
	}
	ask, slots := b.askableOffsets(r, img, g, out)
	if len(ask) == 0 {
		done()
		return
	}
	b.Groups.FetchOffsets(g.Group, by, ask, stable, func(code wire.Code, topics []group.FetchedTopic) {
		if code != wire.None {
			failFetch(r, g, out, code)
		}
		for i := range topics {
			setOffsets(&out.Topics[slots[i]], topics[i].Partitions)
		}
		done()
	})
}

// askableOffsets fills the answer with topics without offsets, and returns those that there may be offsets for with
// their places in the answer.
func (b *Broker) askableOffsets(r *wire.Request, img *image.Image, g *kmsg.OffsetFetchRequestGroup, out *kmsg.OffsetFetchResponseGroup) (ask []group.FetchTopic, slots []int) {
	for i := range g.Topics {
		t := &g.Topics[i]
		name, code := t.Topic, wire.None
		if r.Version >= 10 {
			if topic := img.TopicByID(t.TopicID); topic != nil {
				name = topic.Name
			} else {
				code = wire.UnknownTopicId
			}
		}
		if code == wire.None && !b.allowed(r, authz.Describe, authz.Topic, name) {
			code = wire.TopicAuthorizationFailed
		}
		out.Topics = append(out.Topics, noOffsets(t, code))
		if code == wire.None {
			slots = append(slots, i)
			ask = append(ask, group.FetchTopic{Name: name, ID: t.TopicID, Partitions: t.Partitions})
		}
	}
	return ask, slots
}

// failFetch answers a group with an error: on top, and before version 2 on each partition.
func failFetch(r *wire.Request, g *kmsg.OffsetFetchRequestGroup, out *kmsg.OffsetFetchResponseGroup, code wire.Code) {
	out.ErrorCode, out.Topics = int16(code), nil
	if r.Version < 2 {
		for i := range g.Topics {
			out.Topics = append(out.Topics, noOffsets(&g.Topics[i], code))
		}
	}
}

// noOffsets answers for a topic without committed offsets.
func noOffsets(t *kmsg.OffsetFetchRequestGroupTopic, code wire.Code) kmsg.OffsetFetchResponseGroupTopic {
	out := kmsg.NewOffsetFetchResponseGroupTopic()
	out.Topic, out.TopicID = t.Topic, t.TopicID
	for _, p := range t.Partitions {
		rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = p, -1, -1, new(string), int16(code)
		out.Partitions = append(out.Partitions, rp)
	}
	return out
}

func setOffsets(t *kmsg.OffsetFetchResponseGroupTopic, offsets []group.FetchedOffset) {
	t.Partitions = t.Partitions[:0]
	for i := range offsets {
		o := &offsets[i]
		rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = o.Partition, o.Offset, o.LeaderEpoch, &o.Metadata
		if o.Unstable {
			rp.ErrorCode = int16(wire.UnstableOffsetCommit)
		}
		t.Partitions = append(t.Partitions, rp)
	}
}

// describableOffsets are the offsets of all topics that the client may describe; with topic ids, of those that have
// one.
func (b *Broker) describableOffsets(r *wire.Request, img *image.Image, topics []group.FetchedTopic) []kmsg.OffsetFetchResponseGroupTopic {
	out := make([]kmsg.OffsetFetchResponseGroupTopic, 0, len(topics))
	for i := range topics {
		t := &topics[i]
		if !b.visible(r, authz.Describe, authz.Topic, t.Name) {
			continue
		}
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.Topic, rt.TopicID = t.Name, t.ID
		if rt.TopicID == (wire.TopicID{}) {
			if topic := img.TopicByName(t.Name); topic != nil {
				rt.TopicID = topic.ID
			}
		}
		if r.Version >= 10 && rt.TopicID == (wire.TopicID{}) {
			continue
		}
		setOffsets(&rt, t.Partitions)
		out = append(out, rt)
	}
	return out
}

// offsetFetchResponse puts the answers of the groups in the shape of the version.
func offsetFetchResponse(req *kmsg.OffsetFetchRequest, groups []kmsg.OffsetFetchResponseGroup) *kmsg.OffsetFetchResponse {
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	if req.Version >= 8 {
		resp.Groups = groups
		return resp
	}
	resp.ErrorCode = groups[0].ErrorCode
	for _, t := range groups[0].Topics {
		rt := kmsg.NewOffsetFetchResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetFetchResponseTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}
