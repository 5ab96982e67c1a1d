package log

import (
	"math"

	"github.com/weir-stream/weir/internal/record"
)

// Config is the resolved configuration of one log: a topic's settings over the broker's defaults. It is immutable
// once handed to a log. Times are milliseconds, sizes bytes.
type Config struct {
	SegmentBytes       int32
	SegmentMs          int64
	SegmentJitterMs    int64
	SegmentIndexBytes  int32
	IndexIntervalBytes int32
	Preallocate        bool

	RetentionMs    int64 // -1: no limit
	RetentionBytes int64 // -1: no limit
	// Delete and Compact are cleanup.policy.
	Delete, Compact   bool
	FileDeleteDelayMs int64

	FlushMessages int64
	FlushMs       int64

	MaxMessageBytes          int32
	MaxDecompressedBytes     int32
	CompressionType          string // producer, uncompressed, gzip, snappy, lz4, zstd
	CompressionGzipLevel     int
	CompressionLz4Level      int
	CompressionZstdLevel     int
	MessageTimestampType     record.TimestampType
	MessageTimestampBeforeMs int64
	MessageTimestampAfterMs  int64

	MinCleanableDirtyRatio float64
	MinCompactionLagMs     int64
	MaxCompactionLagMs     int64
	DeleteRetentionMs      int64
}

// DefaultConfig is Apache Kafka's defaults.
func DefaultConfig() Config {
	return Config{
		SegmentBytes: 1 << 30, SegmentMs: 7 * 24 * 3600 * 1000, SegmentIndexBytes: 10 << 20, IndexIntervalBytes: 4096,
		RetentionMs: 7 * 24 * 3600 * 1000, RetentionBytes: -1, Delete: true, FileDeleteDelayMs: 60_000,
		FlushMessages: math.MaxInt64, FlushMs: math.MaxInt64,
		MaxMessageBytes: 1048588, MaxDecompressedBytes: math.MaxInt32 - 8, CompressionType: "producer",
		CompressionGzipLevel: -1, CompressionLz4Level: 9, CompressionZstdLevel: 3,
		MessageTimestampBeforeMs: math.MaxInt64, MessageTimestampAfterMs: 3600_000,
		MinCleanableDirtyRatio: 0.5, MaxCompactionLagMs: math.MaxInt64, DeleteRetentionMs: 24 * 3600 * 1000,
	}
}

// compressionFor says whether a batch in the given codec must be compressed anew, and how.
func (c *Config) compressionFor(from record.Codec) (record.Compression, bool) {
	if c.CompressionType == "" || c.CompressionType == "producer" {
		return record.Compression{}, false
	}
	to, err := record.ParseCodec(c.CompressionType)
	if err != nil || to == from {
		return record.Compression{}, false
	}
	level := 0
	switch to {
	case record.Gzip:
		level = c.CompressionGzipLevel
	case record.Lz4:
		level = c.CompressionLz4Level
	case record.Zstd:
		level = c.CompressionZstdLevel
	}
	return record.Compression{Codec: to, Level: level}, true
}
