package consumer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/weir-stream/weir/internal/coordinator/group/assign"
	"github.com/weir-stream/weir/internal/wire"
)

// Env is what an operation has to know besides the group.
type Env struct {
	NowMs  int64
	Topics Topics
	// MaxSize is group.consumer.max.size.
	MaxSize int
	// AssignmentIntervalMs is how long a target assignment lasts at least (consumer.assignment.interval.ms).
	AssignmentIntervalMs int64
	// RegexRefreshMs is group.consumer.regex.refresh.interval.ms.
	RegexRefreshMs int64
	// Assignors are the names of those that members may ask for, the default one first (group.consumer.assignors).
	Assignors []string
	// Resolving says that regular expressions of the group are being resolved.
	Resolving bool
	// NewMemberID makes an id for a member that has none.
	NewMemberID func() string
}

// Refusal is why an operation was not done: a code for the client and a sentence.
type Refusal struct {
	Code    wire.Code
	Message string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Message }

// Unwrap gives the code.
func (r *Refusal) Unwrap() error { return r.Code }

func refuse(code wire.Code, format string, args ...any) *Refusal {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}

// Revocation says what becomes of the time in which a member must give partitions back.
type Revocation uint8

// A member's time to revoke stays as it is, begins, or ends.
const (
	RevocationSame Revocation = iota
	RevocationBegins
	RevocationEnds
)

// forever is when the metadata of topics is looked at again if nothing is heard of them.
const forever = 1<<31 - 1

// op is an operation on a group under way: its records, and what the group will be with them.
type op struct {
	*recorder
	g     *Group
	env   *Env
	epoch int32
	// homogeneous tells whether all members will want the same topics; nil: they do if they did.
	homogeneous func() bool
}

func (g *Group) begin(env *Env) *op {
	return &op{recorder: &recorder{group: g.ID}, g: g, env: env, epoch: g.epoch}
}

// writeMember records the member if it is not what it was, and reports whether it wants other topics by name.
func (o *op) writeMember(old, m *Member) (topicsChanged bool) {
	if m.sameMetadata(old) {
		return false
	}
	o.member(m)
	return !slices.Equal(old.Topics, m.Topics)
}

// updateMetadata looks at the topics that the group wants, with the member as it will be, and raises the group epoch if they
// are not what they were, or if bump says so.
func (o *op) updateMetadata(bump bool, old, m *Member) {
	g := o.g
	regexes, subscribed := maps.Clone(g.regexes), g.subscribedWith(old, m)
	if old.Regex != m.Regex {
		if old.Regex != "" {
			add(regexes, old.Regex, -1)
		}
		if m.Regex != "" {
			add(regexes, m.Regex, +1)
		}
	}
	members := int32(len(g.members))
	if g.members[m.ID] == nil && (m.InstanceID == nil || g.Static(*m.InstanceID) == nil) {
		members++
	}
	o.homogeneous = func() bool { return homogeneous(regexes, subscribed, members) }
	hash := metadataHash(subscribed, o.env.Topics)
	if bump || hash != g.metadataHash {
		o.epoch = g.epoch + 1
		o.recorder.epoch(o.epoch, hash)
	}
	g.refreshAtMs, g.refreshEpoch = o.env.NowMs+forever, o.epoch
	if g.oldMetadata {
		o.noOldMetadata()
	}
}

// subscribedWith counts the subscriptions with m in place of old.
func (g *Group) subscribedWith(old, m *Member) map[string]subscription {
	out := maps.Clone(g.subscribed)
	for _, t := range old.Topics {
		countTopic(out, t, -1, 0)
	}
	for _, t := range m.Topics {
		countTopic(out, t, +1, 0)
	}
	if old.Regex != "" && old.Regex != m.Regex && g.regexes[old.Regex] == 1 {
		for _, t := range g.resolved[old.Regex].Topics {
			countTopic(out, t, 0, -1)
		}
	}
	return out
}

// updateTarget makes a new target assignment if the group epoch is above that of the one there is. It returns the target
// that the member is led to, and its epoch.
func (o *op) updateTarget(old, m *Member) (assign.Partitions, int32, error) {
	g := o.g
	if g.targetEpoch >= o.epoch || !o.mayAssign() {
		return g.targetOf(m), g.targetEpoch, nil
	}
	name := g.preferredAssignor(old, m)
	if name == "" || !slices.Contains(o.env.Assignors, name) {
		name = o.env.Assignors[0]
	}
	assignor, ok := assign.ByName(name)
	if !ok {
		return nil, 0, refuse(wire.UnknownServerError, "there is no assignor %s", name)
	}
	spec := o.assignment(m)
	targets, err := assignor(spec)
	if err != nil {
		return nil, 0, fmt.Errorf("compute the target assignment of group %s for epoch %d: %w", g.ID, o.epoch, err)
	}
	for _, id := range slices.Sorted(maps.Keys(spec.Members)) {
		if before, had := g.target[id]; !had || !before.Equal(targets[id]) {
			o.target(id, targets[id])
		}
	}
	o.targetEpoch(o.epoch, o.env.NowMs)
	return targets[m.ID], o.epoch, nil
}

// mayAssign reports whether the target assignment is old enough to be replaced.
func (o *op) mayAssign() bool {
	return o.g.targetTimeMs == 0 || o.env.AssignmentIntervalMs == 0 || o.env.NowMs >= o.g.targetTimeMs+o.env.AssignmentIntervalMs
}

// targetOf is the member's target assignment, or that of whom it replaces.
func (g *Group) targetOf(m *Member) assign.Partitions {
	if m.InstanceID == nil {
		return g.target[m.ID]
	}
	if before := g.Static(*m.InstanceID); before != nil {
		return g.target[before.ID]
	}
	return nil
}

// preferredAssignor is what most members ask for, "" if none asks for any.
func (g *Group) preferredAssignor(old, m *Member) string {
	counts := maps.Clone(g.assignors)
	if old != nil && old.Assignor != nil {
		add(counts, *old.Assignor, -1)
	}
	if m != nil && m.Assignor != nil {
		add(counts, *m.Assignor, +1)
	}
	best := ""
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if best == "" || counts[name] > counts[best] {
			best = name
		}
	}
	return best
}

// assignment is what the assignor has to know: the members, with m as it will be.
func (o *op) assignment(m *Member) *assign.Group {
	g := o.g
	spec := &assign.Group{Members: make(map[string]assign.Member, len(g.members)+1), Partitions: o.partitions}
	if o.homogeneous != nil {
		spec.Homogeneous = o.homogeneous()
	} else {
		spec.Homogeneous = homogeneous(g.regexes, g.subscribed, int32(len(g.members)))
	}
	for id, other := range g.members {
		spec.Members[id] = assign.Member{InstanceID: other.InstanceID, Topics: o.topicsOf(other), Target: g.target[id]}
	}
	replaced := ""
	if m.InstanceID != nil {
		if before := g.Static(*m.InstanceID); before != nil && before.ID != m.ID {
			replaced = before.ID
		}
	}
	mine := assign.Member{InstanceID: m.InstanceID, Topics: o.topicsOf(m), Target: g.target[m.ID]}
	if replaced != "" {
		mine.Target = g.target[replaced]
		delete(spec.Members, replaced)
	}
	spec.Members[m.ID] = mine
	return spec
}

func (o *op) partitions(id wire.TopicID) int32 {
	if t, ok := o.env.Topics.TopicByID(id); ok {
		return t.Partitions
	}
	return -1
}

// topicsOf are the topics that the member wants and that exist. An expression that is not resolved matches nothing yet.
func (o *op) topicsOf(m *Member) []wire.TopicID {
	names := m.Topics
	if m.Regex != "" {
		if r, ok := o.g.resolved[m.Regex]; ok && len(r.Topics) > 0 {
			names = set(append(slices.Clone(names), r.Topics...))
		}
	}
	return topicIDs(names, o.env.Topics)
}
