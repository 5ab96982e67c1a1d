package handler

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// DescribeLogDirs, versions 1 to 5 (KIP-113).
//
//	2 flexible    3 error code    4 total and usable bytes of the volume (KIP-827)    5 cordoned directories (KIP-1066)
func (b *Broker) handleDescribeLogDirs(r *wire.Request) {
	req := r.Body.(*kmsg.DescribeLogDirsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	if !b.allowed(r, authz.Describe, authz.Cluster, authz.ClusterName) {
		if r.Version >= 3 {
			resp.ErrorCode = int16(wire.ClusterAuthorizationFailed)
		}
		r.Reply(resp)
		return
	}
	wanted := wantedPartitions(req)
	dirs := b.Logs.Dirs()
	byDir := map[[16]byte][]*log.Log{}
	for _, l := range append(b.Logs.All(), b.Logs.Futures()...) {
		if tp := l.TopicPartition(); wanted(tp) {
			byDir[l.Dir().ID] = append(byDir[l.Dir().ID], l)
		}
	}
	for _, d := range dirs {
		out := kmsg.NewDescribeLogDirsResponseDir()
		out.Dir, out.TotalBytes, out.UsableBytes = d.Path, d.TotalBytes, d.UsableBytes
		if !d.Online {
			out.ErrorCode = int16(wire.KafkaStorageError)
			resp.Dirs = append(resp.Dirs, out)
			continue
		}
		out.Topics = b.describedLogs(byDir[d.ID])
		resp.Dirs = append(resp.Dirs, out)
	}
	r.Reply(resp)
}

// wantedPartitions tells which logs a request is about; null means all.
func wantedPartitions(req *kmsg.DescribeLogDirsRequest) func(log.TopicPartition) bool {
	if req.Topics == nil {
		return func(log.TopicPartition) bool { return true }
	}
	set := map[log.TopicPartition]bool{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			set[log.TopicPartition{Topic: t.Topic, Partition: p}] = true
		}
	}
	return func(tp log.TopicPartition) bool { return set[tp] }
}

func (b *Broker) describedLogs(logs []*log.Log) []kmsg.DescribeLogDirsResponseDirTopic {
	slices.SortFunc(logs, func(a, b *log.Log) int {
		if a.TopicPartition().Less(b.TopicPartition()) {
			return -1
		}
		return 1
	})
	var out []kmsg.DescribeLogDirsResponseDirTopic
	for _, l := range logs {
		tp := l.TopicPartition()
		if len(out) == 0 || out[len(out)-1].Topic != tp.Topic {
			t := kmsg.NewDescribeLogDirsResponseDirTopic()
			t.Topic = tp.Topic
			out = append(out, t)
		}
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size, p.IsFuture = tp.Partition, l.SizeBytes(), l.IsFuture()
		if current := b.Logs.Get(tp); p.IsFuture && current != nil {
			p.OffsetLag = current.LogEndOffset() - l.LogEndOffset()
		}
		t := &out[len(out)-1]
		t.Partitions = append(t.Partitions, p)
	}
	return out
}
