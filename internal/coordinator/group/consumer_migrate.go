package group

import (
	"fmt"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/group/consumer"
	"github.com/weir-stream/weir/internal/wire"
)

// upgrade makes the members of a classic group those of a new consumer group, if it may become one while it has members
// (group.consumer.migration.policy). It returns the records of that; they count in the new group, and the classic one is left
// as it is.
func (m *machine) upgrade(tx *coordinator.Tx, from *classicGroup, to *consumer.Group) ([]consumer.Record, error) {
	cannot := func(why string) error {
		m.sh.Logger().Info("the classic group cannot become a consumer group", "group", from.id, "reason", why)
		return &consumer.Refusal{Code: wire.GroupIdNotFound, Message: fmt.Sprintf("Cannot upgrade classic group %s to consumer group because %s.", from.id, why)}
	}
	switch {
	case m.c.cfg.Consumer.NoUpgrade:
		return nil, cannot("online upgrade is disabled")
	case !from.usesConsumerProtocol():
		return nil, cannot("the group does not use the consumer embedded protocol")
	case len(from.members) > m.c.cfg.Consumer.MaxSize:
		return nil, cannot("the group size exceeds the consumer group maximum size")
	}
	members := make([]consumer.ClassicMember, 0, len(from.order))
	for _, mem := range from.order {
		c := consumer.ClassicMember{
			ID: mem.id, InstanceID: mem.instanceID, ClientID: mem.clientID, ClientHost: mem.clientHost, RebalanceMs: mem.rebalanceMs,
			Classic: consumer.Classic{SessionMs: mem.sessionMs, Protocols: consumerProtocols(mem.protocols)}, Assignment: mem.assignment,
		}
		if c.Metadata = mem.metadata(from.protocolName()); from.protocol == nil {
			c.Metadata = mem.protocols[0].metadata // before the first generation
		}
		members = append(members, c)
	}
	records, err := to.Upgrade(from.generation, members, m.view())
	if err != nil {
		m.sh.Logger().Warn("the classic group cannot become a consumer group", "group", from.id, "error", err)
		return nil, err
	}
	m.sh.Logger().Info("the classic group becomes a consumer group", "group", from.id)
	return records, nil
}

// mayDowngrade reports whether the group may become a classic one without the members that go, of which size are left.
func (m *machine) mayDowngrade(g *consumerGroup, gone []*consumer.Member, size int) bool {
	return !m.c.cfg.Consumer.NoDowngrade && size > 0 && size <= m.c.cfg.MaxSize && g.OnlyClassicWithout(gone)
}

// downgrade makes a classic group of a consumer group when the last members go that use the consumer protocol, and reports
// whether it has. The classic group rebalances.
func (m *machine) downgrade(tx *coordinator.Tx, g *consumerGroup, gone []*consumer.Member) bool {
	if !m.mayDowngrade(g, gone, g.Len()-len(gone)) {
		return false
	}
	members := g.Downgraded(gone, nil, m.view())
	generation := g.Epoch()
	m.writeConsumer(tx, g, g.Tombstones())
	classic := m.becomeClassic(tx, g, members, generation)
	m.prepareRebalance(tx, classic, "the last member that uses the consumer protocol has gone")
	return true
}

// downgradeWith does it when a member of the classic protocol takes the place of the last static one of the other.
func (m *machine) downgradeWith(tx *coordinator.Tx, g *consumerGroup, joined *consumer.Joined) {
	members := g.Downgraded(nil, joined, m.view())
	m.writeConsumer(tx, g, joined.Records)
	generation := g.Epoch()
	m.writeConsumer(tx, g, g.Tombstones())
	classic := m.becomeClassic(tx, g, members, generation)
	if joined.Rebalance {
		m.prepareRebalance(tx, classic, "the consumer group that became this had a stale assignment")
	}
}

// becomeClassic puts a stable classic group in the place of a consumer group that has ended.
func (m *machine) becomeClassic(tx *coordinator.Tx, g *consumerGroup, members []consumer.ClassicMember, generation int32) *classicGroup {
	c := newClassicGroup(g.ID, tx.NowMs())
	c.state, c.generation = stateStable, generation
	for _, cm := range members {
		mem := &member{
			id: cm.ID, instanceID: cm.InstanceID, clientID: cm.ClientID, clientHost: cm.ClientHost, rebalanceMs: cm.RebalanceMs,
			sessionMs: cm.SessionMs, protocolType: consumerProtocolType, assignment: cm.Assignment,
		}
		for _, p := range cm.Protocols {
			mem.protocols = append(mem.protocols, protocol{p.Name, p.Metadata})
		}
		c.add(mem)
	}
	name := c.selectProtocol()
	c.protocol = &name
	c.computeSubscribed()
	m.groups[g.ID] = c
	tx.Undo(func() {
		if m.groups[g.ID] == c {
			delete(m.groups, g.ID)
		}
		m.abandon(c, wire.CoordinatorNotAvailable)
	})
	m.writeGroup(tx, c, nil)
	for _, mem := range c.order {
		m.beat(c, mem)
	}
	m.sh.Logger().Info("the consumer group becomes a classic group", "group", g.ID, "members", len(members))
	return c
}
