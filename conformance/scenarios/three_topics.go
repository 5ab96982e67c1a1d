package scenarios

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// threeAssignments makes topics whose replicas are given, rightly and wrongly.
func threeAssignments(s *script.Session) {
	s.AskAt(2, "three replicas", 7, createReq(factor("assignments-factor", 4, 3)))
	s.AskAt(1, "four replicas", 7, createReq(factor("assignments-four", 4, 4)))
	s.AskAt(1, "no replica", 7, createReq(factor("assignments-none", 4, 0)))
	s.AskAt(1, "default", 7, createReq(factor("assignments-default", -1, -1)))
	each(s, kmsg.CreateTopics, func(v int16) {
		s.AskAt(3, "given", v, createReq(assigned("assignments-v"+string(rune('0'+v)), [][]int32{{1, 2, 3}, {2, 3, 1}, {3, 1, 2}})))
	})
	both := assigned("assignments-both", [][]int32{{1, 2}})
	both.NumPartitions = 1
	factorToo := assigned("assignments-factor-too", [][]int32{{1, 2}})
	factorToo.ReplicationFactor = 2
	gap, later, twice := assigned("assignments-gap", [][]int32{{1}, {2}}), assigned("assignments-later", [][]int32{{1}}), assigned("assignments-twice", [][]int32{{1}, {2}})
	gap.ReplicaAssignment[1].Partition, later.ReplicaAssignment[0].Partition, twice.ReplicaAssignment[1].Partition = 2, 1, 0
	negative := assigned("assignments-negative", [][]int32{{1}})
	negative.ReplicaAssignment[0].Partition = -1
	for label, topic := range inOrder(map[string]kmsg.CreateTopicsRequestTopic{
		"and partitions":       both,
		"and a factor":         factorToo,
		"a gap":                gap,
		"from 1 on":            later,
		"a partition twice":    twice,
		"partition -1":         negative,
		"unknown broker":       assigned("assignments-unknown", [][]int32{{1, 9}}),
		"broker -1":            assigned("assignments-minus", [][]int32{{-1}}),
		"a broker twice":       assigned("assignments-same", [][]int32{{1, 2, 1}}),
		"no brokers":           assigned("assignments-empty", [][]int32{{}}),
		"null brokers":         assigned("assignments-null", [][]int32{nil}),
		"none for the second":  assigned("assignments-second", [][]int32{{1}, {}}),
		"different lengths":    assigned("assignments-lengths", [][]int32{{1, 2}, {3}}),
		"more than in sync":    assigned("assignments-min", [][]int32{{1, 2}}, "min.insync.replicas=3"),
		"unclean with a value": assigned("assignments-unclean", [][]int32{{1, 2}}, "unclean.leader.election.enable=perhaps"),
	}) {
		s.AskAt(1, label, 7, createReq(topic))
	}
	dry := createReq(assigned("assignments-dry", [][]int32{{3, 2, 1}, {2}}))
	dry.ValidateOnly = true
	s.AskAt(2, "validate only", 7, dry)
	dry.Topics = []kmsg.CreateTopicsRequestTopic{assigned("assignments-dry", [][]int32{{7}})}
	s.AskAt(2, "validate a wrong one", 7, dry)
	s.AskAt(1, "the lot", 7, createReq(assigned("assignments-a", [][]int32{{2, 1}}), assigned("assignments-b", [][]int32{{9}}), assigned("assignments-a", [][]int32{{1}})))
}

// factor is a topic with a replication factor.
func factor(name string, partitions int32, replicas int16) kmsg.CreateTopicsRequestTopic {
	t := topicOf(name, partitions)
	t.ReplicationFactor = replicas
	return t
}

// threeMetadata asks each node for topics and nodes.
func threeMetadata(s *script.Session) {
	t := createAssigned(s, "three-metadata", [][]int32{{1, 2, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}})
	each(s, kmsg.Metadata, func(v int16) {
		for _, node := range everyone {
			s.AskAt(node, "topic", v, metadataReq(byName(t.name)))
		}
		req := metadataReq(byName(t.name))
		req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = v >= 8, v >= 8 && v <= 10
		s.AskAt(3, "with rights", v, req)
	})
	s.AskAt(2, "by id", 12, metadataReq(byID(t.id)))
	each(s, kmsg.DescribeCluster, func(v int16) {
		for kind := range int8(4) {
			req := kmsg.NewPtrDescribeClusterRequest()
			req.EndpointType, req.IncludeClusterAuthorizedOperations, req.IncludeFencedBrokers = kind, kind == 1, v >= 2
			s.AskAt(2, "cluster, endpoints of type "+string(rune('0'+kind)), v, req)
			if v == 0 {
				break
			}
		}
	})
	describe := func(label string, node, limit int32, cursor *kmsg.DescribeTopicPartitionsRequestCursor, topics ...string) {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit, req.Cursor = limit, cursor
		for _, name := range topics {
			rt := kmsg.NewDescribeTopicPartitionsRequestTopic()
			rt.Topic = name
			req.Topics = append(req.Topics, rt)
		}
		s.AskAt(node, label, 0, req)
	}
	for _, node := range everyone {
		describe("partitions", node, 2000, nil, t.name)
	}
	describe("partitions, two of them", 1, 2, nil, t.name)
	describe("partitions, from the second on", 2, 2, &kmsg.DescribeTopicPartitionsRequestCursor{Topic: t.name, Partition: 1}, t.name)
	describe("partitions, and of a missing topic", 3, 2000, nil, "three-missing", t.name)
	describe("partitions, limit 0", 3, 0, nil, t.name)
	describe("partitions, cursor at -1", 3, 3, &kmsg.DescribeTopicPartitionsRequestCursor{Topic: t.name, Partition: -1}, t.name)
	describe("partitions, cursor behind", 3, 3, &kmsg.DescribeTopicPartitionsRequestCursor{Topic: t.name, Partition: 9}, t.name)
}

// threePartitions adds partitions and deletes topics.
func threePartitions(s *script.Session) {
	t := createAssigned(s, "three-partitions", [][]int32{{1, 2, 3}})
	ask := func(label string, node int32, dry bool, topic string, count int32, replicas ...[]int32) {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis, req.ValidateOnly = 10000, dry
		ct := kmsg.NewCreatePartitionsRequestTopic()
		ct.Topic, ct.Count = topic, count
		for _, r := range replicas {
			a := kmsg.NewCreatePartitionsRequestTopicAssignment()
			a.Replicas = r
			ct.Assignment = append(ct.Assignment, a)
		}
		req.Topics = append(req.Topics, ct)
		s.AskAt(node, label, latest(s, kmsg.CreatePartitions), req)
	}
	ask("one for two", 1, false, t.name, 3, []int32{1, 2, 3})
	ask("three for two", 1, false, t.name, 3, []int32{1, 2, 3}, []int32{1, 2, 3}, []int32{1, 2, 3})
	ask("another factor", 1, false, t.name, 2, []int32{1, 2})
	ask("an unknown broker", 1, false, t.name, 2, []int32{1, 2, 9})
	ask("a broker twice", 1, false, t.name, 2, []int32{1, 2, 2})
	ask("no brokers", 1, false, t.name, 2, []int32{})
	ask("fewer", 1, false, t.name, 1)
	ask("none", 1, false, t.name, 0)
	ask("validated", 1, true, t.name, 2, []int32{3, 2, 1})
	ask("right", 2, false, t.name, 3, []int32{3, 2, 1}, []int32{2, 1, 3})
	ask("missing topic", 3, false, "three-partitions-missing", 3)
	awaitReplicas(s, t.name, []int32{1, 2, 3}, []int32{3, 2, 1}, []int32{2, 1, 3})
	s.AskAt(2, "afterwards", 12, metadataReq(byName(t.name)))
	drop := func(label string, node int32, v int16, name *string, id [16]byte) {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis = 10000
		dt := kmsg.NewDeleteTopicsRequestTopic()
		dt.Topic, dt.TopicID = name, id
		req.Topics = append(req.Topics, dt)
		if name != nil {
			req.TopicNames = []string{*name}
		}
		s.AskAt(node, label, v, req)
	}
	drop("delete by name", 3, 6, &t.name, [16]byte{})
	for _, node := range everyone {
		s.Until(t.name+" is gone", func() bool { return partitionsAt(s, node, t.name) == nil })
		s.AskAt(node, "gone", 12, metadataReq(byName(t.name)))
		s.AskAt(node, "gone, by id", 12, metadataReq(byID(t.id)))
		s.AskAt(node, "produce to what is gone", 13, produceReq(t, -1, script.Batch{Base: s.Base, Records: script.Values("x")}.Encode()))
		s.AskAt(node, "fetch what is gone", 13, fetchReq(t, 0))
	}
	drop("delete again", 1, 6, &t.name, [16]byte{})
	drop("delete again by id", 2, 6, nil, t.id)
	drop("delete again in old words", 2, 4, &t.name, [16]byte{})
}
