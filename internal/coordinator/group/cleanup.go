package group

import (
	"strings"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/wire"
)

// recordsPerStep is after how many tombstones an operation lets the rest go into another batch.
const recordsPerStep = 1000

// splitter calls Split every recordsPerStep records, so that no batch becomes too large.
type splitter struct {
	tx   *coordinator.Tx
	last int
}

func (s *splitter) step() {
	if n := s.tx.NumRecords(); n-s.last >= recordsPerStep {
		s.tx.Split()
		s.last = n
	}
}

// scheduleCleanup sees to it that expired offsets are looked for, if there is anything in the shard.
func (m *machine) scheduleCleanup() {
	if m.cleanup.Scheduled() || len(m.groups)+len(m.consumers) == 0 {
		return
	}
	m.sh.Schedule(&m.cleanup, m.c.cfg.RetentionCheckInterval, func(tx *coordinator.Tx) {
		m.expire(tx)
		m.scheduleCleanup()
	})
}

// expire removes the offsets whose time is over (KIP-211), and groups of which nothing is left.
func (m *machine) expire(tx *coordinator.Tx) {
	now, step := tx.NowMs(), splitter{tx: tx}
	for _, g := range m.groups {
		if m.expireOffsets(tx, g, now, &step) && g.is(stateEmpty) && len(g.pending) == 0 && !m.pending.open(g.id) {
			m.drop(tx, g)
		}
		step.step()
	}
	for _, g := range m.consumers {
		if m.expireConsumerOffsets(tx, g, now, &step) && g.Empty() && !m.pending.open(g.ID) {
			m.writeConsumer(tx, g, g.Tombstones())
		}
		step.step()
	}
}

// expireConsumerOffsets is expireOffsets of a consumer group: offsets for topics that nobody in it wants expire.
func (m *machine) expireConsumerOffsets(tx *coordinator.Tx, g *consumerGroup, nowMs int64, step *splitter) bool {
	o := m.offsets[g.ID]
	if o == nil {
		return true
	}
	return m.expireTopics(tx, g.ID, o, nowMs, step, g.Subscribes, func(v offset) int64 { return v.commitTimeMs })
}

// expireOffsets reports whether no offset of the group is left.
func (m *machine) expireOffsets(tx *coordinator.Tx, g *classicGroup, nowMs int64, step *splitter) bool {
	o := m.offsets[g.id]
	if o == nil {
		return true
	}
	sinceEmpty := g.protocolType != "" && g.is(stateEmpty) && g.stateTimeMs >= 0
	if g.protocolType != "" && !g.is(stateEmpty) && !(g.usesConsumerProtocol() && g.subscribedKnown && g.is(stateStable)) {
		return false // of an active group only what consumers do not subscribe to may go
	}
	return m.expireTopics(tx, g.id, o, nowMs, step, g.isSubscribed, func(v offset) int64 {
		if sinceEmpty {
			return g.stateTimeMs
		}
		return v.commitTimeMs
	})
}

// expireTopics removes the offsets of a group for topics that are not subscribed whose time, from since on, is over, and
// reports whether none is left.
func (m *machine) expireTopics(tx *coordinator.Tx, id string, o *groupOffsets, nowMs int64, step *splitter, subscribed func(string) bool, since func(offset) int64) bool {
	all := true
	for topic, partitions := range o.topics {
		if subscribed(topic) {
			all = false
			continue
		}
		for p, v := range partitions {
			expired := nowMs-since(v) >= m.c.cfg.OffsetsRetention.Milliseconds()
			if v.expireTimeMs >= 0 {
				expired = nowMs >= v.expireTimeMs
			}
			if !expired || m.pending.has(offsetPlace{id, topic, p}) {
				all = false
				continue
			}
			m.removeOffset(tx, id, topic, p, v)
			m.c.stats.expired.Add(1)
			step.step()
		}
	}
	return all
}

// deletedTopic is a topic that is no more; the zero id means any topic of that name.
type deletedTopic struct {
	name string
	id   wire.TopicID
}

// forgetTopics removes the offsets for topics that were deleted. An offset for a topic of the same name but another
// id stays.
func (m *machine) forgetTopics(tx *coordinator.Tx, topics []deletedTopic) {
	step, none := splitter{tx: tx}, wire.TopicID{}
	for group := range m.pending.byGroup {
		for at := range m.pending.of(group) {
			for _, t := range topics {
				if _, committed := m.offset(group, at.topic, at.partition); t.name == at.topic && !committed {
					m.removePending(tx, at)
					step.step()
				}
			}
		}
	}
	for group, o := range m.offsets {
		for _, t := range topics {
			for p, v := range o.topics[t.name] {
				if t.id == none || v.topicID == none || t.id == v.topicID {
					m.removeOffset(tx, group, t.name, p, v)
					step.step()
				}
			}
		}
	}
}

// deleteOffsets handles an OffsetDelete for partitions that exist: a code for the whole, or one per partition.
func (m *machine) deleteOffsets(tx *coordinator.Tx, groupID string, topics []FetchTopic, reply func(wire.Code, []wire.Code)) {
	g, c := m.groups[groupID], m.consumers[groupID]
	switch {
	case g == nil && c == nil:
		reply(wire.GroupIdNotFound, nil)
		return
	case g != nil && !g.is(stateEmpty) && !g.usesConsumerProtocol():
		reply(wire.NonEmptyGroup, nil)
		return
	}
	groupID = strings.Clone(groupID)
	isSubscribed := func(topic string) bool { return c != nil && c.Subscribes(topic) || g != nil && g.isSubscribed(topic) }
	var codes []wire.Code
	step := splitter{tx: tx}
	for _, t := range topics {
		for _, p := range t.Partitions {
			if isSubscribed(t.Name) {
				codes = append(codes, wire.GroupSubscribedToTopic)
				continue
			}
			codes = append(codes, wire.None)
			if v, ok := m.offset(groupID, t.Name, p); ok {
				m.removeOffset(tx, groupID, t.Name, p, v)
			} else if at := (offsetPlace{groupID, t.Name, p}); m.pending.has(at) {
				m.removePending(tx, at)
			} else {
				continue
			}
			m.c.stats.deleted.Add(1)
			step.step()
		}
	}
	tx.Then(func(_ *coordinator.Tx, err error) { reply(errorCode(err), codes) })
}

// deleteGroup handles one group of a DeleteGroups.
func (m *machine) deleteGroup(tx *coordinator.Tx, groupID string) wire.Code {
	if m.foreign[groupID] != nil {
		return wire.UnsupportedVersion
	}
	g, c := m.groups[groupID], m.consumers[groupID]
	switch {
	case g == nil && c == nil:
		return wire.GroupIdNotFound
	case g != nil && !g.is(stateEmpty), c != nil && !c.Empty():
		return wire.NonEmptyGroup
	}
	groupID = strings.Clone(groupID)
	step := splitter{tx: tx}
	if o := m.offsets[groupID]; o != nil {
		for topic, partitions := range o.topics {
			for p, v := range partitions {
				m.removeOffset(tx, groupID, topic, p, v)
				m.c.stats.deleted.Add(1)
				step.step()
			}
		}
	}
	for at := range m.pending.of(groupID) { // those that are committed too are gone already
		m.removePending(tx, at)
		m.c.stats.deleted.Add(1)
		step.step()
	}
	if c != nil {
		m.writeConsumer(tx, c, c.Tombstones())
	} else {
		m.drop(tx, g)
	}
	return wire.None
}
