package controlplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/heal"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
	"github.com/weir-stream/weir/internal/testkit/clustermodel"
)

// quick is a policy for a model in which a second is long.
func quick() *heal.Policy {
	return &heal.Policy{MaxRestarts: 2, Window: time.Hour, FrozenAfter: 50 * time.Millisecond, StartGrace: 0, Stale: time.Minute}
}

// open opens a service on a model.
func open(t *testing.T, w *clustermodel.World, metrics MetricsSink) *Service {
	t.Helper()
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)), FirstPort: 13000, HealEvery: 5 * time.Millisecond,
		Policy: quick(), Metrics: metrics, store: w, world: w})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// await polls until ok, which says what is missing.
func await(t *testing.T, ok func() string) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := ok()
		if missing == "" {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", missing)
		case <-tick.C:
		}
	}
}

func awaitState(t *testing.T, s *Service, cluster string, want spec.State) ClusterView {
	t.Helper()
	var v ClusterView
	await(t, func() string {
		var err error
		if v, err = s.Cluster(t.Context(), cluster); err != nil {
			return err.Error()
		}
		if v.State != want {
			return fmt.Sprintf("%s: %s, wanted %s", v.State, v.Reason, want)
		}
		return ""
	})
	return v
}

func awaitOp(t *testing.T, s *Service, op *spec.Operation, want spec.OpState) *spec.Operation {
	t.Helper()
	var now *spec.Operation
	await(t, func() string {
		var err error
		if now, err = s.Operation(t.Context(), op.ID); err != nil {
			return err.Error()
		}
		if !now.State.Final() {
			return string(now.State)
		}
		return ""
	})
	if now.State != want {
		t.Fatalf("%s is %s (%s), wanted %s", now.Kind, now.State, now.Error, want)
	}
	return now
}

// create makes a cluster of n brokers and waits until it is ACTIVE.
func create(t *testing.T, s *Service, n int) ClusterView {
	t.Helper()
	op, err := s.Create(t.Context(), "ann", CreateRequest{Name: "orders", Brokers: n})
	if err != nil {
		t.Fatal(err)
	}
	awaitOp(t, s, op, spec.OpSucceeded)
	return awaitState(t, s, "orders", spec.Active)
}

// awaits waits until so many brokers of a cluster are to be scraped: the service says so after the operation is over.
func (k *sink) awaits(t *testing.T, cluster string, want int) {
	t.Helper()
	await(t, func() string {
		if got := k.count(cluster); got != want {
			return fmt.Sprintf("%d brokers to scrape, wanted %d", got, want)
		}
		return ""
	})
}

func fill(w *clustermodel.World, n int) {
	w.With(func() {
		for i := range 2 * n {
			ids := []int32{int32(i%n + 1), int32((i+1)%n + 1), int32((i+2)%n + 1)}
			w.Partitions = append(w.Partitions, spec.PartitionObservation{Topic: "t", Partition: int32(i), Replicas: ids, ISR: ids, Leader: ids[0], MinInSync: 2, Bytes: 100})
		}
	})
}

// Who has read that an operation is over may begin the next one, even if the service is still busy with the end.
func TestAnEndedOperationHoldsNobodyUp(t *testing.T) {
	s := open(t, clustermodel.New(), &sink{})
	v := create(t, s, 3)
	op, err := s.Change(t.Context(), "bob", "orders", ChangeRequest{Kind: spec.OpStopBroker, Broker: 2})
	if err != nil {
		t.Fatal(err)
	}
	awaitOp(t, s, op, spec.OpSucceeded)
	m := s.member(v.ID)
	m.mu.Lock()
	m.ops[op.ID] = &running{op: op, cancel: func() {}, done: make(chan struct{})}
	m.mu.Unlock()
	next, err := s.Change(t.Context(), "bob", "orders", ChangeRequest{Kind: spec.OpStartBroker, Broker: 2})
	if err != nil {
		t.Fatal(err)
	}
	awaitOp(t, s, next, spec.OpSucceeded)
	m.mu.Lock()
	delete(m.ops, op.ID)
	m.mu.Unlock()
}

// A port that another program takes after it was chosen is chosen again.
func TestPortTakenAfterTheChoice(t *testing.T) {
	w := clustermodel.New()
	s := open(t, w, &sink{})
	c, _, err := s.PlanCreate(t.Context(), CreateRequest{Name: "orders", Brokers: 3})
	if err != nil {
		t.Fatal(err)
	}
	first := c.Brokers[1].InternalPort
	w.With(func() { w.Taken = map[int]bool{first: true} })
	v := create(t, s, 3)
	seen := map[int]bool{}
	for _, b := range v.Brokers {
		for _, p := range b.Ports() {
			if p.Port == first || p.Port != 0 && seen[p.Port] {
				t.Errorf("broker %d has port %d as %s", b.ID, p.Port, p.Field)
			}
			seen[p.Port] = true
		}
	}
}

func TestLifeOfACluster(t *testing.T) {
	w := clustermodel.New()
	sink := &sink{}
	s := open(t, w, sink)
	events, end := s.Subscribe()
	defer end()
	v := create(t, s, 3)
	if v.HealthLevel != LevelOK || !strings.HasPrefix(v.Health, "Healthy: 3 of 3 brokers") || len(v.Bootstrap) != 3 || v.Controllers() != 3 || !v.Secured || v.Mend != nil {
		t.Errorf("%+v", v)
	}
	if e := <-events; e.Kind != EventCluster || e.Cluster != v.ID {
		t.Errorf("first event %+v", e)
	}
	if got := sink.count(v.ID); got != 3 {
		t.Errorf("%d brokers to scrape", got)
	}
	fill(w, 3)
	change := func(want spec.OpState, r ChangeRequest) {
		t.Helper()
		op, err := s.Change(t.Context(), "bob", "orders", r)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		awaitOp(t, s, op, want)
	}
	change(spec.OpSucceeded, ChangeRequest{Kind: spec.OpScale, Brokers: 5})
	v = awaitState(t, s, "orders", spec.Active)
	sink.awaits(t, v.ID, 5)
	if len(v.Brokers) != 5 || v.Throttled {
		t.Errorf("after scaling out: %+v", v)
	}
	change(spec.OpSucceeded, ChangeRequest{Kind: spec.OpScale, Brokers: 3})
	change(spec.OpSucceeded, ChangeRequest{Kind: spec.OpStopBroker, Broker: 2})
	v = awaitState(t, s, "orders", spec.Degraded)
	if v.Mend == nil || *v.Mend != (ChangeRequest{Kind: spec.OpStartBroker, Broker: 2}) {
		t.Errorf("mend %+v", v.Mend)
	}
	change(spec.OpSucceeded, *v.Mend)
	change(spec.OpSucceeded, ChangeRequest{Kind: spec.OpStop})
	v = awaitState(t, s, "orders", spec.Stopped)
	sink.awaits(t, v.ID, 0)
	if v.HealthLevel != LevelOff {
		t.Errorf("stopped: %+v", v)
	}
	change(spec.OpSucceeded, ChangeRequest{Kind: spec.OpStart})
	awaitState(t, s, "orders", spec.Active)
	if entries, err := s.Journal(t.Context(), "orders", 0, ""); err != nil || len(entries) > 0 {
		t.Errorf("healing did something about what people wanted: %+v %v", entries, err)
	}
	op, err := s.Change(t.Context(), "bob", "orders", ChangeRequest{Kind: spec.OpDelete})
	if err != nil {
		t.Fatal(err)
	}
	awaitOp(t, s, op, spec.OpSucceeded)
	await(t, func() string {
		if _, err := s.Cluster(t.Context(), "orders"); !errors.Is(err, ErrNotFound) {
			return fmt.Sprint("still there: ", err)
		}
		return ""
	})
	if ops, err := s.Operations(t.Context(), v.ID, 2, ""); err != nil || len(ops) != 2 || ops[0].ID != op.ID {
		t.Errorf("the history of a deleted cluster: %v %v", ops, err)
	}
	if docs, err := store.Moves.List(context.Background(), s.store, "", 0, ""); err != nil || len(docs) > 0 {
		t.Errorf("moves stay behind: %v %v", docs, err)
	}
}

// sink counts targets.
type sink struct {
	mu  chan struct{}
	got map[string]int
}

func (s *sink) lock() func() {
	if s.mu == nil {
		s.mu, s.got = make(chan struct{}, 1), map[string]int{}
	}
	s.mu <- struct{}{}
	return func() { <-s.mu }
}

func (s *sink) SetTargets(cluster string, targets []MetricsTarget) {
	defer s.lock()()
	s.got[cluster] = len(targets)
}

func (s *sink) count(cluster string) int {
	defer s.lock()()
	return s.got[cluster]
}

func TestRefusals(t *testing.T) {
	w := clustermodel.New()
	s := open(t, w, nil)
	for field, r := range map[string]CreateRequest{
		"name":                   {Name: "Orders!"},
		"engine":                 {Name: "a", Engine: "rabbit"},
		"brokers":                {Name: "a", Brokers: 65},
		"profile":                {Name: "a", Profile: "huge"},
		"memoryBytes":            {Name: "a", MemoryBytes: 1 << 39},
		"diskBytes":              {Name: "a", DiskBytes: 1 << 49},
		"engineVersion":          {Name: "a", Engine: spec.EngineApacheKafka, EngineVersion: "3.9.0"},
		"settings.log.dirs":      {Name: "a", Settings: map[string]string{"log.dirs": "/"}},
		"settings.num.partition": {Name: "a", Settings: map[string]string{"num.partition": "1"}},
		"distDir":                {Name: "a", DistDir: "kafka"},
	} {
		_, _, err := s.PlanCreate(t.Context(), r)
		if fields := spec.Fields(err); len(fields) == 0 || fields[0].Field != field || fields[0].Rule == "" {
			t.Errorf("%s: %v", field, err)
		}
		if _, err := s.Create(t.Context(), "ann", r); len(spec.Fields(err)) == 0 {
			t.Errorf("%s: created: %v", field, err)
		}
	}
	create(t, s, 3)
	if _, err := s.Create(t.Context(), "ann", CreateRequest{Name: "orders"}); len(spec.Fields(err)) != 1 {
		t.Errorf("a name twice: %v", err)
	}
	if _, err := s.Create(t.Context(), "ann", CreateRequest{Name: "orders", MemoryBytes: 1 << 39}); len(spec.Fields(err)) != 2 {
		t.Errorf("a name twice, and a size: %v", err)
	}
	for field, r := range map[string]ChangeRequest{
		"kind":                   {Kind: "explode"},
		"brokers":                {Kind: spec.OpScale},
		"broker":                 {Kind: spec.OpRestartBroker, Broker: 9},
		"throttleBytesPerSecond": {Kind: spec.OpScale, Brokers: 5, ThrottleBytesPerSecond: 5},
	} {
		if _, err := s.Change(t.Context(), "ann", "orders", r); len(spec.Fields(err)) != 1 || spec.Fields(err)[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := s.Change(t.Context(), "ann", "orders", ChangeRequest{Kind: spec.OpScale, Brokers: 2}); !errors.Is(err, ErrImpossible) || !strings.Contains(err.Error(), "controllers") {
		t.Errorf("scaled below its controllers: %v", err)
	}
	if _, err := s.Change(t.Context(), "ann", "nobody", ChangeRequest{Kind: spec.OpStop}); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown cluster: %v", err)
	}
	if _, err := s.Operation(t.Context(), "op-1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown operation: %v", err)
	}
}
