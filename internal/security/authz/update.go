package authz

import (
	"maps"
	"net/netip"

	"github.com/weir-stream/weir/internal/security/principal"
)

// Update takes entries out and puts others in, and makes the result the set to decide by. The cost is in proportion
// to the change.
func (s *Standard) Update(removed, added []Entry) {
	next := new(rules)
	if now := s.rules.Load(); now != nil {
		*next = *now
	}
	next.version++
	w := writer{s: s, next: next, edit: new(edit)}
	for i := range removed {
		w.apply(&removed[i], false)
	}
	for i := range added {
		w.apply(&added[i], true)
	}
	s.rules.Store(next)
}

// writer is an Update under way.
type writer struct {
	s     *Standard
	next  *rules
	edit  *edit
	owned [holderParts]bool
	mine  map[principal.Principal]struct{} // whose holdings are copies already
}

func (w *writer) apply(e *Entry, add bool) {
	r, ok := ruleOf(e)
	if !ok {
		return
	}
	if w.s.openIfNone {
		w.next.about[r.t] = w.next.about[r.t].change(w.edit, r.name, r.pattern, func(g *grant) *grant { return counted(w.edit, g, add) })
	}
	if add {
		if w.has(&r) {
			w.s.doubles[r]++
			return
		}
	} else if n := w.s.doubles[r]; n > 0 {
		if w.s.doubles[r] = n - 1; n == 1 {
			delete(w.s.doubles, r)
		}
		return
	}
	h := w.holdings(r.holder)
	h[r.t] = h[r.t].change(w.edit, r.name, r.pattern, func(g *grant) *grant { return r.change(w.edit, g, add) })
	if !add {
		w.tidy(r.holder, h)
	}
}

// has reports whether a rule stands already.
func (w *writer) has(r *rule) bool {
	literal, prefixed := w.next.of(r.holder, r.t).exactly(r.name)
	g := literal
	if r.pattern == Prefixed {
		g = prefixed
	}
	if g == nil || !r.anyHost && !r.host.IsValid() {
		return false
	}
	d := decision{g.allow, g.deny}
	if !r.anyHost {
		d = decision{}
		d.addHost(g, r.host)
	}
	if r.deny {
		return d.deny&r.bit != 0
	}
	return d.allow&r.bit != 0
}

func (w *writer) holdings(p principal.Principal) *holdings {
	part := partOf(p)
	if !w.owned[part] {
		w.owned[part] = true
		w.next.holders[part] = maps.Clone(w.next.holders[part])
		if w.next.holders[part] == nil {
			w.next.holders[part] = map[principal.Principal]*holdings{}
		}
	}
	if w.mine == nil {
		w.mine = map[principal.Principal]struct{}{}
	}
	h := w.next.holders[part][p]
	if _, mine := w.mine[p]; !mine || h == nil {
		c := new(holdings)
		if h != nil {
			*c = *h
		}
		h = c
		w.mine[p] = struct{}{}
		w.next.holders[part][p] = h
	}
	return h
}

// tidy forgets a holder who has nothing left.
func (w *writer) tidy(p principal.Principal, h *holdings) {
	left := false
	for t := range h {
		if h[t].empty() {
			h[t] = nil
		}
		left = left || h[t] != nil
	}
	if !left {
		delete(w.next.holders[partOf(p)], p)
	}
}

// own returns g, an empty grant for nil, or a copy of it that belongs to the edit.
func (g *grant) own(e *edit) *grant {
	switch {
	case g == nil:
		return &grant{made: e}
	case g.made == e:
		return g
	}
	c := *g
	c.hosts, c.made = maps.Clone(g.hosts), e
	return &c
}

// counted keeps the number of entries about a pattern.
func counted(e *edit, g *grant, add bool) *grant {
	g = g.own(e)
	if add {
		g.entries++
	} else {
		g.entries--
	}
	if g.entries <= 0 {
		return nil
	}
	return g
}

// change returns the grant with the rule put in or taken out.
func (r *rule) change(e *edit, g *grant, add bool) *grant {
	g = g.own(e)
	switch {
	case r.anyHost:
		r.set(&g.allow, &g.deny, add)
	case r.host.IsValid():
		h := g.hosts[r.host]
		if r.set(&h.allow, &h.deny, add); h.allow|h.deny == 0 {
			delete(g.hosts, r.host)
			break
		}
		if g.hosts == nil {
			g.hosts = map[netip.Addr]hostGrant{}
		}
		g.hosts[r.host] = h
	}
	if g.allow|g.deny == 0 && len(g.hosts) == 0 {
		return nil
	}
	return g
}

func (r *rule) set(allow, deny *uint32, add bool) {
	bits := allow
	if r.deny {
		bits = deny
	}
	if add {
		*bits |= r.bit
	} else {
		*bits &^= r.bit
	}
}
