// Package handler answers Kafka's requests: one file per API, each opening with its versions and what they brought,
// and two tables, one for the broker's listeners and one for the controller's.
//
// A handler decodes, asks for rights, calls a room below and maps its outcome to a protocol answer. It holds no
// state but fetch sessions, opens no socket, and never waits on the connection's goroutine.
package handler

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/clientmetrics"
	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/coordinator/txn"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/quota"
	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/security/audit"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// Controller decides on requests that change the cluster: the local controller in a combined node, or one reached
// through forwarding. It answers after the decision is committed and visible in Image.
type Controller interface {
	Handle(ctx context.Context, rc controller.RequestContext, req kmsg.Request) (kmsg.Response, error)
}

// ProducerIDs hands out producer ids that no other broker hands out. Its errors wrap the wire.Code that clients are told.
type ProducerIDs interface {
	Next(ctx context.Context) (int64, error)
}

// Deps is what the handlers stand on. All fields are required, except where it says so.
type Deps struct {
	NodeID    int32
	ClusterID string
	// Config is the node's present configuration, dynamic settings included.
	Config   func() *config.Set
	Image    func() *image.Image
	Replicas *replica.Manager
	Groups   *group.Coordinator
	// Txns coordinates transactions, Verifier asks whoever coordinates one, Markers ends them in the partitions that are here.
	Txns       *txn.Coordinator
	Verifier   *txn.Verifier
	Markers    *txn.LocalMarkers
	Logs       *log.Manager
	Controller Controller
	// Quorum serves other nodes on a controller's listeners; nil on a broker's.
	Quorum Quorum
	// Heard is told of each heartbeat on a controller's listener: whose, in which broker epoch, and what is closed when its
	// connection is; nil: nobody asks.
	Heard       func(broker int32, epoch int64, gone <-chan struct{})
	ProducerIDs ProducerIDs
	Authorizer  authz.Authorizer
	Quotas      *quota.Manager // nil: nobody has quotas
	// Audit is told who was allowed and denied what; nil: nobody is.
	Audit *audit.Log
	// AuditTopic is the topic that nodes write the audit log to; empty: none.
	AuditTopic string
	// CheckSecurity tells whether the listeners could do with settings that are to be; nil: they have none.
	CheckSecurity func(*config.Set) error
	// Features are the feature levels that this build supports.
	Features []image.FeatureRange
	// Group owns the goroutines of requests that wait.
	Group  *lifecycle.Group
	Logger *slog.Logger
	// Loggers are all loggers of the process, whose levels can be read and changed as settings.
	Loggers *telemetry.Logs
	// ClientMetrics takes the metrics that clients push; nil if they are to push none.
	ClientMetrics *clientmetrics.Manager
	Now           func() time.Time
}

// Broker answers the requests of a broker's listeners. Safe for concurrent use.
type Broker struct {
	Deps
	sessions *fetchSessions
	// creating has the names of the topics that are being created because they were asked for.
	creating sync.Map
	// creatingOffsets and creatingTxns are set while the creation of __consumer_offsets or __transaction_state is under way.
	creatingOffsets, creatingTxns atomic.Bool
	stopping                      chan struct{} // closed by Stop
	parked                        parkedFetches
	// What ApiVersions answers on either kind of listener.
	apiKeys, controllerKeys []kmsg.ApiVersionsResponseApiKey
	controllerRoutes        []wire.Route
	consumerProtocol        bool // group.coordinator.rebalance.protocols has it
}

// New returns the handlers of a broker.
func New(d Deps) *Broker {
	b := &Broker{Deps: d, sessions: newFetchSessions(d.Config().Int("max.incremental.fetch.session.cache.slots"), d.Now), stopping: make(chan struct{})}
	b.consumerProtocol = slices.ContainsFunc(d.Config().List("group.coordinator.rebalance.protocols"), func(p string) bool { return strings.EqualFold(p, "consumer") })
	b.controllerRoutes = b.ControllerRoutes()
	b.apiKeys, b.controllerKeys = wire.ApiVersionKeys(b.Routes()), wire.ApiVersionKeys(b.controllerRoutes)
	return b
}

// Stop answers the requests that wait for data, so that nobody waits for them. It is called once, before the listeners
// close.
func (b *Broker) Stop() {
	close(b.stopping)
	b.parked.stop()
}

// requestContext says to the controller whose request it is.
func requestContext(r *wire.Request) controller.RequestContext {
	return controller.RequestContext{Principal: r.Conn.Principal, ClientID: r.ClientID, ClientHost: r.Conn.Remote.Addr(), Listener: r.Conn.Listener, Gone: r.Done}
}

// forward hands a request to the controller and replies with what it answers; edit, if not nil, may change the
// answer.
func (b *Broker) forward(r *wire.Request, req kmsg.Request, edit func(kmsg.Response)) {
	rc := requestContext(r)
	b.Group.Go("forward", func(ctx context.Context) {
		resp, err := b.Controller.Handle(ctx, rc, req)
		if wire.CodeOf(err) == wire.NotController && r.MovedFunc != nil {
			r.MovedFunc()
			return
		}
		if err != nil {
			r.Reply(wire.ErrorResponse(req, wire.CodeOf(err), message(err)))
			return
		}
		if edit != nil {
			edit(resp)
		}
		r.Reply(resp)
	})
}
