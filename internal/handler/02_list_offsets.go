package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// ListOffsets, versions 1 to 11.
//
//	1 one offset with its timestamp    7  max timestamp (KIP-734)
//	2 isolation level                  8  earliest local offset (KIP-405)
//	4 leader epochs (KIP-320)          9  latest tiered offset (KIP-1005)
//	6 flexible                         10 timeout for remote storage
//	                                   11 earliest offset pending upload (KIP-1023)
//
// Without tiered storage the earliest local offset is the log start, and the tiered offsets do not exist (-1).
func (b *Broker) handleListOffsets(r *wire.Request) {
	req := r.Body.(*kmsg.ListOffsetsRequest)
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	resp.Topics = make([]kmsg.ListOffsetsResponseTopic, len(req.Topics))
	for ti := range req.Topics {
		t := &req.Topics[ti]
		rt := &resp.Topics[ti]
		rt.Topic = t.Topic
		rt.Partitions = make([]kmsg.ListOffsetsResponseTopicPartition, len(t.Partitions))
		allowed := b.allowed(r, authz.Describe, authz.Topic, t.Topic)
		for pi := range t.Partitions {
			rp := &rt.Partitions[pi]
			rp.Default()
			rp.Partition = t.Partitions[pi].Partition
			err := error(wire.TopicAuthorizationFailed)
			if allowed {
				err = b.listOffset(r, req, t.Topic, &t.Partitions[pi], rp)
			}
			if err != nil {
				rp.ErrorCode, rp.Offset, rp.Timestamp, rp.LeaderEpoch = int16(wire.CodeOf(err)), -1, -1, -1
			}
		}
	}
	r.Reply(resp)
}

func (b *Broker) listOffset(r *wire.Request, req *kmsg.ListOffsetsRequest, topic string, p *kmsg.ListOffsetsRequestTopicPartition, out *kmsg.ListOffsetsResponseTopicPartition) error {
	rep, name, code := b.Replicas.Find(topic, wire.TopicID{}, p.Partition, false)
	if code != wire.None {
		return b.knownElsewhere(name, wire.TopicID{}, p.Partition, code)
	}
	if !timestampAllowed(p.Timestamp, r.Version) {
		return wire.UnsupportedVersion
	}
	off, ts, epoch, err := b.Replicas.OffsetFor(rep, p.Timestamp, p.CurrentLeaderEpoch, req.ReplicaID == -1, req.IsolationLevel == 1)
	if err != nil {
		return err
	}
	out.Offset, out.Timestamp, out.LeaderEpoch = off, ts, epoch
	return nil
}

// timestampAllowed refuses the special timestamps in versions that do not have them.
func timestampAllowed(ts int64, version int16) bool {
	switch ts {
	case -3:
		return version >= 7
	case -4:
		return version >= 8
	case -5:
		return version >= 9
	case -6:
		return version >= 11
	default:
		return ts >= -2
	}
}
