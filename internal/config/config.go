// Package config declares every setting that Weir knows and turns a server.properties into an immutable Set.
//
// One row per setting (tables_*.go, generated from schema/) feeds parsing, validation, DescribeConfigs, dynamic
// change and docs/CONFIG.md. The package reads no files but what it is handed as bytes, starts nothing and
// keeps no state: whoever owns the current Set (node) swaps it when a dynamic setting changes.
package config

//go:generate go run ./gen

// Type is the type of a setting, with the numbers of the DescribeConfigs answer.
type Type int8

// The types of settings.
const (
	Boolean  Type = 1
	String   Type = 2
	Int      Type = 3
	Short    Type = 4
	Long     Type = 5
	Double   Type = 6
	List     Type = 7
	Class    Type = 8
	Password Type = 9
)

func (t Type) String() string {
	return [...]string{"UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}[t]
}

// Importance is Kafka's hint to readers of the documentation.
type Importance int8

// The importances.
const (
	High Importance = iota
	Medium
	Low
)

func (i Importance) String() string { return [...]string{"high", "medium", "low"}[i] }

// UpdateMode says how a broker setting can be changed while the broker runs.
type UpdateMode int8

// The update modes.
const (
	ReadOnly    UpdateMode = iota // only by a restart
	PerBroker                     // for one broker, by name
	ClusterWide                   // for one broker or as the default of all
)

func (m UpdateMode) String() string { return [...]string{"read-only", "per-broker", "cluster-wide"}[m] }

// Effect says what Weir does with a setting that is given.
type Effect int8

// The effects.
const (
	Works    Effect = iota // it does what it does in Kafka
	NoEffect               // it is accepted and does nothing; Def.Why has the reason
	Refused                // a value other than the default stops the start; see securityGate
)

func (e Effect) String() string { return [...]string{"works", "no effect", "refused"}[e] }

// Def declares one setting.
type Def struct {
	Name       string
	Type       Type
	Default    string // in the syntax of a file; meaningless if Null or Required
	Null       bool   // the default is null
	Required   bool   // there is no default
	Importance Importance
	Update     UpdateMode
	Valid      Validator // nil: every value of the type
	Internal   bool      // left out of DescribeConfigs unless given
	Effect     Effect
	Why        string // reason for NoEffect or Refused
	Doc        string // one sentence
	// Server is the broker setting that is the default of a topic or group setting ("" if there is none).
	Server string
	// Synonyms are the broker settings that give the value, first one wins; only where there are several.
	Synonyms []string
	// DynamicOnly marks settings that exist only as dynamic ones (throttles).
	DynamicOnly bool
}

// Sensitive settings are never shown.
func (d *Def) Sensitive() bool { return d.Type == Password }

// Source says where a value comes from, with the numbers of the DescribeConfigs answer.
type Source int8

// The sources.
const (
	SourceTopic          Source = 1
	SourceDynamicBroker  Source = 2
	SourceDynamicDefault Source = 3
	SourceStaticBroker   Source = 4
	SourceDefault        Source = 5
	SourceBrokerLogger   Source = 6
	SourceClientMetrics  Source = 7
	SourceGroup          Source = 8
)

// ResourceType is the kind of thing that settings belong to, with the numbers of the protocol.
type ResourceType int8

// The resource types.
const (
	ResourceTopic         ResourceType = 2
	ResourceBroker        ResourceType = 4
	ResourceBrokerLogger  ResourceType = 8
	ResourceClientMetrics ResourceType = 16
	ResourceGroup         ResourceType = 32
)

// table is an ordered set of definitions.
type table struct {
	defs   []Def
	byName map[string]*Def
}

func newTable(parts ...[]Def) *table {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	t := &table{defs: make([]Def, 0, n), byName: make(map[string]*Def, n)}
	for _, p := range parts {
		t.defs = append(t.defs, p...)
	}
	for i := range t.defs {
		d := &t.defs[i]
		if t.byName[d.Name] != nil {
			panic("config: " + d.Name + " is declared twice")
		}
		t.byName[d.Name] = d
	}
	return t
}

// LookupBroker returns the declaration of a broker setting, nil if there is none of that name.
func LookupBroker(name string) *Def { return brokerTable.byName[name] }

// LookupTopic returns the declaration of a topic setting, nil if there is none of that name.
func LookupTopic(name string) *Def { return topicTable.byName[name] }

// LookupGroup returns the declaration of a group setting, nil if there is none of that name.
func LookupGroup(name string) *Def { return groupTable.byName[name] }

// BrokerDefs returns all broker settings. The slice must not be changed.
func BrokerDefs() []Def { return brokerTable.defs }

// TopicDefs returns all topic settings. The slice must not be changed.
func TopicDefs() []Def { return topicTable.defs }

// GroupDefs returns all group settings. The slice must not be changed.
func GroupDefs() []Def { return groupTable.defs }

// ClientMetricsDefs returns all settings of client-metrics subscriptions. The slice must not be changed.
func ClientMetricsDefs() []Def { return clientMetricsTable.defs }
