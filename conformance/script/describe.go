package script

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// batchFacts is what is compared of a batch in a fetch answer.
type batchFacts struct {
	BaseOffset      int64
	LeaderEpoch     int32
	Attributes      string
	LastOffsetDelta int32
	FirstTimestamp  int64
	MaxTimestamp    int64
	ProducerID      int64
	ProducerEpoch   int16
	FirstSequence   int32
	NumRecords      int32
	Content         []recordFacts
	Problem         string
}

type recordFacts struct {
	Offset    int64
	Timestamp int64
	Key       *string
	Value     *string
	Headers   string
}

// describeBatches reads what a Fetch answer carries. A batch that is cut off
// at the end is what Kafka allows a fetch to end with.
func describeBatches(b []byte) []batchFacts {
	out := []batchFacts{}
	for len(b) > 0 {
		if len(b) < 61 || int(binary.BigEndian.Uint32(b[8:])) > len(b)-12 {
			return append(out, batchFacts{Problem: "cut off"})
		}
		n := 12 + int(binary.BigEndian.Uint32(b[8:]))
		out = append(out, describeBatch(b[:n]))
		b = b[n:]
	}
	return out
}

func describeBatch(b []byte) batchFacts {
	rb := kmsg.NewRecordBatch()
	if err := rb.ReadFrom(b); err != nil {
		return batchFacts{Problem: err.Error()}
	}
	f := batchFacts{
		BaseOffset: rb.FirstOffset, LeaderEpoch: rb.PartitionLeaderEpoch, Attributes: fmt.Sprintf("%#x", rb.Attributes),
		LastOffsetDelta: rb.LastOffsetDelta, FirstTimestamp: rb.FirstTimestamp, MaxTimestamp: rb.MaxTimestamp,
		ProducerID: rb.ProducerID, ProducerEpoch: rb.ProducerEpoch, FirstSequence: rb.FirstSequence, NumRecords: rb.NumRecords,
	}
	if crc32.Checksum(b[21:], castagnoli) != binary.BigEndian.Uint32(b[17:]) {
		f.Problem = "checksum"
	}
	raw, err := Uncompress(int(rb.Attributes&7), rb.Records)
	if err != nil {
		f.Problem = err.Error()
		return f
	}
	for len(raw) > 0 {
		n, k := binary.Varint(raw)
		if k <= 0 || n < 0 || int(n) > len(raw)-k {
			f.Problem = "record length"
			return f
		}
		r := kmsg.NewRecord()
		if err := r.ReadFrom(raw[:k+int(n)]); err != nil {
			f.Problem = err.Error()
			return f
		}
		raw = raw[k+int(n):]
		f.Content = append(f.Content, recordFacts{
			Offset: rb.FirstOffset + int64(r.OffsetDelta), Timestamp: recordTime(&rb, &r),
			Key: text(r.Key), Value: text(r.Value), Headers: fmt.Sprintf("%q", r.Headers),
		})
	}
	return f
}

// recordTime is the batch's time where the broker stamped it.
func recordTime(rb *kmsg.RecordBatch, r *kmsg.Record) int64 {
	if rb.Attributes&8 != 0 {
		return rb.MaxTimestamp
	}
	return rb.FirstTimestamp + r.TimestampDelta64
}

func text(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	if len(s) > 200 {
		s = fmt.Sprintf("%d bytes, crc %08x", len(s), crc32.Checksum(b, castagnoli))
	}
	return &s
}
