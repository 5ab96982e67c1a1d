package log

import (
	"fmt"
	"math"
	"sort"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// batchesKept is how many of a producer's last batches are remembered to recognize duplicates; it is the most
// requests that an idempotent producer has in flight.
const batchesKept = 5

// producerBatch is a remembered batch of a producer.
type producerBatch struct {
	lastSeq     int32
	offsetDelta int32
	lastOffset  int64
	timestamp   int64
}

func (b producerBatch) firstSeq() int32    { return decrementSequence(b.lastSeq, b.offsetDelta) }
func (b producerBatch) firstOffset() int64 { return b.lastOffset - int64(b.offsetDelta) }

func decrementSequence(seq, n int32) int32 {
	if seq < n {
		return math.MaxInt32 - (n - seq) + 1
	}
	return seq - n
}

// producerEntry is what a log knows of one producer. It is a value: entries lie in one slice.
type producerEntry struct {
	id               int64
	epoch            int16
	count            int8 // batches in use, oldest first
	coordinatorEpoch int32
	lastTimestamp    int64
	txnFirst         int64 // first offset of the open transaction, -1 if none
	batches          [batchesKept]producerBatch
}

func (e *producerEntry) lastSeq() int32 {
	if e.count == 0 {
		return record.NoSequence
	}
	return e.batches[e.count-1].lastSeq
}

func (e *producerEntry) lastOffset() int64 {
	if e.count == 0 {
		return -1
	}
	return e.batches[e.count-1].lastOffset
}

func (e *producerEntry) setEpoch(epoch int16) {
	if e.epoch != epoch {
		e.epoch, e.count = epoch, 0
	}
}

func (e *producerEntry) add(b producerBatch) {
	if e.count == batchesKept {
		copy(e.batches[:], e.batches[1:])
		e.count--
	}
	e.batches[e.count] = b
	e.count++
}

// txnEvent is what an appended batch did to the transactions of the log.
type txnEvent struct {
	producerID int64
	first      int64
	last       int64 // offset of the marker; -1: the transaction began
	aborted    bool
}

// producerState is the producers of one log, by id. It belongs to the holder of the log's lock.
//
// Invariant: mapEnd is the offset up to which batches were taken in.
type producerState struct {
	entries []producerEntry
	index   map[int64]int32
	mapEnd  int64
	undo    []undoEntry
	undoing bool
}

// undoEntry is a producer as it was before the append that is being made; isNew entries go away.
type undoEntry struct {
	entry producerEntry
	at    int32
	isNew bool
}

func (s *producerState) get(id int64) *producerEntry {
	if i, ok := s.index[id]; ok {
		return &s.entries[i]
	}
	return nil
}

// touch returns the producer's entry for a change, noting what it was.
func (s *producerState) touch(id int64) *producerEntry {
	i, ok := s.index[id]
	if !ok {
		if s.index == nil {
			s.index = map[int64]int32{}
		}
		i = int32(len(s.entries))
		s.entries = append(s.entries, producerEntry{id: id, epoch: record.NoProducerEpoch, coordinatorEpoch: -1,
			lastTimestamp: record.NoTimestamp, txnFirst: -1})
		s.index[id] = i
	}
	if s.undoing {
		s.undo = append(s.undo, undoEntry{s.entries[i], i, !ok})
	}
	return &s.entries[i]
}

func (s *producerState) begin() {
	s.undo = s.undo[:0]
	s.undoing = true
}

func (s *producerState) commit() { s.undoing = false }

// rollback takes back what happened since begin.
func (s *producerState) rollback() {
	s.undoing = false
	for i := len(s.undo) - 1; i >= 0; i-- {
		u := &s.undo[i]
		if u.isNew {
			s.remove(u.at)
		} else {
			s.entries[u.at] = u.entry
		}
	}
	s.undo = s.undo[:0]
}

func (s *producerState) remove(at int32) {
	last := int32(len(s.entries)) - 1
	delete(s.index, s.entries[at].id)
	if at != last {
		s.entries[at] = s.entries[last]
		s.index[s.entries[at].id] = at
	}
	s.entries = s.entries[:last]
}

// duplicate returns the remembered batch that b repeats.
func (s *producerState) duplicate(b record.Batch) (producerBatch, bool) {
	e := s.get(b.ProducerID())
	if e == nil || e.epoch != b.ProducerEpoch() {
		return producerBatch{}, false
	}
	first, last := b.BaseSequence(), b.LastSequence()
	for i := range e.count {
		if kept := e.batches[i]; kept.lastSeq == last && kept.firstSeq() == first {
			return kept, true
		}
	}
	return producerBatch{}, false
}

// apply takes in a batch with its final offsets. On an error the state is undefined until rollback. The event is
// the change to a transaction, if any.
func (s *producerState) apply(b record.Batch, opt AppendOptions) (ev txnEvent, changed bool, err error) {
	if b.IsControl() {
		return s.applyMarker(b, opt)
	}
	origin := opt.Origin
	e := s.touch(b.ProducerID())
	epoch := b.ProducerEpoch()
	if epoch < e.epoch && origin != OriginReplication {
		return ev, false, fmt.Errorf("Epoch of producer %d is %d, which is smaller than the last seen epoch %d: %w",
			e.id, epoch, e.epoch, wire.InvalidProducerEpoch)
	}
	if origin == OriginClient {
		if err := checkSequence(e, epoch, b.BaseSequence(), b.BaseOffset()); err != nil {
			return ev, false, err
		}
	}
	e.setEpoch(epoch)
	delta := b.LastOffsetDelta()
	e.add(producerBatch{b.LastSequence(), delta, b.LastOffset(), b.MaxTimestamp()})
	e.lastTimestamp = b.MaxTimestamp()
	switch tx := b.IsTransactional(); {
	case e.txnFirst >= 0 && !tx:
		if origin != OriginReplication {
			return ev, false, fmt.Errorf("Expected transactional write from producer %d at offset %d: %w",
				e.id, b.BaseOffset(), wire.InvalidTxnState)
		}
	case e.txnFirst < 0 && tx:
		e.txnFirst = b.BaseOffset()
		return txnEvent{producerID: e.id, first: e.txnFirst, last: -1}, true, nil
	}
	return ev, false, nil
}

func checkSequence(e *producerEntry, epoch int16, first int32, offset int64) error {
	if epoch != e.epoch {
		if first != 0 && e.epoch != record.NoProducerEpoch {
			return fmt.Errorf("Invalid sequence number for new epoch of producer %d at offset %d: %d (request epoch), %d (seq. number), %d (current producer epoch): %w",
				e.id, offset, epoch, first, e.epoch, wire.OutOfOrderSequenceNumber)
		}
		return nil
	}
	last := e.lastSeq()
	if int64(first) == int64(last)+1 || first == 0 && last == math.MaxInt32 {
		return nil
	}
	return fmt.Errorf("Out of order sequence number for producer %d at offset %d: %d (incoming seq. number), %d (current end sequence number): %w",
		e.id, offset, first, last, wire.OutOfOrderSequenceNumber)
}

// checkMarkerEpoch refuses the marker of an older epoch. From transaction.version 2 on the epoch rises before the marker is
// written, so that one of the present epoch ends a transaction that has ended already: it may come twice, unless another
// transaction has begun since.
func checkMarkerEpoch(e *producerEntry, epoch int16, version int8) error {
	switch {
	case epoch > e.epoch, epoch == e.epoch && version < 2:
		return nil
	case epoch == e.epoch && (e.txnFirst < 0 || epoch == math.MaxInt16):
		return nil
	}
	return fmt.Errorf("Epoch of producer %d is %d, where the last seen epoch is %d, in a marker of transaction.version %d: %w",
		e.id, epoch, e.epoch, version, wire.InvalidProducerEpoch)
}

// applyMarker takes in a transaction marker. A batch whose marker the cleaner has removed changes nothing.
func (s *producerState) applyMarker(b record.Batch, opt AppendOptions) (ev txnEvent, changed bool, err error) {
	m, ok, err := decodeMarker(b)
	if err != nil || !ok {
		return ev, false, err
	}
	e := s.touch(b.ProducerID())
	if opt.Origin != OriginReplication {
		if err := checkMarkerEpoch(e, b.ProducerEpoch(), opt.TxnVersion); err != nil {
			return ev, false, err
		}
		if m.coordinatorEpoch < e.coordinatorEpoch {
			return ev, false, fmt.Errorf("Invalid coordinator epoch for producer %d: %d (zombie), %d (current): %w",
				e.id, m.coordinatorEpoch, e.coordinatorEpoch, wire.TransactionCoordinatorFenced)
		}
	}
	e.setEpoch(b.ProducerEpoch())
	e.coordinatorEpoch = m.coordinatorEpoch
	e.lastTimestamp = m.timestamp
	if e.txnFirst < 0 {
		return ev, false, nil
	}
	ev = txnEvent{producerID: e.id, first: e.txnFirst, last: b.BaseOffset(), aborted: !m.commit}
	e.txnFirst = -1
	return ev, true, nil
}

// expire forgets producers without an open transaction that were silent for longer than expirationMs.
func (s *producerState) expire(nowMs, expirationMs int64) int {
	n := 0
	for i := int32(len(s.entries)) - 1; i >= 0; i-- {
		if e := &s.entries[i]; e.txnFirst < 0 && nowMs-e.lastTimestamp >= expirationMs {
			s.remove(i)
			n++
		}
	}
	return n
}

// txnTracker knows the transactions of a log that keep the last stable offset back: the open ones, and those whose
// marker is not replicated yet. The log's tail lock guards it.
type txnTracker struct {
	ongoing      []txnSpan // by first offset
	unreplicated []txnSpan // by first offset, with the marker's offset
}

type txnSpan struct {
	producerID  int64
	first, last int64
}

func insertSpan(s []txnSpan, t txnSpan) []txnSpan {
	i := sort.Search(len(s), func(i int) bool { return s[i].first > t.first })
	s = append(s, txnSpan{})
	copy(s[i+1:], s[i:])
	s[i] = t
	return s
}

func (t *txnTracker) begin(id, first int64) {
	t.ongoing = insertSpan(t.ongoing, txnSpan{id, first, -1})
}

// end moves a transaction to the unreplicated ones and returns the last stable offset that its end brings about.
func (t *txnTracker) end(ev txnEvent) int64 {
	lso := ev.last + 1
	for i := range t.ongoing {
		if t.ongoing[i].producerID == ev.producerID {
			t.ongoing = append(t.ongoing[:i], t.ongoing[i+1:]...)
			break
		}
	}
	if len(t.ongoing) > 0 {
		lso = min(lso, t.ongoing[0].first)
	}
	t.unreplicated = insertSpan(t.unreplicated, txnSpan{ev.producerID, ev.first, ev.last})
	return lso
}

// replicated drops the ended transactions whose marker lies below the high watermark.
func (t *txnTracker) replicated(highWatermark int64) {
	kept := t.unreplicated[:0]
	for _, s := range t.unreplicated {
		if s.last >= highWatermark {
			kept = append(kept, s)
		}
	}
	t.unreplicated = kept
}

// firstUnstable is the first offset that is not decided, or none.
func (t *txnTracker) firstUnstable() int64 {
	first := int64(math.MaxInt64)
	if len(t.ongoing) > 0 {
		first = t.ongoing[0].first
	}
	if len(t.unreplicated) > 0 {
		first = min(first, t.unreplicated[0].first)
	}
	return first
}
