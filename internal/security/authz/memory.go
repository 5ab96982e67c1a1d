package authz

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/weir-stream/weir/internal/security/principal"
)

const (
	// memorySlots is how many answers a Memory has at most.
	memorySlots = 16
	// crowdedEvery is how many answers that found their place taken it takes for one to be put there: who asks for more
	// than there are places for does not pay for that with each question.
	crowdedEvery = 64
	// memoryNameBytes bounds the names that are kept; no topic has a longer one.
	memoryNameBytes = 249
)

// Memory has the latest answers that a Standard gave about one connection, so that the requests that follow each other on it
// do not look for them again. An answer counts for the very set of rules that it was given by, and for the same principal
// and address: a change of rules, another authorizer or another login forgets all. At most 16 answers are kept, of
// names of at most 249 bytes; a question that is answered from them takes no memory and no lock. The zero value is
// empty; nil remembers nothing. Safe for concurrent use.
type Memory struct{ now atomic.Pointer[answers] }

// answers are those for one caller by one set of rules, which they do not keep alive.
type answers struct {
	by      *Standard
	version uint64 // of the rules
	who     string
	host    netip.Addr
	crowded atomic.Uint32
	slots   [memorySlots]atomic.Pointer[answer]
}

type answer struct {
	op   Operation
	t    ResourceType
	ok   bool
	name string
}

// CallerOf makes a caller of a principal as connections have it. Who has none of the usual form has no name to be given
// rights by.
func CallerOf(who string, host netip.Addr, listener string) Caller {
	p, err := principal.Parse(who)
	if err != nil {
		p = principal.Principal{}
	}
	return Caller{Principal: p, Host: host, Listener: listener}
}

// Authorize asks a, or answers what a has answered before. who is a principal as connections have it, "User:alice". The
// name may be part of a buffer that is used again.
func (m *Memory) Authorize(a Authorizer, who string, host netip.Addr, listener string, op Operation, t ResourceType, name string) bool {
	s, ok := a.(*Standard)
	if !ok || m == nil || len(name) > memoryNameBytes {
		return a.Authorize(CallerOf(who, host, listener), op, t, name)
	}
	// The rules are taken once: what is decided by them is remembered as theirs, even if others take their place meanwhile.
	r := s.rules.Load()
	known := m.now.Load()
	if known == nil || known.version != r.number() || known.by != s || known.host != host || known.who != who {
		known = &answers{by: s, version: r.number(), who: strings.Clone(who), host: host}
		m.now.Store(known)
	}
	slot := &known.slots[(maphash.String(holderSeed, name)+uint64(op))%memorySlots]
	had := slot.Load()
	if had != nil && had.op == op && had.t == t && had.name == name {
		return had.ok
	}
	yes := s.decide(r, CallerOf(who, host, listener), op, t, name)
	if had == nil || known.crowded.Add(1)%crowdedEvery == 0 {
		slot.Store(&answer{op: op, t: t, ok: yes, name: strings.Clone(name)})
	}
	return yes
}
