package coordinator

import (
	"time"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/record"
)

// Record is one record of a coordinator's log, key and value encoded. A nil value is a tombstone.
type Record struct {
	Key, Value []byte
}

// recordOverhead bounds what a record costs in a batch beyond its key and value.
const recordOverhead = 5*5 + 1

// Size is what the record takes of a batch at most.
func (r Record) Size() int { return len(r.Key) + len(r.Value) + recordOverhead }

// A Tx is what one operation does to its shard: the records it wants written, how to undo the changes that it made
// to the state, and what happens when the records are committed or refused. It is valid only while the operation
// runs, in the shard's loop.
type Tx struct {
	// Now is the time of the operation.
	Now time.Time

	sh    *Shard
	segs  []segment
	then  []func(*Tx, error)
	apart *apart
	// behind is the batch that an operation without records waits for; nil: the last there is.
	behind *batch
}

// apart says what is different about a batch that holds one operation alone.
type apart struct {
	producerID int64
	epoch      int16
	guard      log.VerificationGuard
	marker     *record.EndTxnMarker // nil: data of the transaction
	version    int8
}

// segment is a part of a Tx that is written in one batch.
type segment struct {
	recs  []Record
	bytes int
	undo  []func()
}

func (tx *Tx) segment() *segment {
	if len(tx.segs) == 0 {
		tx.segs = append(tx.segs, segment{})
	}
	return &tx.segs[len(tx.segs)-1]
}

// NowMs is Now in milliseconds since 1970.
func (tx *Tx) NowMs() int64 { return tx.Now.UnixMilli() }

// Append adds a record. The runtime keeps key and value until they are written. All records of an operation go into
// one batch, unless it calls Split.
func (tx *Tx) Append(key, value []byte) {
	s := tx.segment()
	r := Record{Key: key, Value: value}
	s.recs = append(s.recs, r)
	s.bytes += r.Size()
}

// NumRecords is how many records the operation has appended.
func (tx *Tx) NumRecords() int {
	n := 0
	for i := range tx.segs {
		n += len(tx.segs[i].recs)
	}
	return n
}

// Records are the records that the operation has appended.
func (tx *Tx) Records() []Record {
	var out []Record
	for i := range tx.segs {
		out = append(out, tx.segs[i].recs...)
	}
	return out
}

// Undo adds what takes back a change of the state, for the case that the records of this operation, or earlier ones
// that it may have seen the effect of, are not committed. Undos run in reverse order.
func (tx *Tx) Undo(f func()) {
	s := tx.segment()
	s.undo = append(s.undo, f)
}

// Split allows what follows to go into another batch than what came before, so that only a beginning of the
// operation may last. For operations with very many records.
func (tx *Tx) Split() {
	if len(tx.segs) > 0 && len(tx.segment().recs) > 0 {
		tx.segs = append(tx.segs, segment{})
	}
}

// Then calls f in the shard's loop, once: with nil when all records of this operation and of those before it in the
// shard are committed (at once, after the operation, if there are none), or with the error for which they are not.
// The state is undone before f is called with an error, except when the error is a time-out: then the outcome is
// open and the state stays until it is known. f has a Tx of its own; if it calls Then upon a time-out, and appends nothing,
// it hears what becomes of the records that it has waited for.
func (tx *Tx) Then(f func(tx *Tx, err error)) { tx.then = append(tx.then, f) }

// Transactional makes the operation's records part of a producer's transaction (KIP-98): they are written in a batch of
// their own, and before any other operation runs, so that a log that refuses them (a guard that is gone, a fenced producer)
// undoes this operation only. guard is what the log gave when it was asked whether the producer's transaction has begun there.
func (tx *Tx) Transactional(producerID int64, epoch int16, guard log.VerificationGuard) {
	tx.apart = &apart{producerID: producerID, epoch: epoch, guard: guard}
}

// EndTransaction writes the marker that ends a producer's transaction in the shard's log, in a batch of its own and as
// Transactional does. The operation appends nothing else. version is the transaction.version that the marker belongs to.
func (tx *Tx) EndTransaction(producerID int64, epoch int16, m record.EndTxnMarker, version int8) {
	tx.apart = &apart{producerID: producerID, epoch: epoch, marker: &m, version: version}
}

// batch is a run of segments that are appended together.
type batch struct {
	recs     []Record
	bytes    int
	undo     []func()
	then     []func(*Tx, error)
	apart    *apart // nil: a batch that operations share
	written  bool   // it is in the log
	deadline Timer
}

// how is what the log has to know of the batch.
func (b *batch) how() log.AppendOptions {
	opt := log.AppendOptions{Origin: log.OriginCoordinator}
	if b.apart != nil {
		opt.Guard, opt.TxnVersion = b.apart.guard, b.apart.version
	}
	return opt
}

func (b *batch) addUndo(undo []func()) { b.undo = append(b.undo, undo...) }

func runUndo(undo []func()) {
	for i := len(undo) - 1; i >= 0; i-- {
		undo[i]()
	}
}
