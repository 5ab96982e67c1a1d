package coordinator

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// Machine is the state of one shard. Its methods are called by one goroutine at a time.
type Machine interface {
	// Replay applies one record of the log while the shard is loaded. Records of types that it does not know it
	// passes over (they stay in the log). An error fails the shard.
	Replay(r Replayed) error
	// ReplayMarker applies the end of a transaction that wrote into the log.
	ReplayMarker(producerID int64, commit bool) error
	// Loaded is called when the shard becomes active, in its loop. From here on there are timers and operations.
	Loaded(tx *Tx)
	// Unloaded is called when an active shard ends, in its loop. Answers that are still parked in the state must be
	// given, with that error; the state is not used again.
	Unloaded(err error)
}

// Replayed is one record that was read back from the log. Key and Value are only valid during Replay.
type Replayed struct {
	Offset      int64
	TimestampMs int64
	Key, Value  []byte
	// ProducerID is that of the transaction that the record is part of, -1 for none.
	ProducerID int64
}

// phase is where a shard is in its life.
//
//	loading -> active -> closed
//	loading -> failed -> closed
//	loading -> closed
type phase uint8

const (
	loading phase = iota
	active
	failed
	closed
)

// event is something for a shard's loop to do. fail is called instead of run when the loop has ended.
type event struct {
	run  func()
	fail func(error)
}

// Shard is one partition's state with its loop. Fields below "loop" belong to that loop, which runs in a goroutine
// only while there are events; the others are guarded by mu.
//
// Invariants: those of the batches that are in the log stand first, in its order; a batch that is apart is in the log
// once its operation has run; undo functions exist only in batches; a shard that is not active runs no operation.
type Shard struct {
	rt  *runtimeCore
	p   int32
	log *slog.Logger

	mu      sync.Mutex
	phase   phase
	epoch   int32
	queue   []event
	running bool

	// loop
	machine Machine
	part    Partition
	limiter BatchLimiter // nil: part has none
	batches []*batch
	ended   bool
	timers  timers
	alarm   *time.Timer
	alarmAt time.Time // zero: not set
}

// Partition is the index of the shard's partition.
func (sh *Shard) Partition() int32 { return sh.p }

// Epoch is the leader epoch in which this broker leads the shard's partition.
func (sh *Shard) Epoch() int32 {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.epoch
}

// Logger logs with the shard's name.
func (sh *Shard) Logger() *slog.Logger { return sh.log }

// Post runs an operation of its own after those that are queued, unless the shard has ended by then. For work that has many
// parts of which each may last without the others. To be called from the shard's loop.
func (sh *Shard) Post(op func(*Tx)) { sh.post(event{run: func() { sh.runTx(op) }}) }

// refusal is why a shard in that phase takes no operation; nil if it does.
func (p phase) refusal() error {
	switch p {
	case active:
		return nil
	case loading:
		return wire.CoordinatorLoadInProgress
	default:
		return wire.NotCoordinator
	}
}

// run posts an operation.
func (sh *Shard) run(op func(*Tx), fail func(error)) {
	sh.mu.Lock()
	err := sh.phase.refusal()
	sh.mu.Unlock()
	if err != nil {
		fail(err)
		return
	}
	sh.post(event{
		run: func() {
			if sh.ended {
				fail(wire.NotCoordinator)
				return
			}
			sh.runTx(op)
		},
		fail: fail,
	})
}

// post queues an event and wakes the loop.
func (sh *Shard) post(e event) {
	sh.mu.Lock()
	sh.queue = append(sh.queue, e)
	wake := !sh.running
	sh.running = true
	sh.mu.Unlock()
	if wake && !sh.rt.group.Go(sh.rt.name, func(context.Context) { sh.drain() }) {
		sh.dropQueue()
	}
}

// dropQueue refuses what is queued, since nothing can run any more.
func (sh *Shard) dropQueue() {
	sh.mu.Lock()
	queue := sh.queue
	sh.queue, sh.running = nil, false
	sh.mu.Unlock()
	for _, e := range queue {
		if e.fail != nil {
			e.fail(wire.CoordinatorNotAvailable)
		}
	}
}

// drain is the loop: it takes all events there are, then appends what they left, until there is nothing. The clock is
// set once, at the end.
func (sh *Shard) drain() {
	var spare []event
	for armed := false; ; {
		sh.mu.Lock()
		if len(sh.queue) == 0 && armed {
			sh.running = false
			sh.mu.Unlock()
			return
		}
		events := sh.queue
		sh.queue = spare
		sh.mu.Unlock()
		armed = len(events) == 0
		for i := range events {
			events[i].run()
			events[i] = event{}
		}
		spare = events[:0]
		sh.flush()
		if armed && !sh.ended {
			sh.arm()
		}
	}
}

// runTx runs one operation and takes over what it left in its Tx.
func (sh *Shard) runTx(op func(*Tx)) {
	if sh.ended {
		return
	}
	tx := &Tx{Now: sh.rt.now(), sh: sh}
	op(tx)
	sh.settle(tx)
}

// settle puts the records of a finished operation into batches and its callbacks behind them. A batch that is apart goes to
// the log at once, with all before it: the log may refuse such a batch alone, and as yet nothing has been built on it.
func (sh *Shard) settle(tx *Tx) {
	limit := sh.MaxRecordBytes()
	for i := range tx.segs {
		if tx.segs[i].bytes > limit {
			sh.refuse(tx, fmt.Errorf("operation of %d bytes is larger than a batch may be (%d): %w", tx.segs[i].bytes,
				limit, wire.RecordListTooLarge))
			return
		}
	}
	alone := tx.apart != nil && (tx.apart.marker != nil || tx.NumRecords() > 0)
	if alone {
		sh.batches = append(sh.batches, &batch{apart: tx.apart})
	}
	for i := range tx.segs {
		s := &tx.segs[i]
		if alone {
			b := sh.batches[len(sh.batches)-1]
			b.recs = append(b.recs, s.recs...)
			b.addUndo(s.undo)
		} else if len(s.recs) > 0 {
			b := sh.openBatch(s.bytes, limit)
			b.recs = append(b.recs, s.recs...)
			b.bytes += s.bytes
			b.addUndo(s.undo)
		} else if n := len(sh.batches); n > 0 {
			sh.batches[n-1].addUndo(s.undo)
		}
	}
	if tx.behind != nil && tx.NumRecords() == 0 && !alone {
		tx.behind.then = append(tx.behind.then, tx.then...)
		return
	}
	if n := len(sh.batches); n > 0 {
		sh.batches[n-1].then = append(sh.batches[n-1].then, tx.then...)
		if alone {
			sh.write(n)
		}
		return
	}
	sh.call(tx.then, nil)
}

// refuse undoes one operation that is not written at all.
func (sh *Shard) refuse(tx *Tx, err error) {
	for i := len(tx.segs) - 1; i >= 0; i-- {
		runUndo(tx.segs[i].undo)
	}
	sh.call(tx.then, err)
}

// call runs the callbacks of operations, each with a Tx of its own.
func (sh *Shard) call(then []func(*Tx, error), err error) {
	for _, f := range then {
		if sh.ended {
			tx := &Tx{Now: sh.rt.now(), sh: sh}
			f(tx, err)
			sh.call(tx.then, err)
			continue
		}
		sh.runTx(func(tx *Tx) { f(tx, err) })
	}
}

// MaxRecordBytes is how many bytes of records a batch may have: the topic's limit, which may change. To be called from the
// shard's loop.
func (sh *Shard) MaxRecordBytes() int {
	n := sh.rt.maxBatch
	if sh.limiter != nil {
		if of := sh.limiter.MaxBatchBytes(); of > 0 {
			n = of
		}
	}
	return n - record.HeaderSize
}

// openBatch returns the batch that collects records, with room for n bytes more.
func (sh *Shard) openBatch(n, limit int) *batch {
	if last := len(sh.batches) - 1; last >= 0 {
		if b := sh.batches[last]; b.apart == nil && !b.written && b.bytes+n <= limit {
			return b
		}
	}
	b := &batch{}
	sh.batches = append(sh.batches, b)
	return b
}

// flush starts the append of the oldest batch, unless one is under way.
func (sh *Shard) flush() {
	if sh.ended || len(sh.batches) == 0 || sh.batches[0].written {
		return
	}
	sh.write(1)
}

// write appends what is not in the log of the n oldest batches. What the log refuses, and what stands behind that, is undone.
func (sh *Shard) write(n int) {
	sh.mu.Lock()
	epoch := sh.epoch
	sh.mu.Unlock()
	for i, b := range sh.batches[:n] {
		if b.written {
			continue
		}
		if err := sh.append(b, epoch); err != nil {
			sh.rollBack(i, err)
			return
		}
	}
}

// append gives one batch to the log.
func (sh *Shard) append(b *batch, epoch int32) error {
	bytes, err := encodeBatch(b, sh.rt.now().UnixMilli(), sh.rt.codec, sh.rt.baseSequence)
	if err != nil {
		return err
	}
	err = sh.part.Append(epoch, bytes, b.how(), func(_ int64, err error) {
		sh.post(event{run: func() { sh.appended(b, err) }})
	})
	if err != nil {
		return err
	}
	b.written = true
	sh.Schedule(&b.deadline, sh.rt.commitTimeout, func(*Tx) { sh.timedOut(b) })
	return nil
}

// appended ends the append of b. A commit is one of all batches before b too, whether or not they have said it.
func (sh *Shard) appended(b *batch, err error) {
	at := slices.Index(sh.batches, b)
	if sh.ended || at < 0 {
		return
	}
	if err != nil {
		sh.rollBack(at, err)
		return
	}
	done := sh.batches[:at+1]
	if sh.batches = sh.batches[at+1:]; len(sh.batches) == 0 {
		sh.batches = nil
	}
	for _, b := range done {
		sh.Cancel(&b.deadline)
	}
	for _, b := range done {
		sh.call(b.then, nil)
	}
}

// rollBack undoes the batch at that place, which is not in the log, and all behind it, which may have seen its effect, and
// tells everybody who waits for them. What stands before it is not touched.
func (sh *Shard) rollBack(at int, err error) {
	gone := slices.Clone(sh.batches[at:])
	clear(sh.batches[at:])
	if sh.batches = sh.batches[:at]; at == 0 {
		sh.batches = nil
	}
	for _, b := range slices.Backward(gone) {
		sh.Cancel(&b.deadline)
		runUndo(b.undo)
	}
	if gone[0].apart != nil && len(gone) == 1 {
		sh.log.Debug("an operation of a transaction is not written to the coordinator's log and undone", "error", err)
	} else {
		sh.log.Warn("cannot write to the coordinator's log, changes are undone", "error", err)
	}
	err = fmt.Errorf("append to %s-%d: %w", sh.rt.topic, sh.p, err)
	for _, b := range gone {
		sh.call(b.then, err)
	}
}

// timedOut answers those who wait for b, for what was before it, and for what is queued behind it; whether they last stays
// open.
func (sh *Shard) timedOut(b *batch) {
	waiting := make([][]func(*Tx, error), len(sh.batches))
	batches := slices.Clone(sh.batches)
	for i, w := range batches {
		waiting[i], w.then = w.then, nil
	}
	err := fmt.Errorf("append to %s-%d not committed within %v: %w", sh.rt.topic, sh.p, sh.rt.commitTimeout,
		wire.RequestTimedOut)
	sh.log.Warn("coordinator's log is slow to commit", "error", err)
	sh.Schedule(&b.deadline, sh.rt.commitTimeout, func(*Tx) { sh.timedOut(b) })
	for i, then := range waiting {
		for _, f := range then {
			// Who goes on to wait does so for the batch that has its records, whatever becomes of those behind it.
			tx := &Tx{Now: sh.rt.now(), sh: sh, behind: batches[i]}
			f(tx, err)
			sh.settle(tx)
		}
	}
}

// end ends an active shard, in its loop.
func (sh *Shard) end(err error) {
	if sh.ended {
		return
	}
	sh.ended = true
	if sh.alarm != nil {
		sh.alarm.Stop()
	}
	if sh.machine != nil {
		sh.machine.Unloaded(err)
	}
	batches := sh.batches
	sh.batches, sh.timers = nil, nil
	for _, b := range batches {
		sh.call(b.then, err)
	}
}
