package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// The kinds of documents.
const (
	kindCluster   = "cluster"
	kindOperation = "operation"
	kindJournal   = "journal"
	kindUser      = "user"
	kindToken     = "token"
	kindSession   = "session"
	kindSetup     = "setup"
	kindMoves     = "moves"
)

// Table gives typed access to the documents of one kind.
type Table[T any] struct {
	kind     string
	key      func(*T) string
	revision func(*T) *int64
}

// The tables. Operations and journal entries have keys cluster/id, so that
// the ones of a cluster list together, in the order of time.
var (
	Clusters   = Table[spec.Cluster]{kindCluster, func(c *spec.Cluster) string { return c.ID }, func(c *spec.Cluster) *int64 { return &c.Revision }}
	Operations = Table[spec.Operation]{kindOperation, func(o *spec.Operation) string { return Under(o.Cluster, o.ID) }, func(o *spec.Operation) *int64 { return &o.Revision }}
	Journal    = Table[spec.JournalEntry]{kindJournal, func(j *spec.JournalEntry) string { return Under(j.Cluster, j.ID) }, func(j *spec.JournalEntry) *int64 { return &j.Revision }}
	Users      = Table[spec.User]{kindUser, func(u *spec.User) string { return u.Name }, func(u *spec.User) *int64 { return &u.Revision }}
	Tokens     = Table[spec.Token]{kindToken, func(t *spec.Token) string { return t.ID }, func(t *spec.Token) *int64 { return &t.Revision }}
	Sessions   = Table[spec.Session]{kindSession, func(s *spec.Session) string { return s.ID }, func(s *spec.Session) *int64 { return &s.Revision }}
	Moves      = Table[spec.Moves]{kindMoves, func(m *spec.Moves) string { return MovesKey(m.Cluster, m.Operation, m.Step) }, func(m *spec.Moves) *int64 { return &m.Revision }}
	SetupLinks = Table[spec.SetupLink]{kindSetup, func(s *spec.SetupLink) string { return s.ID }, func(s *spec.SetupLink) *int64 { return &s.Revision }}
)

// Under is the key of something that belongs to a cluster.
func Under(cluster, id string) string { return cluster + "/" + id }

// MovesKey is the key of the moves of one step of an operation.
func MovesKey(cluster, operation string, step int) string {
	return fmt.Sprintf("%s/%s/%03d", cluster, operation, step)
}

// Get reads one document.
func (t Table[T]) Get(ctx context.Context, s Store, key string) (*T, error) {
	d, err := s.Get(ctx, t.kind, key)
	if err != nil {
		return nil, err
	}
	return t.decode(d)
}

// Put writes v if its Revision is still the stored one (0: if there is none)
// and sets the new one in v.
func (t Table[T]) Put(ctx context.Context, s Store, v *T) error {
	rev := t.revision(v)
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s %s: %w", t.kind, t.key(v), err)
	}
	next, err := s.Put(ctx, t.kind, t.key(v), body, *rev)
	if err != nil {
		return err
	}
	*rev = next
	return nil
}

// Delete removes v if its Revision is still the stored one.
func (t Table[T]) Delete(ctx context.Context, s Store, v *T) error {
	return s.Delete(ctx, t.kind, t.key(v), *t.revision(v))
}

// Remove removes a document whatever it says, again from the start when
// somebody else wrote in between. One that is not there is no error.
func (t Table[T]) Remove(ctx context.Context, s Store, key string) error {
	for range maxTries {
		v, err := t.Get(ctx, s, key)
		if err == nil {
			err = t.Delete(ctx, s, v)
		}
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("remove %s %s: %w %d times in a row", t.kind, key, ErrConflict, maxTries)
}

// List reads many, the last key first. See Store.List.
func (t Table[T]) List(ctx context.Context, s Store, prefix string, limit int, before string) ([]*T, error) {
	docs, err := s.List(ctx, t.kind, prefix, limit, before)
	if err != nil {
		return nil, err
	}
	out := make([]*T, 0, len(docs))
	for _, d := range docs {
		v, err := t.decode(d)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// maxTries bounds how often Change and Remove meet a conflict before they give up.
const maxTries = 100

// Change reads a document, lets change alter it, and writes it; again from
// the start when somebody else wrote in between. An error of change ends it.
func (t Table[T]) Change(ctx context.Context, s Store, key string, change func(*T) error) (*T, error) {
	for range maxTries {
		v, err := t.Get(ctx, s, key)
		if err != nil {
			return nil, err
		}
		if err := change(v); err != nil {
			return nil, err
		}
		if err = t.Put(ctx, s, v); err == nil {
			return v, nil
		} else if !errors.Is(err, ErrConflict) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("change %s %s: %w %d times in a row", t.kind, key, ErrConflict, maxTries)
}

func (t Table[T]) decode(d Doc) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(d.Body, v); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", d.Kind, d.Key, err)
	}
	*t.revision(v) = d.Revision
	return v, nil
}
