package authz

import (
	"net/netip"
	"strings"

	"github.com/weir-stream/weir/internal/security/principal"
)

// PatternType says how the name in an entry is meant; the numbers are those of the protocol.
type PatternType int8

// The pattern types. Any and Match occur in filters only.
const (
	AnyPattern   PatternType = 1
	MatchPattern PatternType = 2
	Literal      PatternType = 3
	Prefixed     PatternType = 4
)

// Permission says whether an entry allows or denies; the numbers are those of the protocol.
type Permission int8

// The permissions. Any occurs in filters only.
const (
	AnyPermission Permission = 1
	Deny          Permission = 2
	Allow         Permission = 3
)

// Wildcard is the name of all resources in a literal entry, and all hosts.
const Wildcard = "*"

// Entry is one access control entry.
type Entry struct {
	Type       ResourceType
	Name       string
	Pattern    PatternType
	Principal  string // "Type:name"; "User:*" is everybody
	Host       string // an address, or "*"
	Operation  Operation
	Permission Permission
}

// rule is an entry as the decision needs it. Rules that come to the same are equal.
type rule struct {
	holder  principal.Principal
	t       ResourceType
	name    string
	pattern PatternType
	anyHost bool
	host    netip.Addr // the zero address of a host that nobody can come from
	bit     uint32
	deny    bool
}

// ruleOf returns what an entry means, and false if it can never mean anything.
func ruleOf(e *Entry) (rule, bool) {
	kind, name, ok := strings.Cut(e.Principal, ":")
	if !ok || e.Type < 0 || int(e.Type) >= typeCount || e.Operation < 0 || e.Operation > 31 {
		return rule{}, false
	}
	r := rule{holder: principal.Principal{Type: kind, Name: name}, t: e.Type, name: e.Name, pattern: e.Pattern,
		bit: 1 << e.Operation, deny: e.Permission == Deny}
	if e.Host == Wildcard {
		r.anyHost = true
	} else if a, err := netip.ParseAddr(e.Host); err == nil {
		r.host = a.Unmap()
	}
	return r, (r.pattern == Literal || r.pattern == Prefixed) && (r.deny || e.Permission == Allow)
}

// grant is what a holder may and may not do to the resources of one pattern, as bit sets of operations. It is
// immutable once published.
type grant struct {
	allow, deny uint32 // from every host
	hosts       map[netip.Addr]hostGrant
	entries     int   // how many there are, where that is counted
	made        *edit // the edit that made it and may still change it
}

type hostGrant struct{ allow, deny uint32 }

// decision collects what the grants say that apply to an action.
type decision struct{ allow, deny uint32 }

// add counts a grant for a caller from host.
func (d *decision) add(g *grant, host netip.Addr) {
	if g == nil {
		return
	}
	d.allow |= g.allow
	d.deny |= g.deny
	if len(g.hosts) > 0 {
		d.addHosts(g, host)
	}
}

// addHosts counts what a grant says for a host alone.
func (d *decision) addHosts(g *grant, host netip.Addr) {
	d.addHost(g, host)
	if host.Zone() != "" {
		d.addHost(g, host.WithZone(""))
	}
}

func (d *decision) addHost(g *grant, host netip.Addr) {
	h := g.hosts[host]
	d.allow |= h.allow
	d.deny |= h.deny
}

// granting are the operations that an entry may allow for each operation to be allowed: some imply others.
var granting = func() (g [32]uint32) {
	for op := range g {
		g[op] = 1<<op | 1<<All
	}
	g[Describe] |= 1<<Read | 1<<Write | 1<<Delete | 1<<Alter
	g[DescribeConfigs] |= 1 << AlterConfigs
	return g
}()

// denying are the operations that an entry may deny for op to be denied; nothing is implied.
func denying(op Operation) uint32 { return 1<<op | 1<<All }
