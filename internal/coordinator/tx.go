package coordinator

import "time"

// Record is one record of a coordinator's log, key and value encoded. A nil value is a tombstone.
type Record struct {
	Key, Value []byte
}

// recordOverhead bounds what a record costs in a batch beyond its key and value.
const recordOverhead = 5*5 + 1

func (r Record) size() int { return len(r.Key) + len(r.Value) + recordOverhead }

// A Tx is what one operation does to its shard: the records it wants written, how to undo the changes that it made
// to the state, and what happens when the records are committed or refused. It is valid only while the operation
// runs, in the shard's loop.
type Tx struct {
	// Now is the time of the operation.
	Now time.Time

	sh   *Shard
	segs []segment
	then []func(*Tx, error)
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
	s.bytes += r.size()
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
// open and the state stays until it is known. f has a Tx of its own.
func (tx *Tx) Then(f func(tx *Tx, err error)) { tx.then = append(tx.then, f) }

// batch is a run of segments that are appended together.
type batch struct {
	recs     []Record
	bytes    int
	undo     []func()
	then     []func(*Tx, error)
	deadline Timer
}

func (b *batch) addUndo(undo []func()) { b.undo = append(b.undo, undo...) }

func runUndo(undo []func()) {
	for i := len(undo) - 1; i >= 0; i-- {
		undo[i]()
	}
}
