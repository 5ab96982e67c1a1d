package scenarios

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

func electReq(kind int8, topic string, partitions ...int32) *kmsg.ElectLeadersRequest {
	req := kmsg.NewPtrElectLeadersRequest()
	req.TimeoutMillis, req.ElectionType = 5000, kind
	t := kmsg.NewElectLeadersRequestTopic()
	t.Topic, t.Partitions = topic, partitions
	req.Topics = append(req.Topics, t)
	return req
}

// threeElections has leaders elected where that is of use, and where it is not.
func threeElections(s *script.Session) {
	t := createAssigned(s, "three-elections", [][]int32{{2, 1, 3}})
	awaitLeader(s, t, 2, everyone...)
	each(s, kmsg.ElectLeaders, func(v int16) {
		first, second := int32(1), int32(2)
		if v%2 == 1 {
			first, second = second, first
		}
		s.AskAt(1, "leads already", v, electReq(0, t.name, 0))
		reorder(s, t, first, second, 3)
		if v > 0 {
			s.AskAt(3, "unclean where there is a leader", v, electReq(1, t.name, 0))
			s.AskAt(3, "of type 7", v, electReq(7, t.name, 0))
		}
		s.AskAt(3, "preferred", v, electReq(0, t.name, 0, 4))
		awaitLeader(s, t, first, everyone...)
		s.AskAt(2, "afterwards", 12, metadataReq(byName(t.name)))
		s.AskAt(2, "missing topic", v, electReq(0, "three-elections-missing", 0))
		twice := electReq(0, t.name, 0, 0)
		s.AskAt(1, "twice", v, twice)
	})
}

// threeReassign moves replicas, rightly and wrongly. What is under way for long is in threeWithoutOne.
func threeReassign(s *script.Session) {
	t := createAssigned(s, "three-reassign", [][]int32{{1, 2}, {2, 3}})
	awaitLeader(s, t, 1, everyone...)
	fillAt(s, 1, t, script.Batch{Records: script.Values("a", "b", "c")})
	each(s, kmsg.AlterPartitionAssignments, func(v int16) {
		for label, replicas := range inOrder(map[string][]int32{
			"nobody": {}, "an unknown broker": {1, 9}, "a broker twice": {1, 2, 2}, "broker -1": {-1}, "cancel where nothing is": nil,
		}) {
			s.AskAt(1, label, v, reassignReq(t.name, 0, replicas))
		}
		s.AskAt(1, "missing partition", v, reassignReq(t.name, 9, []int32{1}))
		s.AskAt(1, "missing topic", v, reassignReq("three-reassign-missing", 0, []int32{1}))
		s.AskAt(2, "missing partition, cancel", v, reassignReq(t.name, 9, nil))
		twice := reassignReq(t.name, 0, []int32{1, 2})
		twice.Topics[0].Partitions = append(twice.Topics[0].Partitions, twice.Topics[0].Partitions[0])
		s.AskAt(2, "a partition twice", v, twice)
		s.AskAt(3, "as it is", v, reassignReq(t.name, 0, []int32{1, 2}))
		none := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		none.TimeoutMillis = 5000
		s.AskAt(3, "of nothing", v, none)
		if v > 0 {
			other := reassignReq(t.name, 0, []int32{1, 2, 3})
			other.AllowReplicationFactorChange = false
			s.AskAt(2, "another factor, not allowed", v, other)
			same := reassignReq(t.name, 0, []int32{1, 2})
			same.AllowReplicationFactorChange = false
			s.AskAt(2, "the same factor", v, same)
		}
	})
	steps := [][]int32{{1, 2, 3}, {3, 1}, {2}, {1, 3, 2}, {1, 2}}
	for i, replicas := range steps {
		s.AskAt(int32(i%3)+1, fmt.Sprintf("to %v", replicas), 0, reassignReq(t.name, 0, replicas))
		awaitReplicas(s, t.name, replicas)
		leader := partitionsAt(s, 1, t.name)[0].Leader
		awaitLeader(s, t, leader, everyone...)
		s.AskAt(1, fmt.Sprintf("after %v", replicas), 12, metadataReq(byName(t.name)))
		s.AskAt(leader, fmt.Sprintf("the log after %v", replicas), 12, fetchReq(t, 0))
	}
	listing(s, "at rest", t.name, 0, 9)
}

// listing asks what is being reassigned: all, and of one topic.
func listing(s *script.Session, label, topic string, partitions ...int32) {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.TimeoutMillis = 5000
	s.AskAt(1, "reassignments, all, "+label, 0, req)
	t := kmsg.NewListPartitionReassignmentsRequestTopic()
	t.Topic, t.Partitions = topic, partitions
	req.Topics = append(req.Topics, t)
	s.AskAt(2, "reassignments, some, "+label, 0, req)
	t.Topic = "three-missing"
	req.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{t}
	s.AskAt(2, "reassignments, of a missing topic, "+label, 0, req)
}

// threeISR stops and starts the third node, and asks what its partitions are like meanwhile and afterwards.
func threeISR(s *script.Session) {
	all := createAssigned(s, "three-isr", [][]int32{{1, 2, 3}, {3, 1, 2}})
	alone := createAssigned(s, "three-isr-alone", [][]int32{{3}})
	unclean := createAssigned(s, "three-isr-unclean", [][]int32{{3}}, "unclean.leader.election.enable=true")
	strict := createAssigned(s, "three-isr-strict", [][]int32{{1, 2, 3}}, "min.insync.replicas=3")
	for _, t := range []target{all, strict} {
		awaitLeader(s, t, 1, everyone...)
		fillAt(s, 1, t, script.Batch{Records: script.Values("a")})
	}
	awaitLeader(s, alone, 3, everyone...)
	s.Halt(3)
	rest := []int32{1, 2}
	for _, node := range rest {
		for _, t := range []target{alone, unclean} {
			awaitLeader(s, t, -1, node)
		}
		for _, t := range []target{all, strict} {
			awaitPartitions(s, node, t.name, func(m map[int32]kmsg.MetadataResponseTopicPartition) bool {
				return len(inSync(m[0])) == 2 && (len(m) == 1 || m[1].Leader == 1)
			})
		}
	}
	each(s, kmsg.Metadata, func(v int16) {
		for _, node := range rest {
			s.AskAt(node, "without the third", v, metadataReq(byName(all.name), byName(alone.name), byName(strict.name), byName(unclean.name)))
		}
	})
	cluster := kmsg.NewPtrDescribeClusterRequest()
	cluster.EndpointType = 1
	s.AskAt(1, "the cluster without the third", 1, cluster)
	s.AskAt(1, "the cluster without the third", 2, cluster)
	cluster.IncludeFencedBrokers = true
	s.AskAt(2, "the cluster with fenced ones", 2, cluster)
	describe := kmsg.NewPtrDescribeTopicPartitionsRequest()
	describe.ResponsePartitionLimit = 100
	for _, t := range []target{all, alone, strict} {
		dt := kmsg.NewDescribeTopicPartitionsRequestTopic()
		dt.Topic = t.name
		describe.Topics = append(describe.Topics, dt)
	}
	s.AskAt(2, "partitions without the third", 0, describe)
	plain := script.Batch{Base: s.Base, Records: script.Values("x")}.Encode()
	for _, v := range []int16{9, 12} {
		for _, acks := range []int16{-1, 1} {
			s.AskAt(1, fmt.Sprintf("produce, acks %d", acks), v, produceReq(all, acks, plain))
			s.AskAt(1, fmt.Sprintf("produce with too few, acks %d", acks), v, produceReq(strict, acks, plain))
			s.AskAt(1, fmt.Sprintf("produce without a leader, acks %d", acks), v, produceReq(alone, acks, plain))
		}
		s.AskAt(2, "fetch without a leader", v, fetchReq(alone, 0))
	}
	s.AskAt(1, "fetch what has too few", 12, fetchReq(strict, 0))
	s.AskAt(1, "offsets without a leader", 7, listReq(alone.name, 0, -1, -1))
	s.AskAt(1, "offsets without a leader, epoch 0", 7, listReq(alone.name, 0, -1, 0))
	s.AskAt(2, "end of epoch without a leader", 4, epochReq(alone.name, 0, -1, 0))
	each(s, kmsg.ElectLeaders, func(v int16) {
		s.AskAt(1, "elect the one that is gone", v, electReq(0, all.name, 0, 1))
		s.AskAt(1, "elect where nobody is left", v, electReq(0, alone.name, 0))
		if v > 0 {
			s.AskAt(2, "elect uncleanly where nobody is left", v, electReq(1, alone.name, 0))
			s.AskAt(2, "elect uncleanly where that is allowed", v, electReq(1, unclean.name, 0))
			s.AskAt(2, "elect uncleanly where there is a leader", v, electReq(1, all.name, 0))
		}
	})
	s.Resume(3)
	awaitReplicas(s, all.name, []int32{1, 2, 3}, []int32{3, 1, 2})
	awaitReplicas(s, strict.name, []int32{1, 2, 3})
	awaitLeader(s, alone, 3, everyone...)
	for _, node := range everyone {
		s.AskAt(node, "with the third again", 12, metadataReq(byName(all.name), byName(alone.name), byName(strict.name), byName(unclean.name)))
		s.AskAt(node, "offsets with the third again", 7, listReq(all.name, 0, -1, -1))
	}
	s.AskAt(2, "partitions with the third again", 0, describe)
	s.AskAt(1, "produce with all again", 9, produceReq(strict, -1, plain))
	s.AskAt(1, "the log", 12, fetchReq(all, 0))
	s.AskAt(1, "the strict log", 12, fetchReq(strict, 0))
	s.AskAt(3, "elect the one that is back", 2, electReq(0, all.name, 1))
}
