package config

import "strings"

// removedKeys are settings that Apache Kafka once had. They are accepted with a line that says what they come
// to now. A key that ends in "." stands for all that begin so.
var removedKeys = []struct{ key, say string }{
	{"zookeeper.", ""}, // one line for all of them, see zookeeperNotice
	{"inter.broker.protocol.version", "it was removed in Kafka 4.0; the version is that of the cluster's metadata"},
	{"log.message.format.version", "it was removed in Kafka 4.0; records are always in format version 2"},
	{"log.message.downconversion.enable", "it was removed in Kafka 4.0; records are never converted to old formats"},
	{"log.message.timestamp.difference.max.ms", "it was removed in Kafka 4.0; log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms took its place"},
	{"broker.id.generation.enable", "it was removed in Kafka 4.0; without broker.id and node.id the id is 0"},
	{"reserved.broker.max.id", "it was removed in Kafka 4.0; any id from 0 on is allowed"},
	{"control.plane.listener.name", "it was removed in Kafka 4.0; controller.listener.names took its place"},
	{"controlled.shutdown.max.retries", "it was removed in Kafka 4.0; a controlled shutdown is tried until it is done"},
	{"controlled.shutdown.retry.backoff.ms", "it was removed in Kafka 4.0; a controlled shutdown is tried until it is done"},
	{"offsets.commit.required.acks", "it was removed in Kafka 4.0; commits wait for all in-sync replicas"},
	{"group.coordinator.new.enable", "it was removed in Kafka 4.0; there is one group coordinator"},
	{"leader.imbalance.per.broker.percentage", "it was removed in Kafka 4.0; leadership goes back to preferred replicas at any imbalance"},
	{"password.encoder.", "it was removed in Kafka 4.0; it encrypted passwords in ZooKeeper"},
	{"auto.include.jmx.reporter", "it was removed in Kafka 4.0; there is no JMX here, see weir.metrics.listeners"},
	{"delegation.token.master.key", "it was removed in Kafka 4.0; delegation.token.secret.key took its place"},
	{"metadata.log.segment.min.bytes", "it was removed in Kafka 4.1"},
	{"eligible.leader.replicas.enable", "it was removed in Kafka 4.0; eligible leader replicas are a feature, see kafka-features"},
}

// oldAddressKeys are read in files without process.roles, where they took the place of listeners.
var oldAddressKeys = []string{"host.name", "port", "advertised.host.name", "advertised.port"}

// otherKeys are settings of plug-ins and distributions that stand in brokers' files and do nothing here.
var otherKeys = []struct{ key, say string }{
	{"confluent.", "it belongs to Confluent's own server"},
	{"allow.everyone.if.no.acl.found", "it belongs to an authorizer, and none is set"},
	{"super.users", "it belongs to an authorizer, and none is set"},
	{"rlmm.config.", "there is no tiered storage"},
	{"rsm.config.", "there is no tiered storage"},
	{"metrics.context.", "it belongs to metric reporters of the JVM"},
	{"kafka.metrics.", "it belongs to metric reporters of the JVM"},
	{"listener.name.", ""},
	{"config.providers.", ""},
}

func matches(pattern, key string) bool {
	return key == pattern || strings.HasSuffix(pattern, ".") && strings.HasPrefix(key, pattern)
}

// Removed tells whether a key is one that Apache Kafka once had, and what to say of it.
func Removed(key string) (say string, ok bool) {
	for _, r := range removedKeys {
		if matches(r.key, key) {
			return r.say, true
		}
	}
	return "", false
}

const zookeeperNotice = "ZooKeeper is not needed: this node keeps its own metadata and starts as a broker and controller in one; the zookeeper.* settings are not used"
