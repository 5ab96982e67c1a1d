// Package scenarios is the scripted half of the conformance tests: what is
// asked of a broker, one file per subject. Nothing here says which answer is
// right: Apache Kafka's is.
package scenarios

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// All are the scenarios in the order in which they are run. Each uses topics,
// groups and producers of its own; brokers that run them all must start empty.
func All() []script.Scenario {
	return []script.Scenario{
		{Name: "api-versions", Run: apiVersions},
		{Name: "metadata", Run: metadata},
		{Name: "cluster", Run: cluster},
		{Name: "topics-create", Run: topicsCreate},
		{Name: "topics-delete", Run: topicsDelete},
		{Name: "partitions", Run: partitions},
		{Name: "configs-describe", Run: configsDescribe},
		{Name: "configs-alter", Run: configsAlter},
		{Name: "configs-broker", Run: configsBroker},
		{Name: "configs-other", Run: configsOther},
		{Name: "produce-versions", Run: produceVersions},
		{Name: "produce-codecs", Run: produceCodecs},
		{Name: "produce-refused", Run: produceRefused},
		{Name: "produce-invalid", Run: produceInvalid},
		{Name: "produce-settings", Run: produceSettings},
		{Name: "idempotence", Run: idempotence},
		{Name: "producers", Run: producers},
		{Name: "transactions-old", Run: transactionsOld},
		{Name: "transactions-v2", Run: transactionsV2},
		{Name: "transactions-offsets", Run: transactionsOffsets},
		{Name: "transactions-admin", Run: transactionsAdmin},
		{Name: "transactions-errors", Run: transactionsErrors},
		{Name: "fetch-versions", Run: fetchVersions},
		{Name: "fetch-limits", Run: fetchLimits},
		{Name: "fetch-errors", Run: fetchErrors},
		{Name: "fetch-sessions", Run: fetchSessions},
		{Name: "list-offsets", Run: listOffsets},
		{Name: "leader-epochs", Run: leaderEpochs},
		{Name: "delete-records", Run: deleteRecords},
		{Name: "log-dirs", Run: logDirs},
		{Name: "coordinators", Run: coordinators},
		{Name: "groups-life", Run: groupsLife},
		{Name: "groups-errors", Run: groupsErrors},
		{Name: "groups-static", Run: groupsStatic},
		{Name: "groups-two", Run: groupsTwo},
		{Name: "consumers-errors", Run: consumersErrors},
		{Name: "consumers-life", Run: consumersLife},
		{Name: "consumers-static", Run: consumersStatic},
		{Name: "consumers-regex", Run: consumersRegex},
		{Name: "consumers-migration", Run: consumersMigration},
		{Name: "offsets", Run: offsets},
		{Name: "groups-admin", Run: groupsAdmin},
		{Name: "administration", Run: administration},
		{Name: "quotas", Run: quotas},
		{Name: "quotas-throttle", Run: quotasThrottle},
		{Name: "security-off", Run: securityOff},
		{Name: "telemetry", Run: telemetry},
		{Name: "hostile", Run: hostile},
	}
}

// inOrder walks a table of cases by their labels, so that runs are alike.
func inOrder[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

func ptr[T any](v T) *T { return &v }

// each calls f with every version of an API that the broker advertises.
func each(s *script.Session, key kmsg.Key, f func(v int16)) {
	lo, hi := s.Versions(int16(key))
	for v := lo; v <= hi; v++ {
		f(v)
	}
}

// latest is the highest version of an API.
func latest(s *script.Session, key kmsg.Key) int16 {
	_, hi := s.Versions(int16(key))
	return hi
}

// create makes a topic or ends the scenario; configs are "key=value". It
// returns the topic's id.
func create(s *script.Session, name string, partitions int32, configs ...string) [16]byte {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10000
	req.Topics = append(req.Topics, topicOf(name, partitions, configs...))
	resp, ok := s.Quiet(7, req).(*kmsg.CreateTopicsResponse)
	if !ok || len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != 0 {
		s.Record("creating "+name+" failed", resp)
		return [16]byte{}
	}
	awaitTopic(s, name, max(partitions, 1))
	return resp.Topics[0].TopicID
}

// awaitTopic waits until all partitions of a topic have a leader that answers:
// Apache Kafka's brokers hear of a topic a little after it is created.
func awaitTopic(s *script.Session, name string, partitions int32) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = name
	for p := range partitions {
		tp := kmsg.NewListOffsetsRequestTopicPartition()
		tp.Partition, tp.Timestamp, tp.CurrentLeaderEpoch = p, -1, -1
		t.Partitions = append(t.Partitions, tp)
	}
	req.Topics = append(req.Topics, t)
	s.Until("topic "+name, func() bool {
		resp, ok := s.Quiet(7, req).(*kmsg.ListOffsetsResponse)
		return ok && len(resp.Topics) == 1 && !slices.ContainsFunc(resp.Topics[0].Partitions,
			func(p kmsg.ListOffsetsResponseTopicPartition) bool { return p.ErrorCode != 0 })
	})
}

// settle waits until the broker has heard of every change that the controller
// has made so far: it makes one more and waits for that.
func settle(s *script.Session) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10000
	name := s.Unique("settle")
	req.Topics = append(req.Topics, topicOf(name, 1))
	s.Quiet(7, req)
	awaitTopic(s, name, 1)
}

func topicOf(name string, partitions int32, configs ...string) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	for _, kv := range configs {
		k, v, _ := strings.Cut(kv, "=")
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = k, &v
		t.Configs = append(t.Configs, c)
	}
	return t
}

// target is a topic by both its names: what a request carries depends on its
// version.
type target struct {
	name string
	id   [16]byte
}

func createTarget(s *script.Session, name string, partitions int32, configs ...string) target {
	return target{name, create(s, name, partitions, configs...)}
}

// produceReq is a request for partition 0 of a topic.
func produceReq(t target, acks int16, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 5000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = batch
	pt := kmsg.NewProduceRequestTopic()
	pt.Topic, pt.TopicID = t.name, t.id
	pt.Partitions = append(pt.Partitions, p)
	req.Topics = append(req.Topics, pt)
	return req
}

// fill produces batches one after the other and records nothing but failures.
func fill(s *script.Session, t target, batches ...script.Batch) {
	for _, b := range batches {
		if b.Base == 0 {
			b.Base = s.Base
		}
		resp, ok := s.Quiet(9, produceReq(t, -1, b.Encode())).(*kmsg.ProduceResponse)
		if !ok || resp.Topics[0].Partitions[0].ErrorCode != 0 {
			s.Record("filling "+t.name+" failed", resp)
		}
	}
}

// fetchReq reads partition 0 of a topic from an offset, without a session.
func fetchReq(t target, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = -1, 500, 1, 1<<20
	req.SessionEpoch = -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = offset, 1<<20, -1
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic, ft.TopicID = t.name, t.id
	ft.Partitions = append(ft.Partitions, p)
	req.Topics = append(req.Topics, ft)
	return req
}

// fetchAll records the content of partition 0.
func fetchAll(s *script.Session, label string, t target) {
	req := fetchReq(t, 0)
	req.MinBytes = 0
	s.Ask(label, 12, req)
}
