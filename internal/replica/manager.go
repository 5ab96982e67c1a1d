package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/quota"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// Settings are those of replication, as they are at present.
type Settings struct {
	LagMax            time.Duration // replica.lag.time.max.ms
	Fetchers          int           // num.replica.fetchers
	FetchMaxBytes     int32         // replica.fetch.max.bytes, of a partition
	ResponseMaxBytes  int32         // replica.fetch.response.max.bytes
	FetchMinBytes     int32         // replica.fetch.min.bytes
	FetchWaitMax      time.Duration // replica.fetch.wait.max.ms
	FetchBackoff      time.Duration // replica.fetch.backoff.ms: the longest pause after failures
	RackAwareSelector bool          // replica.selector.class
	// LeaderThrottle and FollowerThrottle are the rates of throttled replicas, in bytes a second.
	LeaderThrottle, FollowerThrottle int64
}

func defaultSettings() Settings {
	return Settings{LagMax: 30 * time.Second, Fetchers: 1, FetchMaxBytes: 1 << 20, ResponseMaxBytes: 10 << 20, FetchMinBytes: 1,
		FetchWaitMax: 500 * time.Millisecond, FetchBackoff: time.Second, LeaderThrottle: math.MaxInt64, FollowerThrottle: math.MaxInt64}
}

// Config is what a Manager needs. A broker that is alone does without Settings, Alive and Rack.
type Config struct {
	NodeID  int32
	Logs    *log.Manager
	Logger  *slog.Logger
	Metrics *telemetry.Registry

	Settings func() Settings
	// ThrottleWindow is what the rates of throttled replicas are measured over [11 windows of 1 s].
	ThrottleWindow quota.Window
	// Alive and Rack tell of other brokers what the metadata has. They are called under a replica's lock.
	Alive partition.Alive
	Rack  func(broker int32) string
}

// Manager holds all replicas of a broker. Safe for concurrent use; Apply and the calls that change replicas are
// made by one publisher at a time.
type Manager struct {
	nodeID   int32
	logs     *log.Manager
	logger   *slog.Logger
	topics   *registry
	stats    *telemetry.Registry
	settings func() Settings
	alive    partition.Alive
	rack     func(int32) string
	now      func() time.Time

	isr      *isrSender
	changer  ISRChanger // set by Start
	fetchers *fetchers

	leaderThrottle, followerThrottle *throttle

	shrinks, expands, failedUpdates *telemetry.Counter

	// apply is held while logs are opened: changes come one at a time.
	apply lifecycle.IOLock
}

// New returns a manager without replicas.
func New(cfg Config) *Manager {
	m := &Manager{nodeID: cfg.NodeID, logs: cfg.Logs, logger: cfg.Logger, topics: newRegistry(), apply: lifecycle.NewIOLock(), stats: cfg.Metrics,
		settings: cfg.Settings, alive: cfg.Alive, rack: cfg.Rack, now: time.Now}
	if m.settings == nil {
		standard := defaultSettings()
		m.settings = func() Settings { return standard }
	}
	if m.alive == nil {
		m.alive = func(int32) (int64, bool) { return -1, false }
	}
	if m.rack == nil {
		m.rack = func(int32) string { return "" }
	}
	window := cfg.ThrottleWindow
	if window == (quota.Window{}) {
		window = quota.Window{Samples: 11, Size: time.Second}
	}
	m.leaderThrottle = newThrottle(window, func() int64 { return m.settings().LeaderThrottle })
	m.followerThrottle = newThrottle(window, func() int64 { return m.settings().FollowerThrottle })
	m.isr, m.fetchers = newISRSender(m), newFetchers(m)
	m.declareMetrics()
	return m
}

// Cluster is how a broker reaches the others.
type Cluster struct {
	ISR ISRChanger
	// Epoch is this broker's epoch, by which leaders tell its processes apart (KIP-903).
	Epoch func() int64
	// Peer makes a client to a broker as the metadata has its address now. The caller closes it.
	Peer func(broker int32) (*peer.Client, error)
}

// Start lets the replicas follow their leaders and change their ISRs, until the group stops. The broker is registered by
// then.
func (m *Manager) Start(g *lifecycle.Group, c Cluster) {
	m.changer = c.ISR
	g.Go("isr changes", m.isr.run)
	g.Go("isr shrinks", m.watchISRs)
	m.fetchers.start(g, c)
}

// watchISRs looks for followers that lag, twice in the time that is allowed, as Kafka does.
func (m *Manager) watchISRs(ctx context.Context) {
	for pause(ctx, m.settings().LagMax/2) {
		m.topics.each(func(r *Replica) bool {
			m.shrinkISR(r)
			return true
		})
	}
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
	r.minInSync.Store(c.MinInSync)
	l, err := m.openLog(r, c)
	led := old != nil && old.role.Load().Leads()
	newEpoch := old == nil || old.role.Load().LeaderEpoch != c.Role.LeaderEpoch || r.log.Load() == nil
	if newEpoch || l == nil {
		if err2 := m.takeRole(r, l, &c.Role, led && r.log.Load() != nil); err2 != nil {
			l, err = nil, err2
		}
	} else {
		m.updateRole(r, &c.Role)
	}
	if old == nil {
		m.topics.put(r)
	} else {
		r.changed()
	}
	leads := l != nil && c.Role.Leads()
	if leads {
		m.advance(r, l, 0)
	}
	return leads && newEpoch, led && (!leads || newEpoch), err
}

// takeRole begins another leader epoch. A leader that goes on as the leader keeps the writes that wait.
func (m *Manager) takeRole(r *Replica, l *log.Log, role *partition.Role, led bool) error {
	m.fetchers.remove(r)
	var leader *partition.Leader
	if l != nil && role.Leads() {
		start, err := l.BecomeLeader(role.LeaderEpoch)
		if err != nil {
			m.setRole(r, nil, role, nil)
			return fmt.Errorf("lead %v in epoch %d: %w", l.TopicPartition(), role.LeaderEpoch, err)
		}
		leader = partition.NewLeader(role, start, m.settings().LagMax, m.now())
		if !led {
			r.ledSince.Store(role.LeaderEpoch)
		}
	} else if l != nil {
		// Who waits for a commit must not be told of one that the next leader's records bring: the role goes first.
		m.setRole(r, l, role, nil)
		l.BecomeFollower(role.LeaderEpoch)
	}
	m.setRole(r, l, role, leader)
	if l != nil && !role.Leads() && role.Leader >= 0 {
		m.fetchers.add(r, role)
	}
	return nil
}

func (m *Manager) setRole(r *Replica, l *log.Log, role *partition.Role, leader *partition.Leader) {
	own := *role
	r.mu.Lock()
	r.leader = leader
	r.role.Store(&own)
	r.log.Store(l)
	r.mu.Unlock()
}

// updateRole takes over news in the same leader epoch.
func (m *Manager) updateRole(r *Replica, role *partition.Role) {
	own := *role
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leader == nil {
		r.role.Store(&own)
		return
	}
	r.leader.Update(&own, m.now())
	r.role.Store(r.leader.Role())
}

// openLog returns the replica's log, making it if it is not there. Nil means that its directory is offline.
func (m *Manager) openLog(r *Replica, c Change) (*log.Log, error) {
	tp := log.TopicPartition{Topic: c.Topic, Partition: c.Index}
	if l := r.log.Load(); l != nil && l.TopicID() == c.TopicID {
		return l, nil
	}
	id := c.TopicID
	if l := m.logs.Get(tp); l != nil && l.TopicID() == (wire.TopicID{}) && !c.Role.Leads() {
		// A power cut took the new log's partition.metadata, and it may be that of an earlier topic of the same name. A
		// follower has nothing to lose and begins anew; without a leader it stays what it is, under no id, until one is known.
		if c.Role.Leader < 0 {
			id = wire.TopicID{}
		} else {
			m.logger.Warn("a log that names no topic begins anew as the leader has it", "partition", tp.String())
			if err := m.logs.Delete(tp); err != nil {
				return nil, fmt.Errorf("log of %v: %w", tp, err)
			}
		}
	}
	l, err := m.logs.Open(tp, id, c.Directory)
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
	m.fetchers.remove(r)
	gone := *r.role.Load()
	gone.Leader = -1
	m.setRole(r, nil, &gone, nil)
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
			m.fetchers.remove(r)
			m.setRole(r, nil, r.role.Load(), nil)
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
	r.mu.Lock()
	r.log.Store(l)
	r.mu.Unlock()
	if role := r.role.Load(); !role.Leads() && role.Leader >= 0 {
		m.fetchers.remove(r)
		m.fetchers.add(r, role)
	}
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
