package controlplane

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/heal"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/testkit/clustermodel"
)

// awaitEntry waits for the end of a journal entry of a choice about a broker.
func awaitEntry(t *testing.T, s *Service, anomaly string, broker int32, choice string) *spec.JournalEntry {
	t.Helper()
	var found *spec.JournalEntry
	await(t, func() string {
		all, err := s.Journal(t.Context(), "orders", 0, "")
		if err != nil {
			return err.Error()
		}
		seen := ""
		for _, e := range all {
			seen += fmt.Sprintf("%s %d %s %q; ", e.Anomaly, e.Broker, e.Choice, e.Result)
			if e.Anomaly == anomaly && e.Broker == broker && e.Choice == choice && e.EndedAt != nil {
				found = e
				return ""
			}
		}
		return "no ended entry " + anomaly + " " + choice + ": " + seen
	})
	if len(found.Evidence) == 0 || found.Why == "" || found.Result == "" || len(found.Options) < 2 {
		t.Errorf("an entry that does not tell: %+v", found)
	}
	return found
}

func node(w *clustermodel.World, id int32, change func(*clustermodel.Node)) {
	w.With(func() {
		n := w.Nodes[id]
		change(&n)
		w.Nodes[id] = n
	})
}

func TestHealing(t *testing.T) {
	for name, tc := range map[string]struct {
		harm            func(n *clustermodel.Node)
		anomaly, choice string
		mended          string
	}{
		"dead":   {func(n *clustermodel.Node) { n.Running = false }, heal.Dead, heal.Restart, "mended"},
		"wiped":  {func(n *clustermodel.Node) { n.Formatted = false }, heal.LostData, heal.Replace, "mended"},
		"frozen": {func(n *clustermodel.Node) { n.FrozenSince = time.Now() }, heal.Frozen, heal.KillAndRestart, "mended"},
	} {
		t.Run(name, func(t *testing.T) {
			w := clustermodel.New()
			s := open(t, w, nil)
			create(t, s, 3)
			fill(w, 3)
			node(w, 2, tc.harm)
			e := awaitEntry(t, s, tc.anomaly, 2, tc.choice)
			if !strings.HasPrefix(e.Result, tc.mended) || e.Action == "" {
				t.Errorf("%+v", e)
			}
			awaitState(t, s, "orders", spec.Active)
			if op, err := s.Operation(t.Context(), e.Action); err != nil || op.Actor != ActorHealing || op.State != spec.OpSucceeded {
				t.Errorf("%+v %v", op, err)
			}
		})
	}
}

// TestDrill: the button that kills a broker leaves the rest to healing.
func TestDrill(t *testing.T) {
	w := clustermodel.New()
	s := open(t, w, nil)
	create(t, s, 3)
	op, err := s.Change(t.Context(), "ann", "orders", ChangeRequest{Kind: spec.OpKillBroker, Broker: 3})
	if err != nil {
		t.Fatal(err)
	}
	awaitOp(t, s, op, spec.OpSucceeded)
	awaitEntry(t, s, heal.Dead, 3, heal.Restart)
	awaitState(t, s, "orders", spec.Active)
}

// TestCrashLoop: what dies as soon as it is started is started a few times,
// then replaced, then left to a person; acts survive the service.
func TestCrashLoop(t *testing.T) {
	w := clustermodel.New()
	s := open(t, w, nil)
	create(t, s, 3)
	fill(w, 3)
	node(w, 2, func(n *clustermodel.Node) { n.Running, n.Stillborn = false, true })
	awaitEntry(t, s, heal.Dead, 2, heal.Replace)
	v := awaitGiveUp(t, s)
	if v.HealthLevel != LevelBad || v.Mend == nil || v.Mend.Kind != spec.OpStartBroker || v.Mend.Broker != 2 {
		t.Errorf("%+v", v)
	}
	all, err := s.Journal(t.Context(), "orders", 0, "")
	if err != nil || len(all) != 4 { // two restarts, one replacement, one surrender
		t.Errorf("%d entries, %v", len(all), err)
	}
	s.Close()
	s = open(t, w, nil)
	awaitGiveUp(t, s)
	node(w, 2, func(n *clustermodel.Node) { n.Stillborn = false })
	op, err := s.Change(t.Context(), "ann", "orders", *v.Mend)
	if err != nil {
		t.Fatal(err)
	}
	awaitOp(t, s, op, spec.OpSucceeded)
	awaitState(t, s, "orders", spec.Active)
	if again, err := s.Journal(t.Context(), "orders", 0, ""); err != nil || len(again) != len(all) || again[0].EndedAt == nil {
		t.Errorf("the next service began anew: %d entries, %v", len(again), err)
	}
}

func awaitGiveUp(t *testing.T, s *Service) (v ClusterView) {
	t.Helper()
	await(t, func() string {
		var err error
		if v, err = s.Cluster(t.Context(), "orders"); err != nil || !strings.Contains(v.Health, "given up") {
			return fmt.Sprint(v.Health, err)
		}
		return ""
	})
	return v
}

// TestBrake: when more fails than the cluster bears, nothing is done until a
// person says so; the journal tells it once.
func TestBrake(t *testing.T) {
	w := clustermodel.New()
	s := open(t, w, nil)
	create(t, s, 3)
	fill(w, 3)
	w.With(func() {
		for _, id := range []int32{1, 3} {
			n := w.Nodes[id]
			n.Running = false
			w.Nodes[id] = n
		}
	})
	var v ClusterView
	await(t, func() string {
		v, _ = s.Cluster(t.Context(), "orders")
		if v.Mend == nil || !strings.Contains(v.Health, "holds still") || v.State != spec.Degraded { // the state is written after the look
			return string(v.State) + ": " + v.Health
		}
		return ""
	})
	if v.HealthLevel != LevelBad || *v.Mend != (ChangeRequest{Kind: spec.OpStart}) {
		t.Errorf("%+v", v)
	}
	op, err := s.Change(t.Context(), "ann", "orders", *v.Mend)
	if err != nil {
		t.Fatal(err)
	}
	awaitOp(t, s, op, spec.OpSucceeded)
	awaitEntry(t, s, heal.Mass, 0, heal.Brake)
	awaitState(t, s, "orders", spec.Active)
	if all, err := s.Journal(t.Context(), "orders", 0, ""); err != nil || len(all) != 1 {
		t.Errorf("%d entries, %v", len(all), err)
	}
}

// TestServiceEndedAtEveryPoint ends the service before and after every effect
// of a scale-out, opens the next one on what is left, and wants the same end.
func TestServiceEndedAtEveryPoint(t *testing.T) {
	begin := func() (*clustermodel.World, *Service, *spec.Operation) {
		w := clustermodel.New()
		s := open(t, w, nil)
		create(t, s, 3)
		fill(w, 3)
		op, err := s.Change(t.Context(), "ann", "orders", ChangeRequest{Kind: spec.OpScale, Brokers: 5})
		if err != nil {
			t.Fatal(err)
		}
		return w, s, op
	}
	stride := 7
	if testing.Short() {
		stride = 29
	}
	for k := 1; k < 400; k += stride {
		w, s, op := begin()
		w.With(func() { w.Fuse = k })
		await(t, func() string {
			done := ""
			w.With(func() {
				if w.Fuse != 0 {
					done = "the fuse burns"
				}
			})
			return done
		})
		s.Close()
		w.With(func() { w.Fuse = -1 })
		next := open(t, w, nil)
		awaitOp(t, next, op, spec.OpSucceeded)
		v := awaitState(t, next, "orders", spec.Active)
		if len(v.Brokers) != 5 || v.Throttled {
			t.Fatalf("point %d: %+v", k, v)
		}
		w.With(func() {
			if w.Throttle != 0 {
				t.Errorf("point %d: a limit is left: %d", k, w.Throttle)
			}
			for _, p := range w.Partitions {
				if len(p.Adding)+len(p.Removing) > 0 || len(p.ISR) != 3 {
					t.Errorf("point %d: %+v", k, p)
				}
			}
		})
		next.Close()
	}
}

// TestTwoPeople: the second one is told who is at work, and nothing is mixed.
func TestTwoPeople(t *testing.T) {
	w := clustermodel.New()
	s := open(t, w, nil)
	create(t, s, 3)
	fill(w, 3)
	type answer struct {
		op  *spec.Operation
		err error
	}
	answers := make(chan answer, 2)
	for _, who := range []string{"ann", "bob"} {
		go func() {
			op, err := s.Change(context.Background(), who, "orders", ChangeRequest{Kind: spec.OpScale, Brokers: 5})
			answers <- answer{op, err}
		}()
	}
	began, refused := 0, 0
	for range 2 {
		switch a := <-answers; {
		case a.err == nil:
			began++
			awaitOp(t, s, a.op, spec.OpSucceeded)
		case errors.Is(a.err, ErrBusy), errors.Is(a.err, ErrImpossible):
			refused++
		default:
			t.Error(a.err)
		}
	}
	v := awaitState(t, s, "orders", spec.Active)
	if began+refused != 2 || began < 1 || len(v.Brokers) != 5 {
		t.Errorf("%d began, %d were refused, %d brokers", began, refused, len(v.Brokers))
	}
}

// TestStopAndStartAll: down and up again, with a broker that a person stopped.
func TestStopAndStartAll(t *testing.T) {
	w := clustermodel.New()
	s := open(t, w, nil)
	create(t, s, 3)
	op, err := s.Change(t.Context(), "ann", "orders", ChangeRequest{Kind: spec.OpStopBroker, Broker: 3})
	if err != nil {
		t.Fatal(err)
	}
	awaitOp(t, s, op, spec.OpSucceeded)
	if err := s.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Change(t.Context(), "ann", "orders", ChangeRequest{Kind: spec.OpStart}); !errors.Is(err, ErrClosed) {
		t.Errorf("a change after the end: %v", err)
	}
	s.Close()
	s = open(t, w, nil)
	v := awaitState(t, s, "orders", spec.Stopped)
	if v.Mend == nil || !strings.Contains(v.Health, "together with the service") {
		t.Errorf("%+v", v)
	}
	if err := s.StartAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitState(t, s, "orders", spec.Degraded)
	for id := range int32(3) {
		if runs, want := w.Runs(v.Cluster, id+1), id != 2; runs != want {
			t.Errorf("broker %d runs: %v", id+1, runs)
		}
	}
	if all, err := s.Journal(t.Context(), "orders", 0, ""); err != nil || len(all) > 0 {
		t.Errorf("healing: %+v %v", all, err)
	}
}

func TestSimulate(t *testing.T) {
	w := clustermodel.New()
	s := open(t, w, nil)
	create(t, s, 3)
	fill(w, 3)
	one, err := s.Simulate(t.Context(), "orders", []int32{2})
	if err != nil || one.Action != heal.Restart || one.Offline != 0 || one.UnderReplicated != 6 || one.QuorumLost != "" || !strings.Contains(one.Sentence, "everything goes on") {
		t.Errorf("%+v %v", one, err)
	}
	two, err := s.Simulate(t.Context(), "orders", []int32{3, 2, 2})
	if err != nil || two.Action != heal.Brake || two.QuorumLost == "" || two.UnderMinISR != 6 || len(two.Examples) != 5 || len(two.Killed) != 2 {
		t.Errorf("%+v %v", two, err)
	}
	if _, err := s.Simulate(t.Context(), "orders", []int32{7}); len(spec.Fields(err)) != 1 {
		t.Error(err)
	}
	if !w.Runs(spec.Cluster{}, 2) {
		t.Error("the simulation killed a broker")
	}
}
