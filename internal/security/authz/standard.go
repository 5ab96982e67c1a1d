package authz

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/weir-stream/weir/internal/security/principal"
)

// StandardName is the value of authorizer.class.name that stands for Standard.
const StandardName = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"

// typeCount is one more than the highest resource type.
const typeCount = int(User) + 1

// holderParts is the number of parts that the holders of entries are kept in: a change copies those that it touches.
const holderParts = 256

// Standard decides by access control entries: deny before allow, and what nobody allows is denied. Super users may
// do everything, also before the first Update. A decision takes no lock and no memory. Update is called by one
// goroutine at a time; all else is safe for concurrent use.
type Standard struct {
	supers map[principal.Principal]struct{}
	// openIfNone allows what no entry at all is about (allow.everyone.if.no.acl.found).
	openIfNone bool
	rules      atomic.Pointer[rules] // nil before the first Update

	// doubles counts rules that stand in more than one entry, beyond the first. Update's own.
	doubles map[rule]int
}

// rules is an immutable set of entries.
type rules struct {
	version uint64 // from 1; no two sets of an authorizer have the same
	holders [holderParts]map[principal.Principal]*holdings
	// about has all entries regardless of their holders; kept only where it matters that there are none.
	about holdings
}

// number is the version; 0 before there are rules.
func (r *rules) number() uint64 {
	if r == nil {
		return 0
	}
	return r.version
}

// holdings are the entries of one holder, by resource type.
type holdings [typeCount]*node

// NewStandard returns an authorizer without entries. superUsers is as in super.users: principals with semicolons between
// them.
func NewStandard(superUsers string, openIfNone bool) *Standard {
	s := &Standard{supers: map[principal.Principal]struct{}{}, openIfNone: openIfNone, doubles: map[rule]int{}}
	for _, u := range strings.Split(superUsers, ";") {
		if p, err := principal.Parse(strings.TrimSpace(u)); err == nil {
			s.supers[p] = struct{}{}
		}
	}
	return s
}

// Enabled answers true.
func (s *Standard) Enabled() bool { return true }

var holderSeed = maphash.MakeSeed()

func partOf(p principal.Principal) int {
	return int((maphash.String(holderSeed, p.Name) ^ uint64(len(p.Type))) % holderParts)
}

func (r *rules) of(p principal.Principal, t ResourceType) *node {
	h := r.holders[partOf(p)][p]
	if h == nil {
		return nil
	}
	return h[t]
}

// Authorize implements Authorizer.
func (s *Standard) Authorize(who Caller, op Operation, t ResourceType, name string) bool {
	return s.decide(s.rules.Load(), who, op, t, name)
}

// decide is Authorize by one set of rules; nil is none yet.
func (s *Standard) decide(r *rules, who Caller, op Operation, t ResourceType, name string) bool {
	if _, ok := s.supers[who.Principal]; ok {
		return true
	}
	if r == nil || t < 0 || int(t) >= typeCount || op < 0 || op > 31 {
		return false
	}
	host := who.Host.Unmap()
	var d decision
	for _, tree := range [2]*node{r.of(who.Principal, t), r.of(principal.WildcardUser, t)} {
		tree.collect(&d, name, host)
		d.add(tree.all(), host)
		if d.deny&denying(op) != 0 {
			return false
		}
	}
	if d.allow&granting[op] != 0 {
		return true
	}
	return s.openIfNone && r.about[t].all() == nil && !r.about[t].covers(name)
}

// all is the grant for all resources: the literal name *.
func (n *node) all() *grant {
	if n == nil {
		return nil
	}
	if i, ok := n.child(Wildcard[0]); ok && n.kids[i].edge == Wildcard {
		return n.kids[i].literal
	}
	return nil
}

// AuthorizeByType implements Authorizer. As in Kafka an entry counts only if it is for the operation itself or for all;
// nothing is implied.
func (s *Standard) AuthorizeByType(who Caller, op Operation, t ResourceType) bool {
	if s.Authorize(who, op, t, "hardcode") { // a super user, or a broker that is open
		return true
	}
	r := s.rules.Load()
	if r == nil || t < 0 || int(t) >= typeCount || op < 0 || op > 31 {
		return false
	}
	host := who.Host.Unmap()
	trees := [2]*node{r.of(who.Principal, t), r.of(principal.WildcardUser, t)}
	var all decision
	for _, tree := range trees {
		all.add(tree.all(), host)
	}
	mask := denying(op)
	switch {
	case all.deny&mask != 0:
		return false
	case all.allow&mask != 0:
		return true
	}
	for _, tree := range trees {
		stopped := !tree.walk(nil, func(name string, n *node) bool {
			return !allowedPattern(n.literal, name, Literal, trees, mask, host) && !allowedPattern(n.prefixed, name, Prefixed, trees, mask, host)
		})
		if stopped {
			return true
		}
	}
	return false
}

// allowedPattern tells whether g allows something of the pattern that no denial takes all of away.
func allowedPattern(g *grant, name string, p PatternType, trees [2]*node, mask uint32, host netip.Addr) bool {
	var own decision
	own.add(g, host)
	if own.allow&mask == 0 {
		return false
	}
	for _, tree := range trees {
		if tree.deniedWhole(name, p, mask, host) {
			return false
		}
	}
	return true
}

// deniedWhole tells whether a prefix, or for a literal name the name itself, is denied.
func (n *node) deniedWhole(name string, p PatternType, mask uint32, host netip.Addr) bool {
	var d decision
	for n != nil {
		d.add(n.prefixed, host)
		if name == "" {
			if p == Literal {
				d.add(n.literal, host)
			}
			break
		}
		i, ok := n.child(name[0])
		if !ok || !strings.HasPrefix(name, n.kids[i].edge) {
			break
		}
		n = n.kids[i]
		name = name[len(n.edge):]
	}
	return d.deny&mask != 0
}
