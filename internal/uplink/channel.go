package uplink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/wire"
)

const (
	// giveUp is how long a request looks for an active controller, if its own context allows as much.
	giveUp = 30 * time.Second
	// retryPause is the pause before the controller is asked again, unless another is heard of sooner.
	retryPause = 50 * time.Millisecond
)

// Leader says who the active controller is, as this node knows: its id (-1: nobody known) and address.
type Leader struct {
	ID      int32
	Address string
}

// NetworkConfig says how the active controller is found and reached.
type NetworkConfig struct {
	NodeID int32
	// Local is this node's own controller, nil if it has none.
	Local Channel
	// Leader tells who is active now, and Changed returns a channel that is closed when somebody else may be.
	Leader  func() Leader
	Changed func() <-chan struct{}
	Connect func(address string) *peer.Client
	// Group owns the goroutines that watch, while a request is under way, whether another controller is active.
	Group *lifecycle.Group
	// Await returns when this node acts on the metadata up to an offset, or ctx has ended; nil: nobody waits.
	Await func(ctx context.Context, offset int64)
}

// OffsetTag is the tag of an Envelope's answer in which a controller of Weir says up to which offset of the metadata the
// answer reaches, in eight bytes. Others pass over it.
const OffsetTag = 0x57e1

// awaitPatience bounds how long an answer waits for this node to have seen what it tells.
const awaitPatience = time.Second

// Network is the Channel to the active controller, wherever it is: a call if it is this node, else a connection. Requests
// of this broker go as they are, those of clients in an Envelope, with the client's principal (KIP-590). When the
// controller has moved or is not to be reached, it is looked for again. Safe for concurrent use.
type Network struct {
	cfg     NetworkConfig
	mu      sync.Mutex
	clients map[string]*peer.Client
}

// NewNetwork returns a channel that has not connected yet.
func NewNetwork(cfg NetworkConfig) *Network {
	return &Network{cfg: cfg, clients: map[string]*peer.Client{}}
}

// Handle implements Channel.
func (n *Network) Handle(ctx context.Context, rc controller.RequestContext, req kmsg.Request) (kmsg.Response, error) {
	end := time.NewTimer(giveUp)
	defer end.Stop()
	for {
		changed := n.cfg.Changed()
		resp, err := n.once(ctx, rc, req)
		if err == nil || !again(err) || ctx.Err() != nil {
			return resp, err
		}
		// A client that got no answer in time asks another broker. What it asked this one must not be done seconds later, when
		// it may have deleted what the other one made.
		select {
		case <-rc.Gone:
			return nil, fmt.Errorf("%w: the client has gone: %w", wire.RequestTimedOut, err)
		default:
		}
		pause := time.NewTimer(retryPause)
		select {
		case <-changed:
			pause.Stop()
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, fmt.Errorf("%w: %w", err, ctx.Err())
		case <-rc.Gone:
			pause.Stop()
			return nil, fmt.Errorf("%w: the client has gone: %w", wire.RequestTimedOut, err)
		case <-end.C:
			pause.Stop()
			return nil, fmt.Errorf("%w: no active controller answered: %w", wire.RequestTimedOut, err)
		}
	}
}

// again reports whether another controller, or the same one later, may answer. A request that was on a connection that
// broke is asked again, as Kafka's brokers do.
func again(err error) bool {
	if errors.Is(err, wire.NotController) || errors.Is(err, peer.ErrLost) || errors.Is(err, peer.ErrTimeout) {
		return true
	}
	var op *net.OpError
	return errors.As(err, &op)
}

// once asks whoever is the active controller now.
func (n *Network) once(ctx context.Context, rc controller.RequestContext, req kmsg.Request) (kmsg.Response, error) {
	leader := n.cfg.Leader()
	switch {
	case leader.ID < 0:
		return nil, wire.NotController
	case leader.ID == n.cfg.NodeID && n.cfg.Local != nil:
		return n.cfg.Local.Handle(ctx, rc, req)
	case leader.Address == "":
		return nil, wire.NotController
	case ofBrokers(req.Key()) || rc.Principal == "":
		return n.ask(ctx, leader.Address, rc, req)
	}
	return n.envelope(ctx, leader.Address, rc, req)
}

// ofBrokers are the requests that a broker sends on its own behalf.
func ofBrokers(key int16) bool {
	switch key {
	case 56, 62, 63, 67, 70, 73, 82: // AlterPartition, BrokerRegistration, BrokerHeartbeat, AllocateProducerIds, ControllerRegistration, AssignReplicasToDirs, UpdateRaftVoter
		return true
	}
	return false
}

func (n *Network) ask(ctx context.Context, address string, _ controller.RequestContext, req kmsg.Request) (kmsg.Response, error) {
	ctx, stop := n.whileActive(ctx, address)
	defer stop()
	resp, err := n.client(address, req.Key()).Do(ctx, req)
	if context.Cause(ctx) == errMoved {
		return nil, wire.NotController
	}
	if err != nil {
		return nil, err
	}
	if errorCodeOf(resp) == wire.NotController {
		return nil, wire.NotController
	}
	return resp, nil
}

// errMoved says that another controller is active.
var errMoved = errors.New("the active controller is another one")

// whileActive ends with ctx, or when another controller is known to be active than the one at the address: what this node
// asks on its own behalf may be asked twice, and a controller that is frozen answers too late for a session.
func (n *Network) whileActive(ctx context.Context, address string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	n.cfg.Group.Go("watch the active controller", func(context.Context) {
		for {
			changed := n.cfg.Changed()
			if l := n.cfg.Leader(); l.ID >= 0 && (l.Address != address || l.ID == n.cfg.NodeID && n.cfg.Local != nil) {
				cancel(errMoved)
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, func() { cancel(nil) }
}

func errorCodeOf(resp kmsg.Response) wire.Code {
	switch r := resp.(type) {
	case *kmsg.AlterPartitionResponse:
		return wire.Code(r.ErrorCode)
	case *kmsg.BrokerRegistrationResponse:
		return wire.Code(r.ErrorCode)
	case *kmsg.BrokerHeartbeatResponse:
		return wire.Code(r.ErrorCode)
	case *kmsg.AllocateProducerIDsResponse:
		return wire.Code(r.ErrorCode)
	case *kmsg.ControllerRegistrationResponse:
		return wire.Code(r.ErrorCode)
	case *kmsg.AssignReplicasToDirsResponse:
		return wire.Code(r.ErrorCode)
	case *kmsg.AddRaftVoterResponse:
		return wire.Code(r.ErrorCode)
	case *kmsg.RemoveRaftVoterResponse:
		return wire.Code(r.ErrorCode)
	case *kmsg.UpdateRaftVoterResponse:
		return wire.Code(r.ErrorCode)
	case *kmsg.CreateTopicsResponse:
		if len(r.Topics) > 0 {
			return wire.Code(r.Topics[0].ErrorCode)
		}
	}
	return wire.None
}

// envelope forwards a client's request.
func (n *Network) envelope(ctx context.Context, address string, rc controller.RequestContext, req kmsg.Request) (kmsg.Response, error) {
	env := kmsg.NewPtrEnvelopeRequest()
	env.RequestData = kmsg.NewRequestFormatter(kmsg.FormatterClientID(rc.ClientID)).AppendRequest(nil, req, 0)[4:]
	kind, name, _ := strings.Cut(rc.Principal, ":")
	principal := kmsg.DefaultPrincipalData{Type: kind, Name: name, TokenAuthenticated: rc.TokenAuthenticated}
	env.RequestPrincipal = principal.AppendTo(nil)
	env.ClientHostAddress = rc.ClientHost.AsSlice()
	if len(env.ClientHostAddress) == 0 {
		env.ClientHostAddress = []byte{0, 0, 0, 0}
	}
	answer, err := n.client(address, env.Key()).Do(ctx, env)
	if err != nil {
		return nil, err
	}
	e := answer.(*kmsg.EnvelopeResponse)
	if code := wire.Code(e.ErrorCode); code != wire.None {
		return nil, code
	}
	n.await(ctx, e)
	return readForwarded(req, e.ResponseData)
}

// await holds an answer back until this node has seen the change: who creates a topic and then asks the same node for it
// finds it. Apache Kafka does not wait.
func (n *Network) await(ctx context.Context, e *kmsg.EnvelopeResponse) {
	var offset int64
	e.UnknownTags.Each(func(key uint32, value []byte) {
		if key == OffsetTag && len(value) == 8 {
			offset = int64(binary.BigEndian.Uint64(value))
		}
	})
	if offset == 0 || n.cfg.Await == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, awaitPatience)
	defer cancel()
	n.cfg.Await(ctx, offset)
}

// readForwarded reads the answer in an Envelope: a header of its own, and the body in the version that was asked.
func readForwarded(req kmsg.Request, b []byte) (kmsg.Response, error) {
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	header := 4
	if wire.FlexibleRequest(req.Key(), req.GetVersion()) {
		header++ // Kafka's answers have no tags there
	}
	if len(b) < header || binary.BigEndian.Uint32(b) != 0 || header == 5 && b[4] != 0 {
		return nil, fmt.Errorf("the answer in an envelope has no valid header: %w", wire.UnknownServerError)
	}
	if err := resp.ReadFrom(b[header:]); err != nil {
		return nil, fmt.Errorf("the answer in an envelope: %w", err)
	}
	return resp, nil
}

// client is the client for a request: as in Kafka heartbeats, forwarding and the rest have connections of their own, so
// that one does not wait for the other.
func (n *Network) client(address string, key int16) *peer.Client {
	purpose := "rest"
	switch key {
	case 62, 63:
		purpose = "heartbeat"
	case 58:
		purpose = "forward"
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.clients[purpose+" "+address]
	if c == nil {
		c = n.cfg.Connect(address)
		n.clients[purpose+" "+address] = c
	}
	return c
}

// AddressOf is host:port.
func AddressOf(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
