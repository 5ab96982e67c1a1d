package scenarios

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// led is a topic of three replicas that node 2 led with two records and node 1 leads now with two more; node 3 has another
// topic of two replicas to be asked about in vain.
func led(s *script.Session, name string, configs ...string) target {
	t := createAssigned(s, name, [][]int32{{2, 1, 3}}, configs...)
	awaitLeader(s, t, 2, everyone...)
	fillAt(s, 2, t, script.Batch{Records: script.Values("a", "b")})
	reorder(s, t, 1, 2, 3)
	elect(s, t, 1)
	fillAt(s, 1, t, script.Batch{Records: script.Values("c", "d")})
	return t
}

// epochs are epochs of the asker by their labels.
func epochs(now int32) []struct {
	label string
	epoch int32
} {
	return []struct {
		label string
		epoch int32
	}{{"no epoch", -1}, {"this epoch", now}, {"older epoch", now - 1}, {"newer epoch", now + 1}}
}

// threeReads reads at the leader, at a follower and where there is no replica.
func threeReads(s *script.Session) {
	t := led(s, "three-reads")
	two := createAssigned(s, "three-reads-two", [][]int32{{1, 2}})
	awaitLeader(s, two, 1, everyone...)
	now := epochOf(s, t)
	s.AskAt(1, "to begin with", 12, metadataReq(byName(t.name)))
	each(s, kmsg.ListOffsets, func(v int16) {
		for _, node := range everyone {
			s.AskAt(node, "offsets, latest", v, listReq(t.name, 0, -1, -1))
			if v < 4 {
				continue
			}
			for _, e := range epochs(now) {
				s.AskAt(node, "offsets, "+e.label, v, listReq(t.name, 0, -1, e.epoch))
			}
		}
		s.AskAt(3, "offsets, no replica", v, listReq(two.name, 0, -1, -1))
		s.AskAt(2, "offsets, no partition", v, listReq(two.name, 4, -1, 0))
	})
	for _, as := range []int32{-2, 2, 9} {
		req := listReq(t.name, 0, -1, -1)
		req.ReplicaID = as
		s.AskAt(2, fmt.Sprintf("offsets, as %d", as), 7, req)
		s.AskAt(1, fmt.Sprintf("offsets, as %d", as), 7, req)
	}
	each(s, kmsg.OffsetForLeaderEpoch, func(v int16) {
		for _, node := range everyone {
			for _, e := range epochs(now) {
				for _, of := range []int32{0, now, now + 1, -1} {
					s.AskAt(node, fmt.Sprintf("end of epoch %d, %s", of, e.label), v, epochReq(t.name, 0, e.epoch, of))
				}
			}
		}
		s.AskAt(3, "end of epoch, no replica", v, epochReq(two.name, 0, -1, 0))
		s.AskAt(3, "end of epoch, no replica, this epoch", v, epochReq(two.name, 0, 0, 0))
		s.AskAt(2, "end of epoch, no partition", v, epochReq(two.name, 4, 0, 0))
	})
	each(s, kmsg.Fetch, func(v int16) {
		for _, node := range everyone {
			for _, e := range epochs(now) {
				if v < 9 && e.epoch != -1 {
					continue
				}
				req := fetchReq(t, 2)
				req.Topics[0].Partitions[0].CurrentLeaderEpoch = e.epoch
				s.AskAt(node, "fetch, "+e.label, v, req)
			}
		}
		s.AskAt(3, "fetch, no replica", v, fetchReq(two, 0))
		s.AskAt(2, "fetch beyond", v, fetchReq(t, 99))
		s.AskAt(1, "fetch beyond", v, fetchReq(t, 99))
	})
	for _, v := range []int16{11, 14, 15, 17, 18} {
		for _, as := range []int32{2, 3, 9} {
			req := fetchReq(two, 0)
			if v < 15 {
				req.ReplicaID = as
			} else {
				req.ReplicaState.ID, req.ReplicaState.Epoch = as, -1
			}
			if as != 2 { // which would be counted as one that follows
				s.AskAt(1, fmt.Sprintf("fetch as node %d", as), v, req)
			}
			s.AskAt(2, fmt.Sprintf("fetch as node %d", as), v, req)
			s.AskAt(3, fmt.Sprintf("fetch as node %d", as), v, req)
		}
	}
	rack := fetchReq(t, 0)
	rack.Rack = "r1"
	s.AskAt(1, "fetch from a rack", 12, rack)
	for _, last := range []int32{0, now, now + 1} { // KIP-595's way to find where logs part
		req := fetchReq(t, 4)
		req.Topics[0].Partitions[0].LastFetchedEpoch = last
		s.AskAt(1, fmt.Sprintf("fetch behind epoch %d", last), 12, req)
		s.AskAt(3, fmt.Sprintf("fetch behind epoch %d", last), 12, req)
	}
	for _, node := range everyone {
		deleteReq := kmsg.NewPtrDeleteRecordsRequest()
		deleteReq.TimeoutMillis = 5000
		dt := kmsg.NewDeleteRecordsRequestTopic()
		dt.Topic = t.name
		dp := kmsg.NewDeleteRecordsRequestTopicPartition()
		dp.Offset = 1
		dt.Partitions = append(dt.Partitions, dp)
		deleteReq.Topics = append(deleteReq.Topics, dt)
		s.AskAt(node, "delete records", 2, deleteReq)
		producers := kmsg.NewPtrDescribeProducersRequest()
		pt := kmsg.NewDescribeProducersRequestTopic()
		pt.Topic, pt.Partitions = t.name, []int32{0}
		producers.Topics = append(producers.Topics, pt)
		s.AskAt(node, "producers", 0, producers)
	}
	s.AskAt(1, "earliest", 7, listReq(t.name, 0, -2, -1))
}

func epochReq(topic string, p, current, epoch int32) *kmsg.OffsetForLeaderEpochRequest {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = -1
	t := kmsg.NewOffsetForLeaderEpochRequestTopic()
	t.Topic = topic
	tp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	tp.Partition, tp.CurrentLeaderEpoch, tp.LeaderEpoch = p, current, epoch
	t.Partitions = append(t.Partitions, tp)
	req.Topics = append(req.Topics, t)
	return req
}

// threeWrites produces at the leader, at followers, and with too few in sync.
func threeWrites(s *script.Session) {
	t := led(s, "three-writes")
	two := createAssigned(s, "three-writes-two", [][]int32{{1, 2}})
	strict := createAssigned(s, "three-writes-strict", [][]int32{{1, 2}}, "min.insync.replicas=3")
	for _, x := range []target{two, strict} {
		awaitLeader(s, x, 1, everyone...)
	}
	plain := script.Batch{Base: s.Base, Records: script.Values("x")}.Encode()
	each(s, kmsg.Produce, func(v int16) {
		if v < 3 {
			return
		}
		for _, acks := range []int16{-1, 1} {
			for _, node := range everyone {
				s.AskAt(node, fmt.Sprintf("produce with acks %d", acks), v, produceReq(t, acks, plain))
			}
			s.AskAt(3, fmt.Sprintf("produce where no replica is, acks %d", acks), v, produceReq(two, acks, plain))
			s.AskAt(1, fmt.Sprintf("produce with too few, acks %d", acks), v, produceReq(strict, acks, plain))
			s.AskAt(2, fmt.Sprintf("produce with too few at a follower, acks %d", acks), v, produceReq(strict, acks, plain))
		}
		s.AskAt(2, "produce with acks 5", v, produceReq(t, 5, plain))
		mixed := produceReq(t, -1, plain)
		mixed.Topics = append(mixed.Topics, produceReq(strict, -1, plain).Topics...)
		s.AskAt(1, "produce to two topics", v, mixed)
	})
	req := fetchReq(t, 0)
	s.AskAt(1, "the log", 12, req)
	s.AskAt(1, "the log of the strict one", 12, fetchReq(strict, 0))
	s.AskAt(3, "the log at a follower", 12, fetchReq(t, 0))
}

// threeProducers has an idempotent producer go on at a new leader, and repeat there what the old one took.
func threeProducers(s *script.Session) {
	t := createAssigned(s, "three-producers", [][]int32{{2, 1, 3}})
	awaitLeader(s, t, 2, everyone...)
	for _, node := range everyone {
		s.Until("a block of producer ids", func() bool {
			req := kmsg.NewPtrInitProducerIDRequest()
			req.ProducerID, req.ProducerEpoch = -1, -1
			resp, ok := s.QuietAt(node, 4, req).(*kmsg.InitProducerIDResponse)
			return ok && resp.ErrorCode == 0
		})
	}
	init := kmsg.NewPtrInitProducerIDRequest()
	init.ProducerID, init.ProducerEpoch = -1, -1
	resp, ok := s.QuietAt(3, 4, init).(*kmsg.InitProducerIDResponse)
	if !ok {
		return
	}
	pid, epoch := resp.ProducerID, resp.ProducerEpoch
	send := func(label string, node int32, epoch int16, seq int32, values ...string) {
		b := script.Batch{Base: s.Base, Records: script.Values(values...)}.Producer(pid, epoch, seq)
		s.AskAt(node, label, 9, produceReq(t, -1, b.Encode()))
	}
	for i := range int32(7) {
		send(fmt.Sprintf("batch %d", i), 2, epoch, 2*i, "v", "w")
	}
	reorder(s, t, 1, 2, 3)
	elect(s, t, 1)
	send("batch 6 at the old leader", 2, epoch, 12, "v", "w")
	for i := range int32(7) {
		send(fmt.Sprintf("batch %d again", i), 1, epoch, 2*i, "v", "w")
	}
	send("a gap", 1, epoch, 20, "v")
	send("part of batch 6", 1, epoch, 13, "w")
	send("batch 6 with another length", 1, epoch, 12, "v", "w", "x")
	send("batch 7", 1, epoch, 14, "v", "w")
	send("batch 7 again", 1, epoch, 14, "v", "w")
	send("batch 2 again, once more", 1, epoch, 4, "v", "w")
	reorder(s, t, 3, 1, 2)
	elect(s, t, 3)
	send("batch 7 at the third", 3, epoch, 14, "v", "w")
	send("batch 9 before batch 8", 3, epoch, 18, "v", "w")
	send("batch 8", 3, epoch, 16, "v", "w")
	send("batch 9", 3, epoch, 18, "v", "w")
	send("a new epoch with a gap", 3, epoch+1, 20, "v", "w")
	send("a new epoch", 3, epoch+1, 0, "v", "w")
	send("the old epoch", 3, epoch, 20, "v", "w")
	for _, node := range everyone {
		req := fetchReq(t, 0)
		s.AskAt(node, "the log", 12, req)
	}
}
