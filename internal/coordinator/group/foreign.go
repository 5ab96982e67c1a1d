package group

import (
	"github.com/weir-stream/weir/internal/coordrecord"
)

// foreignGroup is a group of a protocol that is not served, found in the log of an Apache Kafka broker.
type foreignGroup struct {
	kind    string              // share or streams
	members map[string]struct{} // ids
	exists  bool                // its own record is there
}

func (f *foreignGroup) state() string {
	if len(f.members) == 0 {
		return "Empty"
	}
	return "Stable"
}

// replayForeign keeps track of which groups of other protocols there are. Their records are not interpreted beyond
// that, and never written.
func (m *machine) replayForeign(key coordrecord.Key, tombstone bool) {
	switch k := key.(type) {
	case *coordrecord.ShareGroupMetadataKey:
		m.foreignExists(k.GroupID, "share", tombstone)
	case *coordrecord.StreamsGroupMetadataKey:
		m.foreignExists(k.GroupID, "streams", tombstone)
	case *coordrecord.ShareGroupMemberMetadataKey:
		m.foreignMember(k.GroupID, k.MemberID, "share", tombstone)
	case *coordrecord.StreamsGroupMemberMetadataKey:
		m.foreignMember(k.GroupID, k.MemberID, "streams", tombstone)
	}
}

func (m *machine) foreignGroup(id, kind string) *foreignGroup {
	f := m.foreign[id]
	if f == nil {
		f = &foreignGroup{kind: kind, members: map[string]struct{}{}}
		m.foreign[id] = f
		if g := m.groups[id]; g != nil && len(g.members) == 0 {
			delete(m.groups, id) // its offsets were read first
		}
	}
	f.kind = kind
	return f
}

func (m *machine) foreignExists(id, kind string, tombstone bool) {
	if tombstone && m.foreign[id] == nil {
		return
	}
	f := m.foreignGroup(id, kind)
	f.exists = !tombstone
	m.dropForeign(id, f)
}

func (m *machine) foreignMember(id, memberID, kind string, tombstone bool) {
	if tombstone && m.foreign[id] == nil {
		return
	}
	f := m.foreignGroup(id, kind)
	if tombstone {
		delete(f.members, memberID)
	} else {
		f.members[memberID] = struct{}{}
	}
	m.dropForeign(id, f)
}

// dropForeign forgets a group of which nothing is left. Its offsets, if any, are then those of a simple group.
func (m *machine) dropForeign(id string, f *foreignGroup) {
	if f.exists || len(f.members) > 0 {
		return
	}
	delete(m.foreign, id)
	if m.offsets[id] != nil && !m.known(id) {
		m.groups[id] = newClassicGroup(id, -1)
	}
}
