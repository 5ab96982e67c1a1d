package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-stream/weir/internal/controlplane/plan"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
	"github.com/weir-stream/weir/internal/testkit/clustermodel"
)

func brokers(first, n int) (out []spec.Broker) {
	for i := first; i < first+n; i++ {
		b := spec.Broker{ID: int32(i), ClientPort: 20000 + i, InternalPort: 21000 + i, MetricsPort: 22000 + i, MemoryBytes: 1 << 30, DiskBytes: 10 << 30}
		if i <= 3 {
			b.Controller, b.ControllerPort = true, 23000+i
		}
		out = append(out, b)
	}
	return out
}

// begin makes a world with n running brokers and a pending operation.
func begin(t *testing.T, n int, make func(plan.Picture) spec.Plan) *clustermodel.World {
	t.Helper()
	w := clustermodel.New()
	c := spec.Cluster{ID: "c1", Name: "orders", Engine: spec.EngineApacheKafka, EngineVersion: "4.3.1", Profile: "prod-3", Secured: true,
		State: spec.Active, KafkaClusterID: "MkU3OEVBNTcwNTJENDM2Qg", Brokers: brokers(1, n)}
	for _, b := range c.Brokers {
		w.Nodes[b.ID] = clustermodel.Node{Formatted: true, Running: true, Registered: true}
	}
	for i := range 6 {
		ids := []int32{int32(i%n + 1), int32((i+1)%n + 1), int32((i+2)%n + 1)}
		w.Partitions = append(w.Partitions, spec.PartitionObservation{Topic: "t", Partition: int32(i), Replicas: ids, ISR: ids, Leader: ids[0], MinInSync: 2, Bytes: 100})
	}
	seen, err := w.Observe(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	op, err := spec.NewOperation("op-1", "c1", "test", "ann", make(plan.Picture{Cluster: c, Seen: seen}), time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(store.Clusters.Put(t.Context(), w, &c), store.Operations.Put(t.Context(), w, op)); err != nil {
		t.Fatal(err)
	}
	w.Points = 0
	return w
}

// run runs the operation until it is over or the fuse ends the service, whose
// context ends with it.
func run(t *testing.T, w *clustermodel.World) error { return runMoving(t, w, 0, func() {}) }

// runMoving moves at most so many partitions at once; waits are told.
func runMoving(t *testing.T, w *clustermodel.World, most int, waits func()) error {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	at := time.Unix(0, 0)
	r := &Runner{Store: w, Files: mortal{w, cancel}, Processes: mortal{w, cancel}, Kafka: mortal{w, cancel}, Ports: mortal{w, cancel}, Timeout: 100 * time.Second, MaxMoves: most,
		Now: func() time.Time { return at }, Wait: func(ctx context.Context, d time.Duration) error { waits(); at = at.Add(d); return ctx.Err() }}
	return r.Run(ctx, "c1", "op-1")
}

// mortal ends the context of a service whose fuse has burnt down.
type mortal struct {
	*clustermodel.World
	cancel func()
}

func (m mortal) Observe(ctx context.Context, c spec.Cluster) (spec.Observation, error) {
	o, err := m.World.Observe(ctx, c)
	return o, m.see(err)
}
func (m mortal) Reassign(ctx context.Context, c spec.Cluster, v []spec.Move, t int64) error {
	return m.see(m.World.Reassign(ctx, c, v, t))
}
func (m mortal) Start(ctx context.Context, c spec.Cluster, b spec.Broker) error {
	return m.see(m.World.Start(ctx, c, b))
}
func (m mortal) Stop(ctx context.Context, c spec.Cluster, id int32) error {
	return m.see(m.World.Stop(ctx, c, id))
}
func (m mortal) Kill(ctx context.Context, c spec.Cluster, id int32) error {
	return m.see(m.World.Kill(ctx, c, id))
}
func (m mortal) Prepare(ctx context.Context, c spec.Cluster, say func(string)) error {
	return m.see(m.World.Prepare(ctx, c, say))
}
func (m mortal) Provision(ctx context.Context, c spec.Cluster, b spec.Broker) error {
	return m.see(m.World.Provision(ctx, c, b))
}
func (m mortal) Wipe(ctx context.Context, c spec.Cluster, id int32) error {
	return m.see(m.World.Wipe(ctx, c, id))
}
func (m mortal) Remove(ctx context.Context, c spec.Cluster, id int32) error {
	return m.see(m.World.Remove(ctx, c, id))
}
func (m mortal) ElectLeaders(ctx context.Context, c spec.Cluster) error {
	return m.see(m.World.ElectLeaders(ctx, c))
}
func (m mortal) Unregister(ctx context.Context, c spec.Cluster, id int32) error {
	return m.see(m.World.Unregister(ctx, c, id))
}

func (m mortal) see(err error) error {
	if errors.Is(err, clustermodel.ErrDead) {
		m.cancel()
	}
	return err
}

// outcome is everything that must not depend on when the service died.
func outcome(t *testing.T, w *clustermodel.World) string {
	t.Helper()
	op, err := store.Operations.Get(t.Context(), w, "c1/op-1")
	if err != nil {
		t.Fatal(err)
	}
	s := fmt.Sprintf("%s %q throttle %d removed %v\n", op.State, op.Error, w.Throttle, w.Removed)
	for _, id := range slices.Sorted(maps.Keys(w.Nodes)) {
		n := w.Nodes[id]
		s += fmt.Sprintln("broker", id, n.Formatted, n.Running, n.Registered)
	}
	for _, st := range op.Steps {
		s += fmt.Sprintln(st.Name, st.State, st.Error)
	}
	for _, p := range w.Partitions {
		s += fmt.Sprintln(p.Topic, p.Partition, p.Replicas, p.Leader, p.Adding, p.Removing, len(p.ISR))
	}
	if c, err := store.Clusters.Get(t.Context(), w, "c1"); err == nil {
		s += fmt.Sprintln(c.BrokerIDs(), c.Throttled, c.AllStopped())
	}
	return s
}

// TestEndedAtEveryPoint ends the service before and after every effect and
// every write to the store, starts it again from the store, and compares.
func TestEndedAtEveryPoint(t *testing.T) {
	for name, tc := range map[string]struct {
		n    int
		plan func(plan.Picture) spec.Plan
	}{
		"create": {3, func(p plan.Picture) spec.Plan { return plan.Create(p.Cluster) }},
		"scale out": {3, func(p plan.Picture) spec.Plan {
			return plan.Scale(p, plan.ScaleRequest{Add: brokers(4, 2), ThrottleBytesPerSecond: 1 << 20})
		}},
		"scale in": {5, func(p plan.Picture) spec.Plan { return plan.Scale(p, plan.ScaleRequest{Remove: []int32{4, 5}}) }},
		"restart":  {3, func(p plan.Picture) spec.Plan { return plan.RestartBroker(p, 2) }},
		"replace":  {3, func(p plan.Picture) spec.Plan { return plan.ReplaceBroker(p, 2) }},
		"stop":     {3, plan.Stop},
		"delete":   {3, plan.Delete},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, tc.n, tc.plan)
			if err := run(t, w); err != nil {
				t.Fatal(err)
			}
			points := w.Points // before outcome adds its own
			want := outcome(t, w)
			if !strings.HasPrefix(want, "SUCCEEDED") {
				t.Fatal(want)
			}
			for k := 1; k <= points; k++ {
				w := begin(t, tc.n, tc.plan)
				w.Fuse = k
				if err := run(t, w); err == nil && k < points {
					t.Fatalf("point %d: the fuse did not burn", k)
				}
				w.Fuse = -1
				if err := run(t, w); err != nil {
					t.Fatalf("point %d: %v", k, err)
				}
				if d := cmp.Diff(want, outcome(t, w)); d != "" {
					t.Fatalf("ended at point %d of %d:\n%s", k, points, d)
				}
			}
		})
	}
}

func TestTopicMadeWhileDraining(t *testing.T) {
	w := begin(t, 4, func(p plan.Picture) spec.Plan { return plan.Scale(p, plan.ScaleRequest{Remove: []int32{4}}) })
	made := false
	w.Stray = func(w *clustermodel.World) {
		if !made {
			made = true
			w.Partitions = append(w.Partitions, spec.PartitionObservation{Topic: "new", Replicas: []int32{4, 1, 2}, ISR: []int32{4, 1, 2}, Leader: 4})
		}
	}
	if err := run(t, w); err != nil {
		t.Fatal(err)
	}
	if got := outcome(t, w); !strings.HasPrefix(got, "SUCCEEDED") || slices.Contains(w.Partitions[6].Replicas, 4) {
		t.Fatal(got)
	}
}

func TestCancelWhileMoving(t *testing.T) {
	w := begin(t, 4, func(p plan.Picture) spec.Plan {
		return plan.Scale(p, plan.ScaleRequest{Remove: []int32{4}, ThrottleBytesPerSecond: 1 << 20})
	})
	if err := Cancel(t.Context(), w, "c1", "op-1"); err != nil {
		t.Fatal(err)
	}
	if err := run(t, w); err != nil {
		t.Fatal(err)
	}
	if got := outcome(t, w); !strings.HasPrefix(got, "CANCELLED") || w.Throttle != 0 || !w.Nodes[4].Running {
		t.Fatal(got)
	}
	if err := Cancel(t.Context(), w, "c1", "op-1"); err == nil {
		t.Error("cancelled twice")
	}
	if ops, err := Unfinished(t.Context(), w); err != nil || len(ops) != 0 {
		t.Error(ops, err)
	}
}

// TestAwaitWantsTheNewProcess: a broker that was killed is still shown as
// registered and unfenced for a while; it serves when its new process answers,
// seen twice. One whose process ends does not keep anybody waiting.
func TestAwaitWantsTheNewProcess(t *testing.T) {
	serving := spec.BrokerObservation{ID: 2, ProcessAlive: true, Registered: true}
	silent := serving
	silent.UnresponsiveSince = time.Unix(1, 0)
	fenced := serving
	fenced.Fenced = true
	dead := spec.BrokerObservation{ID: 2, Registered: true}
	for name, tc := range map[string]struct {
		seen  []spec.BrokerObservation
		looks int
		says  string
	}{
		"silent first": {[]spec.BrokerObservation{silent, silent, serving, serving}, 4, ""},
		"fenced after": {[]spec.BrokerObservation{serving, fenced, serving, serving}, 4, ""},
		"ends":         {[]spec.BrokerObservation{serving, dead, dead, serving}, 3, "process of broker 2 has ended"},
	} {
		looks := 0
		x := &execution{Runner: &Runner{Kafka: lookAt(func() spec.BrokerObservation { looks++; return tc.seen[min(looks, len(tc.seen))-1] }),
			Wait: func(context.Context, time.Duration) error { return nil }}, cluster: &spec.Cluster{}}
		err := awaitBrokers(t.Context(), x, spec.StepArgs{Brokers: []int32{2}})
		if looks != tc.looks || (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %d looks, %v", name, looks, err)
		}
	}
}

// lookAt is a cluster that is only looked at.
type lookAt func() spec.BrokerObservation

func (l lookAt) Observe(context.Context, spec.Cluster) (spec.Observation, error) {
	return spec.Observation{Reachable: true, Brokers: []spec.BrokerObservation{l()}}, nil
}
func (lookAt) Reassign(context.Context, spec.Cluster, []spec.Move, int64) error { return nil }
func (lookAt) ElectLeaders(context.Context, spec.Cluster) error                 { return nil }
func (lookAt) Unregister(context.Context, spec.Cluster, int32) error            { return nil }
