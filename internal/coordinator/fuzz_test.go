package coordinator

import (
	"testing"

	"github.com/weir-stream/weir/internal/record"
)

// FuzzReplayBatches reads a log of any bytes: it may be refused, no more, and what is taken makes progress.
func FuzzReplayBatches(f *testing.F) {
	b, err := encodeBatch(&batch{recs: []Record{{[]byte("k"), []byte("v")}, {[]byte("k"), nil}}}, 1, record.None, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	z, err := encodeBatch(&batch{recs: []Record{{[]byte("k"), []byte("v")}}}, 1, record.Zstd, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(append([]byte(nil), b...), z...))
	var w record.Builder
	w.Reset(record.Compression{}, 7)
	w.AppendEndTxn(1, 5, 0, record.EndTxnMarker{Commit: true})
	marker, err := w.Build()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(marker))
	f.Fuzz(func(t *testing.T, p []byte) {
		next, n, err := replayBatches(blind{}, p, 0)
		if next < 0 || n < 0 || err == nil && n > len(p) {
			t.Fatalf("next %d, %d records out of %d bytes", next, n, len(p))
		}
	})
}

type blind struct{}

func (blind) Replay(Replayed) error          { return nil }
func (blind) ReplayMarker(int64, bool) error { return nil }
func (blind) Loaded(*Tx)                     {}
func (blind) Unloaded(error)                 {}
