package controlplane

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-stream/weir/internal/controlplane/heal"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
	"github.com/weir-stream/weir/internal/testkit/clustermodel"
)

// TestOwnFigures: operations and healing are counted where a scrape finds them.
func TestOwnFigures(t *testing.T) {
	w := clustermodel.New()
	s := open(t, w, &sink{})
	create(t, s, 3)
	w.With(func() { n := w.Nodes[2]; n.Running = false; w.Nodes[2] = n })
	registry := prometheus.NewRegistry()
	registry.MustRegister(s)
	want := []string{
		"weir_service_anomalies_total " + heal.Dead + " " + heal.Restart,
		"weir_service_healing_duration_seconds " + heal.Restart,
		"weir_service_operation_duration_seconds create SUCCEEDED",
		"weir_service_operation_duration_seconds heal SUCCEEDED",
	}
	await(t, func() string {
		families, err := registry.Gather()
		if err != nil {
			return err.Error()
		}
		var got []string
		for _, f := range families {
			for _, m := range f.Metric {
				line := f.GetName()
				for _, l := range m.Label {
					line += " " + l.GetValue()
				}
				got = append(got, line)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Sprintf("%q, wanted %q", got, want)
		}
		return ""
	})
}

// TestHistoryIsBounded: the oldest that is over goes; what is open stays.
func TestHistoryIsBounded(t *testing.T) {
	w := clustermodel.New()
	s := open(t, w, &sink{})
	s.keep = 3
	v := create(t, s, 3)
	open := spec.JournalEntry{ID: "j-0", Cluster: v.ID, Action: "op-0", Choice: heal.Replace}
	if err := store.Journal.Put(t.Context(), w, &open); err != nil {
		t.Fatal(err)
	}
	over := time.Now()
	for i := range 5 {
		e := spec.JournalEntry{ID: fmt.Sprint("j-", i+1), Cluster: v.ID, EndedAt: &over}
		if err := store.Journal.Put(t.Context(), w, &e); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		for _, kind := range []string{spec.OpStopBroker, spec.OpStartBroker} {
			op, err := s.Change(t.Context(), "bob", "orders", ChangeRequest{Kind: kind, Broker: 2})
			if err != nil {
				t.Fatal(err)
			}
			awaitOp(t, s, op, spec.OpSucceeded)
		}
	}
	await(t, func() string {
		ops, err := s.Operations(t.Context(), "orders", 0, "")
		if err != nil || len(ops) != 3 || ops[0].Kind != spec.OpStartBroker {
			return fmt.Sprintf("%d operations, %v", len(ops), err)
		}
		entries, err := s.Journal(t.Context(), "orders", 0, "")
		ids := []string{}
		for _, e := range entries {
			ids = append(ids, e.ID)
		}
		if err != nil || !slices.Equal(ids, []string{"j-5", "j-4", "j-3", "j-0"}) {
			return fmt.Sprintf("%q, %v", ids, err)
		}
		return ""
	})
}
