package authz

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/weir-stream/weir/internal/security/principal"
)

func caller(user, host string) Caller {
	return Caller{Principal: principal.Principal{Type: "User", Name: user}, Host: netip.MustParseAddr(host)}
}

func entry(p Permission, user, host string, op Operation, t ResourceType, pattern PatternType, name string) Entry {
	return Entry{Type: t, Name: name, Pattern: pattern, Principal: "User:" + user, Host: host, Operation: op, Permission: p}
}

func standard(openIfNone bool, entries ...Entry) *Standard {
	s := NewStandard("User:root; User:CN=a,O=b ;;nonsense", openIfNone)
	s.Update(nil, entries)
	return s
}

func TestStandard(t *testing.T) {
	for _, c := range []struct {
		what    string
		entries []Entry
		who     Caller
		op      Operation
		t       ResourceType
		name    string
		want    bool
	}{
		{"nothing allows", nil, caller("a", "10.0.0.1"), Read, Topic, "t", false},
		{"a super user", nil, caller("root", "10.0.0.1"), Read, Topic, "t", true},
		{"a super user with commas", nil, caller("CN=a,O=b", "10.0.0.1"), Read, Topic, "t", true},
		{"a literal name", []Entry{entry(Allow, "a", "*", Read, Topic, Literal, "t")}, caller("a", "10.0.0.1"), Read, Topic, "t", true},
		{"a literal name is not a prefix", []Entry{entry(Allow, "a", "*", Read, Topic, Literal, "t")}, caller("a", "10.0.0.1"), Read, Topic, "tt", false},
		{"another type", []Entry{entry(Allow, "a", "*", Read, Group, Literal, "t")}, caller("a", "10.0.0.1"), Read, Topic, "t", false},
		{"another user", []Entry{entry(Allow, "a", "*", Read, Topic, Literal, "t")}, caller("b", "10.0.0.1"), Read, Topic, "t", false},
		{"everybody", []Entry{entry(Allow, "*", "*", Read, Topic, Literal, "t")}, caller("b", "10.0.0.1"), Read, Topic, "t", true},
		{"a prefix", []Entry{entry(Allow, "a", "*", Read, Topic, Prefixed, "te")}, caller("a", "10.0.0.1"), Read, Topic, "test", true},
		{"a prefix is whole", []Entry{entry(Allow, "a", "*", Read, Topic, Prefixed, "te")}, caller("a", "10.0.0.1"), Read, Topic, "te", true},
		{"a longer prefix", []Entry{entry(Allow, "a", "*", Read, Topic, Prefixed, "test")}, caller("a", "10.0.0.1"), Read, Topic, "te", false},
		{"all resources", []Entry{entry(Allow, "a", "*", Read, Topic, Literal, "*")}, caller("a", "10.0.0.1"), Read, Topic, "test", true},
		{"a prefixed star is only a star", []Entry{entry(Allow, "a", "*", Read, Topic, Prefixed, "*")}, caller("a", "10.0.0.1"), Read, Topic, "test", false},
		{"this host", []Entry{entry(Allow, "a", "10.0.0.1", Read, Topic, Literal, "t")}, caller("a", "10.0.0.1"), Read, Topic, "t", true},
		{"this host, mapped", []Entry{entry(Allow, "a", "10.0.0.1", Read, Topic, Literal, "t")}, caller("a", "::ffff:10.0.0.1"), Read, Topic, "t", true},
		{"this host as Java writes it", []Entry{entry(Allow, "a", "0:0:0:0:0:0:0:1", Read, Topic, Literal, "t")}, caller("a", "::1"), Read, Topic, "t", true},
		{"this host, short", []Entry{entry(Deny, "a", "::1", Read, Topic, Literal, "t"), entry(Allow, "a", "*", Read, Topic, Literal, "t")}, caller("a", "::1"), Read, Topic, "t", false},
		{"a link-local host", []Entry{entry(Allow, "a", "fe80::1", Read, Topic, Literal, "t")}, caller("a", "fe80::1%eth0"), Read, Topic, "t", true},
		{"a link-local host of another link", []Entry{entry(Allow, "a", "fe80::1%eth1", Read, Topic, Literal, "t")}, caller("a", "fe80::1%eth0"), Read, Topic, "t", false},
		{"another host", []Entry{entry(Allow, "a", "10.0.0.1", Read, Topic, Literal, "t")}, caller("a", "10.0.0.2"), Read, Topic, "t", false},
		{"a host that is no address", []Entry{entry(Allow, "a", "localhost", Read, Topic, Literal, "t")}, caller("a", "127.0.0.1"), Read, Topic, "t", false},
		{"deny before allow", []Entry{entry(Allow, "a", "*", All, Topic, Literal, "t"), entry(Deny, "*", "*", Read, Topic, Prefixed, "t")}, caller("a", "10.0.0.1"), Read, Topic, "t", false},
		{"deny of all", []Entry{entry(Allow, "a", "*", Read, Topic, Literal, "t"), entry(Deny, "a", "*", All, Topic, Literal, "*")}, caller("a", "10.0.0.1"), Read, Topic, "t", false},
		{"all operations", []Entry{entry(Allow, "a", "*", All, Topic, Literal, "t")}, caller("a", "10.0.0.1"), AlterConfigs, Topic, "t", true},
		{"read implies describe", []Entry{entry(Allow, "a", "*", Read, Topic, Literal, "t")}, caller("a", "10.0.0.1"), Describe, Topic, "t", true},
		{"create does not", []Entry{entry(Allow, "a", "*", Create, Topic, Literal, "t")}, caller("a", "10.0.0.1"), Describe, Topic, "t", false},
		{"alter configs implies describe configs", []Entry{entry(Allow, "a", "*", AlterConfigs, Topic, Literal, "t")}, caller("a", "10.0.0.1"), DescribeConfigs, Topic, "t", true},
		{"denied read leaves describe", []Entry{entry(Allow, "a", "*", Describe, Topic, Literal, "t"), entry(Deny, "a", "*", Read, Topic, Literal, "t")}, caller("a", "10.0.0.1"), Describe, Topic, "t", true},
	} {
		if got := standard(false, c.entries...).Authorize(c.who, c.op, c.t, c.name); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}

func TestOpenIfNoEntryIsAboutIt(t *testing.T) {
	s := standard(true, entry(Allow, "a", "*", Read, Topic, Literal, "t"), entry(Allow, "a", "nowhere", Read, Topic, Prefixed, "p"))
	b := caller("b", "10.0.0.1")
	for name, want := range map[string]bool{"t": false, "p": false, "pq": false, "u": true} {
		if got := s.Authorize(b, Read, Topic, name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !s.Authorize(b, Read, Group, "t") {
		t.Error("an entry about topics closes groups")
	}
	s.Update([]Entry{entry(Allow, "a", "nowhere", Read, Topic, Prefixed, "p")}, []Entry{entry(Allow, "a", "*", Read, Group, Literal, "*")})
	if !s.Authorize(b, Read, Topic, "pq") || s.Authorize(b, Read, Group, "t") {
		t.Error("the change has no effect")
	}
}

// Until the metadata is there only super users may do anything.
func TestBeforeTheFirstUpdate(t *testing.T) {
	s := NewStandard("User:root", true)
	if !s.Authorize(caller("root", "10.0.0.1"), ClusterAction, Cluster, ClusterName) || !s.AuthorizeByType(caller("root", "10.0.0.1"), Write, Topic) {
		t.Error("a super user is refused")
	}
	if s.Authorize(caller("a", "10.0.0.1"), Read, Topic, "t") || s.AuthorizeByType(caller("a", "10.0.0.1"), Write, Topic) {
		t.Error("somebody may do something before the rules are known")
	}
	s.Update(nil, nil)
	if !s.Authorize(caller("a", "10.0.0.1"), Read, Topic, "t") {
		t.Error("without entries, a broker that is open for what none is about refuses")
	}
}

// CVE-2024-27309: taking out one of several entries about a resource must leave the others in force, also where two
// entries say the same.
func TestRemovalLeavesSiblings(t *testing.T) {
	deny, allow := entry(Deny, "a", "*", Write, Topic, Literal, "t"), entry(Allow, "a", "*", All, Topic, Literal, "t")
	other := entry(Allow, "b", "*", Read, Topic, Literal, "t")
	s := standard(false, deny, deny, allow, other)
	s.Update([]Entry{other}, nil)
	s.Update([]Entry{deny}, nil)
	a := caller("a", "10.0.0.1")
	if s.Authorize(a, Write, Topic, "t") || !s.Authorize(a, Read, Topic, "t") {
		t.Error("the second denial, or the allowance, went with a sibling")
	}
	s.Update([]Entry{deny}, nil)
	if !s.Authorize(a, Write, Topic, "t") {
		t.Error("the denial outlives its last entry")
	}
	s.Update([]Entry{allow}, nil)
	if r := s.rules.Load(); s.Authorize(a, Read, Topic, "t") || len(s.doubles) != 0 || r.holders[partOf(a.Principal)][a.Principal] != nil {
		t.Error("something is left of nothing")
	}
}

// world makes names, users and hosts that often meet.
type world struct{ rng *rand.Rand }

func (w world) pick(of ...string) string { return of[w.rng.IntN(len(of))] }

func (w world) name() string {
	var b strings.Builder
	for range 1 + w.rng.IntN(4) {
		b.WriteString(w.pick("a", "b", "ab", "é", "*"))
	}
	return b.String()
}

func (w world) entry() Entry {
	return entry(Permission(2+w.rng.IntN(8)/7^1), w.pick("u", "v", "*"), w.pick("*", "*", "10.0.0.1", "::1", "host"),
		Operation(2+w.rng.IntN(6)), ResourceType(2+w.rng.IntN(2)), PatternType(3+w.rng.IntN(2)), w.pick(w.name(), w.name(), "*"))
}

// plain is the decision by going through all entries.
func plain(entries []Entry, open bool, who Caller, op Operation, t ResourceType, name string) bool {
	allowed, about := false, false
	for _, e := range entries {
		if e.Type != t || !(e.Name == name || e.Pattern == Literal && e.Name == "*" || e.Pattern == Prefixed && strings.HasPrefix(name, e.Name)) {
			continue
		}
		about = true
		if !applies(e, who) {
			continue
		}
		switch {
		case e.Permission == Deny && (e.Operation == op || e.Operation == All):
			return false
		case e.Permission == Allow && granting[op]&(1<<e.Operation) != 0:
			allowed = true
		}
	}
	return allowed || open && !about
}

func applies(e Entry, who Caller) bool {
	host := e.Host == "*"
	if a, err := netip.ParseAddr(e.Host); err == nil {
		host = a == who.Host
	}
	return host && (e.Principal == who.Principal.String() || e.Principal == "User:*")
}

// plainByType is Kafka's rule for "at least one resource".
func plainByType(entries []Entry, open bool, who Caller, op Operation, t ResourceType) bool {
	if plain(entries, open, who, op, t, "hardcode") {
		return true
	}
	var mine []Entry
	for _, e := range entries {
		if e.Type == t && applies(e, who) && (e.Operation == op || e.Operation == All) {
			mine = append(mine, e)
		}
	}
	whole := func(p Permission) bool {
		return slices.ContainsFunc(mine, func(e Entry) bool { return e.Permission == p && e.Pattern == Literal && e.Name == "*" })
	}
	if whole(Deny) {
		return false
	}
	if whole(Allow) {
		return true
	}
	return slices.ContainsFunc(mine, func(a Entry) bool {
		return a.Permission == Allow && !slices.ContainsFunc(mine, func(d Entry) bool {
			return d.Permission == Deny && (d.Pattern == Prefixed && strings.HasPrefix(a.Name, d.Name) || d.Pattern == Literal && a.Pattern == Literal && a.Name == d.Name)
		})
	})
}

func TestStandardAgreesWithThePlainRule(t *testing.T) {
	for seed := range uint64(60) {
		w := world{rand.New(rand.NewPCG(seed, 1))}
		open := seed%2 == 0
		s := NewStandard("", open)
		var entries []Entry
		for range 40 {
			var removed, added []Entry
			for range w.rng.IntN(4) {
				if len(entries) > 0 {
					i := w.rng.IntN(len(entries))
					removed = append(removed, entries[i])
					entries = slices.Delete(entries, i, i+1)
				}
			}
			for range w.rng.IntN(5) {
				added = append(added, w.entry())
			}
			entries = append(entries, added...)
			s.Update(removed, added)
			for range 20 {
				who := caller(w.pick("u", "v", "w"), w.pick("10.0.0.1", "10.0.0.2", "::1"))
				op, typ, name := Operation(3+w.rng.IntN(7)), ResourceType(2+w.rng.IntN(2)), w.name()
				if got, want := s.Authorize(who, op, typ, name), plain(entries, open, who, op, typ, name); got != want {
					t.Fatalf("seed %d: %v op %d type %d %q: %v, want %v, with %v", seed, who, op, typ, name, got, want, entries)
				}
				if got, want := s.AuthorizeByType(who, op, typ), plainByType(entries, open, who, op, typ); got != want {
					t.Fatalf("seed %d: %v op %d some of type %d: %v, want %v, with %v", seed, who, op, typ, got, want, entries)
				}
			}
		}
	}
}

// hundredThousand is a large cluster's rules: users with topics of their own, shared prefixes, and one name in all its
// prefixes.
func hundredThousand() []Entry {
	var out []Entry
	for i := range 40000 {
		out = append(out, entry(Allow, fmt.Sprintf("user-%d", i%500), "*", Operation(3+i%2), Topic, Literal, fmt.Sprintf("team-%d.topic-%d", i%100, i)))
	}
	for i := range 40000 {
		out = append(out, entry(Allow, "app", "*", Read, Topic, Prefixed, fmt.Sprintf("orders.%d.", i)))
	}
	for i := range 19800 {
		out = append(out, entry(Deny, "*", fmt.Sprintf("10.1.%d.%d", i/256, i%256), All, Topic, Prefixed, "orders."))
	}
	for i := range 200 {
		out = append(out, entry(Allow, "app", "*", Write, Topic, Prefixed, strings.Repeat("x", i+1)))
	}
	return out
}

func TestDecisionTakesNoMemory(t *testing.T) {
	s := standard(false, hundredThousand()...)
	who := caller("app", "10.0.0.1")
	for name, want := range map[string]bool{"orders.39999.dlq": true, "nothing": false} {
		if s.Authorize(who, Read, Topic, name) != want {
			t.Errorf("%s: not %v", name, want)
		}
		if n := testing.AllocsPerRun(100, func() { s.Authorize(who, Read, Topic, name) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if s.Authorize(caller("app", "10.1.3.3"), Read, Topic, "orders.39999.dlq") {
		t.Error("a denied host is let in")
	}
}

func BenchmarkAuthorize(b *testing.B) {
	s := standard(false, hundredThousand()...)
	for _, c := range []struct{ what, user, host, name string }{
		{"literal", "user-7", "10.0.0.1", "team-7.topic-20007"},
		{"prefix", "app", "10.0.0.1", "orders.39999.dlq"},
		{"denied", "app", "10.1.3.3", "orders.39999.dlq"},
		{"unknown", "stranger", "10.0.0.1", "orders.39999.dlq"},
		{"200 prefixes of one name", "app", "10.0.0.1", strings.Repeat("x", 240)},
	} {
		who := caller(c.user, c.host)
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Authorize(who, Read, Topic, c.name)
			}
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	entries := hundredThousand()
	s := standard(false, entries...)
	for b.Loop() {
		s.Update(entries[:1], nil)
		s.Update(nil, entries[:1])
	}
}

func BenchmarkLoad(b *testing.B) {
	entries := hundredThousand()
	for b.Loop() {
		standard(false, entries...)
	}
}
