package group

import (
	"slices"
	"time"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/group/consumer"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/wire"
)

// consumerType is the type of groups of the consumer protocol (KIP-848).
const consumerType = "consumer"

// consumerGroup is a consumer group with what is not in the log: deadlines, and whether its regular expressions are being
// resolved. A deadline that comes when its group or member is not there any more does nothing, so that none has to be taken
// back with the records of an operation.
type consumerGroup struct {
	*consumer.Group
	timers    map[string]*memberTimers // by member id
	resolving bool
}

// memberTimers are the deadlines of one member: to be heard of, to give partitions back, and with the classic protocol to join
// and to sync.
type memberTimers struct {
	session, revoke, join, sync coordinator.Timer
}

func newConsumerGroup(g *consumer.Group) *consumerGroup {
	return &consumerGroup{Group: g, timers: map[string]*memberTimers{}}
}

func (g *consumerGroup) timersOf(id string) *memberTimers {
	t := g.timers[id]
	if t == nil {
		t = &memberTimers{}
		g.timers[id] = t
	}
	return t
}

// replayConsumer takes over one record of a consumer group while the shard is loaded.
func (m *machine) replayConsumer(id string, r consumer.Record) {
	g := m.consumers[id]
	switch {
	case r.Ends():
		delete(m.consumers, id)
		return
	case g == nil && r.Value == nil:
		return
	case g == nil:
		delete(m.groups, id) // its offsets were read first
		g = newConsumerGroup(consumer.New(id))
		m.consumers[id] = g
	}
	g.Apply(r)
}

// loadConsumers gives the members of loaded groups their deadlines anew.
func (m *machine) loadConsumers() {
	for _, g := range m.consumers {
		for _, mem := range g.Members() {
			m.beatConsumer(g, mem)
			if mem.State == consumer.Unrevoked && mem.Classic == nil {
				m.awaitRevocation(g, mem.ID, mem.Epoch, mem.RebalanceMs)
			}
		}
	}
}

// addConsumer makes a consumer group of the shard's.
func (m *machine) addConsumer(tx *coordinator.Tx, g *consumerGroup) {
	m.consumers[g.ID] = g
	tx.Undo(func() {
		if m.consumers[g.ID] == g {
			delete(m.consumers, g.ID)
		}
	})
	m.scheduleCleanup()
}

// writeConsumer writes records of a consumer group and makes them count.
func (m *machine) writeConsumer(tx *coordinator.Tx, g *consumerGroup, records []consumer.Record) {
	for _, r := range records {
		key, value := r.Encode()
		tx.Append(key, value)
		if r.Ends() {
			delete(m.consumers, g.ID)
			tx.Undo(func() { m.consumers[g.ID] = g })
			continue
		}
		tx.Undo(g.Apply(r))
	}
}

// env is what operations on the group have to know.
func (m *machine) env(tx *coordinator.Tx, g *consumerGroup) *consumer.Env {
	s := m.c.groupSettings(g.ID)
	return &consumer.Env{
		NowMs: tx.NowMs(), Topics: m.view(), MaxSize: m.c.cfg.Consumer.MaxSize, AssignmentIntervalMs: s.AssignmentInterval.Milliseconds(),
		RegexRefreshMs: m.c.cfg.Consumer.RegexRefresh.Milliseconds(), Assignors: m.c.cfg.Consumer.Assignors, Resolving: g.resolving,
		NewMemberID: m.c.cfg.NewMemberID,
	}
}

// alive reports whether the group is still one of the shard's.
func (m *machine) alive(g *consumerGroup) bool { return m.consumers[g.ID] == g }

// beatConsumer begins the session of a member anew. That of a classic member is as long as it said.
func (m *machine) beatConsumer(g *consumerGroup, mem *consumer.Member) {
	d := m.c.groupSettings(g.ID).SessionTimeout
	if mem.Classic != nil {
		d = millis(mem.Classic.SessionMs)
	}
	m.fenceAfter(g, &g.timersOf(mem.ID).session, d, mem.ID, "it was not heard of within its session time-out")
}

// fenceAfter fences the member after d, unless the timer is cancelled or set anew before.
func (m *machine) fenceAfter(g *consumerGroup, t *coordinator.Timer, d time.Duration, id, reason string) {
	m.sh.Schedule(t, d, func(tx *coordinator.Tx) { m.expireConsumer(tx, g, id, reason) })
}

func (m *machine) expireConsumer(tx *coordinator.Tx, g *consumerGroup, id, reason string) {
	if !m.alive(g) {
		return
	}
	mem := g.Member(id)
	if mem == nil {
		g.forgetTimers(id)
		return
	}
	m.sh.Logger().Info("member is fenced", "group", g.ID, "member", id, "reason", reason)
	m.fence(tx, g, []*consumer.Member{mem})
}

// forgetTimers drops the deadlines of a member that is no more, once none is set.
func (g *consumerGroup) forgetTimers(id string) {
	if t := g.timers[id]; t != nil && !t.session.Scheduled() && !t.revoke.Scheduled() && !t.join.Scheduled() && !t.sync.Scheduled() {
		delete(g.timers, id)
	}
}

// awaitRevocation gives the member so long to leave the epoch.
func (m *machine) awaitRevocation(g *consumerGroup, id string, epoch, rebalanceMs int32) {
	m.sh.Schedule(&g.timersOf(id).revoke, millis(rebalanceMs), func(tx *coordinator.Tx) {
		if mem := g.Member(id); m.alive(g) && mem != nil && mem.Epoch == epoch {
			m.expireConsumer(tx, g, id, "it did not give partitions back in time")
		} else {
			g.forgetTimers(id)
		}
	})
}

// fence removes members, for whatever reason. If only members of the classic protocol are left, the group may become a classic
// one.
func (m *machine) fence(tx *coordinator.Tx, g *consumerGroup, gone []*consumer.Member) {
	tx.Undo(func() {
		for _, mem := range gone { // they are there again, and somebody has to notice when they are not
			m.beatConsumer(g, mem)
		}
	})
	if m.downgrade(tx, g, gone) {
		return
	}
	m.writeConsumer(tx, g, g.Fence(m.env(tx, g), gone))
}

// changedTopics are topics whose partitions, or where they are, have changed; or that are new, or no more.
type changedTopics struct {
	names   []string
	version int64 // of the metadata
	created bool
}

func newChangedTopics(d *image.Delta, version int64) changedTopics {
	c := changedTopics{version: version}
	for _, t := range d.Topics {
		switch {
		case t.Old == nil:
			c.created = true
		case t.New != nil && samePlaces(t.Old, t.New):
			continue
		}
		if t.New != nil {
			c.names = append(c.names, t.New.Name)
		} else {
			c.names = append(c.names, t.Old.Name)
		}
	}
	return c
}

// samePlaces reports whether both have the same partitions on the same brokers.
func samePlaces(a, b *image.Topic) bool {
	return a.ID == b.ID && slices.EqualFunc(a.Partitions, b.Partitions, func(p, q *image.Partition) bool { return slices.Equal(p.Replicas, q.Replicas) })
}

// topicsChanged has the consumer groups that want the topics look at them again.
func (m *machine) topicsChanged(c changedTopics) {
	if c.created {
		m.newTopics = max(m.newTopics, c.version)
	}
	for _, name := range c.names {
		delete(m.hashes, name)
		for _, g := range m.consumers {
			if g.Subscribes(name) {
				g.Refresh()
			}
		}
	}
}

// topicView is the metadata as an operation sees it.
type topicView struct {
	img *image.Image
	m   *machine
}

// topicHash is the hash of a topic as it was.
type topicHash struct {
	of   *image.Topic
	hash uint64
}

func (m *machine) view() topicView { return topicView{m.c.deps.Image(), m} }

func viewed(t *image.Topic) (consumer.Topic, bool) {
	if t == nil {
		return consumer.Topic{}, false
	}
	return consumer.Topic{ID: t.ID, Name: t.Name, Partitions: int32(len(t.Partitions))}, true
}

// Topic implements consumer.Topics.
func (v topicView) Topic(name string) (consumer.Topic, bool) { return viewed(v.img.TopicByName(name)) }

// TopicByID implements consumer.Topics.
func (v topicView) TopicByID(id wire.TopicID) (consumer.Topic, bool) {
	return viewed(v.img.TopicByID(id))
}

// NewTopicsVersion implements consumer.Topics.
func (v topicView) NewTopicsVersion() int64 { return v.m.newTopics }

// Hash implements consumer.Topics. As in Apache Kafka, a broker that changes its rack shows with the next change of the topic.
func (v topicView) Hash(name string) uint64 {
	t := v.img.TopicByName(name)
	if t == nil {
		return 0
	}
	if h, ok := v.m.hashes[name]; ok && (h.of == t || samePlaces(h.of, t)) {
		return h.hash
	}
	seen, _ := viewed(t)
	h := consumer.TopicHash(seen, func(p int32) []string {
		var racks []string
		for _, id := range t.Partitions[p].Replicas {
			if b := v.img.Broker(id); b != nil && b.Rack != nil {
				racks = append(racks, *b.Rack)
			}
		}
		return racks
	})
	v.m.hashes[name] = topicHash{t, h}
	return h
}
