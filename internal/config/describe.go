package config

import (
	"maps"
	"slices"
)

// Synonym is one of the places that a value may come from.
type Synonym struct {
	Name   string
	Value  *string // nil: null or hidden
	Source Source
}

// Entry is one setting as DescribeConfigs answers it.
type Entry struct {
	Name      string
	Value     *string // nil: null or hidden
	Source    Source
	ReadOnly  bool
	Sensitive bool
	Synonyms  []Synonym // in order of precedence
	Type      Type      // 0 if the setting is not declared
	Doc       string
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func (d *Def) shown(v Value) *string {
	if v.Null || d.Sensitive() {
		return nil
	}
	s := d.Text(v)
	return &s
}

// synonyms lists where a broker setting may come from, as Kafka does: layer by layer under all of its names,
// without what stands before the first entry under its own name.
func (s *Set) synonyms(name string) []Synonym {
	d := LookupBroker(name)
	names := []string{name}
	if d != nil && len(d.Synonyms) > 0 {
		names = d.Synonyms
	}
	hidden := s.hides(name)
	var out []Synonym
	for _, layer := range []struct {
		source Source
		values map[string]string
	}{{SourceDynamicBroker, s.dynamicBroker}, {SourceDynamicDefault, s.dynamicDefault}, {SourceStaticBroker, s.static}, {SourceStaticBroker, s.extra}} {
		for _, n := range names {
			raw, ok := layer.values[n]
			if !ok {
				continue
			}
			syn := Synonym{Name: n, Source: layer.source}
			if !hidden {
				syn.Value = &raw
			}
			out = append(out, syn)
		}
	}
	for _, n := range names {
		if nd := LookupBroker(n); nd != nil && !nd.Null && !nd.Required && !nd.DynamicOnly {
			out = append(out, Synonym{Name: n, Value: nd.shown(nd.defaultValue()), Source: SourceDefault})
		}
	}
	own := slices.IndexFunc(out, func(e Synonym) bool { return e.Name == name })
	if own < 0 {
		return nil
	}
	return out[own:]
}

func sourceOf(syns []Synonym) Source {
	if len(syns) == 0 {
		return SourceDefault
	}
	return syns[0].Source
}

// wanted tells whether DescribeConfigs should return the setting: all are if no names are given.
func wanted(keys []string, name string) bool { return len(keys) == 0 || slices.Contains(keys, name) }

// DescribeBroker returns the settings of this broker, those named by keys or all. What was given under names
// that nobody declared is there too, with the value hidden, since it may be a secret of a plug-in.
func (s *Set) DescribeBroker(keys []string) []Entry {
	var out []Entry
	for i := range brokerTable.defs {
		d := &brokerTable.defs[i]
		if d.DynamicOnly && !s.IsSet(d.Name) || d.Internal && !s.IsSet(d.Name) || !wanted(keys, d.Name) {
			continue
		}
		v := s.shownValue(d)
		syns := s.synonyms(d.Name)
		out = append(out, Entry{Name: d.Name, Value: d.shown(v), Source: sourceOf(syns), ReadOnly: d.Update == ReadOnly,
			Sensitive: d.Sensitive(), Synonyms: syns, Type: d.Type, Doc: d.Doc})
	}
	for _, name := range s.undeclared() {
		if !wanted(keys, name) {
			continue
		}
		syns := s.synonyms(name)
		e := Entry{Name: name, Source: sourceOf(syns), ReadOnly: true, Sensitive: s.hides(name), Synonyms: syns}
		if base, _ := baseName(name); LookupBroker(base) != nil {
			d := LookupBroker(base)
			e.ReadOnly, e.Type, e.Doc = d.Update == ReadOnly, d.Type, d.Doc
		}
		if len(syns) > 0 {
			e.Value = syns[0].Value
		}
		out = append(out, e)
	}
	slices.SortFunc(out, byName)
	return out
}

// undeclared are the names that were given and are not in the table: of listeners, of plug-ins, of nobody.
func (s *Set) undeclared() []string {
	out := sortedKeys(s.extra)
	for _, name := range sortedKeys(s.dynamicBroker) {
		if _, too := s.extra[name]; !too && LookupBroker(name) == nil {
			out = append(out, name)
		}
	}
	return out
}

// hides tells whether the value of a setting is never shown: passwords, and what nobody has declared, since it may be
// a secret of a plug-in.
func (s *Set) hides(name string) bool {
	base, _ := baseName(name)
	d := LookupBroker(base)
	return d == nil || d.Sensitive()
}

// shownValue is the effective value; broker.id and node.id show the id that the node has.
func (s *Set) shownValue(d *Def) Value {
	if d.Name == "broker.id" || d.Name == "node.id" {
		return Value{Int: int64(s.node.ID)}
	}
	return s.values[d.Name]
}

func byName(a, b Entry) int {
	switch {
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	}
	return 0
}

// DescribeBrokerDefault returns the cluster-wide dynamic broker settings.
func (s *Set) DescribeBrokerDefault(keys []string) []Entry {
	var out []Entry
	for _, name := range sortedKeys(s.dynamicDefault) {
		d := LookupBroker(name)
		if !wanted(keys, name) {
			continue
		}
		raw := s.dynamicDefault[name]
		e := Entry{Name: name, Source: SourceDynamicDefault, Sensitive: d == nil || d.Sensitive(), ReadOnly: d == nil || d.Update == ReadOnly}
		if d != nil {
			e.Type, e.Doc = d.Type, d.Doc
		}
		if !e.Sensitive {
			e.Value = &raw
		}
		e.Synonyms = []Synonym{{Name: name, Value: e.Value, Source: SourceDynamicDefault}}
		out = append(out, e)
	}
	return out
}

// DescribeTopic returns the settings of a topic with the given overrides.
func (s *Set) DescribeTopic(overrides map[string]string, keys []string) []Entry {
	return s.describeScoped(topicTable, overrides, keys, SourceTopic, func(d *Def) Value { return s.topicValue(d, overrides) })
}

// DescribeGroup returns the settings of a group with the given overrides.
func (s *Set) DescribeGroup(overrides map[string]string, keys []string) []Entry {
	return s.describeScoped(groupTable, overrides, keys, SourceGroup, func(d *Def) Value { return s.groupValue(d, overrides) })
}

func (s *Set) describeScoped(t *table, overrides map[string]string, keys []string, own Source, value func(*Def) Value) []Entry {
	out := make([]Entry, 0, len(t.defs))
	for i := range t.defs {
		d := &t.defs[i]
		_, given := overrides[d.Name]
		if d.Internal && !given || !wanted(keys, d.Name) {
			continue
		}
		e := Entry{Name: d.Name, Value: d.shown(value(d)), Sensitive: d.Sensitive(), Type: d.Type, Doc: d.Doc}
		if given {
			e.Synonyms = append(e.Synonyms, Synonym{Name: d.Name, Value: e.Value, Source: own})
		}
		if d.Server != "" {
			e.Synonyms = append(e.Synonyms, s.synonyms(d.Server)...)
		} else if own == SourceGroup && !d.Null && !given {
			e.Synonyms = append(e.Synonyms, Synonym{Name: d.Name, Value: d.shown(d.defaultValue()), Source: SourceDefault})
		}
		e.Source = sourceOf(e.Synonyms)
		out = append(out, e)
	}
	return out
}

// DescribeClientMetrics returns the settings of a client-metrics subscription, whether there is one or not.
func DescribeClientMetrics(overrides map[string]string, keys []string) []Entry {
	var out []Entry
	for i := range clientMetricsTable.defs {
		d := &clientMetricsTable.defs[i]
		if !wanted(keys, d.Name) {
			continue
		}
		e := Entry{Name: d.Name, Value: d.shown(d.defaultValue()), Source: SourceDefault, Type: d.Type, Doc: d.Doc}
		if raw, given := overrides[d.Name]; given {
			e.Value, e.Source = &raw, SourceClientMetrics
			e.Synonyms = []Synonym{{Name: d.Name, Value: &raw, Source: SourceClientMetrics}}
		}
		out = append(out, e)
	}
	return out
}
