package group

import (
	"errors"
	"fmt"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/group/consumer"
	"github.com/weir-stream/weir/internal/coordrecord"
	"github.com/weir-stream/weir/internal/wire"
)

// Versions of the values that Apache Kafka 4.x writes.
const (
	groupMetadataVersion         = 3
	offsetCommitVersion          = 4
	offsetCommitVersionWithLimit = 1 // has the expire timestamp that OffsetCommit had before version 5
)

func groupKey(id string) []byte {
	return coordrecord.AppendKey(nil, &coordrecord.GroupMetadataKey{Group: id})
}

func offsetKey(group, topic string, partition int32) []byte {
	return coordrecord.AppendKey(make([]byte, 0, 10+len(group)+len(topic)),
		&coordrecord.OffsetCommitKey{Group: group, Topic: topic, Partition: partition})
}

func offsetValue(o offset) []byte {
	v := coordrecord.NewOffsetCommitValue()
	v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp = o.offset, o.leaderEpoch, o.metadata, o.commitTimeMs
	v.TopicID = o.topicID
	version := int16(offsetCommitVersion)
	if o.expireTimeMs >= 0 {
		v.ExpireTimestamp, version = o.expireTimeMs, offsetCommitVersionWithLimit
	}
	return coordrecord.AppendValue(make([]byte, 0, 64+len(o.metadata)), v, version)
}

// writeGroup appends the group's present generation, with the assignments given or, if nil, those that the members
// have.
func (m *machine) writeGroup(tx *coordinator.Tx, g *classicGroup, assignments map[string][]byte) {
	v := coordrecord.NewGroupMetadataValue()
	v.ProtocolType, v.Generation, v.Protocol = g.protocolType, g.generation, g.protocol
	v.Leader, v.CurrentStateTimestamp = stringOrNil(g.leader), g.stateTimeMs
	v.Members = make([]coordrecord.GroupMetadataValueMemberMetadata, 0, len(g.order))
	for _, mem := range g.order {
		assignment := mem.assignment
		if assignments != nil {
			assignment = assignments[mem.id]
		}
		v.Members = append(v.Members, coordrecord.GroupMetadataValueMemberMetadata{
			MemberID: mem.id, GroupInstanceID: mem.instanceID, ClientID: mem.clientID, ClientHost: mem.clientHost,
			RebalanceTimeout: mem.rebalanceMs, SessionTimeout: mem.sessionMs,
			Subscription: notNil(mem.metadata(g.protocolName())), Assignment: notNil(assignment),
		})
	}
	tx.Append(groupKey(g.id), coordrecord.AppendValue(nil, v, groupMetadataVersion))
}

// writeEmptyGroup appends a group that has only just come to be.
func (m *machine) writeEmptyGroup(tx *coordinator.Tx, g *classicGroup) {
	v := coordrecord.NewGroupMetadataValue()
	v.CurrentStateTimestamp = g.stateTimeMs
	v.Members = []coordrecord.GroupMetadataValueMemberMetadata{}
	tx.Append(groupKey(g.id), coordrecord.AppendValue(nil, v, groupMetadataVersion))
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Replay implements coordinator.Machine.
func (m *machine) Replay(r coordinator.Replayed) error {
	m.order = max(m.order, r.Offset+1)
	key, err := coordrecord.DecodeGroupKey(r.Key)
	if errors.Is(err, coordrecord.ErrUnsupported) {
		return nil // of a newer Kafka: it stays in the log
	}
	if err != nil {
		return err
	}
	switch k := key.(type) {
	case *coordrecord.OffsetCommitKey:
		return m.replayOffset(k.Group, k.Topic, k.Partition, r)
	case *coordrecord.LegacyOffsetCommitKey:
		return m.replayOffset(k.Group, k.Topic, k.Partition, r)
	case *coordrecord.GroupMetadataKey:
		return m.replayGroup(k.Group, r)
	}
	if id, ok := consumer.GroupOf(key); ok {
		return m.replayConsumerRecord(id, key, r)
	}
	m.replayForeign(key, r.Value == nil)
	return nil
}

func (m *machine) replayConsumerRecord(id string, key coordrecord.Key, r coordinator.Replayed) error {
	rec := consumer.Record{Key: key}
	if r.Value != nil {
		val, _, err := coordrecord.DecodeGroupValue(key.RecordType(), r.Value)
		if errors.Is(err, coordrecord.ErrUnsupported) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("consumer group %q: %w", id, err)
		}
		rec.Value = val
	}
	m.replayConsumer(id, rec)
	return nil
}

func (m *machine) replayGroup(id string, r coordinator.Replayed) error {
	if r.Value == nil {
		delete(m.groups, id)
		return nil
	}
	val, _, err := coordrecord.DecodeGroupValue(2, r.Value)
	if err != nil {
		return fmt.Errorf("group %q: %w", id, err)
	}
	v, ok := val.(*coordrecord.GroupMetadataValue)
	if !ok {
		return fmt.Errorf("group %q: value is a %s: %w", id, val.RecordName(), wire.CorruptMessage)
	}
	g := newClassicGroup(id, v.CurrentStateTimestamp)
	g.generation, g.protocol = v.Generation, v.Protocol
	for i := range v.Members {
		m.replayMember(g, v, &v.Members[i])
	}
	g.protocolType, g.leader = v.ProtocolType, ""
	if len(g.members) > 0 {
		g.state = stateStable
		g.leader = g.order[0].id
		if v.Leader != nil && g.members[*v.Leader] != nil {
			g.leader = *v.Leader
		}
	}
	g.computeSubscribed()
	m.groups[id] = g
	return nil
}

func (m *machine) replayMember(g *classicGroup, v *coordrecord.GroupMetadataValue, r *coordrecord.GroupMetadataValueMemberMetadata) {
	if g.members[r.MemberID] != nil {
		return
	}
	mem := &member{
		id: r.MemberID, instanceID: r.GroupInstanceID, clientID: r.ClientID, clientHost: r.ClientHost,
		rebalanceMs: r.RebalanceTimeout, sessionMs: r.SessionTimeout, protocolType: v.ProtocolType, assignment: r.Assignment,
	}
	if mem.rebalanceMs < 0 {
		mem.rebalanceMs = mem.sessionMs
	}
	if v.Protocol != nil {
		mem.protocols = []protocol{{*v.Protocol, r.Subscription}}
	}
	g.add(mem)
}

func (m *machine) replayOffset(group, topic string, partition int32, r coordinator.Replayed) error {
	if r.Value == nil {
		m.clearOffset(group, topic, partition)
		m.pending.drop(offsetPlace{group, topic, partition})
		return nil
	}
	val, _, err := coordrecord.DecodeGroupValue(1, r.Value)
	if err != nil {
		return fmt.Errorf("offset of group %q for %s-%d: %w", group, topic, partition, err)
	}
	v, ok := val.(*coordrecord.OffsetCommitValue)
	if !ok {
		return fmt.Errorf("offset of group %q for %s-%d: value is a %s: %w", group, topic, partition, val.RecordName(),
			wire.CorruptMessage)
	}
	o := offset{
		offset: v.Offset, leaderEpoch: v.LeaderEpoch, metadata: v.Metadata, commitTimeMs: v.CommitTimestamp,
		expireTimeMs: v.ExpireTimestamp, topicID: v.TopicID, order: r.Offset,
	}
	if !m.known(group) {
		m.groups[group] = newClassicGroup(group, -1) // commits without members: a simple group
	}
	if r.ProducerID >= 0 {
		m.pending.put(r.ProducerID, offsetPlace{group, topic, partition}, o)
		return nil
	}
	m.setOffset(group, topic, partition, o)
	return nil
}
