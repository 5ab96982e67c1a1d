package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// debuggingReplica is the replica id of a tool that asks any replica for what it has, and not for what is committed.
const debuggingReplica = -2

// ListOffsets, versions 1 to 11.
//
//	1 one offset with its timestamp    7  max timestamp (KIP-734)
//	2 isolation level                  8  earliest local offset (KIP-405)
//	4 leader epochs (KIP-320)          9  latest tiered offset (KIP-1005)
//	5 OFFSET_NOT_AVAILABLE (KIP-207)   10 timeout for remote storage
//	6 flexible                         11 earliest offset pending upload (KIP-1023)
//
// Without tiered storage the earliest local offset is the log start, and the tiered offsets do not exist (-1).
func (b *Broker) handleListOffsets(r *wire.Request) {
	req := r.Body.(*kmsg.ListOffsetsRequest)
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	resp.Topics = make([]kmsg.ListOffsetsResponseTopic, len(req.Topics))
	for ti := range req.Topics {
		resp.Topics[ti].Topic = req.Topics[ti].Topic
		resp.Topics[ti].Partitions = b.listTopicOffsets(r, req, &req.Topics[ti])
	}
	r.Reply(resp)
}

// listTopicOffsets answers for one topic. A partition that stands in the request twice is refused, once.
func (b *Broker) listTopicOffsets(r *wire.Request, req *kmsg.ListOffsetsRequest, t *kmsg.ListOffsetsRequestTopic) []kmsg.ListOffsetsResponseTopicPartition {
	allowed := b.allowed(r, authz.Describe, authz.Topic, t.Topic)
	times := make(map[int32]int, len(t.Partitions))
	for i := range t.Partitions {
		times[t.Partitions[i].Partition]++
	}
	out := make([]kmsg.ListOffsetsResponseTopicPartition, 0, len(times))
	for i := range t.Partitions {
		p := &t.Partitions[i]
		n := times[p.Partition]
		if n == 0 {
			continue // it was answered
		}
		times[p.Partition] = 0
		rp := kmsg.NewListOffsetsResponseTopicPartition()
		rp.Partition = p.Partition
		err := error(wire.TopicAuthorizationFailed)
		switch {
		case n > 1:
			err = wire.InvalidRequest
		case allowed:
			err = b.listOffset(r, req, t.Topic, p, &rp)
		}
		if err != nil {
			rp.ErrorCode, rp.Offset, rp.Timestamp, rp.LeaderEpoch = int16(wire.CodeOf(err)), -1, -1, -1
		}
		out = append(out, rp)
	}
	return out
}

func (b *Broker) listOffset(r *wire.Request, req *kmsg.ListOffsetsRequest, topic string, p *kmsg.ListOffsetsRequestTopicPartition, out *kmsg.ListOffsetsResponseTopicPartition) error {
	rep, name, code := b.Replicas.Find(topic, wire.TopicID{}, p.Partition, false)
	if code != wire.None {
		return b.knownElsewhere(name, wire.TopicID{}, p.Partition, code)
	}
	if !timestampAllowed(p.Timestamp, r.Version) {
		return wire.UnsupportedVersion
	}
	off, ts, epoch, err := b.Replicas.OffsetFor(rep, p.Timestamp, p.CurrentLeaderEpoch, replica.OffsetReader{
		Consumer: req.ReplicaID == -1, CommittedOnly: req.IsolationLevel == 1, AnyReplica: req.ReplicaID == debuggingReplica,
	})
	if r.Version < 5 && wire.CodeOf(err) == wire.OffsetNotAvailable {
		err = wire.LeaderNotAvailable
	}
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
