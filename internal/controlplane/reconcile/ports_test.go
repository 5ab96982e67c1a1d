package reconcile

import (
	"context"
	"slices"
	"testing"

	"github.com/weir-stream/weir/internal/controlplane/plan"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
	"github.com/weir-stream/weir/internal/testkit/clustermodel"
)

// Reassigned gives ports that are a thousand higher.
func (m mortal) Reassigned(_ context.Context, c spec.Cluster, brokers []int32) (out []spec.Broker, err error) {
	for _, b := range c.Brokers {
		if slices.Contains(brokers, b.ID) && !m.Runs(c, b.ID) && m.PortsFree(b) != nil {
			b.ClientPort, b.InternalPort, b.MetricsPort = b.ClientPort+1000, b.InternalPort+1000, b.MetricsPort+1000
			if b.Controller {
				b.ControllerPort += 1000
			}
			out = append(out, b)
		}
	}
	return out, nil
}

// TestPortsAreChosenAgain: a port that another program takes between the
// choice and the start, or while the process starts, is given up; a cluster
// that people use keeps its ports.
func TestPortsAreChosenAgain(t *testing.T) {
	create := func(p plan.Picture) spec.Plan { return plan.Create(p.Cluster) }
	for name, tc := range map[string]struct {
		n      int
		plan   func(plan.Picture) spec.Plan
		served bool
		port   int  // of another program
		late   bool // taken when the processes run
		moved  []int32
		state  spec.OpState
	}{
		"before":                {3, create, false, 20002, false, []int32{2}, spec.OpSucceeded},
		"a controller, late":    {3, create, false, 23003, true, []int32{3}, spec.OpSucceeded},
		"a broker that is new":  {3, func(p plan.Picture) spec.Plan { return plan.Scale(p, plan.ScaleRequest{Add: brokers(4, 1)}) }, true, 22004, true, []int32{4}, spec.OpSucceeded},
		"one that has a name":   {3, func(p plan.Picture) spec.Plan { return plan.RestartBroker(p, 2) }, true, 20002, false, nil, spec.OpSucceeded},
		"one that cannot start": {3, func(p plan.Picture) spec.Plan { return plan.RestartBroker(p, 2) }, true, 20002, true, nil, spec.OpFailed},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, tc.n, tc.plan)
			if _, err := store.Clusters.Change(t.Context(), w, "c1", func(c *spec.Cluster) error { c.Served = tc.served; return nil }); err != nil {
				t.Fatal(err)
			}
			if !tc.served {
				clear(w.Nodes)
			}
			take := func(w *clustermodel.World) { w.Taken = map[int]bool{tc.port: true} }
			if tc.late {
				id := int32(tc.port % 1000)
				w.Stray = func(w *clustermodel.World) {
					if n := w.Nodes[id]; n.Running && w.Taken == nil {
						take(w)
						n.Running = false // it could not listen
						n.Stillborn = tc.moved == nil
						w.Nodes[id] = n
					}
				}
			} else {
				take(w)
			}
			if err := run(t, w); err != nil {
				t.Fatal(err)
			}
			op, err := store.Operations.Get(t.Context(), w, "c1/op-1")
			if err != nil || op.State != tc.state {
				t.Fatalf("%s: %s %v", op.State, op.Error, err)
			}
			c, err := store.Clusters.Get(t.Context(), w, "c1")
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range c.Brokers {
				if want := slices.Contains(tc.moved, b.ID); (b.ClientPort > 21000) != want {
					t.Errorf("broker %d is at port %d", b.ID, b.ClientPort)
				}
				// What was started with the old port of a controller has begun again.
				if tc.port == 23003 && w.Nodes[b.ID].PID <= 3 {
					t.Errorf("broker %d is process %d still", b.ID, w.Nodes[b.ID].PID)
				}
				if tc.state == spec.OpSucceeded && !w.Nodes[b.ID].Running {
					t.Errorf("broker %d does not run", b.ID)
				}
			}
		})
	}
}
