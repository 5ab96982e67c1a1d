package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
)

// metadata is what a metadata log says up to an offset. It is a model of its own, not the nodes', so that a fault in theirs
// does not hide itself.
type metadata struct {
	end     int64 // the offset after the last batch
	epoch   int32 // of the last batch
	topics  map[[16]byte]string
	parts   map[partID]metaPartition
	brokers map[int32]metaBroker
	facts   map[string]string // what else there is, each under a key of its own
	saved   *metadata         // what was there before the transaction that is open
}

// partID names a partition.
type partID struct {
	topic [16]byte
	index int32
}

// metaPartition is a partition's state. Its slices are not changed.
type metaPartition struct {
	replicas, isr, elr, lastKnown, adding, removing []int32
	dirs                                            [][16]byte
	leader, leaderEpoch, epoch                      int32
	recovery                                        int8
}

// metaBroker is a broker's registration.
type metaBroker struct {
	epoch           int64
	incarnation     [16]byte
	fenced, leaving bool
	directories     string
	cordoned, facts string
}

func newMetadata() *metadata {
	return &metadata{topics: map[[16]byte]string{}, parts: map[partID]metaPartition{}, brokers: map[int32]metaBroker{}, facts: map[string]string{}}
}

func (m *metadata) clone() *metadata {
	return &metadata{end: m.end, epoch: m.epoch, topics: maps.Clone(m.topics), parts: maps.Clone(m.parts), brokers: maps.Clone(m.brokers), facts: maps.Clone(m.facts)}
}

// apply replays a batch. changed is told of each partition that changes, before and after.
func (m *metadata) apply(b record.Batch, changed func(id partID, old, now metaPartition, r *mr.PartitionChangeRecord)) error {
	m.end, m.epoch = b.NextOffset(), b.LeaderEpoch()
	for v, err := range mr.Records(b) {
		if err == nil {
			err = m.replay(v.Record, changed)
		}
		if err != nil {
			return fmt.Errorf("batch at %d: %w", b.BaseOffset(), err)
		}
	}
	return nil
}

func (m *metadata) replay(r mr.Record, changed func(id partID, old, now metaPartition, r *mr.PartitionChangeRecord)) error {
	switch r := r.(type) {
	case *mr.BeginTransactionRecord:
		m.saved = m.clone()
	case *mr.EndTransactionRecord:
		m.saved = nil
	case *mr.AbortTransactionRecord:
		if s := m.saved; s != nil {
			m.topics, m.parts, m.brokers, m.facts, m.saved = s.topics, s.parts, s.brokers, s.facts, nil
		}
	case *mr.TopicRecord:
		for id, name := range m.topics {
			if name == r.Name && id != r.TopicID {
				return fmt.Errorf("topic %s is there twice", name)
			}
		}
		m.topics[r.TopicID] = r.Name
	case *mr.RemoveTopicRecord:
		name := m.topics[r.TopicID]
		delete(m.topics, r.TopicID)
		maps.DeleteFunc(m.parts, func(id partID, _ metaPartition) bool { return id.topic == r.TopicID })
		maps.DeleteFunc(m.facts, func(k, _ string) bool { return strings.HasPrefix(k, fmt.Sprintf("config 2 %q ", name)) })
	case *mr.PartitionRecord:
		m.parts[partID{r.TopicID, r.PartitionID}] = metaPartition{replicas: r.Replicas, isr: r.ISR, elr: r.EligibleLeaderReplicas, lastKnown: r.LastKnownELR,
			adding: r.AddingReplicas, removing: r.RemovingReplicas, dirs: r.Directories, leader: r.Leader, leaderEpoch: r.LeaderEpoch, epoch: r.PartitionEpoch, recovery: r.LeaderRecoveryState}
	case *mr.PartitionChangeRecord:
		id := partID{r.TopicID, r.PartitionID}
		old, ok := m.parts[id]
		if !ok {
			return fmt.Errorf("a change of partition %x-%d, which is not there", r.TopicID, r.PartitionID)
		}
		now := old.changed(r)
		m.parts[id] = now
		if changed != nil {
			changed(id, old, now, r)
		}
	case *mr.ClearElrRecord:
		for id, p := range m.parts {
			if r.TopicName == "" || m.topics[id.topic] == r.TopicName {
				p.elr, p.lastKnown = nil, nil
				m.parts[id] = p
			}
		}
	default:
		return m.replayOther(r)
	}
	return nil
}

// changed is the partition after a change.
func (p metaPartition) changed(r *mr.PartitionChangeRecord) metaPartition {
	n := p
	n.epoch++
	if r.Leader != -2 {
		n.leader = r.Leader
		n.leaderEpoch++
	}
	set := func(to *[]int32, v []int32) {
		if v != nil {
			*to = v
		}
	}
	set(&n.replicas, r.Replicas)
	set(&n.isr, r.ISR)
	set(&n.elr, r.EligibleLeaderReplicas)
	set(&n.lastKnown, r.LastKnownELR)
	set(&n.adding, r.AddingReplicas)
	set(&n.removing, r.RemovingReplicas)
	if r.Directories != nil {
		n.dirs = r.Directories
	}
	if r.LeaderRecoveryState >= 0 {
		n.recovery = r.LeaderRecoveryState
	}
	return n
}

// replayOther replays what has no part in the rules of partitions.
func (m *metadata) replayOther(r mr.Record) error {
	put := func(present bool, value any, key string, args ...any) {
		key = fmt.Sprintf(key, args...)
		if present {
			m.facts[key] = fmt.Sprint(value)
		} else {
			delete(m.facts, key)
		}
	}
	switch r := r.(type) {
	case *mr.RegisterBrokerRecord:
		m.brokers[r.BrokerID] = metaBroker{epoch: r.BrokerEpoch, incarnation: r.IncarnationID, fenced: r.Fenced, leaving: r.InControlledShutdown,
			directories: sortedIDs(r.LogDirs), cordoned: fmt.Sprint(r.CordonedLogDirs), facts: fmt.Sprint(r.EndPoints, r.Features, r.IsMigratingZkBroker)}
	case *mr.UnregisterBrokerRecord:
		delete(m.brokers, r.BrokerID)
	case *mr.FenceBrokerRecord:
		return m.changeBroker(r.ID, r.Epoch, func(b *metaBroker) { b.fenced = true })
	case *mr.UnfenceBrokerRecord:
		return m.changeBroker(r.ID, r.Epoch, func(b *metaBroker) { b.fenced = false })
	case *mr.BrokerRegistrationChangeRecord:
		return m.changeBroker(r.BrokerID, r.BrokerEpoch, func(b *metaBroker) {
			b.fenced = r.Fenced > 0 || r.Fenced == 0 && b.fenced
			b.leaving = r.InControlledShutdown > 0 || r.InControlledShutdown == 0 && b.leaving
			if len(r.LogDirs) > 0 {
				b.directories = sortedIDs(r.LogDirs)
			}
			if r.CordonedLogDirs != nil {
				b.cordoned = fmt.Sprint(r.CordonedLogDirs)
			}
		})
	case *mr.RegisterControllerRecord:
		put(true, fmt.Sprint(r.IncarnationID, r.EndPoints, r.Features), "controller %d", r.ControllerID)
	case *mr.UnregisterControllerRecord:
		put(false, nil, "controller %d", r.ControllerID)
	case *mr.FeatureLevelRecord:
		put(r.FeatureLevel > 0, r.FeatureLevel, "feature %s", r.Name)
	case *mr.ConfigRecord:
		value := ""
		if r.Value != nil {
			value = *r.Value
		}
		put(r.Value != nil, value, "config %d %q %s", r.ResourceType, r.ResourceName, r.Name)
	case *mr.ProducerIdsRecord:
		put(true, r.NextProducerID, "producer ids")
	case *mr.ClientQuotaRecord:
		entity := ""
		for _, e := range r.Entity {
			name := "<default>"
			if e.EntityName != nil {
				name = *e.EntityName
			}
			entity += e.EntityType + "=" + name + ","
		}
		put(!r.Remove, r.Value, "quota %s %s", entity, r.Key)
	case *mr.UserScramCredentialRecord:
		put(true, fmt.Sprintf("%x %x %x %d", r.Salt, r.StoredKey, r.ServerKey, r.Iterations), "scram %q %d", r.Name, r.Mechanism)
	case *mr.RemoveUserScramCredentialRecord:
		put(false, nil, "scram %q %d", r.Name, r.Mechanism)
	case *mr.NoOpRecord:
	default:
		return fmt.Errorf("%T is not expected in a simulation", r)
	}
	return nil
}

func (m *metadata) changeBroker(id int32, epoch int64, change func(*metaBroker)) error {
	b, ok := m.brokers[id]
	if !ok || b.epoch != epoch {
		return fmt.Errorf("a change of broker %d with epoch %d, which is not there", id, epoch)
	}
	change(&b)
	m.brokers[id] = b
	return nil
}

func sortedIDs(ids [][16]byte) string {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b [16]byte) int { return slices.Compare(a[:], b[:]) })
	return fmt.Sprintf("%x", ids)
}

// all is everything, each under a key of its own.
func (m *metadata) all() map[string]string {
	out := maps.Clone(m.facts)
	for id, name := range m.topics {
		out[fmt.Sprintf("topic %x", id)] = name
	}
	for id, p := range m.parts {
		// The directories of a replica that moves follow from rules that have tests of their own.
		p.dirs = nil
		out[fmt.Sprintf("partition %s-%d %x", m.topics[id.topic], id.index, id.topic)] = p.String()
	}
	for id, b := range m.brokers {
		out[fmt.Sprint("broker ", id)] = fmt.Sprintf("%+v", b)
	}
	return out
}

// String is the state in words.
func (p metaPartition) String() string {
	return fmt.Sprintf("leader %d in epoch %d/%d, replicas %v +%v -%v, isr %v, elr %v, last known %v, recovery %d", p.leader, p.leaderEpoch, p.epoch, p.replicas, p.adding, p.removing, p.isr, p.elr, p.lastKnown, p.recovery)
}

// differs is the first thing in which two states differ.
func differs(want, got map[string]string) string {
	keys := slices.Sorted(maps.Keys(want))
	for _, k := range keys {
		if g, ok := got[k]; !ok {
			return fmt.Sprintf("%s is missing: %s", k, want[k])
		} else if g != want[k] {
			return fmt.Sprintf("%s is\n%s\nwant\n%s", k, g, want[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok {
			return fmt.Sprintf("%s is there: %s", k, got[k])
		}
	}
	return ""
}
