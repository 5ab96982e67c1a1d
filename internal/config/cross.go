package config

import (
	"regexp"
	"slices"
	"strconv"
)

func formatInt(n int64) string { return strconv.FormatInt(n, 10) }

// Text returns any setting as text, "" for null; for comparing.
func (s *Set) Text(name string) string {
	v := s.get(name)
	if v.Null {
		return ""
	}
	return LookupBroker(name).Text(v)
}

var (
	auditTopic     = regexp.MustCompile(`^([a-zA-Z0-9_-][a-zA-Z0-9._-]{0,248}|\.[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,247}|\.\.[a-zA-Z0-9._-]{1,247})$`)
	internalTopics = map[string]bool{"__consumer_offsets": true, "__transaction_state": true, "__share_group_state": true, "__cluster_metadata": true}
)

// validateCross checks rules that take more than one setting.
func (s *Set) validateCross() error {
	if err := s.checkAuthorizer(); err != nil {
		return err
	}
	t := s.topic
	reject := func(key, reason string) error {
		return &Error{Key: key, Value: s.Text(key), Reason: reason}
	}
	switch {
	case s.String("weir.audit.destination") == "file" && s.String("weir.audit.file") == "":
		return reject("weir.audit.file", "it must be given where weir.audit.destination is file")
	case s.String("weir.audit.destination") == "topic" && !auditTopic.MatchString(s.String("weir.audit.topic")):
		return reject("weir.audit.topic", "a topic's name is 1 to 249 ASCII letters, digits, '.', '_' and '-', and not '.' or '..'")
	case s.String("weir.audit.destination") == "topic" && internalTopics[s.String("weir.audit.topic")]:
		return reject("weir.audit.topic", "it is a topic of the coordinators")
	case t.SegmentMs < 1:
		return reject("log.roll.ms", "it must be greater than or equal to 1")
	case t.SegmentJitterMs < 0:
		return reject("log.roll.jitter.ms", "it must be greater than or equal to 0")
	case t.RetentionMs == 0:
		return reject(s.givenName("log.retention.ms"), "it must be unlimited (-1) or greater than or equal to 1")
	case t.MinCompactionLagMs > t.MaxCompactionLagMs:
		return reject("log.cleaner.min.compaction.lag.ms", "it must not be greater than log.cleaner.max.compaction.lag.ms, which is "+formatInt(t.MaxCompactionLagMs))
	case s.Int("log.cleaner.threads") > 0 && s.Long("log.cleaner.dedupe.buffer.size")/s.Long("log.cleaner.threads") <= 1<<20:
		return reject("log.cleaner.dedupe.buffer.size", "it must be at least 1 MiB for each of the "+s.Text("log.cleaner.threads")+" threads of log.cleaner.threads")
	case s.Int("replica.fetch.wait.max.ms") > s.Int("replica.socket.timeout.ms"):
		return reject("replica.fetch.wait.max.ms", "it must not be greater than replica.socket.timeout.ms, which is "+s.Text("replica.socket.timeout.ms"))
	case s.Long("replica.fetch.wait.max.ms") > s.Long("replica.lag.time.max.ms"):
		return reject("replica.fetch.wait.max.ms", "it must not be greater than replica.lag.time.max.ms, which is "+s.Text("replica.lag.time.max.ms"))
	case s.Long("queued.max.request.bytes") > 0 && s.Long("queued.max.request.bytes") < s.Long("socket.request.max.bytes"):
		return reject("queued.max.request.bytes", "it must be at least socket.request.max.bytes, which is "+s.Text("socket.request.max.bytes"))
	case s.Long("max.connections.per.ip") == 0 && s.String("max.connections.per.ip.overrides") == "":
		return reject("max.connections.per.ip", "it can be zero only if max.connections.per.ip.overrides is given")
	case s.Int("broker.session.timeout.ms") <= s.Int("broker.heartbeat.interval.ms"):
		return reject("broker.session.timeout.ms", "it must be greater than broker.heartbeat.interval.ms, which is "+s.Text("broker.heartbeat.interval.ms"))
	case s.Int("group.min.session.timeout.ms") > s.Int("group.max.session.timeout.ms"):
		return reject("group.min.session.timeout.ms", "it must not be greater than group.max.session.timeout.ms, which is "+s.Text("group.max.session.timeout.ms"))
	}
	if _, err := s.ConnectionsPerAddress(); err != nil {
		return err
	}
	return s.validateGroupDefaults()
}

// givenName is the synonym of name that was given, name itself if none was.
func (s *Set) givenName(name string) string {
	for _, syn := range LookupBroker(name).Synonyms {
		if s.IsSet(syn) && !s.values[syn].Null {
			return syn
		}
	}
	return name
}

// validateGroupDefaults checks that the defaults of groups lie within the bounds that the broker sets.
func (s *Set) validateGroupDefaults() error {
	for _, name := range s.List("group.consumer.assignors") {
		if !slices.Contains(consumerAssignors, name) {
			return &Error{Key: "group.consumer.assignors", Value: name, Reason: "there are uniform and range; assignors of one's own are Java code, which Weir cannot run"}
		}
	}
	for _, b := range groupBounds {
		name := "group." + b.name
		if LookupBroker(name) == nil {
			continue
		}
		n := s.Long(name)
		if b.min != "" && b.max != "" && s.Long(b.min) > s.Long(b.max) {
			return &Error{Key: b.max, Value: s.Text(b.max), Reason: "it must be greater than or equal to " + b.min + ", which is " + s.Text(b.min)}
		}
		if b.min != "" && n < s.Long(b.min) {
			return &Error{Key: name, Value: formatInt(n), Reason: "it must be greater than or equal to " + b.min + ", which is " + s.Text(b.min)}
		}
		if b.max != "" && n > s.Long(b.max) {
			return &Error{Key: name, Value: formatInt(n), Reason: "it must be less than or equal to " + b.max + ", which is " + s.Text(b.max)}
		}
	}
	for _, kind := range []string{"consumer", "share", "streams"} {
		session, heartbeat := "group."+kind+".session.timeout.ms", "group."+kind+".heartbeat.interval.ms"
		if s.Int(session) <= s.Int(heartbeat) {
			return &Error{Key: session, Value: s.Text(session), Reason: "it must be greater than " + heartbeat + ", which is " + s.Text(heartbeat)}
		}
	}
	return nil
}

// consumerAssignors are the assignors of consumer groups, by name and by Apache Kafka's classes.
var consumerAssignors = []string{
	"uniform", "range", "org.apache.kafka.coordinator.group.assignor.UniformAssignor", "org.apache.kafka.coordinator.group.assignor.RangeAssignor",
}
