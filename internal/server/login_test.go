package server

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/wire"
)

// guard is a broker whose listener wants SASL, TLS or both.
type guard struct {
	broker
	reauth atomic.Int64 // nanoseconds of a session
	rec    recorder
}

func (g *guard) routes() []wire.Route {
	return append(g.broker.routes(),
		wire.Route{Key: 17, MinVersion: 0, MaxVersion: 1, Handle: func(r *wire.Request) {
			resp := r.Body.ResponseKind().(*kmsg.SASLHandshakeResponse)
			resp.ErrorCode = int16(wire.IllegalSaslState)
			r.Reply(resp)
		}},
		wire.Route{Key: 36, MinVersion: 0, MaxVersion: 2, Handle: func(r *wire.Request) {
			resp := r.Body.ResponseKind().(*kmsg.SASLAuthenticateResponse)
			resp.ErrorCode = int16(wire.IllegalSaslState)
			r.Reply(resp)
		}})
}

func (g *guard) sasl() *sasl.Authenticator {
	a := sasl.NewAuthenticator()
	users := sasl.NewPlainUsers(map[string]string{"alice": "wonder", "bob": "builder"})
	a.Add(sasl.Plain, time.Duration(g.reauth.Load()), users.Begin)
	s, err := sasl.NewScram(sasl.ScramSHA256, func(string) (sasl.Credential, bool) { return sasl.Credential{}, false })
	if err != nil {
		panic(err)
	}
	a.Add(sasl.ScramSHA256, 0, s.Begin)
	return a
}

// serveGuarded opens the listeners SASL, TLS and BOTH.
func serveGuarded(t testing.TB, g *guard, limits Limits) (*Server, *lines) {
	t.Helper()
	conf := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	wrap := func(ctx context.Context, nc net.Conn) (net.Conn, string, error) {
		c := tls.Server(nc, conf)
		return c, "User:CN=x", c.HandshakeContext(ctx)
	}
	log := new(lines)
	listener := func(name string) Listener { return Listener{Name: name, Address: "127.0.0.1:0", Routes: g.routes()} }
	secure, tlsOnly, both := listener("SASL"), listener("TLS"), listener("BOTH")
	secure.SASL, both.SASL, tlsOnly.Wrap, both.Wrap = g.sasl, g.sasl, wrap, wrap
	s, err := New(Config{Listeners: []Listener{secure, tlsOnly, both, listener("PLAINTEXT")}, Limits: limits, Observer: &g.rec, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop(time.Second)
		if n := s.budget.used.Load(); n != 0 {
			t.Errorf("%d bytes of the budget were not given back", n)
		}
	})
	return s, log
}

func dialTLS(t testing.TB, s *Server, listener string) *client {
	t.Helper()
	nc, err := tls.Dial("tcp", s.Addr(listener).String(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // made a moment ago
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &client{t: t, nc: nc, in: newReader(nc)}
}

func handshakeRequest(version int16, mechanism string) *kmsg.SASLHandshakeRequest {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = version, mechanism
	return req
}

func authenticateRequest(message string) *kmsg.SASLAuthenticateRequest {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version, req.SASLAuthBytes = 2, []byte(message)
	return req
}

func versionsRequest(version int16) *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = version, "test", "1"
	return req
}

func (c *client) login(user, password string) *kmsg.SASLAuthenticateResponse {
	c.t.Helper()
	if r := c.ask(handshakeRequest(1, "PLAIN")).(*kmsg.SASLHandshakeResponse); r.ErrorCode != 0 || !slices.Contains(r.SupportedMechanisms, "SCRAM-SHA-256") {
		c.t.Fatalf("handshake: %+v", r)
	}
	return c.ask(authenticateRequest("\x00" + user + "\x00" + password)).(*kmsg.SASLAuthenticateResponse)
}

func TestLogin(t *testing.T) {
	g := &guard{}
	s, _ := serveGuarded(t, g, Limits{})
	for name, c := range map[string]*client{"SASL": dial(t, s, "SASL"), "BOTH": dialTLS(t, s, "BOTH")} {
		c.ask(versionsRequest(3))
		c.ask(versionsRequest(0))
		if r := c.login("alice", "wonder"); r.ErrorCode != 0 || r.SessionLifetimeMillis != 0 {
			t.Fatalf("%s: %+v", name, r)
		}
		if r := c.ask(metadataRequest("a")).(*kmsg.MetadataResponse); len(r.Topics) != 1 {
			t.Errorf("%s: %+v", name, r)
		}
		// Whoever is in cannot begin again unless its session is bounded.
		if r := c.ask(handshakeRequest(1, "PLAIN")).(*kmsg.SASLHandshakeResponse); r.ErrorCode != int16(wire.IllegalSaslState) {
			t.Errorf("%s: a second handshake: %+v", name, r)
		}
		if r := c.ask(authenticateRequest("x")).(*kmsg.SASLAuthenticateResponse); r.ErrorCode != int16(wire.IllegalSaslState) {
			t.Errorf("%s: a second authentication: %+v", name, r)
		}
		c.ask(metadataRequest("a"))
	}
	c := dialTLS(t, s, "TLS")
	c.ask(metadataRequest("a"))
	g.rec.mu.Lock()
	defer g.rec.mu.Unlock()
	if slices.Sort(g.rec.auth); !slices.Equal(g.rec.auth, []string{" true false", "PLAIN true false", "PLAIN true false"}) {
		t.Errorf("the observer heard %q", g.rec.auth)
	}
}

func TestPrincipalIsWhoLoggedIn(t *testing.T) {
	got := make(chan string, 1)
	g := &guard{broker: broker{produced: make(chan *wire.Request, 1)}}
	s, _ := serveGuarded(t, g, Limits{})
	go func() {
		r := <-g.produced
		got <- r.Conn.Principal
		r.Reply(produceAnswer(r))
	}()
	c := dial(t, s, "SASL")
	c.login("bob", "builder")
	c.ask(produceRequest(9, 1, nil))
	if p := <-got; p != "User:bob" {
		t.Errorf("principal %s", p)
	}
}

// Version 0 of SaslHandshake: the messages follow without requests around them.
func TestBareMessages(t *testing.T) {
	s, _ := serveGuarded(t, &guard{}, Limits{})
	bare := func(message string) *client {
		c := dial(t, s, "SASL")
		c.ask(handshakeRequest(0, "PLAIN"))
		if _, err := c.nc.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := bare("\x00alice\x00wonder")
	if p, err := c.frame(); err != nil || len(p) != 0 {
		t.Fatalf("%x %v", p, err)
	}
	c.ask(metadataRequest("a"))
	bare("\x00alice\x00wrong").closed()
	bare("").closed()
}

func TestFailedLogins(t *testing.T) {
	g := &guard{}
	s, log := serveGuarded(t, g, Limits{FailedLoginDelay: 50 * time.Millisecond})
	for _, c := range []struct{ user, password, want string }{
		{"alice", "builder", "Authentication failed: Invalid username or password"},
		{"mallory", "wonder", "Authentication failed: Invalid username or password"},
	} {
		peer := dial(t, s, "SASL")
		began := time.Now()
		r := peer.login(c.user, c.password)
		if r.ErrorCode != int16(wire.SaslAuthenticationFailed) || r.ErrorMessage == nil || *r.ErrorMessage != c.want {
			t.Errorf("%+v", r)
		}
		if time.Since(began) < 50*time.Millisecond {
			t.Error("the answer to a failed login is not held back")
		}
		peer.closed()
	}
	peer := dial(t, s, "SASL")
	peer.ask(handshakeRequest(1, "SCRAM-SHA-256"))
	peer.ask(authenticateRequest("n,,n=alice,r=abcd"))
	r := peer.ask(authenticateRequest("c=biws,r=abcd,p=AAAA")).(*kmsg.SASLAuthenticateResponse)
	if r.ErrorCode != int16(wire.SaslAuthenticationFailed) || *r.ErrorMessage != "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256" {
		t.Errorf("%+v", r)
	}
	peer.closed()
	peer = dial(t, s, "SASL")
	h := peer.ask(handshakeRequest(1, "GSSAPI")).(*kmsg.SASLHandshakeResponse)
	if h.ErrorCode != int16(wire.UnsupportedSaslMechanism) || !slices.Equal(h.SupportedMechanisms, []string{"PLAIN", "SCRAM-SHA-256"}) {
		t.Errorf("%+v", h)
	}
	peer.closed()
	eventually(t, "it is logged", func() bool { return log.has("authentication failed") })
	for _, secret := range []string{"builder", "wonder"} {
		if log.has(secret) {
			t.Errorf("the log has the password %s", secret)
		}
	}
	g.rec.mu.Lock()
	defer g.rec.mu.Unlock()
	if slices.Sort(g.rec.auth); !slices.Equal(g.rec.auth, []string{" false false", "PLAIN false false", "PLAIN false false", "SCRAM-SHA-256 false false"}) {
		t.Errorf("the observer heard %q", g.rec.auth)
	}
}

// Before it is in a peer may send three APIs, small and soon.
func TestNothingBeforeLogin(t *testing.T) {
	s, log := serveGuarded(t, &guard{}, Limits{LoginBytes: 4096})
	hasty, hastyLog := serveGuarded(t, &guard{}, Limits{HandshakeTimeout: 50 * time.Millisecond})
	for name, c := range map[string]struct {
		send   func(*client)
		reason string
	}{
		"metadata":          {func(c *client) { c.send(metadataRequest("a")) }, "(Metadata) before it was authenticated"},
		"unknown key":       {func(c *client) { c.nc.Write([]byte("\x00\x00\x00\x0a\x07\xd0\x00\x00\x00\x00\x00\x01\xff\xff")) }, "API key 2000 before"},
		"large":             {func(c *client) { c.nc.Write([]byte("\x00\x00\x20\x00\x00\x24\x00\x02")) }, "length of 8192 before it was authenticated"},
		"negative":          {func(c *client) { c.nc.Write([]byte("\xff\xff\xff\xff")) }, "length of -1 before"},
		"tls":               {func(c *client) { c.nc.Write([]byte("\x16\x03\x01\x02\x00")) }, "looks like a TLS handshake"},
		"silence":           {func(*client) {}, "too slow"},
		"half":              {func(c *client) { c.nc.Write([]byte("\x00\x00\x00\x20\x00")) }, "too slow"},
		"no handshake":      {func(c *client) { c.send(authenticateRequest("\x00alice\x00wonder")) }, "SaslAuthenticate before SaslHandshake"},
		"two handshakes":    {func(c *client) { c.ask(handshakeRequest(1, "PLAIN")); c.send(handshakeRequest(1, "PLAIN")) }, "second SaslHandshake"},
		"metadata in login": {func(c *client) { c.ask(handshakeRequest(1, "PLAIN")); c.send(metadataRequest("a")) }, "(Metadata) before it was authenticated"},
		"versions for ever": {func(c *client) {
			for range loginFrames {
				c.ask(versionsRequest(0))
			}
		}, "did not finish its authentication"},
	} {
		t.Run(name, func(t *testing.T) {
			s, log := s, log
			if c.reason == "too slow" {
				s, log = hasty, hastyLog
			}
			peer := dial(t, s, "SASL")
			c.send(peer)
			peer.closed()
			eventually(t, "the reason is logged: "+c.reason, func() bool { return log.has(c.reason) })
		})
	}
}

func TestUnsupportedVersionsBeforeLogin(t *testing.T) {
	s, _ := serveGuarded(t, &guard{}, Limits{})
	c := dial(t, s, "SASL")
	c.send(versionsRequest(4))
	p, err := c.frame()
	if err != nil || len(p) < 6 {
		t.Fatal(err)
	}
	raw := []byte("\x00\x00\x00\x15\x00\x12\x00\x63\x00\x00\x00\x07\x00\x04test\x00aaaaaa")
	if _, err := c.nc.Write(raw); err != nil {
		t.Fatal(err)
	}
	if p, err = c.frame(); err != nil || binary.BigEndian.Uint16(p[4:]) != uint16(wire.UnsupportedVersion) {
		t.Fatalf("%x %v", p, err)
	}
	if r := c.login("alice", "wonder"); r.ErrorCode != 0 {
		t.Errorf("%+v", r)
	}
}

func TestReauthentication(t *testing.T) {
	g := &guard{}
	g.reauth.Store(int64(time.Hour))
	s, log := serveGuarded(t, g, Limits{})
	c := dial(t, s, "SASL")
	r := c.login("alice", "wonder")
	if r.SessionLifetimeMillis < 3500_000 || r.SessionLifetimeMillis > 3600_000 {
		t.Errorf("lifetime %d", r.SessionLifetimeMillis)
	}
	// Too soon: it is told that it is in.
	if h := c.ask(handshakeRequest(1, "PLAIN")).(*kmsg.SASLHandshakeResponse); h.ErrorCode != int16(wire.IllegalSaslState) {
		t.Errorf("%+v", h)
	}
	pause := time.NewTimer(reauthPause)
	<-pause.C
	if r := c.login("alice", "wonder"); r.ErrorCode != 0 || r.SessionLifetimeMillis == 0 {
		t.Errorf("%+v", r)
	}
	c.ask(metadataRequest("a"))
	pause.Reset(reauthPause)
	<-pause.C
	if r := c.login("bob", "builder"); r.ErrorCode != int16(wire.SaslAuthenticationFailed) || !strings.Contains(*r.ErrorMessage, "Cannot change principals") {
		t.Errorf("%+v", r)
	}
	c.closed()
	g.reauth.Store(int64(300 * time.Millisecond))
	c = dial(t, s, "SASL")
	c.login("alice", "wonder")
	c.ask(metadataRequest("a"))
	pause.Reset(400 * time.Millisecond)
	<-pause.C
	c.send(metadataRequest("a"))
	c.closed()
	eventually(t, "it is logged", func() bool { return log.has("session has expired") })
	g.rec.mu.Lock()
	defer g.rec.mu.Unlock()
	if g.rec.expired != 1 || !slices.Contains(g.rec.auth, "PLAIN true true") || !slices.Contains(g.rec.auth, "PLAIN false true") {
		t.Errorf("the observer heard %q, %d expired", g.rec.auth, g.rec.expired)
	}
}

func TestRequestsWaitForReauthentication(t *testing.T) {
	g := &guard{}
	g.reauth.Store(int64(time.Hour))
	s, log := serveGuarded(t, g, Limits{})
	c := dial(t, s, "SASL")
	c.login("alice", "wonder")
	pause := time.NewTimer(reauthPause)
	<-pause.C
	c.ask(handshakeRequest(1, "PLAIN"))
	c.send(metadataRequest("a"))
	c.closed()
	eventually(t, "it is logged", func() bool { return log.has("while it was to show again who it is") })
}

// A thousand peers that begin a handshake and never end it cost a bounded number of places, and the next one gets in.
func TestHandshakesThatNeverEnd(t *testing.T) {
	s, log := serveGuarded(t, &guard{}, Limits{MaxHandshakes: 5})
	var idle []net.Conn
	for range 12 {
		nc, err := net.Dial("tcp", s.Addr("BOTH").String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		idle = append(idle, nc)
	}
	c := dialTLS(t, s, "BOTH")
	if r := c.login("alice", "wonder"); r.ErrorCode != 0 {
		t.Errorf("%+v", r)
	}
	eventually(t, "it is logged", func() bool { return log.has("while others wait for its place") })
	s.table.mu.Lock()
	n := len(s.table.opening)
	s.table.mu.Unlock()
	if n > 5 {
		t.Errorf("%d handshakes at once", n)
	}
	// Listeners without handshakes do not wait for them.
	dial(t, s, "PLAINTEXT").ask(metadataRequest("a"))
	_ = idle
}

func TestLargeClaimsBeforeLoginAreFew(t *testing.T) {
	s, log := serveGuarded(t, &guard{}, Limits{})
	head := []byte("\x00\x07\x00\x00\x00\x24\x00\x02")
	for range largeLogins {
		c := dial(t, s, "SASL")
		if _, err := c.nc.Write(head); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all places are taken", func() bool { return len(s.logins) == largeLogins })
	c := dial(t, s, "SASL")
	if _, err := c.nc.Write(head); err != nil {
		t.Fatal(err)
	}
	c.closed()
	eventually(t, "it is logged", func() bool { return log.has("too many peers send large requests") })
	if r := dial(t, s, "SASL").login("alice", "wonder"); r.ErrorCode != 0 {
		t.Errorf("%+v", r)
	}
}

func TestFailuresFillNoLog(t *testing.T) {
	f := &failures{}
	now := time.Unix(0, 0).Add(time.Hour)
	lines := 0
	for range 1000 {
		if _, yes := f.say(true, now); yes {
			lines++
		}
	}
	if lines != failureLines {
		t.Errorf("%d lines", lines)
	}
	if _, yes := f.say(false, now); !yes {
		t.Error("other lines are left out")
	}
	if more, yes := f.say(true, now.Add(failureWindow)); !yes || more != 1000-failureLines {
		t.Errorf("%d left out, %v", more, yes)
	}
}

// What a peer sends before it is in never ends the server, nor lets it in.
func FuzzLogin(f *testing.F) {
	frame := func(req kmsg.Request) []byte {
		return kmsg.NewRequestFormatter(kmsg.FormatterClientID("fuzz")).AppendRequest(nil, req, 1)[4:]
	}
	f.Add(frame(handshakeRequest(1, "PLAIN")), frame(authenticateRequest("\x00alice\x00wrong")))
	f.Add(frame(handshakeRequest(0, "PLAIN")), []byte("\x00alice\x00wrong"))
	f.Add(frame(versionsRequest(3)), frame(handshakeRequest(1, "X")))
	g := &guard{}
	s, err := New(Config{Listeners: []Listener{{Name: "SASL", Address: "127.0.0.1:0", Routes: g.routes(), SASL: g.sasl}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		if strings.Contains(string(second), "wonder") || strings.Contains(string(second), "builder") {
			t.Skip()
		}
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		c := newConn(s, s.listeners[0], a)
		c.session = &session{c: c}
		for _, frame := range [][]byte{first, second} {
			if _, err := c.session.frame(context.Background(), frame); err != nil {
				return
			}
		}
		if c.session.let {
			t.Errorf("%q %q is let in", first, second)
		}
	})
}
