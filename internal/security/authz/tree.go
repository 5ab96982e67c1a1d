package authz

import (
	"net/netip"
	"slices"
	"strings"
)

// node is a part of a tree of names that share beginnings. What is published never changes: an edit copies the
// nodes from the root to the change, each once.
//
// A decision walks from the root through all prefixes of a name, of which there may be hundreds. What it reads of each
// stands in the node itself, the rest of the grant is looked at where addresses count.
type node struct {
	edge              string // what the name goes on with from the parent; empty at the root only
	allow, deny       uint32 // what prefixed says for every host
	sole              *node  // the kid, if there is one only
	hosted            *grant // prefixed, if it says something for some hosts
	literal, prefixed *grant
	kids              []*node // by the first byte of their edges
	made              *edit   // the edit that made it and may still change it
}

// settle brings what is derived of n up to date, at the end of a change.
func (n *node) settle() *node {
	n.allow, n.deny, n.hosted, n.sole = 0, 0, nil, nil
	if g := n.prefixed; g != nil {
		n.allow, n.deny = g.allow, g.deny
		if len(g.hosts) > 0 {
			n.hosted = g
		}
	}
	if len(n.kids) == 1 {
		n.sole = n.kids[0]
	}
	return n
}

// edit marks the nodes that belong to one change. It must not be empty, or all would have one address.
type edit struct{ _ byte }

// child finds the kid whose edge begins with c, or where it would be.
func (n *node) child(c byte) (int, bool) {
	lo, hi := 0, len(n.kids)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch b := n.kids[mid].edge[0]; {
		case b == c:
			return mid, true
		case b < c:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false
}

// collect adds up what holds for a name: prefixes on the way and the literal at its end.
func (n *node) collect(d *decision, name string, host netip.Addr) {
	for n != nil {
		d.allow |= n.allow
		d.deny |= n.deny
		if n.hosted != nil {
			d.addHosts(n.hosted, host)
		}
		if name == "" {
			d.add(n.literal, host)
			return
		}
		k := n.sole
		if k == nil {
			i, ok := n.child(name[0])
			if !ok {
				return
			}
			k = n.kids[i]
		}
		edge := k.edge
		if edge[0] != name[0] || len(edge) > 1 && !strings.HasPrefix(name, edge) {
			return
		}
		n, name = k, name[len(edge):]
	}
}

// covers reports whether any entry is about the name, whoever it is for.
func (n *node) covers(name string) bool {
	for n != nil {
		if n.prefixed != nil {
			return true
		}
		if name == "" {
			return n.literal != nil
		}
		i, ok := n.child(name[0])
		if !ok || !strings.HasPrefix(name, n.kids[i].edge) {
			return false
		}
		n = n.kids[i]
		name = name[len(n.edge):]
	}
	return false
}

// exactly returns the grants of the pattern with just this name.
func (n *node) exactly(name string) (literal, prefixed *grant) {
	for n != nil && name != "" {
		i, ok := n.child(name[0])
		if !ok || !strings.HasPrefix(name, n.kids[i].edge) {
			return nil, nil
		}
		n = n.kids[i]
		name = name[len(n.edge):]
	}
	if n == nil {
		return nil, nil
	}
	return n.literal, n.prefixed
}

// walk calls visit with each node that has grants and its whole name, until visit returns false.
func (n *node) walk(before []byte, visit func(name string, n *node) bool) bool {
	if n == nil {
		return true
	}
	name := append(before, n.edge...)
	if (n.literal != nil || n.prefixed != nil) && !visit(string(name), n) {
		return false
	}
	for _, k := range n.kids {
		if !k.walk(name, visit) {
			return false
		}
	}
	return true
}

// own returns n, or a copy of it that belongs to the edit.
func (n *node) own(e *edit) *node {
	if n.made == e {
		return n
	}
	c := *n
	c.kids, c.made = slices.Clone(n.kids), e
	return &c
}

// change returns the tree with the grant of a pattern replaced by what f makes of it; f gets nil for none and may
// return nil. The grant that f gets must not be changed.
func (n *node) change(e *edit, name string, p PatternType, f func(*grant) *grant) *node {
	if n == nil {
		n = &node{made: e}
	}
	n = n.own(e)
	if name == "" {
		slot := &n.literal
		if p == Prefixed {
			slot = &n.prefixed
		}
		*slot = f(*slot)
		return n.settle()
	}
	i, ok := n.child(name[0])
	if !ok {
		n.kids = slices.Insert(n.kids, i, &node{edge: name, made: e})
	}
	k := n.kids[i]
	same := commonLength(name, k.edge)
	if same < len(k.edge) { // part the edge where the names do
		low := k.own(e)
		k = &node{edge: k.edge[:same], kids: []*node{low}, made: e}
		low.edge = low.edge[same:]
	}
	k = k.change(e, name[same:], p, f)
	switch {
	case k.literal == nil && k.prefixed == nil && len(k.kids) == 0:
		n.kids = slices.Delete(n.kids, i, i+1)
	case k.literal == nil && k.prefixed == nil && len(k.kids) == 1:
		only := k.kids[0].own(e)
		only.edge = k.edge + only.edge
		n.kids[i] = only
	default:
		n.kids[i] = k
	}
	return n.settle()
}

// empty reports whether a tree has nothing in it.
func (n *node) empty() bool {
	return n == nil || n.literal == nil && n.prefixed == nil && len(n.kids) == 0
}

func commonLength(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
