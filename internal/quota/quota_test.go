package quota

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// clock is a time that stands until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.UnixMilli(1_700_000_000_000)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
}

func entity(parts ...string) (e Entity) {
	for i := 0; i < len(parts); i += 2 {
		c := Component{Type: EntityType(parts[i]), Name: parts[i+1]}
		if c.Name == "<default>" {
			c.Name, c.Default = "", true
		}
		e = append(e, c)
	}
	return e
}

func one(name string, value float64, parts ...string) Entry {
	return Entry{Entity: entity(parts...), Values: map[string]float64{name: value}}
}

func TestLimitTakesTheMostSpecificEntity(t *testing.T) {
	const rate = "producer_byte_rate"
	var entries []Entry
	if _, ok := NewTable(nil).Limit(Produce, "alice", "app"); ok {
		t.Error("there is a limit in an empty table")
	}
	for i, e := range [][]string{
		{"client-id", "<default>"}, {"client-id", "app"}, {"user", "<default>"}, {"client-id", "<default>", "user", "<default>"},
		{"user", "<default>", "client-id", "app"}, {"user", "alice"}, {"user", "alice", "client-id", "<default>"}, {"client-id", "app", "user", "alice"},
	} {
		entries = append(entries, one(rate, float64(i+1), e...))
		if got, ok := NewTable(entries).Limit(Produce, "alice", "app"); !ok || got != float64(i+1) {
			t.Errorf("limit with %v = %v %v, want %v", e, got, ok, i+1)
		}
	}
	table := NewTable(entries)
	if got, _ := table.Limit(Produce, "bob", "other"); got != 4 {
		t.Errorf("limit of another client = %v, want that of both defaults", got)
	}
	if _, ok := table.Limit(Fetch, "alice", "app"); ok || table.Has(Fetch) {
		t.Error("a quota of another name counts")
	}
}

// Use is counted together for all who share an entity: a user's clients, or a client id's users.
func TestWhoIsCountedTogether(t *testing.T) {
	for _, c := range []struct {
		what     string
		entries  []Entry
		user, id bool // whether alice's other client, and bob with the same client id, are counted with alice's app
	}{
		{"a user's", []Entry{one("producer_byte_rate", 10, "user", "alice")}, true, false},
		{"all users'", []Entry{one("producer_byte_rate", 10, "user", "<default>")}, true, false},
		{"a client id's", []Entry{one("producer_byte_rate", 10, "client-id", "app")}, false, true},
		{"all client ids'", []Entry{one("producer_byte_rate", 10, "client-id", "<default>")}, false, true},
		{"both", []Entry{one("producer_byte_rate", 10, "user", "<default>", "client-id", "<default>")}, false, false},
		{"users before clients", []Entry{one("producer_byte_rate", 10, "user", "<default>"), one("producer_byte_rate", 10, "client-id", "<default>")}, true, false},
	} {
		m := NewManager(Options{Now: newClock().Now})
		m.Update(NewTable(c.entries))
		if m.Record(Produce, "User:alice", "app", 101) == 0 {
			t.Errorf("%s: alice's app is within its quota", c.what)
		}
		if got := m.Record(Produce, "User:alice", "other", 0) > 0; got != c.user {
			t.Errorf("%s: alice's other client is held back: %v", c.what, got)
		}
		if got := m.Record(Produce, "User:bob", "app", 0) > 0; got != c.id {
			t.Errorf("%s: bob's app is held back: %v", c.what, got)
		}
	}
}

// The figures are those that Kafka's Rate gives with the same times.
func TestRate(t *testing.T) {
	r := NewRate(Window{Samples: 11, Size: time.Second})
	at := int64(1_700_000_000_000)
	check := func(what string, wantRate float64, wantSpan int64) {
		t.Helper()
		if got := r.PerSecond(at); math.Abs(got-wantRate) > 1e-9 {
			t.Errorf("%s: rate %v, want %v", what, got, wantRate)
		}
		if got := r.SpanMs(at); got != wantSpan {
			t.Errorf("%s: span %v, want %v", what, got, wantSpan)
		}
	}
	check("nothing", 0, 10000)
	r.Record(1000, at)
	check("at once", 100, 10000)
	at += 500
	check("half a second later", 1000/10.5, 10500)
	for range 10 {
		at += 1000
		r.Record(1000, at)
	}
	check("ten seconds of 1000", 11000/10.5, 10500)
	at += 10_999
	check("just before the last one is over", 1000/10.999, 10999)
	at++
	check("all are over", 0, 10001)
	r.Record(50, at)
	r.Record(-50, at)
	check("taken back", 0, 10001)
}

func TestBytesAreHeldBackForAsLongAsItTakes(t *testing.T) {
	now := newClock()
	m := NewManager(Options{Now: now.Now})
	if m.Enabled(Produce) || m.Record(Produce, "User:a", "c", 1e12) != 0 {
		t.Error("somebody is held back without quotas")
	}
	m.Update(NewTable([]Entry{one("producer_byte_rate", 1000, "user", "a"), one("consumer_byte_rate", 100, "user", "a")}))
	if !m.Enabled(Produce) || !m.Enabled(Fetch) || m.Enabled(Request) {
		t.Error("what is measured is wrong")
	}
	if got := m.Record(Produce, "User:a", "c", 10000); got != 0 {
		t.Errorf("ten seconds' worth at once: held back for %v", got)
	}
	if got := m.Record(Produce, "User:a", "c", 5000); got != 5*time.Second {
		t.Errorf("half as much again: held back for %v, want 5s", got)
	}
	now.add(5 * time.Second)
	if got := m.Record(Produce, "User:a", "c", 0); got != 5*time.Second { // the window is no shorter than ten seconds
		t.Errorf("5s later it is held back for %v, want 5s", got)
	}
	now.add(5*time.Second + time.Millisecond)
	m.Record(Produce, "User:a", "c", 0)
	now.add(time.Second)
	if got := m.Record(Produce, "User:a", "c", 0); got != 0 {
		t.Errorf("after 11s it is held back for %v", got)
	}
	if got := m.Record(Produce, "User:a", "c", 1e15); got != math.MaxInt32*time.Millisecond {
		t.Errorf("the longest time is %v", got)
	}
	if got := m.Most(Fetch, "User:a", "c"); got != 1000 {
		t.Errorf("at most %v bytes at once, want 1000", got)
	}
	if got := m.Most(Fetch, "User:b", "c"); !math.IsInf(got, 1) {
		t.Errorf("whoever has no quota may have %v", got)
	}
	if m.Record(Fetch, "User:a", "c", 2000) == 0 {
		t.Error("a large answer is within the quota")
	}
	m.Unrecord(Fetch, "User:a", "c", 2000)
	if got := m.Record(Fetch, "User:a", "c", 1); got != 0 {
		t.Errorf("what was taken back counts: %v", got)
	}
}

func TestTimeIsHeldBackForAWindowAtMost(t *testing.T) {
	m := NewManager(Options{Now: newClock().Now, Window: Window{Samples: 3, Size: 2 * time.Second}})
	m.Update(NewTable([]Entry{one("request_percentage", 10, "client-id", "c")}))
	if got := m.Record(Request, "User:a", "c", 39); got != 0 {
		t.Errorf("within: %v", got)
	}
	if got := m.Record(Request, "User:a", "c", 1e6); got != 2*time.Second {
		t.Errorf("held back for %v, want a window's 2s", got)
	}
}

// A change of a quota counts at once, for what was used before too.
func TestUpdateKeepsWhatWasUsed(t *testing.T) {
	m := NewManager(Options{Now: newClock().Now})
	m.Update(NewTable([]Entry{one("producer_byte_rate", 1000, "user", "a")}))
	m.Record(Produce, "User:a", "c", 5000)
	m.Update(NewTable([]Entry{one("producer_byte_rate", 100, "user", "a")}))
	if got := m.Record(Produce, "User:a", "c", 0); got != 40*time.Second {
		t.Errorf("held back for %v, want 40s", got)
	}
	m.Update(NewTable(nil))
	if got := m.Record(Produce, "User:a", "c", 1e9); got != 0 {
		t.Errorf("held back for %v without a quota", got)
	}
}

func TestMutations(t *testing.T) {
	now := newClock()
	m := NewManager(Options{Now: now.Now, Controller: Window{Samples: 10, Size: time.Second}})
	if q := m.Mutations("User:a", "c", true); !q.Take(1e6) || q.Wait() != 0 {
		t.Error("partitions are counted without quotas")
	}
	m.Update(NewTable([]Entry{one("controller_mutation_rate", 2, "user", "a")}))
	if q := m.Mutations("User:b", "c", true); !q.Take(1e6) || !q.Take(1) || q.Wait() != 0 {
		t.Error("partitions of somebody without a quota are counted")
	}
	q := m.Mutations("User:a", "c", true)
	if !q.Take(19) || !q.Take(3) || q.Wait() != 0 {
		t.Fatal("a burst and what overdraws it are refused")
	}
	if q.Take(1) || q.Wait() != time.Second {
		t.Errorf("with 2 overdrawn: wait %v, want 1s", q.Wait())
	}
	now.add(400 * time.Millisecond)
	if got := q.Wait(); got != 600*time.Millisecond {
		t.Errorf("later: wait %v", got)
	}
	now.add(600 * time.Millisecond)
	if q := m.Mutations("User:a", "c", true); !q.Take(4) {
		t.Error("refused after the wait")
	}
	old := m.Mutations("User:a", "c", false)
	if !old.Take(2) || old.Wait() != 3*time.Second {
		t.Errorf("an old client: wait %v, want 3s", old.Wait())
	}
}

func TestAddresses(t *testing.T) {
	a, b, c := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	table := NewTable([]Entry{one(connectionRate, 5, "ip", "10.0.0.1"), one(connectionRate, 6, "ip", "a.example"), one(connectionRate, 7, "ip", "<default>")})
	if len(table.Hosts()) != 1 {
		t.Errorf("hosts: %v", table.Hosts())
	}
	table = table.WithHosts(map[string][]netip.Addr{"a.example": {a, b}})
	for addr, want := range map[netip.Addr]float64{a: 5, b: 6, c: 7} {
		if got := table.ConnectionRate(addr); got != want {
			t.Errorf("%v: %v, want %v", addr, got, want)
		}
	}
	if got := NewTable(nil).ConnectionRate(a); !math.IsInf(got, 1) {
		t.Errorf("without quotas: %v", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	now := newClock()
	m := NewManager(Options{Now: now.Now, MaxClients: 640})
	m.Update(NewTable([]Entry{one("producer_byte_rate", 10, "client-id", "<default>")}))
	count := func() (accounts, sensors int) {
		for i := range m.shards {
			accounts += len(m.shards[i].clients)
		}
		return accounts, len(m.sensors)
	}
	m.Record(Produce, "User:a", "first", 1000)
	for i := range 10000 {
		now.add(time.Millisecond)
		m.Record(Produce, "User:a", fmt.Sprint("c", i), 1)
		m.Record(Produce, "User:a", "first", 0)
	}
	accounts, sensors := count()
	if accounts > 640 || sensors > 640 {
		t.Errorf("%d accounts and %d sensors, wanted at most 640", accounts, sensors)
	}
	if m.Record(Produce, "User:a", "first", 1000) == 0 {
		t.Error("one who was busy all the time was forgotten")
	}
	long := string(make([]byte, 30000))
	m.Record(Produce, "User:a", long, 1)
	for key := range m.sensors {
		if len(key.client) > longest {
			t.Error("a client id of 30,000 bytes is kept")
		}
	}
	now.add(2 * time.Hour)
	m.Sweep()
	if accounts, sensors := count(); accounts+sensors != 0 {
		t.Errorf("%d accounts and %d sensors are left after two idle hours", accounts, sensors)
	}
}

func TestReadings(t *testing.T) {
	now := newClock()
	m := NewManager(Options{Now: now.Now})
	m.Update(NewTable([]Entry{one("producer_byte_rate", 1000, "user", "<default>"), one("controller_mutation_rate", 1, "user", "CN=a b,O=*")}))
	m.Record(Produce, "User:CN=a b,O=*", "c", 5000)
	m.Throttled(Produce, "User:CN=a b,O=*", "c", 2*time.Second)
	m.Throttled(Produce, "User:CN=a b,O=*", "c", time.Second)
	m.Mutations("User:CN=a b,O=*", "c", true).Take(3)
	got := map[Kind]Reading{}
	m.Readings(func(r Reading) { got[r.Kind] = r })
	const user = "CN%3Da%20b%2CO%3D%2A"
	if want := (Reading{Produce, user, "", 1000, 500, 1500, 0}); got[Produce] != want {
		t.Errorf("produce: %+v, want %+v", got[Produce], want)
	}
	if want := (Reading{Mutation, user, "", 1, 0.3, 0, 8}); got[Mutation] != want {
		t.Errorf("mutations: %+v, want %+v", got[Mutation], want)
	}
	now.add(2 * time.Minute)
	m.Readings(func(r Reading) {
		if r.ThrottleMs != 0 || r.PerSecond != 0 {
			t.Errorf("two minutes later: %+v", r)
		}
	})
}

// Connections of one client record at once; nothing is lost.
func TestConcurrentUse(t *testing.T) {
	m := NewManager(Options{})
	m.Update(NewTable([]Entry{one("producer_byte_rate", 1e9, "user", "<default>")}))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 1000 {
				m.Record(Produce, "User:a", fmt.Sprint("c", (i+j)%7), 1)
				if j%100 == 0 {
					m.Sweep()
					m.Update(NewTable([]Entry{one("producer_byte_rate", 1e9+float64(j), "user", "<default>")}))
					m.Readings(func(Reading) {})
				}
			}
		})
	}
	wg.Wait()
	m.Readings(func(r Reading) {
		if total := r.PerSecond * 10; total < 3500 || total > 4000 {
			t.Errorf("counted %v of 4000", total)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	for _, c := range []struct {
		name    string
		entries []Entry
	}{
		{"without quotas", nil},
		{"of another kind", []Entry{one("consumer_byte_rate", 1e9, "user", "<default>")}},
		{"with a quota", []Entry{one("producer_byte_rate", 1e15, "user", "<default>")}},
		{"with 10,000 quotas", many(10000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := NewManager(Options{})
			m.Update(NewTable(c.entries))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					m.Record(Produce, "User:alice", "app", 100)
				}
			})
		})
	}
}

func many(n int) (out []Entry) {
	for i := range n {
		out = append(out, one("producer_byte_rate", 1e15, "user", fmt.Sprint("u", i), "client-id", "<default>"))
	}
	return append(out, one("producer_byte_rate", 1e15, "user", "<default>"))
}
