// Package store is where the service remembers: documents in JSON with
// revisions, behind an interface small enough for SQLite (store/sqlite), etcd
// or Kubernetes to hold. The typed functions beside it are what the other rooms
// use; nobody else knows kinds and keys.
//
// It keeps no history and knows no rules: spec validates.
package store

import (
	"context"
	"errors"
)

// The errors of a store. They are wrapped, with what to do in the text.
var (
	ErrNotFound = errors.New("not found")
	// ErrConflict says that somebody else changed the document in between:
	// read it again and decide again.
	ErrConflict = errors.New("changed in the meantime")
	// ErrFull says that nothing could be written and nothing was changed.
	ErrFull = errors.New("no space left")
	// ErrBusy says that another program keeps the store locked.
	ErrBusy = errors.New("locked by another program")
)

// Doc is one document.
type Doc struct {
	Kind, Key string
	Body      []byte // JSON
	// Revision is unique in a store and grows with every change.
	Revision int64
}

// Store holds documents. What a method reports as done is durable. Safe for
// concurrent use.
type Store interface {
	// Get returns a document, or ErrNotFound.
	Get(ctx context.Context, kind, key string) (Doc, error)
	// Put writes a document if its revision is still the given one, 0 meaning
	// that there must be none, and returns the new revision; else ErrConflict.
	Put(ctx context.Context, kind, key string, body []byte, revision int64) (int64, error)
	// Delete removes a document if its revision is still the given one; else
	// ErrConflict, or ErrNotFound if there is none.
	Delete(ctx context.Context, kind, key string, revision int64) error
	// List returns documents whose keys begin with prefix and sort before the
	// given one (unless that is empty), last key first, at most limit (0: all).
	List(ctx context.Context, kind, prefix string, limit int, before string) ([]Doc, error)
}
