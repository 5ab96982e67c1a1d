package config

import "testing"

// The sentences are those of Apache Kafka.
func TestValidateBroker(t *testing.T) {
	s := mustLoad(t, combined)
	for _, c := range []struct {
		settings  string
		perBroker bool
		want      string
	}{
		{"log.cleaner.threads=2", true, ""},
		{"log.retention.ms=1000", false, ""},
		{"unknown.key=1", true, ""},
		{"num.partitions=4", true, "Cannot update these configs dynamically: [num.partitions]"},
		{"log.retention.ms=x", false, "Invalid value x for configuration log.retention.ms: Not a number of type LONG"},
		{"ssl.keystore.location=/k", true, "These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.location]"},
		{"listeners=PLAINTEXT://:1", false, "Cannot update these configs at default cluster level, broker id must be specified: [listeners]"},
		{"num.io.threads=100", true, "Dynamic thread count update validation failed for num.io.threads=100: value should not be greater than double the current value 8"},
		{"num.io.threads=1", true, "Dynamic thread count update validation failed for num.io.threads=1: value should be at least half the current value 8"},
		{"log.cleaner.threads=3", true, "Log cleaner threads cannot be increased to more than double the current value 1"},
		{"max.connections=10", false, ""},
		{"listener.name.plaintext.max.connections=10", false, ""},
	} {
		if got := errText(s.ValidateBroker(pairs(c.settings), c.perBroker)); got != c.want {
			t.Errorf("%s: %q, want %q", c.settings, got, c.want)
		}
	}
}

func TestWithDynamicTakesWhatIsRight(t *testing.T) {
	s := mustLoad(t, combined+"log.retention.ms=9")
	next, bad := s.WithDynamic(map[string]string{"log.retention.ms": "x", "log.segment.bytes": "2000000"}, map[string]string{"num.partitions": "7", "log.cleaner.threads": "3"})
	if len(bad) != 2 {
		t.Errorf("bad = %v", bad)
	}
	if next.RetentionMs() != 9 || next.Topic(nil).SegmentBytes != 2000000 || next.Int("num.partitions") != 1 || next.Int("log.cleaner.threads") != 3 {
		t.Errorf("retention %d, segment %d, partitions %d, threads %d", next.RetentionMs(), next.Topic(nil).SegmentBytes, next.Int("num.partitions"), next.Int("log.cleaner.threads"))
	}
	if s.Int("log.cleaner.threads") != 1 || s.IsSet("log.cleaner.threads") {
		t.Error("the old set has changed")
	}
	back, _ := next.WithDynamic(nil, nil)
	if back.Int("log.cleaner.threads") != 1 {
		t.Error("a dynamic setting stays after it is gone")
	}
}

func TestValidateGroup(t *testing.T) {
	s := mustLoad(t, "")
	for settings, want := range map[string]string{
		"consumer.session.timeout.ms=50000":        "",
		"consumer.session.timeout.ms=1000":         "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
		"consumer.heartbeat.interval.ms=99999":     "consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms",
		"nope=1":                                   "Unknown group config name: nope",
		"share.auto.offset.reset=by_duration:PT1H": "",
	} {
		if got := errText(s.ValidateGroup(pairs(settings))); got != want {
			t.Errorf("%s: %q, want %q", settings, got, want)
		}
	}
}

func TestParseClientMetrics(t *testing.T) {
	c, err := ParseClientMetrics(map[string]string{"interval.ms": "1000", "metrics": "org.apache.kafka.producer.,*", "match": "client_id=app-.*,client_software_name=apache-kafka-java"})
	if err != nil || c.Interval.Milliseconds() != 1000 || len(c.Metrics) != 2 || c.Match["client_id"] != "app-.*" {
		t.Errorf("%+v %v", c, err)
	}
	for settings, want := range map[string]string{
		"interval.ms=50": "Invalid value 50 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
		"match=x":        "Illegal client matching pattern: x",
		"nope=1":         "Unknown client metrics configuration: nope",
	} {
		if _, err := ParseClientMetrics(pairs(settings)); errText(err) != want {
			t.Errorf("%s: %q, want %q", settings, errText(err), want)
		}
	}
}
