package group

import (
	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/wire"
)

// maxPendingMembers bounds the members of a group that got an id and did not come back with it yet; each costs a
// timer until its session time-out.
const maxPendingMembers = 10_000

// join handles a JoinGroup; reply is called once, perhaps much later.
func (m *machine) join(tx *coordinator.Tx, r *joinRequest, reply func(joinResult)) {
	if f := m.foreign[r.group]; f != nil {
		m.sh.Logger().Warn("a client cannot join: the group is of a protocol that is not served", "group", r.group, "type", f.kind)
		reply(joinResult{code: wire.InconsistentGroupProtocol})
		return
	}
	ended := m.consumers[r.group]
	if ended != nil && !ended.Empty() {
		m.joinConsumer(tx, ended, r, reply)
		return
	}
	g := m.groups[r.group]
	isNew := g == nil
	if isNew {
		if r.memberID != "" {
			reply(joinResult{code: wire.UnknownMemberId, memberID: r.memberID})
			return
		}
		if ended != nil {
			m.writeConsumer(tx, ended, ended.Tombstones())
		}
		g = m.create(tx, r.group)
	}
	before := tx.NumRecords()
	switch {
	case !m.accepts(g, r.memberID):
		m.dropUnaccepted(g, r.memberID)
		reply(joinResult{code: wire.GroupMaxSizeReached})
		m.completeJoinIfAll(tx, g)
	case r.memberID == "":
		m.joinNew(tx, g, r, reply)
	default:
		m.joinExisting(tx, g, r, reply)
	}
	if isNew && tx.NumRecords() == before {
		// The group itself must last, or nothing in the log would stand for what waits in it.
		m.writeEmptyGroup(tx, g)
	}
}

// accepts holds group.max.size. While members rejoin, only those count that are back: so that the last to come are
// turned away when the limit was lowered.
func (m *machine) accepts(g *classicGroup, memberID string) bool {
	mem := g.members[memberID]
	switch g.state {
	case statePreparingRebalance:
		return mem != nil && mem.join != nil || g.joining < m.c.cfg.MaxSize
	case stateCompletingRebalance, stateStable:
		return mem != nil || len(g.members) < m.c.cfg.MaxSize
	default:
		return true
	}
}

func (m *machine) dropUnaccepted(g *classicGroup, memberID string) {
	if mem := g.members[memberID]; mem != nil {
		m.takeOut(g, mem)
		return
	}
	m.dropPending(g, memberID)
}

func (m *machine) dropPending(g *classicGroup, memberID string) {
	if t := g.pending[memberID]; t != nil {
		m.sh.Cancel(t)
		delete(g.pending, memberID)
	}
}

func (m *machine) joinNew(tx *coordinator.Tx, g *classicGroup, r *joinRequest, reply func(joinResult)) {
	if !g.supports(r.protocolType, r.protocols) {
		reply(joinResult{code: wire.InconsistentGroupProtocol})
		return
	}
	prefix := r.client.ID
	if r.instanceID != nil {
		prefix = *r.instanceID
	}
	id := prefix + "-" + m.c.cfg.NewUUID()
	switch {
	case r.instanceID != nil:
		if old, ok := g.static[*r.instanceID]; ok {
			m.rejoinStatic(tx, g, r, old, id, reply)
			return
		}
		m.addMember(tx, g, r, id, reply)
	case r.version >= 4: // KIP-394: the member is to come again with its id
		if len(g.pending) >= maxPendingMembers {
			reply(joinResult{code: wire.GroupMaxSizeReached})
			return
		}
		t := new(coordinator.Timer)
		g.pending[id] = t
		m.sh.Schedule(t, millis(r.sessionMs), func(tx *coordinator.Tx) { m.pendingExpired(tx, g, id) })
		reply(joinResult{code: wire.MemberIdRequired, memberID: id})
	default:
		m.addMember(tx, g, r, id, reply)
	}
}

func (m *machine) pendingExpired(tx *coordinator.Tx, g *classicGroup, id string) {
	if m.groups[g.id] != g || g.pending[id] == nil {
		return
	}
	delete(g.pending, id)
	if g.is(statePreparingRebalance) && g.allJoined() {
		m.completeJoin(tx, g)
	}
}

func (m *machine) joinExisting(tx *coordinator.Tx, g *classicGroup, r *joinRequest, reply func(joinResult)) {
	if !g.supports(r.protocolType, r.protocols) {
		reply(joinResult{code: wire.InconsistentGroupProtocol, memberID: r.memberID})
		return
	}
	if g.pending[r.memberID] != nil {
		if r.instanceID != nil { // a pending member is never static
			reply(joinResult{code: wire.UnknownMemberId, memberID: r.memberID})
			return
		}
		m.addMember(tx, g, r, r.memberID, reply)
		return
	}
	if err := g.validate(r.memberID, r.instanceID); err != nil {
		reply(joinResult{code: wire.CodeOf(err), memberID: r.memberID})
		return
	}
	m.rejoin(tx, g, g.members[r.memberID], r, reply)
}

// rejoin is the JoinGroup of a member.
func (m *machine) rejoin(tx *coordinator.Tx, g *classicGroup, mem *member, r *joinRequest, reply func(joinResult)) {
	var why string
	switch changed := !mem.matches(r.protocols); {
	case g.is(statePreparingRebalance):
		why = "member " + mem.id + " joins during the rebalance"
	case g.is(stateEmpty): // not with members
		reply(joinResult{code: wire.UnknownMemberId, memberID: mem.id})
		return
	case changed:
		why = "member " + mem.id + " changed its metadata"
	case g.is(stateStable) && g.isLeader(mem.id):
		// The leader may know of changes that do not show in its metadata, such as new partitions.
		why = "leader " + mem.id + " joins again"
	default:
		// Nothing new: perhaps the answer got lost. The present generation is the answer.
		reply(m.joined(g, mem, mem.id, g.is(stateCompletingRebalance)))
		return
	}
	if old := mem.join; old != nil {
		// The member gave up the connection with its earlier request; nobody reads that answer.
		mem.join = nil
		g.joining--
		old(joinResult{code: wire.RebalanceInProgress, memberID: mem.id})
	}
	g.update(mem, r.protocols, r.rebalanceMs, r.sessionMs, reply)
	m.rebalanceOrCompleteJoin(tx, g, why+"; client reason: "+r.reason)
}

// joined is the answer for the present generation; the leader gets the members if it is to assign.
func (m *machine) joined(g *classicGroup, mem *member, memberID string, withMembers bool) joinResult {
	res := joinResult{
		generation: g.generation, protocolType: stringOrNil(g.protocolType), protocol: g.protocol, leader: g.leader,
		memberID: memberID,
	}
	if withMembers && g.isLeader(mem.id) {
		for _, o := range g.order {
			res.members = append(res.members, joinedMember{o.id, o.instanceID, o.metadata(g.protocolName())})
		}
	}
	return res
}

func stringOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// addMember takes in a new member and starts a rebalance.
func (m *machine) addMember(tx *coordinator.Tx, g *classicGroup, r *joinRequest, id string, reply func(joinResult)) {
	m.dropPending(g, id)
	mem := &member{
		id: id, instanceID: r.instanceID, clientID: r.client.ID, clientHost: r.client.Host, rebalanceMs: r.rebalanceMs,
		sessionMs: r.sessionMs, protocolType: r.protocolType, protocols: r.protocols, isNew: true, join: reply,
	}
	if g.is(statePreparingRebalance) && g.previous == stateEmpty {
		g.newMemberAdded = true
	}
	g.add(mem)
	// A new member cannot beat, since it waits for our answer; but it must not stay for ever if its client is gone.
	m.beatFor(g, mem, m.c.cfg.NewMemberJoinTimeout)
	m.rebalanceOrCompleteJoin(tx, g, "new member "+id+" joins; client reason: "+r.reason)
}

// rejoinStatic is a static member that comes back without its member id (KIP-345). In a stable group it takes its
// old place and assignment, without a rebalance, unless that changes the group's protocol.
func (m *machine) rejoinStatic(tx *coordinator.Tx, g *classicGroup, r *joinRequest, oldID, newID string, reply func(joinResult)) {
	old, oldLeader := g.members[oldID], g.leader
	m.sh.Cancel(&old.session)
	mem := g.replaceStatic(*r.instanceID, oldID, newID)
	g.update(mem, r.protocols, r.rebalanceMs, r.sessionMs, reply)
	m.beat(g, mem)
	why := "static member " + *r.instanceID + " comes back; client reason: " + r.reason
	switch {
	case g.is(stateStable) && g.selectProtocol() == g.protocolName():
		g.computeSubscribed()
		m.writeGroup(tx, g, nil)
		tx.Then(func(_ *coordinator.Tx, err error) { m.staticWritten(g, mem, old, oldLeader, r, err) })
	case g.is(stateStable) || g.is(stateCompletingRebalance):
		// After the leader has the members' ids for its assignment, only a new rebalance can bring in the new id.
		m.prepareRebalance(tx, g, why)
	default:
		m.completeJoinIfAll(tx, g)
	}
}

// staticWritten answers a static member that came back into a stable group, once that lasts.
func (m *machine) staticWritten(g *classicGroup, mem, old *member, oldLeader string, r *joinRequest, err error) {
	if g.members[mem.id] != mem || mem.join == nil {
		return // removed, replaced or answered meanwhile
	}
	if err != nil {
		reply := mem.join
		g.update(mem, old.protocols, old.rebalanceMs, old.sessionMs, nil)
		m.sh.Cancel(&mem.session)
		m.beat(g, g.replaceStatic(*r.instanceID, mem.id, old.id))
		g.computeSubscribed()
		reply(joinResult{code: errorCode(err), leader: oldLeader})
		return
	}
	if !g.is(stateStable) {
		return // a rebalance began: its end answers
	}
	res := m.joined(g, mem, mem.id, r.version >= 9)
	if r.version >= 9 {
		res.skip = g.isLeader(mem.id) // KIP-814
	} else {
		// Older clients would assign if they were told that they lead; the old id tells them that they do not.
		res.leader = oldLeader
	}
	g.answerJoin(mem, res)
}
