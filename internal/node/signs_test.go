package node

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/quorum"
)

// TestDeathIsNoticedByItsSigns: nodes whose processes end are fenced long before their sessions are over, whether they led
// the quorum or not, and what they led is led by others.
func TestDeathIsNoticedByItsSigns(t *testing.T) {
	k := newClusterOf(t, []string{"broker,controller", "broker,controller", "broker,controller"},
		"broker.session.timeout.ms=600000")
	k.start(k.members...)
	c := k.client(kgo.RecordRetries(1000))
	k.create(c, "t", 6, 3)
	k.produce(c, "t", 12)
	for _, led := range []bool{true, false} {
		m := k.active()
		if !led {
			for _, other := range k.members {
				if other != m {
					m = other
					break
				}
			}
		}
		m.kill()
		began := time.Now()
		k.produce(c, "t", 12)
		now := k.active()
		k.eventually("the dead broker is fenced", func() bool { return now.n.image.Load().Broker(int32(m.id)).Fenced })
		for _, p := range now.n.image.Load().TopicByName("t").Partitions {
			if p.Leader == int32(m.id) {
				t.Errorf("a partition is led by the dead broker %d", m.id)
			}
		}
		t.Logf("active before: %v: over after %v", led, time.Since(began))
		k.start(m)
		k.eventually("all replicas are in sync again", func() bool {
			for _, p := range now.n.image.Load().TopicByName("t").Partitions {
				if len(p.ISR) != 3 {
					return false
				}
			}
			return true
		})
	}
	k.consume("t", 12)
}

// TestDyingProcessIsLookedAtAgain: its listener may take a dial, and lose it, after its other connections are lost.
func TestDyingProcessIsLookedAtAgain(t *testing.T) {
	g := lifecycle.New("test", slog.New(slog.DiscardHandler))
	defer g.Stop()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if nc, err := ln.Accept(); err == nil {
			nc.Close()
		}
		ln.Close()
	}()
	if !quorum.Ended(t.Context(), func() *peer.Client { return peer.New(peer.Config{Address: ln.Addr().String(), Group: g}) }) {
		t.Error("a process that took a dial while it ended does not count as ended")
	}
}

// TestOneSignIsNotEnough: a broker whose connections are lost but that can be reached keeps its session, and so does a
// voter.
func TestOneSignIsNotEnough(t *testing.T) {
	g := lifecycle.New("test", slog.New(slog.DiscardHandler))
	defer g.Stop()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connect := func() *peer.Client {
		return peer.New(peer.Config{Address: ln.Addr().String(), ConnectTimeout: 50 * time.Millisecond, Group: g})
	}
	if quorum.Ended(t.Context(), connect) { // the system takes the connection, nobody answers, as of a frozen process
		t.Error("a listener that does not answer counts as ended")
	}
	ln.Close()
	if !quorum.Ended(t.Context(), connect) {
		t.Error("a listener that is gone does not count as ended")
	}

	k := newClusterOf(t, []string{"broker,controller", "broker"}, "broker.session.timeout.ms=600000", "broker.heartbeat.interval.ms=500000")
	k.start(k.members...)
	active := k.members[0].n
	gone := make(chan struct{})
	epoch := func() int64 { return active.image.Load().Broker(2).Epoch }
	active.presence.heard(2, epoch(), gone)
	close(gone)
	active.presence.examine(t.Context(), 2, epoch())
	if b := active.image.Load().Broker(2); b.Fenced {
		t.Error("a broker that can be reached was fenced")
	}
	// A stale incarnation says nothing about the present one.
	active.controller.BrokerEnded(2, epoch()-1)
	k.create(k.client(), "t", 1, 2)
	if b := active.image.Load().Broker(2); b.Fenced {
		t.Error("the end of an older incarnation fenced the broker")
	}
}
