package wire

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Limits of frames. A Route may raise DefaultMaxFrame for its API.
const (
	// DefaultMaxFrame is the largest frame of an API that has no reason for large ones.
	DefaultMaxFrame = 1 << 20
	// DefaultMaxDecode bounds what decoding one request may allocate.
	DefaultMaxDecode = 64 << 20
)

// DecodeBody checks (see CheckBody) and decodes the body of any request but Produce. Strings are copies; byte slices
// alias body (see AliasesFrame). The error says what is wrong; the connection is to be closed, as Kafka does.
func DecodeBody(key, version int16, body []byte, limit int) (kmsg.Request, error) {
	if _, err := CheckBody(key, version, body, limit); err != nil {
		return nil, err
	}
	req := newRequest(key)
	if req == nil {
		return nil, fmt.Errorf("no request has the key %d", key)
	}
	req.SetVersion(version)
	if err := req.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%s request of version %d is not valid: %w", APIName(key), version, err)
	}
	return req, nil
}

// AliasesFrame reports whether decoded requests of the API have byte slices, which alias the frame, so that the
// frame must live as long as anything that was taken from the request.
func AliasesFrame(key int16) bool {
	return APIName(key) != "" && hasBytes(schemaOf(key).fields)
}

func hasBytes(fields []field) bool {
	for i := range fields {
		if fields[i].kind == kindBytes || hasBytes(fields[i].fields) {
			return true
		}
	}
	return false
}

// LargeFrames returns the frame limit that an API needs beyond DefaultMaxFrame, or 0: the limits of Produce
// (all that socket.request.max.bytes allows) and of requests that grow with the number of topics, partitions or
// members.
func LargeFrames(key int16, socketRequestMaxBytes int) int {
	const many = 16 << 20
	switch key {
	case 0, 58, KeyRaftMessages: // Produce, Envelope
		return socketRequestMaxBytes
	case 1, 2, 3, 8, 9, 11, 14, 19, 20, 21, 23, 24, 27, 28, 30, 31, 33, 37, 43, 44, 45, 56, 62, 72, 73, 78, 79, 83, 84, 85, 87, 88, 91, 93:
		return min(many, socketRequestMaxBytes)
	}
	return 0
}
