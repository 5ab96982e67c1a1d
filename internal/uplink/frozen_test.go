package uplink

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/wire"
)

// TestHeartbeatLeavesAFrozenController: a heartbeat to a controller that takes the connection and never answers is given up
// when another one is active, not when its time is up.
func TestHeartbeatLeavesAFrozenController(t *testing.T) {
	frozen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	quiet := slog.New(slog.DiscardHandler)
	g := lifecycle.New("test", quiet)
	defer g.Stop()
	s := &scripted{answer: func(_ int32, req *kmsg.BrokerHeartbeatRequest) *kmsg.BrokerHeartbeatResponse {
		return req.ResponseKind().(*kmsg.BrokerHeartbeatResponse)
	}}
	var mu sync.Mutex
	leader, changed := Leader{ID: 2, Address: frozen.Addr().String()}, make(chan struct{})
	n := NewNetwork(NetworkConfig{
		NodeID: 1, Local: s, Group: g,
		Leader:  func() Leader { mu.Lock(); defer mu.Unlock(); return leader },
		Changed: func() <-chan struct{} { mu.Lock(); defer mu.Unlock(); return changed },
		Connect: func(address string) *peer.Client {
			return peer.New(peer.Config{Address: address, ConnectTimeout: time.Hour, RequestTimeout: time.Hour, Group: g, Log: quiet})
		},
	})
	done := make(chan error, 1)
	g.Go("heartbeat", func(ctx context.Context) {
		_, err := n.Handle(ctx, controller.RequestContext{}, kmsg.NewPtrBrokerHeartbeatRequest())
		done <- err
	})
	nc, err := frozen.Accept() // it is under way
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	mu.Lock()
	leader = Leader{ID: 1}
	close(changed)
	changed = make(chan struct{})
	mu.Unlock()
	select {
	case err := <-done:
		if err != nil || s.beats.Load() != 1 {
			t.Errorf("%v, %d heartbeats at the new controller", err, s.beats.Load())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the heartbeat waits for the frozen controller")
	}
}

// TestGoneClientIsNotAskedForAgain: a client's request that finds no active controller is asked again as long as the client waits,
// and not when it has gone: it has asked another broker since.
func TestGoneClientIsNotAskedForAgain(t *testing.T) {
	g := lifecycle.New("test", slog.New(slog.DiscardHandler))
	defer g.Stop()
	gone, asked := make(chan struct{}), make(chan struct{})
	n := NewNetwork(NetworkConfig{
		NodeID: 1, Group: g, Changed: func() <-chan struct{} { return nil },
		Leader: func() Leader {
			select {
			case asked <- struct{}{}:
			case <-gone:
			}
			return Leader{ID: -1}
		},
	})
	done := make(chan error, 1)
	g.Go("client", func(ctx context.Context) {
		_, err := n.Handle(ctx, controller.RequestContext{Principal: "User:alice", Gone: gone}, kmsg.NewPtrCreateTopicsRequest())
		done <- err
	})
	for range 3 { // again and again
		<-asked
	}
	close(gone)
	select {
	case err := <-done:
		if !errors.Is(err, wire.RequestTimedOut) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the client has gone, and it is still asked for it")
	}
}
