package log

import (
	"errors"
	"math"
	"slices"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// loadProducers brings the producers' state into memory: the latest snapshot, and what was appended since. The caller
// holds mu.
func (l *Log) loadProducers() error {
	if l.producers != nil {
		return nil
	}
	if err := l.rebuildProducers(l.start.Load(), l.end.Load()); err != nil {
		return l.storageError("load producers", err)
	}
	return nil
}

// rebuildProducers makes the producers' state as of end, from the latest usable snapshot between start and end and the
// batches after it. Aborted transactions that are missing in a transaction index are added to it.
func (l *Log) rebuildProducers(start, end int64) error {
	s, from := l.latestSnapshot(start, end)
	if err := l.rememberBatches(s, from, end); err != nil {
		return err
	}
	r := replay{log: l, state: s, from: from, end: end, txns: txnTracker{ongoing: s.openTxns()}}
	if err := r.run(); err != nil {
		return err
	}
	s.expire(l.env.nowMs(), l.env.producerExpirationMs.Load())
	s.mapEnd = end
	l.producers = s
	l.tailMu.Lock()
	r.txns.replicated(l.hw.Load()) // which may move until the lock is held
	l.txns = r.txns
	l.firstUnstable.Store(l.txns.firstUnstable())
	l.tailMu.Unlock()
	return nil
}

// latestSnapshot reads the newest snapshot that is whole; others are set aside. Without one the state starts empty.
func (l *Log) latestSnapshot(start, end int64) (*producerState, int64) {
	for i := len(l.snapshots) - 1; i >= 0; i-- {
		o := l.snapshots[i]
		if o > end || o < start && o != l.segments()[0].base {
			continue
		}
		s, err := readSnapshot(l.env.fs, l.snapshotPath(o), o)
		if err == nil {
			return s, o
		}
		l.env.logger.Warn("producer snapshot is not usable and set aside", "partition", l.tp.String(), "offset", o, "error", err)
		if err := l.setAside(l.snapshotPath(o)); err != nil && !vfs.IsNotExist(err) {
			l.env.logger.Warn("producer snapshot is not set aside", "partition", l.tp.String(), "error", err)
		}
		l.snapshots = slices.Delete(l.snapshots, i, i+1)
	}
	return &producerState{}, start
}

// memoryBytes is how much of the end of a log is looked through for what producers may have on their way: each has five
// batches there at most.
const memoryBytes = 8 << 20

// rememberBatches adds to a snapshot, which has only the last batch of each producer, those before it that the end of the
// log has. Without them a producer that repeats several batches, because the broker stopped before it answered, would be told
// that it lost records, and write them again under another epoch.
func (l *Log) rememberBatches(s *producerState, at, end int64) error {
	if len(s.entries) == 0 {
		return nil
	}
	recent := producerState{}
	segs := l.segments()
	last := segmentAt(segs, max(end-1, 0))
	first, budget := last, int64(memoryBytes)
	for budget -= segs[last].size.Load(); budget > 0 && first > 0; first-- {
		budget -= segs[first-1].size.Load()
	}
	for i := first; i <= last && segs[i].base < at; i++ {
		from := int64(0)
		if i == first {
			from = max(-budget, 0)
		}
		if err := l.rememberSegment(&recent, segs[i], from, at); err != nil {
			return err
		}
	}
	for i := range s.entries {
		e := &s.entries[i]
		if r := recent.get(e.id); r != nil && r.epoch == e.epoch && r.lastOffset() == e.lastOffset() && r.lastSeq() == e.lastSeq() {
			e.batches, e.count = r.batches, r.count
		}
	}
	return nil
}

// rememberSegment takes in the batches of a segment from about a position up to an offset.
func (l *Log) rememberSegment(recent *producerState, seg *segment, position, at int64) error {
	o, err := l.env.files.acquire(seg)
	if err != nil {
		return err
	}
	defer o.release()
	if position > 0 {
		v, err := seg.offsetView()
		if err != nil {
			return err
		}
		position = v.floorPosition(position)
	}
	w := newHeaderWalk(o, position, seg.size.Load())
	defer w.close()
	for {
		h, _, ok, err := w.next()
		var corrupt *corruptError
		if errors.As(err, &corrupt) {
			return nil // less is remembered; who reads it hears of it
		}
		if err != nil || !ok || h.BaseOffset() >= at {
			return err
		}
		if h.HasProducerID() && !h.IsControl() {
			if _, _, err := recent.apply(h, AppendOptions{Origin: OriginReplication}); err != nil {
				return err
			}
		}
	}
}

// replay takes the batches of [from, end) into a producers' state, by their headers, and by their records where they
// are markers.
type replay struct {
	log       *Log
	state     *producerState
	from, end int64
	txns      txnTracker
}

func (r *replay) run() error {
	if r.from >= r.end {
		return nil
	}
	segs := r.log.segments()
	for i := segmentAt(segs, r.from); i < len(segs) && segs[i].base < r.end; i++ {
		err := r.segment(segs[i])
		var corrupt *corruptError
		if errors.As(err, &corrupt) {
			// Below the recovery point nothing is cut: what cannot be read is refused when somebody reads it.
			r.log.env.logger.Error("producers of a damaged segment are not known", "partition", r.log.tp.String(), "error", err)
			err = nil
		}
		if err != nil {
			return err
		}
		if err := segs[i].writeTxns(); err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) segment(seg *segment) error {
	o, err := r.log.env.files.acquire(seg)
	if err != nil {
		return err
	}
	defer o.release()
	pos := int64(0)
	if r.from > seg.base {
		v, err := seg.offsetView()
		if err != nil {
			return err
		}
		pos = v.floor(uint32(min(r.from-seg.base, math.MaxUint32)))
	}
	w := newHeaderWalk(o, pos, seg.size.Load())
	defer w.close()
	for {
		h, pos, ok, err := w.next()
		if err != nil || !ok {
			return err
		}
		if h.LastOffset() < r.from || !h.HasProducerID() {
			continue
		}
		if h.BaseOffset() >= r.end {
			return nil
		}
		if err := r.batch(seg, o, h, pos); err != nil {
			return err
		}
	}
}

func (r *replay) batch(seg *segment, f vfs.File, h record.Batch, pos int64) error {
	if h.IsControl() {
		buf := bufpool.Get(h.Size())
		defer buf.Release()
		if err := readFull(f, buf.B, pos); err != nil {
			return err
		}
		h = record.Batch(buf.B)
	}
	ev, changed, err := r.state.apply(h, AppendOptions{Origin: OriginReplication})
	if err != nil || !changed {
		return err
	}
	if ev.last < 0 {
		r.txns.begin(ev.producerID, ev.first)
		return nil
	}
	stable := r.txns.end(ev)
	if !ev.aborted {
		return nil
	}
	return seg.restoreTxn(abortedTxn{ev.producerID, ev.first, ev.last, stable})
}

// expireProducers forgets producers that were silent for too long.
func (l *Log) expireProducers(nowMs int64) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expireVerifications(nowMs, l.env.producerExpirationMs.Load())
	if l.producers == nil {
		return 0 // on disk only; expired when loaded
	}
	return l.producers.expire(nowMs, l.env.producerExpirationMs.Load())
}
