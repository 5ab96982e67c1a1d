// Package clientmetrics takes the metrics that clients push (KIP-714): it tells each client what to push and how
// often, by the subscriptions in the metadata, and keeps the latest figures of a bounded number of clients, to be
// served with the broker's own.
//
// Everything that a client sends is bounded: its figures' names must be subscribed to, their number, their labels'
// sizes, the payload before and after decompression. It stores no history and forwards nothing.
package clientmetrics

import (
	"container/list"
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// Client says who asks or pushes.
type Client struct {
	ClientID        string
	SoftwareName    string
	SoftwareVersion string
	Address         netip.AddrPort
}

// Options bound a Manager.
type Options struct {
	MaxInstances int // clients whose figures are kept; the one that was silent for longest gives way
	MaxBytes     int // of a payload as sent; decompressed it may be four times as long
	Now          func() time.Time
}

// seriesPerClient is how many figures of one client are kept.
const seriesPerClient = 500

// Error is a refusal.
type Error struct {
	Code wire.Code
	Text string
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns the code.
func (e *Error) Unwrap() error { return e.Code }

// Manager is the clients and subscriptions of a broker. Safe for concurrent use.
type Manager struct {
	opt Options

	mu        sync.Mutex
	subs      map[string]subscription
	version   int // of subs
	instances map[[16]byte]*list.Element
	order     *list.List // of *instance, the latest first

	pushes, refused, dropped *telemetry.Counter
}

type subscription struct {
	config.ClientMetrics
	match map[string]*regexp.Regexp
}

// instance is one client.
type instance struct {
	id          [16]byte
	client      Client
	version     int // of the subscriptions that the rest was made from
	subID       int32
	interval    time.Duration
	metrics     []string
	lastGet     time.Time
	lastPush    time.Time
	seen        time.Time
	terminating bool
	retryGet    bool // the last answer told the client to get its subscription again
	series      map[string]figure
}

// New returns a manager that serves what it keeps through reg.
func New(opt Options, reg *telemetry.Registry) *Manager {
	m := &Manager{opt: opt, subs: map[string]subscription{}, instances: map[[16]byte]*list.Element{}, order: list.New()}
	if m.opt.Now == nil {
		m.opt.Now = time.Now
	}
	counter := func(name, help string) *telemetry.Counter {
		return reg.Counter(telemetry.Fact{Name: name, Kind: telemetry.PlainCounter, Help: help})
	}
	m.pushes = counter("weir_client_metrics_pushes_total", "Payloads of client metrics taken.")
	m.refused = counter("weir_client_metrics_refused_total", "Payloads of client metrics refused.")
	m.dropped = counter("weir_client_metrics_dropped_series_total", "Figures of clients left out: not subscribed to, or too many.")
	reg.GaugeFunc(telemetry.Fact{Name: "weir_client_metrics_instances", Kind: telemetry.Plain, Help: "Clients whose metrics are kept."}, func() float64 {
		m.mu.Lock()
		defer m.mu.Unlock()
		return float64(len(m.instances))
	})
	reg.Source(m.emit)
	return m
}

// Update sets a subscription to what the metadata says of it; without settings it is gone. Settings that make no
// sense were refused before they got there and are left out.
func (m *Manager) Update(name string, settings map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version++
	delete(m.subs, name)
	if len(settings) == 0 {
		return
	}
	c, err := config.ParseClientMetrics(settings)
	if err != nil {
		return
	}
	s := subscription{ClientMetrics: c, match: map[string]*regexp.Regexp{}}
	for key, pattern := range c.Match {
		re, err := regexp.Compile(`^(?:` + pattern + `)$`)
		if err != nil {
			return
		}
		s.match[key] = re
	}
	m.subs[name] = s
}

func (s subscription) matches(id [16]byte, c Client) bool {
	for key, re := range s.match {
		var v string
		switch key {
		case "client_id":
			v = c.ClientID
		case "client_instance_id":
			v = uuidText(id)
		case "client_software_name":
			v = c.SoftwareName
		case "client_software_version":
			v = c.SoftwareVersion
		case "client_source_address":
			v = c.Address.Addr().String()
		case "client_source_port":
			v = strconv.Itoa(int(c.Address.Port()))
		}
		if !re.MatchString(v) {
			return false
		}
	}
	return true
}

// Subscription is what a client is told to push.
type Subscription struct {
	InstanceID [16]byte
	ID         int32
	Interval   time.Duration
	Metrics    []string // name prefixes; one of "*" for all; none for none
	MaxBytes   int
}

// Get answers a client that asks what to push; a zero id gets a new one. Errors are *Error.
func (m *Manager) Get(id [16]byte, c Client) (Subscription, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.opt.Now()
	for id == ([16]byte{}) || id == [16]byte{15: 1} {
		_, _ = rand.Read(id[:])
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	}
	in, fresh := m.instance(id, c, now)
	if !fresh && !in.retryGet && (now.Sub(in.lastGet) < in.interval || now.Sub(in.lastPush) < in.interval) {
		return Subscription{}, &Error{wire.ThrottlingQuotaExceeded, "Request from the client [" + uuidText(id) + "] arrived before the next push interval time"}
	}
	in.lastGet, in.retryGet = now, false
	return Subscription{InstanceID: id, ID: in.subID, Interval: in.interval, Metrics: in.metrics, MaxBytes: m.opt.MaxBytes}, nil
}

// instance returns the client with that id, brought up to the subscriptions of now; fresh if it was new or they
// had changed.
func (m *Manager) instance(id [16]byte, c Client, now time.Time) (in *instance, fresh bool) {
	if e := m.instances[id]; e != nil {
		in = e.Value.(*instance)
		m.order.MoveToFront(e)
	} else {
		m.expire(now)
		for len(m.instances) >= m.opt.MaxInstances {
			m.forget(m.order.Back())
		}
		in = &instance{id: id, client: c.clipped(), version: -1, series: map[string]figure{}}
		m.instances[id] = m.order.PushFront(in)
	}
	in.seen = now
	if in.version == m.version {
		return in, false
	}
	in.version = m.version
	in.interval, in.metrics = m.subscribed(id, in.client)
	in.subID = subscriptionID(id, in.interval, in.metrics)
	for key, f := range in.series {
		if !in.wants(f.name) {
			delete(in.series, key)
		}
	}
	return in, true
}

func (m *Manager) forget(e *list.Element) {
	delete(m.instances, e.Value.(*instance).id)
	m.order.Remove(e)
}

// expire forgets clients that missed three pushes, a minute at least.
func (m *Manager) expire(now time.Time) {
	for e := m.order.Back(); e != nil; e = m.order.Back() {
		in := e.Value.(*instance)
		if now.Sub(in.seen) < max(3*in.interval, time.Minute) {
			return
		}
		m.forget(e)
	}
}

// subscribed adds up the subscriptions that a client matches: all their metrics, the shortest interval.
func (m *Manager) subscribed(id [16]byte, c Client) (time.Duration, []string) {
	interval := 5 * time.Minute
	var metrics []string
	for _, s := range m.subs {
		if !s.matches(id, c) {
			continue
		}
		metrics = append(metrics, s.Metrics...)
		interval = min(interval, s.Interval)
	}
	if slices.Contains(metrics, "*") {
		return interval, []string{"*"}
	}
	slices.Sort(metrics)
	return interval, slices.Compact(metrics)
}

func subscriptionID(id [16]byte, interval time.Duration, metrics []string) int32 {
	sum := crc32.Checksum([]byte(strings.Join(metrics, ",")+strconv.FormatInt(interval.Milliseconds(), 10)), crc32.MakeTable(crc32.Castagnoli))
	hilo := binary.BigEndian.Uint64(id[:8]) ^ binary.BigEndian.Uint64(id[8:])
	return int32(sum) ^ int32(hilo>>32^hilo)
}

func (in *instance) wants(name string) bool {
	return slices.ContainsFunc(in.metrics, func(p string) bool { return p == "*" || strings.HasPrefix(name, p) })
}

const clip = 128

func (c Client) clipped() Client {
	cut := func(s string) string {
		s = strings.ToValidUTF8(strings.Clone(s), "?")
		return s[:min(len(s), clip)]
	}
	c.ClientID, c.SoftwareName, c.SoftwareVersion = cut(c.ClientID), cut(c.SoftwareName), cut(c.SoftwareVersion)
	return c
}
