package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// DeleteRecords, versions 0 to 2 (2 is flexible): moves the start of partitions up to an offset, or to the high
// watermark for -1 (KIP-107).
func (b *Broker) handleDeleteRecords(r *wire.Request) {
	req := r.Body.(*kmsg.DeleteRecordsRequest)
	resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
	for ti := range req.Topics {
		t := &req.Topics[ti]
		rt := kmsg.NewDeleteRecordsResponseTopic()
		rt.Topic = t.Topic
		allowed := b.allowed(r, authz.Delete, authz.Topic, t.Topic)
		for pi := range t.Partitions {
			p := &t.Partitions[pi]
			rp := kmsg.NewDeleteRecordsResponseTopicPartition()
			rp.Partition, rp.LowWatermark = p.Partition, -1
			err := error(wire.TopicAuthorizationFailed)
			switch {
			case allowed && internalTopic(t.Topic): // coordinators read these from their start
				err = wire.InvalidTopicException
			case allowed:
				rp.LowWatermark, err = b.deleteRecords(t.Topic, p.Partition, p.Offset)
			}
			if rp.ErrorCode = int16(wire.CodeOf(err)); err != nil {
				rp.LowWatermark = -1
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	r.Reply(resp)
}

func (b *Broker) deleteRecords(topic string, partition int32, offset int64) (lowWatermark int64, err error) {
	rep, name, code := b.Replicas.Find(topic, wire.TopicID{}, partition, false)
	if code != wire.None {
		return -1, b.knownElsewhere(name, wire.TopicID{}, partition, code)
	}
	return b.Replicas.DeleteRecords(rep, offset)
}
