package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/heal"
	"github.com/weir-stream/weir/internal/controlplane/plan"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
)

// recallActs takes up what healing did before the service ended, from the
// journal. An entry whose operation was never stored is ended.
func (s *Service) recallActs(ctx context.Context, m *member) error {
	entries, err := store.Journal.List(ctx, s.store, store.Under(m.id, ""), 200, "")
	if err != nil {
		return err
	}
	slices.Reverse(entries)
	for _, e := range entries {
		act := heal.Act{Broker: e.Broker, Choice: e.Choice, At: e.At}
		if e.EndedAt != nil {
			act.EndedAt = *e.EndedAt
		}
		if e.Action != "" && e.EndedAt == nil {
			op, err := store.Operations.Get(ctx, s.store, store.Under(m.id, e.Action))
			switch {
			case errors.Is(err, store.ErrNotFound):
				act.EndedAt = time.Now()
				s.endEntry(ctx, m, e.ID, "the service ended before it began; looked at again")
			case err != nil:
				return err
			case op.State.Final():
				act.EndedAt = time.Now()
				s.endEntry(ctx, m, e.ID, resultOf(op))
			}
		}
		m.acts = append(m.acts, act)
		if act.EndedAt.IsZero() {
			m.entries[e.ID] = actRef{act.Broker, act.Choice, act.At}
		}
	}
	return nil
}

// keepActs bounds what healing remembers of a cluster.
const keepActs = 200

// history is what healing decides from.
func (s *Service) history(ctx context.Context, m *member, c *spec.Cluster) (heal.History, error) {
	h := heal.History{Cluster: *c}
	for _, op := range m.running() {
		if op.Kind == spec.OpHeal {
			continue // its act says so
		}
		now, err := store.Operations.Get(ctx, s.store, store.Under(op.Cluster, op.ID))
		if err != nil {
			return h, err
		}
		h.Busy = append(h.Busy, busy(now)...)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	h.Seen, h.Acts = slices.Clone(m.seen), slices.Clone(m.acts)
	return h, nil
}

// mend decides what to do about what was just seen, and begins it.
func (s *Service) mend(ctx context.Context, m *member) {
	// Nobody may begin an operation between the look and the act.
	m.admit.Lock()
	defer m.admit.Unlock()
	now := time.Now()
	// Read again: an operation may have been begun or ended meanwhile.
	c, err := store.Clusters.Get(ctx, s.store, m.id)
	if err != nil || c.Suspended || !c.Served && c.State != spec.Degraded {
		return
	}
	h, err := s.history(ctx, m, c)
	if err != nil {
		s.log.Error("healing cannot read the store", "cluster", c.Name, "error", err)
		return
	}
	s.closeOver(ctx, m, h, now)
	for _, a := range heal.Decide(h, s.policy, now) {
		if err := s.act(ctx, m, c, h, a, now); err != nil {
			s.log.Error("healing could not begin", "cluster", c.Name, "anomaly", a.Kind, "broker", a.Broker, "error", err)
		}
	}
}

// act writes the journal entry of an anomaly and begins the operation that was
// chosen, if any.
func (s *Service) act(ctx context.Context, m *member, c *spec.Cluster, h heal.History, a heal.Anomaly, now time.Time) error {
	id, err := spec.NewID("j", now, nil)
	if err != nil {
		return err
	}
	e := spec.JournalEntry{ID: id, Cluster: c.ID, At: now, Anomaly: a.Kind, Broker: a.Broker, Evidence: a.Evidence, Options: a.Options, Choice: a.Choice, Why: a.Why}
	op, err := s.remedy(c, h, a)
	if err != nil {
		return err
	}
	if op != nil {
		e.Action = op.ID
	}
	if err := store.Journal.Put(ctx, s.store, &e); err != nil {
		return err
	}
	s.own.found(a)
	s.log.Warn("healing", "cluster", c.Name, "anomaly", a.Kind, "broker", a.Broker, "choice", a.Choice)
	m.mu.Lock()
	m.acts = append(m.acts, heal.Act{Broker: a.Broker, Choice: a.Choice, At: now})
	if extra := len(m.acts) - keepActs; extra > 0 {
		m.acts = slices.Delete(m.acts, 0, extra)
	}
	m.entries[e.ID] = actRef{a.Broker, a.Choice, now}
	m.mu.Unlock()
	if op == nil {
		return nil
	}
	if err := s.submit(ctx, op); err != nil {
		s.endEntry(ctx, m, e.ID, fmt.Sprintf("could not begin: %v", err))
		return err
	}
	return nil
}

// remedy is the operation of a choice, nil for a choice to hold still.
func (s *Service) remedy(c *spec.Cluster, h heal.History, a heal.Anomaly) (*spec.Operation, error) {
	p := plan.Picture{Cluster: *c, Seen: h.Seen[len(h.Seen)-1]}
	var pl spec.Plan
	switch a.Choice {
	case heal.Restart:
		pl = plan.StartBroker(p, a.Broker)
	case heal.KillAndRestart:
		pl = plan.KillAndRestart(p, a.Broker)
	case heal.Replace:
		pl = plan.ReplaceBroker(p, a.Broker)
	default:
		return nil, nil
	}
	return newOperation(c.ID, spec.OpHeal, ActorHealing, pl)
}

// closeOver ends brakes and surrenders whose cause is gone.
func (s *Service) closeOver(ctx context.Context, m *member, h heal.History, now time.Time) {
	m.mu.Lock()
	open := map[string]actRef{}
	for id, ref := range m.entries {
		if ref.choice == heal.Brake || ref.choice == heal.GiveUp {
			open[id] = ref
		}
	}
	m.mu.Unlock()
	for id, ref := range open {
		if heal.Over(h, heal.Act{Broker: ref.broker, Choice: ref.choice, At: ref.at}, s.policy, now) {
			s.endEntry(ctx, m, id, "the cause is gone")
		}
	}
}

// healed ends the journal entry of an operation of healing's.
func (s *Service) healed(ctx context.Context, m *member, op *spec.Operation) {
	entries, err := store.Journal.List(ctx, s.store, store.Under(m.id, ""), keepActs, "")
	if err != nil {
		s.log.Error("the journal cannot be read", "operation", op.ID, "error", err)
		return
	}
	for _, e := range entries {
		if e.Action == op.ID && e.EndedAt == nil {
			s.endEntry(ctx, m, e.ID, resultOf(op))
		}
	}
}

func resultOf(op *spec.Operation) string {
	took := time.Duration(0)
	if op.EndedAt != nil {
		took = op.EndedAt.Sub(op.CreatedAt).Round(100 * time.Millisecond)
	}
	switch op.State {
	case spec.OpSucceeded:
		return fmt.Sprintf("mended in %s", took)
	case spec.OpCancelled:
		return "given up for a person's operation"
	}
	return fmt.Sprintf("failed after %s: %s", took, op.Error)
}

// endEntry ends a journal entry and its act.
func (s *Service) endEntry(ctx context.Context, m *member, id, result string) {
	now := time.Now()
	_, err := store.Journal.Change(ctx, s.store, store.Under(m.id, id), func(e *spec.JournalEntry) error {
		e.Result, e.EndedAt = result, &now
		return nil
	})
	if err != nil {
		s.log.Error("a journal entry could not be ended", "entry", id, "error", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	ref, ok := m.entries[id]
	if !ok {
		return
	}
	delete(m.entries, id)
	s.own.over(ref.choice, now.Sub(ref.at))
	for i := range m.acts {
		if a := &m.acts[i]; a.Broker == ref.broker && a.Choice == ref.choice && a.At.Equal(ref.at) {
			a.EndedAt = now
		}
	}
}

// abandon ends an operation of healing's at once, for a person who ends the
// brokers anyway.
func (s *Service) abandon(ctx context.Context, m *member, op *spec.Operation) error {
	m.mu.Lock()
	r := m.ops[op.ID]
	m.mu.Unlock()
	if r == nil {
		return nil
	}
	r.cancel()
	select {
	case <-r.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	now := time.Now()
	done, err := store.Operations.Change(ctx, s.store, store.Under(op.Cluster, op.ID), func(o *spec.Operation) error {
		if !o.State.Final() {
			o.State, o.EndedAt, o.Error = spec.OpCancelled, &now, "given up for a person's operation"
			o.Say(now, "%s", o.Error)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.healed(ctx, m, done)
	return nil
}
