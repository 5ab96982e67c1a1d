package config

import "slices"

// Topic is the settings of one topic with every default filled in.
type Topic struct {
	CleanupDelete, CleanupCompact bool

	CompressionType string // producer, uncompressed, gzip, snappy, lz4, zstd
	GzipLevel       int
	Lz4Level        int
	ZstdLevel       int

	DeleteRetentionMs      int64
	FileDeleteDelayMs      int64
	FlushMessages          int64
	FlushMs                int64
	IndexIntervalBytes     int
	MaxCompactionLagMs     int64
	MinCompactionLagMs     int64
	MinCleanableDirtyRatio float64

	MaxMessageBytes             int
	MaxDecompressedMessageBytes int
	LogAppendTime               bool // message.timestamp.type
	TimestampAfterMaxMs         int64
	TimestampBeforeMaxMs        int64

	MinInsyncReplicas     int
	Preallocate           bool
	RetentionBytes        int64 // -1: no limit
	RetentionMs           int64 // -1: no limit
	SegmentBytes          int
	SegmentIndexBytes     int
	SegmentJitterMs       int64
	SegmentMs             int64
	UncleanLeaderElection bool

	LocalRetentionBytes int64 // -2: as RetentionBytes
	LocalRetentionMs    int64 // -2: as RetentionMs
	RemoteStorageEnable bool

	LeaderThrottledReplicas   []string
	FollowerThrottledReplicas []string
}

// Topic returns the settings of a topic with the given overrides. Overrides that are unknown or do not parse
// count as not given: they were checked when they were set, and a replica must open whatever stands in the
// metadata.
func (s *Set) Topic(overrides map[string]string) Topic {
	if len(overrides) == 0 {
		return s.topic
	}
	return s.resolveTopic(overrides)
}

func (s *Set) topicDefaults() Topic { return s.resolveTopic(nil) }

func (s *Set) resolveTopic(overrides map[string]string) Topic {
	get := func(name string) Value { return s.topicValue(LookupTopic(name), overrides) }
	num := func(name string) int64 { return get(name).Int }
	policy := get("cleanup.policy").List
	return Topic{
		CleanupDelete: slices.Contains(policy, "delete"), CleanupCompact: slices.Contains(policy, "compact"),
		CompressionType: get("compression.type").Str, GzipLevel: int(num("compression.gzip.level")),
		Lz4Level: int(num("compression.lz4.level")), ZstdLevel: int(num("compression.zstd.level")),
		DeleteRetentionMs: num("delete.retention.ms"), FileDeleteDelayMs: num("file.delete.delay.ms"),
		FlushMessages: num("flush.messages"), FlushMs: num("flush.ms"), IndexIntervalBytes: int(num("index.interval.bytes")),
		MaxCompactionLagMs: num("max.compaction.lag.ms"), MinCompactionLagMs: num("min.compaction.lag.ms"),
		MinCleanableDirtyRatio: get("min.cleanable.dirty.ratio").Dbl, MaxMessageBytes: int(num("max.message.bytes")),
		MaxDecompressedMessageBytes: int(num("max.decompressed.message.bytes")),
		LogAppendTime:               get("message.timestamp.type").Str == "LogAppendTime",
		TimestampAfterMaxMs:         num("message.timestamp.after.max.ms"), TimestampBeforeMaxMs: num("message.timestamp.before.max.ms"),
		MinInsyncReplicas: int(num("min.insync.replicas")), Preallocate: get("preallocate").Bool,
		RetentionBytes: num("retention.bytes"), RetentionMs: num("retention.ms"), SegmentBytes: s.segmentBytes(overrides),
		SegmentIndexBytes: int(num("segment.index.bytes")), SegmentJitterMs: num("segment.jitter.ms"), SegmentMs: num("segment.ms"),
		UncleanLeaderElection: get("unclean.leader.election.enable").Bool,
		LocalRetentionBytes:   num("local.retention.bytes"), LocalRetentionMs: num("local.retention.ms"),
		RemoteStorageEnable:       get("remote.storage.enable").Bool,
		LeaderThrottledReplicas:   get("leader.replication.throttled.replicas").List,
		FollowerThrottledReplicas: get("follower.replication.throttled.replicas").List,
	}
}

// segmentBytes honours internal.segment.bytes, which tests use to get segments under 1 MiB.
func (s *Set) segmentBytes(overrides map[string]string) int {
	if v := s.topicValue(LookupTopic("internal.segment.bytes"), overrides); !v.Null {
		return int(v.Int)
	}
	return int(s.topicValue(LookupTopic("segment.bytes"), overrides).Int)
}

// topicValue is the value of one topic setting: the override, else what the broker gives, else the default.
func (s *Set) topicValue(d *Def, overrides map[string]string) Value {
	if raw, ok := overrides[d.Name]; ok {
		if v, err := d.Parse(raw); err == nil {
			return v
		}
	}
	if d.Server != "" {
		return s.serverDefault(d.Server)
	}
	return d.defaultValue()
}

// inUnit says by what the value of a synonym is multiplied to get milliseconds.
var inUnit = map[string]int64{
	"log.retention.minutes": 60_000, "log.retention.hours": 3_600_000,
	"log.roll.hours": 3_600_000, "log.roll.jitter.hours": 3_600_000,
}

// serverDefault is the value of a broker setting that may be given under several names: the first one that is
// not null, converted to the unit of the first. A negative time means none, that is -1.
func (s *Set) serverDefault(name string) Value {
	v := s.values[name]
	d := LookupBroker(name)
	if !v.Null || len(d.Synonyms) == 0 {
		return v
	}
	for _, syn := range d.Synonyms {
		v = s.values[syn]
		if v.Null {
			continue
		}
		if unit := inUnit[syn]; unit != 0 {
			v.Int *= unit
		}
		break
	}
	if name == "log.retention.ms" && v.Int < 0 {
		v.Int = -1
	}
	return v
}

// RetentionMs is how long logs are kept by default: log.retention.ms, .minutes or .hours; -1 is for ever.
func (s *Set) RetentionMs() int64 { return s.topic.RetentionMs }

// ValidateTopic checks the overrides of a topic as a whole, which are to replace old. The first error is
// returned; it is an *Error with Kafka's sentence.
func (s *Set) ValidateTopic(old, overrides map[string]string) error {
	names := sortedKeys(overrides)
	for _, name := range names {
		if LookupTopic(name) == nil {
			return &Error{Key: name, Full: "Unknown topic config name: " + name}
		}
	}
	for _, name := range names {
		if _, err := LookupTopic(name).Parse(overrides[name]); err != nil {
			return err
		}
	}
	t := s.resolveTopic(overrides)
	if t.MinCompactionLagMs > t.MaxCompactionLagMs {
		return conflict("min.compaction.lag.ms", t.MinCompactionLagMs, "max.compaction.lag.ms", t.MaxCompactionLagMs)
	}
	return s.validateRemote(old, t)
}
