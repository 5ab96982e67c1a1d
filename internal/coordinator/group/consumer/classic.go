package consumer

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/group/assign"
	"github.com/weir-stream/weir/internal/wire"
)

// ProtocolType is the protocol type of consumers that use the classic protocol.
const ProtocolType = "consumer"

// maxProtocolVersion is that of the embedded protocol of consumers.
const maxProtocolVersion = 3

// Join is the JoinGroup of a member that uses the classic protocol. New says that it brought no id, and MemberID is one made
// for it.
type Join struct {
	MemberID    string
	New         bool
	InstanceID  *string
	ClientID    string
	ClientHost  string
	SessionMs   int32
	RebalanceMs int32
	Protocols   []Protocol
}

// Joined is what a Join comes to.
type Joined struct {
	Records  []Record
	Member   *Member
	Replaced *Member // the static member whose place it takes, nil for none
	// Rebalance says that a classic group that this one becomes has to rebalance: the target assignment is not the present
	// one, or members have not got to it and may own what it gives to others. The latter Apache Kafka passes over.
	Rebalance bool
}

// Full reports whether the group takes nobody new, for a member that wants to join.
func (g *Group) Full(env *Env, memberID string) bool { return g.checkSize(env, memberID) != nil }

// SupportsClassic reports whether somebody with these embedded protocols may join the group.
func (g *Group) SupportsClassic(protocolType string, ps []Protocol) bool {
	if protocolType != ProtocolType {
		return false
	}
	if g.Empty() {
		return len(ps) > 0
	}
	return slices.ContainsFunc(ps, func(p Protocol) bool { return g.protocols[p.Name] == g.classic })
}

// OnlyClassicWithout reports whether all members but these use the classic protocol.
func (g *Group) OnlyClassicWithout(gone []*Member) bool {
	classic := g.classic
	for _, m := range gone {
		if m.Classic != nil {
			classic--
		}
	}
	return int(classic) == len(g.members)-len(gone)
}

// Join handles a JoinGroup. Its subscription, and what it owns, are those of its first protocol: all have the same. downgrade
// says, for the static member whose place it takes, if any, that the group will be a classic one: then no new target
// assignment is made.
func (g *Group) Join(env *Env, j *Join, downgrade func(replaced *Member) bool) (*Joined, error) {
	sub, err := Subscription(j.Protocols[0].Metadata)
	if err != nil {
		return nil, wire.UnknownServerError
	}
	o := g.begin(env)
	var replaced *Member
	if j.InstanceID != nil {
		replaced = g.Static(*j.InstanceID)
	}
	old, err := o.joining(j, replaced)
	if err != nil {
		return nil, err
	}
	leaves := replaced != nil && downgrade(replaced)
	m := old.clone()
	m.join(j, &sub)
	changed := o.writeMember(old, m)
	regex, _, err := o.updateRegexes(old, m) // what else there is to resolve waits for a heartbeat
	if err != nil {
		return nil, err
	}
	changed = changed || regex != regexSame
	if changed || g.metadataExpired(env.NowMs) {
		o.updateMetadata(changed, old, m)
	}
	owned := owns(&sub, env.Topics)
	out := &Joined{Rebalance: g.targetEpoch < o.epoch || g.behind(replaced)}
	if leaves {
		out.Replaced = replaced
	}
	switch {
	case leaves && out.Rebalance:
		out.Member = m
	case leaves:
		out.Member, _, err = o.reconcile(m, g.targetOf(m), g.targetEpoch, changed, &owned)
	default:
		target, epoch, terr := o.updateTarget(old, m)
		if terr != nil {
			return nil, terr
		}
		out.Member, _, err = o.reconcile(m, target, epoch, changed, &owned)
	}
	out.Records = o.records
	return out, err
}

// behind reports whether a member other than that one has not got to the target assignment.
func (g *Group) behind(but *Member) bool {
	for _, m := range g.members {
		if m != but && !m.reconciledTo(g.targetEpoch) {
			return true
		}
	}
	return false
}

// joining finds the member, or makes a new one, or one in the place of a static one.
func (o *op) joining(j *Join, static *Member) (*Member, error) {
	switch {
	case j.InstanceID == nil, j.New && static == nil:
		if m := o.g.members[j.MemberID]; m != nil {
			return m, nil
		}
		return newMember(j.MemberID), nil
	case j.New:
		return o.replace(static, j.MemberID), nil
	}
	if err := o.g.checkStatic(static, j.MemberID, *j.InstanceID); err != nil {
		return nil, err
	}
	return static, nil
}

func (m *Member) join(j *Join, sub *kmsg.ConsumerMemberMetadata) {
	if j.InstanceID != nil {
		m.InstanceID = j.InstanceID
	}
	if sub.Rack != nil {
		m.RackID = sub.Rack
	}
	if j.RebalanceMs != -1 {
		m.RebalanceMs = j.RebalanceMs
	}
	m.Topics, m.Regex, m.ClientID, m.ClientHost = set(sub.Topics), "", j.ClientID, j.ClientHost
	m.Classic = &Classic{SessionMs: j.SessionMs, Protocols: j.Protocols}
}

// Subscription reads the metadata of a consumer's embedded protocol.
func Subscription(b []byte) (kmsg.ConsumerMemberMetadata, error) {
	var s kmsg.ConsumerMemberMetadata
	if err := s.ReadFrom(b); err != nil || s.Version < 0 {
		return s, wire.InconsistentGroupProtocol
	}
	return s, nil
}

// owns is what a consumer says that it has, of topics that exist.
func owns(sub *kmsg.ConsumerMemberMetadata, topics Topics) assign.Partitions {
	out := assign.Partitions{}
	for _, t := range sub.OwnedPartitions {
		if topic, ok := topics.Topic(t.Topic); ok {
			out[topic.ID] = append(out[topic.ID], t.Partitions...)
		}
	}
	return out
}

// Assignment is what the member has, in the embedded protocol of consumers.
func (m *Member) Assignment(topics Topics) []byte {
	return EncodeAssignment(m.Assigned.Partitions(), m.Classic.Protocols[0].Metadata, topics)
}

// EncodeAssignment writes an assignment in the version of a consumer's subscription.
func EncodeAssignment(p assign.Partitions, subscription []byte, topics Topics) []byte {
	a := kmsg.NewConsumerMemberAssignment()
	if s, err := Subscription(subscription); err == nil {
		a.Version = min(s.Version, maxProtocolVersion)
	}
	for _, id := range p.Topics() {
		if t, ok := topics.TopicByID(id); ok {
			a.Topics = append(a.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: t.Name, Partitions: p[id]})
		}
	}
	return a.AppendTo(nil)
}

// MustRejoin reports whether a classic member has to join again: to enter a newer target assignment, to give partitions back,
// or to get what it waited for.
func (g *Group) MustRejoin(m *Member) bool {
	return m.Epoch < g.targetEpoch || m.State == Unrevoked || m.State == Unreleased && !g.waits(m)
}

// BehindTarget reports whether there is a target assignment that a classic member has to join again for before it may sync.
func (g *Group) BehindTarget(m *Member) bool { return g.targetEpoch > m.Epoch && m.State != Unrevoked }

// waits reports whether others have something of the member's target.
func (g *Group) waits(m *Member) bool {
	for t, l := range g.target[m.ID] {
		for _, p := range l {
			if !m.Assigned.Has(t, p) && g.held(t, p) {
				return true
			}
		}
	}
	return false
}

// ClassicMember is a member of a classic group that becomes a consumer group.
type ClassicMember struct {
	ID         string
	InstanceID *string
	ClientID   string
	ClientHost string
	Classic
	RebalanceMs int32
	// Metadata is that of the group's protocol; Assignment what the leader gave the member, empty for nothing.
	Metadata, Assignment []byte
}

// Upgrade makes the members of a classic group those of this one, which is new: each in the group's generation with what it was
// assigned. The records count already.
func (g *Group) Upgrade(generation int32, members []ClassicMember, topics Topics) ([]Record, error) {
	malformed := refuse(wire.GroupIdNotFound, "Cannot upgrade classic group %s to consumer group because the embedded consumer protocol is malformed.", g.ID)
	made := make([]*Member, 0, len(members))
	for _, c := range members {
		sub, err := Subscription(c.Metadata)
		if err != nil {
			return nil, malformed
		}
		m := newMember(c.ID)
		m.Epoch, m.Previous, m.InstanceID, m.RackID, m.RebalanceMs = generation, generation, c.InstanceID, sub.Rack, c.RebalanceMs
		m.ClientID, m.ClientHost, m.Topics = c.ClientID, c.ClientHost, set(sub.Topics)
		m.Classic = &Classic{SessionMs: c.SessionMs, Protocols: c.Protocols}
		if len(c.Assignment) > 0 {
			var a kmsg.ConsumerMemberAssignment
			if err := a.ReadFrom(c.Assignment); err != nil || a.Version < 0 {
				return nil, malformed
			}
			if len(a.UserData) > 0 {
				return nil, refuse(wire.GroupIdNotFound, "Cannot upgrade classic group %s to consumer group because an unsupported custom assignor is in use. Please refer to the documentation or switch to a default assignor before re-attempting the upgrade.", g.ID)
			}
			m.Assigned = in(assigned(&a, topics), generation)
		}
		made = append(made, m)
	}
	return g.upgradeRecords(generation, made, topics), nil
}

func assigned(a *kmsg.ConsumerMemberAssignment, topics Topics) assign.Partitions {
	out := assign.Partitions{}
	for _, t := range a.Topics {
		if topic, ok := topics.Topic(t.Topic); ok && len(t.Partitions) > 0 {
			out[topic.ID] = slices.Sorted(slices.Values(t.Partitions))
		}
	}
	return out
}

func (g *Group) upgradeRecords(generation int32, made []*Member, topics Topics) []Record {
	slices.SortFunc(made, func(a, b *Member) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	subscribed := map[string]subscription{}
	for _, m := range made {
		for _, t := range m.Topics {
			countTopic(subscribed, t, 1, 0)
		}
	}
	r := &recorder{group: g.ID}
	for _, m := range made {
		r.member(m)
	}
	r.epoch(generation, metadataHash(subscribed, topics))
	for _, m := range made {
		r.target(m.ID, m.Assigned.Partitions())
	}
	r.targetEpoch(generation, 0)
	for _, m := range made {
		r.current(m)
	}
	for _, rec := range r.records {
		g.Apply(rec)
	}
	return r.records
}

// Downgraded are the members of the classic group that this one becomes: all but those gone, with joined in the place of the
// static member it replaces.
func (g *Group) Downgraded(gone []*Member, joined *Joined, topics Topics) []ClassicMember {
	var out []ClassicMember
	add := func(m *Member, target assign.Partitions) {
		out = append(out, ClassicMember{
			ID: m.ID, InstanceID: m.InstanceID, ClientID: m.ClientID, ClientHost: m.ClientHost, Classic: *m.Classic, RebalanceMs: m.RebalanceMs,
			Assignment: EncodeAssignment(target, m.Classic.Protocols[0].Metadata, topics),
		})
	}
	for _, m := range g.Members() {
		switch {
		case slices.Contains(gone, m):
		case joined != nil && m.ID == joined.Replaced.ID:
		default:
			add(m, g.target[m.ID])
		}
	}
	if joined != nil {
		add(joined.Member, g.target[joined.Replaced.ID])
	}
	return out
}
