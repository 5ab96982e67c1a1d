package group

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/wire"
)

// state is where a classic group is.
type state uint8

const (
	stateEmpty state = iota
	statePreparingRebalance
	stateCompletingRebalance
	stateStable
	stateDead
)

var stateNames = [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}

// String is the name in ListGroups and DescribeGroups.
func (s state) String() string { return stateNames[s] }

// canMoveTo holds the legal transitions.
func (s state) canMoveTo(next state) bool {
	switch next {
	case stateEmpty:
		return s == statePreparingRebalance
	case statePreparingRebalance:
		return s == stateStable || s == stateCompletingRebalance || s == stateEmpty
	case stateCompletingRebalance:
		return s == statePreparingRebalance
	case stateStable:
		return s == stateCompletingRebalance
	default:
		return true
	}
}

// check panics if an invariant of this package does not hold; the node's lifecycle group catches it.
func check(ok bool, format string, args ...any) {
	if !ok {
		panic("group coordinator: " + fmt.Sprintf(format, args...))
	}
}

// consumerProtocolType is the protocol type of consumers, whose subscriptions the coordinator can read.
const consumerProtocolType = "consumer"

// protocol is one assignment strategy that a member supports, with its metadata for it.
type protocol struct {
	name     string
	metadata []byte
}

// member is one member of a classic group.
type member struct {
	id           string
	instanceID   *string // group.instance.id of a static member
	clientID     string
	clientHost   string
	rebalanceMs  int32
	sessionMs    int32
	protocolType string
	protocols    []protocol // in order of preference
	assignment   []byte
	isNew        bool // did not get through a join phase yet

	join    func(joinResult) // answer of the parked JoinGroup, nil if there is none
	sync    func(syncResult) // answer of the parked SyncGroup
	session coordinator.Timer
}

// hasSatisfiedHeartbeat reports whether the member is excused: who waits for an answer of ours cannot beat.
func (m *member) hasSatisfiedHeartbeat() bool { return !m.isNew && (m.join != nil || m.sync != nil) }

func (m *member) metadata(name string) []byte {
	for _, p := range m.protocols {
		if p.name == name {
			return p.metadata
		}
	}
	return nil
}

func (m *member) matches(ps []protocol) bool {
	return slices.EqualFunc(m.protocols, ps, func(a, b protocol) bool {
		return a.name == b.name && bytes.Equal(a.metadata, b.metadata)
	})
}

// classicGroup is one group of the classic protocol.
//
//	Empty --join--> PreparingRebalance --all joined, or time is up--> CompletingRebalance
//	  ^                 |        ^                                       |
//	  +--nobody left----+        +----member joins, leaves or fails------+--leader's SyncGroup is written--> Stable
//	                             +----member joins, leaves or fails------------------------------------------+
//	any state --deleted or unloaded--> Dead
//
// Invariants: joining counts the members with a parked JoinGroup; supported counts, per protocol name, the members
// that have it; the leader is a member; members in static are members; a pending member is not a member; answers are
// parked in JoinGroup only in PreparingRebalance (or while a static member's return is written) and in SyncGroup
// only in CompletingRebalance.
type classicGroup struct {
	id           string
	state        state
	previous     state
	stateTimeMs  int64 // when the state was entered, -1 if not known
	protocolType string
	protocol     *string
	generation   int32
	leader       string // "" for none

	members     map[string]*member
	order       []*member         // in order of arrival
	static      map[string]string // instance id -> member id
	pending     map[string]*coordinator.Timer
	joining     int
	supported   map[string]int
	pendingSync map[string]struct{}

	subscribed      map[string]struct{} // topics, if subscribedKnown
	subscribedKnown bool
	newMemberAdded  bool // since the delay of the initial rebalance was last extended

	joinTimer coordinator.Timer
	syncTimer coordinator.Timer
}

func newClassicGroup(id string, nowMs int64) *classicGroup {
	return &classicGroup{
		id: id, state: stateEmpty, previous: stateDead, stateTimeMs: nowMs,
		members: map[string]*member{}, static: map[string]string{}, pending: map[string]*coordinator.Timer{},
		supported: map[string]int{}, pendingSync: map[string]struct{}{},
	}
}

func (g *classicGroup) moveTo(next state, nowMs int64) {
	check(g.state.canMoveTo(next), "group cannot go from %v to %v", g.state, next)
	g.previous, g.state, g.stateTimeMs = g.state, next, nowMs
}

func (g *classicGroup) is(s state) bool { return g.state == s }

func (g *classicGroup) isLeader(memberID string) bool { return g.leader != "" && g.leader == memberID }

func (g *classicGroup) usesConsumerProtocol() bool { return g.protocolType == consumerProtocolType }

func (g *classicGroup) allJoined() bool { return len(g.members) == g.joining && len(g.pending) == 0 }

func (g *classicGroup) protocolName() string {
	if g.protocol == nil {
		return ""
	}
	return *g.protocol
}

func (g *classicGroup) count(m *member, n int) {
	for _, p := range m.protocols {
		if g.supported[p.name] += n; g.supported[p.name] == 0 {
			delete(g.supported, p.name)
		}
	}
}

// add makes m a member. The caller has checked that the group supports its protocols.
func (g *classicGroup) add(m *member) {
	if len(g.members) == 0 {
		g.protocolType = m.protocolType
	}
	if m.instanceID != nil {
		g.static[*m.instanceID] = m.id
	}
	if g.leader == "" {
		g.leader = m.id
	}
	g.members[m.id] = m
	g.order = append(g.order, m)
	g.count(m, +1)
	if m.join != nil {
		g.joining++
	}
}

// remove takes a member or a pending member out. Timers are the caller's business.
func (g *classicGroup) remove(id string) {
	if m := g.members[id]; m != nil {
		delete(g.members, id)
		g.order = slices.DeleteFunc(g.order, func(o *member) bool { return o == m })
		g.count(m, -1)
		if m.join != nil {
			g.joining--
		}
		if m.instanceID != nil {
			delete(g.static, *m.instanceID)
		}
	}
	if g.isLeader(id) {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0].id
		}
	}
	delete(g.pending, id)
	delete(g.pendingSync, id)
}

// update replaces what a member said when it joined, and its parked answer.
func (g *classicGroup) update(m *member, ps []protocol, rebalanceMs, sessionMs int32, join func(joinResult)) {
	g.count(m, -1)
	m.protocols = ps
	g.count(m, +1)
	m.rebalanceMs, m.sessionMs = rebalanceMs, sessionMs
	switch {
	case join != nil && m.join == nil:
		g.joining++
	case join == nil && m.join != nil:
		g.joining--
	}
	m.join = join
}

// answerJoin gives the parked answer of JoinGroup, if there is one.
func (g *classicGroup) answerJoin(m *member, r joinResult) {
	if m.join == nil {
		return
	}
	reply := m.join
	m.join = nil
	g.joining--
	reply(r)
}

// answerSync gives the parked answer of SyncGroup and reports whether there was one.
func (g *classicGroup) answerSync(m *member, r syncResult) bool {
	if m.sync == nil {
		return false
	}
	reply := m.sync
	m.sync = nil
	reply(r)
	return true
}

// electJoined sees to it that the leader is a member who has joined, if anybody has.
func (g *classicGroup) electJoined() bool {
	if g.leader == "" {
		return false
	}
	if g.members[g.leader].join != nil {
		return true
	}
	for _, m := range g.order {
		if m.join != nil {
			g.leader = m.id
			return true
		}
	}
	return false
}

// replaceStatic gives the static member a new member id; parked answers of the old one say that it is fenced.
func (g *classicGroup) replaceStatic(instanceID, oldID, newID string) *member {
	old := g.members[oldID]
	g.answerJoin(old, joinResult{code: wire.FencedInstanceId, memberID: oldID})
	g.answerSync(old, syncResult{code: wire.FencedInstanceId})
	m := &member{
		id: newID, instanceID: old.instanceID, clientID: old.clientID, clientHost: old.clientHost,
		rebalanceMs: old.rebalanceMs, sessionMs: old.sessionMs, protocolType: old.protocolType, protocols: old.protocols,
		assignment: old.assignment,
	}
	delete(g.members, oldID)
	g.members[newID] = m
	g.order[slices.Index(g.order, old)] = m
	if g.isLeader(oldID) {
		g.leader = newID
	}
	if _, ok := g.pendingSync[oldID]; ok {
		delete(g.pendingSync, oldID)
		g.pendingSync[newID] = struct{}{}
	}
	g.static[instanceID] = newID
	return m
}

// rebalanceMs is the longest rebalance time-out of the members.
func (g *classicGroup) rebalanceMs() int32 {
	var most int32
	for _, m := range g.order {
		most = max(most, m.rebalanceMs)
	}
	return most
}

// validate checks that the member belongs to the group and is not fenced by another with its instance id (KIP-345).
func (g *classicGroup) validate(memberID string, instanceID *string) error {
	if instanceID != nil {
		switch existing, ok := g.static[*instanceID]; {
		case !ok:
			return wire.UnknownMemberId
		case existing != memberID:
			return wire.FencedInstanceId
		}
	}
	if g.members[memberID] == nil {
		return wire.UnknownMemberId
	}
	return nil
}

// supports reports whether somebody with these protocols may join.
func (g *classicGroup) supports(protocolType string, ps []protocol) bool {
	if g.is(stateEmpty) {
		return protocolType != "" && len(ps) > 0
	}
	return g.protocolType == protocolType && slices.ContainsFunc(ps, func(p protocol) bool {
		return g.supported[p.name] == len(g.members)
	})
}

// selectProtocol takes the votes of all members among the protocols that everybody supports. Where Kafka's result
// depends on a hash order, the first member's preference decides.
func (g *classicGroup) selectProtocol() string {
	check(len(g.order) > 0, "no member to select a protocol")
	votes := map[string]int{}
	for _, m := range g.order {
		for _, p := range m.protocols {
			if g.supported[p.name] == len(g.members) {
				votes[p.name]++
				break
			}
		}
	}
	best := ""
	for _, p := range g.order[0].protocols {
		if votes[p.name] > votes[best] {
			best = p.name
		}
	}
	return best
}

// nextGeneration ends the join phase.
func (g *classicGroup) nextGeneration(nowMs int64) {
	g.generation++
	if len(g.members) > 0 {
		name := g.selectProtocol()
		g.protocol = &name
		g.computeSubscribed()
		g.moveTo(stateCompletingRebalance, nowMs)
	} else {
		g.protocol = nil
		g.computeSubscribed()
		g.moveTo(stateEmpty, nowMs)
	}
	clear(g.pendingSync)
}

// computeSubscribed reads the members' subscriptions. They stay unknown if the members are no consumers or sent what
// cannot be read.
func (g *classicGroup) computeSubscribed() {
	g.subscribed, g.subscribedKnown = nil, false
	if !g.usesConsumerProtocol() {
		return
	}
	topics := map[string]struct{}{}
	if len(g.members) > 0 {
		if g.protocol == nil {
			return
		}
		for _, m := range g.order {
			if !addSubscribedTopics(topics, m.metadata(*g.protocol)) {
				return
			}
		}
	}
	g.subscribed, g.subscribedKnown = topics, true
}

// isSubscribed reports whether the group consumes the topic, as far as is known; in doubt it does.
func (g *classicGroup) isSubscribed(topic string) bool {
	if !g.subscribedKnown {
		return g.usesConsumerProtocol()
	}
	_, ok := g.subscribed[topic]
	return ok
}
