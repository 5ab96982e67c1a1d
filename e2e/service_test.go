//go:build e2e

package e2e

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// TestServiceRunsACluster makes a secured cluster of three Apache Kafka
// brokers and deletes it again; nothing is left.
func TestServiceRunsACluster(t *testing.T) {
	h := newHouse(t, 5*time.Minute)
	began := time.Now()
	v := h.create(controlplane.CreateRequest{Engine: spec.EngineApacheKafka, Brokers: 3, MemoryBytes: 512 << 20})
	t.Logf("%s after %v", v.Health, time.Since(began))
	h.change(controlplane.ChangeRequest{Kind: spec.OpDelete})
	if _, err := h.service.Cluster(h.ctx, h.name); !errors.Is(err, controlplane.ErrNotFound) {
		t.Errorf("a deleted cluster: %v", err)
	}
	if _, err := os.Stat(h.layout().Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its files: %v", err)
	}
	for _, b := range v.Observation.Brokers {
		if alive(b.PID) {
			t.Errorf("process %d of broker %d lives", b.PID, b.ID)
		}
	}
}
