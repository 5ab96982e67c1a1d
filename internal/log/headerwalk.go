package log

import (
	"errors"
	"fmt"
	"io"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// headerWalk goes over the headers of batches in a file without reading their records: it looks through a small window
// that it moves along. It trusts lengths as far as the end allows, and no checksum.
type headerWalk struct {
	f        vfs.File
	pos, end int64
	buf      *bufpool.Buf
	winOff   int64
	win      []byte
}

const headerWindow = 4096

func newHeaderWalk(f vfs.File, pos, end int64) headerWalk {
	return headerWalk{f: f, pos: pos, end: end}
}

func (w *headerWalk) close() {
	w.buf.Release()
	w.buf = nil
}

// next returns the header of the next batch (its first 61 bytes, valid until the next call) and its position; ok is
// false at the end. A batch that reaches beyond the end, or whose header makes no sense, is an error.
func (w *headerWalk) next() (h record.Batch, pos int64, ok bool, err error) {
	if w.pos >= w.end {
		return nil, w.pos, false, nil
	}
	if w.pos+record.HeaderSize > w.end {
		return nil, w.pos, false, w.corrupt("half a header")
	}
	if w.pos < w.winOff || w.pos+record.HeaderSize > w.winOff+int64(len(w.win)) {
		if err := w.move(); err != nil {
			return nil, w.pos, false, err
		}
	}
	h = record.Batch(w.win[w.pos-w.winOff:][:record.HeaderSize])
	size := int64(h.Size())
	if size < record.HeaderSize || w.pos+size > w.end {
		return nil, w.pos, false, w.corrupt("a length of %d", size)
	}
	if h.Magic() != record.CurrentMagic {
		return nil, w.pos, false, w.corrupt("magic %d", h.Magic())
	}
	pos = w.pos
	w.pos += size
	return h, pos, true, nil
}

func (w *headerWalk) move() error {
	if w.buf == nil {
		w.buf = bufpool.Get(headerWindow)
	}
	n := min(int64(headerWindow), w.end-w.pos)
	got, err := w.f.ReadAt(w.buf.B[:n], w.pos)
	if int64(got) < n {
		if err == nil || errors.Is(err, io.EOF) {
			return w.corrupt("a file that ends at %d", w.pos+int64(got))
		}
		return err
	}
	w.winOff, w.win = w.pos, w.buf.B[:n]
	return nil
}

func (w *headerWalk) corrupt(format string, args ...any) error {
	return &corruptError{file: w.f.Name(), pos: w.pos, what: fmt.Sprintf(format, args...)}
}

// corruptError says that bytes on disk are not the batch that should be there.
type corruptError struct {
	file string
	pos  int64
	what string
}

func (e *corruptError) Error() string {
	return fmt.Sprintf("%s is corrupt at position %d: %s", e.file, e.pos, e.what)
}
