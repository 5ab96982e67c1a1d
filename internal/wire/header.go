package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MinRequestBytes is the shortest frame that can hold a request header: key, version, correlation id and a
// client id.
const MinRequestBytes = 10

// Header is a request's header; ClientID and Body alias the frame.
type Header struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      []byte // nil: null
	Body          []byte
}

var errHeader = errors.New("request header is not valid")

// ParseHeader reads the header of a request (version 1, or 2 where the API's version is flexible) from a frame
// without its length. A key that is not known, or ApiVersions of a version that is not known, is read as far as the
// client id; Body is then whatever follows.
func ParseHeader(frame []byte) (Header, error) {
	if len(frame) < MinRequestBytes {
		return Header{}, fmt.Errorf("%w: %d bytes", errHeader, len(frame))
	}
	h := Header{
		Key:           int16(binary.BigEndian.Uint16(frame)),
		Version:       int16(binary.BigEndian.Uint16(frame[2:])),
		CorrelationID: int32(binary.BigEndian.Uint32(frame[4:])),
	}
	n := int(int16(binary.BigEndian.Uint16(frame[8:])))
	rest := frame[10:]
	switch {
	case n > len(rest) || n < -1:
		return h, fmt.Errorf("%w: client id of %d bytes", errHeader, n)
	case n >= 0:
		h.ClientID = rest[:n:n]
		rest = rest[n:]
	}
	if FlexibleRequest(h.Key, h.Version) {
		w := walker{p: rest, flexible: true, limit: 16 << 10}
		w.tags(nil)
		if w.err != nil {
			return h, fmt.Errorf("%w: %w", errHeader, w.err)
		}
		rest = w.p
	}
	h.Body = rest
	return h, nil
}

// FlexibleRequest reports whether requests of the API and version have tagged fields (and a version 2 header).
func FlexibleRequest(key, version int16) bool {
	s := schemaOf(key)
	return s != nil && version >= s.flexible
}

// APIName is the name of an API as Kafka writes it, "" if the key is not known.
func APIName(key int16) string {
	if s := schemaOf(key); s != nil {
		return s.name
	}
	return ""
}

// KeyApiVersions is the API that every client starts with; its answer has the plain header in all versions, so that
// a client can read it before it knows the broker.
const KeyApiVersions int16 = 18

// AppendResponseHeader appends the header of an answer: the correlation id and, for flexible versions, an empty
// tag section.
func AppendResponseHeader(dst []byte, key, version int16, correlationID int32) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	if key != KeyApiVersions && FlexibleRequest(key, version) {
		dst = append(dst, 0)
	}
	return dst
}
