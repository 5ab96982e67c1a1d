//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/provider"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/kafkadist"
)

// house is a service in a directory of its own, with one cluster.
type house struct {
	t       *testing.T
	ctx     context.Context
	dir     string
	port    int
	service *controlplane.Service
	name    string
}

// newHouse opens a service; every process that it leaves is ended with the test.
func newHouse(t *testing.T, limit time.Duration) *house {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "weir-service-")
	if err != nil {
		t.Fatal(err)
	}
	// Below the system's range of ephemeral ports, and apart from other runs.
	h := &house{t: t, ctx: ctx, dir: dir, port: 10000 + rand.IntN(80)*100, name: "orders"}
	t.Cleanup(h.end)
	h.open()
	return h
}

func (h *house) options() controlplane.Options {
	binary, err := filepath.Abs("../bin/weir")
	if err != nil {
		h.t.Fatal(err)
	}
	return controlplane.Options{Dir: h.dir, Binary: binary, FirstPort: h.port, Log: slog.New(slog.NewTextHandler(h.t.Output(), nil))}
}

func (h *house) open() {
	h.t.Helper()
	s, err := controlplane.Open(h.ctx, h.options())
	if err != nil {
		h.t.Fatal(err)
	}
	h.service = s
}

// end kills what still runs, by the ids that were recorded, and shows logs of
// a failure.
func (h *house) end() {
	if h.service != nil {
		h.service.Close()
	}
	files, err := filepath.Glob(filepath.Join(h.dir, "clusters", "*", "broker-*", "pid.json"))
	if err != nil {
		h.t.Error(err)
	}
	local := provider.NewLocal()
	for _, f := range files {
		if h.t.Failed() {
			for _, name := range []string{"output.log", "server.log"} {
				text, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "logs", name))
				h.t.Logf("%s %s:\n%s", filepath.Dir(f), name, text[max(0, len(text)-1500):])
			}
		}
		if err := local.Kill(context.Background(), f); err != nil {
			h.t.Error(err)
		}
	}
	if err := os.RemoveAll(h.dir); err != nil {
		h.t.Error(err)
	}
}

// await polls until ok, which says what is missing.
func (h *house) await(ok func() error) {
	h.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-h.ctx.Done():
			h.t.Fatalf("waited in vain: %v", err)
		case <-tick.C:
		}
	}
}

func (h *house) view() controlplane.ClusterView {
	h.t.Helper()
	v, err := h.service.Cluster(h.ctx, h.name)
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

func (h *house) layout() engine.Layout {
	return engine.Layout{Dir: filepath.Join(h.dir, "clusters", h.name)}
}

// awaitState waits for a state, and for every replica in sync if that is ACTIVE.
func (h *house) awaitState(want spec.State) controlplane.ClusterView {
	h.t.Helper()
	var v controlplane.ClusterView
	h.await(func() error {
		if v = h.view(); v.State != want {
			return fmt.Errorf("%s (%s), wanted %s", v.State, v.Health, want)
		}
		return nil
	})
	return v
}

// finish waits for the end of an operation.
func (h *house) finish(op *spec.Operation, err error) *spec.Operation {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
	var now *spec.Operation
	h.await(func() error {
		var err error
		if now, err = h.service.Operation(h.ctx, op.ID); err != nil {
			return err
		}
		if !now.State.Final() {
			return errors.New(string(now.State))
		}
		return nil
	})
	if now.State != spec.OpSucceeded {
		h.t.Fatalf("%s: %s: %s\n%v", now.Kind, now.State, now.Error, now.Log)
	}
	return now
}

func (h *house) change(r controlplane.ChangeRequest) *spec.Operation {
	h.t.Helper()
	op, err := h.service.Change(h.ctx, "e2e", h.name, r)
	return h.finish(op, err)
}

// create makes the cluster and waits until it is whole.
func (h *house) create(r controlplane.CreateRequest) controlplane.ClusterView {
	h.t.Helper()
	r.Name = h.name
	if r.Engine == spec.EngineApacheKafka {
		// The one that other tests use, if there is one.
		r.DistDir = os.Getenv("WEIR_KAFKA_DIST")
		r.EngineVersion = kafkadist.Current
	}
	op, err := h.service.Create(h.ctx, "e2e", r)
	h.finish(op, err)
	return h.awaitState(spec.Active)
}
