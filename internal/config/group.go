package config

import (
	"slices"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/wire"
)

// Group is the settings of one group with every default filled in. Classic groups have none: their members
// bring their own time-outs.
type Group struct {
	ConsumerSessionTimeout     time.Duration
	ConsumerHeartbeatInterval  time.Duration
	ConsumerAssignmentInterval time.Duration
}

// Group returns the settings of a group with the given overrides; those that do not parse count as not given, and those that
// are out of the broker's bounds, which may have changed since, as the bound.
func (s *Set) Group(overrides map[string]string) Group {
	ms := func(name string) time.Duration {
		v := s.groupValue(LookupGroup(name), overrides).Int
		if _, given := overrides[name]; given {
			v = s.clampGroup(name, v)
		}
		return millis(v)
	}
	return Group{
		ConsumerSessionTimeout:     ms("consumer.session.timeout.ms"),
		ConsumerHeartbeatInterval:  ms("consumer.heartbeat.interval.ms"),
		ConsumerAssignmentInterval: ms("consumer.assignment.interval.ms"),
	}
}

func (s *Set) groupValue(d *Def, overrides map[string]string) Value {
	if raw, ok := overrides[d.Name]; ok {
		if v, err := d.Parse(raw); err == nil {
			return v
		}
	}
	if d.Server == "" {
		return d.defaultValue()
	}
	v := s.values[d.Server]
	if server := LookupBroker(d.Server); server.Type == List && d.Type == String {
		if len(v.List) == 0 {
			return Value{Null: true}
		}
		return Value{Str: v.List[0]}
	}
	return v
}

// groupBounds says which broker settings bound a group setting.
var groupBounds = []struct{ name, min, max string }{
	{"consumer.heartbeat.interval.ms", "group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"},
	{"consumer.session.timeout.ms", "group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"},
	{"consumer.assignment.interval.ms", "group.consumer.min.assignment.interval.ms", "group.consumer.max.assignment.interval.ms"},
	{"share.heartbeat.interval.ms", "group.share.min.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms"},
	{"share.session.timeout.ms", "group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms"},
	{"share.assignment.interval.ms", "group.share.min.assignment.interval.ms", "group.share.max.assignment.interval.ms"},
	{"share.record.lock.duration.ms", "group.share.min.record.lock.duration.ms", "group.share.max.record.lock.duration.ms"},
	{"share.delivery.count.limit", "group.share.min.delivery.count.limit", "group.share.max.delivery.count.limit"},
	{"share.partition.max.record.locks", "group.share.min.partition.max.record.locks", "group.share.max.partition.max.record.locks"},
	{"streams.heartbeat.interval.ms", "group.streams.min.heartbeat.interval.ms", "group.streams.max.heartbeat.interval.ms"},
	{"streams.session.timeout.ms", "group.streams.min.session.timeout.ms", "group.streams.max.session.timeout.ms"},
	{"streams.assignment.interval.ms", "group.streams.min.assignment.interval.ms", "group.streams.max.assignment.interval.ms"},
	{"streams.task.offset.interval.ms", "group.streams.min.task.offset.interval.ms", ""},
	{"streams.num.standby.replicas", "", "group.streams.max.standby.replicas"},
	{"streams.num.warmup.replicas", "", "group.streams.max.warmup.replicas"},
}

func (s *Set) clampGroup(name string, v int64) int64 {
	for _, b := range groupBounds {
		if b.name != name {
			continue
		}
		if b.min != "" {
			v = max(v, s.Long(b.min))
		}
		if b.max != "" {
			v = min(v, s.Long(b.max))
		}
	}
	return v
}

// ValidateGroup checks the overrides of a group as a whole. The first error is returned; it is an *Error.
func (s *Set) ValidateGroup(overrides map[string]string) error {
	names := sortedKeys(overrides)
	for _, name := range names {
		if LookupGroup(name) == nil {
			return &Error{Key: name, Full: "Unknown group config name: " + name}
		}
	}
	for _, name := range names {
		if _, err := LookupGroup(name).Parse(overrides[name]); err != nil {
			return err
		}
	}
	for _, b := range groupBounds {
		v := s.groupValue(LookupGroup(b.name), overrides).Int
		if _, given := overrides[b.name]; !given {
			continue
		}
		if b.min != "" && v < s.Long(b.min) {
			return &Error{Key: b.name, Full: b.name + " must be greater than or equal to " + b.min}
		}
		if b.max != "" && v > s.Long(b.max) {
			return &Error{Key: b.name, Full: b.name + " must be less than or equal to " + b.max}
		}
	}
	for _, kind := range []string{"consumer", "share", "streams"} {
		session := s.groupValue(LookupGroup(kind+".session.timeout.ms"), overrides).Int
		heartbeat := s.groupValue(LookupGroup(kind+".heartbeat.interval.ms"), overrides).Int
		if session <= heartbeat {
			return &Error{Key: kind + ".session.timeout.ms", Full: kind + ".session.timeout.ms must be greater than " + kind + ".heartbeat.interval.ms"}
		}
	}
	return nil
}

// clientMatchKeys are what the match setting of a client-metrics subscription may ask for.
var clientMatchKeys = []string{"client_id", "client_instance_id", "client_software_name", "client_software_version", "client_source_address", "client_source_port"}

// ParseMatch reads the match setting of a client-metrics subscription: key=regular expression pairs.
func ParseMatch(entries []string) (map[string]string, error) {
	out := map[string]string{}
	for _, e := range entries {
		key, pattern, ok := strings.Cut(e, "=")
		key, pattern = strings.TrimSpace(key), strings.TrimSpace(pattern)
		if !ok || !slices.Contains(clientMatchKeys, key) || !compiles(pattern) {
			return nil, &Error{Key: "match", Value: e, Full: "Illegal client matching pattern: " + e, Code: wire.InvalidConfig}
		}
		out[key] = pattern
	}
	return out, nil
}
