package consumer

import (
	"maps"
	"slices"

	"github.com/weir-stream/weir/internal/coordinator/group/assign"
	"github.com/weir-stream/weir/internal/wire"
)

// MemberState is how far a member has got on the way to its target assignment. The values stand in records.
type MemberState int8

// A member is Stable when it has got what it was meant to have in its epoch, Unrevoked while it has yet to give partitions
// back before its epoch can rise, and Unreleased while others have not given back what it is meant to get.
const (
	Stable     MemberState = 0
	Unrevoked  MemberState = 1
	Unreleased MemberState = 2
	// UnknownState is what a newer coordinator wrote.
	UnknownState MemberState = 127
)

// Epochs that a member sends, and has, to leave.
const (
	LeaveEpoch       int32 = -1 // for good
	StaticLeaveEpoch int32 = -2 // a static member that means to come back
)

// Owned are partitions by topic with the epoch in which each was assigned. Not changed once it is part of a Member.
type Owned map[wire.TopicID]map[int32]int32

// Has reports whether the partition is there.
func (o Owned) Has(t wire.TopicID, p int32) bool {
	_, ok := o[t][p]
	return ok
}

// Equal reports whether both have the same partitions, assigned in the same epochs.
func (o Owned) Equal(q Owned) bool { return maps.EqualFunc(o, q, maps.Equal[map[int32]int32]) }

// Partitions are the partitions alone.
func (o Owned) Partitions() assign.Partitions {
	out := make(assign.Partitions, len(o))
	for t, ps := range o {
		out[t] = slices.Sorted(maps.Keys(ps))
	}
	return out
}

// in gives all partitions the same epoch.
func in(p assign.Partitions, epoch int32) Owned {
	out := make(Owned, len(p))
	for t, l := range p {
		out[t] = make(map[int32]int32, len(l))
		for _, i := range l {
			out[t][i] = epoch
		}
	}
	return out
}

// Protocol is one embedded protocol of a classic member, with its metadata.
type Protocol struct {
	Name     string
	Metadata []byte
}

// Classic is what a member has that uses the classic protocol in a consumer group.
type Classic struct {
	SessionMs int32
	Protocols []Protocol // in order of preference
}

// Member is one member. It is not changed once a group has it: who changes it makes another.
type Member struct {
	ID          string
	Epoch       int32
	Previous    int32 // the epoch before, that a member may still send whose answer got lost
	State       MemberState
	InstanceID  *string
	RackID      *string
	ClientID    string
	ClientHost  string
	RebalanceMs int32
	Topics      []string // subscribed by name, in order, each once
	Regex       string   // subscribed by regular expression; "" for none
	Assignor    *string  // the server's assignor that it prefers
	Assigned    Owned
	Revoking    Owned    // to be given back
	Classic     *Classic // nil: it uses the consumer protocol
}

func newMember(id string) *Member { return &Member{ID: id, Previous: -1, RebalanceMs: -1} }

func (m *Member) clone() *Member {
	c := *m
	return &c
}

// enter moves the member to an epoch.
func (m *Member) enter(epoch int32) {
	m.Previous, m.Epoch = m.Epoch, epoch
}

// reconciledTo reports whether the member has all that the target assignment of that epoch means it to have.
func (m *Member) reconciledTo(epoch int32) bool { return m.State == Stable && m.Epoch == epoch }

// sameMetadata reports whether the records of both members' metadata are the same.
func (m *Member) sameMetadata(o *Member) bool {
	return equalString(m.InstanceID, o.InstanceID) && equalString(m.RackID, o.RackID) && m.ClientID == o.ClientID &&
		m.ClientHost == o.ClientHost && m.RebalanceMs == o.RebalanceMs && slices.Equal(m.Topics, o.Topics) && m.Regex == o.Regex &&
		equalString(m.Assignor, o.Assignor) && m.Classic.equal(o.Classic)
}

// sameAssignment reports whether the records of both members' current assignment are the same.
func (m *Member) sameAssignment(o *Member) bool {
	return m.Epoch == o.Epoch && m.Previous == o.Previous && m.State == o.State && m.Assigned.Equal(o.Assigned) && m.Revoking.Equal(o.Revoking)
}

func (c *Classic) equal(o *Classic) bool {
	if c == nil || o == nil {
		return c == o
	}
	return c.SessionMs == o.SessionMs && slices.EqualFunc(c.Protocols, o.Protocols, func(a, b Protocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
}

func equalString(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// set makes a list of names one in order, each once.
func set(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}
