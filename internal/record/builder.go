package record

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/weir-stream/weir/internal/bufpool"
)

// Builder makes batches. The zero value is ready for an uncompressed batch at base offset 0 without a producer; Reset
// starts the next one and keeps the memory. Records are appended in rising order of offsets. Owned by one
// goroutine.
type Builder struct {
	compression Compression
	baseOffset  int64
	leaderEpoch int32
	attrs       int16
	producerID  int64
	epoch       int16
	sequence    int32
	producerSet bool
	appendTime  int64

	started    bool
	base       int64 // base timestamp
	max        int64
	lastDelta  int32
	lastForced bool
	count      int32
	body       []byte
}

// Reset forgets the records and all settings and starts a batch whose first possible offset is baseOffset.
func (w *Builder) Reset(c Compression, baseOffset int64) {
	*w = Builder{compression: c, baseOffset: baseOffset, body: w.body[:0]}
}

// SetProducer sets the producer's fields; without it they are all -1.
func (w *Builder) SetProducer(id int64, epoch int16, baseSequence int32) {
	w.producerID, w.epoch, w.sequence, w.producerSet = id, epoch, baseSequence, true
}

// SetTransactional marks the batch as part of a transaction.
func (w *Builder) SetTransactional() { w.attrs |= attrTransactional }

// SetControl marks the batch as control records; see AppendControl.
func (w *Builder) SetControl() { w.attrs |= attrControl }

// SetLeaderEpoch sets the leader epoch, which is 0 otherwise.
func (w *Builder) SetLeaderEpoch(e int32) { w.leaderEpoch = e }

// SetLogAppendTime makes the batch carry one append time.
func (w *Builder) SetLogAppendTime(ms int64) {
	w.attrs |= attrLogAppendTime
	w.appendTime = ms
}

// SetDeleteHorizon makes the base timestamp the delete horizon; timestamp deltas count from it. Call it before the
// first record.
func (w *Builder) SetDeleteHorizon(ms int64) {
	w.attrs |= attrDeleteHorizon
	w.base, w.started = ms, true
}

// SetLastOffset makes the batch end at an offset at or after its last record's, as the cleaner does when it drops
// records from the end of a batch.
func (w *Builder) SetLastOffset(o int64) {
	w.lastDelta, w.lastForced = int32(o-w.baseOffset), true
}

// Append adds a record at the next offset. Nil keys and values are null. The bytes are copied.
func (w *Builder) Append(timestamp int64, key, value []byte, headers ...Header) {
	next := w.baseOffset
	if w.count > 0 {
		next += int64(w.lastDelta) + 1
	}
	w.AppendAt(next, timestamp, key, value, headers...)
}

// AppendAt adds a record at an offset, which must be above all earlier ones.
func (w *Builder) AppendAt(offset, timestamp int64, key, value []byte, headers ...Header) {
	w.append(offset, timestamp, 0, key, value, headers)
}

// AppendRecord adds r with its own offset, timestamp and headers.
func (w *Builder) AppendRecord(r *Record) {
	w.append(r.Offset, r.Timestamp, r.Attributes, r.Key, r.Value, r.Headers)
}

func (w *Builder) append(offset, timestamp int64, attrs int8, key, value []byte, headers []Header) {
	if !w.started {
		w.base, w.started = timestamp, true
	}
	if w.count == 0 || timestamp > w.max {
		w.max = timestamp
	}
	delta := offset - w.baseOffset
	tsDelta := timestamp - w.base
	size := 1 + varintSize(tsDelta) + varintSize(delta) + bytesSize(key) + bytesSize(value) + varintSize(int64(len(headers)))
	for _, h := range headers {
		size += varintSize(int64(len(h.Key))) + len(h.Key) + bytesSize(h.Value)
	}
	if cap(w.body) == 0 {
		w.body = make([]byte, 0, max(512, size+8))
	}
	p := AppendVarint(w.body, int64(size))
	p = append(p, byte(attrs))
	p = AppendVarint(p, tsDelta)
	p = AppendVarint(p, delta)
	p = appendBytes(p, key)
	p = appendBytes(p, value)
	p = AppendVarint(p, int64(len(headers)))
	for _, h := range headers {
		p = AppendVarint(p, int64(len(h.Key)))
		p = append(p, h.Key...)
		p = appendBytes(p, h.Value)
	}
	w.body = p
	w.count++
	if !w.lastForced {
		w.lastDelta = int32(delta)
	}
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 1) // -1
	}
	dst = AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

// NumRecords is how many records were appended since Reset.
func (w *Builder) NumRecords() int { return int(w.count) }

// UncompressedSize is the size of the batch if it were built now without compression.
func (w *Builder) UncompressedSize() int { return HeaderSize + len(w.body) }

// Build returns the batch in new memory, sealed with its CRC. The builder can go on only after Reset. A batch without
// records is allowed if SetLastOffset was called: compaction keeps the empty batch of an idle producer.
func (w *Builder) Build() (Batch, error) {
	return w.AppendTo(make([]byte, 0, HeaderSize+len(w.body)))
}

// AppendTo is Build behind dst: it returns dst with the batch at its end; use len(dst) to find it.
func (w *Builder) AppendTo(dst []byte) ([]byte, error) {
	if w.count == 0 && !w.lastForced {
		return nil, errors.New("record batch without records")
	}
	start := len(dst)
	dst = extend(dst, HeaderSize)
	codec := w.compression.Codec
	if w.count == 0 {
		codec = None
	}
	var err error
	if dst, err = (Compression{codec, w.compression.Level}).Append(dst, w.body); err != nil {
		return nil, fmt.Errorf("compress records: %w", err)
	}
	w.putHeader(Batch(dst[start:]), codec)
	return dst, nil
}

func (w *Builder) putHeader(b Batch, codec Codec) {
	id, epoch, sequence := NoProducerID, NoProducerEpoch, NoSequence
	if w.producerSet {
		id, epoch, sequence = w.producerID, w.epoch, w.sequence
	}
	base, maxTimestamp := w.base, w.max
	if !w.started {
		base = NoTimestamp
	}
	if w.count == 0 {
		maxTimestamp = NoTimestamp
	}
	if w.attrs&attrLogAppendTime != 0 {
		maxTimestamp = w.appendTime
	}
	be := binary.BigEndian
	be.PutUint64(b[posBaseOffset:], uint64(w.baseOffset))
	be.PutUint32(b[posLength:], uint32(len(b)-LogOverhead))
	be.PutUint32(b[posLeaderEpoch:], uint32(w.leaderEpoch))
	b[posMagic] = CurrentMagic
	be.PutUint16(b[posAttributes:], uint16(w.attrs)|uint16(codec))
	be.PutUint32(b[posLastOffsetDelta:], uint32(w.lastDelta))
	be.PutUint64(b[posBaseTimestamp:], uint64(base))
	be.PutUint64(b[posMaxTimestamp:], uint64(maxTimestamp))
	be.PutUint64(b[posProducerID:], uint64(id))
	be.PutUint16(b[posProducerEpoch:], uint16(epoch))
	be.PutUint32(b[posBaseSequence:], uint32(sequence))
	be.PutUint32(b[posNumRecords:], uint32(w.count))
	b.Seal()
}

// Recompress returns b with its records under another compression, in a buffer that the caller releases. Everything
// else of the header stays, the CRC is new. The contents decompress to at most limit bytes (0 means
// DefaultMaxUncompressed); run Validate before.
func Recompress(b Batch, to Compression, limit int) (Batch, *bufpool.Buf, error) {
	if limit <= 0 {
		limit = DefaultMaxUncompressed
	}
	body := b.Payload()
	if c := b.Codec(); c != None {
		buf, err := Decompress(c, body, limit)
		if err != nil {
			return nil, nil, err
		}
		defer buf.Release()
		body = buf.B
	}
	out := bufpool.Get(HeaderSize + len(body) + len(body)/64 + 1024)
	dst, err := to.Append(append(out.B[:0], b[:HeaderSize]...), body)
	if err != nil {
		out.Release()
		return nil, nil, fmt.Errorf("compress records: %w", err)
	}
	out.B = dst // still the pooled array, unless the records grew beyond any codec's bound
	r := Batch(dst)
	binary.BigEndian.PutUint32(r[posLength:], uint32(len(r)-LogOverhead))
	attrs := r.Attributes()&^attrCodecMask | int16(to.Codec)
	binary.BigEndian.PutUint16(r[posAttributes:], uint16(attrs))
	r.Seal()
	return r, out, nil
}
