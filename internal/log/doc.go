// Package log is the storage engine: the replicas of partitions as segments with indexes, their producer state and
// epochs, recovery, retention, compaction, and the log directories that hold them, byte for byte in Apache
// Kafka's formats.
//
// It knows one node's files only. It does not know whether a replica leads or follows beyond the epoch that it was
// told, who waits for an append, or what the cluster looks like. Protocol outcomes are errors that wrap a
// wire.Code. Anything held over file access is a lifecycle.IOLock.
package log
