package consumer

import (
	"maps"
	"slices"

	"github.com/weir-stream/weir/internal/coordinator/group/assign"
	"github.com/weir-stream/weir/internal/wire"
)

// Heartbeat is a ConsumerGroupHeartbeat that owns its memory. What is nil, or -1 for RebalanceMs, has not changed.
type Heartbeat struct {
	MemberID    string
	Epoch       int32
	InstanceID  *string
	RackID      *string
	RebalanceMs int32
	Topics      []string
	Regex       *string
	Assignor    *string
	Owned       *assign.Partitions
	ClientID    string
	ClientHost  string
}

// full reports whether the member tells all, as it does when it joins and after errors.
func (h *Heartbeat) full() bool {
	return h.RebalanceMs != -1 && (h.Topics != nil || h.Regex != nil) && h.Owned != nil
}

// Answer is what a heartbeat comes to.
type Answer struct {
	Records  []Record
	MemberID string
	Epoch    int32
	// Assignment is what the member has now, if it is to be told.
	Assignment *assign.Partitions
	Revocation Revocation
	// RebalanceMs is how long the member may take to give partitions back.
	RebalanceMs int32
	// Resolve are the regular expressions that have to be resolved, nil if none have; see Resolve.
	Resolve []string
}

// Validate checks a heartbeat by itself. memberIDRequired says that the version of the request has members make their own id.
func (h *Heartbeat) Validate(groupID string, memberIDRequired bool, assignors []string) error {
	if (memberIDRequired || h.Epoch > 0 || h.Epoch == LeaveEpoch) && blank(h.MemberID) {
		return refuse(wire.InvalidRequest, "MemberId can't be empty.")
	}
	switch {
	case blank(groupID):
		return refuse(wire.InvalidRequest, "GroupId can't be empty.")
	case h.InstanceID != nil && blank(*h.InstanceID):
		return refuse(wire.InvalidRequest, "InstanceId can't be empty.")
	case h.RackID != nil && blank(*h.RackID):
		return refuse(wire.InvalidRequest, "RackId can't be empty.")
	case h.Epoch == 0 && h.RebalanceMs == -1:
		return refuse(wire.InvalidRequest, "RebalanceTimeoutMs must be provided in first request.")
	case h.Epoch == 0 && (h.Owned == nil || len(*h.Owned) > 0):
		return refuse(wire.InvalidRequest, "TopicPartitions must be empty when (re-)joining.")
	case h.Epoch == 0 && h.Topics == nil && h.Regex == nil:
		return refuse(wire.InvalidRequest, "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
	case h.Epoch == StaticLeaveEpoch && h.InstanceID == nil:
		return refuse(wire.InvalidRequest, "InstanceId can't be null.")
	case h.Epoch < StaticLeaveEpoch:
		return refuse(wire.InvalidRequest, "MemberEpoch is invalid.")
	case h.Assignor != nil && !slices.Contains(assignors, *h.Assignor):
		return refuse(wire.UnsupportedAssignor, "ServerAssignor %s is not supported. Supported assignors: %s.", *h.Assignor, join(assignors))
	}
	return nil
}

// Heartbeat handles a heartbeat of a member that stays, or joins with epoch 0. The group is not changed: the records of the
// answer are to be applied, in order.
func (g *Group) Heartbeat(env *Env, h *Heartbeat) (*Answer, error) {
	joins := h.Epoch == 0
	if err := g.checkSize(env, h.MemberID); err != nil {
		return nil, err
	}
	id := h.MemberID
	if id == "" {
		id = env.NewMemberID()
	}
	o := g.begin(env)
	old, err := o.memberFor(h, id, joins)
	if err != nil {
		return nil, err
	}
	m := old.clone()
	m.update(h)
	topicsChanged := o.writeMember(old, m)
	regex, resolve, err := o.updateRegexes(old, m)
	if err != nil {
		return nil, err
	}
	bump := topicsChanged || regex == regexResolved
	if bump || g.metadataExpired(env.NowMs) {
		o.updateMetadata(bump, old, m)
	}
	target, targetEpoch, err := o.updateTarget(old, m)
	if err != nil {
		return nil, err
	}
	next, revocation, err := o.reconcile(m, target, targetEpoch, topicsChanged || regex != regexSame, h.Owned)
	if err != nil {
		return nil, err
	}
	a := &Answer{
		Records: o.records, MemberID: next.ID, Epoch: next.Epoch, Revocation: revocation, RebalanceMs: next.RebalanceMs, Resolve: resolve,
	}
	if joins || h.full() || next != m && !next.Assigned.Equal(old.Assigned) {
		p := next.Assigned.Partitions()
		a.Assignment = &p
	}
	return a, nil
}

func (g *Group) checkSize(env *Env, memberID string) error {
	if len(g.members) >= env.MaxSize && (memberID == "" || g.members[memberID] == nil) {
		return refuse(wire.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of %d members.", env.MaxSize)
	}
	return nil
}

// memberFor finds the member, or makes a new one, or one in the place of a static member that has left for a while.
func (o *op) memberFor(h *Heartbeat, id string, joins bool) (*Member, error) {
	g := o.g
	if h.InstanceID == nil {
		m := g.members[id]
		if m == nil && !joins {
			return nil, refuse(wire.UnknownMemberId, "Member %s is not a member of group %s.", id, g.ID)
		}
		if m == nil {
			return newMember(id), nil
		}
		return m, m.checkEpoch(h)
	}
	m := g.Static(*h.InstanceID)
	switch {
	case joins && m == nil:
		if m = g.members[id]; m == nil {
			m = newMember(id)
		}
		return m, nil
	case joins:
		if m.Classic == nil && m.Epoch != StaticLeaveEpoch {
			return nil, refuse(wire.UnreleasedInstanceId, "Static member %s with instance id %s cannot join the group because the instance id is owned by %s member.",
				id, *h.InstanceID, m.ID)
		}
		return o.replace(m, id), nil
	}
	if err := g.checkStatic(m, id, *h.InstanceID); err != nil {
		return nil, err
	}
	return m, m.checkEpoch(h)
}

// replace puts a member with another id in the place of a static one.
func (o *op) replace(m *Member, id string) *Member {
	next := m.clone()
	next.ID, next.Epoch, next.Previous = id, 0, 0
	o.gone(m.ID)
	o.member(next)
	o.target(id, o.g.target[m.ID])
	o.current(next)
	return next
}

// checkStatic checks that the instance id is that member's.
func (g *Group) checkStatic(m *Member, id, instanceID string) error {
	switch {
	case m == nil:
		return refuse(wire.UnknownMemberId, "Instance id %s is unknown.", instanceID)
	case m.ID != id:
		return refuse(wire.FencedInstanceId, "Static member %s with instance id %s was fenced by member %s.", id, instanceID, m.ID)
	}
	return nil
}

// checkEpoch fences a member whose epoch is not its own. The epoch before is let through if the member has nothing that it
// should not have: the answer with the new one may have got lost.
func (m *Member) checkEpoch(h *Heartbeat) error {
	switch {
	case h.Epoch == 0 || h.Epoch == m.Epoch:
		return nil
	case h.Epoch > m.Epoch:
		return refuse(wire.FencedMemberEpoch, "The consumer group member has a greater member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.",
			h.Epoch, m.Epoch)
	case h.Epoch == m.Previous && h.Owned != nil && m.hasAll(*h.Owned):
		return nil
	}
	return refuse(wire.FencedMemberEpoch, "The consumer group member has a smaller member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.",
		h.Epoch, m.Epoch)
}

// hasAll reports whether all of these are assigned to the member.
func (m *Member) hasAll(these assign.Partitions) bool {
	for t, l := range these {
		for _, p := range l {
			if !m.Assigned.Has(t, p) {
				return false
			}
		}
	}
	return true
}

// update takes over what the heartbeat says of the member.
func (m *Member) update(h *Heartbeat) {
	if h.InstanceID != nil {
		m.InstanceID = h.InstanceID
	}
	if h.RackID != nil {
		m.RackID = h.RackID
	}
	if h.RebalanceMs != -1 {
		m.RebalanceMs = h.RebalanceMs
	}
	if h.Assignor != nil {
		m.Assignor = h.Assignor
	}
	if h.Topics != nil {
		m.Topics = set(h.Topics)
	}
	if h.Regex != nil {
		m.Regex = *h.Regex
	}
	m.ClientID, m.ClientHost, m.Classic = h.ClientID, h.ClientHost, nil
}

// regexChange is what an operation does to the member's subscription by expression.
type regexChange uint8

const (
	regexSame regexChange = iota
	regexChanged
	regexResolved // changed to what is known already, so that the topics can be assigned at once
)

// minRegexRefreshMs is how long what an expression matches is good for, at least.
const minRegexRefreshMs = 10_000

// updateRegexes sees to what follows from the member's expression. All expressions of a group are resolved together, so that
// one rebalance comes of it; resolve are those that have to be, if any.
func (o *op) updateRegexes(old, m *Member) (change regexChange, resolve []string, err error) {
	g, fresh := o.g, false
	if old.Regex != m.Regex {
		change = regexChanged
		if old.Regex != "" && g.regexes[old.Regex] == 1 {
			o.noRegex(old.Regex)
		}
		_, known := g.resolved[m.Regex]
		switch {
		case m.Regex != "" && g.regexes[m.Regex] == 0:
			if _, err := Compile(m.Regex); err != nil {
				return change, nil, err
			}
			fresh = true
		case m.Regex == "" || known:
			change = regexResolved
		}
	}
	if !fresh && len(g.regexes) == 0 || o.env.Resolving {
		return change, nil, nil
	}
	lastMs, lastVersion, any := g.lastResolved()
	if any && o.env.NowMs <= lastMs+minRegexRefreshMs {
		return change, nil, nil
	}
	wanted := maps.Clone(g.regexes)
	if old.Regex != "" {
		add(wanted, old.Regex, -1)
	}
	if m.Regex != "" {
		add(wanted, m.Regex, +1)
	}
	due := fresh || len(wanted) != len(g.resolved) || lastVersion < o.env.Topics.NewTopicsVersion() || o.env.NowMs > lastMs+o.env.RegexRefreshMs
	if due && len(wanted) > 0 {
		resolve = slices.Sorted(maps.Keys(wanted))
	}
	return change, resolve, nil
}

// lastResolved is when, and with which metadata, the group's expressions were resolved.
func (g *Group) lastResolved() (atMs, version int64, any bool) {
	for _, r := range g.resolved {
		return r.TimestampMs, r.Version, true
	}
	return 0, 0, false
}

// Resolved takes over what regular expressions were found to match. The group may have changed meanwhile.
func (g *Group) Resolved(env *Env, found map[string]Resolved) []Record {
	r := &recorder{group: g.ID}
	subscribed, bump := maps.Clone(g.subscribed), false
	for _, regex := range slices.Sorted(maps.Keys(found)) {
		if g.regexes[regex] == 0 {
			continue
		}
		if old, had := g.resolved[regex]; !slices.Equal(old.Topics, found[regex].Topics) {
			bump = true
			for _, t := range old.Topics {
				countTopic(subscribed, t, 0, -1)
			}
			for _, t := range found[regex].Topics {
				countTopic(subscribed, t, 0, +1)
			}
		} else if !had && g.holdsTopicsFor(regex, env.Topics) {
			bump = true
		}
		r.regex(regex, found[regex])
	}
	hash := metadataHash(subscribed, env.Topics)
	if bump || hash != g.metadataHash {
		r.epoch(g.epoch+1, hash)
		g.refreshAtMs, g.refreshEpoch = env.NowMs+forever, g.epoch+1
	}
	return r.records
}

// holdsTopicsFor reports whether a member with an expression that matches nothing is still meant to have what it wanted
// before. Apache Kafka leaves it so until something else changes, and nobody gets those partitions.
func (g *Group) holdsTopicsFor(regex string, topics Topics) bool {
	for id, m := range g.members {
		if m.Regex != regex {
			continue
		}
		wanted := topicIDs(m.Topics, topics)
		for t := range g.target[id] {
			if !slices.Contains(wanted, t) {
				return true
			}
		}
	}
	return false
}
