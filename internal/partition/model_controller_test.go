package partition

import (
	"reflect"
	"slices"
	"strings"
)

// modelState is what the model's controller knows of the one partition.
type modelState struct {
	leader                                         int32
	leaderEpoch, partitionEpoch                    int32
	replicas, isr, elr, lastKnown, adding, removed []int32
}

func (s modelState) clone() modelState {
	for _, l := range []*[]int32{&s.replicas, &s.isr, &s.elr, &s.lastKnown, &s.adding, &s.removed} {
		*l = append([]int32{}, *l...)
	}
	return s
}

// registration is a broker as the controller knows it.
type registration struct {
	epoch  int64
	fenced bool
}

// modelMeta is one state of the metadata. The log of them is what brokers follow.
type modelMeta struct {
	modelState
	brokers []registration
}

// modelController decides as Kafka's does (KIP-497, 841, 903, 966), on one partition.
type modelController struct {
	log    []modelMeta
	minISR int
	epochs int64
	bug    string
}

func (c *modelController) now() *modelMeta { return &c.log[len(c.log)-1] }

func (c *modelController) commit(m modelMeta) { c.log = append(c.log, m) }

func (c *modelController) copied() modelMeta {
	m := *c.now()
	m.modelState = m.clone()
	m.brokers = slices.Clone(m.brokers)
	return m
}

func minus(list []int32, gone ...int32) []int32 {
	return slices.DeleteFunc(slices.Clone(list), func(id int32) bool { return slices.Contains(gone, id) })
}

func plus(list []int32, more ...int32) []int32 {
	out := slices.Clone(list)
	for _, id := range more {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// change gives the partition another ISR and what follows from it.
func (c *modelController) change(m *modelMeta, isr []int32, unclean ...int32) {
	old := c.now().modelState
	if len(m.adding)+len(m.removed) > 0 {
		left, stay := minus(isr, m.removed...), minus(m.replicas, m.removed...)
		enough := len(left) >= min(c.minISR, len(stay)) || strings.HasPrefix(c.bug, "end a reassignment below min.insync.replicas")
		if len(left) > 0 && len(minus(m.adding, left...)) == 0 && enough {
			isr, m.replicas, m.adding, m.removed = left, stay, nil, nil
		}
	}
	if len(isr) >= min(c.minISR, len(m.replicas)) {
		m.elr, m.lastKnown = nil, nil
	} else {
		m.elr = minus(plus(old.elr, old.isr...), append(slices.Clone(isr), unclean...)...)
		if !strings.HasSuffix(c.bug, "keep a removed replica eligible") {
			m.elr = minus(m.elr, minus(m.elr, m.replicas...)...)
		}
	}
	m.isr = isr
	c.elect(m, &old)
	if m.leader == -1 && old.leader != -1 {
		m.lastKnown = []int32{old.leader}
	} else if m.leader != -1 {
		m.lastKnown = nil
	}
	if m.leader != old.leader || len(minus(old.replicas, m.replicas...)) > 0 {
		m.leaderEpoch++
	}
	if !reflect.DeepEqual(m.clone(), old.clone()) {
		m.partitionEpoch++
	}
	c.commit(*m)
}

func (c *modelController) elect(m *modelMeta, old *modelState) {
	live := func(id int32) bool { return !m.brokers[id].fenced }
	good := func(id int32) bool {
		return live(id) && (slices.Contains(m.isr, id) || len(m.isr) == 0 && slices.Contains(m.elr, id))
	}
	if c.bug == "elect any replica" {
		good = live
	}
	if old.leader >= 0 && good(old.leader) && slices.Contains(m.replicas, old.leader) {
		return
	}
	m.leader = -1
	for _, id := range m.replicas {
		if good(id) {
			m.leader = id
			if !slices.Contains(m.isr, id) {
				m.isr, m.elr = []int32{id}, minus(m.elr, id)
			}
			return
		}
	}
	if len(m.isr)+len(m.elr) == 0 && len(old.lastKnown) == 1 && live(old.lastKnown[0]) {
		m.leader, m.isr = old.lastKnown[0], []int32{old.lastKnown[0]}
	}
}

// fence takes a broker out.
func (c *modelController) fence(id int32) {
	m := c.copied()
	if m.brokers[id].fenced {
		return
	}
	m.brokers[id].fenced = true
	c.change(&m, minus(m.isr, id))
}

// register takes a new process of a broker. One that knows the epoch of the process before has all that this had.
func (c *modelController) register(id int32, previous int64) int64 {
	m := c.copied()
	clean := previous == m.brokers[id].epoch
	c.epochs++
	m.brokers[id] = registration{epoch: c.epochs, fenced: true}
	if clean || c.bug == "keep a replica that died unclean" {
		c.change(&m, minus(m.isr, id))
	} else {
		c.change(&m, minus(m.isr, id), id)
	}
	return c.epochs
}

func (c *modelController) unfence(id int32) {
	m := c.copied()
	if !m.brokers[id].fenced {
		return
	}
	m.brokers[id].fenced = false
	c.change(&m, slices.Clone(m.isr))
}

// reassign begins to move the partition to target.
func (c *modelController) reassign(target []int32) {
	m := c.copied()
	current := minus(m.replicas, m.adding...)
	m.removed, m.adding = minus(current, target...), minus(target, current...)
	m.replicas = plus(target, m.removed...)
	isr := minus(m.isr, minus(c.now().replicas, m.replicas...)...)
	if len(isr) == 0 {
		return
	}
	c.change(&m, isr)
}

// alter answers AlterPartition.
func (c *modelController) alter(from int32, p *Proposal) Verdict {
	m := c.copied()
	switch {
	case p.LeaderEpoch < m.leaderEpoch:
		return Verdict{Err: codeFenced}
	case p.LeaderEpoch > m.leaderEpoch || from != m.leader:
		return Verdict{Err: codeInvalid}
	case p.PartitionEpoch < m.partitionEpoch && c.bug != "take a proposal of an old partition epoch":
		return Verdict{Err: codeVersion}
	}
	var isr []int32
	for _, member := range p.ISR {
		b := m.brokers[member.ID]
		if (b.fenced || member.BrokerEpoch != -1 && member.BrokerEpoch != b.epoch) && c.bug != "count a fenced replica" {
			return Verdict{Err: codeIneligible}
		}
		isr = append(isr, member.ID)
	}
	if len(minus(isr, m.replicas...)) > 0 {
		return Verdict{Err: codeInvalid}
	}
	c.change(&m, isr)
	if m = c.copied(); m.leader != from {
		return Verdict{Err: codeElected}
	}
	return Verdict{Leader: m.leader, LeaderEpoch: m.leaderEpoch, PartitionEpoch: m.partitionEpoch, ISR: m.isr}
}
