package scenarios

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// threeTransactions has the coordinators of transactions be at one node and the records at another, and asks all of them.
func threeTransactions(s *script.Session) {
	const id, coordinator, leader = "three-txn", 2, 1
	state := createAssigned(s, "__transaction_state", slices.Repeat([][]int32{{coordinator, 1, 3}}, 50), "cleanup.policy=compact", "min.insync.replicas=2")
	awaitLeader(s, state, coordinator, everyone...)
	t := createAssigned(s, "three-txn", [][]int32{{leader, coordinator}})
	awaitLeader(s, t, leader, everyone...)
	init := func() *kmsg.InitProducerIDRequest {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = ptr(id), 60000, -1, -1
		return req
	}
	pid, epoch := int64(-1), int16(-1)
	take := func(resp kmsg.Response) bool {
		r, ok := resp.(*kmsg.InitProducerIDResponse)
		if ok && r.ErrorCode == 0 {
			pid, epoch = r.ProducerID, r.ProducerEpoch
		}
		return ok && r.ErrorCode == 0
	}
	s.Until("the id has a producer", func() bool { return take(s.QuietAt(coordinator, 4, init())) })
	each(s, kmsg.FindCoordinator, func(v int16) {
		if v == 0 {
			return
		}
		for _, node := range everyone {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = 1, id, []string{id, "three-txn-other"}
			s.AskAt(node, "coordinator", v, req)
		}
	})
	for _, node := range []int32{1, 3, coordinator} {
		each(s, kmsg.InitProducerID, func(v int16) { take(s.AskAt(node, "producer", v, init())) })
	}
	awaitState := func(want string) {
		req := kmsg.NewPtrDescribeTransactionsRequest()
		req.TransactionalIDs = []string{id}
		s.Until("the transaction is "+want, func() bool {
			resp, ok := s.QuietAt(coordinator, 0, req).(*kmsg.DescribeTransactionsResponse)
			return ok && resp.TransactionStates[0].State == want
		})
	}
	highWatermark := func(node int32) int64 {
		fetch := fetchReq(t, 0)
		fetch.MinBytes = 0
		if resp, ok := s.QuietAt(node, 12, fetch).(*kmsg.FetchResponse); ok && len(resp.Topics) == 1 {
			return resp.Topics[0].Partitions[0].HighWatermark
		}
		return -1
	}
	ask := func(label string) {
		s.Until("the follower knows the high watermark", func() bool { return highWatermark(coordinator) == highWatermark(leader) })
		for _, node := range everyone {
			describe := kmsg.NewPtrDescribeTransactionsRequest()
			describe.TransactionalIDs = []string{id}
			s.AskAt(node, label+", described", 0, describe)
			list := kmsg.NewPtrListTransactionsRequest()
			list.DurationFilterMillis = -1
			s.AskAt(node, label+", listed", 1, list)
			producers := kmsg.NewPtrDescribeProducersRequest()
			producers.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: t.name, Partitions: []int32{0}}}
			s.AskAt(node, label+", producers", 0, producers)
			fetch := fetchReq(t, 0)
			fetch.MinBytes, fetch.IsolationLevel = 0, 1
			s.AskAt(node, label+", read", 12, fetch)
			ends := listReq(t.name, 0, -1, -1)
			ends.IsolationLevel = 1
			s.AskAt(node, label+", end", 6, ends)
		}
	}
	batch := func(seq int32, value string) []byte {
		return script.Batch{Base: s.Base, Records: script.Values(value), Attributes: 0x10}.Producer(pid, epoch, seq).Encode()
	}
	for round, version := range []int16{9, 12} {
		for _, node := range []int32{1, 3, coordinator} {
			if version < 12 {
				each(s, kmsg.AddPartitionsToTxn, func(v int16) {
					if v > 3 {
						return // of brokers
					}
					req := kmsg.NewPtrAddPartitionsToTxnRequest()
					req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, pid, epoch
					req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: t.name, Partitions: []int32{0}}}
					s.AskAt(node, "add partitions", v, req)
				})
			}
			each(s, kmsg.AddOffsetsToTxn, func(v int16) {
				if node != coordinator {
					s.AskAt(node, "add offsets", v, &kmsg.AddOffsetsToTxnRequest{TransactionalID: id, Group: "three-groups", ProducerID: pid, ProducerEpoch: epoch})
				}
			})
		}
		for _, node := range []int32{3, 2, leader} {
			req := produceReq(t, -1, batch(0, fmt.Sprint("round ", round)))
			req.TransactionID = ptr(id)
			s.AskAt(node, "produce", version, req)
		}
		ask(fmt.Sprint("open, round ", round))
		for _, node := range []int32{1, 3, coordinator} {
			req := kmsg.NewPtrEndTxnRequest()
			req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = id, pid, epoch, round == 1
			v := int16(4)
			if version >= 12 {
				v = 5
			}
			if resp, ok := s.AskAt(node, "end", v, req).(*kmsg.EndTxnResponse); ok && resp.ErrorCode == 0 && v >= 5 {
				pid, epoch = resp.ProducerID, resp.ProducerEpoch
			}
		}
		if round == 1 {
			awaitState("CompleteCommit")
		} else {
			awaitState("CompleteAbort")
			s.Until("the producer is there again", func() bool { return take(s.QuietAt(coordinator, 4, init())) })
		}
		ask(fmt.Sprint("ended, round ", round))
	}
	for _, node := range everyone {
		m := kmsg.WriteTxnMarkersRequestMarker{ProducerID: pid, ProducerEpoch: epoch, CoordinatorEpoch: 0,
			Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: t.name, Partitions: []int32{0}}}}
		s.AskAt(node, "markers", 1, &kmsg.WriteTxnMarkersRequest{Markers: []kmsg.WriteTxnMarkersRequestMarker{m}})
	}
}
