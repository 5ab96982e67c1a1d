package quota

import (
	"math"
	"net/netip"
	"strings"
)

// Kind is one of the things that clients have quotas of.
type Kind int8

// The kinds.
const (
	Produce  Kind = iota // bytes of Produce requests a second
	Fetch                // bytes of answers to Fetch a second
	Request              // time of request handlers, as percent of one processor
	Mutation             // partitions that a client makes or deletes a second (KIP-599)
	kinds
)

var kindNames = [kinds]struct{ quota, shown string }{
	{"producer_byte_rate", "Produce"}, {"consumer_byte_rate", "Fetch"}, {"request_percentage", "Request"}, {"controller_mutation_rate", "ControllerMutation"},
}

// String is the name that Kafka's metrics give to the kind.
func (k Kind) String() string { return kindNames[k].shown }

// connectionRate is the quota of addresses.
const connectionRate = "connection_creation_rate"

// EntityType is what a quota is for.
type EntityType string

// The entity types.
const (
	User     EntityType = "user"
	ClientID EntityType = "client-id"
	IP       EntityType = "ip"
)

// Component is one part of an entity: a user, a client id or an address, by name or the default of its type.
type Component struct {
	Type    EntityType
	Name    string
	Default bool
}

// Entity is what a quota is for: one component, or a user and a client id together.
type Entity []Component

// Entry is the quotas of one entity: quota name → value.
type Entry struct {
	Entity Entity
	Values map[string]float64
}

// How one half of a target is given.
const (
	without int8 = iota
	byName
	byDefault
)

// target is a user and a client id, each of them left out, by name, or the default.
type target struct {
	user, client       string
	userHow, clientHow int8
}

// levels are the sorts of entities that a kind has quotas for. They decide what is counted together.
type levels uint8

const (
	clientLevel levels = 1 << iota
	userLevel
	userClientLevel
)

func (t target) level() levels {
	switch {
	case t.userHow == without:
		return clientLevel
	case t.clientHow == without:
		return userLevel
	}
	return userClientLevel
}

// limits are the quotas of one kind.
type limits struct {
	values map[target]float64
	levels levels
}

// Table is an immutable set of quotas.
type Table struct {
	kinds     [kinds]limits
	addresses map[netip.Addr]float64
	hosts     map[string]float64 // addresses given by the name of a host
	other     float64            // the rate of all other addresses
}

// NewTable makes a table. What it does not know is left out: names of quotas, and entities that make no sense.
func NewTable(entries []Entry) *Table {
	t := &Table{addresses: map[netip.Addr]float64{}, hosts: map[string]float64{}, other: math.Inf(1)}
	for i := range t.kinds {
		t.kinds[i].values = map[target]float64{}
	}
	for _, e := range entries {
		if len(e.Entity) == 1 && e.Entity[0].Type == IP {
			t.addAddress(e.Entity[0], e.Values)
			continue
		}
		if to, ok := targetOf(e.Entity); ok {
			t.add(to, e.Values)
		}
	}
	return t
}

func (t *Table) add(to target, values map[string]float64) {
	for k := range t.kinds {
		if v, ok := values[kindNames[k].quota]; ok && v > 0 {
			t.kinds[k].values[to] = v
			t.kinds[k].levels |= to.level()
		}
	}
}

func (t *Table) addAddress(c Component, values map[string]float64) {
	v, ok := values[connectionRate]
	if !ok {
		return
	}
	addr, err := netip.ParseAddr(c.Name)
	switch {
	case c.Default:
		t.other = v
	case err == nil:
		t.addresses[addr.Unmap()] = v
	default:
		t.hosts[c.Name] = v
	}
}

func targetOf(e Entity) (to target, ok bool) {
	for _, c := range e {
		how := byName
		if c.Default {
			how = byDefault
		}
		switch {
		case c.Type == User && to.userHow == without:
			to.user, to.userHow = c.Name, how
		case c.Type == ClientID && to.clientHow == without:
			to.client, to.clientHow = c.Name, how
		default:
			return to, false
		}
	}
	return to, len(e) > 0
}

// Has reports whether anybody has a quota of the kind.
func (t *Table) Has(k Kind) bool { return t.kinds[k].levels != 0 }

// share says what a client's use is counted with: the use of the user whatever its client id, that of the client id
// whoever the user is, or that of both together. An empty name stands for all.
type share struct {
	user, client string
	limit        float64 // +Inf: none
}

// find looks for the quota of a client. The most specific entity counts, in Kafka's order: user and client id by name,
// user by name with the default client id, user by name, the default user with the client id, both defaults, the default
// user, the client id, the default client id.
func (l *limits) find(user, client string) share {
	for _, to := range [...]target{
		{user, client, byName, byName}, {user, "", byName, byDefault}, {user, "", byName, without},
		{"", client, byDefault, byName}, {"", "", byDefault, byDefault}, {"", "", byDefault, without},
		{"", client, without, byName}, {"", "", without, byDefault},
	} {
		v, ok := l.values[to]
		if !ok {
			continue
		}
		switch to.level() {
		case userLevel:
			return share{user, "", v}
		case clientLevel:
			return share{"", client, v}
		}
		return share{user, client, v}
	}
	// Nobody's: it is measured as the only sort of entities that have quotas would be, or else by client id.
	switch l.levels {
	case userLevel:
		return share{user, "", math.Inf(1)}
	case userClientLevel:
		return share{user, client, math.Inf(1)}
	}
	return share{"", client, math.Inf(1)}
}

// Limit returns the quota of a client, and whether it has one.
func (t *Table) Limit(k Kind, user, client string) (float64, bool) {
	v := t.kinds[k].find(user, client).limit
	return v, !math.IsInf(v, 1)
}

// ConnectionRate is how many connections a second an address may make, +Inf if there is no bound.
func (t *Table) ConnectionRate(addr netip.Addr) float64 {
	if v, ok := t.addresses[addr]; ok {
		return v
	}
	return t.other
}

// Hosts are the names of hosts that have quotas; WithHosts says what addresses they have.
func (t *Table) Hosts() []string {
	var out []string
	for h := range t.hosts {
		out = append(out, h)
	}
	return out
}

// WithHosts returns the table with the quotas of hosts put down for their addresses. An address that has a quota of its
// own keeps it.
func (t *Table) WithHosts(resolved map[string][]netip.Addr) *Table {
	next := *t
	next.addresses = map[netip.Addr]float64{}
	for h, v := range t.hosts {
		for _, a := range resolved[h] {
			next.addresses[a.Unmap()] = v
		}
	}
	for a, v := range t.addresses {
		next.addresses[a] = v
	}
	return &next
}

// userOf is the name in a principal such as User:alice.
func userOf(principal string) string {
	if i := strings.IndexByte(principal, ':'); i >= 0 {
		return principal[i+1:]
	}
	return principal
}
