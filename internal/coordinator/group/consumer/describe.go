package consumer

import "github.com/weir-stream/weir/internal/coordinator/group/assign"

// Description is a group as ConsumerGroupDescribe shows it.
type Description struct {
	State       string
	Epoch       int32
	TargetEpoch int32
	Assignor    string
	Members     []MemberDescription
}

// MemberDescription is one member of a Description.
type MemberDescription struct {
	*Member
	// Owned are the partitions that the member has, also those that it has yet to give back.
	Owned  assign.Partitions
	Target assign.Partitions
}

// Describe shows the group; defaultAssignor is that of groups whose members ask for none.
func (g *Group) Describe(defaultAssignor string) Description {
	d := Description{State: g.State(), Epoch: g.epoch, TargetEpoch: g.targetEpoch, Assignor: g.preferredAssignor(nil, nil)}
	if d.Assignor == "" {
		d.Assignor = defaultAssignor
	}
	for _, m := range g.Members() {
		all := Owned{}
		for _, o := range []Owned{m.Assigned, m.Revoking} {
			for t, ps := range o {
				for p, epoch := range ps {
					put(all, t, p, epoch)
				}
			}
		}
		d.Members = append(d.Members, MemberDescription{m, all.Partitions(), g.target[m.ID]})
	}
	return d
}
