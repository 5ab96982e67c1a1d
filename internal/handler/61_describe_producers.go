package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// DescribeProducers, version 0: the idempotent and transactional producers that a partition remembers (KIP-664).
func (b *Broker) handleDescribeProducers(r *wire.Request) {
	req := r.Body.(*kmsg.DescribeProducersRequest)
	resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
	now := b.Now().UnixMilli()
	for ti := range req.Topics {
		t := &req.Topics[ti]
		rt := kmsg.NewDescribeProducersResponseTopic()
		rt.Topic = t.Topic
		allowed := b.allowed(r, authz.Read, authz.Topic, t.Topic)
		known := b.Image().TopicByName(t.Topic) != nil
		for _, index := range t.Partitions {
			rp := kmsg.NewDescribeProducersResponseTopicPartition()
			rp.Partition = index
			err := checkTopicName(t.Topic)
			switch {
			case err != nil:
			case !allowed:
				err = wire.TopicAuthorizationFailed
			default:
				err = b.describeProducers(t.Topic, index, now, &rp)
			}
			if err != nil {
				rp.ErrorCode = int16(wire.CodeOf(err))
				rp.ErrorMessage = producersMessage(err, known)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	r.Reply(resp)
}

// producersMessage is what Kafka says: a sentence for a topic that is not there, nothing of a partition that it lacks.
func producersMessage(err error, known bool) *string {
	switch text := message(err); {
	case wire.CodeOf(err) == wire.UnknownTopicOrPartition && known:
		return nil
	case wire.CodeOf(err) == wire.UnknownTopicOrPartition:
		return kmsg.StringPtr("This server does not host this topic-partition.")
	case text == "":
		return nil
	default:
		return &text
	}
}

func (b *Broker) describeProducers(topic string, index int32, now int64, out *kmsg.DescribeProducersResponseTopicPartition) error {
	rep, name, code := b.Replicas.Find(topic, wire.TopicID{}, index, false)
	if code != wire.None {
		return b.knownElsewhere(name, wire.TopicID{}, index, code)
	}
	ps, err := b.Replicas.Producers(rep)
	if err != nil {
		return err
	}
	for _, p := range ps {
		a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		a.ProducerID, a.ProducerEpoch, a.LastSequence, a.LastTimestamp = p.ProducerID, int32(p.ProducerEpoch), p.LastSequence, p.LastTimestamp
		a.CoordinatorEpoch, a.CurrentTxnStartOffset = p.CoordinatorEpoch, p.CurrentTxnStartOffset
		out.ActiveProducers = append(out.ActiveProducers, a)
	}
	return nil
}
