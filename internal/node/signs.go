package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/uplink"
)

// presence notices on the active controller that a broker's process has ended: every connection on which the broker was
// heard of is closed, and dials to its listener are refused. Either sign alone means nothing: connections end for many
// reasons, and a broker that is cut off or frozen refuses nobody. Such a one keeps its session.
type presence struct {
	n  *Node
	mu sync.Mutex
	by map[int32]*heardOf
}

// heardOf is what is known of one incarnation of a broker.
type heardOf struct {
	epoch int64
	open  map[<-chan struct{}]struct{} // its connections, by the channel that is closed when they are
}

func newPresence(n *Node) *presence { return &presence{n: n, by: map[int32]*heardOf{}} }

// maxBrokerConnections bounds how many connections of one broker are watched; it has one or two.
const maxBrokerConnections = 16

// heard notes that a broker sent a heartbeat on a connection, which is gone when the channel is closed.
func (p *presence) heard(broker int32, epoch int64, gone <-chan struct{}) {
	if gone == nil || broker == p.n.id || !p.n.controller.Active() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.by[broker]
	if h == nil || h.epoch != epoch {
		if b := p.n.image.Load().Broker(broker); b == nil || b.Epoch != epoch {
			return
		}
		h = &heardOf{epoch: epoch, open: map[<-chan struct{}]struct{}{}}
		p.by[broker] = h
	}
	if _, known := h.open[gone]; known || len(h.open) >= maxBrokerConnections {
		return
	}
	h.open[gone] = struct{}{}
	p.n.metaGroup.Go("presence of a broker", func(ctx context.Context) {
		select {
		case <-gone:
			p.lost(ctx, broker, h, gone)
		case <-ctx.Done():
		}
	})
}

// lost looks after a broker when the last of its connections is closed.
func (p *presence) lost(ctx context.Context, broker int32, h *heardOf, gone <-chan struct{}) {
	p.mu.Lock()
	delete(h.open, gone)
	last := len(h.open) == 0 && p.by[broker] == h
	p.mu.Unlock()
	if last {
		p.examine(ctx, broker, h.epoch)
	}
}

// examine dials a broker and tells the controller if it has ended.
func (p *presence) examine(ctx context.Context, broker int32, epoch int64) {
	b := p.n.image.Load().Broker(broker)
	if b == nil || b.Epoch != epoch || b.Fenced || !p.n.controller.Active() {
		return
	}
	if !quorum.Ended(ctx, func() *peer.Client { return p.n.dialed(b) }) {
		return
	}
	p.mu.Lock()
	h := p.by[broker]
	back := h != nil && (h.epoch != epoch || len(h.open) > 0)
	p.mu.Unlock()
	if !back {
		p.n.controller.BrokerEnded(broker, epoch)
	}
}

// dialed makes a client to whatever listener of a broker this node knows how to reach.
func (n *Node) dialed(b *image.Broker) *peer.Client {
	if c, err := n.peerTo(b.ID); err == nil {
		return c
	}
	var address string
	if len(b.Endpoints) > 0 {
		address = uplink.AddressOf(b.Endpoints[0].Host, b.Endpoints[0].Port)
	}
	return peer.New(peer.Config{Address: address, ClientID: fmt.Sprint(n.id), Dial: n.opts.Net.Dial, Group: n.metaGroup, Log: n.room("peer")})
}

// succession is how long the end of a leader counts as a sign for who comes after it.
const succession = 10 * time.Second

// voterEnded hears that a voter's process has ended. If that voter was a broker too, the next active controller looks after
// it, for it has had no connection of that broker.
func (p *presence) voterEnded(id int32) {
	p.n.metaGroup.Go("succession", func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, succession)
		defer cancel()
		for !p.n.controller.Active() {
			changed := p.n.quorum.Changed()
			leader, _ := p.n.quorum.Leader()
			if leader.ID >= 0 && leader.ID != p.n.id && leader.ID != id {
				return // that one has seen the same
			}
			t := time.NewTimer(dialPause)
			select {
			case <-changed:
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return
			}
			t.Stop()
		}
		if b := p.n.image.Load().Broker(id); b != nil {
			p.examine(ctx, id, b.Epoch)
		}
	})
}

// dialPause is how often a succession is looked at, besides when another leads.
const dialPause = 10 * time.Millisecond
