package replica

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// Config is what a Manager needs.
type Config struct {
	NodeID  int32
	Logs    *log.Manager
	Logger  *slog.Logger
	Metrics *telemetry.Registry
}

// Manager holds all replicas of a broker. Safe for concurrent use; Apply and the calls that change replicas are
// made by one publisher at a time.
type Manager struct {
	nodeID int32
	logs   *log.Manager
	logger *slog.Logger
	topics *registry
	stats  *telemetry.Registry

	// apply is held while logs are opened: changes come one at a time.
	apply lifecycle.IOLock
}

// New returns a manager without replicas.
func New(cfg Config) *Manager {
	return &Manager{nodeID: cfg.NodeID, logs: cfg.Logs, logger: cfg.Logger, topics: newRegistry(), apply: lifecycle.NewIOLock(), stats: cfg.Metrics}
}

// Change is news of one partition that this broker holds, or held, a replica of.
type Change struct {
	Topic     string
	TopicID   wire.TopicID
	Index     int32
	Removed   bool // the topic is gone or the replica was given to others
	Role      partition.Role
	Directory [16]byte // where the log is or has to be made; zero: anywhere
	MinInSync int32
}

// Apply brings the replicas in line with a change. It opens or makes the log when needed; a directory that fails
// leaves the replica offline, which is no error here. It returns what the caller must pass on: whether this
// broker newly leads the partition, or has stopped leading it.
func (m *Manager) Apply(c Change) (elected, resigned bool, err error) {
	m.apply.Lock()
	defer m.apply.Unlock()
	old := m.lookup(c.TopicID, c.Index)
	if c.Removed {
		return false, m.remove(old, c), nil
	}
	r := old
	if r == nil {
		r = &Replica{Topic: c.Topic, TopicID: c.TopicID, Index: c.Index, stats: m.stats.Topic(c.Topic)}
	} else if !c.Role.Supersedes(r.role.Load()) && r.log.Load() != nil {
		return false, false, nil
	}
	l, err := m.openLog(r, c)
	led := old != nil && old.role.Load().Leads()
	newEpoch := old == nil || old.role.Load().LeaderEpoch != c.Role.LeaderEpoch || r.log.Load() == nil
	if l != nil && newEpoch {
		if err = m.takeRole(l, &c.Role); err != nil {
			l = nil
		}
	}
	role := c.Role
	r.role.Store(&role)
	r.minInSync.Store(c.MinInSync)
	r.log.Store(l)
	if old == nil {
		m.topics.put(r)
	} else {
		r.changed()
	}
	if l != nil && role.Leads() {
		end := l.LogEndOffset()
		if l.SyncsBeforeAck() {
			end = l.FlushedOffset()
		}
		m.advance(r, &role, l, end, 0)
	}
	leads := l != nil && role.Leads()
	return leads && newEpoch, led && (!leads || newEpoch), err
}

// takeRole tells the log who may append to it from now on.
func (m *Manager) takeRole(l *log.Log, role *partition.Role) error {
	if !role.Leads() {
		l.BecomeFollower(role.LeaderEpoch)
		return nil
	}
	if _, err := l.BecomeLeader(role.LeaderEpoch); err != nil {
		return fmt.Errorf("lead %v in epoch %d: %w", l.TopicPartition(), role.LeaderEpoch, err)
	}
	return nil
}

// openLog returns the replica's log, making it if it is not there. Nil means that its directory is offline.
func (m *Manager) openLog(r *Replica, c Change) (*log.Log, error) {
	if l := r.log.Load(); l != nil {
		return l, nil
	}
	tp := log.TopicPartition{Topic: c.Topic, Partition: c.Index}
	l, err := m.logs.Open(tp, c.TopicID, c.Directory)
	if errors.Is(err, wire.InconsistentTopicId) {
		// The directory is that of an earlier topic of the same name, whose deletion came while this broker was down.
		m.logger.Warn("removing the log of a deleted topic of the same name", "partition", tp.String())
		if err = m.logs.Delete(tp); err == nil {
			l, err = m.logs.Open(tp, c.TopicID, c.Directory)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open log of %v: %w", tp, err)
	}
	return l, nil
}

func (m *Manager) remove(r *Replica, c Change) (resigned bool) {
	if r == nil {
		return false
	}
	resigned = r.role.Load().Leads()
	if m.topics.remove(r) {
		m.stats.RemoveTopic(r.Topic)
	}
	gone := *r.role.Load()
	gone.Leader = -1
	r.role.Store(&gone)
	r.log.Store(nil)
	r.changed()
	tp := log.TopicPartition{Topic: c.Topic, Partition: c.Index}
	if err := m.logs.Delete(tp); err != nil {
		m.logger.Error("log of a removed partition stays behind", "partition", tp.String(), "err", err)
	}
	return resigned
}

// DirectoryFailed takes the replicas whose logs lie in a directory offline and returns them.
func (m *Manager) DirectoryFailed(id [16]byte) []*Replica {
	m.apply.Lock()
	defer m.apply.Unlock()
	var lost []*Replica
	m.topics.each(func(r *Replica) bool {
		if l := r.log.Load(); l != nil && l.Dir().ID == id {
			r.log.Store(nil)
			r.changed()
			lost = append(lost, r)
		}
		return true
	})
	return lost
}

// LogMoved takes over a log that was swapped in from another directory.
func (m *Manager) LogMoved(tp log.TopicPartition) {
	m.apply.Lock()
	defer m.apply.Unlock()
	t := m.topics.named(tp.Topic)
	if t == nil {
		return
	}
	r, l := t.partition(tp.Partition), m.logs.Get(tp)
	if r == nil || l == nil || r.log.Load() == l {
		return
	}
	r.log.Store(l)
	r.changed()
}

// SetMinInSync changes min.insync.replicas of a topic.
func (m *Manager) SetMinInSync(topic string, n int32) {
	if t := m.topics.named(topic); t != nil {
		for _, r := range *t.partitions.Load() {
			if r != nil {
				r.minInSync.Store(n)
			}
		}
	}
}

func (m *Manager) lookup(id wire.TopicID, index int32) *Replica {
	if t := m.topics.identified(id); t != nil {
		return t.partition(index)
	}
	return nil
}

// Find returns the replica of a partition by its topic's id or name, the topic's name if it is known here, and
// None or the code that says what is not known.
func (m *Manager) Find(name string, id wire.TopicID, index int32, byID bool) (*Replica, string, wire.Code) {
	var t *topicEntry
	if byID {
		if t = m.topics.identified(id); t == nil {
			return nil, "", wire.UnknownTopicId
		}
	} else if t = m.topics.named(name); t == nil {
		return nil, name, wire.UnknownTopicOrPartition
	}
	if r := t.partition(index); r != nil {
		return r, t.name, wire.None
	}
	return nil, t.name, wire.UnknownTopicOrPartition
}

// Each calls f for every replica until it returns false.
func (m *Manager) Each(f func(*Replica) bool) { m.topics.each(f) }
