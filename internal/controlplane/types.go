package controlplane

import (
	"errors"

	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// The errors that callers tell apart. They are wrapped, with what to do in the
// text; a refused value is a *spec.FieldError.
var (
	ErrNotFound = errors.New("not found")
	// ErrBusy says that another operation works on the cluster.
	ErrBusy = errors.New("another operation runs")
	// ErrImpossible carries a plan's reason.
	ErrImpossible = errors.New("cannot be done")
	// ErrClosed says that the service is ending.
	ErrClosed = errors.New("the service is ending")
)

// CreateRequest says which cluster is wanted. Only Name must be given.
type CreateRequest struct {
	Name          string `json:"name"`
	Engine        string `json:"engine,omitempty"`
	EngineVersion string `json:"engineVersion,omitempty"`
	DistDir       string `json:"distDir,omitempty"`
	Profile       string `json:"profile,omitempty"`
	Brokers       int    `json:"brokers,omitempty"`
	// MemoryBytes and DiskBytes are per broker.
	MemoryBytes int64 `json:"memoryBytes,omitempty"`
	DiskBytes   int64 `json:"diskBytes,omitempty"`
	// Racks are given to the brokers in turn.
	Racks    []string          `json:"racks,omitempty"`
	Settings map[string]string `json:"settings,omitempty"`
	// Secured is nil for what the engine can do.
	Secured *bool `json:"secured,omitempty"`
}

// ChangeRequest says what to do with a cluster: scale, stop, start,
// restart-broker, stop-broker, start-broker, kill-broker or delete.
type ChangeRequest struct {
	Kind string `json:"kind"`
	// Brokers is the wanted number, of scale.
	Brokers int `json:"brokers,omitempty"`
	// Broker is whom the kinds that end in -broker mean.
	Broker int32 `json:"broker,omitempty"`
	// ThrottleBytesPerSecond limits copying per broker; 0 means DefaultThrottle, -1 no limit.
	ThrottleBytesPerSecond int64 `json:"throttleBytesPerSecond,omitempty"`
}

// DefaultThrottle limits the copying of a scale operation, per broker, unless
// a person says otherwise.
const DefaultThrottle = 40 << 20

// Counts sums up the last observation.
type Counts struct {
	Topics          int `json:"topics"`
	Partitions      int `json:"partitions"`
	Offline         int `json:"offline"`
	UnderReplicated int `json:"underReplicated"`
	UnderMinISR     int `json:"underMinISR"`
	// Bytes of all replicas.
	Bytes int64 `json:"bytes"`
}

// The levels of a cluster's health.
const (
	LevelOK   = "ok"
	LevelWarn = "warn"
	LevelBad  = "bad"
	LevelOff  = "off"
)

// ClusterView is a cluster as people see it.
type ClusterView struct {
	spec.Cluster
	// Health is one sentence, HealthLevel its colour.
	Health      string `json:"health"`
	HealthLevel string `json:"healthLevel"`
	// Mend is what a person could do about it; nil when there is nothing.
	Mend *ChangeRequest `json:"mend,omitempty"`
	// Operation is the running one; a person's before healing's.
	Operation *spec.Operation `json:"operation,omitempty"`
	// Observation is the last one, without partitions.
	Observation *spec.Observation `json:"observation,omitempty"`
	Counts      Counts            `json:"counts"`
	Bootstrap   []string          `json:"bootstrap"`
	// ClientProperties and CA are files; CA is empty where there is no TLS.
	ClientProperties string `json:"clientProperties"`
	CA               string `json:"ca,omitempty"`
}

// Simulation is what would happen if brokers died.
type Simulation struct {
	Killed          []int32 `json:"killed"`
	Offline         int     `json:"offline"`
	UnderMinISR     int     `json:"underMinISR"`
	UnderReplicated int     `json:"underReplicated"`
	// Examples name partitions that would go offline, or refuse writes.
	Examples []string `json:"examples,omitempty"`
	// QuorumLost says why nobody could decide any more, empty if somebody could.
	QuorumLost string `json:"quorumLost,omitempty"`
	// Action is what healing would choose and Why; Options what else there is.
	Action   string        `json:"action"`
	Why      string        `json:"why"`
	Options  []spec.Option `json:"options"`
	Sentence string        `json:"sentence"`
}

// KafkaUserRequest names an application and the least it needs.
type KafkaUserRequest struct {
	Name    string   `json:"name"`
	Produce []string `json:"produce,omitempty"`
	Consume []string `json:"consume,omitempty"`
	Groups  []string `json:"groups,omitempty"`
}

// Credentials are shown once; Path is a file of mode 0600 that holds them too.
type Credentials struct {
	Name             string `json:"name"`
	Password         string `json:"password"`
	ClientProperties string `json:"clientProperties"`
	Path             string `json:"path"`
}

// EngineInfo says what can be created on this machine.
type EngineInfo struct {
	Name         string              `json:"name"`
	Versions     []string            `json:"versions"`
	Default      string              `json:"default"`
	Capabilities engine.Capabilities `json:"capabilities"`
	Ready        bool                `json:"ready"`
	// Problem says what is missing and what to do.
	Problem string `json:"problem,omitempty"`
}

// The kinds of events.
const (
	EventCluster   = "cluster"
	EventOperation = "operation"
	EventJournal   = "journal"
	// EventResync says that events were lost: read everything again.
	EventResync = "resync"
)

// Event says that something changed and is to be read again.
type Event struct {
	Kind    string `json:"kind"`
	Cluster string `json:"cluster,omitempty"`
	ID      string `json:"id,omitempty"`
}

// MetricsTarget is one broker to scrape and to measure.
type MetricsTarget struct {
	Broker int32
	// URL shows metrics in Prometheus' text form.
	URL string
	// PIDFile names the process, Data is its log directory.
	PIDFile string
	Data    string
	// ClientProperties is the administrator's way into the cluster.
	ClientProperties string
}

// MetricsSink is told which brokers exist. No targets: the cluster is gone, or
// none of its brokers shall run. It must not block.
type MetricsSink interface {
	SetTargets(cluster string, targets []MetricsTarget)
}
