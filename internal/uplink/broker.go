package uplink

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/wire"
)

// selfPrincipal is who a broker is to the controller of its own process.
const selfPrincipal = "User:ANONYMOUS"

// Config says who the broker is.
type Config struct {
	Channel       Channel
	BrokerID      int32
	ClusterID     string
	IncarnationID [16]byte
	Endpoints     []image.Endpoint
	Rack          *string
	Directories   [][16]byte // online ones
	Features      []image.FeatureRange
	// PreviousEpoch is the broker epoch of the run before if nothing of what that one had written is lost, else -1.
	PreviousEpoch int64
	// RegistrationTimeout is initial.broker.registration.timeout.ms.
	RegistrationTimeout time.Duration
	// HeartbeatInterval is broker.heartbeat.interval.ms.
	HeartbeatInterval time.Duration
	// OnRegistered is told of the epoch of each registration before anything is done in it; nil: nobody.
	OnRegistered func(epoch int64)
	// Offset is the last metadata offset that the broker acts on.
	Offset func() int64
	Log    *slog.Logger
}

// Broker keeps a broker registered (KIP-631). Its life: Register, Start, Unfence, …, Shutdown. Safe for concurrent use.
type Broker struct {
	cfg     Config
	epoch   atomic.Int64
	offline atomic.Pointer[[][16]byte]
	poke    chan struct{}
}

// NewBroker returns a broker that is not registered yet.
func NewBroker(cfg Config) *Broker {
	b := &Broker{cfg: cfg, poke: make(chan struct{}, 1)}
	b.epoch.Store(-1)
	b.offline.Store(&[][16]byte{})
	return b
}

// Epoch is the broker epoch of this registration, -1 before it.
func (b *Broker) Epoch() int64 { return b.epoch.Load() }

// registerPause is the pause before a broker tries to register once more.
const registerPause = 50 * time.Millisecond

// Register makes the broker known to the controller. It stays fenced until Unfence. While the session of the process before
// it goes on, and while no controller is active, it tries again until RegistrationTimeout has passed.
func (b *Broker) Register(ctx context.Context) (epoch int64, err error) {
	limit := time.NewTimer(max(b.cfg.RegistrationTimeout, registerPause))
	defer limit.Stop()
	for warned := false; ; warned = true {
		epoch, err = b.register(ctx, b.cfg.PreviousEpoch, b.cfg.Directories)
		switch wire.CodeOf(err) {
		case wire.DuplicateBrokerRegistration, wire.NotController, wire.RequestTimedOut:
		default:
			return epoch, err
		}
		if !warned {
			b.cfg.Log.Warn("the controller does not register this broker yet", "err", err)
		}
		pause := time.NewTimer(registerPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return epoch, err
		case <-limit.C:
			pause.Stop()
			return epoch, err
		case <-pause.C:
		}
	}
}

// registerAgain comes back after somebody had the controller forget this broker (UnregisterBroker), though it runs: it
// has lost nothing, so the registration that was is one that ended cleanly. The heartbeats that follow unfence it. If
// another process has taken its place, the controller refuses it for as long as that one lives.
func (b *Broker) registerAgain(ctx context.Context) {
	offline := *b.offline.Load()
	online := slices.DeleteFunc(slices.Clone(b.cfg.Directories), func(id [16]byte) bool { return slices.Contains(offline, id) })
	epoch, err := b.register(ctx, b.Epoch(), online)
	if err != nil {
		b.cfg.Log.Warn("the controller forgot this broker and does not take it back yet", "err", err)
		return
	}
	b.cfg.Log.Warn("the controller had forgotten this broker, which runs; it is registered again", "epoch", epoch)
	select {
	case b.poke <- struct{}{}:
	default: // a heartbeat is due already
	}
}

func (b *Broker) register(ctx context.Context, previous int64, directories [][16]byte) (epoch int64, err error) {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.Version = 4
	req.BrokerID, req.ClusterID, req.IncarnationID = b.cfg.BrokerID, b.cfg.ClusterID, b.cfg.IncarnationID
	req.Rack, req.PreviousBrokerEpoch, req.LogDirs = b.cfg.Rack, previous, directories
	for _, e := range b.cfg.Endpoints {
		l := kmsg.NewBrokerRegistrationRequestListener()
		l.Name, l.Host, l.Port, l.SecurityProtocol = e.Name, e.Host, e.Port, e.SecurityProtocol
		req.Listeners = append(req.Listeners, l)
	}
	for _, f := range b.cfg.Features {
		rf := kmsg.NewBrokerRegistrationRequestFeature()
		rf.Name, rf.MinSupportedVersion, rf.MaxSupportedVersion = f.Name, f.Min, f.Max
		req.Features = append(req.Features, rf)
	}
	resp, err := b.ask(ctx, req)
	if err != nil {
		return -1, fmt.Errorf("register broker %d%s: %w", b.cfg.BrokerID, refusal(wire.CodeOf(err)), err)
	}
	r := resp.(*kmsg.BrokerRegistrationResponse)
	if code := wire.Code(r.ErrorCode); code != wire.None {
		return -1, fmt.Errorf("register broker %d%s: %w", b.cfg.BrokerID, refusal(code), code)
	}
	if b.cfg.OnRegistered != nil {
		b.cfg.OnRegistered(r.BrokerEpoch)
	}
	b.epoch.Store(r.BrokerEpoch)
	return r.BrokerEpoch, nil
}

// refusal says for a person what a code means here: the answer to a registration has no message.
func refusal(code wire.Code) string {
	switch code {
	case wire.DuplicateBrokerRegistration:
		return ": another broker with this node.id lives in the cluster; if it is this one's last run, its session ends soon, else one of the two needs another node.id"
	case wire.InconsistentClusterId:
		return ": the controller belongs to another cluster than cluster.id in meta.properties says"
	case wire.NotController:
		return ": no active controller is known yet"
	case wire.UnsupportedVersion:
		return ": this broker lacks a feature that the cluster has finalized"
	case wire.InvalidRegistration:
		return ": the controller refuses what this broker says of its listeners, directories or features; its log says why"
	}
	return ""
}

func (b *Broker) ask(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	return b.cfg.Channel.Handle(ctx, controller.RequestContext{Principal: selfPrincipal}, req)
}

// Start sends heartbeats until the group stops.
func (b *Broker) Start(g *lifecycle.Group) {
	g.Go("heartbeats", func(ctx context.Context) {
		t := time.NewTicker(b.cfg.HeartbeatInterval)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			case <-b.poke:
			}
			switch _, err := b.heartbeat(ctx, false); {
			case err == nil || ctx.Err() != nil:
			case wire.CodeOf(err) == wire.StaleBrokerEpoch && b.Epoch() >= 0:
				b.registerAgain(ctx)
			default:
				b.cfg.Log.Warn("the controller did not take the heartbeat", "err", err)
			}
		}
	})
}

// SetOffline names the log directories that have failed; the controller hears of it at once.
func (b *Broker) SetOffline(dirs [][16]byte) {
	b.offline.Store(&dirs)
	select {
	case b.poke <- struct{}{}:
	default: // a heartbeat is due already
	}
}

// heartbeat tells the controller that the broker lives. The flags of an answer with an error mean nothing.
func (b *Broker) heartbeat(ctx context.Context, wantShutdown bool) (*kmsg.BrokerHeartbeatResponse, error) {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.Version = 2
	req.BrokerID, req.BrokerEpoch, req.WantShutdown = b.cfg.BrokerID, b.Epoch(), wantShutdown
	req.CurrentMetadataOffset, req.OfflineLogDirs = b.cfg.Offset(), *b.offline.Load()
	resp, err := b.ask(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("heartbeat of broker %d: %w", b.cfg.BrokerID, err)
	}
	r := resp.(*kmsg.BrokerHeartbeatResponse)
	if code := wire.Code(r.ErrorCode); code != wire.None {
		return nil, fmt.Errorf("heartbeat of broker %d: %w", b.cfg.BrokerID, code)
	}
	return r, nil
}

// Unfence returns when the controller lets the broker serve: once its logs are open and it acts on the metadata.
func (b *Broker) Unfence(ctx context.Context) error {
	return b.until(ctx, false, func(r *kmsg.BrokerHeartbeatResponse) bool { return !r.IsFenced })
}

// Shutdown asks to leave and returns when all leaderships that can move have moved.
func (b *Broker) Shutdown(ctx context.Context) error {
	return b.until(ctx, true, func(r *kmsg.BrokerHeartbeatResponse) bool { return r.ShouldShutdown })
}

// until sends heartbeats, soon after each other at first, until an answer is the wanted one.
func (b *Broker) until(ctx context.Context, wantShutdown bool, done func(*kmsg.BrokerHeartbeatResponse) bool) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		r, err := b.heartbeat(ctx, wantShutdown)
		if err != nil || done(r) {
			return err
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("the controller keeps broker %d waiting: %w", b.cfg.BrokerID, ctx.Err())
		case <-t.C:
		}
	}
}

// AlterPartition asks for changes of in-sync replicas as this broker (KIP-497). It fills in who asks.
func (b *Broker) AlterPartition(ctx context.Context, req *kmsg.AlterPartitionRequest) (*kmsg.AlterPartitionResponse, error) {
	req.BrokerID, req.BrokerEpoch = b.cfg.BrokerID, b.Epoch()
	resp, err := b.ask(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("alter partitions: %w", err)
	}
	return resp.(*kmsg.AlterPartitionResponse), nil
}

// AssignDirectories tells the controller in which directory the replicas of new partitions were put (KIP-858).
func (b *Broker) AssignDirectories(ctx context.Context, dirs map[[16]byte]map[[16]byte][]int32) error {
	req := kmsg.NewPtrAssignReplicasToDirsRequest()
	req.BrokerID, req.BrokerEpoch = b.cfg.BrokerID, b.Epoch()
	for dir, topics := range dirs {
		d := kmsg.NewAssignReplicasToDirsRequestDirectory()
		d.ID = dir
		for topic, partitions := range topics {
			t := kmsg.NewAssignReplicasToDirsRequestDirectoryTopic()
			t.TopicID = topic
			for _, p := range partitions {
				tp := kmsg.NewAssignReplicasToDirsRequestDirectoryTopicPartition()
				tp.Partition = p
				t.Partitions = append(t.Partitions, tp)
			}
			d.Topics = append(d.Topics, t)
		}
		req.Directories = append(req.Directories, d)
	}
	resp, err := b.ask(ctx, req)
	if err == nil {
		if code := wire.Code(resp.(*kmsg.AssignReplicasToDirsResponse).ErrorCode); code != wire.None {
			err = code
		}
	}
	if err != nil {
		return fmt.Errorf("assign replicas to directories: %w", err)
	}
	return nil
}
