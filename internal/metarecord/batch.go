package metarecord

import (
	"errors"
	"fmt"
	"iter"

	"github.com/weir-stream/weir/internal/record"
)

// Records yields the metadata records of a batch, none for a control batch. An error ends the walk, except that one
// which wraps ErrUnsupported comes with the record, as an *Unknown, and the walk may go on.
func Records(b record.Batch) iter.Seq2[Versioned, error] {
	return func(yield func(Versioned, error) bool) {
		if b.IsControl() {
			return
		}
		it := b.Records(0)
		defer it.Close()
		for it.Next() {
			v, err := DecodeFrame(it.Record().Value)
			if err != nil {
				err = fmt.Errorf("offset %d: %w", it.Record().Offset, err)
			}
			if !yield(v, err) || err != nil && !errors.Is(err, ErrUnsupported) {
				return
			}
		}
		if err := it.Close(); err != nil {
			yield(Versioned{}, fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err))
		}
	}
}

// ControlRecords yields the control records of a batch that this build knows, none for a data batch. An error ends
// the walk.
func ControlRecords(b record.Batch) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		if !b.IsControl() {
			return
		}
		it := b.Records(0)
		defer it.Close()
		for it.Next() {
			t, err := record.ParseControlKey(it.Record().Key)
			if err == nil && t == record.ControlUnknown {
				continue
			}
			var m Message
			if err == nil {
				m, err = DecodeControl(t, it.Record().Value)
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
		if err := it.Close(); err != nil {
			yield(nil, err)
		}
	}
}
