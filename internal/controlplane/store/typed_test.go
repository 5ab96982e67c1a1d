package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
	"github.com/weir-stream/weir/internal/testkit/clustermodel"
)

// meddler writes a document just before it is deleted, a few times.
type meddler struct {
	store.Store
	t    *testing.T
	left int
}

func (m *meddler) Delete(ctx context.Context, kind, key string, revision int64) error {
	if m.left > 0 {
		m.left--
		if _, err := store.Clusters.Change(ctx, m.Store, key, func(c *spec.Cluster) error { c.Reason += "."; return nil }); err != nil {
			m.t.Error(err)
		}
	}
	return m.Store.Delete(ctx, kind, key, revision)
}

// A document goes though others write it meanwhile, and what is gone may be removed again.
func TestRemove(t *testing.T) {
	m := &meddler{Store: clustermodel.New(), t: t, left: 3}
	if err := store.Clusters.Put(t.Context(), m, &spec.Cluster{ID: "c1"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := store.Clusters.Remove(t.Context(), m, "c1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Clusters.Get(t.Context(), m, "c1"); !errors.Is(err, store.ErrNotFound) || m.left != 0 {
		t.Errorf("%v, %d writes left", err, m.left)
	}
}
