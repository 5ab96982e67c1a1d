// Package group is the group coordinator: consumer groups of the classic protocol and the offsets that groups commit,
// kept in __consumer_offsets in Apache Kafka's record format.
//
// A Coordinator routes each request to the shard of its group (the coordinator package runs shards); a machine is the
// state of one shard; a classicGroup is one group with its state machine. Group membership between two stable
// generations lives in memory only, as in Kafka: what is written is each generation with its assignments, and every
// offset.
//
// Groups of the newer protocols (consumer, share, streams), which a directory of Apache Kafka may hold, are not
// served: their records stay in the log untouched, their offsets can be read, and who asks for them gets an error.
// The package assigns no partitions (the group's leader does), asks no authorizer and reads no request frames.
package group
