package scenarios

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// Three are the scenarios that are played against three nodes, each a broker and a controller, in the order in which they
// are run. The last of them stop the third node and start it again.
func Three() []script.Scenario {
	return []script.Scenario{
		{Name: "three-assignments", Run: threeAssignments},
		{Name: "three-metadata", Run: threeMetadata},
		{Name: "three-partitions", Run: threePartitions},
		{Name: "three-reads", Run: threeReads},
		{Name: "three-writes", Run: threeWrites},
		{Name: "three-producers", Run: threeProducers},
		{Name: "three-elections", Run: threeElections},
		{Name: "three-reassign", Run: threeReassign},
		{Name: "three-configs", Run: threeConfigs},
		{Name: "three-log-dirs", Run: threeLogDirs},
		{Name: "three-groups", Run: threeGroups},
		{Name: "three-transactions", Run: threeTransactions},
		{Name: "three-quorum", Run: threeQuorum},
		{Name: "three-brokers", Run: threeBrokers},
		{Name: "three-controllers", Run: threeControllers},
		{Name: "three-isr", Run: threeISR},
		{Name: "three-without-one", Run: threeWithoutOne},
	}
}

// everyone are the nodes of these scenarios.
var everyone = []int32{1, 2, 3}

// assigned is a topic whose partitions have these replicas, the first of which leads.
func assigned(name string, replicas [][]int32, configs ...string) kmsg.CreateTopicsRequestTopic {
	t := topicOf(name, -1, configs...)
	t.ReplicationFactor = -1
	for i, r := range replicas {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(i), r
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
	}
	return t
}

// createAssigned makes a topic with these replicas and waits until all nodes know it with all replicas in sync.
func createAssigned(s *script.Session, name string, replicas [][]int32, configs ...string) target {
	resp, ok := s.Quiet(7, createReq(assigned(name, replicas, configs...))).(*kmsg.CreateTopicsResponse)
	if !ok || len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != 0 {
		s.Record("creating "+name+" failed", resp)
		return target{name: name}
	}
	awaitReplicas(s, name, replicas...)
	return target{name, resp.Topics[0].TopicID}
}

// partitionsAt are a topic's partitions as a node tells of them, by their numbers; nil while it does not know it.
func partitionsAt(s *script.Session, node int32, topic string) map[int32]kmsg.MetadataResponseTopicPartition {
	resp, ok := s.QuietAt(node, 9, metadataReq(byName(topic))).(*kmsg.MetadataResponse)
	if !ok || len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != 0 {
		return nil
	}
	out := map[int32]kmsg.MetadataResponseTopicPartition{}
	for _, p := range resp.Topics[0].Partitions {
		out[p.Partition] = p
	}
	return out
}

// awaitReplicas waits until all nodes tell that the partitions of a topic have these replicas, all in sync, and a leader.
func awaitReplicas(s *script.Session, topic string, replicas ...[]int32) {
	for _, node := range everyone {
		awaitPartitions(s, node, topic, func(all map[int32]kmsg.MetadataResponseTopicPartition) bool {
			for i, want := range replicas {
				p, ok := all[int32(i)]
				if !ok || p.Leader < 0 || !slices.Equal(p.Replicas, want) || !slices.Equal(inSync(p), slices.Sorted(slices.Values(want))) {
					return false
				}
			}
			return true
		})
	}
}

func inSync(p kmsg.MetadataResponseTopicPartition) []int32 {
	return slices.Sorted(slices.Values(p.ISR))
}

func awaitPartitions(s *script.Session, node int32, topic string, want func(map[int32]kmsg.MetadataResponseTopicPartition) bool) {
	s.Until("partitions of "+topic, func() bool { return want(partitionsAt(s, node, topic)) })
}

// awaitLeader waits until all these nodes tell that partition 0 of a topic has a leader, and the leader answers as such.
func awaitLeader(s *script.Session, t target, leader int32, nodes ...int32) {
	for _, node := range nodes {
		awaitPartitions(s, node, t.name, func(all map[int32]kmsg.MetadataResponseTopicPartition) bool { return all[0].Leader == leader })
	}
	if leader < 0 {
		return
	}
	s.Until("leader of "+t.name, func() bool {
		resp, ok := s.QuietAt(leader, 7, listReq(t.name, 0, -1, -1)).(*kmsg.ListOffsetsResponse)
		return ok && resp.Topics[0].Partitions[0].ErrorCode == 0
	})
}

// epochOf is the leader epoch of partition 0.
func epochOf(s *script.Session, t target) int32 { return partitionsAt(s, 1, t.name)[0].LeaderEpoch }

// fillAt is fill where node leads.
func fillAt(s *script.Session, node int32, t target, batches ...script.Batch) {
	for _, b := range batches {
		if b.Base == 0 {
			b.Base = s.Base
		}
		resp, ok := s.QuietAt(node, 9, produceReq(t, -1, b.Encode())).(*kmsg.ProduceResponse)
		if !ok || resp.Topics[0].Partitions[0].ErrorCode != 0 {
			s.Record("filling "+t.name+" failed", resp)
		}
	}
}

// elect has the first replica of partition 0 lead it.
func elect(s *script.Session, t target, leader int32) {
	req := kmsg.NewPtrElectLeadersRequest()
	req.TimeoutMillis = 5000
	et := kmsg.NewElectLeadersRequestTopic()
	et.Topic, et.Partitions = t.name, []int32{0}
	req.Topics = append(req.Topics, et)
	s.Quiet(2, req)
	awaitLeader(s, t, leader, everyone...)
}

// reorder gives partition 0 of a topic the same replicas in another order and waits for them.
func reorder(s *script.Session, t target, replicas ...int32) {
	s.Quiet(0, reassignReq(t.name, 0, replicas))
	awaitReplicas(s, t.name, replicas)
}

func reassignReq(topic string, p int32, replicas []int32) *kmsg.AlterPartitionAssignmentsRequest {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 10000
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic = topic
	tp := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	tp.Partition, tp.Replicas = p, replicas
	t.Partitions = append(t.Partitions, tp)
	req.Topics = append(req.Topics, t)
	return req
}
