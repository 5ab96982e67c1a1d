package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"

	"github.com/weir-stream/weir/internal/clientmetrics"
	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/handler"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/node/format"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/server"
	"github.com/weir-stream/weir/internal/uplink"
	"github.com/weir-stream/weir/internal/wire"
)

// Start builds a node and returns when it serves. It writes nothing if the settings, the directories or the ports are
// not usable.
func Start(ctx context.Context, opts Options) (*Node, error) {
	n := &Node{id: opts.Config.Node().ID, opts: opts, failed: make(chan error, 1)}
	n.opts.fillDefaults()
	if err := n.start(ctx); err != nil {
		return nil, err
	}
	return n, nil
}

// start does it. What was begun is ended if it does not come to its end.
func (n *Node) start(ctx context.Context) (err error) {
	cfg := n.opts.Config
	if err := probePorts(n.opts.Net, cfg.Node().Listeners); err != nil {
		return err
	}
	n.logger = n.opts.Logs.Logger("node")
	n.config.Store(cfg)
	n.image.Store(image.Empty())
	n.served.Store(image.Empty())
	if _, err := rand.Read(n.incarnation[:]); err != nil {
		return fmt.Errorf("make an incarnation id: %w", err)
	}
	if err := n.openSecurity(cfg); err != nil {
		return err
	}
	prepared, err := format.Prepare(n.opts.FS, cfg.Node(), n.opts.Now(), n.logger)
	if err != nil {
		return err
	}
	n.clusterID, n.metadataID = prepared.ClusterID, prepared.MetadataDirectoryID
	n.logGroup, n.metaGroup, n.work, n.watch, n.trail = n.newGroup("log"), n.newGroup("metadata"), n.newGroup("node"), n.newGroup("metrics"), n.newGroup("audit")
	undo := []func(){n.work.Stop, n.trail.Stop, n.watch.Stop, n.logGroup.Stop, n.metaGroup.Stop}
	defer func() {
		if err != nil {
			for i := range undo {
				undo[i]()
			}
		}
	}()
	if err := n.serveMetrics(); err != nil {
		return err
	}
	if err := n.openAudit(cfg); err != nil {
		return err
	}
	if err := n.openLogs(ctx); err != nil {
		return err
	}
	undo = append(undo, func() { _ = n.logs.Abandon() }) // the start has failed for another reason already
	if n.isBroker() {
		n.openPartitions(cfg)
	}
	n.quotas = newQuotas(cfg)
	n.authz, n.observer, n.presence = n.authorizer(), newObserver(n.opts.Metrics, n.audit), newPresence(n)
	n.controller = controller.New(n.controllerConfig(controller.Bootstrap{Records: prepared.Bootstrap, Source: prepared.BootstrapSource}))
	undo = append([]func(){n.stopListening}, undo...)
	if err := n.listen(); err != nil {
		return err
	}
	n.connect()
	// Everything that a published image touches is there now: the goroutines that publish may start.
	n.assembled.Store(true)
	if err := n.openMetadata(); err != nil {
		return err
	}
	undo = append(undo, func() { _ = n.quorum.Close() })
	return n.join(ctx)
}

// openPartitions builds what only a broker has: replicas and the coordinators that live on them.
func (n *Node) openPartitions(cfg *config.Set) {
	n.former = newFormerReplicas(n.id, n.logs, n.logger)
	n.replicas = replica.New(replica.Config{
		NodeID: n.id, Logs: n.logs, Logger: n.room("replica"), Metrics: n.opts.Metrics,
		Settings: func() replica.Settings { return replicaSettings(n.config.Load()) }, Alive: n.aliveBroker, Rack: n.rackOf,
		ThrottleWindow: quotaWindow(cfg.Int("replication.quota.window.num"), cfg.Int("replication.quota.window.size.seconds")),
	})
	n.groups = group.New(group.ConfigFrom(cfg), group.Deps{
		Partitions: partitions{n.replicas}, PartitionCount: n.offsetsPartitions, Group: n.work, Logger: n.room("group"), Now: n.opts.Now,
		Image: n.image.Load, GroupSettings: n.groupSettings,
	})
	n.openTransactions()
}

// groupSettings are the settings of a consumer group as they are now.
func (n *Node) groupSettings(name string) group.GroupSettings {
	g := n.config.Load().Group(n.image.Load().Config(image.GroupConfig, name))
	return group.GroupSettings{SessionTimeout: g.ConsumerSessionTimeout, HeartbeatInterval: g.ConsumerHeartbeatInterval, AssignmentInterval: g.ConsumerAssignmentInterval}
}

// stopListening ends the listeners that there are.
func (n *Node) stopListening() {
	for _, s := range []*server.Server{n.server, n.controllerServer} {
		if s != nil {
			s.Stop(0)
		}
	}
}

func (n *Node) newGroup(name string) *lifecycle.Group {
	g := lifecycle.New(name, n.logger)
	g.OnPanic(func(err error) { n.fail(err) })
	return g
}

// probePorts finds a port that is taken before anything is written.
func probePorts(network Network, ls []config.Listener) error {
	for _, l := range ls {
		if l.Port == 0 {
			continue
		}
		ln, err := network.Listen(l.Address())
		if err != nil {
			return fmt.Errorf("listeners=%s: the address cannot be used: %w", l, err)
		}
		_ = ln.Close() // only asked whether it is free
	}
	return nil
}

func (n *Node) openLogs(ctx context.Context) error {
	mc := logManagerConfig(n.config.Load())
	mc.FS, mc.Now = n.opts.FS, n.opts.Now
	mc.ClusterID, mc.Logger, mc.TopicConfig = n.clusterID, n.room("log"), n.topicLogConfig
	mc.OnFlushed = func(l *log.Log) { n.replicas.OnFlushed(l) }
	mc.OnStartMoved = func(l *log.Log) { n.replicas.OnStartMoved(l) }
	mc.OnDirFailure = n.directoryFailed
	mc.OnSwapped = n.logMoved
	var err error
	if n.logs, err = log.OpenManager(mc); err != nil || !n.isBroker() {
		return err // a controller has the directories to itself, and no partitions in them
	}
	return n.logs.Load(ctx)
}

// controllerConfig is what the controller has to know.
func (n *Node) controllerConfig(bootstrap controller.Bootstrap) controller.Config {
	cfg := n.config.Load()
	return controller.Config{
		NodeID: n.id, DirectoryID: n.metadataID, ClusterID: n.clusterID, Settings: n.config.Load, OnImage: n.publish,
		Endpoints: endpoints(cfg.Node().AdvertisedController), IncarnationID: n.incarnation, Bootstrap: bootstrap, Log: n.room("controller"), Quotas: n.quotas, Now: n.opts.Now,
	}
}

// openMetadata loads the metadata, which calls publish with all there is, and starts quorum and controller.
func (n *Node) openMetadata() error {
	var err error
	n.quorum, err = quorum.Open(n.quorumConfig())
	if err != nil {
		return err
	}
	n.controller.Start(n.metaGroup, n.quorum)
	if err := n.controllerServer.Start(); err != nil { // without it there may be no quorum
		return errors.Join(err, n.quorum.Close())
	}
	n.quorum.Start(n.metaGroup)
	n.watchSecurity()
	n.sweepQuotas()
	n.keepRegistered()
	n.keepVoting()
	return nil
}

// listen builds the handlers and binds the listeners, without accepting yet.
func (n *Node) listen() error {
	cfg := n.config.Load()
	if cfg.Bool("weir.client.telemetry") {
		n.clientMetrics = clientmetrics.New(clientmetrics.Options{
			MaxInstances: cfg.Int("weir.client.telemetry.max.instances"), MaxBytes: cfg.Int("telemetry.max.bytes"),
		}, n.opts.Metrics)
	}
	n.way = n.channel()
	n.handlers = handler.New(n.deps())
	var err error
	if n.server, err = n.newServer(listenersOf(cfg.Node(), false), n.handlers, n.handlers.Routes()); err != nil {
		return err
	}
	deps := n.deps()
	deps.Controller, deps.Quorum, deps.Group, deps.Heard = n.controller, voice{n}, n.metaGroup, n.presence.heard
	n.controllerHandlers = handler.New(deps)
	n.controllerServer, err = n.newServer(listenersOf(cfg.Node(), true), n.controllerHandlers, n.controllerHandlers.ControllerRoutes())
	return err
}

// deps is what the handlers of a broker's listeners stand on.
func (n *Node) deps() handler.Deps {
	return handler.Deps{
		NodeID: n.id, ClusterID: n.clusterID, Config: n.config.Load, Image: n.served.Load, Replicas: n.replicas, Logs: n.logs,
		Controller: n.way, Groups: n.groups, Txns: n.txns, Verifier: n.verifier, Markers: n.markers, ProducerIDs: lateIDs{n}, Authorizer: n.authz, Audit: n.audit, AuditTopic: auditTopic(n.config.Load()), Quotas: n.quotas, CheckSecurity: n.channels.Check, Features: image.SupportedFeatures(),
		Group: n.work, Logger: n.room("handler"), Loggers: n.opts.Logs, ClientMetrics: n.clientMetrics, Now: n.opts.Now,
	}
}

// newServer binds listeners without accepting yet.
func (n *Node) newServer(ls []config.Listener, quotas server.Quotas, routes []wire.Route) (*server.Server, error) {
	cfg := n.config.Load()
	sc := server.Config{Limits: serverLimits(cfg), Logger: n.room("server"), OnPanic: n.fail, Observer: n.observer, Quotas: quotas, Listen: n.opts.Net.Listen,
		AddressRate: n.quotas.ConnectionRate, RateWindow: quotaWindow(cfg.Int("quota.window.num"), cfg.Int("quota.window.size.seconds"))}
	for _, l := range ls {
		sc.Listeners = append(sc.Listeners, server.Listener{
			Name: l.Name, SecurityProtocol: l.Protocol, Address: l.Address(), Routes: routes,
			Privileged: l.Controller || l.Name == cfg.Node().InterBroker,
			Wrap:       n.channels.Wrap(l.Name), SASL: n.channels.SASL(l.Name),
			Backlog:         cfg.Int("socket.listen.backlog.size"),
			SendBufferBytes: cfg.Int("socket.send.buffer.bytes"), ReceiveBufferBytes: cfg.Int("socket.receive.buffer.bytes"),
		})
	}
	s, err := server.New(sc)
	if err != nil {
		return nil, err
	}
	return s, s.Listen()
}

// connect makes the broker's half of the controller protocol.
func (n *Node) connect() {
	if !n.isBroker() {
		return
	}
	cfg := n.config.Load()
	var rack *string
	if r := cfg.Node().Rack; r != "" {
		rack = &r
	}
	n.uplink = uplink.NewBroker(uplink.Config{
		Channel: n.way, BrokerID: n.id, ClusterID: n.clusterID, IncarnationID: n.incarnation,
		Endpoints: n.boundEndpoints(), Rack: rack, Directories: n.onlineDirectories(), Features: image.SupportedFeatures(),
		PreviousEpoch: n.logs.PreviousBrokerEpoch(), OnRegistered: n.logs.BeginRun, RegistrationTimeout: cfg.Millis("initial.broker.registration.timeout.ms"), HeartbeatInterval: cfg.Millis("broker.heartbeat.interval.ms"),
		Offset: func() int64 { return n.served.Load().Offset() }, Log: n.room("uplink"),
	})
	n.ids = uplink.NewProducerIDs(n.uplink)
}

// join makes the broker a member of the cluster and opens the doors.
func (n *Node) join(ctx context.Context) error {
	n.register()
	if !n.networked() {
		if err := n.controller.WaitActive(ctx); err != nil {
			return err
		}
	}
	if !n.isBroker() {
		n.serving.Store(true)
		return nil
	}
	epoch, err := n.uplink.Register(ctx)
	if err != nil {
		return n.refusedFor(ctx, err)
	}
	if err := n.awaitImage(ctx, epoch); err != nil {
		return err
	}
	if err := n.tellOffline(); err != nil {
		return err
	}
	n.setAsideStrays()
	n.logs.Start(n.logGroup)
	n.replicas.Start(n.work, replica.Cluster{ISR: n.uplink, Epoch: n.uplink.Epoch, Peer: n.peerTo})
	if err := n.server.Start(); err != nil {
		return err
	}
	n.uplink.Start(n.work)
	if err := n.uplink.Unfence(ctx); err != nil {
		return errors.Join(err, ctx.Err())
	}
	n.serving.Store(true)
	return nil
}

// lateIDs hands out producer ids once the broker is registered; before that no listener is open.
type lateIDs struct{ n *Node }

func (l lateIDs) Next(ctx context.Context) (int64, error) { return l.n.ids.Next(ctx) }

// boundEndpoints are the advertised listeners, with the ports that the system chose where the settings leave them
// open.
func (n *Node) boundEndpoints() []image.Endpoint {
	return n.withPorts(endpoints(n.config.Load().Node().Advertised))
}

// withPorts fills in the ports that the system chose.
func (n *Node) withPorts(out []image.Endpoint) []image.Endpoint {
	for i := range out {
		if out[i].Port == 0 {
			if a, ok := n.address(out[i].Name).(*net.TCPAddr); ok {
				out[i].Port = uint16(a.Port)
			}
		}
	}
	return out
}

// address is where a listener of either kind is bound, nil if there is none.
func (n *Node) address(listener string) net.Addr {
	if a := n.server.Addr(listener); a != nil {
		return a
	}
	return n.controllerServer.Addr(listener)
}

var securityProtocols = map[string]int16{config.Plaintext: 0, config.SSL: 1, config.SASLPlaintext: 2, config.SASLSSL: 3}

func endpoints(ls []config.Listener) []image.Endpoint {
	out := make([]image.Endpoint, 0, len(ls))
	for _, l := range ls {
		out = append(out, image.Endpoint{Name: l.Name, Host: l.Host, Port: uint16(l.Port), SecurityProtocol: securityProtocols[l.Protocol]})
	}
	return out
}

// quorumEndpoints are the controller listeners that others can be told: not one that was made up and has no port.
func quorumEndpoints(ls []config.Listener) []quorum.Endpoint {
	var out []quorum.Endpoint
	for _, l := range ls {
		if l.Port > 0 {
			out = append(out, quorum.Endpoint{Name: l.Name, Host: l.Host, Port: uint16(l.Port)})
		}
	}
	return out
}

// partitions lets the coordinators find their partitions among the replicas.
type partitions struct{ m *replica.Manager }

func (p partitions) Partition(topic string, index int32) (coordinator.Partition, int32, error) {
	o, epoch, err := p.m.Owned(topic, index)
	if err != nil {
		return nil, -1, err
	}
	return o, epoch, nil
}

// offsetsPartitions is the number of partitions of the offsets topic, or what it will be made with.
func (n *Node) offsetsPartitions() int32 {
	if t := n.image.Load().TopicByName(offsetsTopic); t != nil {
		return int32(len(t.Partitions))
	}
	return int32(n.config.Load().Int("offsets.topic.num.partitions"))
}
