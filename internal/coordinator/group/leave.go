package group

import (
	"strings"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/wire"
)

// leaver is one member in a LeaveGroup. An empty memberID with an instance id means whoever has that instance id
// (administrative removal).
type leaver struct {
	memberID   string
	instanceID *string
	reason     string
}

// leave handles a LeaveGroup: a code for the whole, or one per member. It is answered when what follows from it is
// written.
func (m *machine) leave(tx *coordinator.Tx, groupID string, leavers []leaver, reply func(wire.Code, []wire.Code)) {
	if c := m.consumers[groupID]; c != nil {
		m.leaveConsumer(tx, c, leavers, reply)
		return
	}
	codes := make([]wire.Code, len(leavers))
	g := m.groups[groupID]
	if g == nil {
		for i := range codes {
			codes[i] = wire.UnknownMemberId
		}
		reply(wire.None, codes)
		return
	}
	var gone []string
	for i, l := range leavers {
		if codes[i] = m.leaveOne(g, l); codes[i] == wire.None {
			gone = append(gone, l.memberID)
		}
	}
	if len(gone) > 0 {
		switch g.state {
		case stateStable, stateCompletingRebalance:
			m.rebalanceOrCompleteJoin(tx, g, "members left: "+strings.Join(gone, ", "))
		case statePreparingRebalance:
			m.completeJoinIfAll(tx, g)
		}
	}
	tx.Then(func(_ *coordinator.Tx, err error) { reply(errorCode(err), codes) })
}

func (m *machine) leaveOne(g *classicGroup, l leaver) wire.Code {
	id := l.memberID
	if id == "" {
		if l.instanceID == nil {
			return wire.UnknownMemberId
		}
		current, ok := g.static[*l.instanceID]
		if !ok {
			return wire.UnknownMemberId
		}
		id = current
	} else if g.pending[id] != nil {
		m.dropPending(g, id)
		return wire.None
	} else if err := g.validate(id, l.instanceID); err != nil {
		return wire.CodeOf(err)
	}
	m.sh.Logger().Info("member leaves the group", "group", g.id, "member", id, "reason", l.reason)
	m.takeOut(g, g.members[id])
	return wire.None
}
