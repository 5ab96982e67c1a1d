//go:build e2e

package e2e

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// A table that passes against a service that does nothing shows nothing.
// e2e/idle.sh plays it with a service whose steps, healing and export are cut
// out by e2e/idle.patch while WEIR_IDLE is set: every scene has to fail.

// idle says whether the scenes are played with such a service.
func idle() bool { return os.Getenv("WEIR_E2E_IDLE") == "1" }

// idleWait is how long a scene waits in vain.
const idleWait = 25 * time.Second

// soon makes a scene give up soon, until the returned func is called.
func (h *house) soon() (end func()) {
	outer := h.ctx
	ctx, cancel := context.WithTimeout(outer, idleWait)
	h.ctx = ctx
	return func() {
		cancel()
		h.ctx = outer
	}
}

// prepare gives a scene what the one before it did not do.
func (h *house) prepare(scene string) {
	if idle() && scene == "scale in" {
		h.change(controlplane.ChangeRequest{Kind: spec.OpScale, Brokers: 5})
		h.awaitState(spec.Active)
	}
}

// repair makes the cluster whole again after a scene that failed.
func (h *house) repair(l *load) {
	if !idle() {
		return
	}
	if h.service == nil {
		h.open()
	}
	all, err := h.service.Clusters(h.ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	if len(all) == 0 {
		return
	}
	h.await(func() error {
		v := h.view()
		switch {
		case v.State == spec.Active && v.Operation == nil && v.Observation != nil && v.Observation.Reachable:
			return nil
		case v.Mend != nil && v.Operation == nil:
			_, err := h.service.Change(h.ctx, "e2e", h.name, *v.Mend)
			return errors.Join(errors.New(v.Health), err)
		}
		return errors.New(v.Health)
	})
	// A state that was stored before the scene may be shown still: what clients get is not.
	if l != nil {
		h.progress(l)
	}
	if n := len(h.view().Brokers); n != 3 {
		h.change(controlplane.ChangeRequest{Kind: spec.OpScale, Brokers: 3})
	}
}
