// Package controlplane is the service that runs clusters: what people want is
// stored, planned and reconciled; every cluster is observed again and again,
// and mended where it fails. It is the one facade for the HTTP API, the command
// line and the dashboard, and everything it does to a cluster goes through its
// processes, its files and the Kafka protocol.
//
// Brokers are processes of their own: they live on when the service ends, and
// are found again. It authenticates nobody: whoever calls it names the actor.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/engine/apachekafka"
	"github.com/weir-stream/weir/internal/controlplane/engine/weir"
	"github.com/weir-stream/weir/internal/controlplane/heal"
	"github.com/weir-stream/weir/internal/controlplane/provider"
	"github.com/weir-stream/weir/internal/controlplane/reconcile"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
	"github.com/weir-stream/weir/internal/controlplane/store/sqlite"
	"github.com/weir-stream/weir/internal/lifecycle"
)

// Options say where a service keeps its things.
type Options struct {
	// Dir is the service's directory; one service at a time may have it.
	Dir string
	// Binary is what clusters of engine weir are made with, empty means this
	// program; where it is named it also formats the storage of clusters of
	// Apache Kafka. Version is its version.
	Binary  string
	Version string
	// KafkaCache keeps distributions of Apache Kafka; empty means the user's
	// cache folder.
	KafkaCache string
	// FirstPort is where the search for free ports begins; 0 means 9092.
	FirstPort int
	Log       *slog.Logger
	// HealEvery is how often clusters are looked at; 0 means a second.
	HealEvery time.Duration
	// Policy is healing's; nil means heal.DefaultPolicy.
	Policy *heal.Policy
	// Metrics is told which brokers there are; may be nil.
	Metrics MetricsSink

	// What tests put in place of this machine.
	store store.Store
	world world
}

// world is how the service reaches clusters.
type world interface {
	reconcile.Files
	reconcile.Processes
	reconcile.Kafka
	// Runs says whether a broker's process is alive; it is cheap.
	Runs(c spec.Cluster, broker int32) bool
	// PortsFree says which port of a broker another process holds.
	PortsFree(b spec.Broker) error
	// Forget ends what is open for a cluster.
	Forget(cluster string)
}

// Service runs clusters. Safe for concurrent use.
type Service struct {
	o       Options
	log     *slog.Logger
	policy  heal.Policy
	feed    *feed
	store   store.Store
	db      *sqlite.DB // nil in tests with a store of their own
	world   world
	machine *machine // nil in tests with a world of their own
	engines []engine.Engine
	runner  reconcile.Runner
	group   *lifecycle.Group
	own     own
	keep    int // of each cluster's history

	// creating is held while a new cluster is made up, so that no two get the
	// same name or ports.
	creating lifecycle.IOLock

	// mu guards the fleet; nothing is waited for under it.
	mu      sync.Mutex
	fleet   map[string]*member // by cluster ID
	closing bool
}

// Open takes the directory, opens the store, goes on with unfinished
// operations, and begins to observe and to heal. A directory that another
// service holds is an error that wraps sqlite.ErrHeld.
func Open(ctx context.Context, o Options) (*Service, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.HealEvery <= 0 {
		o.HealEvery = time.Second
	}
	if o.FirstPort == 0 {
		o.FirstPort = 9092
	}
	s := &Service{o: o, log: o.Log, policy: heal.DefaultPolicy(), feed: newFeed(), own: newOwn(), keep: keepHistory, creating: lifecycle.NewIOLock(), fleet: map[string]*member{}, store: o.store, world: o.world}
	if o.Policy != nil {
		s.policy = *o.Policy
	}
	s.engines = []engine.Engine{
		&apachekafka.Engine{Cache: o.KafkaCache, Weir: o.Binary},
		&weir.Engine{Binary: o.Binary, Dir: filepath.Join(o.Dir, "engines")},
	}
	if s.store == nil {
		db, err := sqlite.Open(ctx, o.Dir)
		if err != nil {
			return nil, err
		}
		s.db, s.store = db, db
	}
	s.store = telling{s.store, s.feed}
	if s.world == nil {
		s.machine = newMachine(o.Dir, provider.NewLocal(), s.engines)
		s.world = s.machine
	}
	watched := watching{s.world, s}
	s.runner = reconcile.Runner{Store: s.store, Files: watched, Processes: watched, Kafka: watched, Ports: s, Poll: min(time.Second, o.HealEvery)}
	s.group = lifecycle.New("service", o.Log)
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// begin takes up every cluster where it stands.
func (s *Service) begin(ctx context.Context) error {
	clusters, err := store.Clusters.List(ctx, s.store, "", 0, "")
	if err != nil {
		return err
	}
	for _, c := range clusters {
		m := s.member(c.ID)
		if err := s.recallActs(ctx, m); err != nil {
			return err
		}
	}
	ops, err := reconcile.Unfinished(ctx, s.store)
	if err != nil {
		return err
	}
	suspended := map[string]bool{}
	for _, c := range clusters {
		suspended[c.ID] = c.Suspended
	}
	for _, op := range ops {
		if !suspended[op.Cluster] { // else it waits for StartAll
			s.launch(op)
		}
	}
	for _, c := range clusters {
		if !c.Suspended {
			s.tend(c)
		}
	}
	return nil
}

// Close ends the service. Brokers live on, and unfinished operations go on
// with the next Open.
func (s *Service) Close() error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.group.Stop()
	for _, id := range s.memberIDs() {
		s.world.Forget(id)
	}
	if s.db != nil {
		return s.db.Close()
	}
	return nil
}

// Store is where the service remembers, for its people, sessions and tokens.
func (s *Service) Store() store.Store { return s.store }

// cluster finds a cluster by ID or name.
func (s *Service) cluster(ctx context.Context, nameOrID string) (*spec.Cluster, error) {
	c, err := store.Clusters.Get(ctx, s.store, nameOrID)
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return c, err
	}
	all, err := store.Clusters.List(ctx, s.store, "", 0, "")
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if c.Name == nameOrID {
			return c, nil
		}
	}
	return nil, fmt.Errorf("cluster %q: %w", nameOrID, ErrNotFound)
}

func (s *Service) engine(name string) engine.Engine {
	for _, e := range s.engines {
		if e.Name() == name {
			return e
		}
	}
	return nil
}
