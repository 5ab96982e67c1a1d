package handler

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// DescribeTopicPartitions, version 0 (KIP-966): topics in the order of their names, page by page, with the eligible
// leader replicas.
func (b *Broker) handleDescribeTopicPartitions(r *wire.Request) {
	req := r.Body.(*kmsg.DescribeTopicPartitionsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	img := b.Image()
	names := b.describedTopics(r, req, img)
	from := int32(0)
	if c := req.Cursor; c != nil {
		if c.Partition < 0 {
			r.Reply(wire.ErrorResponse(req, wire.InvalidRequest, ""))
			return
		}
		i, found := slices.BinarySearch(names, c.Topic)
		if !found && len(req.Topics) > 0 {
			r.Reply(wire.ErrorResponse(req, wire.InvalidRequest, ""))
			return
		}
		if names = names[i:]; found {
			from = c.Partition
		}
	}
	left := min(max(int(req.ResponsePartitionLimit), 1), b.Config().Int("max.request.partition.size.limit"))
	for _, name := range names {
		t := img.TopicByName(name)
		if left <= 0 {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name}
			break
		}
		out, next := b.describeTopic(r, img, name, t, from, left)
		resp.Topics = append(resp.Topics, out)
		left -= len(out.Partitions)
		if next >= 0 {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: next}
			break
		}
		from = 0
	}
	r.Reply(resp)
}

// describedTopics is the sorted list of the topics asked for: all that the client may see, or those it names.
func (b *Broker) describedTopics(r *wire.Request, req *kmsg.DescribeTopicPartitionsRequest, img *image.Image) []string {
	var names []string
	if len(req.Topics) == 0 {
		for t := range img.Topics() {
			if b.visible(r, authz.Describe, authz.Topic, t.Name) {
				names = append(names, t.Name)
			}
		}
	}
	for _, t := range req.Topics {
		names = append(names, t.Topic)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// describeTopic answers for one topic with at most limit partitions; next is where to go on, -1 at the end.
func (b *Broker) describeTopic(r *wire.Request, img *image.Image, name string, t *image.Topic, from int32, limit int) (out kmsg.DescribeTopicPartitionsResponseTopic, next int32) {
	out = kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic = &name
	switch {
	case !b.allowed(r, authz.Describe, authz.Topic, name):
		out.ErrorCode = int16(wire.TopicAuthorizationFailed)
		return out, -1
	case checkTopicName(name) != nil:
		out.ErrorCode, out.AuthorizedOperations = int16(wire.InvalidTopicException), b.topicOperations(r, name)
		return out, -1
	case t == nil:
		out.ErrorCode, out.AuthorizedOperations = int16(wire.UnknownTopicOrPartition), b.topicOperations(r, name)
		return out, -1
	}
	out.TopicID, out.IsInternal, out.AuthorizedOperations = t.ID, internalTopic(name), b.topicOperations(r, name)
	for i := int(from); i < len(t.Partitions); i++ {
		if len(out.Partitions) == limit {
			return out, int32(i)
		}
		p := t.Partitions[i]
		rp := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		rp.Partition, rp.LeaderID, rp.LeaderEpoch = int32(i), p.Leader, p.LeaderEpoch
		rp.Replicas, rp.ISR = p.Replicas, p.ISR
		rp.EligibleLeaderReplicas, rp.LastKnownELR = notNull(p.ELR), notNull(p.LastKnownELR)
		rp.OfflineReplicas = b.offlineReplicas(img, p)
		if br := img.Broker(p.Leader); p.Leader < 0 || br == nil || br.Fenced {
			rp.LeaderID = -1 // no error, unlike in Metadata
		}
		out.Partitions = append(out.Partitions, rp)
	}
	return out, -1
}

// notNull makes an empty list of none: the protocol allows null here, but Java's tools do not.
func notNull(ids []int32) []int32 {
	if ids == nil {
		return []int32{}
	}
	return ids
}
