package consumer

import (
	"maps"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/wire"
)

// Leaving is a member that leaves by a heartbeat, for good or for a while.
type Leaving struct {
	MemberID   string
	Epoch      int32
	InstanceID *string
}

// Leave finds who leaves. A static member that means to come back keeps its place: records say so. Else gone is the member to
// be fenced; see Fence.
func (g *Group) Leave(l Leaving) (records []Record, gone *Member, err error) {
	if l.InstanceID == nil {
		m := g.members[l.MemberID]
		if m == nil {
			return nil, nil, refuse(wire.UnknownMemberId, "Member %s is not a member of group %s.", l.MemberID, g.ID)
		}
		return nil, m, nil
	}
	m := g.Static(*l.InstanceID)
	if err := g.checkStatic(m, l.MemberID, *l.InstanceID); err != nil {
		return nil, nil, err
	}
	if l.Epoch != StaticLeaveEpoch {
		return nil, m, nil
	}
	next := m.clone()
	next.Epoch, next.Revoking, next.Assigned = StaticLeaveEpoch, nil, in(m.Assigned.Partitions(), 0)
	r := &recorder{group: g.ID}
	r.current(next)
	return r.records, nil, nil
}

// Fence removes members: the records do, and raise the group epoch.
func (g *Group) Fence(env *Env, gone []*Member) []Record {
	if len(gone) == 0 {
		return nil
	}
	r := &recorder{group: g.ID}
	subscribed, regexes := maps.Clone(g.subscribed), map[string]int32{}
	for _, m := range gone {
		r.gone(m.ID)
		for _, t := range m.Topics {
			countTopic(subscribed, t, -1, 0)
		}
		if m.Regex != "" {
			regexes[m.Regex]++
		}
	}
	for _, regex := range slices.Sorted(maps.Keys(regexes)) {
		if regexes[regex] == g.regexes[regex] {
			r.noRegex(regex)
			for _, t := range g.resolved[regex].Topics {
				countTopic(subscribed, t, 0, -1)
			}
		}
	}
	r.epoch(g.epoch+1, metadataHash(subscribed, env.Topics))
	return r.records
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

func join(names []string) string { return strings.Join(names, ", ") }
