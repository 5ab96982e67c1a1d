package controlplane

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/weir-stream/weir/internal/controlplane/plan"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
)

// StopAll ends every broker of every cluster in order. The clusters are
// STOPPED until StartAll; operations wait where they stand. Afterwards the
// service can only be closed.
func (s *Service) StopAll(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	// Nobody may start a broker again: loops and operations end first.
	s.group.Stop()
	clusters, err := store.Clusters.List(ctx, s.store, "", 0, "")
	if err != nil {
		return err
	}
	failed := make([]error, len(clusters))
	var all sync.WaitGroup
	for i, c := range clusters {
		all.Go(func() { failed[i] = s.suspend(ctx, c) })
	}
	all.Wait()
	return errors.Join(failed...)
}

// suspend stops one cluster and remembers that the service did so.
func (s *Service) suspend(ctx context.Context, c *spec.Cluster) error {
	c, err := store.Clusters.Change(ctx, s.store, c.ID, func(c *spec.Cluster) error {
		if !c.AllStopped() {
			c.Suspended = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Controllers last, and all at once: none waits for a majority that has gone.
	for _, voters := range []bool{false, true} {
		failed := make([]error, len(c.Brokers))
		var all sync.WaitGroup
		for i, b := range c.Brokers {
			if b.Controller == voters {
				all.Go(func() { failed[i] = s.world.Stop(ctx, *c, b.ID) })
			}
		}
		all.Wait()
		if err := errors.Join(failed...); err != nil {
			return fmt.Errorf("stop %s: %w", c.Name, err)
		}
	}
	s.settle(ctx, s.member(c.ID))
	return nil
}

// StartAll starts the clusters that StopAll stopped, and those of which no
// process is left, as after a restart of the machine. It does not wait for the
// operations that it begins.
func (s *Service) StartAll(ctx context.Context) error {
	clusters, err := store.Clusters.List(ctx, s.store, "", 0, "")
	if err != nil {
		return err
	}
	for _, c := range clusters {
		err = errors.Join(err, s.resume(ctx, c))
	}
	return err
}

func (s *Service) resume(ctx context.Context, c *spec.Cluster) error {
	m := s.member(c.ID)
	m.admit.Lock()
	defer m.admit.Unlock()
	if c.AllStopped() || !c.Suspended && (s.anyRuns(c) || !c.Served) {
		return nil
	}
	c, err := store.Clusters.Change(ctx, s.store, c.ID, func(c *spec.Cluster) error { c.Suspended = false; return nil })
	if err != nil {
		return err
	}
	waiting, err := s.unfinished(ctx, c.ID)
	if err != nil {
		return err
	}
	if len(waiting) > 0 {
		// An operation stopped in its middle: its brokers first, then the rest of it.
		if c.Served {
			for _, b := range c.Brokers {
				if !b.Stopped {
					err = errors.Join(err, s.world.Start(ctx, *c, b))
				}
			}
		}
		for _, op := range waiting {
			s.launch(op)
		}
		s.tend(c)
		return err
	}
	if !c.Served {
		return nil
	}
	op, err := newOperation(c.ID, spec.OpStart, ActorService, plan.Resume(*c))
	if err == nil {
		err = s.submit(ctx, op)
	}
	s.tend(c)
	return err
}

func (s *Service) anyRuns(c *spec.Cluster) bool {
	for _, b := range c.Brokers {
		if s.world.Runs(*c, b.ID) {
			return true
		}
	}
	return false
}

// unfinished are the operations of a cluster that are not over and not being run.
func (s *Service) unfinished(ctx context.Context, cluster string) (out []*spec.Operation, err error) {
	ops, err := store.Operations.List(ctx, s.store, store.Under(cluster, ""), 0, "")
	m := s.member(cluster)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(ops) - 1; i >= 0; i-- {
		if _, runs := m.ops[ops[i].ID]; !runs && !ops[i].State.Final() {
			out = append(out, ops[i])
		}
	}
	return out, err
}
