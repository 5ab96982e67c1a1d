// Package message reads and writes the primitive types of Kafka's message format, in its old form and in its
// flexible one (compact lengths, tag sections), for the record types that metarecord and coordrecord generate.
//
// It knows no message. Requests and answers of clients are kmsg's, not this package's.
package message

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// AppendBool appends one byte.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendInt8 appends one byte.
func AppendInt8(dst []byte, v int8) []byte { return append(dst, byte(v)) }

// AppendInt16 appends two bytes.
func AppendInt16(dst []byte, v int16) []byte { return binary.BigEndian.AppendUint16(dst, uint16(v)) }

// AppendUint16 appends two bytes.
func AppendUint16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }

// AppendInt32 appends four bytes.
func AppendInt32(dst []byte, v int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(v)) }

// AppendInt64 appends eight bytes.
func AppendInt64(dst []byte, v int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(v)) }

// AppendFloat64 appends eight bytes.
func AppendFloat64(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(v))
}

// AppendUUID appends sixteen bytes.
func AppendUUID(dst []byte, v [16]byte) []byte { return append(dst, v[:]...) }

// AppendUvarint appends an unsigned varint.
func AppendUvarint(dst []byte, v uint32) []byte { return binary.AppendUvarint(dst, uint64(v)) }

// AppendString appends a string with its length.
func AppendString(dst []byte, s string, flexible bool) []byte {
	if flexible {
		dst = AppendUvarint(dst, uint32(len(s))+1)
	} else {
		dst = AppendInt16(dst, int16(len(s)))
	}
	return append(dst, s...)
}

// AppendNullableString appends a string or null.
func AppendNullableString(dst []byte, s *string, flexible bool) []byte {
	switch {
	case s != nil:
		return AppendString(dst, *s, flexible)
	case flexible:
		return append(dst, 0)
	default:
		return AppendInt16(dst, -1)
	}
}

// AppendBytes appends bytes with their length; nil is written as empty.
func AppendBytes(dst, p []byte, flexible bool) []byte {
	if flexible {
		dst = AppendUvarint(dst, uint32(len(p))+1)
	} else {
		dst = AppendInt32(dst, int32(len(p)))
	}
	return append(dst, p...)
}

// AppendNullableBytes appends bytes or, for nil, null.
func AppendNullableBytes(dst, p []byte, flexible bool) []byte {
	if p == nil {
		return AppendNullArray(dst, flexible)
	}
	return AppendBytes(dst, p, flexible)
}

// AppendArrayLen appends the length of an array.
func AppendArrayLen(dst []byte, n int, flexible bool) []byte {
	if flexible {
		return AppendUvarint(dst, uint32(n)+1)
	}
	return AppendInt32(dst, int32(n))
}

// AppendNullArray appends the length that means null, for arrays and for bytes.
func AppendNullArray(dst []byte, flexible bool) []byte {
	if flexible {
		return append(dst, 0)
	}
	return AppendInt32(dst, -1)
}

// AppendTag appends one tagged field.
func AppendTag(dst []byte, number uint32, body []byte) []byte {
	dst = AppendUvarint(dst, number)
	dst = AppendUvarint(dst, uint32(len(body)))
	return append(dst, body...)
}

// AppendTags appends tagged fields, whose count the caller has written.
func AppendTags(dst []byte, tags []Tag) []byte {
	for _, t := range tags {
		dst = AppendTag(dst, t.Number, t.Data)
	}
	return dst
}

// UUIDString is Kafka's text form of an id: base64url without padding, 22 characters.
func UUIDString(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseUUID reads the text form of an id.
func ParseUUID(s string) (id [16]byte, err error) {
	if len(s) != 22 {
		return id, fmt.Errorf("id %q: not 22 characters", s)
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return id, fmt.Errorf("id %q: %w", s, err)
	}
	return [16]byte(b), nil
}

// AppendJSONName appends `"name":`, after a comma unless an object was just opened.
func AppendJSONName(dst []byte, name string) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

// AppendJSONComma appends a comma unless an array was just opened.
func AppendJSONComma(dst []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '[' {
		dst = append(dst, ',')
	}
	return dst
}

// AppendJSONString appends a quoted string as Jackson writes it.
func AppendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = utf8.AppendRune(dst, c)
		}
	}
	return append(dst, '"')
}

// AppendJSONNullableString appends a quoted string or null.
func AppendJSONNullableString(dst []byte, s *string) []byte {
	if s == nil {
		return append(dst, "null"...)
	}
	return AppendJSONString(dst, *s)
}

// AppendJSONBytes appends bytes as quoted base64, nil as null.
func AppendJSONBytes(dst, p []byte) []byte {
	if p == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, p)
	return append(dst, '"')
}

// AppendJSONUUID appends an id in its text form.
func AppendJSONUUID(dst []byte, id [16]byte) []byte {
	return AppendJSONString(dst, UUIDString(id))
}

// AppendJSONInt appends a number.
func AppendJSONInt(dst []byte, v int64) []byte { return strconv.AppendInt(dst, v, 10) }

// AppendJSONBool appends true or false.
func AppendJSONBool(dst []byte, v bool) []byte { return strconv.AppendBool(dst, v) }

// AppendJSONFloat appends a number as Java prints a double.
func AppendJSONFloat(dst []byte, v float64) []byte {
	abs := math.Abs(v)
	if abs != 0 && (abs < 1e-3 || abs >= 1e7) {
		return appendJavaExponent(dst, v)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
	for _, c := range dst[start:] {
		if c == '.' {
			return dst
		}
	}
	return append(dst, '.', '0')
}

// appendJavaExponent writes 1.0E7 where Go writes 1e+07.
func appendJavaExponent(dst []byte, v float64) []byte {
	b := strconv.AppendFloat(nil, v, 'e', -1, 64)
	dot, seenE := false, false
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == '.':
			dot = true
			dst = append(dst, c)
		case c == 'e':
			if !dot {
				dst = append(dst, '.', '0')
			}
			seenE = true
			dst = append(dst, 'E')
		case seenE && c == '+':
		case seenE && c == '0' && i+1 < len(b):
		default:
			dst = append(dst, c)
			if seenE && c != '-' {
				return append(dst, b[i+1:]...)
			}
		}
	}
	return dst
}
