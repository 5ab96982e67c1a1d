package log

import (
	"encoding/binary"

	"github.com/weir-stream/weir/internal/record"
)

// batchFilter decides what of each batch a compaction keeps, and makes the batch anew where something goes. Records are
// kept at their offsets; a batch keeps its base and last offset, so that sequences and fetches work on.
type batchFilter struct {
	keys              *offsetMap
	txns              *cleanedTxns
	nowMs             int64
	deleteRetentionMs int64
	upper             int64 // end of what is cleaned in this run: the batch that ends there is kept even if empty
	// lastOf tells where each active producer's last data ended, so that the batch stays to tell its sequence.
	lastOf  map[int64]producerLast
	builder record.Builder
	records record.Records
	out     []byte
}

type producerLast struct {
	dataOffset int64 // -1: only a marker is known
	epoch      int16
}

// filter returns the bytes to write for b: nothing, b itself or a new batch that is valid until the next call.
func (f *batchFilter) filter(b record.Batch) ([]byte, error) {
	var empty bool // nothing is left of the batch's transaction, or it was aborted
	var err error
	if b.IsControl() {
		if empty, err = f.txns.control(b); err != nil {
			return nil, err
		}
	} else {
		empty = f.txns.data(b)
	}
	discard := empty
	if b.IsControl() {
		// A marker goes by the same clock as a tombstone.
		discard = empty && b.HasDeleteHorizon() && b.DeleteHorizonMs() <= f.nowMs
	}
	retainEmpty := f.tellsSequence(b) || b.NextOffset() == f.upper
	kept := 0
	tombstones := false
	if !discard && b.NumRecords() > 0 {
		if kept, tombstones, err = f.count(b); err != nil {
			return nil, err
		}
	}
	if kept == 0 {
		if retainEmpty {
			return emptied(b, f.out[:0]), nil
		}
		return nil, nil
	}
	setHorizon := (tombstones || b.IsControl() && empty) && !b.HasDeleteHorizon()
	if kept == int(b.NumRecords()) && !setHorizon {
		return b, nil
	}
	return f.rebuild(b, setHorizon)
}

// tellsSequence reports whether the batch is the last one of an active producer.
func (f *batchFilter) tellsSequence(b record.Batch) bool {
	if !b.HasProducerID() {
		return false
	}
	last, ok := f.lastOf[b.ProducerID()]
	if !ok {
		return false
	}
	if last.dataOffset >= 0 {
		return b.LastOffset() == last.dataOffset
	}
	return b.IsControl() && b.ProducerEpoch() == last.epoch
}

// count goes over the records once to see how many stay.
func (f *batchFilter) count(b record.Batch) (kept int, tombstones bool, err error) {
	f.records.Reset(b, 0)
	for f.records.Next() {
		if r := f.records.Record(); f.keeps(b, r) {
			kept++
			tombstones = tombstones || r.Value == nil
		}
	}
	return kept, tombstones, f.records.Close()
}

// keeps is the rule: the last record of each key stays; a tombstone stays until its delete horizon.
func (f *batchFilter) keeps(b record.Batch, r *record.Record) bool {
	switch {
	case b.IsControl():
		return true
	case r.Offset > f.keys.latest:
		return true
	case r.Key == nil:
		return false
	case r.Offset < f.keys.get(r.Key):
		return false
	}
	return r.Value != nil || !b.HasDeleteHorizon() || f.nowMs < b.DeleteHorizonMs()
}

// rebuild makes the batch from the records that stay, in the codec that it has.
func (f *batchFilter) rebuild(b record.Batch, setHorizon bool) ([]byte, error) {
	w := &f.builder
	w.Reset(record.NewCompression(b.Codec()), b.BaseOffset())
	w.SetProducer(b.ProducerID(), b.ProducerEpoch(), b.BaseSequence())
	w.SetLeaderEpoch(b.LeaderEpoch())
	w.SetLastOffset(b.LastOffset())
	if b.IsTransactional() {
		w.SetTransactional()
	}
	if b.IsControl() {
		w.SetControl()
	}
	if b.TimestampType() == record.LogAppendTime {
		w.SetLogAppendTime(b.MaxTimestamp())
	}
	if setHorizon {
		w.SetDeleteHorizon(f.nowMs + f.deleteRetentionMs)
	} else if b.HasDeleteHorizon() {
		w.SetDeleteHorizon(b.DeleteHorizonMs())
	}
	f.records.Reset(b, 0)
	for f.records.Next() {
		if r := f.records.Record(); f.keeps(b, r) {
			w.AppendRecord(r)
		}
	}
	if err := f.records.Close(); err != nil {
		return nil, err
	}
	out, err := w.AppendTo(f.out[:0])
	if err == nil {
		f.out = out
	}
	return out, err
}

// emptied is the batch without its records: what is left of an idle producer's last batch, or of the end of a run.
func emptied(b record.Batch, dst []byte) []byte {
	const (
		attributes    = 21
		baseTimestamp = 27
		count         = 57
		codecBits     = 0x07
		horizonBit    = 0x40
	)
	e := append(dst, b[:record.HeaderSize]...)
	binary.BigEndian.PutUint32(e[8:], record.HeaderSize-record.LogOverhead)
	binary.BigEndian.PutUint16(e[attributes:], uint16(b.Attributes())&^(codecBits|horizonBit))
	binary.BigEndian.PutUint64(e[baseTimestamp:], ^uint64(0))
	binary.BigEndian.PutUint32(e[count:], 0)
	record.Batch(e).Seal()
	return e
}
