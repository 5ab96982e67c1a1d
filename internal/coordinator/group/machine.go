package group

import (
	"time"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/wire"
)

// machine is the state of one shard: its groups and their offsets. Its methods run in the shard's loop.
type machine struct {
	c  *Coordinator
	sh *coordinator.Shard

	groups    map[string]*classicGroup
	consumers map[string]*consumerGroup
	foreign   map[string]*foreignGroup
	offsets   map[string]*groupOffsets
	pending   pendingOffsets
	order     int64 // of the next commit

	hashes    map[string]topicHash // of topics that consumer groups want
	newTopics int64                // version of the metadata in which a topic was last made, as far as is known

	cleanup coordinator.Timer
}

func newMachine(c *Coordinator, sh *coordinator.Shard) *machine {
	return &machine{
		c: c, sh: sh,
		groups: map[string]*classicGroup{}, consumers: map[string]*consumerGroup{}, foreign: map[string]*foreignGroup{},
		offsets: map[string]*groupOffsets{}, pending: newPendingOffsets(), hashes: map[string]topicHash{},
	}
}

// Loaded implements coordinator.Machine: members get a session anew, since nobody counted while there was no
// coordinator.
func (m *machine) Loaded(tx *coordinator.Tx) {
	for id := range m.offsets {
		if !m.known(id) {
			m.groups[id] = newClassicGroup(id, -1) // so that they can be seen, deleted and expire
		}
	}
	for _, g := range m.groups {
		for _, mem := range g.order {
			m.beat(g, mem)
		}
		if len(g.members) > m.c.cfg.MaxSize && g.state.canMoveTo(statePreparingRebalance) {
			m.prepareRebalance(tx, g, "the loaded group is larger than group.max.size")
		}
	}
	m.newTopics = max(m.newTopics, m.c.deps.Image().Offset())
	m.loadConsumers()
	m.scheduleCleanup()
}

// known reports whether there is a group, of whatever kind.
func (m *machine) known(id string) bool {
	return m.groups[id] != nil || m.consumers[id] != nil || m.foreign[id] != nil
}

// Unloaded implements coordinator.Machine.
func (m *machine) Unloaded(err error) {
	for _, g := range m.groups {
		m.abandon(g, errorCode(err))
	}
}

// abandon ends a group whose shard goes away, or that turns out not to exist.
func (m *machine) abandon(g *classicGroup, code wire.Code) {
	if g.is(stateDead) {
		return
	}
	g.moveTo(stateDead, g.stateTimeMs)
	for _, mem := range g.order {
		g.answerJoin(mem, joinResult{code: code, memberID: mem.id})
		g.answerSync(mem, syncResult{code: code})
	}
	m.stopTimers(g)
}

func (m *machine) stopTimers(g *classicGroup) {
	m.sh.Cancel(&g.joinTimer)
	m.sh.Cancel(&g.syncTimer)
	for _, mem := range g.order {
		m.sh.Cancel(&mem.session)
	}
	for _, t := range g.pending {
		m.sh.Cancel(t)
	}
}

// create adds a new, empty group. It goes again if the operation's records are not committed.
func (m *machine) create(tx *coordinator.Tx, id string) *classicGroup {
	g := newClassicGroup(id, tx.NowMs())
	m.groups[id] = g
	tx.Undo(func() {
		if m.groups[id] == g {
			delete(m.groups, id)
		}
		m.abandon(g, wire.CoordinatorNotAvailable)
	})
	m.scheduleCleanup()
	return g
}

// drop takes a group out, writing its tombstone. It comes back if that is not committed.
func (m *machine) drop(tx *coordinator.Tx, g *classicGroup) {
	m.stopTimers(g)
	clear(g.pending)
	since := g.stateTimeMs
	g.moveTo(stateDead, tx.NowMs())
	delete(m.groups, g.id)
	tx.Append(groupKey(g.id), nil)
	tx.Undo(func() {
		g.state, g.previous, g.stateTimeMs = stateEmpty, stateDead, since
		m.groups[g.id] = g
	})
}

// beat restarts the session of a member.
func (m *machine) beat(g *classicGroup, mem *member) { m.beatFor(g, mem, millis(mem.sessionMs)) }

func (m *machine) beatFor(g *classicGroup, mem *member, d time.Duration) {
	m.sh.Schedule(&mem.session, d, func(tx *coordinator.Tx) { m.sessionExpired(tx, g, mem) })
}

func (m *machine) sessionExpired(tx *coordinator.Tx, g *classicGroup, mem *member) {
	if m.groups[g.id] != g || g.is(stateDead) || g.members[mem.id] != mem || mem.hasSatisfiedHeartbeat() {
		return
	}
	m.sh.Logger().Info("member failed, it is removed from the group", "group", g.id, "member", mem.id)
	m.removeMember(tx, g, mem, "member "+mem.id+" was not heard of within its session time-out")
}

// removeMember takes a member out that failed, and goes on without it.
func (m *machine) removeMember(tx *coordinator.Tx, g *classicGroup, mem *member, reason string) {
	m.takeOut(g, mem)
	switch {
	case g.is(stateStable) || g.is(stateCompletingRebalance):
		m.rebalanceOrCompleteJoin(tx, g, reason)
	case g.is(statePreparingRebalance) && g.allJoined():
		m.completeJoin(tx, g)
	}
}

// takeOut removes a member with its timer. An answer that it waits for makes it join anew, if it still lives.
func (m *machine) takeOut(g *classicGroup, mem *member) {
	m.sh.Cancel(&mem.session)
	g.answerJoin(mem, joinResult{code: wire.UnknownMemberId})
	g.answerSync(mem, syncResult{code: wire.UnknownMemberId})
	g.remove(mem.id)
}

func millis(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }
