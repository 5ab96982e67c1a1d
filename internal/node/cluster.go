package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/uplink"
	"github.com/weir-stream/weir/internal/wire"
)

// noLeaderPatience is how long a broker that leaves looks for a controller to tell.
const noLeaderPatience = 5 * time.Second

// quorumConfig says who votes and how the others are reached.
func (n *Node) quorumConfig() quorum.Config {
	cfg := n.config.Load()
	nc := cfg.Node()
	q := quorum.Config{
		FS: n.opts.FS, Dir: nc.MetadataDir, NodeID: n.id, DirectoryID: n.metadataID, ClusterID: n.clusterID, Listener: n.controller,
		Endpoints: quorumEndpoints(nc.AdvertisedController), Observer: !nc.Controller, Bootstrap: nc.BootstrapServers,
		ElectionTimeout:  cfg.Millis("controller.quorum.election.timeout.ms"),
		FullDiskPatience: cfg.Millis("broker.session.timeout.ms"), // then a broker that nobody hears of is fenced as well
		SegmentBytes:     cfg.Long("metadata.log.segment.bytes"), SegmentAge: cfg.Millis("metadata.log.segment.ms"),
		SnapshotBytes:    cfg.Long("metadata.log.max.record.bytes.between.snapshots"),
		SnapshotInterval: cfg.Millis("metadata.log.max.snapshot.interval.ms"),
		RetentionBytes:   cfg.Long("metadata.max.retention.bytes"), RetentionAge: cfg.Millis("metadata.max.retention.ms"),
		FetchBytes: int32(cfg.Int("controller.quorum.fetch.max.bytes")), FetchSnapshotBytes: int32(cfg.Int("controller.quorum.fetch.snapshot.max.bytes")),
		Log: n.room("quorum"), OnFault: n.fail, OnEnded: n.presence.voterEnded, Now: n.opts.Now,
	}
	for _, v := range nc.Voters {
		q.Voters = append(q.Voters, quorum.Voter{ID: v.ID, Endpoints: []quorum.Endpoint{{Host: v.Host, Port: uint16(v.Port)}}})
	}
	q.Dynamic = nc.Controller && len(nc.Voters) == 0 && !nc.Alone
	if n.networked() {
		q.Connect = n.controllerPeer
	}
	return q
}

// controllerPeer makes a client to a controller's listener.
func (n *Node) controllerPeer(address string) *peer.Client {
	cfg := n.config.Load()
	return peer.New(n.secured(cfg.Node().ControllerListenerNames[0], peer.Config{
		Address: address, ClientID: fmt.Sprint(n.id), RequestTimeout: cfg.Millis("controller.quorum.request.timeout.ms") + controllerAnswer,
		ConnectTimeout: cfg.Millis("controller.quorum.request.timeout.ms"), MaxBackoff: controllerBackoff, Group: n.metaGroup, Log: n.room("peer"),
	}))
}

// controllerAnswer is how long a decision of the controller may take beyond the time-out of a request in the quorum.
const controllerAnswer = 10 * time.Second

// controllerBackoff is how long a controller that could not be reached is left alone, at most: elections wait for it.
const controllerBackoff = 200 * time.Millisecond

// channel is the way to the active controller: a call, where this node is the whole cluster.
func (n *Node) channel() uplink.Channel {
	nc := n.config.Load().Node()
	if !n.networked() {
		return n.controller
	}
	cfg := uplink.NetworkConfig{
		NodeID: n.id, Connect: n.controllerPeer, Leader: n.activeController,
		Changed: func() <-chan struct{} { return n.quorum.Changed() }, Await: n.acts.wait, Group: n.metaGroup,
	}
	if nc.Controller {
		cfg.Local = n.controller
	}
	return uplink.NewNetwork(cfg)
}

// activeController is who leads the quorum, as this node knows.
func (n *Node) activeController() uplink.Leader {
	v, _ := n.quorum.Leader()
	l := uplink.Leader{ID: v.ID}
	listener := n.config.Load().Node().ControllerListenerNames[0]
	for i, ep := range v.Endpoints {
		if i == 0 || ep.Name == listener { // static voters have one, without a name
			l.Address = uplink.AddressOf(ep.Host, ep.Port)
		}
	}
	return l
}

// voice is what the handlers of a controller's listener ask the quorum, which is there before the listener opens.
type voice struct{ n *Node }

// Fetch implements handler.Quorum.
func (v voice) Fetch(ctx context.Context, req *kmsg.FetchRequest) *kmsg.FetchResponse {
	return v.n.quorum.Fetch(ctx, req)
}

// FetchSnapshot implements handler.Quorum.
func (v voice) FetchSnapshot(req *kmsg.FetchSnapshotRequest) *kmsg.FetchSnapshotResponse {
	return v.n.quorum.FetchSnapshot(req)
}

// Messages implements handler.Quorum.
func (v voice) Messages(req *wire.RaftMessagesRequest) *wire.RaftMessagesResponse {
	return v.n.quorum.Messages(req)
}

// Active implements handler.Quorum.
func (v voice) Active() bool { return v.n.controller.Active() }

// LeaderID implements handler.Quorum.
func (v voice) LeaderID() int32 {
	leader, _ := v.n.quorum.Leader()
	return leader.ID
}

// controllerEndpoints are the controller listeners as others are told, with the ports that the system chose.
func (n *Node) controllerEndpoints() []image.Endpoint {
	return n.withPorts(endpoints(n.config.Load().Node().AdvertisedController))
}

// keepRegistered registers this controller with the active one, where there are several.
func (n *Node) keepRegistered() {
	nc := n.config.Load().Node()
	if !n.networked() || !nc.Controller {
		return
	}
	uplink.RegisterController(n.metaGroup, uplink.ControllerConfig{
		Channel: n.way, ControllerID: n.id, IncarnationID: n.incarnation, Endpoints: n.controllerEndpoints(), Features: image.SupportedFeatures(),
		Registered: func() bool {
			img := n.image.Load()
			own := func(c *image.Controller) bool { return c.ID == n.id && c.IncarnationID == n.incarnation }
			return !img.MetadataVersion().ControllerRegistration() || n.controller.Active() || slices.ContainsFunc(img.Controllers(), own)
		}, Log: n.room("uplink"),
	})
}

// awaitImage waits until the broker acts on the metadata up to an offset.
func (n *Node) awaitImage(ctx context.Context, offset int64) error {
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for n.served.Load().Offset() < offset {
		select {
		case <-ctx.Done():
			return fmt.Errorf("catch up with the metadata: %w", ctx.Err())
		case err := <-n.failed:
			n.fail(err)
			return err
		case <-t.C:
		}
	}
	return nil
}

// leave asks the controller to let the broker go. Without a controller it does not wait for long.
func (n *Node) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if n.networked() {
		stop := n.watchLeader(ctx, cancel)
		defer stop()
	}
	return n.uplink.Shutdown(ctx)
}

// watchLeader cancels when nobody has led for long; the returned function ends it.
func (n *Node) watchLeader(ctx context.Context, cancel func()) (stop func()) {
	ctx, stop = context.WithCancel(ctx)
	n.metaGroup.Go("watch the leader", func(context.Context) {
		for ctx.Err() == nil {
			changed := n.quorum.Changed()
			t := time.NewTimer(noLeaderPatience)
			select {
			case <-changed:
			case <-ctx.Done():
			case <-t.C:
				if v, _ := n.quorum.Leader(); v.ID < 0 {
					cancel()
				}
			}
			t.Stop()
		}
	})
	return stop
}

// listenersOf are the listeners of one kind.
func listenersOf(nc *config.Node, controllers bool) []config.Listener {
	var out []config.Listener
	for _, l := range nc.Listeners {
		if l.Controller == controllers {
			out = append(out, l)
		}
	}
	return out
}
