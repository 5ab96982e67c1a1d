package node

import (
	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/record"
)

// logConfig is a topic's resolved settings in the words of the log.
func logConfig(t config.Topic) log.Config {
	ts := record.CreateTime
	if t.LogAppendTime {
		ts = record.LogAppendTime
	}
	return log.Config{
		SegmentBytes: int32(t.SegmentBytes), SegmentMs: t.SegmentMs, SegmentJitterMs: t.SegmentJitterMs,
		SegmentIndexBytes: int32(t.SegmentIndexBytes), IndexIntervalBytes: int32(t.IndexIntervalBytes), Preallocate: t.Preallocate,
		RetentionMs: t.RetentionMs, RetentionBytes: t.RetentionBytes,
		Delete: t.CleanupDelete, Compact: t.CleanupCompact, FileDeleteDelayMs: t.FileDeleteDelayMs,
		FlushMessages: t.FlushMessages, FlushMs: t.FlushMs,
		MaxMessageBytes: int32(t.MaxMessageBytes), MaxDecompressedBytes: int32(t.MaxDecompressedMessageBytes),
		CompressionType: t.CompressionType, CompressionGzipLevel: t.GzipLevel, CompressionLz4Level: t.Lz4Level, CompressionZstdLevel: t.ZstdLevel,
		MessageTimestampType: ts, MessageTimestampBeforeMs: t.TimestampBeforeMaxMs, MessageTimestampAfterMs: t.TimestampAfterMaxMs,
		MinCleanableDirtyRatio: t.MinCleanableDirtyRatio, MinCompactionLagMs: t.MinCompactionLagMs,
		MaxCompactionLagMs: t.MaxCompactionLagMs, DeleteRetentionMs: t.DeleteRetentionMs,
	}
}

// logManagerConfig is the node's settings in the words of the log manager.
func logManagerConfig(c *config.Set) log.ManagerConfig {
	n := c.Node()
	durability := log.DurabilityPageCache
	if c.String("weir.durability") == "fsync" {
		durability = log.DurabilityFsync
	}
	return log.ManagerConfig{
		Dirs: n.LogDirs, NodeID: n.ID, Durability: durability,
		RecoveryThreadsPerDir:     c.Int("num.recovery.threads.per.data.dir"),
		RetentionCheckInterval:    c.Millis("log.retention.check.interval.ms"),
		FlushCheckInterval:        c.Millis("log.flush.scheduler.interval.ms"),
		RecoveryPointInterval:     c.Millis("log.flush.offset.checkpoint.interval.ms"),
		LogStartInterval:          c.Millis("log.flush.start.offset.checkpoint.interval.ms"),
		HighWatermarkInterval:     c.Millis("replica.high.watermark.checkpoint.interval.ms"),
		InitialTaskDelay:          c.Millis("log.initial.task.delay.ms"),
		ProducerExpirationMs:      c.Long("producer.id.expiration.ms"),
		VerifyTransactions:        c.Bool("transaction.partition.verification.enable"),
		ProducerExpirationCheck:   c.Millis("producer.id.expiration.check.interval.ms"),
		CleanerEnabled:            c.Bool("log.cleaner.enable"),
		CleanerThreads:            c.Int("log.cleaner.threads"),
		CleanerDedupeBufferBytes:  c.Long("log.cleaner.dedupe.buffer.size"),
		CleanerIOBufferBytes:      c.Int("log.cleaner.io.buffer.size"),
		CleanerIOBufferLoadFactor: c.Double("log.cleaner.io.buffer.load.factor"),
		CleanerMaxIOBytesPerSec:   c.Double("log.cleaner.io.max.bytes.per.second"),
		CleanerBackoff:            c.Millis("log.cleaner.backoff.ms"),
	}
}
