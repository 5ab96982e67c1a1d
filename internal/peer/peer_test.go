package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/wire"
)

// other is the node at the other end: it answers each connection as told.
type other struct {
	t     *testing.T
	dials atomic.Int32
	// serve answers the requests after ApiVersions; it returns when the connection is to be closed.
	serve func(n int32, s *session)
	// refuse, if not nil, says whether the n-th dial fails.
	refuse func(n int32) error
	keys   []kmsg.ApiVersionsResponseApiKey
	direct bool // Config.Direct
}

// eachWay plays a test with a goroutine that reads answers, and without.
func eachWay(t *testing.T, f func(t *testing.T, direct bool)) {
	for _, direct := range []bool{false, true} {
		t.Run(fmt.Sprint("direct ", direct), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, direct) }) })
	}
}

type session struct {
	nc net.Conn
}

type request struct {
	wire.Header
	body kmsg.Request
}

func (s *session) next() (*request, error) {
	var size [4]byte
	if _, err := io.ReadFull(s.nc, size[:]); err != nil {
		return nil, err
	}
	p := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(s.nc, p); err != nil {
		return nil, err
	}
	h, err := wire.ParseHeader(p)
	if err != nil {
		return nil, err
	}
	body, err := wire.DecodeBody(h.Key, h.Version, h.Body, 1<<20)
	return &request{h, body}, err
}

func (s *session) send(correlation int32, r *request, resp kmsg.Response) error {
	resp.SetVersion(r.Version)
	p := resp.AppendTo(wire.AppendResponseHeader(make([]byte, 4), r.Key, r.Version, correlation))
	binary.BigEndian.PutUint32(p, uint32(len(p)-4))
	_, err := s.nc.Write(p)
	return err
}

func (o *other) dial(context.Context, string) (net.Conn, error) {
	n := o.dials.Add(1)
	if o.refuse != nil {
		if err := o.refuse(n); err != nil {
			return nil, err
		}
	}
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		s := &session{there}
		r, err := s.next()
		if err != nil {
			return
		}
		resp := r.body.ResponseKind().(*kmsg.ApiVersionsResponse)
		resp.ApiKeys = append(resp.ApiKeys, o.keys...)
		if s.send(r.CorrelationID, r, resp) == nil {
			o.serve(n, s)
		}
	}()
	return here, nil
}

func apiKey(key, low, high int16) kmsg.ApiVersionsResponseApiKey {
	return kmsg.ApiVersionsResponseApiKey{ApiKey: key, MinVersion: low, MaxVersion: high}
}

// echo answers every Metadata request with its topics.
func echo(s *session) {
	for {
		r, err := s.next()
		if err != nil {
			return
		}
		if s.send(r.CorrelationID, r, echoed(r)) != nil {
			return
		}
	}
}

func echoed(r *request) kmsg.Response {
	resp := r.body.ResponseKind().(*kmsg.MetadataResponse)
	for _, t := range r.body.(*kmsg.MetadataRequest).Topics {
		mt := kmsg.NewMetadataResponseTopic()
		mt.Topic = t.Topic
		resp.Topics = append(resp.Topics, mt)
	}
	return resp
}

func metadata(topic string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &topic
	req.Topics = append(req.Topics, rt)
	return req
}

func newClient(t *testing.T, o *other, edit func(*Config)) *Client {
	t.Helper()
	o.t = t
	if o.keys == nil {
		o.keys = []kmsg.ApiVersionsResponseApiKey{apiKey(3, 0, 12), apiKey(18, 0, 4), apiKey(1, 4, 17)}
	}
	g := lifecycle.New("test", slog.New(slog.DiscardHandler))
	t.Cleanup(g.Stop)
	cfg := Config{Address: "other:1", ClientID: "test", Dial: o.dial, Group: g, Log: slog.New(slog.DiscardHandler), Direct: o.direct}
	if edit != nil {
		edit(&cfg)
	}
	return New(cfg)
}

func ask(t *testing.T, c *Client, topic string) *kmsg.MetadataResponse {
	t.Helper()
	resp, err := c.Do(t.Context(), metadata(topic))
	if err != nil {
		t.Fatal(err)
	}
	m := resp.(*kmsg.MetadataResponse)
	if len(m.Topics) != 1 || *m.Topics[0].Topic != topic {
		t.Fatalf("asked for %s, got %+v", topic, m.Topics)
	}
	return m
}

func TestNegotiatesAndSharesOneConnection(t *testing.T) {
	o := &other{serve: func(_ int32, s *session) { echo(s) }}
	c := newClient(t, o, func(cfg *Config) { cfg.InFlight = 3 })
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if m := ask(t, c, "t"+string(rune('a'+i))); m.Version != 12 {
				t.Errorf("version %d", m.Version)
			}
		})
	}
	wg.Wait()
	if n := o.dials.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if _, err := c.Do(t.Context(), kmsg.NewPtrListGroupsRequest()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("an API that is not served: %v", err)
	}
	capped := newClient(t, o, func(cfg *Config) { cfg.MaxVersions = map[int16]int16{3: 7} })
	if m := ask(t, capped, "x"); m.Version != 7 {
		t.Errorf("version %d in spite of the cap", m.Version)
	}
}

// TestPipelines: requests are sent before the answers to those before them have come, up to the limit.
func TestPipelines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan int, 10)
		o := &other{serve: func(_ int32, s *session) {
			var rs []*request
			for range 3 {
				r, err := s.next()
				if err != nil {
					return
				}
				rs = append(rs, r)
			}
			time.Sleep(time.Second) // virtual: a fourth would have come
			seen <- len(rs)
			for _, r := range rs {
				if s.send(r.CorrelationID, r, echoed(r)) != nil {
					return
				}
			}
			echo(s)
		}}
		c := newClient(t, o, func(cfg *Config) { cfg.InFlight = 3 })
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() { ask(t, c, strings.Repeat("t", i+1)) })
		}
		wg.Wait()
		if n := <-seen; n != 3 {
			t.Errorf("%d in flight", n)
		}
		c.Close()
	})
}

func TestReconnectsAfterALoss(t *testing.T) {
	eachWay(t, func(t *testing.T, direct bool) {
		o := &other{serve: func(n int32, s *session) {
			if n == 1 {
				_, _ = s.next() // closes with the request on it
				return
			}
			echo(s)
		}}
		o.direct = direct
		c := newClient(t, o, nil)
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		lost := c.Lost()
		if _, err := c.Do(t.Context(), metadata("a")); !errors.Is(err, ErrLost) {
			t.Fatalf("a lost connection: %v", err)
		}
		<-lost
		ask(t, c, "b")
		c.Close()
		if _, err := c.Do(t.Context(), metadata("c")); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestBacksOff(t *testing.T) {
	eachWay(t, func(t *testing.T, direct bool) {
		refused := errors.New("refused")
		o := &other{serve: func(_ int32, s *session) { echo(s) }, refuse: func(n int32) error {
			if n <= 4 {
				return refused
			}
			return nil
		}}
		o.direct = direct
		c := newClient(t, o, func(cfg *Config) { cfg.Backoff, cfg.MaxBackoff = 100*time.Millisecond, 300*time.Millisecond })
		start := time.Now()
		for range 4 {
			if _, err := c.Do(t.Context(), metadata("a")); !errors.Is(err, refused) {
				t.Fatal(err)
			}
		}
		ask(t, c, "a")
		if d := time.Since(start); d != (100+200+300+300)*time.Millisecond {
			t.Errorf("four failures took %v", d)
		}
		c.Close()
	})
}

func TestNoAnswerInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &other{serve: func(n int32, s *session) {
			if n == 1 {
				for {
					if _, err := s.next(); err != nil {
						return
					}
				}
			}
			echo(s)
		}}
		c := newClient(t, o, func(cfg *Config) { cfg.RequestTimeout = 5 * time.Second })
		// A caller that gives up leaves the connection as it is, until the time of its request has passed.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Do(ctx, metadata("a")); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrLost) {
			t.Errorf("given up: %v", err)
		}
		start := time.Now()
		if _, err := c.Do(t.Context(), metadata("a")); !errors.Is(err, ErrTimeout) || time.Since(start) != 4*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		ask(t, c, "b")
		if n := o.dials.Load(); n != 2 {
			t.Errorf("%d connections", n)
		}
		c.Close()
	})
}

// TestAbandonedAnswerIsDropped: the answer to a request that was given up does not go to the next one.
func TestAbandonedAnswerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &other{serve: func(_ int32, s *session) {
			r, err := s.next()
			if err != nil {
				return
			}
			time.Sleep(2 * time.Second)
			if s.send(r.CorrelationID, r, echoed(r)) == nil {
				echo(s)
			}
		}}
		c := newClient(t, o, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Do(ctx, metadata("given-up")); err == nil {
			t.Fatal("answered")
		}
		ask(t, c, "next")
		if n := o.dials.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
		c.Close()
	})
}

// TestSilentConnectionIsLeft: a connection over which nothing comes any more is left when the time of a request has passed,
// also if everybody gave their requests up before, and at once if somebody says so.
func TestSilentConnectionIsLeft(t *testing.T) {
	for _, renew := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := &other{serve: func(n int32, s *session) {
				if n > 1 {
					echo(s)
					return
				}
				for {
					if _, err := s.next(); err != nil {
						return
					}
				}
			}}
			c := newClient(t, o, func(cfg *Config) { cfg.RequestTimeout = 5 * time.Second })
			begin, answered := time.Now(), false
			for i := 0; !answered && i < 10; i++ {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				_, err := c.Do(ctx, metadata("x"))
				answered = err == nil
				if !answered && renew {
					c.Renew()
				}
				cancel()
			}
			want := 5 * time.Second
			if renew {
				want = time.Second
			}
			if took := time.Since(begin); !answered || took < want || took > want+500*time.Millisecond {
				t.Errorf("renew %v: answered %v after %v, want %v", renew, answered, took, want)
			}
			c.Close()
		})
	}
}

func TestBadAnswersCloseTheConnection(t *testing.T) {
	for name, answer := range map[string]func(*session, *request) error{
		"another correlation id": func(s *session, r *request) error { return s.send(r.CorrelationID+1, r, echoed(r)) },
		"too long": func(s *session, _ *request) error {
			_, err := s.nc.Write([]byte{0x7f, 0, 0, 0, 0, 0, 0, 2})
			return err
		},
		"negative": func(s *session, _ *request) error {
			_, err := s.nc.Write([]byte{0xff, 0, 0, 0, 0, 0, 0, 2})
			return err
		},
		"tags without end": func(s *session, r *request) error {
			_, err := s.nc.Write([]byte{0, 0, 0, 6, 0, 0, 0, byte(r.CorrelationID), 1, 0xff})
			return err
		},
	} {
		o := &other{serve: func(_ int32, s *session) {
			if r, err := s.next(); err == nil && answer(s, r) == nil {
				_, _ = s.next() // waits for the end
			}
		}}
		c := newClient(t, o, nil)
		if _, err := c.Do(t.Context(), metadata("a")); !errors.Is(err, ErrLost) && !strings.Contains(err.Error(), "not valid") {
			t.Errorf("%s: %v", name, err)
		}
		if lost := c.Lost(); lost != nil {
			<-lost
		}
	}
}

func TestLogin(t *testing.T) {
	eachWay(t, func(t *testing.T, direct bool) {
		o := &other{serve: func(_ int32, s *session) { echo(s) }}
		var logins atomic.Int32
		o.direct = direct
		c := newClient(t, o, func(cfg *Config) {
			cfg.Login = func(_ context.Context, ask Exchange) (time.Time, error) {
				if _, err := ask(metadata("login")); err != nil {
					return time.Time{}, err
				}
				if logins.Add(1) == 1 {
					return time.Time{}, wire.SaslAuthenticationFailed
				}
				return time.Now().Add(time.Minute), nil
			}
		})
		if _, err := c.Do(t.Context(), metadata("a")); !errors.Is(err, wire.SaslAuthenticationFailed) {
			t.Errorf("a refused login: %v", err)
		}
		ask(t, c, "a")
		ask(t, c, "b")
		time.Sleep(2 * time.Minute)
		ask(t, c, "c")
		if n := logins.Load(); n != 3 {
			t.Errorf("%d logins", n)
		}
		c.Close()
	})
}

// A session that ends takes no request along: what was asked on it is answered, what is asked then goes over a new
// connection.
func TestSessionEndsBetweenRequests(t *testing.T) {
	eachWay(t, func(t *testing.T, direct bool) {
		o := &other{serve: func(n int32, s *session) {
			for {
				r, err := s.next()
				if err != nil {
					return
				}
				if n == 1 && *r.body.(*kmsg.MetadataRequest).Topics[0].Topic == "slow" {
					time.Sleep(2 * time.Minute) // virtual: longer than the session
				}
				if s.send(r.CorrelationID, r, echoed(r)) != nil {
					return
				}
			}
		}}
		o.direct = direct
		c := newClient(t, o, func(cfg *Config) {
			cfg.RequestTimeout = time.Hour
			cfg.Login = func(context.Context, Exchange) (time.Time, error) { return time.Now().Add(time.Minute), nil }
		})
		var wg sync.WaitGroup
		wg.Go(func() { ask(t, c, "slow") })
		time.Sleep(90 * time.Second)
		old := c.Lost()
		ask(t, c, "next")
		wg.Wait()
		<-old
		if n := o.dials.Load(); n != 2 {
			t.Errorf("%d connections", n)
		}
		c.Close()
	})
}

// A node that refuses this one is tried more and more seldom, and it is said once in a while.
func TestRefusalIsTold(t *testing.T) {
	eachWay(t, func(t *testing.T, direct bool) {
		var told bytes.Buffer
		o := &other{serve: func(_ int32, s *session) { echo(s) }}
		o.direct = direct
		c := newClient(t, o, func(cfg *Config) {
			cfg.MaxBackoff = 200 * time.Millisecond
			cfg.Log = slog.New(slog.NewTextHandler(&told, nil))
			cfg.Login = func(context.Context, Exchange) (time.Time, error) { return time.Time{}, wire.SaslAuthenticationFailed }
		})
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			if _, err := c.Do(t.Context(), metadata("a")); !errors.Is(err, wire.SaslAuthenticationFailed) {
				t.Fatal(err)
			}
		}
		if n := o.dials.Load(); n < 50 || n > 70 {
			t.Errorf("%d connections in a minute", n)
		}
		if n := strings.Count(told.String(), "SASL_AUTHENTICATION_FAILED"); n != 2 {
			t.Errorf("%d lines:\n%s", n, told.String())
		}
		c.Close()
	})
}

func TestOldApiVersions(t *testing.T) {
	here, there := net.Pipe()
	go func() {
		s := &session{there}
		r, err := s.next()
		if err != nil {
			return
		}
		old := wire.ApiVersionsUnsupported(0, 2)
		p := old.AppendTo(wire.AppendResponseHeader(make([]byte, 4), r.Key, 0, r.CorrelationID))
		binary.BigEndian.PutUint32(p, uint32(len(p)-4))
		if _, err := there.Write(p); err != nil {
			return
		}
		if r, err = s.next(); err != nil || r.Version != 0 {
			return
		}
		resp := r.body.ResponseKind().(*kmsg.ApiVersionsResponse)
		resp.ApiKeys = append(resp.ApiKeys, apiKey(3, 0, 5))
		if s.send(r.CorrelationID, r, resp) == nil {
			echo(s)
		}
	}()
	c := newClient(t, &other{}, func(cfg *Config) {
		cfg.Dial = func(context.Context, string) (net.Conn, error) { return here, nil }
	})
	if m := ask(t, c, "a"); m.Version != 5 {
		t.Errorf("version %d", m.Version)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte{0, 0, 0, 6, 0, 0, 0, 1, 0, 0})
	f.Add([]byte{0, 0, 0, 5, 0, 0, 0, 1, 0})
	f.Fuzz(func(_ *testing.T, p []byte) {
		g := lifecycle.New("fuzz", slog.New(slog.DiscardHandler))
		defer g.Stop()
		here, there := net.Pipe()
		go func() {
			go func() { _, _ = io.Copy(io.Discard, there) }()
			_, _ = there.Write(p)
			_ = there.Close()
		}()
		c := New(Config{Group: g, Dial: func(context.Context, string) (net.Conn, error) { return here, nil }, MaxResponseBytes: 1 << 20})
		_, _ = c.Do(context.Background(), metadata("a"))
	})
}

// TestDirect: a client whose requests read their answers themselves takes one at a time; one that is given up, or that
// gets no answer in time, ends the connection.
func TestDirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &other{direct: true, serve: func(n int32, s *session) {
			for n <= 3 {
				if _, err := s.next(); err != nil {
					return
				}
			}
			echo(s)
		}}
		c := newClient(t, o, func(cfg *Config) { cfg.RequestTimeout = 5 * time.Second })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := c.Do(ctx, metadata("a")); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrLost) || time.Since(start) != time.Second {
			t.Errorf("given up: %v after %v", err, time.Since(start))
		}
		start = time.Now()
		if _, err := c.Do(t.Context(), metadata("a")); !errors.Is(err, ErrTimeout) || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		// Close ends a request under way.
		time.AfterFunc(time.Second, func() {
			c.lock.Lock()
			cn := c.conn
			c.lock.Unlock()
			cn.shut(ErrClosed)
		})
		if _, err := c.Do(t.Context(), metadata("a")); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		var group sync.WaitGroup
		for i := range 10 {
			group.Go(func() { ask(t, c, fmt.Sprint(i)) })
		}
		group.Wait()
		if n := o.dials.Load(); n != 4 {
			t.Errorf("%d connections", n)
		}
		c.Close()
	})
}
