package txn

import (
	"errors"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

// machine is the state of one shard: its transactional ids. Its methods run in the shard's loop.
type machine struct {
	c  *Coordinator
	sh *coordinator.Shard

	txns map[string]*transaction

	timeouts, expiry coordinator.Timer
	// retrying is how many ends of transactions wait to be written again.
	retrying int64
	ended    bool
}

func newMachine(c *Coordinator, sh *coordinator.Shard) *machine {
	return &machine{c: c, sh: sh, txns: map[string]*transaction{}}
}

// Loaded implements coordinator.Machine: what was decided is brought to its end.
func (m *machine) Loaded(*coordinator.Tx) {
	decided := 0
	for _, t := range m.txns {
		if t.v.state.preparing() {
			decided++
			t.pending = completed(t.v.state == statePrepareCommit)
			m.sh.Post(func(tx *coordinator.Tx) { m.sendMarkers(tx, t) })
		}
	}
	if decided > 0 {
		m.sh.Logger().Info("transactions that were decided before are brought to their end", "count", decided)
	}
	m.watch()
}

// Unloaded implements coordinator.Machine.
func (m *machine) Unloaded(error) {
	m.ended = true
	m.c.stats.retries.Add(-m.retrying)
	for _, t := range m.txns {
		m.dropJob(t)
	}
}

// watch sees to it that transactions time out and ids expire, if there are any.
func (m *machine) watch() {
	if len(m.txns) == 0 {
		return
	}
	if !m.timeouts.Scheduled() {
		m.sh.Schedule(&m.timeouts, m.c.cfg.AbortInterval, m.abortTimedOut)
	}
	if !m.expiry.Scheduled() {
		m.sh.Schedule(&m.expiry, m.c.cfg.RemoveInterval, m.expire)
	}
}

// write appends what t is to become. The change is pending until it is known to be committed or refused, which settled is
// told of. answer, if not nil, is called once: then, or before it if that takes too long.
func (m *machine) write(tx *coordinator.Tx, t *transaction, next values, settled func(*coordinator.Tx, wire.Code), answer func(wire.Code)) {
	m.writeRecord(tx, t, next, m.record(t, &next), settled, answer)
}

func (m *machine) record(t *transaction, v *values) coordinator.Record {
	return coordinator.Record{Key: recordKey(t.id), Value: recordValue(v, m.c.deps.Cluster.Version())}
}

func (m *machine) writeRecord(tx *coordinator.Tx, t *transaction, next values, r coordinator.Record, settled func(*coordinator.Tx, wire.Code), answer func(wire.Code)) {
	t.pending = next.state
	tx.Append(r.Key, r.Value)
	var settle func(*coordinator.Tx, error)
	settle = func(tx *coordinator.Tx, err error) {
		open := errors.Is(err, wire.RequestTimedOut)
		if open {
			tx.Then(settle)
		} else {
			t.pending = stateNone
			if err == nil {
				t.v, t.failedFence = next, false
			}
			if settled != nil {
				settled(tx, errorCode(err))
			}
		}
		if answer != nil {
			answer(errorCode(err))
			answer = nil
		}
	}
	tx.Then(settle)
}

func (m *machine) initProducer(tx *coordinator.Tx, id string, timeoutMs int32, expected *Producer, newID int64, again func(), reply func(wire.Code, Producer)) {
	none := Producer{noProducerID, noProducerEpoch}
	t := m.txns[id]
	if t == nil {
		if newID < 0 {
			again()
			return
		}
		t = newTransaction(id, values{producerID: newID, prevProducerID: noProducerID, nextProducerID: noProducerID, epoch: noProducerEpoch,
			lastEpoch: noProducerEpoch, timeoutMs: timeoutMs, state: stateEmpty, startMs: -1, updateMs: tx.NowMs()})
		m.txns[id] = t
		m.watch()
	}
	v := t.initProducer(timeoutMs, expected, newID, tx.NowMs())
	switch {
	case v.fence:
		v = t.abort(m.c.deps.Cluster.Version(), newID, tx.NowMs())
		if v.needsID {
			m.needID(again, reply)
			return
		}
		if !v.change {
			reply(v.code, none)
			return
		}
		m.fence(tx, t, v.next, func(code wire.Code) {
			if code == wire.None {
				code = wire.ConcurrentTransactions // the client comes again and gets another epoch
			}
			reply(code, none)
		})
	case v.needsID:
		m.needID(again, reply)
	case v.change:
		m.write(tx, t, v.next, nil, func(code wire.Code) {
			if code != wire.None {
				reply(code, none)
				return
			}
			reply(code, Producer{v.next.producerID, v.next.epoch})
		})
	default:
		reply(v.code, none)
	}
}

// needID asks to be run again with a new producer id, which the first run cannot have had.
func (m *machine) needID(again func(), reply func(wire.Code, Producer)) {
	if again == nil {
		reply(wire.UnknownServerError, Producer{noProducerID, noProducerEpoch})
		return
	}
	again()
}

// fence aborts an open transaction under a raised epoch.
func (m *machine) fence(tx *coordinator.Tx, t *transaction, next values, answer func(wire.Code)) {
	m.write(tx, t, next, func(tx *coordinator.Tx, code wire.Code) {
		switch {
		case code == wire.None:
			m.sendMarkers(tx, t)
		case next.version < versionEpochBump:
			// The record may be in the log all the same, so the epoch stays raised; it is not raised once more.
			t.failedFence = true
			t.v.epoch, t.v.lastEpoch = next.epoch, noProducerEpoch
		}
	}, answer)
}

func (m *machine) addPartitions(tx *coordinator.Tx, id string, p Producer, parts []log.TopicPartition, version int8, reply func(wire.Code)) {
	t := m.txns[id]
	if t == nil {
		reply(wire.InvalidProducerIdMapping)
		return
	}
	v := t.addPartitions(p, parts, version, tx.NowMs())
	if !v.change {
		reply(v.code)
		return
	}
	r := m.record(t, &v.next)
	if r.Size()+nextIDBytes > m.sh.MaxRecordBytes() {
		reply(wire.UnknownServerError) // as when the log itself refuses the record
		return
	}
	m.writeRecord(tx, t, v.next, r, nil, reply)
}

// nextIDBytes is what a record can take more when its transaction ends: the next producer id, in a tagged field.
const nextIDBytes = 10

func (m *machine) endTransaction(tx *coordinator.Tx, id string, p Producer, commit, bump bool, newID int64, again func(), reply func(wire.Code, Producer)) {
	none := Producer{noProducerID, noProducerEpoch}
	t := m.txns[id]
	if t == nil {
		reply(wire.InvalidProducerIdMapping, none)
		return
	}
	var v verdict
	if bump {
		v = t.endAndBump(p, commit, newID, tx.NowMs())
	} else {
		v = t.end(p, commit, tx.NowMs())
	}
	switch {
	case v.needsID:
		m.needID(again, reply)
	case v.change:
		now := Producer{v.next.producerID, v.next.epoch}
		if v.next.nextProducerID != noProducerID {
			now = Producer{v.next.nextProducerID, 0}
		}
		m.write(tx, t, v.next, func(tx *coordinator.Tx, code wire.Code) {
			if code == wire.None {
				m.sendMarkers(tx, t)
			}
		}, func(code wire.Code) {
			if code != wire.None {
				now = none
			}
			reply(code, now)
		})
	case v.code == wire.None:
		reply(wire.None, Producer{t.v.producerID, t.v.epoch})
	default:
		reply(v.code, none)
	}
}

// sendMarkers has a marker written into every partition of a decided transaction.
func (m *machine) sendMarkers(tx *coordinator.Tx, t *transaction) {
	t.pending = completed(t.v.state == statePrepareCommit)
	if len(t.v.partitions) == 0 {
		m.finish(tx, t, 0)
		return
	}
	parts := make([]log.TopicPartition, 0, len(t.v.partitions))
	for tp := range t.v.partitions {
		parts = append(parts, tp)
	}
	t.job = &job{
		id: t.id, shard: m.sh.Partition(), producer: Producer{t.v.producerID, t.v.epoch}, commit: t.v.state == statePrepareCommit,
		coordinatorEpoch: m.sh.Epoch(), version: t.v.version,
	}
	m.c.stats.pending.Add(1)
	m.c.markers.send(t.job, parts)
}

func (m *machine) dropJob(t *transaction) {
	if t.job != nil {
		t.job.dropped.Store(true)
		t.job = nil
		m.c.stats.pending.Add(-1)
	}
}

// marked takes partitions of which nothing is left to do out of a decided transaction.
func (m *machine) marked(tx *coordinator.Tx, j *job, parts []log.TopicPartition) {
	t := m.txns[j.id]
	if t == nil || t.job != j {
		return
	}
	for _, tp := range parts {
		delete(t.v.partitions, tp)
	}
	if len(t.v.partitions) == 0 {
		m.dropJob(t)
		m.finish(tx, t, 0)
	}
}

// finish writes that a transaction is complete, as often as it takes while this is the coordinator: also when the log says that
// it has another leader, since it may have this one again before the shard hears of any other.
func (m *machine) finish(tx *coordinator.Tx, t *transaction, attempt int) {
	m.write(tx, t, t.complete(tx.NowMs()), func(_ *coordinator.Tx, code wire.Code) {
		if code == wire.None {
			return
		}
		t.pending = completed(t.v.state == statePrepareCommit)
		if m.ended {
			return // the next coordinator does it
		}
		m.retry(1)
		m.sh.Schedule(&coordinator.Timer{}, backoff(attempt), func(tx *coordinator.Tx) {
			m.retry(-1)
			m.finish(tx, t, attempt+1)
		})
	}, nil)
}

func (m *machine) retry(n int64) {
	m.retrying += n
	m.c.stats.retries.Add(n)
}

// abortTimedOut aborts the transactions that are open for longer than their time-out. Each is an operation of its own, since
// they share no fate and together may be more than a batch can hold.
func (m *machine) abortTimedOut(tx *coordinator.Tx) {
	for id, t := range m.txns {
		if t.timedOut(tx.NowMs()) {
			m.sh.Post(func(tx *coordinator.Tx) {
				if m.txns[id] == t && t.timedOut(tx.NowMs()) {
					m.abortOne(tx, t, -1)
				}
			})
		}
	}
	m.watch()
}

func (m *machine) abortOne(tx *coordinator.Tx, t *transaction, newID int64) {
	v := t.abort(m.c.deps.Cluster.Version(), newID, tx.NowMs())
	switch {
	case v.needsID:
		m.c.abortWithNewID(t.id)
	case v.change:
		m.sh.Logger().Info("transaction is aborted, its time is over", "transactionalId", t.id, "producerId", t.v.producerID, "epoch", t.v.epoch, "timeoutMs", t.v.timeoutMs)
		m.fence(tx, t, v.next, nil)
	}
}

// expire forgets ids that were not used for transactional.id.expiration.ms, each in an operation of its own.
func (m *machine) expire(tx *coordinator.Tx) {
	limit := m.c.cfg.IDExpiration.Milliseconds()
	for id, t := range m.txns {
		if t.expired(tx.NowMs(), limit) {
			m.sh.Post(func(tx *coordinator.Tx) {
				if m.txns[id] == t && t.expired(tx.NowMs(), limit) {
					m.forget(tx, t)
				}
			})
		}
	}
	m.watch()
}

func (m *machine) forget(tx *coordinator.Tx, t *transaction) {
	t.pending = stateDead
	tx.Append(recordKey(t.id), nil)
	var settle func(*coordinator.Tx, error)
	settle = func(tx *coordinator.Tx, err error) {
		switch {
		case errors.Is(err, wire.RequestTimedOut):
			tx.Then(settle)
		case err != nil:
			t.pending = stateNone
		case m.txns[t.id] == t:
			delete(m.txns, t.id)
		}
	}
	tx.Then(settle)
}
