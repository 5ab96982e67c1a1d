package group

import (
	"maps"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/group/consumer"
	"github.com/weir-stream/weir/internal/wire"
)

// offset is one committed offset.
type offset struct {
	offset       int64
	leaderEpoch  int32 // -1: not known
	topicID      wire.TopicID
	commitTimeMs int64
	expireTimeMs int64 // -1: by offsets.retention.minutes
	order        int64 // rises as the records do: which of two commits is the later one
	metadata     string
}

// groupOffsets are a group's offsets by topic and partition.
type groupOffsets struct {
	topics map[string]map[int32]offset
}

func (m *machine) offset(group, topic string, partition int32) (offset, bool) {
	if o := m.offsets[group]; o != nil {
		v, ok := o.topics[topic][partition]
		return v, ok
	}
	return offset{}, false
}

// setOffset stores an offset; it keeps the strings.
func (m *machine) setOffset(group, topic string, partition int32, v offset) {
	o := m.offsets[group]
	if o == nil {
		o = &groupOffsets{topics: map[string]map[int32]offset{}}
		m.offsets[group] = o
	}
	t := o.topics[topic]
	if t == nil {
		t = map[int32]offset{}
		o.topics[topic] = t
	}
	t[partition] = v
}

func (m *machine) clearOffset(group, topic string, partition int32) {
	o := m.offsets[group]
	if o == nil {
		return
	}
	t := o.topics[topic]
	if delete(t, partition); len(t) == 0 {
		delete(o.topics, topic)
	}
	if len(o.topics) == 0 {
		delete(m.offsets, group)
	}
}

// offsetChange is what one offset was before an operation.
type offsetChange struct {
	group, topic string
	partition    int32
	before       offset
	had          bool
}

func (m *machine) undoOffsets(changes []offsetChange) {
	for _, c := range slices.Backward(changes) {
		if c.had {
			m.setOffset(c.group, c.topic, c.partition, c.before)
		} else {
			m.clearOffset(c.group, c.topic, c.partition)
		}
	}
}

// removeOffset drops one offset, with its tombstone.
func (m *machine) removeOffset(tx *coordinator.Tx, group, topic string, partition int32, before offset) {
	m.dropHeld(tx, offsetPlace{group, topic, partition})
	m.clearOffset(group, topic, partition)
	tx.Append(offsetKey(group, topic, partition), nil)
	tx.Undo(func() { m.setOffset(group, topic, partition, before) })
}

// Commit is an OffsetCommit, for topics that exist and may be read by whom asks. The strings stay the caller's until
// the answer.
type Commit struct {
	Group      string
	MemberID   string
	InstanceID *string
	Generation int32 // -1: not as a member
	// RetentionMs is when the offsets expire (OffsetCommit 2 to 4); -1: as the broker says.
	RetentionMs int64
	APIVersion  int16
	Topics      []CommitTopic
	// Transaction, if not nil, is what the offsets are part of (TxnOffsetCommit).
	Transaction *Transaction
}

// CommitTopic is one topic of a Commit; ID may be zero if it is not known.
type CommitTopic struct {
	Name       string
	ID         wire.TopicID
	Partitions []CommitPartition
}

// CommitPartition is one offset to commit.
type CommitPartition struct {
	Index       int32
	Offset      int64
	LeaderEpoch int32
	Metadata    *string
}

// commit handles an OffsetCommit. The result has a code per partition, topic by topic, in order.
func (m *machine) commit(tx *coordinator.Tx, r *Commit, reply func([]wire.Code)) {
	g, check, err := m.groupForCommit(r)
	if err == nil && check != nil {
		err = r.checkAll(check)
	}
	if err != nil {
		code := wire.CodeOf(err)
		if code == wire.StaleMemberEpoch && r.Transaction != nil {
			code = wire.IllegalGeneration // all that the request has a word for
		}
		reply(r.codes(code))
		return
	}
	if g != nil && r.Transaction == nil && (g.is(stateStable) || g.is(statePreparingRebalance)) {
		if mem := g.members[r.MemberID]; mem != nil {
			m.beat(g, mem)
		}
	}
	if t := r.Transaction; t != nil {
		tx.Transactional(t.ProducerID, t.Epoch, t.Guard)
	}
	codes := r.codes(wire.None)
	now, i := tx.NowMs(), 0
	changes := make([]offsetChange, 0, len(codes))
	group := strings.Clone(r.Group)
	for _, t := range r.Topics {
		t.Name = strings.Clone(t.Name)
		for _, p := range t.Partitions {
			if p.Metadata != nil && m.metadataTooLarge(*p.Metadata) {
				codes[i] = wire.OffsetMetadataTooLarge
			} else {
				changes = append(changes, m.commitOne(tx, group, r, &t, &p, now))
			}
			i++
		}
	}
	if len(changes) == 0 {
		reply(codes)
		return
	}
	if !m.known(group) {
		m.create(tx, group)
	}
	if r.Transaction == nil {
		tx.Undo(func() { m.undoOffsets(changes) })
	}
	m.c.stats.commits.Add(int64(len(changes)))
	tx.Then(func(_ *coordinator.Tx, err error) {
		if err != nil {
			codes = r.codes(errorCode(err))
		}
		reply(codes)
	})
}

// commitOne stores one offset; group and the topic's name are the machine's to keep.
func (m *machine) commitOne(tx *coordinator.Tx, group string, r *Commit, t *CommitTopic, p *CommitPartition, nowMs int64) offsetChange {
	v := offset{
		offset: p.Offset, leaderEpoch: p.LeaderEpoch, topicID: t.ID, commitTimeMs: nowMs, expireTimeMs: -1, order: m.order,
	}
	m.order++
	if p.Metadata != nil {
		v.metadata = strings.Clone(*p.Metadata)
	}
	if r.Transaction != nil {
		m.commitPending(tx, r.Transaction.ProducerID, offsetPlace{group, t.Name, p.Index}, v)
		return offsetChange{}
	}
	if r.RetentionMs >= 0 {
		v.expireTimeMs = nowMs + r.RetentionMs
	}
	c := offsetChange{group: group, topic: t.Name, partition: p.Index}
	c.before, c.had = m.offset(group, t.Name, p.Index)
	m.setOffset(group, t.Name, p.Index, v)
	tx.Append(offsetKey(group, t.Name, p.Index), offsetValue(v))
	return c
}

// codes makes a code for each partition of r.
func (r *Commit) codes(c wire.Code) []wire.Code {
	n := 0
	for _, t := range r.Topics {
		n += len(t.Partitions)
	}
	return slices.Repeat([]wire.Code{c}, n)
}

func (m *machine) metadataTooLarge(s string) bool {
	if len(s) > maxStringBytes {
		return true
	}
	if len(s) <= m.c.cfg.OffsetMetadataMaxSize {
		return false
	}
	n := 0 // Java counts UTF-16 units
	for _, r := range s {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n > m.c.cfg.OffsetMetadataMaxSize
}

// groupForCommit finds the group and checks that the committer may commit for it. A nil group is a simple one that does not
// exist yet, or a consumer group. A member of a consumer group may be let commit for some partitions only; see
// consumer.Group.CheckCommit.
func (m *machine) groupForCommit(r *Commit) (*classicGroup, func(wire.TopicID, int32) error, error) {
	if m.foreign[r.Group] != nil {
		return nil, nil, wire.GroupIdNotFound
	}
	if g := m.consumers[r.Group]; g != nil {
		check, err := g.CheckCommit(consumer.Commit{
			MemberID: r.MemberID, InstanceID: r.InstanceID, Epoch: r.Generation, Transactional: r.Transaction != nil, Version: r.APIVersion,
		})
		return nil, check, err
	}
	g, err := m.classicForCommit(r)
	return g, nil, err
}

// checkAll asks check about each partition of a commit. Transactions do not know of stale epochs.
func (r *Commit) checkAll(check func(wire.TopicID, int32) error) error {
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			if err := check(r.Topics[i].ID, r.Topics[i].Partitions[j].Index); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *machine) classicForCommit(r *Commit) (*classicGroup, error) {
	g := m.groups[r.Group]
	switch {
	case g == nil && r.Generation < 0:
		return nil, nil
	case g == nil && r.APIVersion >= 9 && r.Transaction == nil:
		return nil, wire.GroupIdNotFound
	case g == nil:
		return nil, wire.IllegalGeneration
	case r.Generation < 0 && g.is(stateEmpty):
		return g, nil
	case r.Generation >= 0 || r.MemberID != "" || r.InstanceID != nil:
		if err := g.validate(r.MemberID, r.InstanceID); err != nil {
			return nil, err
		}
		if r.Generation != g.generation {
			return nil, wire.IllegalGeneration
		}
	case !g.is(stateEmpty) && r.Transaction == nil: // old producers say nothing of the member
		return nil, wire.UnknownMemberId
	}
	if g.is(stateCompletingRebalance) && r.Transaction == nil {
		return nil, wire.RebalanceInProgress
	}
	return g, nil
}

// FetchTopic asks for a topic's offsets. ID, if not zero, must be that of the topic when it was committed.
type FetchTopic struct {
	Name       string
	ID         wire.TopicID
	Partitions []int32
}

// FetchedTopic is a topic with committed offsets.
type FetchedTopic struct {
	Name       string
	ID         wire.TopicID // as asked; when all topics were asked for, as committed
	Partitions []FetchedOffset
}

// FetchedOffset is one offset; Offset is -1 if there is none.
type FetchedOffset struct {
	// Unstable says that a transaction that has not ended holds the offset, and that stable ones were asked for (KIP-447).
	Unstable     bool
	Partition    int32
	Offset       int64
	LeaderEpoch  int32
	Metadata     string
	CommitTimeMs int64
}

// fetch reads the offsets asked for.
func (m *machine) fetch(group string, topics []FetchTopic, stable bool) []FetchedTopic {
	out := make([]FetchedTopic, 0, len(topics))
	for _, t := range topics {
		f := FetchedTopic{Name: t.Name, ID: t.ID, Partitions: make([]FetchedOffset, 0, len(t.Partitions))}
		for _, p := range t.Partitions {
			o, ok := m.offset(group, t.Name, p)
			var none wire.TopicID
			if stable && m.pending.has(offsetPlace{group, t.Name, p}) {
				f.Partitions = append(f.Partitions, unstable(p))
				continue
			}
			if !ok || t.ID != none && o.topicID != none && t.ID != o.topicID {
				f.Partitions = append(f.Partitions, FetchedOffset{Partition: p, Offset: -1, LeaderEpoch: -1})
				continue
			}
			f.Partitions = append(f.Partitions, o.fetched(p))
		}
		out = append(out, f)
	}
	return out
}

// unstable stands for an offset that a transaction holds.
func unstable(p int32) FetchedOffset {
	return FetchedOffset{Unstable: true, Partition: p, Offset: -1, LeaderEpoch: -1}
}

func (o offset) fetched(p int32) FetchedOffset {
	return FetchedOffset{Partition: p, Offset: o.offset, LeaderEpoch: o.leaderEpoch, Metadata: o.metadata, CommitTimeMs: o.commitTimeMs}
}

// fetchAll reads all offsets of a group, in order.
func (m *machine) fetchAll(group string, stable bool) []FetchedTopic {
	o := m.offsets[group]
	if o == nil {
		return nil
	}
	out := make([]FetchedTopic, 0, len(o.topics))
	for _, name := range slices.Sorted(maps.Keys(o.topics)) {
		f := FetchedTopic{Name: name}
		for _, p := range slices.Sorted(maps.Keys(o.topics[name])) {
			v := o.topics[name][p]
			f.ID = v.topicID
			if stable && m.pending.has(offsetPlace{group, name, p}) {
				f.Partitions = append(f.Partitions, unstable(p))
				continue
			}
			f.Partitions = append(f.Partitions, v.fetched(p))
		}
		out = append(out, f)
	}
	return out
}
