package log

import (
	"encoding/binary"
	"fmt"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// Types of control records, as their keys have them.
const (
	controlAbort  int16 = 0
	controlCommit int16 = 1
)

// marker is the contents of a transaction marker.
type marker struct {
	commit           bool
	coordinatorEpoch int32
	timestamp        int64
}

// decodeMarker reads the first record of a control batch: key int16 version, int16 type; value int16 version, int32
// coordinator epoch. ok is false if the batch is empty or the type is not a transaction's.
func decodeMarker(b record.Batch) (m marker, ok bool, err error) {
	key, value, ts, ok, err := firstControlRecord(b)
	if err != nil || !ok {
		return m, false, err
	}
	if len(key) < 4 {
		return m, false, fmt.Errorf("control record at offset %d has a key of %d bytes: %w", b.BaseOffset(), len(key), wire.CorruptMessage)
	}
	kind := int16(binary.BigEndian.Uint16(key[2:]))
	if kind != controlAbort && kind != controlCommit {
		return m, false, nil
	}
	if len(value) < 6 {
		return m, false, fmt.Errorf("transaction marker at offset %d has a value of %d bytes: %w", b.BaseOffset(), len(value), wire.CorruptMessage)
	}
	return marker{kind == controlCommit, int32(binary.BigEndian.Uint32(value[2:])), ts}, true, nil
}

// firstControlRecord walks the first record of an uncompressed batch.
func firstControlRecord(b record.Batch) (key, value []byte, ts int64, ok bool, err error) {
	if b.NumRecords() == 0 || b.Codec() != record.None {
		return nil, nil, 0, false, nil
	}
	p := b.Payload()
	bad := func() ([]byte, []byte, int64, bool, error) {
		return nil, nil, 0, false, fmt.Errorf("control record at offset %d is malformed: %w", b.BaseOffset(), wire.CorruptMessage)
	}
	varint := func() (int64, bool) {
		v, n := binary.Varint(p)
		if n <= 0 {
			return 0, false
		}
		p = p[n:]
		return v, true
	}
	field := func() ([]byte, bool) {
		n, ok := varint()
		if !ok || n > int64(len(p)) {
			return nil, false
		}
		if n < 0 {
			return nil, true
		}
		f := p[:n]
		p = p[n:]
		return f, true
	}
	if _, ok = varint(); !ok || len(p) < 1 {
		return bad()
	}
	p = p[1:]
	delta, ok := varint()
	if !ok {
		return bad()
	}
	if _, ok = varint(); !ok {
		return bad()
	}
	if key, ok = field(); !ok {
		return bad()
	}
	if value, ok = field(); !ok {
		return bad()
	}
	return key, value, b.BaseTimestamp() + delta, true, nil
}
