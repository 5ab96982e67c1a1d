package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/handler"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/server"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/uplink"
	"github.com/weir-stream/weir/internal/vfs"
)

const listenerName = "PLAINTEXT"

// Broker is one broker of a Cluster. Its methods are called by the test's goroutine.
type Broker struct {
	c  *Cluster
	ID int32
	// Rack is where it is; Fsync gives it weir.durability=fsync. Both are taken at its start.
	Rack  string
	Fsync bool
	// Root, if set, is a directory of the operating system that holds the broker's; there are no power cuts then.
	Root string

	fs      *vfs.Mem
	badDir  atomic.Pointer[string] // a directory whose writes fail
	fullDir atomic.Pointer[string] // a directory whose writes find no space
	cut     atomic.Bool            // it cannot reach other brokers
	rate    atomic.Int64           // of throttled copies
	address string                 // of its listener, once it has started: clients find it there again

	*running
}

// running is what a broker's process has.
type running struct {
	work, logGroup *lifecycle.Group
	Logs           *log.Manager
	Replicas       *replica.Manager
	Groups         *group.Coordinator
	handlers       *handler.Broker
	server         *server.Server
	uplink         *uplink.Broker
	image          atomic.Pointer[image.Image]
	conns          sync.Map // to other brokers
}

// dirs are the log directories.
func (b *Broker) dirs() []string { return []string{b.Root + "/a", b.Root + "/b"} }

func (b *Broker) files() vfs.FS {
	if b.Root != "" {
		return vfs.OS()
	}
	return vfs.Inject(b.fs, b.fault)
}

// format makes the log directories.
func (b *Broker) format() {
	fs := b.files()
	for i, d := range b.dirs() {
		b.must(fs.MkdirAll(d))
		b.must(log.WriteMetaProperties(fs, d, log.MetaProperties{ClusterID: clusterID, NodeID: b.ID, DirectoryID: [16]byte{byte(b.ID), 0xd0, byte(i)}}, time.Now()))
	}
	b.must(fs.SyncDir(b.Root + "/"))
}

func (b *Broker) must(err error) {
	b.c.T.Helper()
	if err != nil {
		b.c.T.Fatalf("broker %d: %v", b.ID, err)
	}
}

// Running reports whether the broker's process is there.
func (b *Broker) Running() bool { return b.running != nil }

// Address is where clients find it.
func (b *Broker) Address() string { return b.server.Addr(listenerName).String() }

// Epoch is its broker epoch.
func (b *Broker) Epoch() int64 { return b.uplink.Epoch() }

// Start starts the broker's process and returns when it serves.
func (b *Broker) Start() {
	b.c.T.Helper()
	r := &running{work: lifecycle.New("broker", b.c.Logger), logGroup: lifecycle.New("log", b.c.Logger)}
	for _, g := range []*lifecycle.Group{r.work, r.logGroup} {
		g.OnPanic(func(err error) { b.c.T.Errorf("broker %d: %v", b.ID, err) })
	}
	b.running = r
	b.badDir.Store(nil)
	b.fullDir.Store(nil)
	r.image.Store(image.Empty())
	b.openLogs()
	b.assemble()
	b.must(r.server.Listen())
	b.address = b.Address()
	b.connect()
	img, changed := b.c.Image()
	b.publish(img)
	r.work.Go("metadata", func(ctx context.Context) { b.follow(ctx, changed) })
	b.register()
	r.Logs.Start(r.logGroup)
	r.Replicas.Start(r.work, replica.Cluster{ISR: r.uplink, Epoch: r.uplink.Epoch, Peer: b.peerTo})
	b.must(r.server.Start())
	r.uplink.Start(r.work)
	b.must(r.uplink.Unfence(b.c.Context()))
}

// register waits while the session of the process before lasts, as a broker does.
func (b *Broker) register() {
	b.c.Eventually(fmt.Sprintf("broker %d is registered", b.ID), func() bool {
		_, err := b.uplink.Register(b.c.Context())
		return err == nil
	})
}

func (b *Broker) openLogs() {
	durability := log.DurabilityPageCache
	if b.Fsync {
		durability = log.DurabilityFsync
	}
	var err error
	r := b.running
	r.Logs, err = log.OpenManager(log.ManagerConfig{
		FS: b.files(), Dirs: b.dirs(), NodeID: b.ID, ClusterID: clusterID, Logger: b.c.Logger, Durability: durability, TopicConfig: b.topicLogConfig,
		OnFlushed:             func(l *log.Log) { r.Replicas.OnFlushed(l) },
		OnStartMoved:          func(l *log.Log) { r.Replicas.OnStartMoved(l) },
		OnDirFailure:          func(d log.DirState, _ error) { b.dirFailed(r, d) },
		OnSwapped:             func(_, now *log.Log) { r.Replicas.LogMoved(now.TopicPartition()) },
		RecoveryPointInterval: 200 * time.Millisecond, HighWatermarkInterval: 200 * time.Millisecond,
	})
	b.must(err)
	b.must(r.Logs.Load(b.c.Context()))
}

// FailDir lets all writes in one of its directories fail from now on, until the next start.
func (b *Broker) FailDir(dir string) { b.badDir.Store(&dir) }

// FillDir lets all writes in one of its directories find the disk full from now on, until the next start.
func (b *Broker) FillDir(dir string) { b.fullDir.Store(&dir) }

func (b *Broker) fault(op vfs.Op) error {
	dir := b.badDir.Load()
	if dir != nil && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpSync) && strings.HasPrefix(op.Name, *dir+"/") {
		return syscall.EIO
	}
	if dir := b.fullDir.Load(); dir != nil && op.Kind == vfs.OpWrite && strings.HasPrefix(op.Name, *dir+"/") {
		return syscall.ENOSPC
	}
	return nil
}

// Throttle sets the rates of throttled copies, in bytes a second.
func (b *Broker) Throttle(rate int64) { b.rate.Store(rate) }

// CutOff takes away, or gives back, the way to other brokers; clients and the controller go on to reach it.
func (b *Broker) CutOff(cut bool) {
	b.cut.Store(cut)
	if cut {
		b.conns.Range(func(nc, _ any) bool {
			_ = nc.(net.Conn).Close() // meant to fail
			return true
		})
	}
}

// dial makes a connection to another broker, if it can be reached.
func (b *Broker) dial(ctx context.Context, address string) (net.Conn, error) {
	if b.cut.Load() {
		return nil, errors.New("cut off")
	}
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	b.conns.Store(nc, nil)
	if b.cut.Load() {
		_ = nc.Close() // it was cut off meanwhile
	}
	return nc, nil
}

func (b *Broker) dirFailed(r *running, d log.DirState) {
	r.Replicas.DirectoryFailed(d.ID)
	var ids [][16]byte
	for _, s := range r.Logs.Dirs() {
		if !s.Online {
			ids = append(ids, s.ID)
		}
	}
	r.uplink.SetOffline(ids)
}

func (b *Broker) topicLogConfig(topic string) log.Config {
	c := log.DefaultConfig()
	c.Compact = topic == group.OffsetsTopic
	c.Delete = !c.Compact
	return c
}

func (b *Broker) assemble() {
	r, cfg := b.running, b.c.Settings
	metrics := telemetry.New(telemetry.Options{})
	r.Replicas = replica.New(replica.Config{NodeID: b.ID, Logs: r.Logs, Logger: b.c.Logger.With("broker", b.ID), Metrics: metrics, Alive: r.alive, Rack: r.rack,
		Settings: func() replica.Settings {
			return replica.Settings{LagMax: cfg.Millis("replica.lag.time.max.ms"), Fetchers: cfg.Int("num.replica.fetchers"),
				FetchMaxBytes: int32(cfg.Int("replica.fetch.max.bytes")), ResponseMaxBytes: int32(cfg.Int("replica.fetch.response.max.bytes")),
				FetchMinBytes: 1, FetchWaitMax: cfg.Millis("replica.fetch.wait.max.ms"), FetchBackoff: cfg.Millis("replica.fetch.backoff.ms"),
				RackAwareSelector: cfg.String("replica.selector.class") != "", LeaderThrottle: b.rate.Load(), FollowerThrottle: b.rate.Load()}
		}})
	r.Groups = group.New(group.ConfigFrom(cfg), group.Deps{Partitions: partitions{r.Replicas}, Group: r.work, Logger: b.c.Logger.With("broker", b.ID), Image: r.image.Load,
		PartitionCount: func() int32 { return int32(cfg.Int("offsets.topic.num.partitions")) }})
	r.handlers = handler.New(handler.Deps{NodeID: b.ID, ClusterID: clusterID, Config: func() *config.Set { return cfg }, Image: r.image.Load, Replicas: r.Replicas, Logs: r.Logs,
		Controller: b.c.Controller, Groups: r.Groups, ProducerIDs: ids{r}, Authorizer: authz.AllowAll{}, Features: image.SupportedFeatures(), Group: r.work,
		Logger: b.c.Logger, Loggers: telemetry.NewLogs(discard{}, 0, false), Now: time.Now})
	var err error
	r.server, err = server.New(server.Config{Logger: b.c.Logger, Listeners: []server.Listener{{Name: listenerName, SecurityProtocol: "PLAINTEXT", Address: b.address,
		Routes: r.handlers.Routes(), Privileged: true}}, Limits: server.Limits{MaxRequestBytes: 100 << 20}})
	b.must(err)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// ids hands out producer ids.
type ids struct{ r *running }

func (i ids) Next(ctx context.Context) (int64, error) {
	return uplink.NewProducerIDs(i.r.uplink).Next(ctx)
}

type partitions struct{ m *replica.Manager }

func (p partitions) Partition(topic string, index int32) (coordinator.Partition, int32, error) {
	o, epoch, err := p.m.Owned(topic, index)
	if err != nil {
		return nil, -1, err
	}
	return o, epoch, nil
}

func (b *Broker) connect() {
	var incarnation [16]byte
	_, _ = rand.Read(incarnation[:]) // never fails
	addr := b.server.Addr(listenerName).(*net.TCPAddr)
	var rack *string
	if b.Rack != "" {
		rack = &b.Rack
	}
	var online [][16]byte
	for _, d := range b.Logs.Dirs() {
		online = append(online, d.ID)
	}
	r := b.running
	r.uplink = uplink.NewBroker(uplink.Config{
		Channel: b.c.Controller, BrokerID: b.ID, ClusterID: clusterID, IncarnationID: incarnation, Rack: rack, Directories: online,
		Endpoints: []image.Endpoint{{Name: listenerName, Host: "127.0.0.1", Port: uint16(addr.Port)}}, Features: image.SupportedFeatures(),
		PreviousEpoch: b.Logs.PreviousBrokerEpoch(), OnRegistered: b.Logs.BeginRun, HeartbeatInterval: b.c.Settings.Millis("broker.heartbeat.interval.ms"),
		Offset: func() int64 { return r.image.Load().Offset() }, Log: b.c.Logger,
	})
}

// follow takes over new images until the process ends.
func (b *Broker) follow(ctx context.Context, changed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		var img *image.Image
		img, changed = b.c.Image()
		b.publish(img)
	}
}

// publish brings the replicas in line with an image.
func (b *Broker) publish(img *image.Image) {
	r := b.running
	d := image.Diff(r.image.Load(), img)
	r.image.Store(img)
	placed := map[[16]byte]map[[16]byte][]int32{}
	for id, td := range d.Topics {
		if td.New == nil {
			for i, p := range td.Old.Partitions {
				if p.HasReplica(b.ID) {
					b.apply(replica.Change{Topic: td.Old.Name, TopicID: id, Index: int32(i), Removed: true})
				}
			}
			continue
		}
		least, _ := strconv.Atoi(img.Config(image.TopicConfig, td.New.Name)["min.insync.replicas"])
		for _, i := range td.Changed {
			p, old := td.New.Partition(i), td.Old.Partition(i)
			c := replica.Change{Topic: td.New.Name, TopicID: id, Index: i, MinInSync: max(int32(least), 1)}
			switch {
			case p.HasReplica(b.ID):
				c.Role = partition.Role{Self: b.ID, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch, Replicas: p.Replicas, ISR: p.ISR, Adding: p.Adding}
				if d := p.Directory(b.ID); d[0] != 0 {
					c.Directory = d
				}
			case old != nil && old.HasReplica(b.ID):
				c.Removed = true
			default:
				continue
			}
			b.apply(c)
			if l := r.Logs.Get(log.TopicPartition{Topic: c.Topic, Partition: i}); l != nil && !c.Removed && c.Directory == ([16]byte{}) {
				dir := l.Dir().ID
				if placed[dir] == nil {
					placed[dir] = map[[16]byte][]int32{}
				}
				placed[dir][id] = append(placed[dir][id], i)
			}
		}
	}
	r.Groups.TopicsChanged(d, img.Offset())
	if len(placed) > 0 && r.uplink.Epoch() >= 0 {
		r.work.Go("assign directories", func(ctx context.Context) {
			if err := r.uplink.AssignDirectories(ctx, placed); err != nil && ctx.Err() == nil {
				b.c.T.Errorf("broker %d: %v", b.ID, err)
			}
		})
	}
}

func (b *Broker) apply(c replica.Change) {
	elected, resigned, err := b.Replicas.Apply(c)
	if err != nil && b.work.Context().Err() == nil {
		b.c.Logger.Error("replica is offline", "broker", b.ID, "partition", c.Index, "err", err)
	}
	if c.Topic != group.OffsetsTopic {
		return
	}
	epoch := c.Role.LeaderEpoch
	if c.Removed {
		epoch = -1
	}
	if resigned {
		b.Groups.Resigned(c.Index, epoch)
	}
	if elected {
		b.Groups.Elected(c.Index, epoch)
	}
}

func (r *running) alive(id int32) (int64, bool) {
	if o := r.image.Load().Broker(id); o != nil {
		return o.Epoch, o.Active()
	}
	return -1, false
}

func (r *running) rack(id int32) string {
	if o := r.image.Load().Broker(id); o != nil && o.Rack != nil {
		return *o.Rack
	}
	return ""
}

func (b *Broker) peerTo(id int32) (*peer.Client, error) {
	o := b.image.Load().Broker(id)
	if o == nil {
		return nil, fmt.Errorf("broker %d is not known", id)
	}
	ep, _ := o.Endpoint(listenerName)
	return peer.New(peer.Config{Address: net.JoinHostPort(ep.Host, strconv.Itoa(int(ep.Port))), ClientID: "fetcher", Dial: b.dial, Direct: true, Group: b.work, Log: b.c.Logger}), nil
}

// Kill ends the process as kill -9 does: nothing is flushed, and nobody is told.
func (b *Broker) Kill() {
	if b.running == nil {
		return
	}
	b.server.Stop(0)
	b.end()
	_ = b.Logs.Abandon() // as a process leaves its files
	b.running = nil
}

// PowerCut ends the process and takes what was not synced, at random.
func (b *Broker) PowerCut(rng *mathrand.Rand) {
	b.fs.PowerOff()
	b.server.Stop(0)
	b.end()
	_ = b.Logs.Abandon() // its files are gone
	b.fs = b.fs.Crash(rng)
	b.running = nil
}

// Stop ends the process in order.
func (b *Broker) Stop() {
	b.c.T.Helper()
	ctx, cancel := context.WithTimeout(b.c.Context(), 10*time.Second)
	defer cancel()
	if err := b.uplink.Shutdown(ctx); err != nil {
		b.c.T.Logf("broker %d: %v", b.ID, err)
	}
	b.handlers.Stop()
	b.Groups.Close()
	b.server.Stop(time.Second)
	b.work.Stop()
	b.logGroup.Stop()
	b.must(b.Logs.Close(b.uplink.Epoch()))
	b.running = nil
}

func (b *Broker) end() {
	b.Groups.Close()
	b.work.Stop()
	b.logGroup.Stop()
}
