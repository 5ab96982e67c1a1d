package group

import (
	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/group/consumer"
	"github.com/weir-stream/weir/internal/wire"
)

// Members of consumer groups that use the classic protocol (KIP-848, migration). To them a group rebalances all the time: they
// join to give partitions back and to enter an epoch, which is their generation, and sync to hear what they have.

// joinConsumer handles a JoinGroup to a consumer group with members.
func (m *machine) joinConsumer(tx *coordinator.Tx, g *consumerGroup, r *joinRequest, reply func(joinResult)) {
	j := &consumer.Join{
		MemberID: r.memberID, New: r.memberID == "", InstanceID: r.instanceID, ClientID: r.client.ID, ClientHost: r.client.Host,
		SessionMs: r.sessionMs, RebalanceMs: r.rebalanceMs, Protocols: consumerProtocols(r.protocols),
	}
	if j.New {
		j.MemberID = m.c.cfg.NewMemberID()
	}
	env := m.env(tx, g)
	switch {
	case m.c.cfg.Consumer.NoUpgrade && m.c.cfg.Consumer.NoDowngrade: // group.consumer.migration.policy=disabled
		reply(joinResult{code: wire.InconsistentGroupProtocol, memberID: r.memberID})
		return
	case g.Full(env, j.MemberID):
		reply(joinResult{code: wire.GroupMaxSizeReached, memberID: r.memberID})
		return
	case !g.SupportsClassic(r.protocolType, j.Protocols):
		reply(joinResult{code: wire.InconsistentGroupProtocol, memberID: r.memberID})
		return
	case j.New && r.instanceID == nil && r.version >= 4:
		reply(joinResult{code: wire.MemberIdRequired, memberID: j.MemberID})
		return
	}
	joined, err := g.Join(env, j, func(replaced *consumer.Member) bool {
		return replaced.Classic == nil && m.mayDowngrade(g, []*consumer.Member{replaced}, g.Len())
	})
	if err != nil {
		reply(joinResult{code: wire.CodeOf(err), memberID: r.memberID})
		return
	}
	mem := joined.Member
	if joined.Replaced != nil {
		m.downgradeWith(tx, g, joined)
	} else {
		before := g.Epoch()
		m.writeConsumer(tx, g, joined.Records)
		m.countRebalance(g, before)
	}
	tx.Then(func(_ *coordinator.Tx, err error) {
		if err != nil {
			reply(joinResult{code: errorCode(err), memberID: r.memberID})
			return
		}
		if m.alive(g) && g.Member(mem.ID) != nil {
			t := g.timersOf(mem.ID)
			m.sh.Cancel(&t.join)
			m.beatConsumer(g, mem)
			m.fenceAfter(g, &t.sync, millis(r.rebalanceMs), mem.ID, "it did not sync in time")
		}
		kind, name := consumerProtocolType, mem.Classic.Protocols[0].Name
		reply(joinResult{generation: mem.Epoch, protocolType: &kind, protocol: &name, memberID: mem.ID})
	})
}

func consumerProtocols(ps []protocol) []consumer.Protocol {
	out := make([]consumer.Protocol, 0, len(ps))
	for _, p := range ps {
		out = append(out, consumer.Protocol{Name: p.name, Metadata: p.metadata})
	}
	return out
}

// classicMemberOf finds the member of a consumer group that uses the classic protocol.
func classicMemberOf(g *consumerGroup, id string, instanceID *string) (*consumer.Member, error) {
	mem := g.Member(id)
	if instanceID != nil {
		mem = g.Static(*instanceID)
		if mem != nil && mem.ID != id {
			return nil, wire.FencedInstanceId
		}
	}
	if mem == nil || mem.Classic == nil {
		return nil, wire.UnknownMemberId
	}
	return mem, nil
}

// syncConsumer handles a SyncGroup to a consumer group: its answer is what the member has in its epoch.
func (m *machine) syncConsumer(tx *coordinator.Tx, g *consumerGroup, r *syncRequest, reply func(syncResult)) {
	mem, err := classicMemberOf(g, r.memberID, r.instanceID)
	switch {
	case err != nil:
	case r.generation != mem.Epoch:
		err = wire.IllegalGeneration
	case r.protocolType != nil && *r.protocolType != consumerProtocolType, r.protocol != nil && *r.protocol != mem.Classic.Protocols[0].Name:
		err = wire.InconsistentGroupProtocol
	case g.BehindTarget(mem):
		m.awaitJoin(g, mem)
		err = wire.RebalanceInProgress
	}
	if err != nil {
		reply(syncResult{code: wire.CodeOf(err)})
		return
	}
	tx.Then(func(_ *coordinator.Tx, err error) {
		if err != nil {
			reply(syncResult{code: errorCode(err)})
			return
		}
		if m.alive(g) && g.Member(mem.ID) != nil {
			m.sh.Cancel(&g.timersOf(mem.ID).sync)
			m.beatConsumer(g, mem)
		}
		reply(syncResult{protocolType: r.protocolType, protocol: r.protocol, assignment: mem.Assignment(m.view())})
	})
}

// awaitJoin gives a classic member its rebalance time-out to join again, from when it is first told to.
func (m *machine) awaitJoin(g *consumerGroup, mem *consumer.Member) {
	if t := &g.timersOf(mem.ID).join; !t.Scheduled() {
		m.fenceAfter(g, t, millis(mem.RebalanceMs), mem.ID, "it did not join in time")
	}
}

// beatClassic handles a Heartbeat to a consumer group.
func (m *machine) beatClassic(g *consumerGroup, id string, instanceID *string, generation int32) wire.Code {
	mem, err := classicMemberOf(g, id, instanceID)
	switch {
	case err != nil:
		return wire.CodeOf(err)
	case generation != mem.Epoch:
		return wire.IllegalGeneration
	}
	m.beatConsumer(g, mem)
	if g.MustRejoin(mem) {
		m.awaitJoin(g, mem)
		return wire.RebalanceInProgress
	}
	return wire.None
}

// leaveConsumer handles a LeaveGroup to a consumer group, for members of either protocol.
func (m *machine) leaveConsumer(tx *coordinator.Tx, g *consumerGroup, leavers []leaver, reply func(wire.Code, []wire.Code)) {
	codes := make([]wire.Code, len(leavers))
	var gone []*consumer.Member
	for i, l := range leavers {
		mem := g.Member(l.memberID)
		if l.instanceID != nil {
			mem = g.Static(*l.instanceID)
		}
		switch {
		case mem == nil:
			codes[i] = wire.UnknownMemberId
		case l.instanceID != nil && l.memberID != "" && mem.ID != l.memberID:
			codes[i] = wire.FencedInstanceId
		default:
			m.sh.Logger().Info("member leaves the group", "group", g.ID, "member", mem.ID, "reason", l.reason)
			gone = appendNew(gone, mem)
		}
	}
	if len(gone) > 0 {
		m.fence(tx, g, gone)
	}
	tx.Then(func(_ *coordinator.Tx, err error) { reply(errorCode(err), codes) })
}

func appendNew(list []*consumer.Member, mem *consumer.Member) []*consumer.Member {
	for _, m := range list {
		if m == mem {
			return list
		}
	}
	return append(list, mem)
}
