package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrMalformed is wrapped by every error of a Reader: the bytes are not a message of that type and version.
var ErrMalformed = errors.New("malformed message")

// Tag is a tagged field that the schema of this build does not know. It is written back as it came.
type Tag struct {
	Number uint32
	Data   []byte
}

// Reader takes fields off the front of a byte slice. The first failure sticks: later reads return zero values and
// Err tells what went wrong. Memory that it hands out is in proportion to the bytes that are there, whatever
// the lengths in them claim. Strings and byte slices are copies.
type Reader struct {
	b   []byte
	err error
}

// NewReader reads from b, which it does not change or keep after the last read.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err is the first failure, nil if there was none.
func (r *Reader) Err() error { return r.err }

// Remaining is what has not been read.
func (r *Reader) Remaining() []byte { return r.b }

func (r *Reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, what)
	}
	r.b = nil
}

// Fail makes the reader fail, for what only the caller can see.
func (r *Reader) Fail(what string) { r.fail(what) }

func (r *Reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail(fmt.Sprintf("%d bytes wanted, %d there", n, len(r.b)))
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

// Bool reads one byte; anything but 0 is true.
func (r *Reader) Bool() bool { return r.Int8() != 0 }

// Int8 reads one byte.
func (r *Reader) Int8() int8 {
	if p := r.take(1); p != nil {
		return int8(p[0])
	}
	return 0
}

// Int16 reads two bytes.
func (r *Reader) Int16() int16 { return int16(r.Uint16()) }

// Uint16 reads two bytes.
func (r *Reader) Uint16() uint16 {
	if p := r.take(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

// Int32 reads four bytes.
func (r *Reader) Int32() int32 {
	if p := r.take(4); p != nil {
		return int32(binary.BigEndian.Uint32(p))
	}
	return 0
}

// Int64 reads eight bytes.
func (r *Reader) Int64() int64 {
	if p := r.take(8); p != nil {
		return int64(binary.BigEndian.Uint64(p))
	}
	return 0
}

// Float64 reads eight bytes.
func (r *Reader) Float64() float64 { return math.Float64frombits(uint64(r.Int64())) }

// UUID reads sixteen bytes.
func (r *Reader) UUID() (id [16]byte) {
	if p := r.take(16); p != nil {
		copy(id[:], p)
	}
	return id
}

// Uvarint reads an unsigned varint of at most 32 bits.
func (r *Reader) Uvarint() uint32 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 5 || v > math.MaxUint32 {
		r.fail("bad varint")
		return 0
	}
	r.b = r.b[n:]
	return uint32(v)
}

// length reads the length of a string (short: int16 when not flexible) or of bytes (int32); -1 is null.
func (r *Reader) length(flexible, short bool) int {
	switch {
	case flexible:
		n := int64(r.Uvarint()) - 1
		if r.err != nil || n > int64(len(r.b)) {
			r.fail("length beyond the end")
			return 0
		}
		return int(n)
	case short:
		return int(r.Int16())
	default:
		return int(r.Int32())
	}
}

// String reads a string that may not be null.
func (r *Reader) String(flexible bool) string {
	n := r.length(flexible, true)
	if n < 0 {
		r.fail("null where a string is required")
		return ""
	}
	return string(r.take(n))
}

// NullableString reads a string; nil is null.
func (r *Reader) NullableString(flexible bool) *string {
	n := r.length(flexible, true)
	if n < 0 {
		return nil
	}
	s := string(r.take(n))
	return &s
}

// Bytes reads bytes that may not be null.
func (r *Reader) Bytes(flexible bool) []byte {
	p := r.NullableBytes(flexible)
	if p == nil {
		r.fail("null where bytes are required")
	}
	return p
}

// NullableBytes reads bytes; nil is null, empty bytes are not nil.
func (r *Reader) NullableBytes(flexible bool) []byte {
	n := r.length(flexible, false)
	if n < 0 {
		return nil
	}
	return append([]byte{}, r.take(n)...)
}

// ArrayLen reads the length of an array, -1 for null. minElement is the least number of bytes an element takes;
// a length that the rest cannot hold fails.
func (r *Reader) ArrayLen(flexible bool, minElement int) int {
	var n int64
	if flexible {
		n = int64(r.Uvarint()) - 1
	} else {
		n = int64(r.Int32())
	}
	if r.err != nil {
		return 0
	}
	if n < 0 {
		return -1
	}
	if n*int64(max(minElement, 1)) > int64(len(r.b)) {
		r.fail("array longer than the message")
		return 0
	}
	return int(n)
}

// RequiredArrayLen is ArrayLen where null is malformed.
func (r *Reader) RequiredArrayLen(flexible bool, minElement int) int {
	n := r.ArrayLen(flexible, minElement)
	if n < 0 {
		r.fail("null where an array is required")
		return 0
	}
	return n
}

// Tags reads a tag section. known is called for each tag with its bytes and reports whether it took them; the
// others are returned.
func (r *Reader) Tags(known func(number uint32, body *Reader) bool) (unknown []Tag) {
	for n := r.Uvarint(); n > 0 && r.err == nil; n-- {
		number, size := r.Uvarint(), r.Uvarint()
		if r.err != nil || int64(size) > int64(len(r.b)) {
			r.fail("tag beyond the end")
			return unknown
		}
		data := r.take(int(size))
		body := Reader{b: data}
		if known == nil || !known(number, &body) {
			unknown = append(unknown, Tag{Number: number, Data: append([]byte{}, data...)})
			continue
		}
		if body.err != nil {
			r.err = body.err
			r.b = nil
		} else if len(body.b) != 0 {
			r.fail("tag longer than its field")
		}
	}
	return unknown
}
