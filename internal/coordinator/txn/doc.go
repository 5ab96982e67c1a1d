// Package txn coordinates transactions (KIP-98, 360, 447, 588, 664, 890): it gives a transactional id its producer and epoch,
// knows which partitions its transaction is in, decides once whether it is committed, and has a marker written into each of
// them. Its state lies in __transaction_state, one shard for each partition (package coordinator).
//
// The rules are in core.go, which is pure; machine.go carries them out in a shard's loop; markers.go brings markers to the
// leaders of partitions and local.go writes those that are led here; verify.go asks coordinators on behalf of the partitions
// that are led here whether a batch may begin a transaction.
//
// It keeps no records of clients and decides nothing about offsets of groups: it only tells the group coordinator that a
// transaction has ended.
package txn
