package restapi

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// TestRequestsAreMeasured by their route: a name in a path, an unknown method
// and an unknown path make no series of their own.
func TestRequestsAreMeasured(t *testing.T) {
	d := newDoor(t)
	for _, name := range []string{"orders", "other", "third"} {
		d.ask("GET", Prefix+"/clusters/"+name, "", d.as(spec.RoleViewer)...)
	}
	d.ask("GET", Prefix+"/clusters/orders", "")
	d.ask("BREW", "/coffee", "")
	d.ask("GET", "/a/page", "")
	registry := prometheus.NewRegistry()
	registry.MustRegister(d.measured)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	var got []string
	for _, m := range families[0].Metric {
		var labels []string
		for _, l := range m.Label {
			labels = append(labels, l.GetValue())
		}
		got = append(got, strings.Join(labels, " "))
	}
	slices.Sort(got)
	route := Prefix + "/clusters/{cluster}"
	if want := []string{"GET / 200", "GET " + route + " 200", "GET " + route + " 401", "GET " + route + " 404", "other / 200"}; !slices.Equal(got, want) {
		t.Errorf("measured %q, want %q", got, want)
	}
}
