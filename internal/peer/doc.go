// Package peer is the client that nodes use among themselves: one connection to one address that is made when it is
// needed, made anew when it was lost, and shared by all requests to that node. It negotiates versions, matches answers
// to requests, bounds what is in flight and how large an answer may be, and notices when the other side hangs up.
//
// It knows no cluster: who the controller or a leader is, and whether a request is to be repeated, is the caller's
// business. It never repeats a request that may have reached the other node.
package peer

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/lifecycle"
)

// Dialer makes a connection to host:port, with whatever encryption belongs to it done. Simulations bring their own.
type Dialer func(ctx context.Context, address string) (net.Conn, error)

// Exchange sends a request on a connection that is being made and returns its answer.
type Exchange func(req kmsg.Request) (kmsg.Response, error)

// Login proves who this node is, by requests of its own (SaslHandshake, SaslAuthenticate), before any other request. It
// runs after ApiVersions. An error ends the connection. When the session has a lifetime, until is when the
// connection is to be made anew (KIP-368); the zero time means never.
type Login func(ctx context.Context, ask Exchange) (until time.Time, err error)

// Config says where the node is and how to speak to it. Only Address and Group are required.
type Config struct {
	Address  string
	ClientID string
	// Dial makes connections; nil: TCP without encryption.
	Dial  Dialer
	Login Login
	// ConnectTimeout bounds dialing, negotiation and login together [10 s].
	ConnectTimeout time.Duration
	// RequestTimeout is how long an answer may take to come [30 s]; then the connection is closed, since answers come in
	// order and all behind it would wait as well.
	RequestTimeout time.Duration
	// Backoff is the first pause after a failure to connect, doubled with each further one up to MaxBackoff [20 ms, 1 s].
	Backoff, MaxBackoff time.Duration
	// Direct lets whoever makes a request read its answer, one request at a time, without a goroutine in between that is
	// woken for each. That the other side has hung up is noticed by the next request, and one that is given up (ctx) ends
	// the connection: for clients that always have a request under way.
	Direct bool
	// InFlight bounds the requests without an answer [32]; further ones wait.
	InFlight int
	// MaxResponseBytes bounds an answer [100 MiB]; a longer one closes the connection.
	MaxResponseBytes int
	// MaxVersions caps versions below what both sides know.
	MaxVersions map[int16]int16
	// SendBufferBytes and ReceiveBufferBytes set the socket's buffers; 0 or less leaves them to the system.
	SendBufferBytes, ReceiveBufferBytes int
	// Group owns the goroutine that reads answers, if there is one. When it stops, connections end.
	Group *lifecycle.Group
	Log   *slog.Logger // nil: slog's default
}

// Errors of requests. All others come from dialing, from the login or from the connection, and say which address.
var (
	// ErrClosed says that Close was called or the group has stopped.
	ErrClosed = errors.New("the peer's client is closed")
	// ErrLost is wrapped when a connection ended, or was ended, while the request was on it: the other node may have
	// acted on it.
	ErrLost = errors.New("connection lost")
	// ErrTimeout says that no answer came in time. The connection was closed. It wraps ErrLost too.
	ErrTimeout = errors.New("no answer in time")
	// ErrUnsupported says that the other node has no version in common for this API; nothing was sent.
	ErrUnsupported = errors.New("the other node does not serve the API")
)

func set[T int | time.Duration](v *T, standard T) {
	if *v <= 0 {
		*v = standard
	}
}

func (c Config) withDefaults() Config {
	set(&c.ConnectTimeout, 10*time.Second)
	set(&c.RequestTimeout, 30*time.Second)
	set(&c.Backoff, 20*time.Millisecond)
	set(&c.MaxBackoff, time.Second)
	set(&c.InFlight, 32)
	set(&c.MaxResponseBytes, 100<<20)
	if c.Direct {
		c.InFlight = 1
	}
	if c.Dial == nil {
		c.Dial = DialTCP
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// DialTCP is a Dialer without encryption. A machine that cannot be reached is noticed by the system within seconds, where
// it knows how to (Linux).
func DialTCP(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{Control: limitSilence}
	return d.DialContext(ctx, "tcp", address)
}
