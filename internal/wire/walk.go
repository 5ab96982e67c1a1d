package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

//go:generate go run ./gen

// kind is how a field looks on the wire.
type kind uint8

const (
	kindFixed kind = iota
	kindString
	kindBytes
	kindStruct
)

// field is one field of a request, of all versions. The versions are inclusive; an empty range is 32767 to -1.
type field struct {
	min, max         int16
	nullMin, nullMax int16
	tagMin           int16
	kind             kind
	array            bool
	width            uint8  // of a fixed field, in bytes
	memory           uint16 // of a struct, once decoded
	tag              uint32
	fields           []field
}

type schema struct {
	name     string
	flexible int16
	fields   []field
}

// What decoding costs beside the bytes themselves, as upper bounds.
const (
	stringCost = 32 // header of a nullable string, rounding of its bytes
	tagCost    = 96 // an entry in a map of tags that are not known
)

var (
	errShort    = errors.New("it ends before its fields do")
	errLength   = errors.New("a length is not valid")
	errNull     = errors.New("a field that must not be null is null")
	errTags     = errors.New("tagged fields are not in rising order")
	errTooLarge = errors.New("its contents would need too much memory")
)

// walker goes over a request's bytes by its schema and counts what decoding it would allocate, before anything is
// decoded. It never looks at a count without the bytes that the count promises, so it ends after as many steps
// as the request has bytes.
type walker struct {
	p        []byte
	version  int16
	flexible bool
	cost     int
	limit    int
	err      error
}

// CheckBody walks the body of a request (what follows the header): every length and count must be covered by bytes that
// are there, nothing may be null that must not, and decoding must not allocate more than limit bytes. It returns an
// upper bound of that allocation.
func CheckBody(key, version int16, body []byte, limit int) (cost int, err error) {
	s := schemaOf(key)
	if s == nil {
		return 0, fmt.Errorf("no request has the key %d", key)
	}
	w := walker{p: body, version: version, flexible: version >= s.flexible, limit: limit, cost: 512}
	w.structure(s.fields)
	if w.err != nil {
		return w.cost, fmt.Errorf("%s request of version %d is not valid: %w", s.name, version, w.err)
	}
	return w.cost, nil
}

func (w *walker) fail(err error) {
	if w.err == nil {
		w.err = err
	}
	w.p = nil
}

func (w *walker) charge(n int) {
	if w.cost += n; w.cost > w.limit {
		w.fail(errTooLarge)
	}
}

func (w *walker) skip(n int) {
	if n > len(w.p) {
		w.fail(errShort)
		return
	}
	w.p = w.p[n:]
}

func (w *walker) uvarint() uint32 {
	var v uint32
	for i := 0; i < 5; i++ {
		if i >= len(w.p) {
			w.fail(errShort)
			return 0
		}
		b := w.p[i]
		if i == 4 && b > 0x0f {
			break
		}
		v |= uint32(b&0x7f) << (7 * i)
		if b < 0x80 {
			w.p = w.p[i+1:]
			return v
		}
	}
	w.fail(errLength)
	return 0
}

func (w *walker) structure(fields []field) {
	for i := range fields {
		f := &fields[i]
		if w.version < f.min || w.version > f.max || w.version >= f.tagMin {
			continue
		}
		w.field(f)
		if w.err != nil {
			return
		}
	}
	if w.flexible {
		w.tags(fields)
	}
}

// length reads a length or count: -1 for null if f may be null.
func (w *walker) length(f *field, short bool) int {
	n := 0
	switch {
	case w.flexible:
		n = int(w.uvarint()) - 1
	case short:
		if len(w.p) < 2 {
			w.fail(errShort)
			return 0
		}
		n = int(int16(binary.BigEndian.Uint16(w.p)))
		w.p = w.p[2:]
	default:
		if len(w.p) < 4 {
			w.fail(errShort)
			return 0
		}
		n = int(int32(binary.BigEndian.Uint32(w.p)))
		w.p = w.p[4:]
	}
	switch {
	case w.err != nil:
		return 0
	case n < -1:
		w.fail(errLength)
		return 0
	case n == -1 && (f == nil || w.version < f.nullMin || w.version > f.nullMax):
		w.fail(errNull)
		return 0
	case n > len(w.p):
		w.fail(errShort) // every element has at least one byte
		return 0
	}
	return n
}

func (w *walker) field(f *field) {
	if !f.array {
		w.value(f, f)
		return
	}
	n := w.length(f, false)
	if n <= 0 || w.err != nil {
		return
	}
	switch f.kind {
	case kindFixed:
		w.charge(n * int(f.width))
		w.skip(n * int(f.width))
		return
	case kindStruct:
		w.charge(n * int(f.memory))
	default:
		w.charge(n * 24)
	}
	for ; n > 0 && w.err == nil; n-- {
		w.value(f, nil)
	}
}

// value walks one value; null says which field allows it to be null.
func (w *walker) value(f, null *field) {
	switch f.kind {
	case kindFixed:
		w.skip(int(f.width))
	case kindString:
		n := w.length(null, true)
		if n > 32767 {
			w.fail(errLength)
			return
		}
		w.charge(stringCost + n)
		w.skip(max(n, 0))
	case kindBytes:
		w.skip(max(w.length(null, false), 0))
	case kindStruct:
		if null != nil && w.version >= null.nullMin && w.version <= null.nullMax {
			if len(w.p) < 1 {
				w.fail(errShort)
				return
			}
			present := int8(w.p[0])
			w.p = w.p[1:]
			if present == -1 {
				return
			}
			w.charge(int(f.memory))
		}
		w.structure(f.fields)
	}
}

func (w *walker) tags(fields []field) {
	n := w.uvarint()
	last := int64(-1)
	for ; n > 0 && w.err == nil; n-- {
		tag, size := w.uvarint(), int(w.uvarint())
		if w.err != nil {
			return
		}
		if int64(tag) <= last {
			w.fail(errTags)
			return
		}
		last = int64(tag)
		if size > len(w.p) {
			w.fail(errShort)
			return
		}
		rest := w.p[size:]
		if f := w.tagged(fields, tag); f != nil {
			w.p = w.p[:size]
			w.field(f)
			if w.err == nil && len(w.p) > 0 {
				w.fail(errLength)
			}
		} else {
			w.charge(tagCost)
		}
		if w.err == nil {
			w.p = rest
		}
	}
}

func (w *walker) tagged(fields []field, tag uint32) *field {
	for i := range fields {
		f := &fields[i]
		if f.tag == tag && w.version >= f.tagMin && w.version >= f.min && w.version <= f.max {
			return f
		}
	}
	return nil
}
