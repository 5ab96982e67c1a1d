package scenarios

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

func describeReq(kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, keys
	req.Resources = append(req.Resources, r)
	return req
}

func configsDescribe(s *script.Session) {
	create(s, "configs-describe", 1, "retention.ms=86400000", "cleanup.policy=compact,delete")
	each(s, kmsg.DescribeConfigs, func(v int16) {
		s.Ask("topic, all", v, describeReq(kmsg.ConfigResourceTypeTopic, "configs-describe"))
		some := describeReq(kmsg.ConfigResourceTypeTopic, "configs-describe", "retention.ms", "segment.bytes", "no.such.key")
		some.IncludeSynonyms = v >= 1
		s.Ask("topic, some", v, some)
		s.Ask("topic, missing", v, describeReq(kmsg.ConfigResourceTypeTopic, "configs-missing"))
		s.Ask("topic, bad name", v, describeReq(kmsg.ConfigResourceTypeTopic, "a/b"))
		s.Ask("broker, some", v, describeReq(kmsg.ConfigResourceTypeBroker, "1", "num.partitions", "log.retention.hours", "log.retention.ms", "node.id"))
		s.Ask("broker, another", v, describeReq(kmsg.ConfigResourceTypeBroker, "2"))
		s.Ask("broker, no number", v, describeReq(kmsg.ConfigResourceTypeBroker, "x"))
		s.Ask("broker defaults", v, describeReq(kmsg.ConfigResourceTypeBroker, ""))
		s.Ask("unknown type", v, describeReq(99, "x"))
	})
	all := describeReq(kmsg.ConfigResourceTypeBroker, "1")
	all.IncludeSynonyms = true
	s.Ask("broker, all", 4, all)
	docs := describeReq(kmsg.ConfigResourceTypeTopic, "configs-describe")
	docs.IncludeSynonyms = true
	s.Ask("topic, all with synonyms", 4, docs)
	s.Ask("nothing", 4, kmsg.NewPtrDescribeConfigsRequest())
	twice := describeReq(kmsg.ConfigResourceTypeTopic, "configs-describe", "retention.ms")
	twice.Resources = append(twice.Resources, twice.Resources[0])
	s.Ask("twice", 4, twice)
	empty := describeReq(kmsg.ConfigResourceTypeTopic, "configs-describe")
	empty.Resources[0].ConfigNames = []string{}
	s.Ask("empty list of keys", 4, empty)
}

// Operations of IncrementalAlterConfigs.
const (
	opSet = iota
	opDelete
	opAppend
	opSubtract
)

// change is "op key=value".
type change struct {
	op         int8
	key, value string
	null       bool
}

func alterReq(kind kmsg.ConfigResourceType, name string, changes ...change) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	for _, c := range changes {
		k := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		k.Name, k.Op = c.key, kmsg.IncrementalAlterConfigOp(c.op)
		if !c.null {
			k.Value = ptr(c.value)
		}
		r.Configs = append(r.Configs, k)
	}
	req.Resources = append(req.Resources, r)
	return req
}

func set(key, value string) change { return change{op: opSet, key: key, value: value} }

func configsAlter(s *script.Session) {
	const topic, kind = "configs-alter", kmsg.ConfigResourceTypeTopic
	create(s, topic, 1)
	show := func(after string) {
		settle(s)
		req := describeReq(kind, topic, "retention.ms", "cleanup.policy", "segment.bytes", "min.insync.replicas", "compression.type")
		req.IncludeSynonyms = true
		s.Ask("after "+after, 4, req)
	}
	each(s, kmsg.IncrementalAlterConfigs, func(v int16) {
		s.Ask("set", v, alterReq(kind, topic, set("retention.ms", "5000")))
		show("set")
		s.Ask("append", v, alterReq(kind, topic, change{op: opAppend, key: "cleanup.policy", value: "compact"}))
		show("append")
		s.Ask("subtract", v, alterReq(kind, topic, change{op: opSubtract, key: "cleanup.policy", value: "delete"}))
		show("subtract")
		s.Ask("delete", v, alterReq(kind, topic, change{op: opDelete, key: "retention.ms", null: true}, change{op: opDelete, key: "cleanup.policy", null: true}))
		show("delete")
	})
	for label, c := range inOrder(map[string][]change{
		"unknown key":         {set("no.such.key", "1")},
		"wrong type":          {set("retention.ms", "soon")},
		"out of range":        {set("min.insync.replicas", "0")},
		"a good and a bad":    {set("segment.bytes", "2000000"), set("retention.ms", "soon")},
		"key twice":           {set("retention.ms", "1"), set("retention.ms", "2")},
		"append to a number":  {{op: opAppend, key: "retention.ms", value: "1"}},
		"null value":          {{op: opSet, key: "retention.ms", null: true}},
		"operation 9":         {{op: 9, key: "retention.ms", value: "1"}},
		"empty key":           {set("", "1")},
		"nothing":             {},
		"delete what is none": {{op: opDelete, key: "flush.ms", null: true}},
		"remote storage":      {set("remote.storage.enable", "true")},
		"empty list":          {set("cleanup.policy", "")},
		"append what is in":   {{op: opAppend, key: "cleanup.policy", value: "delete"}},
		"subtract what isn't": {{op: opSubtract, key: "cleanup.policy", value: "compact"}},
		"subtract the last":   {{op: opSubtract, key: "cleanup.policy", value: "delete"}},
	}) {
		s.Ask(label, 1, alterReq(kind, topic, c...))
	}
	show("the refused")
	s.Ask("missing topic", 1, alterReq(kind, "configs-missing", set("retention.ms", "1")))
	s.Ask("unknown type", 1, alterReq(99, "x", set("retention.ms", "1")))
	dry := alterReq(kind, topic, set("retention.ms", "777"))
	dry.ValidateOnly = true
	s.Ask("validate only", 1, dry)
	show("validate only")
	twice := alterReq(kind, topic, set("retention.ms", "1"))
	twice.Resources = append(twice.Resources, twice.Resources[0])
	s.Ask("resource twice", 1, twice)
	configsLegacy(s, topic, show)
}

// configsLegacy: AlterConfigs replaces all keys of a resource.
func configsLegacy(s *script.Session, topic string, show func(string)) {
	ask := func(label string, v int16, kind kmsg.ConfigResourceType, name string, kvs ...string) {
		req := kmsg.NewPtrAlterConfigsRequest()
		r := kmsg.NewAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		for _, kv := range kvs {
			k, value, _ := strings.Cut(kv, "=")
			c := kmsg.NewAlterConfigsRequestResourceConfig()
			c.Name, c.Value = k, &value
			r.Configs = append(r.Configs, c)
		}
		req.Resources = append(req.Resources, r)
		s.Ask("legacy "+label, v, req)
	}
	each(s, kmsg.AlterConfigs, func(v int16) {
		ask("set", v, kmsg.ConfigResourceTypeTopic, topic, "retention.ms=9000", "segment.bytes=3000000")
		show("legacy set")
		ask("replace", v, kmsg.ConfigResourceTypeTopic, topic, "retention.ms=9001")
		show("legacy replace")
		ask("wrong", v, kmsg.ConfigResourceTypeTopic, topic, "retention.ms=soon")
		ask("missing", v, kmsg.ConfigResourceTypeTopic, "configs-missing", "retention.ms=1")
		ask("clear", v, kmsg.ConfigResourceTypeTopic, topic)
		show("legacy clear")
	})
}

func configsBroker(s *script.Session) {
	const kind = kmsg.ConfigResourceTypeBroker
	show := func(after string) {
		settle(s)
		req := describeReq(kind, "1", "log.retention.ms", "log.cleaner.threads", "num.io.threads", "message.max.bytes")
		req.IncludeSynonyms = true
		s.Ask("after "+after, 4, req)
		s.Ask("defaults after "+after, 4, describeReq(kind, ""))
	}
	s.Ask("set on one", 1, alterReq(kind, "1", set("log.retention.ms", "123456789")))
	show("set on one")
	s.Ask("set on all", 1, alterReq(kind, "", set("message.max.bytes", "2000000")))
	show("set on all")
	create(s, "configs-broker", 1)
	topic := describeReq(kmsg.ConfigResourceTypeTopic, "configs-broker", "retention.ms", "max.message.bytes")
	topic.IncludeSynonyms = true
	s.Ask("a topic under them", 4, topic)
	for label, c := range inOrder(map[string]change{
		"read-only":        set("broker.id", "5"),
		"read-only static": set("log.dirs", "/elsewhere"),
		"unknown":          set("no.such.key", "1"),
		"wrong type":       set("log.retention.ms", "soon"),
		"too many threads": set("num.io.threads", "100"),
		"no threads":       set("num.io.threads", "0"),
		"per broker only":  set("listeners", "PLAINTEXT://127.0.0.1:1"),
	}) {
		s.Ask(label, 1, alterReq(kind, "1", c))
		s.Ask(label+" for all", 1, alterReq(kind, "", c))
	}
	s.Ask("another broker", 1, alterReq(kind, "7", set("log.retention.ms", "5")))
	s.Ask("no number", 1, alterReq(kind, "x", set("log.retention.ms", "5")))
	s.Ask("delete", 1, alterReq(kind, "1", change{op: opDelete, key: "log.retention.ms", null: true}))
	s.Ask("delete for all", 1, alterReq(kind, "", change{op: opDelete, key: "message.max.bytes", null: true}))
	show("deletes")
}

func configsOther(s *script.Session) {
	const logger, group, metrics = kmsg.ConfigResourceTypeBrokerLogger, kmsg.ConfigResourceType(32), kmsg.ConfigResourceType(16)
	s.Ask("logger level", 1, alterReq(logger, "1", set("org.apache.kafka", "DEBUG")))
	s.Ask("logger of another", 1, alterReq(logger, "2", set("root", "INFO")))
	s.Ask("logger, bad level", 1, alterReq(logger, "1", set("root", "LOUD")))
	s.Ask("logger, unknown", 1, alterReq(logger, "1", set("no.such.logger", "INFO")))
	s.Ask("logger, append", 1, alterReq(logger, "1", change{op: opAppend, key: "root", value: "INFO"}))
	s.Ask("logger, root off", 1, alterReq(logger, "1", change{op: opDelete, key: "root", null: true}))
	s.Ask("logger, one", 4, describeReq(logger, "1", "no.such.logger"))

	s.Ask("group, defaults", 4, describeReq(group, "configs-group"))
	s.Ask("group, set", 1, alterReq(group, "configs-group", set("consumer.session.timeout.ms", "50000")))
	settle(s)
	s.Ask("group, after", 4, describeReq(group, "configs-group"))
	s.Ask("group, out of range", 1, alterReq(group, "configs-group", set("consumer.session.timeout.ms", "1")))
	s.Ask("group, unknown", 1, alterReq(group, "configs-group", set("no.such.key", "1")))
	s.Ask("group, no name", 1, alterReq(group, "", set("consumer.session.timeout.ms", "50000")))

	s.Ask("metrics, none", 4, describeReq(metrics, "configs-metrics"))
	s.Ask("metrics, set", 1, alterReq(metrics, "configs-metrics", set("interval.ms", "1000")))
	s.Ask("metrics, wrong", 1, alterReq(metrics, "configs-metrics", set("interval.ms", "1")))
	s.Ask("metrics, unknown", 1, alterReq(metrics, "configs-metrics", set("no.such.key", "1")))
	settle(s)
	s.Ask("metrics, after", 4, describeReq(metrics, "configs-metrics"))

	each(s, kmsg.ListConfigResources, func(v int16) {
		req := kmsg.NewPtrListConfigResourcesRequest()
		if v >= 1 {
			req.ResourceTypes = []int8{16, 32}
			s.Ask("list some", v, req)
			s.Ask("list all", v, kmsg.NewPtrListConfigResourcesRequest())
			req.ResourceTypes = []int8{99}
		}
		s.Ask("list", v, req)
	})
	s.Ask("metrics, delete", 1, alterReq(metrics, "configs-metrics", change{op: opDelete, key: "interval.ms", null: true}))
	s.Ask("group, delete", 1, alterReq(group, "configs-group", change{op: opDelete, key: "consumer.session.timeout.ms", null: true}))
}
