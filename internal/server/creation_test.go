package server

import (
	"math"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/quota"
)

// two makes a server with a listener for clients and one for brokers.
func two(t *testing.T, cfg Config) *Server {
	t.Helper()
	b := &broker{}
	cfg.Listeners = []Listener{
		{Name: "CLIENTS", Address: "127.0.0.1:0", Routes: b.routes()},
		{Name: "BROKERS", Address: "127.0.0.1:0", Routes: b.routes(), Privileged: true},
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(0) })
	return s
}

func TestRatesOfNewConnections(t *testing.T) {
	s, err := New(Config{Listeners: []Listener{{Name: "A", Address: "127.0.0.1:0"}, {Name: "B", Address: "127.0.0.1:0", Privileged: true}}})
	if err != nil {
		t.Fatal(err)
	}
	a, b := s.listeners[0], s.listeners[1]
	now := time.UnixMilli(1_700_000_000_000)
	limits := Limits{CreationRate: 2, Listeners: map[string]ListenerLimits{"B": {CreationRate: 1}}}
	for i := range 20 { // the window of 11 s counts as ten at least
		if wait := s.creation.count(a, false, &limits, now); wait != 0 {
			t.Fatalf("connection %d of a burst waits %v", i, wait)
		}
	}
	if wait := s.creation.count(a, false, &limits, now); wait != 500*time.Millisecond {
		t.Errorf("the one after the burst waits %v, want 500ms", wait)
	}
	if wait := s.creation.count(b, true, &limits, now); wait != 0 {
		t.Errorf("a protected listener waits %v for the limit of all", wait)
	}
	for range 8 {
		s.creation.count(b, true, &limits, now)
	}
	if wait := s.creation.count(b, true, &limits, now); wait != 0 {
		t.Errorf("ten on a protected listener: it waits %v", wait)
	}
	if wait := s.creation.count(b, true, &limits, now); wait != time.Second {
		t.Errorf("eleven on a protected listener: it waits %v, want 1s", wait)
	}
	for range 1000 {
		s.creation.count(a, false, &limits, now)
	}
	if wait := s.creation.count(a, false, &limits, now); wait != time.Second {
		t.Errorf("a flood waits %v, want a window's second", wait)
	}
	if wait := s.creation.count(a, false, &Limits{CreationRate: -1}, now); wait != time.Second {
		t.Errorf("with a rate of nothing it waits %v", wait)
	}
	if wait := s.creation.count(a, false, &Limits{}, now); wait != 0 {
		t.Errorf("without limits it waits %v", wait)
	}
	ip := netip.MustParseAddr("10.0.0.1")
	for range 10 {
		if wait := s.creation.address(a, ip, 1, now); wait != 0 {
			t.Errorf("an address within its rate waits %v", wait)
		}
	}
	for range 5 { // those that are not let in do not count
		if wait := s.creation.address(a, ip, 1, now); wait != time.Second {
			t.Errorf("an address above its rate is kept for %v", wait)
		}
	}
	if got := s.creation.addresses[ip].rate.PerSecond(now.UnixMilli()); got != 1 {
		t.Errorf("%v connections a second are counted, want 1", got)
	}
	if wait := s.creation.address(a, netip.MustParseAddr("10.0.0.2"), 1, now); wait != 0 {
		t.Errorf("another address is kept for %v", wait)
	}
	for i := range 2 * maxAddresses {
		s.creation.address(a, netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), 1, now.Add(time.Duration(i)*time.Millisecond))
	}
	if n := len(s.creation.addresses); n > maxAddresses {
		t.Errorf("%d addresses are remembered", n)
	}
}

// The single listener of a node is held to the limit though it is the brokers' too.
func TestMaxConnectionsOfASingleListener(t *testing.T) {
	b := &broker{}
	s, err := New(Config{Listeners: []Listener{{Name: "ALL", Address: "127.0.0.1:0", Routes: b.routes(), Privileged: true}}, Limits: Limits{MaxConnections: 2}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Stop(0)
	first := dial(t, s, "ALL")
	first.ask(metadataRequest("a"))
	dial(t, s, "ALL").ask(metadataRequest("a"))
	third := dial(t, s, "ALL")
	third.send(metadataRequest("a"))
	first.ask(metadataRequest("a"))
	if n := s.Connections(); n != 2 {
		t.Errorf("%d connections are open, allowed are 2", n)
	}
	first.nc.Close()
	third.receive(metadataRequest("a"))
}

// A broker takes the place of the client that was quiet for longest, and a limit that is lowered closes such ones.
func TestTheQuietestMakeRoom(t *testing.T) {
	s := two(t, Config{Limits: Limits{MaxConnections: 3}})
	var clients []*client
	for range 3 {
		c := dial(t, s, "CLIENTS")
		c.ask(metadataRequest("a"))
		clients = append(clients, c)
	}
	clients[0].ask(metadataRequest("a"))
	dial(t, s, "BROKERS").ask(metadataRequest("a"))
	clients[1].closed()
	eventually(t, "three are left", func() bool { return s.Connections() == 3 })
	clients[2].ask(metadataRequest("a"))
	s.SetLimits(Limits{MaxConnections: 2})
	clients[0].closed()
	clients[2].ask(metadataRequest("a"))
	s.SetLimits(Limits{MaxConnections: -1})
	clients[2].closed()
	eventually(t, "the broker is left", func() bool { return s.Connections() == 1 })
	dial(t, s, "BROKERS").ask(metadataRequest("a"))
}

func TestMaxConnectionsOfAListener(t *testing.T) {
	one := map[string]ListenerLimits{"CLIENTS": {MaxConnections: 1}}
	s := two(t, Config{Limits: Limits{Listeners: one}})
	first := dial(t, s, "CLIENTS")
	first.ask(metadataRequest("a"))
	second := dial(t, s, "CLIENTS")
	second.send(metadataRequest("a"))
	dial(t, s, "BROKERS").ask(metadataRequest("a"))
	dial(t, s, "BROKERS").ask(metadataRequest("a"))
	if n := s.Connections(); n != 3 {
		t.Errorf("%d connections, want one of a client and two of brokers", n)
	}
	s.SetLimits(Limits{})
	second.receive(metadataRequest("a"))
}

// Connections beyond the rate wait; they are not refused.
func TestNewConnectionsWait(t *testing.T) {
	window := quota.Window{Samples: 2, Size: 300 * time.Millisecond}
	s := two(t, Config{RateWindow: window, Limits: Limits{CreationRate: 10}})
	began := time.Now()
	for range 6 { // three are a window's
		dial(t, s, "CLIENTS").ask(metadataRequest("a"))
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("six connections at ten a second took %v", took)
	}
	rates := s.AcceptRates()
	if rates[0].PerSecond <= 0 || rates[1].Listener != "CLIENTS" || rates[1].Waited <= 0 || rates[2].Waited != 0 {
		t.Errorf("measured: %+v", rates)
	}
}

// An address above its quota is kept waiting, then refused; others are served.
func TestAddressesAboveTheirRate(t *testing.T) {
	bad := netip.MustParseAddr("127.0.0.1")
	s := two(t, Config{RateWindow: quota.Window{Samples: 2, Size: 200 * time.Millisecond}, AddressRate: func(ip netip.Addr) float64 {
		if ip == bad {
			return 5
		}
		return math.Inf(1)
	}})
	dial(t, s, "CLIENTS").ask(metadataRequest("a"))
	refused := dial(t, s, "CLIENTS")
	refused.send(metadataRequest("a"))
	if runtime.GOOS != "linux" { // others do not have all of 127.0.0.0/8
		refused.closed()
		return
	}
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	nc, err := other.DialContext(t.Context(), "tcp", s.Addr("CLIENTS").String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	(&client{t: t, nc: nc, in: newReader(nc)}).ask(metadataRequest("a"))
	refused.closed()
	if rates := s.AcceptRates(); rates[1].Kept <= 0 {
		t.Errorf("measured: %+v", rates)
	}
}

func TestBacklog(t *testing.T) {
	s, err := New(Config{Listeners: []Listener{{Name: "A", Address: "127.0.0.1:0", Backlog: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	defer s.Stop(0)
	// Nobody accepts: what is beyond the queue gets no answer to its first packet.
	opened := 0
	for i := range 20 {
		d := net.Dialer{Timeout: 200 * time.Millisecond}
		nc, err := d.Dial("tcp", s.Addr("A").String())
		if err != nil {
			break
		}
		defer nc.Close()
		opened = i + 1
	}
	if opened < 3 || opened > 6 {
		t.Errorf("%d connections fit into a queue of 3", opened)
	}
}
