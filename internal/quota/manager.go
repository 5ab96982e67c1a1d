package quota

import (
	"cmp"
	"hash/maphash"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// idle is after what time without use a client is forgotten, as in Kafka.
const idle = time.Hour

// Options is what a Manager is made of.
type Options struct {
	Window     Window // quota.window.num and quota.window.size.seconds
	Controller Window // controller.quota.window.…
	// MaxClients bounds the clients that are remembered [20,000]; beyond, those that were quiet for longest are forgotten
	// early.
	MaxClients int
	Now        func() time.Time // nil: time.Now
}

// Manager measures clients against their quotas. Safe for concurrent use. Where nobody has a quota of a kind, asking
// costs one atomic load; nothing is measured then, as in Kafka. A nil Manager has no quotas.
type Manager struct {
	opts  Options
	table atomic.Pointer[Table]
	seed  maphash.Seed

	shards [shards]shard

	mu      sync.Mutex
	sensors map[sensorKey]*sensor
}

const shards = 64

// shard remembers clients: which sensors count for them.
type shard struct {
	mu      sync.RWMutex
	clients map[client]*account
}

type client struct{ user, id string }

// account is what a client's use is counted with, by the quotas of one table.
type account struct {
	table   *Table
	sensors [kinds]*sensor // nil: nobody has a quota of the kind
	last    atomic.Int64
}

// sensorKey names a sensor as the tags of Kafka's metrics do.
type sensorKey struct {
	kind         Kind
	user, client string
}

// sensor measures one kind of use of one user, client id or both.
type sensor struct {
	key    sensorKey
	window Window

	mu        sync.Mutex
	limit     float64
	rate      Rate
	bucket    bucket
	throttled throttleTimes
	last      int64
}

// NewManager returns a manager without quotas.
func NewManager(o Options) *Manager {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxClients <= 0 {
		o.MaxClients = 20000
	}
	for _, w := range []*Window{&o.Window, &o.Controller} {
		if w.Samples <= 0 {
			w.Samples = 11
		}
		if w.Size <= 0 {
			w.Size = time.Second
		}
	}
	m := &Manager{opts: o, seed: maphash.MakeSeed(), sensors: map[sensorKey]*sensor{}}
	for i := range m.shards {
		m.shards[i].clients = map[client]*account{}
	}
	m.table.Store(NewTable(nil))
	return m
}

// Update puts a table in the place of the present one. What clients have used stays counted.
func (m *Manager) Update(t *Table) { m.table.Store(t) }

// Replace is Update if old is the present table still.
func (m *Manager) Replace(old, table *Table) { m.table.CompareAndSwap(old, table) }

// none is the table of a nil Manager.
var none = NewTable(nil)

// Table returns the current table.
func (m *Manager) Table() *Table {
	if m == nil {
		return none
	}
	return m.table.Load()
}

// Enabled reports whether anybody has a quota of the kind.
func (m *Manager) Enabled(k Kind) bool { return m.Table().Has(k) }

// ConnectionRate is how many connections a second an address may make, +Inf if there is no bound.
func (m *Manager) ConnectionRate(addr netip.Addr) float64 { return m.Table().ConnectionRate(addr) }

func (m *Manager) nowMs() int64 { return m.opts.Now().UnixMilli() }

// Record counts a client's use and returns for how long it must be quiet to come back to its quota, 0 if it is within.
// The value is in bytes, or for Request in percent of a second of one processor. The principal is one like User:alice.
func (m *Manager) Record(k Kind, principal, clientID string, value float64) time.Duration {
	s, now := m.sensor(k, principal, clientID)
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = now
	s.rate.Record(value, now)
	wait := s.rate.Excess(s.limit, now)
	if k == Request { // nobody is shut out for longer than a window
		wait = min(wait, s.window.Size)
	}
	return wait
}

// Unrecord takes back what Record counted, since it was not sent after all.
func (m *Manager) Unrecord(k Kind, principal, clientID string, value float64) {
	if s, now := m.sensor(k, principal, clientID); s != nil {
		s.mu.Lock()
		s.rate.Record(-value, now)
		s.mu.Unlock()
	}
}

// Throttled notes for the metrics that a client is held back.
func (m *Manager) Throttled(k Kind, principal, clientID string, wait time.Duration) {
	if s, now := m.sensor(k, principal, clientID); s != nil {
		s.mu.Lock()
		s.throttled.note(wait, now)
		s.mu.Unlock()
	}
}

// Most is the largest value that a client could use at once without being held back for certain, +Inf without a quota.
func (m *Manager) Most(k Kind, principal, clientID string) float64 {
	s, _ := m.sensor(k, principal, clientID)
	if s == nil {
		return math.Inf(1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if math.IsInf(s.limit, 1) {
		return s.limit
	}
	return s.limit * float64(s.window.Samples-1) * s.window.Size.Seconds()
}

// sensor finds what a client's use is counted with, nil if nobody has a quota of the kind, and the time.
func (m *Manager) sensor(k Kind, principal, clientID string) (*sensor, int64) {
	t := m.Table()
	if !t.Has(k) {
		return nil, 0
	}
	key := client{userOf(principal), clientID}
	sh := &m.shards[(maphash.String(m.seed, key.user)+31*maphash.String(m.seed, key.id))%shards]
	sh.mu.RLock()
	a := sh.clients[key]
	sh.mu.RUnlock()
	now := m.nowMs()
	if a == nil || a.table != t {
		a = m.open(t, key, sh, now)
	} else if now-a.last.Load() > 1000 { // not each time: the line is shared by all connections of the client
		a.last.Store(now)
	}
	return a.sensors[k], now
}

// longest bounds the names that are kept of a client; beyond, equal beginnings share what is counted.
const longest = 256

func (c client) cut() client {
	return client{c.user[:min(len(c.user), longest)], c.id[:min(len(c.id), longest)]}
}

// open makes a client's account by the present quotas.
func (m *Manager) open(t *Table, key client, sh *shard, now int64) *account {
	a := &account{table: t}
	a.last.Store(now)
	for k := range t.kinds {
		if !t.Has(Kind(k)) {
			continue
		}
		s := t.kinds[k].find(key.user, key.id)
		named := client{s.user, s.client}.cut()
		a.sensors[k] = m.sensorFor(sensorKey{Kind(k), named.user, named.id}, s.limit, now)
	}
	if len(key.user) > longest || len(key.id) > longest {
		return a // too long to be remembered: it is looked up each time
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if len(sh.clients) >= max(m.opts.MaxClients/shards, 1) {
		forgetQuietest(sh.clients, func(a *account) int64 { return a.last.Load() })
	}
	sh.clients[key] = a
	return a
}

func (m *Manager) sensorFor(key sensorKey, limit float64, now int64) *sensor {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sensors[key]
	if s == nil {
		if len(m.sensors) >= m.opts.MaxClients {
			forgetQuietest(m.sensors, (*sensor).used)
		}
		s = &sensor{key: key, window: m.opts.Window, last: now}
		if key.kind == Mutation {
			s.window = m.opts.Controller
		}
		s.rate = NewRate(s.window)
		m.sensors[key] = s
	}
	s.mu.Lock()
	s.limit = limit
	s.mu.Unlock()
	return s
}

func (s *sensor) used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// forgetQuietest makes room in a full map: the quarter that was quiet for longest goes.
func forgetQuietest[K comparable, V any](in map[K]V, last func(V) int64) {
	type one struct {
		key  K
		last int64
	}
	all := make([]one, 0, len(in))
	for k, v := range in {
		all = append(all, one{k, last(v)})
	}
	slices.SortFunc(all, func(a, b one) int { return cmp.Compare(a.last, b.last) })
	for _, o := range all[:(len(all)+3)/4] {
		delete(in, o.key)
	}
}

// Sweep forgets the clients that were idle for an hour. Whoever runs the manager calls it now and then.
func (m *Manager) Sweep() {
	old := m.nowMs() - idle.Milliseconds()
	for i := range m.shards {
		sh := &m.shards[i]
		sh.mu.Lock()
		for key, a := range sh.clients {
			if a.last.Load() < old {
				delete(sh.clients, key)
			}
		}
		sh.mu.Unlock()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, s := range m.sensors {
		if s.used() < old {
			delete(m.sensors, key)
		}
	}
}
