package consumer

import "github.com/weir-stream/weir/internal/wire"

// Commit says who commits offsets.
type Commit struct {
	MemberID      string
	InstanceID    *string
	Epoch         int32 // -1: not as a member
	Transactional bool
	Version       int16 // of the OffsetCommit
}

// CheckCommit checks who commits offsets. A member may in its epoch; a member whose epoch has risen meanwhile may commit in an
// older one what it has had since then, which check decides for each partition; a nil check allows all.
func (g *Group) CheckCommit(c Commit) (check func(t wire.TopicID, p int32) error, err error) {
	switch {
	case c.Epoch < 0 && len(g.members) == 0:
		return nil, nil
	case c.Transactional && c.Epoch == -1 && c.MemberID == "" && c.InstanceID == nil:
		return nil, nil // old producers say nothing of the member
	}
	m := g.members[c.MemberID]
	switch {
	case m == nil:
		return nil, wire.UnknownMemberId
	case !c.Transactional && m.Classic == nil && c.Version < 9:
		return nil, wire.UnsupportedVersion
	case c.Epoch == m.Epoch:
		return nil, nil
	case c.Epoch > m.Epoch:
		return nil, m.stale()
	}
	return func(t wire.TopicID, p int32) error {
		for _, o := range []Owned{m.Assigned, m.Revoking} {
			if since, has := o[t][p]; has {
				if c.Epoch < since {
					return m.stale()
				}
				return nil
			}
		}
		return m.stale()
	}, nil
}

// CheckFetch checks who reads offsets: nobody in particular, or a member in its epoch.
func (g *Group) CheckFetch(memberID *string, epoch int32) error {
	if memberID == nil && epoch < 0 {
		return nil
	}
	var m *Member
	if memberID != nil {
		m = g.members[*memberID]
	}
	switch {
	case m == nil:
		return wire.UnknownMemberId
	case epoch != m.Epoch:
		return m.stale()
	}
	return nil
}

// stale is how a member is told that its epoch is not the present one.
func (m *Member) stale() error {
	if m.Classic != nil {
		return wire.IllegalGeneration
	}
	return wire.StaleMemberEpoch
}
