package image

import (
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
)

// Loader follows the metadata log: it replays committed batches and publishes images. Nothing is published between
// the beginning and the end of a metadata transaction (KIP-868), and what was aborted is undone. At first it
// holds back, so that loading a long log publishes once; Release ends that. Owned by one goroutine, except
// Image.
type Loader struct {
	publish   func(*Image, *Delta)
	published atomic.Pointer[Image]
	held      bool

	base *Image  // what edit began with
	edit *Editor // not yet published
	at   Provenance
	inTx bool
	// onUnknown is told of records that are not understood.
	onUnknown func(error)
}

// NewLoader returns a loader that has published nothing yet. publish is called from the goroutine that calls Commit,
// LoadSnapshot or Release. onUnknown is told of records that this build does not understand; they are kept.
func NewLoader(publish func(*Image, *Delta), onUnknown func(error)) *Loader {
	l := &Loader{publish: publish, held: true, base: Empty(), at: Empty().at, onUnknown: onUnknown}
	l.published.Store(l.base)
	l.edit = l.base.Edit()
	return l
}

// Image is the last published one. Safe for concurrent use.
func (l *Loader) Image() *Image { return l.published.Load() }

// InTransaction reports whether a metadata transaction is open: no image has what it did so far.
func (l *Loader) InTransaction() bool { return l.inTx }

// Pending is the state with all that was replayed, published or not; nil while a metadata transaction is open.
func (l *Loader) Pending() *Image {
	if l.inTx {
		return nil
	}
	if l.held {
		l.finish()
	}
	return l.base
}

// Settled is the state without what an open metadata transaction did, and whether there is one.
func (l *Loader) Settled() (img *Image, inTx bool) {
	if p := l.Pending(); p != nil {
		return p, false
	}
	return l.base, true
}

// LoadSnapshot replaces everything by a snapshot that ends at the given offset; kraft is the kraft.version in it.
func (l *Loader) LoadSnapshot(at Provenance, kraft int16, records iter.Seq2[mr.Versioned, error]) error {
	edit := Empty().Edit()
	edit.next.kraft = kraft
	for v, err := range records {
		if err = l.check(err); err != nil {
			return err
		}
		if err := edit.Replay(v); err != nil {
			return err
		}
	}
	l.at, l.inTx = at, false
	l.base, _ = edit.Finish(at)
	l.edit = l.base.Edit()
	l.publishAll()
	return nil
}

func (l *Loader) check(err error) error {
	if errors.Is(err, mr.ErrUnsupported) {
		if l.onUnknown != nil {
			l.onUnknown(err)
		}
		return nil
	}
	return err
}

// publishAll publishes the base with all that differs from what was published before.
func (l *Loader) publishAll() {
	if l.held {
		return
	}
	old := l.published.Load()
	l.published.Store(l.base)
	l.publish(l.base, Diff(old, l.base))
}

// Release publishes what was loaded so far and from then on after each Commit.
func (l *Loader) Release() {
	if !l.held {
		return
	}
	if !l.inTx {
		l.finish()
	}
	l.held = false
	l.publishAll()
}

// Commit replays batches and then publishes one image, unless a metadata transaction is open.
func (l *Loader) Commit(batches []record.Batch) error {
	for _, b := range batches {
		for v, err := range mr.Records(b) {
			if err = l.check(err); err != nil {
				return err
			}
			if err := l.replay(v); err != nil {
				return fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
			}
		}
		for m, err := range mr.ControlRecords(b) {
			if err != nil {
				return fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
			}
			if k, ok := m.(*mr.KRaftVersionRecord); ok {
				l.edit.kraftVersion(k.KRaftVersion)
			}
		}
		l.at = Provenance{Offset: b.LastOffset(), Epoch: b.LeaderEpoch(), Timestamp: b.MaxTimestamp()}
	}
	if !l.inTx && !l.held {
		l.finish()
	}
	return nil
}

// finish publishes what the editor has.
func (l *Loader) finish() {
	img, delta := l.edit.Finish(l.at)
	l.base, l.edit = img, img.Edit()
	if l.held {
		return
	}
	l.published.Store(img)
	l.publish(img, delta)
}

func (l *Loader) replay(v mr.Versioned) error {
	switch v.Record.(type) {
	case *mr.BeginTransactionRecord:
		if l.inTx {
			return errors.New("a metadata transaction begins inside another one")
		}
		l.finish()
		l.inTx = true
	case *mr.EndTransactionRecord:
		if !l.inTx {
			return errors.New("a metadata transaction ends that did not begin")
		}
		l.inTx = false
	case *mr.AbortTransactionRecord:
		if !l.inTx {
			return errors.New("a metadata transaction is aborted that did not begin")
		}
		l.inTx = false
		l.edit = l.base.Edit()
	}
	return l.edit.Replay(v)
}
