// Package quota holds how much clients may use: the quotas as the metadata has them, pushed by node whenever
// they change, and the lookup of what holds for a client. It measures nothing and delays nobody yet; what it
// stores is what DescribeClientQuotas answers.
package quota

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
)

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

// Key returns a text that is equal for equal entities, whatever the order of their components.
func (e Entity) Key() string {
	parts := make([]string, len(e))
	for i, c := range e {
		if c.Default {
			parts[i] = string(c.Type) + "\x00*"
		} else {
			parts[i] = string(c.Type) + "\x01" + c.Name
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "\x02")
}

// Entry is the quotas of one entity: quota name → value.
type Entry struct {
	Entity Entity
	Values map[string]float64
}

// Table is an immutable set of quotas.
type Table struct{ entries map[string]Entry }

// NewTable makes a table; entries without values are left out.
func NewTable(entries []Entry) *Table {
	t := &Table{entries: make(map[string]Entry, len(entries))}
	for _, e := range entries {
		if len(e.Values) > 0 {
			t.entries[e.Entity.Key()] = Entry{Entity: slices.Clone(e.Entity), Values: maps.Clone(e.Values)}
		}
	}
	return t
}

// Entries returns all entries, ordered by key.
func (t *Table) Entries() []Entry {
	out := make([]Entry, 0, len(t.entries))
	for _, k := range slices.Sorted(maps.Keys(t.entries)) {
		out = append(out, t.entries[k])
	}
	return out
}

// Manager holds the current table. Safe for concurrent use.
type Manager struct{ table atomic.Pointer[Table] }

// NewManager returns a manager without quotas.
func NewManager() *Manager {
	m := &Manager{}
	m.table.Store(NewTable(nil))
	return m
}

// Update puts a table in the place of the present one.
func (m *Manager) Update(t *Table) { m.table.Store(t) }

// Table returns the current table.
func (m *Manager) Table() *Table { return m.table.Load() }

// Limit returns the quota of that name for a client, and whether there is one. The most specific entity counts,
// in Kafka's order: user and client id by name, user by name with the default client id, user by name, the
// default user with the client id, both defaults, the default user, the client id, the default client id.
func (t *Table) Limit(name, user, clientID string) (float64, bool) {
	if len(t.entries) == 0 {
		return 0, false
	}
	u, du := Component{Type: User, Name: user}, Component{Type: User, Default: true}
	c, dc := Component{Type: ClientID, Name: clientID}, Component{Type: ClientID, Default: true}
	for _, e := range []Entity{{u, c}, {u, dc}, {u}, {du, c}, {du, dc}, {du}, {c}, {dc}} {
		if entry, ok := t.entries[e.Key()]; ok {
			if v, ok := entry.Values[name]; ok {
				return v, true
			}
		}
	}
	return 0, false
}
