// Package group is the group coordinator: groups of consumers, of the classic protocol and of the consumer protocol
// (KIP-848), and the offsets that groups commit, kept in __consumer_offsets in Apache Kafka's record format.
//
// A Coordinator routes each request to the shard of its group (the coordinator package runs shards); a machine is the
// state of one shard. A classicGroup is one group with its state machine: its membership between two stable generations
// lives in memory only, as in Kafka. A consumerGroup adds deadlines to a consumer.Group, all of which is in the log, and whose
// partitions the assign package assigns. A group changes its kind when it is empty, and with members if it may.
//
// Groups of other protocols (share, streams), which a directory of Apache Kafka may hold, are not served: their records
// stay in the log untouched, their offsets can be read, and who asks for them gets an error.
// The package asks no authorizer and reads no request frames.
package group
