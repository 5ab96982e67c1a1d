package scenarios

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

func createReq(topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10000
	req.Topics = topics
	return req
}

func topicsCreate(s *script.Session) {
	each(s, kmsg.CreateTopics, func(v int16) {
		name := "create-v" + string(rune('0'+v))
		s.Ask("plain", v, createReq(topicOf(name, 2, "retention.ms=1000")))
		settle(s)
		s.Ask("again", v, createReq(topicOf(name, 2)))
		dry := createReq(topicOf(name+"-dry", 3, "cleanup.policy=compact"))
		dry.ValidateOnly = true
		s.Ask("validate only", v, dry)
		s.Ask("validated only is not there", 9, metadataReq(byName(name+"-dry")))
		if v >= 4 {
			def := topicOf(name+"-default", -1)
			def.ReplicationFactor = -1
			s.Ask("defaults", v, createReq(def))
		}
	})
	for label, topic := range inOrder(map[string]kmsg.CreateTopicsRequestTopic{
		"empty name":             topicOf("", 1),
		"a dot":                  topicOf(".", 1),
		"two dots":               topicOf("..", 1),
		"a slash":                topicOf("a/b", 1),
		"a space":                topicOf("a b", 1),
		"249 letters":            topicOf(strings.Repeat("a", 249), 1),
		"250 letters":            topicOf(strings.Repeat("a", 250), 1),
		"the metadata log":       topicOf("__cluster_metadata", 1),
		"no partitions":          topicOf("create-bad", 0),
		"minus two partitions":   topicOf("create-bad", -2),
		"unknown config":         topicOf("create-bad", 1, "no.such.key=1"),
		"config of a wrong type": topicOf("create-bad", 1, "retention.ms=soon"),
		"config out of range":    topicOf("create-bad", 1, "min.insync.replicas=0"),
		"segment.bytes small":    topicOf("create-bad", 1, "segment.bytes=13"),
		"bad cleanup policy":     topicOf("create-bad", 1, "cleanup.policy=burn"),
		"empty cleanup policy":   topicOf("create-ok-empty-policy", 1, "cleanup.policy="),
		"bad compression":        topicOf("create-bad", 1, "compression.type=rar"),
		"gzip level":             topicOf("create-ok-gzip", 1, "compression.gzip.level=9"),
		"gzip level 11":          topicOf("create-bad", 1, "compression.gzip.level=11"),
		"bad bool":               topicOf("create-bad", 1, "preallocate=maybe"),
		"remote storage":         topicOf("create-bad", 1, "remote.storage.enable=true"),
		"message format":         topicOf("create-bad-format", 1, "message.format.version=2.5"),
		"local retention":        topicOf("create-bad-local", 1, "local.retention.ms=5", "retention.ms=1"),
		"lag order":              topicOf("create-bad-lag", 1, "min.compaction.lag.ms=10", "max.compaction.lag.ms=5"),
		"throttled replicas":     topicOf("create-bad-throttle", 1, "leader.replication.throttled.replicas=x"),
		"ratio 2":                topicOf("create-bad", 1, "min.cleanable.dirty.ratio=2"),
	}) {
		s.Ask(label, 7, createReq(topic))
	}
	topicsCreateMore(s)
}

func topicsCreateMore(s *script.Session) {
	s.Ask("collision first", 7, createReq(topicOf("create.dot_under", 1)))
	settle(s)
	s.Ask("collision", 7, createReq(topicOf("create_dot.under", 1)))
	s.Ask("twice in one", 7, createReq(topicOf("create-twice", 1), topicOf("create-twice", 2), topicOf("create-beside", 1)))
	zero := topicOf("create-rf", 1)
	zero.ReplicationFactor = 0
	s.Ask("replication factor 0", 7, createReq(zero))
	two := topicOf("create-rf", 1)
	two.ReplicationFactor = 2
	s.Ask("replication factor 2", 7, createReq(two))
	nullConfig := topicOf("create-null", 1)
	c := kmsg.NewCreateTopicsRequestTopicConfig()
	c.Name = "retention.ms"
	nullConfig.Configs = append(nullConfig.Configs, c)
	s.Ask("null config", 7, createReq(nullConfig))
	doubled := topicOf("create-doubled", 1, "retention.ms=1", "retention.ms=2")
	s.Ask("config twice", 7, createReq(doubled))
	s.Ask("no topics", 7, createReq())

	assign := func(label string, partitions int32, rf int16, lists ...[]int32) {
		t := topicOf("create-assigned", partitions)
		t.ReplicationFactor = rf
		for i, list := range lists {
			a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			a.Partition, a.Replicas = int32(i), list
			t.ReplicaAssignment = append(t.ReplicaAssignment, a)
		}
		s.Ask("assigned "+label, 7, createReq(t))
	}
	assign("with a count", 2, -1, []int32{1})
	assign("with a factor", -1, 1, []int32{1})
	assign("to nobody", -1, -1, []int32{})
	assign("to a stranger", -1, -1, []int32{9})
	assign("twice to one", -1, -1, []int32{1, 1})
	assign("well", -1, -1, []int32{1}, []int32{1})
	gap := topicOf("create-gap", -1)
	gap.ReplicationFactor = -1
	a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	a.Partition, a.Replicas = 1, []int32{1}
	gap.ReplicaAssignment = append(gap.ReplicaAssignment, a)
	s.Ask("assigned with a gap", 7, createReq(gap))
}

func topicsDelete(s *script.Session) {
	each(s, kmsg.DeleteTopics, func(v int16) {
		name := "delete-v" + string(rune('0'+v))
		id := create(s, name, 1)
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis = 10000
		if v <= 5 {
			req.TopicNames = []string{name, "delete-missing"}
			s.Ask("by name", v, req)
			settle(s)
			s.Ask("gone", 9, metadataReq(byName(name)))
			return
		}
		ask := func(label string, topics ...kmsg.DeleteTopicsRequestTopic) {
			req.Topics = topics
			s.Ask(label, v, req)
		}
		named := func(n string) kmsg.DeleteTopicsRequestTopic {
			t := kmsg.NewDeleteTopicsRequestTopic()
			t.Topic = &n
			return t
		}
		ided := func(id [16]byte) kmsg.DeleteTopicsRequestTopic {
			t := kmsg.NewDeleteTopicsRequestTopic()
			t.TopicID = id
			return t
		}
		ask("unknown id", ided([16]byte{5}))
		ask("neither")
		ask("neither name nor id", ided([16]byte{}))
		ask("by id", ided(id))
		ask("by id again", ided(id))
		second := create(s, name+"-twice", 1)
		ask("twice", named(name+"-twice"), ided(second))
		ask("name twice", named(name+"-twice"), named(name+"-twice"))
		ask("missing", named("delete-missing"))
	})
	// A topic of the same name is another topic.
	create(s, "delete-reborn", 1)
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis, req.TopicNames = 10000, []string{"delete-reborn"}
	s.Ask("before rebirth", 5, req)
	reborn := createTarget(s, "delete-reborn", 2)
	s.Ask("reborn", 12, metadataReq(byName("delete-reborn")))
	fill(s, reborn, script.Batch{Records: script.Values("anew")})
	fetchAll(s, "reborn and empty but for the new", reborn)
}

func partitions(s *script.Session) {
	ask := func(label string, v int16, name string, count int32, assignment ...[]int32) {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis = 10000
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = name, count
		for _, replicas := range assignment {
			a := kmsg.NewCreatePartitionsRequestTopicAssignment()
			a.Replicas = replicas
			t.Assignment = append(t.Assignment, a)
		}
		req.Topics = append(req.Topics, t)
		s.Ask(label, v, req)
	}
	each(s, kmsg.CreatePartitions, func(v int16) {
		name := "partitions-v" + string(rune('0'+v))
		create(s, name, 2)
		ask("more", v, name, 4)
		ask("the same", v, name, 4)
		ask("fewer", v, name, 3)
		ask("none", v, name, 0)
		ask("missing", v, "partitions-missing", 3)
		ask("assigned", v, name, 5, []int32{1})
		ask("assigned to a stranger", v, name, 6, []int32{7})
		ask("assigned too few", v, name, 7, []int32{1})
		ask("assigned too many", v, name, 6, []int32{1}, []int32{1})
		settle(s)
		s.Ask("after all", 9, metadataReq(byName(name)))
	})
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis, req.ValidateOnly = 10000, true
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = "partitions-v0", 9
	req.Topics = append(req.Topics, t)
	s.Ask("validate only", 3, req)
	req.Topics = append(req.Topics, t)
	s.Ask("twice in one", 3, req)
}
