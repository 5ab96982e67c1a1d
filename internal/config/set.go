package config

import (
	"maps"
	"time"
)

// Set is the settings of one broker at one moment: defaults, the file with its overrides, and what was changed
// while running. It is immutable and safe for concurrent use; WithDynamic makes the next one.
type Set struct {
	static         map[string]string // as given, names that exist in the broker table only
	extra          map[string]string // given, but not in the table (unknown, prefixed or of a plug-in)
	dynamicDefault map[string]string // cluster-wide defaults of brokers
	dynamicBroker  map[string]string // for this broker
	values         map[string]Value  // effective, by name
	node           Node
	topic          Topic // what a topic without overrides gets
}

// Int returns an Int or Short setting. Like all typed getters it panics on a name that is not declared or has
// another type: that is a bug, not bad input.
func (s *Set) Int(name string) int { return int(s.get(name, Int, Short).Int) }

// Long returns a Long (or smaller) setting.
func (s *Set) Long(name string) int64 { return s.get(name, Long, Int, Short).Int }

// Double returns a Double setting.
func (s *Set) Double(name string) float64 { return s.get(name, Double).Dbl }

// Bool returns a Boolean setting.
func (s *Set) Bool(name string) bool { return s.get(name, Boolean).Bool }

// String returns a String, Class or Password setting; null gives "".
func (s *Set) String(name string) string { return s.get(name, String, Class, Password).Str }

// List returns a List setting; the slice must not be changed.
func (s *Set) List(name string) []string { return s.get(name, List).List }

// Millis returns a setting that counts milliseconds as a Duration. Values beyond what a Duration holds give the
// largest one.
func (s *Set) Millis(name string) time.Duration { return millis(s.Long(name)) }

func millis(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	if n > most {
		return 1<<63 - 1
	}
	return time.Duration(n) * time.Millisecond
}

// IsNull tells whether the setting has no value.
func (s *Set) IsNull(name string) bool {
	s.get(name)
	return s.values[name].Null
}

// IsSet tells whether the setting was given, in the file or dynamically.
func (s *Set) IsSet(name string) bool {
	_, a := s.static[name]
	_, b := s.dynamicDefault[name]
	_, c := s.dynamicBroker[name]
	return a || b || c
}

func (s *Set) get(name string, types ...Type) Value {
	d := LookupBroker(name)
	if d == nil {
		panic("config: there is no setting " + name)
	}
	if len(types) > 0 {
		ok := false
		for _, t := range types {
			ok = ok || d.Type == t
		}
		if !ok {
			panic("config: " + name + " is of type " + d.Type.String())
		}
	}
	return s.values[name]
}

// Node returns what the process is: its roles, id, directories, listeners and quorum.
func (s *Set) Node() *Node { return &s.node }

// DynamicBroker returns a copy of the settings that were changed for this broker.
func (s *Set) DynamicBroker() map[string]string { return maps.Clone(s.dynamicBroker) }

// DynamicDefault returns a copy of the cluster-wide broker settings.
func (s *Set) DynamicDefault() map[string]string { return maps.Clone(s.dynamicDefault) }

// effective computes the values of all settings from the four layers. Values that do not parse fall back to the
// next layer and are reported.
func (s *Set) effective() (bad []error) {
	s.values = make(map[string]Value, len(brokerTable.defs))
	for i := range brokerTable.defs {
		d := &brokerTable.defs[i]
		s.values[d.Name] = d.defaultValue()
		for _, layer := range []map[string]string{s.dynamicBroker, s.dynamicDefault, s.static} {
			raw, ok := layer[d.Name]
			if !ok {
				continue
			}
			v, err := d.Parse(raw)
			if err == nil {
				s.values[d.Name] = v
				break
			}
			bad = append(bad, err)
		}
	}
	s.topic = s.topicDefaults()
	return bad
}

// WithDynamic returns the set with the given dynamic layers in place of the present ones: the cluster-wide
// defaults of brokers and this broker's own. Settings that cannot be changed while running, and values that do
// not parse, are left out and reported; the rest takes effect, since a broker must come up whatever stands in
// the metadata.
func (s *Set) WithDynamic(clusterDefault, broker map[string]string) (*Set, []error) {
	next := *s
	var bad, more []error
	next.dynamicDefault, bad = dynamicLayer(clusterDefault, false)
	next.dynamicBroker, more = dynamicLayer(broker, true)
	bad = append(bad, more...)
	bad = append(bad, next.effective()...)
	return &next, bad
}

func dynamicLayer(in map[string]string, perBroker bool) (map[string]string, []error) {
	out := make(map[string]string, len(in))
	var bad []error
	for name, raw := range in {
		if err := checkDynamicName(name, perBroker); err != nil {
			bad = append(bad, err)
			continue
		}
		out[name] = raw
	}
	return out, bad
}
