// Package server accepts connections, cuts their bytes into requests, hands those to the listener's routes and sends
// the answers in order. It holds the limits that keep a hostile or slow peer from costing more than its own
// connection: frame sizes, a process-wide byte budget, time limits, numbers of connections.
//
// It does not know what a request means; wire decodes, handler answers. It carries the messages of SASL but judges
// none of them (security/sasl does), and knows of TLS only the function that wraps an accepted connection.
package server

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/weir-stream/weir/internal/quota"
	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/wire"
)

// Config is what a Server is made of.
type Config struct {
	Listeners []Listener
	Limits    Limits
	// Observer, if not nil, hears of every request and connection.
	Observer Observer
	// Quotas, if not nil, is asked about every answer.
	Quotas Quotas
	// AddressRate, if not nil, is how many connections a second an address may make, +Inf if there is no bound
	// (connection_creation_rate, KIP-612).
	AddressRate func(netip.Addr) float64
	// RateWindow is what rates of new connections are measured over [11 windows of 1 s].
	RateWindow quota.Window
	Logger     *slog.Logger // nil: slog's default
	// Listen binds host:port; nil: TCP. Connections that are not TCP are served through net.Conn alone.
	Listen func(address string) (net.Listener, error)
	// OnPanic hears of a panic in a handler, after it was logged and its connection closed. Without it the
	// panic ends the process.
	OnPanic func(error)
}

// Listener is one address with what is served there.
type Listener struct {
	Name             string // e.g. PLAINTEXT
	SecurityProtocol string // PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
	Address          string // host:port; an empty host means all addresses, port 0 any free port
	Routes           []wire.Route
	// Privileged marks the inter-broker and the controller listener. Beside others it is protected, as in Kafka: the limits
	// of all connections do not hold it up; where there are too many, one of another listener has to go.
	Privileged bool
	// Backlog is socket.listen.backlog.size: how many connections may wait to be accepted; 0 leaves it to the system.
	Backlog int
	// SendBufferBytes and ReceiveBufferBytes set the socket's buffers; 0 or less leaves them to the system.
	SendBufferBytes    int
	ReceiveBufferBytes int
	// Wrap, if not nil, turns an accepted connection into the one to serve, e.g. after a TLS handshake, and says who
	// the peer is. It runs on the connection's goroutine; the context ends when the handshake takes too long.
	// Without it the connection is served as it is, for User:ANONYMOUS.
	Wrap func(context.Context, net.Conn) (conn net.Conn, principal string, err error)
	// SASL, if not nil, makes every peer show who it is before its first request. It returns the mechanisms of the
	// moment.
	SASL func() *sasl.Authenticator
}

// Limits bound what peers can make the server spend. Zero values mean the defaults in brackets.
type Limits struct {
	// MaxRequestBytes is socket.request.max.bytes [100 MiB].
	MaxRequestBytes int
	// MaxConnections (max.connections) and MaxConnectionsPerIP (max.connections.per.ip), with exceptions by address
	// (max.connections.per.ip.overrides, names resolved) [no bound]. Negative: none at all. What is open beyond a bound
	// that is lowered is closed, those that were quiet for longest first, but for protected listeners.
	MaxConnections      int
	MaxConnectionsPerIP int
	PerIP               map[string]int
	// CreationRate is max.connection.creation.rate, connections a second [no bound]; negative: as few as can be.
	CreationRate float64
	// Listeners are the bounds of single listeners, by name.
	Listeners map[string]ListenerLimits
	// IdleTimeout is connections.max.idle.ms [10 minutes]; negative means never.
	IdleTimeout time.Duration
	// FrameTimeout is how long a request may take from its first to its last byte, plus one second for each 64 KiB of
	// it [30 s].
	FrameTimeout time.Duration
	// SendTimeout is how long a peer may take none of an answer's bytes [60 s].
	SendTimeout time.Duration
	// HandshakeTimeout bounds Wrap and the login after it [30 s].
	HandshakeTimeout time.Duration
	// MaxHandshakes bounds the connections that are in Wrap or in their login [1000]. When there are as many, one that
	// takes longer than others has to go.
	MaxHandshakes int
	// LoginBytes is sasl.server.max.receive.size: the longest request before authentication [512 KiB].
	LoginBytes int
	// FailedLoginDelay is connection.failed.authentication.delay.ms; 0: none.
	FailedLoginDelay time.Duration
	// MemoryBytes bounds the frames of all connections together [256 MiB]; beyond it connections wait.
	MemoryBytes int64
	// DecodeBytes bounds what decoding one request may allocate [64 MiB].
	DecodeBytes int
	// PipelineRequests and PipelineBytes bound what one connection may have in flight on a pipelined route [32 requests,
	// 8 MiB]. One request is always allowed.
	PipelineRequests int
	PipelineBytes    int64
	// SendfileBytes is from which length a file range goes by sendfile rather than through a buffer
	// [128 KiB]; negative means never.
	SendfileBytes int64
}

// ListenerLimits bound the connections of one listener, as those of the same names in Limits do for all.
type ListenerLimits struct {
	MaxConnections int
	CreationRate   float64
}

func (l Limits) withDefaults() Limits {
	set(&l.MaxRequestBytes, 100<<20)
	set(&l.IdleTimeout, 10*time.Minute)
	set(&l.FrameTimeout, 30*time.Second)
	set(&l.SendTimeout, time.Minute)
	set(&l.HandshakeTimeout, 30*time.Second)
	set(&l.MaxHandshakes, 1000)
	set(&l.LoginBytes, 512<<10)
	set(&l.MemoryBytes, 256<<20)
	set(&l.DecodeBytes, wire.DefaultMaxDecode)
	set(&l.PipelineRequests, 32)
	set(&l.PipelineBytes, 8<<20)
	set(&l.SendfileBytes, 128<<10)
	set(&l.MaxConnections, 1<<31-1)
	set(&l.MaxConnectionsPerIP, 1<<31-1)
	l.MaxConnections = max(l.MaxConnections, 0)
	l.PipelineRequests = min(l.PipelineRequests, pipelineMax)
	return l
}

func set[T int | int64 | time.Duration](v *T, standard T) {
	if *v == 0 {
		*v = standard
	}
}

// Quotas counts what answers cost against what their clients may use. Its methods are called from many goroutines and
// must not wait.
type Quotas interface {
	// Measured reports whether anything is to be counted now.
	Measured() bool
	// Answered counts a request before its answer is encoded, resp being nil if it has none. It says in the answer and in
	// r.ThrottleMs for how long the client is held back. local is how long the handler took.
	Answered(r *wire.Request, resp wire.Response, local time.Duration)
}

// Observer hears what the server does. Its methods are called from many goroutines and must not wait.
type Observer interface {
	// Answer is called with each answer before it is encoded; resp is valid during the call only.
	Answer(key int16, resp wire.Response)
	// Request is called once an answer is sent or known to be lost. t is valid during the call only.
	Request(t *Timing)
	// ConnectionOpened and ConnectionClosed come in pairs; the reason is empty when the peer closed.
	ConnectionOpened(listener string)
	ConnectionClosed(listener, reason string)
	// Authenticated is called when a peer has shown who it is, or has failed to. l is valid during the call only.
	Authenticated(l *Login)
	// SessionExpired is called when a peer is closed because it did not show again who it is.
	SessionExpired(listener string)
}

// Login is how a peer has shown who it is, or failed to.
type Login struct {
	Listener  string
	Mechanism string // of SASL; empty: TLS
	Remote    netip.AddrPort
	Principal string // who it is; of a login that failed, who it says that it is, if that is known
	OK        bool
	Again     bool  // it was in before
	Err       error // why it failed; without secrets
}

// Timing is one request's account, split as Kafka's request metrics are.
type Timing struct {
	Key      int16
	Version  int16
	Listener string
	// Follower is set for the Fetch of a replica, which Kafka counts apart from those of consumers.
	Follower bool
	// RequestBytes counts the frame without its length, ResponseBytes the answer likewise (0 without an answer).
	RequestBytes  int
	ResponseBytes int64
	// Queue is how long the request had to wait to be let in (behind others of its connection, or muted), Local its
	// decoding and the handler's own run, Remote from the handler's return to the answer, ResponseQueue from there to
	// the first byte sent, Send the sending, Total the sum.
	Queue, Local, Remote, ResponseQueue, Send time.Duration
	Throttle                                  time.Duration
	Total                                     time.Duration
}
