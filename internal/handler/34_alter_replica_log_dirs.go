package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// AlterReplicaLogDirs, versions 1 and 2 (2 is flexible): moves replicas between this broker's log directories
// (KIP-113). The answer says that a move has begun, not that it is done.
func (b *Broker) handleAlterReplicaLogDirs(r *wire.Request) {
	req := r.Body.(*kmsg.AlterReplicaLogDirsRequest)
	resp := req.ResponseKind().(*kmsg.AlterReplicaLogDirsResponse)
	allowed := b.allowed(r, authz.Alter, authz.Cluster, authz.ClusterName)
	dirs := map[string]log.DirState{}
	for _, d := range b.Logs.Dirs() {
		dirs[d.Path] = d
	}
	for _, d := range req.Dirs {
		for _, t := range d.Topics {
			rt := kmsg.NewAlterReplicaLogDirsResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				rp.Partition = p
				err := error(wire.ClusterAuthorizationFailed)
				if allowed {
					err = b.moveReplica(t.Topic, p, d.Dir, dirs)
				}
				rp.ErrorCode = int16(wire.CodeOf(err))
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
	}
	r.Reply(resp)
}

func (b *Broker) moveReplica(topic string, partition int32, dir string, dirs map[string]log.DirState) error {
	d, known := dirs[dir]
	switch {
	case !known:
		return wire.LogDirNotFound
	case !d.Online:
		return wire.KafkaStorageError
	}
	rep, _, code := b.Replicas.Find(topic, wire.TopicID{}, partition, false)
	switch {
	case code != wire.None:
		if code = b.knownElsewhere(topic, wire.TopicID{}, partition, code); code == wire.NotLeaderOrFollower {
			return wire.ReplicaNotAvailable // it may be on its way here: who asks tries again
		}
		return code
	case rep.Log() == nil:
		return wire.KafkaStorageError
	}
	return b.Logs.MoveTo(log.TopicPartition{Topic: topic, Partition: partition}, d.ID)
}
