package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// OffsetForLeaderEpoch, versions 2 to 4: where an epoch ended in this leader's log (KIP-101, KIP-279, KIP-320).
//
//	2 current leader epoch    3 replica id    4 flexible
func (b *Broker) handleOffsetForLeaderEpoch(r *wire.Request) {
	req := r.Body.(*kmsg.OffsetForLeaderEpochRequest)
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	node := b.visible(r, authz.ClusterAction, authz.Cluster, authz.ClusterName) // another broker asks
	for ti := range req.Topics {
		t := &req.Topics[ti]
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		allowed := node || b.allowed(r, authz.Describe, authz.Topic, t.Topic)
		for pi := range t.Partitions {
			p := &t.Partitions[pi]
			rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rp.Partition, rp.LeaderEpoch, rp.EndOffset = p.Partition, -1, -1
			err := error(wire.TopicAuthorizationFailed)
			if allowed {
				rep, name, code := b.Replicas.Find(t.Topic, wire.TopicID{}, p.Partition, false)
				if code != wire.None {
					err = b.knownElsewhere(name, wire.TopicID{}, p.Partition, code)
				} else {
					rp.LeaderEpoch, rp.EndOffset, err = b.Replicas.EpochEnd(rep, p.LeaderEpoch, p.CurrentLeaderEpoch)
				}
			}
			rp.ErrorCode = int16(wire.CodeOf(err))
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	r.Reply(resp)
}
