package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/plan"
	"github.com/weir-stream/weir/internal/controlplane/reconcile"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
)

// The actors that are no persons.
const (
	ActorHealing = "healing"
	ActorService = "service"
)

// submit stores an operation and begins it.
func (s *Service) submit(ctx context.Context, op *spec.Operation) error {
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	if closing {
		return ErrClosed
	}
	if err := reconcile.Submit(ctx, s.store, op); err != nil {
		return err
	}
	s.launch(op)
	return nil
}

func newOperation(cluster, kind, actor string, pl spec.Plan) (*spec.Operation, error) {
	if pl.Impossible != "" {
		return nil, fmt.Errorf("%w: %s", ErrImpossible, pl.Impossible)
	}
	now := time.Now()
	id, err := spec.NewID("op", now, nil)
	if err != nil {
		return nil, err
	}
	return spec.NewOperation(id, cluster, kind, actor, pl, now)
}

// retryStore is how long an operation waits when the store fails.
const retryStore = 2 * time.Second

// launch runs a stored operation to its end.
func (s *Service) launch(op *spec.Operation) {
	m := s.member(op.Cluster)
	ctx, cancel := context.WithCancel(s.group.Context())
	r := &running{op: op, cancel: cancel, done: make(chan struct{})}
	m.mu.Lock()
	m.ops[op.ID] = r
	m.mu.Unlock()
	end := func() {
		m.mu.Lock()
		delete(m.ops, op.ID)
		m.mu.Unlock()
		cancel()
		close(r.done)
	}
	begun := s.group.Go("operation "+op.ID, func(context.Context) {
		defer end()
		s.run(ctx, m, op)
	})
	if !begun {
		end()
	}
}

func (s *Service) run(ctx context.Context, m *member, op *spec.Operation) {
	for {
		err := s.runner.Run(ctx, op.Cluster, op.ID)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		s.log.Error("an operation waits for the store", "operation", op.ID, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryStore):
		}
	}
	s.ended(ctx, m, op)
}

// atWork lists the operations that run on a cluster. One that is over in the
// store is not among them: who has read that it ended may go on at once, though
// the service has still to take note of it.
func (s *Service) atWork(ctx context.Context, m *member) []*spec.Operation {
	return slices.DeleteFunc(m.running(), func(op *spec.Operation) bool {
		stored, err := store.Operations.Get(ctx, s.store, store.Under(op.Cluster, op.ID))
		return err == nil && stored.State.Final()
	})
}

// personal is the running operation that is not healing's, nil if none.
func (s *Service) personal(ctx context.Context, m *member) *spec.Operation {
	for _, op := range s.atWork(ctx, m) {
		if op.Kind != spec.OpHeal {
			return op
		}
	}
	return nil
}

// ended takes note of an operation that is over, well or not.
func (s *Service) ended(ctx context.Context, m *member, op *spec.Operation) {
	if done, err := store.Operations.Get(ctx, s.store, store.Under(op.Cluster, op.ID)); err == nil {
		op = done
	}
	s.own.ended(op)
	s.trim(ctx, op.Cluster)
	m.mu.Lock()
	delete(m.ops, op.ID)
	m.mu.Unlock()
	s.dropMoves(ctx, op)
	if op.Kind == spec.OpHeal {
		s.healed(ctx, m, op)
	}
	c, err := store.Clusters.Get(ctx, s.store, op.Cluster)
	if errors.Is(err, store.ErrNotFound) {
		s.forget(op.Cluster)
		return
	}
	if err == nil {
		s.targets(c.ID, c)
	}
	s.settle(ctx, m)
	m.nudge()
}

// dropMoves removes what only a running operation needs.
func (s *Service) dropMoves(ctx context.Context, op *spec.Operation) {
	for i := range op.Steps {
		if op.Steps[i].Args.StoredMoves == 0 {
			continue
		}
		moves, err := store.Moves.Get(ctx, s.store, store.MovesKey(op.Cluster, op.ID, i))
		if err == nil {
			err = store.Moves.Delete(ctx, s.store, moves)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			s.log.Warn("the moves of an operation stay behind", "operation", op.ID, "error", err)
		}
	}
}

// Operations lists operations, the last one first: those of a cluster, or of
// all for "". A page ends after limit (0: all) and goes on before an id.
func (s *Service) Operations(ctx context.Context, cluster string, limit int, before string) ([]*spec.Operation, error) {
	return page(ctx, s, store.Operations, func(o *spec.Operation) string { return o.ID }, cluster, limit, before)
}

// Journal lists what healing found and did, as Operations does.
func (s *Service) Journal(ctx context.Context, cluster string, limit int, before string) ([]*spec.JournalEntry, error) {
	return page(ctx, s, store.Journal, func(j *spec.JournalEntry) string { return j.ID }, cluster, limit, before)
}

func page[T any](ctx context.Context, s *Service, t store.Table[T], id func(*T) string, cluster string, limit int, before string) ([]*T, error) {
	if cluster != "" {
		key, err := s.historyOf(ctx, cluster)
		if err != nil {
			return nil, err
		}
		if before != "" {
			before = store.Under(key, before)
		}
		return t.List(ctx, s.store, store.Under(key, ""), limit, before)
	}
	all, err := t.List(ctx, s.store, "", 0, "")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *T) int { return strings.Compare(id(b), id(a)) })
	if before != "" {
		all = slices.DeleteFunc(all, func(v *T) bool { return id(v) >= before })
	}
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

// historyOf is the ID under which a cluster's history lies; the history of a
// deleted cluster is found by its ID.
func (s *Service) historyOf(ctx context.Context, cluster string) (string, error) {
	c, err := s.cluster(ctx, cluster)
	if err == nil {
		return c.ID, nil
	}
	if ops, listErr := store.Operations.List(ctx, s.store, store.Under(cluster, ""), 1, ""); listErr == nil && len(ops) > 0 {
		return cluster, nil
	}
	return "", err
}

// Operation returns one operation.
func (s *Service) Operation(ctx context.Context, id string) (*spec.Operation, error) {
	all, err := store.Operations.List(ctx, s.store, "", 0, "")
	if err != nil {
		return nil, err
	}
	for _, op := range all {
		if op.ID == id {
			return op, nil
		}
	}
	return nil, fmt.Errorf("operation %q: %w", id, ErrNotFound)
}

// Cancel asks an operation to end: one that has not begun a step ends before
// it, a move of data in its middle; other steps run to their end.
func (s *Service) Cancel(ctx context.Context, actor, id string) error {
	op, err := s.Operation(ctx, id)
	if err != nil {
		return err
	}
	if op.State.Final() {
		return fmt.Errorf("%w: operation %s is over: %s", ErrImpossible, id, op.State)
	}
	_, err = store.Operations.Change(ctx, s.store, store.Under(op.Cluster, op.ID), func(o *spec.Operation) error {
		if !o.State.Final() {
			o.CancelRequested = true
			o.Say(time.Now(), "%s asks to cancel", actor)
		}
		return nil
	})
	return err
}

// picture is what plans start from, seen now.
func (s *Service) picture(ctx context.Context, c *spec.Cluster) (plan.Picture, error) {
	p := plan.Picture{Cluster: *c}
	if c.State == spec.Stopped {
		for _, b := range c.Brokers {
			p.Seen.Brokers = append(p.Seen.Brokers, spec.BrokerObservation{ID: b.ID})
		}
		p.Seen.At, p.Seen.Why = time.Now(), "the cluster is stopped"
		return p, nil
	}
	seen, err := s.observe(ctx, s.member(c.ID), *c)
	p.Seen = seen
	return p, err
}
