package record

import (
	"fmt"
	"strings"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/wire"
)

// maxRecordErrors bounds how many refused records an answer names.
const maxRecordErrors = 1000

// Limits says what Validate allows. The zero value checks structure only, as for batches that the broker itself made.
// Batches that were compacted have gaps and do not pass: a follower checks their CRC, readers use Records.
type Limits struct {
	// FromClient refuses what only brokers write: control batches, delete horizons, LogAppendTime, sequence numbers
	// that do not belong to a producer id.
	FromClient bool
	// TimestampType is the topic's message.timestamp.type. Records are checked against the window only for CreateTime.
	TimestampType TimestampType
	// NowMs, BeforeMaxMs and AfterMaxMs are the window: message.timestamp.before.max.ms and .after.max.ms around now.
	NowMs       int64
	BeforeMaxMs int64
	AfterMaxMs  int64
	// KeysRequired refuses records without a key, for compacted topics.
	KeysRequired bool
	// Partition ("topic-0") appears in messages about records.
	Partition string
	// MaxUncompressed bounds what the records decompress to; 0 means DefaultMaxUncompressed.
	MaxUncompressed int
	// SkipCRC is for batches whose checksum was already compared.
	SkipCRC bool
}

// Info is what Validate learned.
type Info struct {
	// MaxTimestamp is the highest timestamp of a record, NoTimestamp if none has one. The header of the batch may
	// claim another: stamp the batch with this.
	MaxTimestamp int64
	// MaxTimestampDelta is the offset delta of the first record with MaxTimestamp.
	MaxTimestampDelta int32
	NumRecords        int32
	// UncompressedBytes is the length of the records without compression.
	UncompressedBytes int64
	// RecordErrors name the refused records, if any, in order, at most 1,000 of them; Refused counts all.
	RecordErrors []RecordError
	Refused      int

	timestampRefused bool
}

// RecordError is why one record was refused.
type RecordError struct {
	BatchIndex int32
	Message    string
}

func (i *Info) refuse(index int32, timestamp bool, message func() string) {
	i.Refused++
	i.timestampRefused = i.timestampRefused || timestamp
	if len(i.RecordErrors) < maxRecordErrors {
		i.RecordErrors = append(i.RecordErrors, RecordError{index, message()})
	}
}

// Validate checks everything that can be known of b from its own bytes: lengths, CRC, attributes, header fields against
// each other, and every record's structure, decompressed within a bounded memory. The batch is good if the error is
// nil. The error wraps wire.CorruptMessage, InvalidRecord, InvalidTimestamp, UnsupportedCompressionType or
// UnsupportedForMessageFormat; Info.RecordErrors is filled when single records were refused. Validate does not change
// b and keeps nothing of it. Safe for concurrent use.
func Validate(b Batch, l Limits) (Info, error) {
	var info Info
	if err := checkHeader(b, &l); err != nil {
		return info, err
	}
	if !l.SkipCRC {
		if err := b.VerifyCRC(); err != nil {
			return info, err
		}
	}
	info.NumRecords = b.NumRecords()
	w := newWalk(b, &l, &info)
	if err := w.run(b); err != nil {
		return info, err
	}
	return info, info.err()
}

func (w *walk) run(b Batch) error {
	count, payload := b.NumRecords(), b.Payload()
	codec := b.Codec()
	if codec == None {
		w.info.UncompressedBytes = int64(len(payload))
		return w.bytes(payload, count)
	}
	limit := w.limits.MaxUncompressed
	if limit <= 0 {
		limit = DefaultMaxUncompressed
	}
	buf := bufpool.Get(firstGuess(len(payload), limit))
	out, err := into(buf.B[:0], codec, payload)
	if err == nil {
		w.info.UncompressedBytes = int64(len(out))
		if len(out) > limit {
			err = tooLarge(limit)
		} else {
			err = w.bytes(out, count)
		}
	}
	buf.Release()
	if err != errNoRoom {
		return err
	}
	slow <- struct{}{}
	defer func() { <-slow }()
	src, err := openSource(codec, payload, limit)
	if err != nil {
		return err
	}
	defer src.close()
	return w.stream(src, count, limit)
}

// err is Kafka's summary of refused records.
func (i *Info) err() error {
	if i.Refused == 0 {
		return nil
	}
	if i.timestampRefused {
		return fmt.Errorf("One or more records have been rejected due to invalid timestamp: %w", wire.InvalidTimestamp)
	}
	var first []string
	for _, e := range i.RecordErrors[:min(len(i.RecordErrors), 3)] {
		first = append(first, fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", e.BatchIndex, e.Message))
	}
	return fmt.Errorf("One or more records have been rejected due to %d record errors in total, and only showing the first three errors at most: [%s]: %w",
		i.Refused, strings.Join(first, ", "), wire.InvalidRecord)
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, wire.InvalidRecord)...)
}

func checkHeader(b Batch, l *Limits) error {
	if len(b) <= posMagic {
		return ErrTruncated
	}
	if b.Magic() != CurrentMagic {
		return fmt.Errorf("magic %d: %w: %w", b.Magic(), ErrMagic, wire.UnsupportedForMessageFormat)
	}
	if len(b) < HeaderSize || b.Size() != len(b) {
		return fmt.Errorf("record batch of %d bytes does not have its declared length: %w", len(b), wire.CorruptMessage)
	}
	last, count := b.LastOffsetDelta(), b.NumRecords()
	switch {
	case last < 0 || count <= 0:
		return invalid("Batch has an invalid offset range or record count (last offset delta %d, %d records)", last, count)
	case last != count-1:
		return invalid("Inconsistent batch offset range: %d records with last offset delta %d", count, last)
	case b.BaseOffset() < 0 || b.BaseOffset() > 1<<63-1-int64(count):
		return invalid("Batch has the base offset %d", b.BaseOffset())
	case b.Attributes()&^attrKnown != 0:
		return invalid("Batch has unknown attributes %#x", b.Attributes())
	case b.Codec() > Zstd:
		return errUnknownCodec
	}
	if l.FromClient {
		return checkClientHeader(b)
	}
	return nil
}

func checkClientHeader(b Batch) error {
	switch {
	case b.IsControl():
		return invalid("Clients are not allowed to write control records")
	case b.HasDeleteHorizon():
		return invalid("Clients are not allowed to set a delete horizon")
	case b.HasProducerID() && b.BaseSequence() < 0:
		return invalid("Invalid sequence number %d in record batch with producerId %d", b.BaseSequence(), b.ProducerID())
	case b.HasProducerID() && b.ProducerEpoch() < 0:
		return invalid("Invalid epoch %d in record batch with producerId %d", b.ProducerEpoch(), b.ProducerID())
	case b.IsTransactional() && !b.HasProducerID():
		return invalid("Transactional record batch without a producer id")
	}
	return nil
}
