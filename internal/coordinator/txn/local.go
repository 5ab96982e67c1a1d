package txn

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/wire"
)

// LocalMarkers writes markers into the partitions that this broker leads. Those of __consumer_offsets the group coordinator
// writes, so that the offsets of the transaction count, or are dropped, at the same moment.
type LocalMarkers struct {
	Replicas *replica.Manager
	Groups   *group.Coordinator
	Timeout  time.Duration // how long a marker may take to be committed
}

// Write handles a WriteTxnMarkers: the answer comes when every marker is committed or refused.
func (l *LocalMarkers) Write(req *kmsg.WriteTxnMarkersRequest, reply func(*kmsg.WriteTxnMarkersResponse)) {
	resp := req.ResponseKind().(*kmsg.WriteTxnMarkersResponse)
	n := 0
	for i := range req.Markers {
		m := kmsg.NewWriteTxnMarkersResponseMarker()
		m.ProducerID = req.Markers[i].ProducerID
		for j := range req.Markers[i].Topics {
			t := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			t.Topic = req.Markers[i].Topics[j].Topic
			for _, index := range req.Markers[i].Topics[j].Partitions {
				p := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				p.Partition = index
				t.Partitions = append(t.Partitions, p)
				n++
			}
			m.Topics = append(m.Topics, t)
		}
		resp.Markers = append(resp.Markers, m)
	}
	g := coordinator.NewGather(n, func() { reply(resp) })
	for i := range resp.Markers {
		for j := range resp.Markers[i].Topics {
			t := &resp.Markers[i].Topics[j]
			for k := range t.Partitions {
				p := &t.Partitions[k]
				once := sync.OnceFunc(g.Done)
				l.write(log.TopicPartition{Topic: t.Topic, Partition: p.Partition}, &req.Markers[i], versionOf(req, i), func(code wire.Code) {
					p.ErrorCode = int16(code)
					once()
				})
			}
		}
	}
	g.Done()
}

// versionOf is the transaction.version of a marker, if the request can tell.
func versionOf(req *kmsg.WriteTxnMarkersRequest, i int) int8 {
	if req.Version < 2 {
		return log.TxnVersionUnknown
	}
	return req.Markers[i].TransactionVersion
}

func (l *LocalMarkers) write(tp log.TopicPartition, m *kmsg.WriteTxnMarkersRequestMarker, version int8, done func(wire.Code)) {
	r, _, code := l.Replicas.Find(tp.Topic, wire.TopicID{}, tp.Partition, false)
	if code != wire.None {
		done(wire.UnknownTopicOrPartition)
		return
	}
	if tp.Topic == group.OffsetsTopic {
		l.Groups.EndTransaction(tp.Partition, group.Marker{
			ProducerID: m.ProducerID, Epoch: m.ProducerEpoch, CoordinatorEpoch: m.CoordinatorEpoch, Commit: m.Committed, Version: version,
		}, func(code wire.Code) {
			switch code {
			case wire.CoordinatorNotAvailable, wire.CoordinatorLoadInProgress, wire.NotCoordinator:
				code = wire.NotLeaderOrFollower // in the words that a coordinator of transactions expects
			}
			done(code)
		})
		return
	}
	marker := record.EndTxnMarker{Commit: m.Committed, CoordinatorEpoch: m.CoordinatorEpoch}
	l.Replicas.WriteMarker(r, m.ProducerID, m.ProducerEpoch, marker, version, l.Timeout, func(err error) { done(wire.CodeOf(err)) })
}
