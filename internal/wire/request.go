// Package wire holds what travels between a connection and a request handler: frames, headers, error
// codes, limits and the request and answer types over kmsg.
//
// It knows the bytes of the Kafka protocol and nothing of topics, logs or clusters. It opens no socket
// (server does) and decides nothing (handler does).
package wire

import (
	"net/netip"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ConnInfo describes the connection that a request came in on. It is filled by the server and read-only
// to handlers; ClientSoftware* are set by the connection's first ApiVersions request.
type ConnInfo struct {
	ID                 string // "local:port-remote:port-n", unique while the process lives
	Listener           string // listener name, e.g. PLAINTEXT
	SecurityProtocol   string // PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
	Local              netip.AddrPort
	Remote             netip.AddrPort
	Principal          string // e.g. "User:ANONYMOUS"
	TokenAuthenticated bool   // the principal was shown by a delegation token
	Privileged         bool   // came in on the inter-broker or controller listener
	// Rights is what authz remembers of the principal's rights (*authz.Memory), for the handlers alone; nil: nothing. It is
	// the connection's: a request in another's name (Envelope) has none.
	Rights                any
	ClientSoftwareName    string
	ClientSoftwareVersion string
}

// Request is one decoded request. It belongs to its handler until the handler calls Reply, exactly once,
// from any goroutine; afterwards nothing of it may be used, since its buffers return to their pool.
type Request struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      string
	Conn          *ConnInfo

	// Body is the decoded request, except for Produce, whose Body is nil and whose Produce is set. What Body
	// holds may be kept after the answer; names and records of Produce alias the frame and may not.
	Body    kmsg.Request
	Produce *ProduceRequest

	// Size is the length of the frame, without the four bytes that say it.
	Size int
	// Received is when the frame was complete.
	Received time.Time
	// Done is closed when the connection is gone, so that parked requests can give up.
	Done <-chan struct{}

	// ReplyFunc is set by the server; handlers call Reply.
	ReplyFunc func(*Request, Response)
	// HangupFunc is set by the server; handlers call Hangup.
	HangupFunc func(r *Request, reason string)
	// MovedFunc, if not nil, takes the place of an answer that says that this is not the active controller (any more): who
	// forwarded the request then asks the one that is.
	MovedFunc func()
	// ThrottleMs asks the server to mute the connection for that long after the answer (KIP-219).
	ThrottleMs int32
	// Charged says that the handler has counted the request against its client's quotas itself.
	Charged bool
	// MayBlock says that whoever replies can wait for the peer to take the answer: a goroutine of this request alone.
	// Else the server sends it from one of its own.
	MayBlock bool
	// Alone keeps further requests of a pipelined API waiting until this one is answered. It is set by a handler before it
	// returns.
	Alone bool
}

// Reply hands the answer over and ends the handler's ownership of r. A nil answer means that the protocol
// has none for this request (Produce with acks=0): only order is kept.
func (r *Request) Reply(resp Response) { r.ReplyFunc(r, resp) }

// Hangup ends the handler's ownership like Reply, but answers by closing the connection, after the answers before
// it are sent: what Kafka does where the protocol has no room for an error (Produce with acks=0).
func (r *Request) Hangup(reason string) { r.HangupFunc(r, reason) }

// Response is a kmsg answer or a *FetchResponse (a list of parts, see fetch.go).
type Response interface {
	Key() int16
	AppendTo([]byte) []byte
}

// Route says how one API is served on a listener.
type Route struct {
	Key int16
	// MinVersion and MaxVersion are what is served.
	MinVersion, MaxVersion int16
	// ClaimFromZero makes ApiVersions claim the versions from 0 on although MinVersion is higher (Produce, so that
	// old librdkafka connects); those below MinVersion are refused like any unsupported version.
	ClaimFromZero bool
	// MaxFrameBytes bounds the frame of this API; 0 means what LargeFrames says, or DefaultMaxFrame.
	MaxFrameBytes int
	// Hidden keeps the API out of ApiVersionKeys though it is served.
	Hidden bool
	// Pipelined allows the next request of the same API on the same connection to start before this
	// one is answered. All others are strictly one after the other, as in Kafka.
	Pipelined bool
	// Handle starts the request. It runs on the connection's reader, may return before Reply is called and
	// must not wait for anything but local file writes.
	Handle func(*Request)
}
