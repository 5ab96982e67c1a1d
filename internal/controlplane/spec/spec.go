// Package spec has the nouns of the service that runs clusters: what a cluster
// is meant to be, its states, operations with their plans and steps, what was
// observed, the healing journal, and the people and programs that may use the
// service. The JSON form of these types is the API's form.
//
// It validates, and says which field broke which rule with which value. It
// stores nothing, starts nothing and never looks at a cluster.
package spec

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// The engines that a cluster can run on.
const (
	EngineApacheKafka = "apache-kafka"
	EngineWeir        = "weir"
)

// Cluster is the desired state of one cluster, and how far it has come.
type Cluster struct {
	// ID never changes and is never used again; Name is what people say.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Engine and EngineVersion are pinned: only an upgrade changes them.
	Engine        string `json:"engine"`
	EngineVersion string `json:"engineVersion"`
	// DistDir is a distribution that the user already has; empty means that
	// the service gets one.
	DistDir string   `json:"distDir,omitempty"`
	Profile string   `json:"profile"`
	Brokers []Broker `json:"brokers"`
	// Settings are Kafka broker settings beyond what the service sets itself.
	Settings map[string]string `json:"settings,omitempty"`
	Secured  bool              `json:"secured"`

	State State `json:"state"`
	// Reason is one sentence for people: why it is not, or not fully, ACTIVE.
	Reason string `json:"reason,omitempty"`
	// Revision is the store's revision of this document, filled on reading.
	Revision       int64     `json:"revision"`
	CreatedAt      time.Time `json:"createdAt"`
	KafkaClusterID string    `json:"kafkaClusterId"`
	// Served says that all brokers have served at once: the first start is over.
	Served bool `json:"served,omitempty"`
	// Suspended clusters were stopped together with the service and start
	// with it again.
	Suspended bool `json:"suspended,omitempty"`
	// Throttled says that replication may be limited still, because a move
	// was begun and its limit not lifted yet.
	Throttled bool `json:"throttled,omitempty"`
}

// Broker is the desired state of one process of a cluster.
type Broker struct {
	// ID is Kafka's node.id, from 1 up.
	ID   int32  `json:"id"`
	Rack string `json:"rack,omitempty"`
	// Ports on 127.0.0.1: for clients, between brokers, for the metadata
	// quorum (0 unless Controller) and for metrics.
	ClientPort     int `json:"clientPort"`
	InternalPort   int `json:"internalPort"`
	ControllerPort int `json:"controllerPort,omitempty"`
	MetricsPort    int `json:"metricsPort"`
	// Controller brokers vote in the metadata quorum too.
	Controller  bool  `json:"controller"`
	MemoryBytes int64 `json:"memoryBytes"`
	DiskBytes   int64 `json:"diskBytes"`
	// Stopped brokers shall not run: a person stopped them.
	Stopped bool `json:"stopped,omitempty"`
}

// AllStopped says whether no broker shall run.
func (c *Cluster) AllStopped() bool {
	return !slices.ContainsFunc(c.Brokers, func(b Broker) bool { return !b.Stopped })
}

// WithStopped returns a copy of c in which brokers shall run, or not.
func (c *Cluster) WithStopped(stopped bool, ids ...int32) Cluster {
	out := *c
	out.Brokers = slices.Clone(c.Brokers)
	for i := range out.Brokers {
		if slices.Contains(ids, out.Brokers[i].ID) {
			out.Brokers[i].Stopped = stopped
		}
	}
	return out
}

// Broker returns the broker with an id.
func (c *Cluster) Broker(id int32) (Broker, bool) {
	i := slices.IndexFunc(c.Brokers, func(b Broker) bool { return b.ID == id })
	if i < 0 {
		return Broker{}, false
	}
	return c.Brokers[i], true
}

// BrokerIDs returns the ids of all brokers, ascending.
func (c *Cluster) BrokerIDs() []int32 {
	ids := make([]int32, 0, len(c.Brokers))
	for _, b := range c.Brokers {
		ids = append(ids, b.ID)
	}
	slices.Sort(ids)
	return ids
}

// unnumbered is the version of a build that has none, with what it is called.
var unnumbered = regexp.MustCompile(`^0\.0\.0-(?:[0-9]{14}-)?(.+)$`)

// EngineLabel returns the engine and its version for people: "weir 1.2.3",
// "weir build 4d1a595" where the build has no version, "weir development build"
// where it has no name either.
func (c *Cluster) EngineLabel() string {
	version := c.EngineVersion
	if m := unnumbered.FindStringSubmatch(version); m != nil {
		version = "build " + m[1]
		if m[1] == "dev" {
			version = "development build"
		}
	}
	return c.Engine + " " + version
}

// Controllers returns how many brokers vote in the metadata quorum.
func (c *Cluster) Controllers() int {
	n := 0
	for _, b := range c.Brokers {
		if b.Controller {
			n++
		}
	}
	return n
}

// WithBrokers returns a copy of c with brokers added or, by the same id,
// replaced; sorted by id. c is not changed.
func (c *Cluster) WithBrokers(brokers ...Broker) Cluster {
	out := *c
	out.Brokers = slices.Clone(c.Brokers)
	for _, b := range brokers {
		if i := slices.IndexFunc(out.Brokers, func(o Broker) bool { return o.ID == b.ID }); i >= 0 {
			out.Brokers[i] = b
			continue
		}
		out.Brokers = append(out.Brokers, b)
	}
	slices.SortFunc(out.Brokers, func(a, b Broker) int { return int(a.ID) - int(b.ID) })
	return out
}

// WithoutBroker returns a copy of c that lacks the broker with an id.
func (c *Cluster) WithoutBroker(id int32) Cluster {
	out := *c
	out.Brokers = slices.DeleteFunc(slices.Clone(c.Brokers), func(b Broker) bool { return b.ID == id })
	return out
}

// FieldError is a refused value: which field, which value, and the rule that
// it breaks.
type FieldError struct {
	// Field is the path in the JSON form, such as brokers[2].clientPort.
	Field string `json:"field"`
	Value string `json:"value"`
	Rule  string `json:"rule"`
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Rule)
}

// Fields returns the field errors inside err, in the order of the fields.
func Fields(err error) []*FieldError {
	if err == nil {
		return nil
	}
	var one *FieldError
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []*FieldError
		for _, e := range many.Unwrap() {
			out = append(out, Fields(e)...)
		}
		return out
	}
	if errors.As(err, &one) {
		return []*FieldError{one}
	}
	return nil
}

// refusals collects field errors.
type refusals []error

func (r *refusals) add(field string, value any, rule string, args ...any) {
	*r = append(*r, &FieldError{Field: field, Value: fmt.Sprint(value), Rule: fmt.Sprintf(rule, args...)})
}

func (r refusals) err() error { return errors.Join(r...) }
