package scenarios

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// threeWithoutOne stops the third node, so that reassignments to it stay under way, forgets it in the end and has it come
// back.
func threeWithoutOne(s *script.Session) {
	t := createAssigned(s, "three-moving", [][]int32{{1, 2}, {2, 1}})
	other := createAssigned(s, "three-moving-other", [][]int32{{2, 3}})
	awaitLeader(s, t, 1, everyone...)
	fillAt(s, 1, t, script.Batch{Records: script.Values("a")})
	unregister := func(label string, node, broker int32) {
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = broker
		s.AskAt(node, label, 0, req)
	}
	s.Halt(3)
	for _, node := range []int32{1, 2} {
		awaitPartitions(s, node, other.name, func(m map[int32]kmsg.MetadataResponseTopicPartition) bool { return len(m[0].ISR) == 1 })
	}
	s.AskAt(1, "create on the one that is gone", 7, createReq(assigned("three-moving-gone", [][]int32{{3}})))
	s.AskAt(1, "create on it too", 7, createReq(assigned("three-moving-too", [][]int32{{3, 1}})))
	s.AskAt(1, "create three replicas", 7, createReq(factor("three-moving-three", 1, 3)))
	s.Until("three-moving-too is known", func() bool { return partitionsAt(s, 1, "three-moving-too") != nil })
	s.AskAt(1, "what was created on it too", 12, metadataReq(byName("three-moving-too")))
	s.AskAt(2, "add the one that is gone", 0, reassignReq(t.name, 0, []int32{1, 2, 3}))
	under := func(label string, first int32, replicas int) {
		for _, node := range []int32{1, 2} {
			awaitPartitions(s, node, t.name, func(m map[int32]kmsg.MetadataResponseTopicPartition) bool {
				return len(m[0].Replicas) == replicas && m[0].Replicas[0] == first
			})
		}
		s.AskAt(2, "under way, "+label, 12, metadataReq(byName(t.name)))
		listing(s, label, t.name, 0, 1)
	}
	under("adding", 1, 3)
	s.AskAt(1, "the same again", 0, reassignReq(t.name, 0, []int32{1, 2, 3}))
	s.AskAt(1, "to it alone", 0, reassignReq(t.name, 0, []int32{3}))
	under("replacing", 3, 3)
	s.AskAt(1, "another way", 0, reassignReq(t.name, 0, []int32{2, 3}))
	under("another way", 2, 3)
	more := kmsg.NewPtrCreatePartitionsRequest()
	more.TimeoutMillis = 10000
	mt := kmsg.NewCreatePartitionsRequestTopic()
	mt.Topic, mt.Count = t.name, 3
	added := kmsg.NewCreatePartitionsRequestTopicAssignment()
	added.Replicas = []int32{1, 2}
	mt.Assignment = append(mt.Assignment, added)
	more.Topics = append(more.Topics, mt)
	s.AskAt(1, "elect while it moves", 2, electReq(0, t.name, 0))
	s.AskAt(2, "cancel", 0, reassignReq(t.name, 0, nil))
	under("cancelled", 1, 2)
	s.AskAt(2, "cancel again", 0, reassignReq(t.name, 0, nil))
	s.AskAt(1, "the log after all that", 12, fetchReq(t, 0))
	s.AskAt(1, "partitions added", latest(s, kmsg.CreatePartitions), more)
	s.AskAt(2, "logs of the one that is left", 4, logDirsReq(other.name, 0))
	unregister("forget the one that is gone", 2, 3)
	s.Until("node 3 is forgotten", func() bool {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType, req.IncludeFencedBrokers = 1, true
		resp, ok := s.QuietAt(1, 2, req).(*kmsg.DescribeClusterResponse)
		return ok && len(resp.Brokers) <= 2
	})
	unregister("forget it again", 1, 3)
	s.AskAt(1, "create on the one that is forgotten", 7, createReq(assigned("three-moving-forgotten", [][]int32{{1, 3}})))
	s.AskAt(1, "move to the one that is forgotten", 0, reassignReq(t.name, 0, []int32{1, 3}))
	s.AskAt(1, "a replica on the one that is forgotten", 12, metadataReq(byName(other.name)))
	s.Resume(3)
	awaitReplicas(s, other.name, []int32{2, 3})
	s.AskAt(3, "it is back", 12, metadataReq(byName(other.name), byName(t.name)))
	unregister("forget one that runs", 1, 2)
}

func logDirsReq(topic string, partitions ...int32) *kmsg.DescribeLogDirsRequest {
	req := kmsg.NewPtrDescribeLogDirsRequest()
	t := kmsg.NewDescribeLogDirsRequestTopic()
	t.Topic, t.Partitions = topic, partitions
	req.Topics = append(req.Topics, t)
	return req
}

// threeLogDirs asks each node for its directories.
func threeLogDirs(s *script.Session) {
	t := createAssigned(s, "three-log-dirs", [][]int32{{1, 2}, {2, 3}, {3, 1}})
	awaitLeader(s, t, 1, everyone...)
	fillAt(s, 1, t, script.Batch{Records: script.Values("a", "b")})
	for _, node := range everyone {
		s.Until("replicas have what was produced", func() bool {
			resp, ok := s.QuietAt(node, 4, logDirsReq(t.name, 0)).(*kmsg.DescribeLogDirsResponse)
			return node == 3 || ok && len(resp.Dirs) == 1 && len(resp.Dirs[0].Topics) == 1 && resp.Dirs[0].Topics[0].Partitions[0].Size > 0
		})
		each(s, kmsg.DescribeLogDirs, func(v int16) { s.AskAt(node, "directories", v, logDirsReq(t.name, 0, 1, 2, 7)) })
		for label, dir := range inOrder(map[string]string{"to where it is": s.Node(node).DataDir, "to another node's": s.Node(node%3 + 1).DataDir}) {
			for _, p := range []int32{0, 2, 7} {
				req := kmsg.NewPtrAlterReplicaLogDirsRequest()
				d := kmsg.NewAlterReplicaLogDirsRequestDir()
				d.Dir = dir
				at := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
				at.Topic, at.Partitions = t.name, []int32{p}
				d.Topics = append(d.Topics, at)
				req.Dirs = append(req.Dirs, d)
				s.AskAt(node, "move "+label+", partition "+string('0'+p), 2, req)
			}
		}
	}
}

// threeConfigs asks nodes for each other's settings, and changes them.
func threeConfigs(s *script.Session) {
	describe := func(label string, node int32, v int16, kind kmsg.ConfigResourceType, name string, keys ...string) {
		req := kmsg.NewPtrDescribeConfigsRequest()
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, keys
		req.Resources = append(req.Resources, r)
		req.IncludeSynonyms = true
		s.AskAt(node, label, v, req)
	}
	set := func(label string, node int32, kind kmsg.ConfigResourceType, name, key, value string, dry bool) {
		for v := range int16(2) {
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			req.ValidateOnly = dry
			r := kmsg.NewIncrementalAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kind, name
			c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			c.Name, c.Value = key, &value
			r.Configs = append(r.Configs, c)
			req.Resources = append(req.Resources, r)
			s.AskAt(node, label, v, req)
		}
		req := kmsg.NewPtrAlterConfigsRequest()
		req.ValidateOnly = dry
		r := kmsg.NewAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		c.Name, c.Value = key, &value
		r.Configs = append(r.Configs, c)
		req.Resources = append(req.Resources, r)
		s.AskAt(node, label+" in old words", 2, req)
	}
	const broker, logger, topic = kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger, kmsg.ConfigResourceTypeTopic
	set("its own", 1, broker, "1", "log.cleaner.threads", "2", true)
	set("another's", 1, broker, "2", "log.cleaner.threads", "2", true)
	set("its own for good", 2, broker, "2", "background.threads", "11", false)
	set("another's, wrong", 1, broker, "2", "log.cleaner.threads", "many", true)
	set("another's, unknown key", 3, broker, "2", "no.such.key", "1", true)
	set("a stranger's", 1, broker, "9", "log.cleaner.threads", "2", true)
	set("all", 2, broker, "", "log.cleaner.threads", "2", true)
	set("no number", 2, broker, "two", "log.cleaner.threads", "2", true)
	set("another's logger", 1, logger, "2", "kafka", "INFO", true)
	set("a stranger's logger", 1, logger, "9", "kafka", "INFO", true)
	set("a missing topic", 2, topic, "three-configs-missing", "retention.ms", "7", true)
	for _, v := range []int16{1, 4} {
		describe("another's settings", 1, v, broker, "2", "background.threads")
		describe("a stranger's settings", 1, v, broker, "9", "background.threads")
		describe("all brokers' settings", 3, v, broker, "", "background.threads")
		describe("another's loggers", 1, v, logger, "2", "kafka")
		describe("a missing topic's settings", 2, v, topic, "three-configs-missing", "retention.ms")
	}
	s.Until("node 2 has heard of its settings", func() bool {
		req := kmsg.NewPtrDescribeConfigsRequest()
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = broker, "2", []string{"background.threads"}
		req.Resources = append(req.Resources, r)
		resp, ok := s.QuietAt(2, 4, req).(*kmsg.DescribeConfigsResponse)
		return ok && len(resp.Resources[0].Configs) == 1 && *resp.Resources[0].Configs[0].Value == "11"
	})
	describe("its own settings", 2, 4, broker, "2", "background.threads")
}
