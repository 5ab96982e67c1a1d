package consumer

import (
	"maps"
	"slices"

	"github.com/weir-stream/weir/internal/coordinator/group/assign"
	"github.com/weir-stream/weir/internal/coordrecord"
	"github.com/weir-stream/weir/internal/wire"
)

// Record is one record of a group; a nil Value is a tombstone.
type Record struct {
	Key   coordrecord.Key
	Value coordrecord.Message
}

// version is that of all values of consumer groups that Apache Kafka 4.x writes.
const version = 0

// Encode returns the record as it stands in the log.
func (r Record) Encode() (key, value []byte) {
	key = coordrecord.AppendKey(nil, r.Key)
	if r.Value != nil {
		value = coordrecord.AppendValue(nil, r.Value, version)
	}
	return key, value
}

// GroupOf is the id of the consumer group that a key belongs to; false for keys of other records.
func GroupOf(key coordrecord.Key) (string, bool) {
	switch k := key.(type) {
	case *coordrecord.ConsumerGroupMetadataKey:
		return k.GroupID, true
	case *coordrecord.ConsumerGroupPartitionMetadataKey:
		return k.GroupID, true
	case *coordrecord.ConsumerGroupMemberMetadataKey:
		return k.GroupID, true
	case *coordrecord.ConsumerGroupTargetAssignmentMetadataKey:
		return k.GroupID, true
	case *coordrecord.ConsumerGroupTargetAssignmentMemberKey:
		return k.GroupID, true
	case *coordrecord.ConsumerGroupCurrentMemberAssignmentKey:
		return k.GroupID, true
	case *coordrecord.ConsumerGroupRegularExpressionKey:
		return k.GroupID, true
	}
	return "", false
}

// Ends reports whether the record is the last one of a group: there is no group after it.
func (r Record) Ends() bool {
	_, is := r.Key.(*coordrecord.ConsumerGroupMetadataKey)
	return is && r.Value == nil
}

// Apply makes the record count, and returns what takes it back. Records must be of this group and of types that belong
// together; a tombstone for what is not there changes nothing. The group keeps the record's memory.
func (g *Group) Apply(r Record) (undo func()) {
	switch k := r.Key.(type) {
	case *coordrecord.ConsumerGroupMetadataKey:
		return g.applyEpoch(r.Value)
	case *coordrecord.ConsumerGroupPartitionMetadataKey:
		before := g.oldMetadata
		g.oldMetadata = r.Value != nil
		return func() { g.oldMetadata = before }
	case *coordrecord.ConsumerGroupMemberMetadataKey:
		return g.applyMember(k.MemberID, r.Value)
	case *coordrecord.ConsumerGroupTargetAssignmentMetadataKey:
		return g.applyTargetEpoch(r.Value)
	case *coordrecord.ConsumerGroupTargetAssignmentMemberKey:
		return g.applyTarget(k.MemberID, r.Value)
	case *coordrecord.ConsumerGroupCurrentMemberAssignmentKey:
		return g.applyCurrent(k.MemberID, r.Value)
	case *coordrecord.ConsumerGroupRegularExpressionKey:
		v, _ := r.Value.(*coordrecord.ConsumerGroupRegularExpressionValue)
		if v == nil {
			return g.setResolved(k.RegularExpression, nil)
		}
		return g.setResolved(k.RegularExpression, &Resolved{Topics: set(v.Topics), Version: v.Version, TimestampMs: v.Timestamp})
	}
	return func() {}
}

func (g *Group) applyEpoch(value coordrecord.Message) (undo func()) {
	epoch, hash := g.epoch, g.metadataHash
	if v, ok := value.(*coordrecord.ConsumerGroupMetadataValue); ok {
		g.epoch, g.metadataHash = v.Epoch, uint64(v.MetadataHash)
	}
	return func() { g.epoch, g.metadataHash = epoch, hash }
}

func (g *Group) applyTargetEpoch(value coordrecord.Message) (undo func()) {
	epoch, at := g.targetEpoch, g.targetTimeMs
	g.targetEpoch, g.targetTimeMs = -1, 0
	if v, ok := value.(*coordrecord.ConsumerGroupTargetAssignmentMetadataValue); ok {
		g.targetEpoch, g.targetTimeMs = v.AssignmentEpoch, v.AssignmentTimestamp
	}
	return func() { g.targetEpoch, g.targetTimeMs = epoch, at }
}

func (g *Group) applyTarget(member string, value coordrecord.Message) (undo func()) {
	before, had := g.target[member]
	if v, ok := value.(*coordrecord.ConsumerGroupTargetAssignmentMemberValue); ok {
		p := make(assign.Partitions, len(v.TopicPartitions))
		for _, t := range v.TopicPartitions {
			list := slices.Compact(slices.Sorted(slices.Values(t.Partitions)))
			if list = slices.DeleteFunc(list, func(i int32) bool { return i < 0 }); len(list) > 0 { // nobody writes that
				p[t.TopicID] = list
			}
		}
		g.target[member] = p
	} else {
		delete(g.target, member)
	}
	return func() {
		if had {
			g.target[member] = before
		} else {
			delete(g.target, member)
		}
	}
}

func (g *Group) applyMember(id string, value coordrecord.Message) (undo func()) {
	v, ok := value.(*coordrecord.ConsumerGroupMemberMetadataValue)
	if !ok {
		if g.members[id] == nil {
			return func() {}
		}
		return g.setMember(id, nil)
	}
	m := newMember(id)
	if old := g.members[id]; old != nil {
		m = old.clone()
	}
	m.InstanceID, m.RackID, m.ClientID, m.ClientHost = v.InstanceID, v.RackID, v.ClientID, v.ClientHost
	m.Topics, m.Regex, m.RebalanceMs, m.Assignor, m.Classic = set(v.SubscribedTopicNames), "", v.RebalanceTimeoutMs, v.ServerAssignor, nil
	if v.SubscribedTopicRegex != nil {
		m.Regex = *v.SubscribedTopicRegex
	}
	if c := v.ClassicMemberMetadata; c != nil {
		m.Classic = &Classic{SessionMs: c.SessionTimeoutMs}
		for _, p := range c.SupportedProtocols {
			m.Classic.Protocols = append(m.Classic.Protocols, Protocol{p.Name, p.Metadata})
		}
	}
	return g.setMember(id, m)
}

func (g *Group) applyCurrent(id string, value coordrecord.Message) (undo func()) {
	v, ok := value.(*coordrecord.ConsumerGroupCurrentMemberAssignmentValue)
	old := g.members[id]
	if !ok && old == nil {
		return func() {}
	}
	m := newMember(id)
	if old != nil {
		m = old.clone()
	}
	if !ok {
		m.Epoch, m.Previous, m.Assigned, m.Revoking = LeaveEpoch, LeaveEpoch, nil, nil
		return g.setMember(id, m)
	}
	m.Epoch, m.Previous, m.State = v.MemberEpoch, v.PreviousMemberEpoch, MemberState(v.State)
	if m.State < Stable || m.State > Unreleased {
		m.State = UnknownState
	}
	m.Assigned, m.Revoking = owned(v.AssignedPartitions, m.Epoch), owned(v.PartitionsPendingRevocation, m.Epoch)
	return g.setMember(id, m)
}

// owned reads partitions with the epochs in which they were assigned, which coordinators before 4.3 did not write.
func owned(list []coordrecord.ConsumerGroupCurrentMemberAssignmentValueTopicPartitions, memberEpoch int32) Owned {
	if len(list) == 0 {
		return nil
	}
	out := make(Owned, len(list))
	for _, t := range list {
		ps := make(map[int32]int32, len(t.Partitions))
		for i, p := range t.Partitions {
			ps[p] = max(memberEpoch, 0)
			if len(t.AssignmentEpochs) == len(t.Partitions) {
				ps[p] = t.AssignmentEpochs[i]
			}
		}
		out[t.TopicID] = ps
	}
	return out
}

// recorder collects the records of one operation on a group.
type recorder struct {
	group   string
	records []Record
}

func (r *recorder) add(key coordrecord.Key, value coordrecord.Message) {
	r.records = append(r.records, Record{key, value})
}

func (r *recorder) epoch(epoch int32, hash uint64) {
	r.add(&coordrecord.ConsumerGroupMetadataKey{GroupID: r.group}, &coordrecord.ConsumerGroupMetadataValue{Epoch: epoch, MetadataHash: int64(hash)})
}

func (r *recorder) targetEpoch(epoch int32, atMs int64) {
	r.add(&coordrecord.ConsumerGroupTargetAssignmentMetadataKey{GroupID: r.group},
		&coordrecord.ConsumerGroupTargetAssignmentMetadataValue{AssignmentEpoch: epoch, AssignmentTimestamp: atMs})
}

func (r *recorder) target(member string, p assign.Partitions) {
	v := &coordrecord.ConsumerGroupTargetAssignmentMemberValue{
		TopicPartitions: make([]coordrecord.ConsumerGroupTargetAssignmentMemberValueTopicPartition, 0, len(p)),
	}
	for _, t := range p.Topics() {
		v.TopicPartitions = append(v.TopicPartitions, coordrecord.ConsumerGroupTargetAssignmentMemberValueTopicPartition{TopicID: t, Partitions: p[t]})
	}
	r.add(&coordrecord.ConsumerGroupTargetAssignmentMemberKey{GroupID: r.group, MemberID: member}, v)
}

func (r *recorder) member(m *Member) {
	regex := m.Regex
	v := &coordrecord.ConsumerGroupMemberMetadataValue{
		InstanceID: m.InstanceID, RackID: m.RackID, ClientID: m.ClientID, ClientHost: m.ClientHost, SubscribedTopicNames: m.Topics,
		SubscribedTopicRegex: &regex, RebalanceTimeoutMs: m.RebalanceMs, ServerAssignor: m.Assignor,
	}
	if c := m.Classic; c != nil {
		v.ClassicMemberMetadata = &coordrecord.ConsumerGroupMemberMetadataValueClassicMemberMetadata{SessionTimeoutMs: c.SessionMs}
		for _, p := range c.Protocols {
			v.ClassicMemberMetadata.SupportedProtocols = append(v.ClassicMemberMetadata.SupportedProtocols,
				coordrecord.ConsumerGroupMemberMetadataValueClassicProtocol{Name: p.Name, Metadata: p.Metadata})
		}
	}
	r.add(&coordrecord.ConsumerGroupMemberMetadataKey{GroupID: r.group, MemberID: m.ID}, v)
}

func (r *recorder) current(m *Member) {
	r.add(&coordrecord.ConsumerGroupCurrentMemberAssignmentKey{GroupID: r.group, MemberID: m.ID}, &coordrecord.ConsumerGroupCurrentMemberAssignmentValue{
		MemberEpoch: m.Epoch, PreviousMemberEpoch: m.Previous, State: int8(m.State),
		AssignedPartitions: ownedValue(m.Assigned), PartitionsPendingRevocation: ownedValue(m.Revoking),
	})
}

func ownedValue(o Owned) []coordrecord.ConsumerGroupCurrentMemberAssignmentValueTopicPartitions {
	out := make([]coordrecord.ConsumerGroupCurrentMemberAssignmentValueTopicPartitions, 0, len(o))
	for _, t := range slices.SortedFunc(maps.Keys(o), assign.CompareTopics) {
		v := coordrecord.ConsumerGroupCurrentMemberAssignmentValueTopicPartitions{TopicID: t, Partitions: slices.Sorted(maps.Keys(o[t]))}
		v.AssignmentEpochs = make([]int32, 0, len(v.Partitions))
		for _, p := range v.Partitions {
			v.AssignmentEpochs = append(v.AssignmentEpochs, o[t][p])
		}
		out = append(out, v)
	}
	return out
}

func (r *recorder) regex(regex string, m Resolved) {
	r.add(&coordrecord.ConsumerGroupRegularExpressionKey{GroupID: r.group, RegularExpression: regex},
		&coordrecord.ConsumerGroupRegularExpressionValue{Topics: m.Topics, Version: m.Version, Timestamp: m.TimestampMs})
}

func (r *recorder) noRegex(regex string) {
	r.add(&coordrecord.ConsumerGroupRegularExpressionKey{GroupID: r.group, RegularExpression: regex}, nil)
}

func (r *recorder) noOldMetadata() {
	r.add(&coordrecord.ConsumerGroupPartitionMetadataKey{GroupID: r.group}, nil)
}

// gone removes a member, what it has first.
func (r *recorder) gone(id string) {
	r.noCurrent(id)
	r.noTarget(id)
	r.noMember(id)
}

func (r *recorder) noCurrent(id string) {
	r.add(&coordrecord.ConsumerGroupCurrentMemberAssignmentKey{GroupID: r.group, MemberID: id}, nil)
}

func (r *recorder) noTarget(id string) {
	r.add(&coordrecord.ConsumerGroupTargetAssignmentMemberKey{GroupID: r.group, MemberID: id}, nil)
}

func (r *recorder) noMember(id string) {
	r.add(&coordrecord.ConsumerGroupMemberMetadataKey{GroupID: r.group, MemberID: id}, nil)
}

// Tombstones are the records that end the group.
func (g *Group) Tombstones() []Record {
	r := &recorder{group: g.ID}
	g.tombstones(r, slices.Sorted(maps.Keys(g.members)))
	return r.records
}

// tombstones ends the group, whose members have these ids.
func (g *Group) tombstones(r *recorder, ids []string) {
	for _, id := range ids {
		r.noCurrent(id)
	}
	for _, id := range ids {
		r.noTarget(id)
	}
	r.add(&coordrecord.ConsumerGroupTargetAssignmentMetadataKey{GroupID: g.ID}, nil)
	for _, id := range ids {
		r.noMember(id)
	}
	for _, regex := range slices.Sorted(maps.Keys(g.resolved)) {
		r.noRegex(regex)
	}
	r.noOldMetadata()
	r.add(&coordrecord.ConsumerGroupMetadataKey{GroupID: g.ID}, nil)
}

// topicIDs finds the ids of topics that exist.
func topicIDs(names []string, topics Topics) []wire.TopicID {
	out := make([]wire.TopicID, 0, len(names))
	for _, n := range names {
		if t, ok := topics.Topic(n); ok {
			out = append(out, t.ID)
		}
	}
	return out
}
