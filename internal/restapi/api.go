// Package restapi is the HTTP door of the service: the API under /api/v1 with
// its OpenAPI description, events, the service's own metrics, and the dashboard
// on every other path. Who may do what stands in one table (routes.go).
//
// Every request is checked for its host, its size, who makes it and, from
// browsers, where it comes from, before a handler sees it. The package decides
// nothing about clusters and people: it asks the interfaces below.
package restapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/people"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// Prefix is where the API lies.
const Prefix = "/api/v1"

// Fleet shows clusters and makes new ones.
type Fleet interface {
	Clusters(ctx context.Context) ([]controlplane.ClusterView, error)
	Cluster(ctx context.Context, nameOrID string) (controlplane.ClusterView, error)
	PlanCreate(ctx context.Context, r controlplane.CreateRequest) (spec.Cluster, spec.Plan, error)
	Create(ctx context.Context, actor string, r controlplane.CreateRequest) (*spec.Operation, error)
}

// Changes alters clusters that exist.
type Changes interface {
	PlanChange(ctx context.Context, cluster string, r controlplane.ChangeRequest) (spec.Plan, error)
	Change(ctx context.Context, actor, cluster string, r controlplane.ChangeRequest) (*spec.Operation, error)
	Cancel(ctx context.Context, actor, id string) error
}

// Exporter writes what a cluster needs to run without Weir.
type Exporter interface {
	Export(ctx context.Context, cluster, dir string) ([]string, error)
}

// History tells what was done and what is being done.
type History interface {
	Operations(ctx context.Context, cluster string, limit int, before string) ([]*spec.Operation, error)
	Operation(ctx context.Context, id string) (*spec.Operation, error)
	Journal(ctx context.Context, cluster string, limit int, before string) ([]*spec.JournalEntry, error)
	Subscribe() (<-chan controlplane.Event, func())
}

// Insight looks closer.
type Insight interface {
	Simulate(ctx context.Context, cluster string, kill []int32) (controlplane.Simulation, error)
	Partitions(ctx context.Context, cluster string) ([]spec.PartitionObservation, error)
	BrokerLog(ctx context.Context, cluster string, broker int32, lines int) ([]string, error)
	Engines() []controlplane.EngineInfo
}

// KafkaUsers are the applications that may use a cluster.
type KafkaUsers interface {
	KafkaUsers(ctx context.Context, cluster string) ([]string, error)
	CreateKafkaUser(ctx context.Context, actor, cluster string, r controlplane.KafkaUserRequest) (controlplane.Credentials, error)
	DeleteKafkaUser(ctx context.Context, actor, cluster, name string) error
}

// Service is what the API opens a door to; *controlplane.Service is one.
type Service interface {
	Fleet
	Changes
	History
	Insight
	KafkaUsers
	Exporter
}

// Options are what an API is made of.
type Options struct {
	Service Service
	People  *people.Registry
	Panels  Panels // nil: no panels
	// Metrics are the service's own, in Prometheus' text form; nil: none.
	Metrics http.Handler
	// Requests measures answers; the zero value does not.
	Requests Requests
	// Prometheus answers /api/v1/query and the like over the measurements; it
	// is found below /api/v1/prom, for Grafana; nil: it is not.
	Prometheus http.Handler
	// Pages get every path that is not the API's.
	Pages   http.Handler
	Log     *slog.Logger
	Version string
	// Dir and Address are told to people who are logged in.
	Dir, Address string
	// Hosts are the names, beyond those of the loopback address, under which
	// the service may be spoken to.
	Hosts []string
	// Started is when the service began.
	Started time.Time
	// Heartbeat is how often an idle stream of events shows that it lives; 0: 15 s.
	Heartbeat time.Duration
}

type api struct {
	Options
	streams chan struct{}
	huma    huma.API
	spec    []byte
}

// New makes the handler of everything that the service answers on its port.
func New(o Options) http.Handler {
	a, mux := build(o)
	return a.guard(mux)
}

func build(o Options) (*api, *http.ServeMux) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = 15 * time.Second
	}
	a := &api{Options: o, streams: make(chan struct{}, maxStreams)}
	mux := http.NewServeMux()
	a.huma = humago.NewWithPrefix(mux, Prefix, a.config())
	a.huma.UseMiddleware(a.authorize)
	for _, r := range a.routes() {
		r.add(a)
	}
	for _, p := range a.plainRoutes() {
		mux.Handle(p.pattern, a.plain(p))
	}
	enums(a.huma.OpenAPI())
	a.spec = describe(a.huma.OpenAPI())
	return a, mux
}

// config is huma's, without its pages, links and schema addresses.
func (a *api) config() huma.Config {
	c := huma.DefaultConfig("Weir", "1")
	c.CreateHooks, c.OpenAPIPath, c.DocsPath, c.SchemasPath = nil, "", "", ""
	c.RejectUnknownQueryParameters = true
	c.Info.Description = "The service that runs clusters. Programs send `Authorization: Bearer weir_…`; browsers send the session cookie and, " +
		"with everything but GET, the header X-CSRF-Token with the value that GET /session shows. Lists are never null. " +
		"Errors are application/problem+json."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer"},
		"session": {Type: "apiKey", In: "cookie", Name: cookieName},
	}
	c.Transformers = append(c.Transformers, noNulls, noSecrets)
	return c
}
