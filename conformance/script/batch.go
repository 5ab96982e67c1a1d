package script

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Codecs are the compression codecs by their number in a batch's attributes.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// Rec is a record to be sent. Delta fields are filled in by the batch, unless
// Batch.Raw lets the caller lie.
type Rec struct {
	Key, Value []byte
	Headers    []kmsg.Header
	At         int64 // milliseconds after the batch's base timestamp
}

// Batch describes a batch of format 2. The zero value but for Records is a
// plain batch without a producer.
type Batch struct {
	Base       int64 // base timestamp
	Codec      int
	Attributes int16 // or-ed to the codec
	PID        int64 // 0 means none; send producer ids as PID+1 through Producer
	Epoch      int16
	Seq        int32
	idempotent bool
	Records    []Rec
	// Edit may falsify the batch before its checksum is made.
	Edit func(*kmsg.RecordBatch)
	// EditRecord may falsify a record before it is encoded.
	EditRecord func(i int, r *kmsg.Record)
	// BadCRC spoils the checksum.
	BadCRC bool
}

// Producer makes a batch idempotent.
func (b Batch) Producer(id int64, epoch int16, seq int32) Batch {
	b.PID, b.Epoch, b.Seq, b.idempotent = id, epoch, seq, true
	return b
}

// Values makes records of values.
func Values(values ...string) []Rec {
	out := make([]Rec, len(values))
	for i, v := range values {
		out[i] = Rec{Value: []byte(v), At: int64(i)}
	}
	return out
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode returns the batch's bytes.
func (b Batch) Encode() []byte {
	rb := kmsg.NewRecordBatch()
	rb.PartitionLeaderEpoch = -1
	rb.Magic = 2
	rb.Attributes = int16(b.Codec) | b.Attributes
	rb.LastOffsetDelta = int32(len(b.Records)) - 1
	rb.FirstTimestamp, rb.MaxTimestamp = b.Base, b.Base
	rb.ProducerID, rb.ProducerEpoch, rb.FirstSequence = -1, -1, -1
	if b.idempotent {
		rb.ProducerID, rb.ProducerEpoch, rb.FirstSequence = b.PID, b.Epoch, b.Seq
	}
	rb.NumRecords = int32(len(b.Records))
	var raw []byte
	for i, r := range b.Records {
		rb.MaxTimestamp = max(rb.MaxTimestamp, b.Base+r.At)
		raw = append(raw, b.encodeRecord(i, r)...)
	}
	rb.Records = Compress(b.Codec, raw)
	if b.Edit != nil {
		b.Edit(&rb)
	}
	out := rb.AppendTo(nil)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	sum := crc32.Checksum(out[21:], castagnoli)
	if b.BadCRC {
		sum++
	}
	binary.BigEndian.PutUint32(out[17:], sum)
	return out
}

func (b Batch) encodeRecord(i int, r Rec) []byte {
	kr := kmsg.NewRecord()
	kr.OffsetDelta, kr.TimestampDelta64 = int32(i), r.At
	kr.Key, kr.Value, kr.Headers = r.Key, r.Value, r.Headers
	if b.EditRecord != nil {
		b.EditRecord(i, &kr)
	}
	body := kr.AppendTo(nil)
	// Length is the first field, a varint; 0 takes one byte.
	body = body[1:]
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

// Compress encodes as the codec of that number does.
func Compress(codec int, raw []byte) []byte {
	var out bytes.Buffer
	switch codec {
	case 1:
		w := gzip.NewWriter(&out)
		_, _ = w.Write(raw)
		_ = w.Close()
	case 2: // as the Java client does: xerial's framing
		block := s2.EncodeSnappy(nil, raw)
		out.Write([]byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1})
		_ = binary.Write(&out, binary.BigEndian, int32(len(block)))
		out.Write(block)
	case 3:
		w := lz4.NewWriter(&out)
		_, _ = w.Write(raw)
		_ = w.Close()
	case 4:
		w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
		if err == nil {
			_, _ = w.Write(raw)
			_ = w.Close()
		}
	default:
		return raw
	}
	return out.Bytes()
}

// Uncompress undoes Compress, for answers.
func Uncompress(codec int, b []byte) ([]byte, error) {
	switch codec {
	case 0:
		return b, nil
	case 1:
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		_, err = out.ReadFrom(r)
		return out.Bytes(), err
	case 2:
		return unsnappy(b)
	case 3:
		var out bytes.Buffer
		_, err := out.ReadFrom(lz4.NewReader(bytes.NewReader(b)))
		return out.Bytes(), err
	case 4:
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return r.DecodeAll(b, nil)
	}
	return nil, fmt.Errorf("codec %d", codec)
}

func unsnappy(b []byte) ([]byte, error) {
	if len(b) < 16 || b[0] != 0x82 {
		return s2.Decode(nil, b)
	}
	var out []byte
	for b = b[16:]; len(b) >= 4; {
		n := int(binary.BigEndian.Uint32(b))
		if n > len(b)-4 {
			return nil, fmt.Errorf("snappy block of %d bytes in %d", n, len(b)-4)
		}
		part, err := s2.Decode(nil, b[4:4+n])
		if err != nil {
			return nil, err
		}
		out, b = append(out, part...), b[4+n:]
	}
	return out, nil
}
