package controlplane

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// TestOverlappingLook: on a slow machine a look that began while the brokers
// started ends after the operation that saw them serve. The cluster is whole
// all the same, and for the moment degraded, not a failure.
func TestOverlappingLook(t *testing.T) {
	c := &spec.Cluster{State: spec.Creating, Brokers: []spec.Broker{{ID: 1}}}
	slow := spec.Observation{Reachable: true, Brokers: []spec.BrokerObservation{{ID: 1, ProcessAlive: true, DataDirPresent: true, UnresponsiveSince: time.Unix(1, 0)}}}
	n := condition{cluster: c, known: true, seen: slow}
	if state, why := n.state(); state != spec.Failed || n.served() {
		t.Errorf("without an operation that saw it: %s %s", state, why)
	}
	n.made = true
	if state, why := n.state(); state != spec.Degraded || !n.served() {
		t.Errorf("%s %s", state, why)
	}
	n.seen.Brokers[0].UnresponsiveSince, n.seen.Brokers[0].Registered = time.Time{}, true
	if state, why := n.state(); state != spec.Active {
		t.Errorf("%s %s", state, why)
	}
}

// TestHealthBeforeALook: a service that has just begun calls nothing healthy
// that it has not seen, and counts no partitions that there are not.
func TestHealthBeforeALook(t *testing.T) {
	c := &spec.Cluster{State: spec.Active, Served: true, Brokers: []spec.Broker{{ID: 1}}}
	n := condition{cluster: c}
	if text, level := n.health(); level != LevelWarn || !strings.Contains(text, "not looked") {
		t.Errorf("%s %s", level, text)
	}
	n.known, n.seen = true, spec.Observation{Reachable: true, Brokers: []spec.BrokerObservation{{ID: 1, ProcessAlive: true, DataDirPresent: true, Registered: true}}}
	if text, level := n.health(); level != LevelOK || text != "Healthy: 1 of 1 brokers serve; there are no topics yet." {
		t.Errorf("%s %s", level, text)
	}
}
