package image

import (
	"fmt"
	"slices"

	mr "github.com/weir-stream/weir/internal/metarecord"
)

func (e *Editor) topic(r *mr.TopicRecord) error {
	if _, ok := e.topicIDs.get(r.Name); ok {
		return fmt.Errorf("topic %q exists", r.Name)
	}
	if _, ok := e.topics.get(r.TopicID); ok {
		return fmt.Errorf("topic id %s exists", mr.FormatUUID(r.TopicID))
	}
	t := &Topic{ID: r.TopicID, Name: r.Name}
	e.topicIDs.set(r.Name, r.TopicID)
	e.putTopic(t)
	return nil
}

// putTopic stores a topic that the editor owns.
func (e *Editor) putTopic(t *Topic) {
	if e.ownedTopics == nil {
		e.ownedTopics = make(map[TopicID]*Topic)
	}
	e.ownedTopics[t.ID] = t
	e.topics.set(t.ID, t)
	e.delta.markTopic(t).New = t
}

// ownTopic returns a topic that may be changed.
func (e *Editor) ownTopic(id TopicID) (*Topic, error) {
	if t := e.ownedTopics[id]; t != nil {
		return t, nil
	}
	old, ok := e.topics.get(id)
	if !ok {
		return nil, fmt.Errorf("no topic with id %s", mr.FormatUUID(id))
	}
	t := &Topic{ID: old.ID, Name: old.Name, Partitions: slices.Clone(old.Partitions)}
	e.delta.markTopic(t).Old = old
	e.putTopic(t)
	return t, nil
}

func (e *Editor) removeTopic(r *mr.RemoveTopicRecord) error {
	t, ok := e.topics.get(r.TopicID)
	if !ok {
		return fmt.Errorf("no topic with id %s", mr.FormatUUID(r.TopicID))
	}
	td := e.delta.markTopic(t)
	if old, ok := e.base.topics.get(r.TopicID); ok {
		td.Old = old
	}
	td.New, td.Changed = nil, nil
	e.next.parts -= len(t.Partitions)
	e.topics.remove(t.ID)
	e.topicIDs.remove(t.Name)
	delete(e.ownedTopics, t.ID)
	e.removeConfig(ConfigResource{TopicConfig, t.Name})
	return nil
}

func (e *Editor) partition(r *mr.PartitionRecord) error {
	t, err := e.ownTopic(r.TopicID)
	if err != nil {
		return err
	}
	if r.PartitionID < 0 || int(r.PartitionID) > len(t.Partitions) {
		return fmt.Errorf("topic %q: partition %d, but it has %d", t.Name, r.PartitionID, len(t.Partitions))
	}
	p := &Partition{
		Replicas: r.Replicas, Directories: r.Directories, ISR: r.ISR, Removing: r.RemovingReplicas, Adding: r.AddingReplicas,
		ELR: r.EligibleLeaderReplicas, LastKnownELR: r.LastKnownELR, Leader: r.Leader,
		LeaderRecoveryState: r.LeaderRecoveryState, LeaderEpoch: r.LeaderEpoch, PartitionEpoch: r.PartitionEpoch,
	}
	if len(p.Directories) == 0 {
		p.Directories = make([]UUID, len(p.Replicas)) // MIGRATING
	} else if len(p.Directories) != len(p.Replicas) {
		return fmt.Errorf("topic %q partition %d: %d directories for %d replicas", t.Name, r.PartitionID, len(p.Directories), len(p.Replicas))
	}
	if int(r.PartitionID) == len(t.Partitions) {
		t.Partitions = append(t.Partitions, p)
		e.next.parts++
	} else {
		t.Partitions[r.PartitionID] = p
	}
	td := e.delta.Topics[t.ID]
	td.Changed = append(td.Changed, r.PartitionID)
	return nil
}

func (e *Editor) partitionChange(r *mr.PartitionChangeRecord) error {
	t, err := e.ownTopic(r.TopicID)
	if err != nil {
		return err
	}
	old := t.Partition(r.PartitionID)
	if old == nil {
		return fmt.Errorf("topic %q has no partition %d", t.Name, r.PartitionID)
	}
	p, err := old.Merge(r)
	if err != nil {
		return fmt.Errorf("topic %q partition %d: %w", t.Name, r.PartitionID, err)
	}
	t.Partitions[r.PartitionID] = p
	td := e.delta.Topics[t.ID]
	td.Changed = append(td.Changed, r.PartitionID)
	return nil
}

// noLeaderChange is the leader of a PartitionChangeRecord that keeps the leader.
const noLeaderChange int32 = -2

// Merge is the partition after a change. The partition epoch rises by one, the leader epoch if the record names a
// leader, be it the same.
func (p *Partition) Merge(r *mr.PartitionChangeRecord) (*Partition, error) {
	n := *p
	n.PartitionEpoch++
	if r.Leader != noLeaderChange {
		n.Leader = r.Leader
		n.LeaderEpoch++
	}
	if r.Replicas != nil {
		n.Replicas = r.Replicas
	}
	switch {
	case r.Directories != nil:
		n.Directories = r.Directories
	case r.Replicas != nil:
		n.Directories = make([]UUID, len(r.Replicas))
		for i, id := range r.Replicas {
			n.Directories[i] = DirectoryUnassigned
			if p.HasReplica(id) {
				n.Directories[i] = p.Directory(id)
			}
		}
	}
	if len(n.Directories) != len(n.Replicas) {
		return nil, fmt.Errorf("%d directories for %d replicas", len(n.Directories), len(n.Replicas))
	}
	setIfGiven(&n.ISR, r.ISR)
	setIfGiven(&n.Removing, r.RemovingReplicas)
	setIfGiven(&n.Adding, r.AddingReplicas)
	setIfGiven(&n.ELR, r.EligibleLeaderReplicas)
	setIfGiven(&n.LastKnownELR, r.LastKnownELR)
	if r.LeaderRecoveryState >= 0 {
		n.LeaderRecoveryState = r.LeaderRecoveryState
	}
	return &n, nil
}

func setIfGiven(dst *[]int32, v []int32) {
	if v != nil {
		*dst = v
	}
}

// clearELR empties the eligible leader replicas of one topic or, without a name, of all. The partition epoch stays.
func (e *Editor) clearELR(r *mr.ClearElrRecord) error {
	if r.TopicName != "" {
		id, ok := e.topicIDs.get(r.TopicName)
		if !ok {
			return fmt.Errorf("no topic %q", r.TopicName)
		}
		return e.clearTopicELR(id)
	}
	var ids []TopicID
	for id := range e.topics.now.all() {
		ids = append(ids, id)
	}
	for _, id := range ids {
		if err := e.clearTopicELR(id); err != nil {
			return err
		}
	}
	return nil
}

func (e *Editor) clearTopicELR(id TopicID) error {
	now, _ := e.topics.get(id)
	for i, p := range now.Partitions {
		if len(p.ELR) == 0 && len(p.LastKnownELR) == 0 {
			continue
		}
		t, err := e.ownTopic(id)
		if err != nil {
			return err
		}
		n := *p
		n.ELR, n.LastKnownELR = nil, nil
		t.Partitions[i] = &n
		td := e.delta.Topics[id]
		td.Changed = append(td.Changed, int32(i))
	}
	return nil
}
