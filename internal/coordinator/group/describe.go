package group

import (
	"maps"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/wire"
)

// Description is one group as DescribeGroups shows it.
type Description struct {
	Code         wire.Code
	Message      string // what Code means here
	Group        string
	State        string
	ProtocolType string
	Protocol     string // set when the group is stable
	Members      []MemberDescription
}

// MemberDescription is one member of a Description.
type MemberDescription struct {
	ID         string
	InstanceID *string
	ClientID   string
	ClientHost string
	Metadata   []byte // set when the group is stable
	Assignment []byte
}

// notFound describes a group that is not there: dead, as ever, and from version 6 of the request on with a code.
func notFound(id, message string) Description {
	return Description{Code: wire.GroupIdNotFound, Message: message, Group: id, State: stateDead.String()}
}

func (m *machine) describe(id string) Description {
	if m.foreign[id] != nil || m.consumers[id] != nil {
		return notFound(id, "Group "+id+" is not a classic group.")
	}
	g := m.groups[id]
	if g == nil {
		return notFound(id, "Group "+id+" not found.")
	}
	d := Description{
		Group: id, State: g.state.String(), ProtocolType: g.protocolType, Members: make([]MemberDescription, 0, len(g.order)),
	}
	stable := g.is(stateStable)
	if stable {
		d.Protocol = g.protocolName()
	}
	for _, mem := range g.order {
		md := MemberDescription{
			ID: mem.id, InstanceID: mem.instanceID, ClientID: mem.clientID, ClientHost: mem.clientHost, Assignment: mem.assignment,
		}
		if stable {
			md.Metadata = mem.metadata(g.protocolName())
		}
		d.Members = append(d.Members, md)
	}
	return d
}

// classicType is the type of groups of the classic protocol.
const classicType = "classic"

// Listing is one group as ListGroups shows it.
type Listing struct {
	Group        string
	ProtocolType string
	State        string
	Type         string // classic, consumer, share or streams
}

// filter is the filter of a ListGroups: lower-case names, empty for no filter.
type filter struct {
	states, types []string
}

func newFilter(states, types []string) filter {
	lower := func(in []string) (out []string) {
		for _, s := range in {
			out = append(out, strings.ToLower(strings.TrimSpace(s)))
		}
		return out
	}
	return filter{lower(states), lower(types)}
}

func (f filter) takes(l Listing) bool {
	return (len(f.states) == 0 || slices.Contains(f.states, strings.ToLower(l.State))) &&
		(len(f.types) == 0 || slices.Contains(f.types, l.Type))
}

func (m *machine) list(f filter) []Listing {
	var out []Listing
	add := func(l Listing) {
		if f.takes(l) {
			out = append(out, l)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		g := m.groups[id]
		add(Listing{id, g.protocolType, g.state.String(), classicType})
	}
	for _, id := range slices.Sorted(maps.Keys(m.consumers)) {
		add(Listing{id, consumerProtocolType, m.consumers[id].State(), consumerType})
	}
	for _, id := range slices.Sorted(maps.Keys(m.foreign)) {
		f := m.foreign[id]
		add(Listing{id, f.kind, f.state(), f.kind})
	}
	return out
}

// Info is what is known of a group, for metrics: a copy that the reader may keep.
type Info struct {
	Group        string
	Type         string
	State        string
	ProtocolType string
	Generation   int32
	Members      int
	Offsets      []FetchedTopic
}

func (m *machine) infos() []Info {
	out := make([]Info, 0, len(m.groups)+len(m.consumers)+len(m.foreign))
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		g := m.groups[id]
		out = append(out, Info{id, classicType, g.state.String(), g.protocolType, g.generation, len(g.members), m.fetchAll(id, false)})
	}
	for _, id := range slices.Sorted(maps.Keys(m.consumers)) {
		g := m.consumers[id]
		out = append(out, Info{id, consumerType, g.State(), consumerProtocolType, g.Epoch(), g.Len(), m.fetchAll(id, false)})
	}
	for _, id := range slices.Sorted(maps.Keys(m.foreign)) {
		f := m.foreign[id]
		out = append(out, Info{id, f.kind, f.state(), f.kind, 0, len(f.members), m.fetchAll(id, false)})
	}
	return out
}
