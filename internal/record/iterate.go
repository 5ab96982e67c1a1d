package record

import (
	"fmt"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/wire"
)

// Record is one record of a batch. Key, Value and Headers alias the batch, or the iterator's buffer if it was
// compressed: they live until the iterator's next step or Close.
type Record struct {
	Offset     int64
	Timestamp  int64
	Attributes int8
	Key        []byte // nil: null
	Value      []byte // nil: null
	Headers    []Header
}

// Header is one header of a record.
type Header struct {
	Key   []byte
	Value []byte // nil: null
}

// Records iterates over a batch:
//
//	it := b.Records(limit)
//	for it.Next() {
//		use(it.Record())
//	}
//	err := it.Close()
//
// Offsets need not be consecutive (compaction leaves gaps). Owned by one goroutine.
type Records struct {
	batch Batch
	buf   *bufpool.Buf
	p     []byte
	left  int32
	index int32
	rec   Record
	err   error
}

// Records starts an iteration. A compressed batch is decompressed at once, to at most limit bytes (0 means
// DefaultMaxUncompressed). Close must be called; it returns the first error, which wraps a wire.Code.
func (b Batch) Records(limit int) *Records {
	it := &Records{}
	it.Reset(b, limit)
	return it
}

// Reset starts over with another batch, so that one iterator serves many. It closes what was open.
func (it *Records) Reset(b Batch, limit int) {
	it.buf.Release()
	headers := it.rec.Headers[:0]
	*it = Records{batch: b, left: b.NumRecords(), p: b.Payload()}
	it.rec.Headers = headers
	if codec := b.Codec(); codec != None {
		if limit <= 0 {
			limit = DefaultMaxUncompressed
		}
		if it.buf, it.err = Decompress(codec, b.Payload(), limit); it.err != nil {
			it.p = nil
			return
		}
		it.p = it.buf.B
	}
	if it.left < 0 {
		it.err = invalid("Batch declares %d records", it.left)
	}
}

// Next goes to the next record, false at the end or after an error.
func (it *Records) Next() bool {
	if it.err != nil {
		return false
	}
	if it.left == 0 {
		if len(it.p) > 0 {
			it.err = it.malformed(badTooMany)
		}
		return false
	}
	if what := it.parse(); what != "" {
		it.err = it.malformed(what)
		return false
	}
	it.left--
	it.index++
	return true
}

func (it *Records) malformed(what string) error {
	return fmt.Errorf("record %d of the batch: %s: %w", it.index, what, wire.InvalidRecord)
}

// Record is the present record, valid until the next call of Next, Reset or Close.
func (it *Records) Record() *Record { return &it.rec }

// Close ends the iteration, gives back memory and returns the first error. It may be called again.
func (it *Records) Close() error {
	it.buf.Release()
	it.buf, it.p, it.left = nil, nil, 0
	return it.err
}

func (it *Records) parse() string {
	u, i := uvarint32(it.p, 0)
	if i < 0 {
		return badLength
	}
	size := int(unzigzag32(u))
	if size < minRecBytes-1 || size > len(it.p)-i {
		return badLength
	}
	p := it.p[i : i+size]
	it.p = it.p[i+size:]
	r := &it.rec
	r.Attributes = int8(p[0])
	ts, i := uvarint64(p, 1)
	if i < 0 {
		return badStamp
	}
	if it.batch.TimestampType() == LogAppendTime {
		r.Timestamp = it.batch.MaxTimestamp()
	} else {
		r.Timestamp = it.batch.BaseTimestamp() + unzigzag64(ts)
	}
	if u, i = uvarint32(p, i); i < 0 {
		return badDelta
	}
	r.Offset = it.batch.BaseOffset() + int64(unzigzag32(u))
	var ok bool
	if r.Key, i, ok = cutBytes(p, i); !ok {
		return badKey
	}
	if r.Value, i, ok = cutBytes(p, i); !ok {
		return badValue
	}
	return it.parseHeaders(p, i)
}

func (it *Records) parseHeaders(p []byte, i int) string {
	r := &it.rec
	r.Headers = r.Headers[:0]
	u, i := uvarint32(p, i)
	if i < 0 || u&1 != 0 {
		return badHeaders
	}
	for n := u >> 1; n > 0; n-- {
		var h Header
		var ok bool
		if h.Key, i, ok = cutBytes(p, i); !ok || h.Key == nil {
			return badHeader
		}
		if h.Value, i, ok = cutBytes(p, i); !ok {
			return badHeader
		}
		r.Headers = append(r.Headers, h)
	}
	if i != len(p) {
		return badEnd
	}
	return ""
}

// cutBytes reads a length and its bytes at p[i]; nil for -1.
func cutBytes(p []byte, i int) (b []byte, next int, ok bool) {
	u, i := uvarint32(p, i)
	if i < 0 {
		return nil, 0, false
	}
	size := int(unzigzag32(u))
	if size == -1 {
		return nil, i, true
	}
	if size < 0 || size > len(p)-i {
		return nil, 0, false
	}
	return p[i : i+size : i+size], i + size, true
}
