// Package consumer is the state of a consumer group (KIP-848), and what it makes of requests. It is pure: an operation
// reads a group and returns the records that change it, in Apache Kafka's format, and an answer; Apply makes a record
// count, whether an operation has just returned it or the log is read back.
//
//	members and topics change -> the group epoch rises
//	a heartbeat sees the group epoch above the assignment epoch -> the assignor makes a target assignment for that epoch
//	each member's heartbeats lead it from what it has to its target: it gives back first, and gets what others have given back
//
// So a partition has one owner at any time. A member has the epoch of the target assignment that it has got to; until it has
// given back what it must, it stays in the one before.
//
// The package has no timers, keeps no offsets and writes nothing: see the group room above it.
package consumer
