package config

import (
	"os"
	"strings"
	"testing"
)

func TestPrecedenceOfRetention(t *testing.T) {
	const hour = 3_600_000
	for _, c := range []struct {
		name, file             string
		dynDefault, dyn, topic string
		want                   int64
	}{
		{"default", "", "", "", "", 168 * hour},
		{"hours", "log.retention.hours=2", "", "", "", 2 * hour},
		{"minutes win", "log.retention.hours=2\nlog.retention.minutes=3", "", "", "", 180_000},
		{"ms win", "log.retention.hours=2\nlog.retention.minutes=3\nlog.retention.ms=4", "", "", "", 4},
		{"cluster default wins", "log.retention.ms=4", "5", "", "", 5},
		{"broker wins", "log.retention.ms=4", "5", "6", "", 6},
		{"topic wins", "log.retention.ms=4", "5", "6", "7", 7},
		{"for ever", "log.retention.hours=-5", "", "", "", -1},
		{"nonsense in a topic counts as not given", "log.retention.ms=4", "", "", "x", 4},
	} {
		s := mustLoad(t, c.file)
		layer := func(v string) map[string]string {
			if v == "" {
				return nil
			}
			return map[string]string{"log.retention.ms": v}
		}
		s, bad := s.WithDynamic(layer(c.dynDefault), layer(c.dyn))
		if len(bad) > 0 {
			t.Errorf("%s: %v", c.name, bad)
		}
		var overrides map[string]string
		if c.topic != "" {
			overrides = map[string]string{"retention.ms": c.topic}
		}
		if got := s.Topic(overrides).RetentionMs; got != c.want {
			t.Errorf("%s: retention = %d, want %d", c.name, got, c.want)
		}
	}
}

func TestSynonymsOfRollAndFlush(t *testing.T) {
	s := mustLoad(t, "log.roll.hours=2\nlog.roll.jitter.hours=1\nlog.flush.scheduler.interval.ms=99")
	if got := s.Topic(nil); got.SegmentMs != 7_200_000 || got.SegmentJitterMs != 3_600_000 || got.FlushMs != 99 {
		t.Errorf("topic = %+v", got)
	}
	s = mustLoad(t, "log.roll.ms=5\nlog.roll.hours=2\nlog.flush.interval.ms=7\nlog.flush.scheduler.interval.ms=99")
	if got := s.Topic(nil); got.SegmentMs != 5 || got.FlushMs != 7 {
		t.Errorf("topic = %+v", got)
	}
}

func TestTopicSettings(t *testing.T) {
	s := mustLoad(t, "message.max.bytes=2000\nlog.cleanup.policy=compact\nmin.insync.replicas=2")
	got := s.Topic(map[string]string{"cleanup.policy": "delete, compact", "message.timestamp.type": "LogAppendTime", "internal.segment.bytes": "100",
		"leader.replication.throttled.replicas": "0:1,1:2", "min.cleanable.dirty.ratio": "0.25"})
	if !got.CleanupDelete || !got.CleanupCompact || !got.LogAppendTime || got.SegmentBytes != 100 || got.MaxMessageBytes != 2000 || got.MinInsyncReplicas != 2 ||
		len(got.LeaderThrottledReplicas) != 2 || got.MinCleanableDirtyRatio != 0.25 {
		t.Errorf("topic = %+v", got)
	}
	if d := s.Topic(nil); d.CleanupDelete || !d.CleanupCompact || d.SegmentBytes != 1<<30 {
		t.Errorf("defaults = %+v", d)
	}
}

// The sentences are those of Apache Kafka.
func TestValidateTopic(t *testing.T) {
	s := mustLoad(t, "")
	for _, c := range []struct {
		old, overrides string
		want           string
	}{
		{"", "retention.ms=1000,cleanup.policy=delete", ""},
		{"", "no.such=1", "Unknown topic config name: no.such"},
		{"", "retention.ms=abc", "Invalid value abc for configuration retention.ms: Not a number of type LONG"},
		{"", "retention.ms=-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1"},
		{"", "min.compaction.lag.ms=10,max.compaction.lag.ms=5", "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"},
		{"", "remote.storage.enable=true", "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."},
	} {
		err := s.ValidateTopic(pairs(c.old), pairs(c.overrides))
		if got := errText(err); got != c.want {
			t.Errorf("%s: %q, want %q", c.overrides, got, c.want)
		}
	}
}

func pairs(s string) map[string]string {
	m := map[string]string{}
	for _, p := range strings.Split(s, ",") {
		if k, v, ok := strings.Cut(p, "="); ok {
			m[k] = v
		}
	}
	return m
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// lines prints entries as kafka-configs does.
func lines(entries []Entry) string {
	names := map[Source]string{SourceTopic: "DYNAMIC_TOPIC_CONFIG", SourceDynamicBroker: "DYNAMIC_BROKER_CONFIG", SourceDynamicDefault: "DYNAMIC_DEFAULT_BROKER_CONFIG",
		SourceStaticBroker: "STATIC_BROKER_CONFIG", SourceDefault: "DEFAULT_CONFIG", SourceGroup: "DYNAMIC_GROUP_CONFIG"}
	show := func(v *string) string {
		if v == nil {
			return "null"
		}
		return *v
	}
	var b strings.Builder
	for _, e := range entries {
		var syns []string
		for _, s := range e.Synonyms {
			syns = append(syns, names[s.Source]+":"+s.Name+"="+show(s.Value))
		}
		sensitive := "false"
		if e.Sensitive {
			sensitive = "true"
		}
		b.WriteString("  " + e.Name + "=" + show(e.Value) + " sensitive=" + sensitive + " synonyms={" + strings.Join(syns, ", ") + "}\n")
	}
	return b.String()
}

// The files are what kafka-configs --describe --all printed of Apache Kafka.
func TestDescribeIsKafkas(t *testing.T) {
	s := mustLoad(t, combined)
	s, _ = s.WithDynamic(map[string]string{"min.insync.replicas": "1"}, nil)
	for _, c := range []struct{ file, got string }{
		{"describe_topic.txt", lines(s.DescribeTopic(map[string]string{"cleanup.policy": "compact", "retention.ms": "3600000"}, nil))},
		{"describe_group.txt", lines(s.DescribeGroup(map[string]string{"consumer.session.timeout.ms": "50000"}, nil))},
	} {
		want, err := os.ReadFile("testdata/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		if c.got != string(want) {
			t.Errorf("%s:\n%s", c.file, firstDifference(c.got, string(want)))
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	var out []string
	for i := range max(len(g), len(w)) {
		a, b := "", ""
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			if out = append(out, "got  "+a+"\nwant "+b); len(out) == 10 {
				break
			}
		}
	}
	return strings.Join(out, "\n")
}

func TestDescribeBrokerIsKafkas(t *testing.T) {
	s := mustLoad(t, strings.NewReplacer("9092", "29092", "9093", "29093", "://:", "://127.0.0.1:", "localhost", "127.0.0.1").Replace(combined)+
		"advertised.listeners=PLAINTEXT://127.0.0.1:29092\nlog.dirs=/var/lib/kafka/data1,/var/lib/kafka/data2\nallow.everyone.if.no.acl.found=true\nsuper.users=User:a\n"+
		"group.initial.rebalance.delay.ms=0\noffsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"+
		"share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\ninter.broker.listener.name=PLAINTEXT\n"+
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.cleaner.backoff.ms=1000\nnum.partitions=1\noffsets.topic.num.partitions=3\n"+
		"share.coordinator.state.topic.num.partitions=2\ntransaction.state.log.num.partitions=2\n")
	s, _ = s.WithDynamic(map[string]string{"min.insync.replicas": "1"}, nil)
	var kept []Entry
	for _, e := range s.DescribeBroker(nil) {
		if !strings.HasPrefix(e.Name, "weir.") {
			kept = append(kept, e)
		}
	}
	want, err := os.ReadFile("testdata/describe_broker.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(kept); got != string(want) {
		t.Errorf("\n%s", firstDifference(got, string(want)))
	}
}

func TestDescribeSelectsKeys(t *testing.T) {
	s := mustLoad(t, combined)
	if got := s.DescribeBroker([]string{"num.partitions", "node.id"}); len(got) != 2 || got[0].Name != "node.id" || !got[1].ReadOnly || got[1].Type != Int {
		t.Errorf("entries = %+v", got)
	}
	if got := s.DescribeTopic(nil, []string{"retention.ms"}); len(got) != 1 || *got[0].Value != "604800000" {
		t.Errorf("entries = %+v", got)
	}
}
