package handler

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/wire"
)

// The topics that brokers keep for themselves.
const (
	offsetsTopic     = "__consumer_offsets"
	transactionTopic = "__transaction_state"
	shareTopic       = "__share_group_state"
	metadataTopic    = "__cluster_metadata"
)

func internalTopic(name string) bool {
	return name == offsetsTopic || name == transactionTopic || name == shareTopic
}

// checkTopicName is Kafka's rule for topic names: 1 to 249 of [a-zA-Z0-9._-], neither "." nor "..".
func checkTopicName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 249 {
		return fmt.Errorf("topic name %q: %w", name, wire.InvalidTopicException)
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return fmt.Errorf("topic name %q has a character other than ASCII letters, digits, '.', '_' and '-': %w", name, wire.InvalidTopicException)
		}
	}
	return nil
}

// newTopic asks for a topic with the settings that its creation by use gives it.
func (b *Broker) newTopic(name string) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	cfg := b.Config()
	var settings [][2]string
	switch name {
	case offsetsTopic:
		t.NumPartitions = int32(cfg.Int("offsets.topic.num.partitions"))
		t.ReplicationFactor = int16(cfg.Int("offsets.topic.replication.factor"))
		settings = [][2]string{
			{"cleanup.policy", "compact"},
			{"compression.type", "producer"},
			{"segment.bytes", fmt.Sprint(cfg.Int("offsets.topic.segment.bytes"))},
		}
	case transactionTopic:
		t.NumPartitions = int32(cfg.Int("transaction.state.log.num.partitions"))
		t.ReplicationFactor = int16(cfg.Int("transaction.state.log.replication.factor"))
		settings = [][2]string{
			{"unclean.leader.election.enable", "false"},
			{"compression.type", "uncompressed"},
			{"cleanup.policy", "compact"},
			{"min.insync.replicas", fmt.Sprint(cfg.Int("transaction.state.log.min.isr"))},
			{"segment.bytes", fmt.Sprint(cfg.Int("transaction.state.log.segment.bytes"))},
		}
	}
	for _, kv := range settings {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = kv[0], &kv[1]
		t.Configs = append(t.Configs, c)
	}
	return t
}

// knownElsewhere turns "not here" into NOT_LEADER_OR_FOLLOWER if the cluster knows the partition, and keeps the code
// if not.
func (b *Broker) knownElsewhere(name string, id wire.TopicID, partition int32, code wire.Code) wire.Code {
	code, _ = b.elsewhere(name, id, partition, code)
	return code
}

// elsewhere is knownElsewhere with the leader, if there is one (KIP-951).
func (b *Broker) elsewhere(name string, id wire.TopicID, partition int32, code wire.Code) (wire.Code, *wire.LeaderHint) {
	img := b.Image()
	var t *image.Topic
	if id != (wire.TopicID{}) {
		t = img.TopicByID(id)
	} else {
		t = img.TopicByName(name)
	}
	if t == nil {
		return code, nil
	}
	p := t.Partition(partition)
	if p == nil {
		return wire.UnknownTopicOrPartition, nil
	}
	return wire.NotLeaderOrFollower, &wire.LeaderHint{LeaderID: p.Leader, LeaderEpoch: p.LeaderEpoch}
}
