package coordinator

import (
	"fmt"

	"github.com/weir-stream/weir/internal/record"
)

// encodeBatch makes one batch of the records. Apache Kafka's group coordinator writes without a producer but with base
// sequence 0, its transaction coordinator with -1; so do we, to be the same byte for byte.
func encodeBatch(of *batch, nowMs int64, codec record.Codec, baseSequence int32) ([]byte, error) {
	var w record.Builder
	switch a := of.apart; {
	case a == nil:
		w.Reset(record.NewCompression(codec), 0)
		w.SetProducer(record.NoProducerID, record.NoProducerEpoch, baseSequence)
	case a.marker != nil:
		w.Reset(record.Compression{}, 0)
		w.AppendEndTxn(nowMs, a.producerID, a.epoch, *a.marker)
	default:
		w.Reset(record.NewCompression(codec), 0)
		w.SetProducer(a.producerID, a.epoch, baseSequence)
		w.SetTransactional()
	}
	for _, r := range of.recs {
		w.Append(nowMs, r.Key, r.Value)
	}
	b, err := w.Build()
	if err != nil {
		return nil, fmt.Errorf("build batch of %d records: %w", len(of.recs), err)
	}
	return b, nil
}

// replayBatches applies the records of whole batches from offset on and returns the offset after the last batch and
// the number of records.
func replayBatches(m Machine, piece []byte, offset int64) (next int64, records int, err error) {
	next = offset
	var it record.Records
	defer it.Close()
	for b, err := range record.Split(piece) {
		if err != nil {
			return next, records, fmt.Errorf("batch at offset %d: %w", next, err)
		}
		if b.NextOffset() <= offset {
			continue
		}
		it.Reset(b, 0)
		n, err := replayBatch(m, b, &it, offset)
		records += n
		if err != nil {
			return next, records, err
		}
		next = b.NextOffset()
	}
	return next, records, nil
}

func replayBatch(m Machine, b record.Batch, it *record.Records, from int64) (n int, err error) {
	producer := int64(-1)
	if b.IsTransactional() {
		producer = b.ProducerID()
	}
	for it.Next() {
		r := it.Record()
		if r.Offset < from {
			continue
		}
		if b.IsControl() {
			err = replayControl(m, b, r)
		} else {
			err = m.Replay(Replayed{Offset: r.Offset, TimestampMs: r.Timestamp, Key: r.Key, Value: r.Value, ProducerID: producer})
			n++
		}
		if err != nil {
			return n, fmt.Errorf("record at offset %d: %w", r.Offset, err)
		}
	}
	if err := it.Close(); err != nil {
		return n, fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
	}
	return n, nil
}

func replayControl(m Machine, b record.Batch, r *record.Record) error {
	marker, ok, err := record.ParseEndTxn(r)
	if err != nil || !ok {
		return err
	}
	return m.ReplayMarker(b.ProducerID(), marker.Commit)
}
