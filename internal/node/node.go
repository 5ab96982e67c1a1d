// Package node builds a node from its settings: log directories, metadata quorum and controller, replicas,
// coordinators, handlers and listeners, and starts and stops them in the one order that is safe. It is the only room
// that knows all the others; it decides nothing on its own.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/clientmetrics"
	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/coordinator/txn"
	"github.com/weir-stream/weir/internal/handler"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/quota"
	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/security/audit"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/server"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/uplink"
	"github.com/weir-stream/weir/internal/vfs"
)

const (
	offsetsTopic = "__consumer_offsets"
	// stopGrace is how long requests in flight may take when the node stops.
	stopGrace = 5 * time.Second
	// leaveTimeout bounds the controlled shutdown.
	leaveTimeout = 30 * time.Second
)

// Options is what a node is made of besides its settings.
type Options struct {
	Config  *config.Set
	Logs    *telemetry.Logs     // nil: warnings and errors on standard error
	Metrics *telemetry.Registry // nil: measured, but served nowhere
	Version string
	// FS holds the log directories; nil: the operating system's files.
	FS vfs.FS
	// Net is how the node is reached and reaches others; nil: TCP. Metrics listeners are always TCP.
	Net Network
	// Now is the clock that tells the time of day, for timestamps, retention and expiry; nil: time.Now. What is measured
	// or waited for goes by the monotonic clock, also where it is taken from here.
	Now func() time.Time
}

// Network makes listeners and connections; addresses are host:port. A simulation brings its own.
type Network interface {
	Listen(address string) (net.Listener, error)
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// tcp is the operating system's network.
type tcp struct{}

func (tcp) Listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }

func (tcp) Dial(ctx context.Context, address string) (net.Conn, error) {
	return peer.DialTCP(ctx, address)
}

func (o *Options) fillDefaults() {
	if o.Logs == nil {
		o.Logs = telemetry.NewLogs(os.Stderr, slog.LevelWarn, false)
	}
	if o.Metrics == nil {
		o.Metrics = telemetry.New(telemetry.Options{})
	}
	if o.FS == nil {
		o.FS = vfs.OS()
	}
	if o.Net == nil {
		o.Net = tcp{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Node is a running broker and controller. Make it with Start, end it with Stop. Safe for concurrent use.
type Node struct {
	id          int32
	clusterID   string
	incarnation [16]byte
	opts        Options
	logger      *slog.Logger
	config      atomic.Pointer[config.Set]
	image       atomic.Pointer[image.Image]
	served      atomic.Pointer[image.Image] // what clients are told: its replicas are open here

	logGroup   *lifecycle.Group // background work of the log
	metaGroup  *lifecycle.Group // quorum and controller
	work       *lifecycle.Group // requests that wait, coordinators, heartbeats
	watch      *lifecycle.Group // the metrics listener: it answers until the logs are closed
	trail      *lifecycle.Group // the audit log, where it is a topic
	logs       *log.Manager     // of a node that is only a controller: the directories, without logs
	former     *formerReplicas  // nil once this process is registered
	replicas   *replica.Manager // nil on a node that is only a controller, as are uplink, ids and groups
	quorum     *quorum.Quorum
	controller *controller.Controller
	uplink     *uplink.Broker
	groups     *group.Coordinator
	txns       *txn.Coordinator
	verifier   *txn.Verifier
	markers    *txn.LocalMarkers
	colleagues *colleagues
	way        uplink.Channel // to the active controller
	handlers   *handler.Broker
	authz      authz.Authorizer
	observer   *observer
	presence   *presence
	acts       milestone
	rights     *authz.Standard // nil: nobody is refused
	audit      *audit.Log      // nil: off
	server     *server.Server

	controllerHandlers *handler.Broker
	controllerServer   *server.Server

	clientMetrics *clientmetrics.Manager // nil: off
	quotas        *quota.Manager
	ids           *uplink.ProducerIDs
	metadataID    [16]byte // directory id of the metadata directory
	assign        assignments
	assembled     atomic.Bool // every room is there
	failed        chan error

	security
	flags
}

// Run starts a node, serves until ctx ends or the node cannot go on, and stops it in order.
func Run(ctx context.Context, opts Options) error {
	n, err := Start(ctx, opts)
	if err != nil {
		return err
	}
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-n.failed:
	}
	return errors.Join(failure, n.Stop())
}

// Failed delivers at most one error: why the node cannot go on and has to be stopped.
func (n *Node) Failed() <-chan error { return n.failed }

// Addr is the address that a listener is bound to, empty if there is no such listener.
func (n *Node) Addr(listener string) string {
	if a := n.address(listener); a != nil {
		return a.String()
	}
	return ""
}

// ClusterID is the id of the cluster that the node belongs to.
func (n *Node) ClusterID() string { return n.clusterID }

// room is the logger of another room.
func (n *Node) room(name string) *slog.Logger { return n.opts.Logs.Logger(name) }

// fail tells whoever runs the node that it cannot go on.
func (n *Node) fail(err error) {
	select {
	case n.failed <- err:
	default: // one reason is enough
	}
}

// Stop ends the node in order: it leaves the cluster, lets requests finish, flushes the logs and marks the directories
// as cleanly left. What it returns was not as it should be; the process may end all the same.
func (n *Node) Stop() error {
	n.leaving.Store(true)
	if n.isBroker() {
		if err := n.leave(); err != nil {
			n.logger.Warn("controlled shutdown was cut short", "err", err)
		}
	}
	n.handlers.Stop()
	if n.isBroker() {
		n.groups.Close()
		n.txns.Close()
	}
	n.server.Stop(stopGrace)
	n.trail.Stop()
	n.work.Stop()
	if n.isBroker() {
		n.colleagues.close()
	}
	n.logGroup.Stop()
	err := n.closeLogs()
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	n.quorum.Resign(ctx)
	n.controllerHandlers.Stop()
	n.controllerServer.Stop(stopGrace)
	n.watch.Stop()
	n.metaGroup.Stop()
	return errors.Join(err, n.quorum.Close())
}

// closeLogs leaves the log directories, cleanly where there are logs.
func (n *Node) closeLogs() error {
	if !n.isBroker() {
		return n.logs.Abandon()
	}
	if err := n.logs.Close(n.uplink.Epoch()); err != nil {
		return fmt.Errorf("close logs: %w", err)
	}
	return nil
}

// isBroker reports whether the node has the role of a broker.
func (n *Node) isBroker() bool { return n.config.Load().Node().Broker }
