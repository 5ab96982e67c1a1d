package consumer

import (
	"maps"
	"slices"

	"github.com/weir-stream/weir/internal/coordinator/group/assign"
	"github.com/weir-stream/weir/internal/wire"
)

// Resolved are the topics that a regular expression matches.
type Resolved struct {
	Topics      []string // in order
	Version     int64    // of the metadata in which it was resolved
	TimestampMs int64    // when
}

// subscription counts who wants a topic: members by name, and resolved regular expressions.
type subscription struct{ names, regexes int32 }

type partition struct {
	topic wire.TopicID
	index int32
}

// Group is one consumer group. It belongs to one goroutine.
//
// Invariants: all below "derived" is a function of the members, targets and resolved expressions; holders counts, for each
// partition, the members that have it or have yet to give it back, and is 1 at most once the log is read.
type Group struct {
	ID string

	epoch        int32
	metadataHash uint64
	members      map[string]*Member
	target       map[string]assign.Partitions
	targetEpoch  int32
	targetTimeMs int64
	resolved     map[string]Resolved
	oldMetadata  bool // the log has the topics' metadata, as Apache Kafka 4.0 wrote them; the next change removes that

	// derived
	static     map[string]string // instance id -> member id
	subscribed map[string]subscription
	regexes    map[string]int32 // expressions, by members
	assignors  map[string]int32
	holders    map[partition]int32
	classic    int32            // members that use the classic protocol
	protocols  map[string]int32 // embedded protocols, by classic members

	// Not in the log: when the metadata of the topics has to be looked at again, unless the epoch is below refreshEpoch.
	refreshAtMs  int64
	refreshEpoch int32
}

// New makes an empty group.
func New(id string) *Group {
	return &Group{
		ID: id, epoch: 1, targetEpoch: 1, members: map[string]*Member{}, target: map[string]assign.Partitions{}, resolved: map[string]Resolved{},
		static: map[string]string{}, subscribed: map[string]subscription{}, regexes: map[string]int32{}, assignors: map[string]int32{},
		holders: map[partition]int32{}, protocols: map[string]int32{},
	}
}

// Names of a group's states.
const (
	StateEmpty       = "Empty"
	StateAssigning   = "Assigning"
	StateReconciling = "Reconciling"
	StateStable      = "Stable"
)

// State is the name of the group's state.
func (g *Group) State() string {
	switch {
	case len(g.members) == 0:
		return StateEmpty
	case g.epoch > g.targetEpoch:
		return StateAssigning
	}
	for _, m := range g.members {
		if !m.reconciledTo(g.targetEpoch) {
			return StateReconciling
		}
	}
	return StateStable
}

// Empty reports whether the group has no members.
func (g *Group) Empty() bool { return len(g.members) == 0 }

// Len is the number of members.
func (g *Group) Len() int { return len(g.members) }

// Epoch is the group epoch, TargetEpoch that of the target assignment.
func (g *Group) Epoch() int32       { return g.epoch }
func (g *Group) TargetEpoch() int32 { return g.targetEpoch }

// Member finds a member, nil if there is none.
func (g *Group) Member(id string) *Member { return g.members[id] }

// Static finds the member of an instance id, nil if there is none.
func (g *Group) Static(instanceID string) *Member {
	if id, ok := g.static[instanceID]; ok {
		return g.members[id]
	}
	return nil
}

// Members are the members in order of their ids.
func (g *Group) Members() []*Member {
	out := slices.Collect(maps.Values(g.members))
	slices.SortFunc(out, func(a, b *Member) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return out
}

// Target is a member's target assignment.
func (g *Group) Target(id string) assign.Partitions { return g.target[id] }

// Subscribes reports whether anybody in the group wants the topic.
func (g *Group) Subscribes(topic string) bool {
	_, ok := g.subscribed[topic]
	return ok
}

// Refresh has the next heartbeat look at the metadata of the topics.
func (g *Group) Refresh() { g.refreshAtMs, g.refreshEpoch = 0, 0 }

func (g *Group) metadataExpired(nowMs int64) bool {
	return nowMs >= g.refreshAtMs || g.epoch < g.refreshEpoch
}

// held reports whether a member has the partition or has yet to give it back.
func (g *Group) held(t wire.TopicID, p int32) bool { return g.holders[partition{t, p}] > 0 }

// setMember puts a member in place of the one with its id; nil removes that. It returns what takes it back.
func (g *Group) setMember(id string, m *Member) (undo func()) {
	old := g.members[id]
	g.count(old, -1)
	g.count(m, +1)
	if m == nil {
		delete(g.members, id)
	} else {
		g.members[id] = m
	}
	undoStatic := g.setStatic(id, old, m)
	return func() {
		undoStatic()
		g.count(m, -1)
		g.count(old, +1)
		if old == nil {
			delete(g.members, id)
		} else {
			g.members[id] = old
		}
	}
}

func (g *Group) setStatic(id string, old, m *Member) (undo func()) {
	undo = func() {}
	put := func(instance string, to string, there bool) {
		before, had := g.static[instance]
		if there {
			g.static[instance] = to
		} else {
			delete(g.static, instance)
		}
		last := undo
		undo = func() {
			if had {
				g.static[instance] = before
			} else {
				delete(g.static, instance)
			}
			last()
		}
	}
	if old != nil && old.InstanceID != nil && g.static[*old.InstanceID] == id {
		put(*old.InstanceID, "", false)
	}
	if m != nil && m.InstanceID != nil {
		put(*m.InstanceID, id, true)
	}
	return undo
}

// count adds a member n times to all that is counted.
func (g *Group) count(m *Member, n int32) {
	if m == nil {
		return
	}
	for _, t := range m.Topics {
		g.countTopic(t, n, 0)
	}
	if m.Regex != "" {
		add(g.regexes, m.Regex, n)
	}
	if m.Assignor != nil {
		add(g.assignors, *m.Assignor, n)
	}
	for _, o := range []Owned{m.Assigned, m.Revoking} {
		for t, ps := range o {
			for p := range ps {
				add(g.holders, partition{t, p}, n)
			}
		}
	}
	if m.Classic != nil {
		g.classic += n
		for _, p := range m.Classic.Protocols {
			add(g.protocols, p.Name, n)
		}
	}
}

func (g *Group) countTopic(topic string, names, regexes int32) {
	countTopic(g.subscribed, topic, names, regexes)
}

func countTopic(in map[string]subscription, topic string, names, regexes int32) {
	s := in[topic]
	s.names += names
	s.regexes += regexes
	if s == (subscription{}) {
		delete(in, topic)
	} else {
		in[topic] = s
	}
}

func add[K comparable](in map[K]int32, key K, n int32) {
	if in[key] += n; in[key] == 0 {
		delete(in, key)
	}
}

// setResolved stores what an expression matches; nil takes it away. It returns what takes that back.
func (g *Group) setResolved(regex string, r *Resolved) (undo func()) {
	old, had := g.resolved[regex]
	for _, t := range old.Topics {
		g.countTopic(t, 0, -1)
	}
	if r == nil {
		delete(g.resolved, regex)
	} else {
		g.resolved[regex] = *r
		for _, t := range r.Topics {
			g.countTopic(t, 0, +1)
		}
	}
	return func() {
		if had {
			g.setResolved(regex, &old)
		} else {
			g.setResolved(regex, nil)
		}
	}
}

// homogeneous reports whether all of so many members are subscribed to the same topics, as far as can be told without
// looking at each.
func homogeneous(regexes map[string]int32, subscribed map[string]subscription, members int32) bool {
	if len(regexes) == 0 {
		for _, s := range subscribed {
			if s.names != members {
				return false
			}
		}
		return true
	}
	if len(regexes) > 1 {
		return false
	}
	for _, n := range regexes {
		if n != members {
			return false
		}
	}
	for _, s := range subscribed {
		if s.regexes != 1 || s.names > 0 {
			return false
		}
	}
	return true
}
