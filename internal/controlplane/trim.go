package controlplane

import (
	"context"

	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
)

// keepHistory is how many operations, and how many journal entries, are kept
// of each cluster. A broker that fails every minute fills no disk.
const keepHistory = 1000

// trim removes the oldest operations and journal entries of a cluster that are
// over, beyond so many. What cannot be removed now is removed after the next
// operation.
func (s *Service) trim(ctx context.Context, cluster string) {
	ops := func(o *spec.Operation) bool { return o.State.Final() }
	entries := func(j *spec.JournalEntry) bool { return j.EndedAt != nil || j.Action == "" }
	if err := trimOf(ctx, s.store, store.Operations, cluster, s.keep, func(o *spec.Operation) string { return o.ID }, ops); err != nil && ctx.Err() == nil {
		s.log.Warn("old operations stay", "cluster", cluster, "error", err)
	}
	if err := trimOf(ctx, s.store, store.Journal, cluster, s.keep, func(j *spec.JournalEntry) string { return j.ID }, entries); err != nil && ctx.Err() == nil {
		s.log.Warn("old entries of the journal stay", "cluster", cluster, "error", err)
	}
}

// trimOf removes what lies under a cluster beyond the newest keep, if it is over.
func trimOf[T any](ctx context.Context, st store.Store, t store.Table[T], cluster string, keep int, id func(*T) string, over func(*T) bool) error {
	newest, err := t.List(ctx, st, store.Under(cluster, ""), keep, "")
	if err != nil || len(newest) < keep {
		return err
	}
	old, err := t.List(ctx, st, store.Under(cluster, ""), 0, store.Under(cluster, id(newest[keep-1])))
	if err != nil {
		return err
	}
	for _, v := range old {
		if !over(v) {
			continue
		}
		if err := t.Remove(ctx, st, store.Under(cluster, id(v))); err != nil {
			return err
		}
	}
	return nil
}
