package uplink

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/wire"
)

// scripted is a controller that answers as told.
type scripted struct {
	beats  atomic.Int32
	answer func(n int32, req *kmsg.BrokerHeartbeatRequest) *kmsg.BrokerHeartbeatResponse
	blocks atomic.Int64
	fail   error
	refuse wire.Code // what registrations get
	// allocate answers who wants producer ids; nil: blocks of three.
	allocate func(context.Context, *kmsg.AllocateProducerIDsResponse) error
	// registered sees every registration; nil: nobody looks.
	registered func(*kmsg.BrokerRegistrationRequest)
}

func (s *scripted) Handle(ctx context.Context, _ controller.RequestContext, req kmsg.Request) (kmsg.Response, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	switch req := req.(type) {
	case *kmsg.BrokerRegistrationRequest:
		resp := req.ResponseKind().(*kmsg.BrokerRegistrationResponse)
		resp.BrokerEpoch, resp.ErrorCode = 7, int16(s.refuse)
		if s.registered != nil {
			s.registered(req)
		}
		return resp, nil
	case *kmsg.BrokerHeartbeatRequest:
		return s.answer(s.beats.Add(1), req), nil
	case *kmsg.AllocateProducerIDsRequest:
		resp := req.ResponseKind().(*kmsg.AllocateProducerIDsResponse)
		if s.allocate != nil {
			return resp, s.allocate(ctx, resp)
		}
		resp.ProducerIDStart, resp.ProducerIDLen = 3*(s.blocks.Add(1)-1), 3
		return resp, nil
	}
	return nil, wire.UnsupportedVersion
}

func newBroker(s *scripted) *Broker {
	return NewBroker(Config{Channel: s, BrokerID: 1, HeartbeatInterval: 2 * time.Second, Offset: func() int64 { return 5 }, Log: slog.New(slog.DiscardHandler)})
}

func TestUnfenceWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{answer: func(n int32, req *kmsg.BrokerHeartbeatRequest) *kmsg.BrokerHeartbeatResponse {
			if req.BrokerEpoch != 7 || req.CurrentMetadataOffset != 5 {
				t.Errorf("heartbeat with epoch %d and offset %d", req.BrokerEpoch, req.CurrentMetadataOffset)
			}
			return &kmsg.BrokerHeartbeatResponse{IsFenced: n < 4}
		}}
		b := newBroker(s)
		if _, err := b.Register(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Unfence(t.Context()); err != nil || s.beats.Load() != 4 {
			t.Fatalf("%v after %d heartbeats", err, s.beats.Load())
		}
	})
}

// A registration that is refused has no message in its answer: the log says what the code means.
func TestRefusedRegistrationSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for code, want := range map[wire.Code]string{wire.DuplicateBrokerRegistration: "another broker with this node.id", wire.InconsistentClusterId: "another cluster"} {
			if _, err := newBroker(&scripted{refuse: code}).Register(t.Context()); !errors.Is(err, code) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v", code, err)
			}
		}
	})
}

func TestErrorsEndTheWait(t *testing.T) {
	s := &scripted{answer: func(int32, *kmsg.BrokerHeartbeatRequest) *kmsg.BrokerHeartbeatResponse {
		return &kmsg.BrokerHeartbeatResponse{ErrorCode: int16(wire.StaleBrokerEpoch), ShouldShutdown: true}
	}}
	if err := newBroker(s).Shutdown(t.Context()); !errors.Is(err, wire.StaleBrokerEpoch) {
		t.Fatal("the flags of an answer with an error mean nothing:", err)
	}
	s.fail = wire.NotController
	if _, err := newBroker(s).Register(t.Context()); !errors.Is(err, wire.NotController) {
		t.Fatal(err)
	}
}

func TestOfflineDirectoryIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan int, 10)
		s := &scripted{answer: func(_ int32, req *kmsg.BrokerHeartbeatRequest) *kmsg.BrokerHeartbeatResponse {
			told <- len(req.OfflineLogDirs)
			return &kmsg.BrokerHeartbeatResponse{}
		}}
		g := lifecycle.New("test", nil)
		defer g.Stop()
		b := newBroker(s)
		b.Start(g)
		start := time.Now()
		b.SetOffline([][16]byte{{1}})
		if n := <-told; n != 1 || time.Since(start) != 0 {
			t.Fatalf("%d directories after %v", n, time.Since(start))
		}
		if <-told; time.Since(start) != 2*time.Second {
			t.Fatalf("the next heartbeat came after %v", time.Since(start))
		}
	})
}

func TestProducerIDsAreNeverGivenTwice(t *testing.T) {
	ids := NewProducerIDs(newBroker(&scripted{}))
	var mu sync.Mutex
	seen := map[int64]bool{}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 5 {
				id, err := ids.Next(t.Context())
				mu.Lock()
				if err != nil || seen[id] {
					t.Errorf("id %d again, or %v", id, err)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 50 {
		t.Fatalf("%d ids", len(seen))
	}
}

// TestClientsComeAgainForProducerIDs: no error of the controller's gets to a client as it is, since clients take most of them for
// final.
func TestClientsComeAgainForProducerIDs(t *testing.T) {
	code := func(c wire.Code) func(context.Context, *kmsg.AllocateProducerIDsResponse) error {
		return func(_ context.Context, r *kmsg.AllocateProducerIDsResponse) error { r.ErrorCode = int16(c); return nil }
	}
	block := func(first int64, n int32) func(context.Context, *kmsg.AllocateProducerIDsResponse) error {
		return func(_ context.Context, r *kmsg.AllocateProducerIDsResponse) error {
			r.ProducerIDStart, r.ProducerIDLen = first, n
			return nil
		}
	}
	for name, answer := range map[string]func(context.Context, *kmsg.AllocateProducerIDsResponse) error{
		"stale epoch": code(wire.StaleBrokerEpoch), "not registered": code(wire.BrokerIdNotRegistered), "exhausted": code(wire.UnknownServerError),
		"no controller": func(context.Context, *kmsg.AllocateProducerIDsResponse) error { return wire.RequestTimedOut },
		"cut off":       func(context.Context, *kmsg.AllocateProducerIDsResponse) error { return errors.New("lost") },
		"frozen":        func(ctx context.Context, _ *kmsg.AllocateProducerIDsResponse) error { <-ctx.Done(); return ctx.Err() },
		"empty":         block(9, 0), "below": block(-5, 3), "too high": block(1<<63-2, 3), "had before": block(1, 3),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{}
				asked := 0
				ids := NewProducerIDs(newBroker(s))
				for range 3 {
					if _, err := ids.Next(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				s.allocate = func(ctx context.Context, r *kmsg.AllocateProducerIDsResponse) error { asked++; return answer(ctx, r) }
				var wg sync.WaitGroup
				start := time.Now()
				for range 5 {
					wg.Go(func() {
						if _, err := ids.Next(t.Context()); wire.CodeOf(err) != wire.CoordinatorLoadInProgress {
							t.Errorf("told %v", err)
						}
					})
				}
				wg.Wait()
				if d := time.Since(start); d > allocationPatience || asked != 1 {
					t.Errorf("%v were waited and %d questions were asked", d, asked)
				}
				s.allocate = nil
				<-time.After(allocationPause)
				if id, err := ids.Next(t.Context()); err != nil || id != 3 {
					t.Errorf("id %d, %v", id, err)
				}
			})
		})
	}
}

func TestForgottenBrokerRegistersAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan *kmsg.BrokerRegistrationRequest, 10)
		s := &scripted{registered: func(req *kmsg.BrokerRegistrationRequest) { seen <- req }}
		s.answer = func(n int32, _ *kmsg.BrokerHeartbeatRequest) *kmsg.BrokerHeartbeatResponse {
			if n == 2 {
				return &kmsg.BrokerHeartbeatResponse{ErrorCode: int16(wire.StaleBrokerEpoch)}
			}
			return &kmsg.BrokerHeartbeatResponse{}
		}
		g := lifecycle.New("test", nil)
		defer g.Stop()
		b := newBroker(s)
		b.cfg.PreviousEpoch, b.cfg.Directories = -1, [][16]byte{{1}, {2}}
		if _, err := b.Register(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-seen
		b.SetOffline([][16]byte{{1}})
		b.Start(g)
		again := <-seen
		if again.PreviousBrokerEpoch != 7 || len(again.LogDirs) != 1 || again.LogDirs[0] != [16]byte{2} {
			t.Errorf("registered again with epoch %d, directories %v", again.PreviousBrokerEpoch, again.LogDirs)
		}
		synctest.Wait()
		if n := s.beats.Load(); n != 3 {
			t.Errorf("%d heartbeats: the one that unfences has to follow at once", n)
		}
	})
}
