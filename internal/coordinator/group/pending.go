package group

import (
	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// Transaction says in which producer's transaction offsets are committed (KIP-98): they count from its commit on.
type Transaction struct {
	ProducerID int64
	Epoch      int16
	// Guard is what the log of the group's partition gave when it was asked whether the transaction has begun there.
	Guard log.VerificationGuard
}

// offsetPlace names one offset of a group.
type offsetPlace struct {
	group, topic string
	partition    int32
}

// pendingOffsets are the offsets that were committed within transactions that have not ended.
//
// Invariant: byGroup has, for each group and producer, how many offsets of the group the producer's transaction holds; no
// zeros and no empty maps.
type pendingOffsets struct {
	byProducer map[int64]map[offsetPlace]offset
	byGroup    map[string]map[int64]int
}

func newPendingOffsets() pendingOffsets {
	return pendingOffsets{byProducer: map[int64]map[offsetPlace]offset{}, byGroup: map[string]map[int64]int{}}
}

// put stores an offset; it keeps the strings.
func (p *pendingOffsets) put(producer int64, at offsetPlace, o offset) (before offset, had bool) {
	offsets := p.byProducer[producer]
	if offsets == nil {
		offsets = map[offsetPlace]offset{}
		p.byProducer[producer] = offsets
	}
	if before, had = offsets[at]; !had {
		if p.byGroup[at.group] == nil {
			p.byGroup[at.group] = map[int64]int{}
		}
		p.byGroup[at.group][producer]++
	}
	offsets[at] = o
	return before, had
}

func (p *pendingOffsets) remove(producer int64, at offsetPlace) {
	offsets := p.byProducer[producer]
	if _, ok := offsets[at]; !ok {
		return
	}
	if delete(offsets, at); len(offsets) == 0 {
		delete(p.byProducer, producer)
	}
	producers := p.byGroup[at.group]
	if producers[producer]--; producers[producer] == 0 {
		delete(producers, producer)
	}
	if len(producers) == 0 {
		delete(p.byGroup, at.group)
	}
}

// take removes and returns all that a producer's transaction holds.
func (p *pendingOffsets) take(producer int64) map[offsetPlace]offset {
	offsets := p.byProducer[producer]
	delete(p.byProducer, producer)
	for at := range offsets {
		producers := p.byGroup[at.group]
		if delete(producers, producer); len(producers) == 0 {
			delete(p.byGroup, at.group)
		}
	}
	return offsets
}

// open reports whether a transaction holds offsets of the group.
func (p *pendingOffsets) open(group string) bool { return len(p.byGroup[group]) > 0 }

// has reports whether a transaction holds that offset.
func (p *pendingOffsets) has(at offsetPlace) bool {
	for producer := range p.byGroup[at.group] {
		if _, ok := p.byProducer[producer][at]; ok {
			return true
		}
	}
	return false
}

// of lists the offsets of a group that transactions hold, each once.
func (p *pendingOffsets) of(group string) map[offsetPlace]struct{} {
	out := map[offsetPlace]struct{}{}
	for producer := range p.byGroup[group] {
		for at := range p.byProducer[producer] {
			if at.group == group {
				out[at] = struct{}{}
			}
		}
	}
	return out
}

// drop removes an offset from all transactions and returns what puts it back.
func (p *pendingOffsets) drop(at offsetPlace) (undo func()) {
	gone := map[int64]offset{}
	for producer := range p.byGroup[at.group] {
		if o, ok := p.byProducer[producer][at]; ok {
			gone[producer] = o
		}
	}
	for producer := range gone {
		p.remove(producer, at)
	}
	return func() {
		for producer, o := range gone {
			p.put(producer, at, o)
		}
	}
}

// dropHeld takes an offset out of the transactions that hold it, since it is deleted.
func (m *machine) dropHeld(tx *coordinator.Tx, at offsetPlace) {
	if m.pending.has(at) {
		tx.Undo(m.pending.drop(at))
	}
}

// removePending deletes an offset that is in transactions only, with its tombstone.
func (m *machine) removePending(tx *coordinator.Tx, at offsetPlace) {
	m.dropHeld(tx, at)
	tx.Append(offsetKey(at.group, at.topic, at.partition), nil)
}

// commitPending stores one offset of a transaction.
func (m *machine) commitPending(tx *coordinator.Tx, producer int64, at offsetPlace, v offset) {
	before, had := m.pending.put(producer, at, v)
	tx.Append(offsetKey(at.group, at.topic, at.partition), offsetValue(v))
	tx.Undo(func() {
		if had {
			m.pending.put(producer, at, before)
		} else {
			m.pending.remove(producer, at)
		}
	})
}

// endPending ends a transaction: its offsets count from now on, or never. An offset that was committed later, outside of the
// transaction, stays. It returns what takes this back.
func (m *machine) endPending(producer int64, commit bool) (undo func()) {
	offsets := m.pending.take(producer)
	var changes []offsetChange
	if commit {
		for at, o := range offsets {
			c := offsetChange{group: at.group, topic: at.topic, partition: at.partition}
			if c.before, c.had = m.offset(at.group, at.topic, at.partition); c.had && c.before.order >= o.order {
				continue
			}
			m.setOffset(at.group, at.topic, at.partition, o)
			changes = append(changes, c)
		}
	}
	return func() {
		m.undoOffsets(changes)
		for at, o := range offsets {
			m.pending.put(producer, at, o)
		}
	}
}

// ReplayMarker implements coordinator.Machine: the offsets of a transaction count from its commit on.
func (m *machine) ReplayMarker(producerID int64, commit bool) error {
	m.endPending(producerID, commit)
	return nil
}

// Marker is the end of a producer's transaction, as its coordinator tells it.
type Marker struct {
	ProducerID       int64
	Epoch            int16
	CoordinatorEpoch int32
	Commit           bool
	Version          int8 // transaction.version
}

// EndTransaction writes a marker into a partition of __consumer_offsets. The answer comes when it is committed.
func (c *Coordinator) EndTransaction(p int32, e Marker, reply func(wire.Code)) {
	c.rt.Run(p, func(tx *coordinator.Tx, m *machine) {
		tx.Undo(m.endPending(e.ProducerID, e.Commit))
		tx.EndTransaction(e.ProducerID, e.Epoch, record.EndTxnMarker{Commit: e.Commit, CoordinatorEpoch: e.CoordinatorEpoch}, e.Version)
		tx.Then(func(_ *coordinator.Tx, err error) { reply(errorCode(err)) })
	}, func(err error) { reply(errorCode(err)) })
}
