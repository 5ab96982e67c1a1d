package group

import (
	"time"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/wire"
)

// rebalanceOrCompleteJoin starts a rebalance if the group is in a state for it, else goes on with the one under way.
func (m *machine) rebalanceOrCompleteJoin(tx *coordinator.Tx, g *classicGroup, reason string) {
	if g.state.canMoveTo(statePreparingRebalance) {
		m.prepareRebalance(tx, g, reason)
		return
	}
	m.completeJoinIfAll(tx, g)
}

// completeJoinIfAll ends the join phase when everybody is there. The first rebalance of a group always lasts its
// full delay.
func (m *machine) completeJoinIfAll(tx *coordinator.Tx, g *classicGroup) {
	if g.is(statePreparingRebalance) && g.previous != stateEmpty && g.allJoined() {
		m.completeJoin(tx, g)
	}
}

// prepareRebalance asks all members to join again.
func (m *machine) prepareRebalance(tx *coordinator.Tx, g *classicGroup, reason string) {
	if g.is(stateCompletingRebalance) {
		m.resetAssignments(g, wire.RebalanceInProgress)
	}
	clear(g.pendingSync)
	m.sh.Cancel(&g.syncTimer)
	first := g.is(stateEmpty)
	g.moveTo(statePreparingRebalance, tx.NowMs())
	m.sh.Logger().Info("group rebalances", "group", g.id, "generation", g.generation, "members", len(g.members), "reason", reason)
	switch {
	case first:
		delay := m.c.cfg.InitialRebalanceDelay
		m.delayInitialRebalance(g, delay, delay, max(millis(g.rebalanceMs())-delay, 0))
	case g.allJoined():
		m.completeJoin(tx, g)
	default:
		m.waitForJoins(g)
	}
}

func (m *machine) waitForJoins(g *classicGroup) {
	m.sh.Schedule(&g.joinTimer, millis(g.rebalanceMs()), func(tx *coordinator.Tx) { m.completeJoin(tx, g) })
}

// delayInitialRebalance waits for more members of a new group: as long as some come, up to their rebalance time-out
// in all (group.initial.rebalance.delay.ms, KIP-134).
func (m *machine) delayInitialRebalance(g *classicGroup, step, delay, remaining time.Duration) {
	m.sh.Schedule(&g.joinTimer, delay, func(tx *coordinator.Tx) {
		if !g.newMemberAdded || remaining == 0 {
			m.completeJoin(tx, g)
			return
		}
		g.newMemberAdded = false
		next := min(step, remaining)
		m.delayInitialRebalance(g, step, next, max(remaining-delay, 0))
	})
}

// completeJoin ends the join phase with those who are there. Dynamic members who did not come are out; static ones
// stay until their session ends.
func (m *machine) completeJoin(tx *coordinator.Tx, g *classicGroup) {
	m.sh.Cancel(&g.joinTimer)
	if m.groups[g.id] != g || !g.is(statePreparingRebalance) {
		return
	}
	for _, mem := range append([]*member(nil), g.order...) {
		if mem.join == nil && mem.instanceID == nil {
			m.takeOut(g, mem)
		}
	}
	if !g.electJoined() && len(g.members) > 0 {
		// Only static members, and none came. Wait for them, or for the end of their sessions.
		m.sh.Logger().Warn("group cannot complete its rebalance: no member joined", "group", g.id)
		m.waitForJoins(g)
		return
	}
	g.newMemberAdded = false
	g.nextGeneration(tx.NowMs())
	if g.is(stateEmpty) {
		m.sh.Logger().Info("group is empty", "group", g.id, "generation", g.generation)
		m.writeGroup(tx, g, nil)
		return
	}
	m.sh.Logger().Info("group has a new generation", "group", g.id, "generation", g.generation, "members", len(g.members),
		"protocol", g.protocolName())
	for _, mem := range g.order {
		g.pendingSync[mem.id] = struct{}{}
		mem.isNew = false
		m.beat(g, mem)
	}
	for _, mem := range g.order {
		g.answerJoin(mem, m.joined(g, mem, mem.id, true))
	}
	m.waitForSyncs(g)
}

// waitForSyncs bounds the time in which the members must ask for their assignments: who joined but never asks would hold
// up the group.
func (m *machine) waitForSyncs(g *classicGroup) {
	generation := g.generation
	m.sh.Schedule(&g.syncTimer, millis(g.rebalanceMs()), func(tx *coordinator.Tx) { m.syncsExpired(tx, g, generation) })
}

func (m *machine) syncsExpired(tx *coordinator.Tx, g *classicGroup, generation int32) {
	if m.groups[g.id] != g || g.generation != generation || len(g.pendingSync) == 0 ||
		!g.is(stateCompletingRebalance) && !g.is(stateStable) {
		return
	}
	for _, mem := range append([]*member(nil), g.order...) {
		if _, missing := g.pendingSync[mem.id]; missing {
			m.takeOut(g, mem)
		}
	}
	m.prepareRebalance(tx, g, "members did not ask for their assignments in time")
}

// resetAssignments takes the assignments away from all members and answers those who wait for them.
func (m *machine) resetAssignments(g *classicGroup, code wire.Code) {
	for _, mem := range g.order {
		mem.assignment = nil
	}
	for _, mem := range g.order {
		if g.answerSync(mem, syncResult{code: code}) {
			m.beat(g, mem)
		}
	}
}

// sync handles a SyncGroup; reply is called once, perhaps later.
func (m *machine) sync(tx *coordinator.Tx, r *syncRequest, reply func(syncResult)) {
	if c := m.consumers[r.group]; c != nil {
		m.syncConsumer(tx, c, r, reply)
		return
	}
	g := m.groups[r.group]
	if g == nil || g.is(stateEmpty) {
		reply(syncResult{code: wire.UnknownMemberId})
		return
	}
	if err := validateSync(g, r); err != nil {
		reply(syncResult{code: wire.CodeOf(err)})
		return
	}
	mem := g.members[r.memberID]
	switch g.state {
	case statePreparingRebalance:
		reply(syncResult{code: wire.RebalanceInProgress})
	case stateCompletingRebalance:
		g.answerSync(mem, syncResult{code: wire.RebalanceInProgress}) // an earlier request that nobody reads any more
		mem.sync = reply
		m.gotSync(g, mem)
		if g.isLeader(mem.id) {
			m.writeAssignments(tx, g, r)
		}
	default:
		m.gotSync(g, mem)
		reply(assigned(g, mem))
	}
}

func validateSync(g *classicGroup, r *syncRequest) error {
	if err := g.validate(r.memberID, r.instanceID); err != nil {
		return err
	}
	if r.generation != g.generation {
		return wire.IllegalGeneration
	}
	if r.protocolType != nil && g.protocolType != "" && *r.protocolType != g.protocolType ||
		r.protocol != nil && g.protocol != nil && *r.protocol != *g.protocol {
		return wire.InconsistentGroupProtocol
	}
	return nil
}

func (m *machine) gotSync(g *classicGroup, mem *member) {
	delete(g.pendingSync, mem.id)
	if len(g.pendingSync) == 0 {
		m.sh.Cancel(&g.syncTimer)
	}
}

func assigned(g *classicGroup, mem *member) syncResult {
	return syncResult{protocolType: stringOrNil(g.protocolType), protocol: g.protocol, assignment: mem.assignment}
}

// writeAssignments makes the leader's assignments last; then the group is stable and everybody gets theirs.
func (m *machine) writeAssignments(tx *coordinator.Tx, g *classicGroup, r *syncRequest) {
	generation := g.generation
	m.writeGroup(tx, g, r.assignments)
	tx.Then(func(tx *coordinator.Tx, err error) {
		if m.groups[g.id] != g || !g.is(stateCompletingRebalance) || g.generation != generation {
			return // somebody joined or left meanwhile
		}
		if err != nil {
			m.sh.Logger().Warn("cannot write the group's assignments", "group", g.id, "error", err)
			m.resetAssignments(g, errorCode(err))
			m.prepareRebalance(tx, g, "the assignments could not be written")
			return
		}
		for _, mem := range g.order {
			mem.assignment = r.assignments[mem.id]
		}
		g.moveTo(stateStable, tx.NowMs())
		m.c.stats.rebalances.Add(1)
		for _, mem := range g.order {
			if g.answerSync(mem, assigned(g, mem)) {
				m.beat(g, mem)
			}
		}
	})
}

// heartbeat handles a Heartbeat.
func (m *machine) heartbeat(groupID, memberID string, instanceID *string, generation int32) wire.Code {
	if c := m.consumers[groupID]; c != nil {
		return m.beatClassic(c, memberID, instanceID, generation)
	}
	g := m.groups[groupID]
	if g == nil {
		return wire.UnknownMemberId
	}
	if err := g.validate(memberID, instanceID); err != nil {
		return wire.CodeOf(err)
	}
	if generation != g.generation {
		return wire.IllegalGeneration
	}
	switch g.state {
	case stateEmpty:
		return wire.UnknownMemberId
	case statePreparingRebalance:
		m.beat(g, g.members[memberID])
		return wire.RebalanceInProgress
	default:
		m.beat(g, g.members[memberID])
		return wire.None
	}
}
