package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/wire"
)

var client = Limits{FromClient: true, BeforeMaxMs: 1 << 62, AfterMaxMs: 1 << 62}

// wrap makes a sealed batch around a payload.
func wrap(c Codec, count int32, payload []byte) Batch {
	b := make(Batch, HeaderSize, HeaderSize+len(payload))
	be := binary.BigEndian
	be.PutUint32(b[posLength:], uint32(HeaderSize+len(payload)-LogOverhead))
	b[posMagic] = CurrentMagic
	be.PutUint16(b[posAttributes:], uint16(c))
	be.PutUint32(b[posLastOffsetDelta:], uint32(count-1))
	be.PutUint64(b[posProducerID:], 1<<64-1)
	be.PutUint16(b[posProducerEpoch:], 1<<16-1)
	be.PutUint32(b[posBaseSequence:], 1<<32-1)
	be.PutUint32(b[posNumRecords:], uint32(count))
	b = append(b, payload...)
	b.Seal()
	return b
}

func TestValidateRefusesHeaders(t *testing.T) {
	be := binary.BigEndian
	for name, c := range map[string]struct {
		change func(Batch)
		code   wire.Code
		keep   bool // the crc
	}{
		"crc":                 {func(b Batch) { b[len(b)-1] ^= 1 }, wire.CorruptMessage, true},
		"length too long":     {func(b Batch) { be.PutUint32(b[posLength:], uint32(len(b))) }, wire.CorruptMessage, false},
		"length too short":    {func(b Batch) { be.PutUint32(b[posLength:], 49) }, wire.CorruptMessage, false},
		"magic 1":             {func(b Batch) { b[posMagic] = 1 }, wire.UnsupportedForMessageFormat, false},
		"magic 3":             {func(b Batch) { b[posMagic] = 3 }, wire.UnsupportedForMessageFormat, false},
		"codec 5":             {func(b Batch) { b[posAttributes+1] |= 5 }, wire.UnsupportedCompressionType, false},
		"unknown attribute":   {func(b Batch) { b[posAttributes] |= 1 }, wire.InvalidRecord, false},
		"control":             {func(b Batch) { b[posAttributes+1] |= attrControl }, wire.InvalidRecord, false},
		"delete horizon":      {func(b Batch) { b[posAttributes+1] |= attrDeleteHorizon }, wire.InvalidRecord, false},
		"transaction of none": {func(b Batch) { b[posAttributes+1] |= attrTransactional }, wire.InvalidRecord, false},
		"no sequence": {func(b Batch) {
			be.PutUint64(b[posProducerID:], 5)
			be.PutUint16(b[posProducerEpoch:], 0)
		}, wire.InvalidRecord, false},
		"last delta beyond": {func(b Batch) { be.PutUint32(b[posLastOffsetDelta:], 100) }, wire.InvalidRecord, false},
		"no epoch": {func(b Batch) {
			be.PutUint64(b[posProducerID:], 5)
			be.PutUint32(b[posBaseSequence:], 5)
		}, wire.InvalidRecord, false},
		"no records":            {func(b Batch) { be.PutUint32(b[posNumRecords:], 0) }, wire.InvalidRecord, false},
		"negative records":      {func(b Batch) { be.PutUint32(b[posNumRecords:], 1<<31) }, wire.InvalidRecord, false},
		"more records":          {func(b Batch) { be.PutUint32(b[posNumRecords:], 11) }, wire.InvalidRecord, false},
		"more of both":          {func(b Batch) { be.PutUint32(b[posNumRecords:], 11); be.PutUint32(b[posLastOffsetDelta:], 10) }, wire.InvalidRecord, false},
		"fewer of both":         {func(b Batch) { be.PutUint32(b[posNumRecords:], 9); be.PutUint32(b[posLastOffsetDelta:], 8) }, wire.InvalidRecord, false},
		"negative last delta":   {func(b Batch) { be.PutUint32(b[posLastOffsetDelta:], 1<<31) }, wire.InvalidRecord, false},
		"negative base offset":  {func(b Batch) { be.PutUint64(b[posBaseOffset:], 1<<63) }, wire.InvalidRecord, false},
		"last offset overflows": {func(b Batch) { be.PutUint64(b[posBaseOffset:], 1<<63-3) }, wire.InvalidRecord, false},
	} {
		for _, codec := range allCodecs {
			b := sample(t, NewCompression(codec), 10, 20)
			c.change(b)
			if !c.keep {
				b.Seal()
			}
			if _, err := Validate(b, client); wire.CodeOf(err) != c.code {
				if name == "codec 5" && codec != None { // the bits add up to another codec
					continue
				}
				t.Errorf("%s, %s: %v", name, codec, err)
			}
		}
	}
	for n := range HeaderSize {
		if _, err := Validate(make(Batch, n), client); err == nil {
			t.Errorf("%d bytes were accepted", n)
		}
	}
}

func TestValidateRefusesRecords(t *testing.T) {
	good := []byte{0, 0, 0, 1, 2, 'v', 0} // attributes, deltas, null key, value "v", no headers
	frame := func(body ...byte) []byte { return append(AppendVarint(nil, int64(len(body))), body...) }
	for name, p := range map[string][]byte{
		"length beyond the batch": append([]byte{100}, good...),
		"negative length":         append([]byte{1}, good...),
		"length too small":        append([]byte{2}, good...),
		"overlong length":         append([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, good...),
		"length of 33 bits":       append([]byte{0x8e, 0x80, 0x80, 0x80, 0x10}, good...),
		"first delta not zero":    frame(0, 0, 2, 1, 2, 'v', 0),
		"negative delta":          frame(0, 0, 1, 1, 2, 'v', 0),
		"key beyond the record":   frame(0, 0, 0, 40, 2, 'v', 0),
		"key length of -2":        frame(0, 0, 0, 3, 2, 'v', 0),
		"value beyond the record": frame(0, 0, 0, 1, 40, 'v', 0),
		"value length of -2":      frame(0, 0, 0, 1, 3, 'v', 0),
		"negative header count":   frame(0, 0, 0, 1, 2, 'v', 1),
		"headers missing":         frame(0, 0, 0, 1, 2, 'v', 4),
		"a billion headers":       frame(0, 0, 0, 1, 2, 'v', 0xfe, 0xff, 0xff, 0xff, 0x07),
		"null header key":         frame(0, 0, 0, 1, 2, 'v', 2, 1, 0),
		"header value of -2":      frame(0, 0, 0, 1, 2, 'v', 2, 2, 'h', 3),
		"bytes after the headers": frame(0, 0, 0, 1, 2, 'v', 0, 0),
		"timestamp of 11 bytes":   frame(0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0, 1, 2, 'v', 0),
		"bytes after the record":  append(frame(good...), 0),
		"nothing":                 nil,
	} {
		for _, codec := range allCodecs {
			payload, err := NewCompression(codec).Append(nil, p)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Validate(wrap(codec, 1, payload), client); wire.CodeOf(err) != wire.InvalidRecord {
				t.Errorf("%s, %s: %v", name, codec, err)
			}
		}
	}
	if _, err := Validate(wrap(None, 1, frame(good...)), client); err != nil {
		t.Errorf("the good record: %v", err)
	}
}

func TestRecordErrors(t *testing.T) {
	var w Builder
	w.Reset(NewCompression(Zstd), 0)
	for i := range 6 {
		var key []byte
		if i%2 == 0 {
			key = []byte("k")
		}
		w.Append(1000+int64(i), key, nil)
	}
	b := build(t, &w)
	l := client
	l.KeysRequired, l.Partition = true, "topic-0"
	info, err := Validate(b, l)
	if wire.CodeOf(err) != wire.InvalidRecord || len(info.RecordErrors) != 3 || info.RecordErrors[1].BatchIndex != 3 ||
		info.RecordErrors[1].Message != "Compacted topic cannot accept message without key in topic partition topic-0" {
		t.Errorf("null keys: %v %+v", err, info)
	}
	l = Limits{FromClient: true, NowMs: 1002, BeforeMaxMs: 1, AfterMaxMs: 1}
	info, err = Validate(b, l)
	if wire.CodeOf(err) != wire.InvalidTimestamp || len(info.RecordErrors) != 3 || info.RecordErrors[0].BatchIndex != 0 || info.RecordErrors[2].BatchIndex != 5 ||
		info.RecordErrors[2].Message != "Timestamp 1005 of message with offset 5 is out of range. The timestamp should be within [1001, 1003]" {
		t.Errorf("timestamps: %v %+v", err, info)
	}
	l.TimestampType = LogAppendTime
	if _, err = Validate(b, l); err != nil {
		t.Errorf("with LogAppendTime the producer's time does not matter: %v", err)
	}
	l = Limits{FromClient: true, NowMs: 1002, BeforeMaxMs: 1<<63 - 1, AfterMaxMs: 1<<63 - 1}
	if info, err = Validate(b, l); err != nil || info.MaxTimestamp != 1005 || info.MaxTimestampDelta != 5 {
		t.Errorf("the widest window: %v %+v", err, info)
	}
	stamped := golden(t, "appendtime-20")
	l.TimestampType = LogAppendTime
	if _, err = Validate(stamped, l); wire.CodeOf(err) != wire.InvalidTimestamp {
		t.Errorf("a producer's LogAppendTime: %v", err)
	}
}

func TestManyRecordErrorsAreBounded(t *testing.T) {
	var w Builder
	w.Reset(NewCompression(None), 0)
	for range 5000 {
		w.Append(1, nil, nil)
	}
	info, _ := Validate(build(t, &w), Limits{KeysRequired: true})
	if len(info.RecordErrors) != maxRecordErrors || info.Refused != 5000 {
		t.Errorf("%d errors, %d refused", len(info.RecordErrors), info.Refused)
	}
}

// zeros is a stream of zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// bomb compresses n zero bytes as tightly as the codec can.
func bomb(t testing.TB, c Codec, n int64) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch c {
	case Gzip:
		w, _ = gzip.NewWriterLevel(&out, 9)
	case Zstd:
		w, _ = zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20))
	case Lz4:
		z := lz4.NewWriter(&out)
		if err := z.Apply(lz4.BlockSizeOption(lz4.Block4Mb)); err != nil {
			t.Fatal(err)
		}
		w = z
	case Snappy:
		return s2.EncodeSnappy(nil, make([]byte, n))
	}
	if _, err := io.CopyN(w, zeros{}, n); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestBombsAreNotMaterialized(t *testing.T) {
	for _, c := range allCodecs[1:] {
		// One record whose value is 24 MiB of zeros, where 16 MiB are allowed.
		const size = 24 << 20
		payload := bomb(t, c, size)
		b := wrap(c, 1, payload)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		lent := bufpool.Lent()
		l := client
		l.MaxUncompressed = 16 << 20
		_, err := Validate(b, l)
		runtime.ReadMemStats(&after)
		if wire.CodeOf(err) != wire.InvalidRecord {
			t.Errorf("%s: %v", c, err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 15<<20 {
			t.Errorf("%s: a bomb of %d bytes made Validate allocate %d MiB", c, len(payload), grown>>20)
		}
		if bufpool.Lent() != lent {
			t.Errorf("%s: buffers are missing", c)
		}
	}
}

func TestDecompressKeepsItsLimit(t *testing.T) {
	for _, c := range allCodecs[1:] {
		payload := bomb(t, c, 3<<20)
		if _, err := Decompress(c, payload, 3<<20-1); wire.CodeOf(err) != wire.InvalidRecord {
			t.Errorf("%s: %v", c, err)
		}
		buf, err := Decompress(c, payload, 3<<20)
		if err != nil || len(buf.B) != 3<<20 {
			t.Errorf("%s: %v", c, err)
			continue
		}
		buf.Release()
	}
}

// large batches do not fit the first buffer and are streamed, also with records beyond the stream's window.
func TestStreamedBatches(t *testing.T) {
	for _, c := range allCodecs[1:] {
		for _, valueSize := range []int{10, 70_000, 3 << 20} {
			n := 6<<20/(valueSize+20) + 1
			var w Builder
			w.Reset(NewCompression(c), 0)
			value := bytes.Repeat([]byte("0123456789"), valueSize/10)
			for i := range n {
				w.Append(int64(i), value[:min(len(value), 50)], value, Header{[]byte("h"), value}, Header{[]byte("n"), nil})
			}
			b := build(t, &w)
			info, err := Validate(b, client)
			if err != nil || info.UncompressedBytes != int64(w.UncompressedSize()-HeaderSize) || int(info.MaxTimestampDelta) != n-1 {
				t.Errorf("%s with values of %d: %v %+v", c, valueSize, err, info)
			}
		}
	}
}

func TestStreamedBatchesKeepTheLimit(t *testing.T) {
	for _, c := range allCodecs[1:] {
		var w Builder
		w.Reset(NewCompression(c), 0)
		for range 6000 {
			w.Append(1, nil, make([]byte, 1000))
		}
		l := client
		l.MaxUncompressed = 4 << 20
		if _, err := Validate(build(t, &w), l); wire.CodeOf(err) != wire.InvalidRecord {
			t.Errorf("%s: %v", c, err)
		}
		l.MaxUncompressed = 7 << 20
		if _, err := Validate(build(t, &w), l); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestForeignFramings(t *testing.T) {
	plain := sample(t, NewCompression(None), 50, 2000)
	body := plain.Payload()
	lz4Frame := func(opts ...lz4.Option) []byte {
		var out bytes.Buffer
		w := lz4.NewWriter(&out)
		if err := w.Apply(opts...); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	linked := lz4Frame(lz4.ChecksumOption(false))
	linked[4] &^= lz4FlagIndep
	linked[6] = byte(xxh32Sum(linked[4:6]) >> 8)
	badSum := lz4Frame(lz4.BlockChecksumOption(true), lz4.ChecksumOption(false))
	badSum[len(badSum)-5] ^= 1 // before the end mark
	otherSum := lz4Frame()
	otherSum[len(otherSum)-1] ^= 1 // Apache Kafka 4.3 does not look at it either
	noSum := lz4Frame()
	noSum = noSum[:len(noSum)-4]
	var gz bytes.Buffer
	for _, part := range [][]byte{body[:100], body[100:]} {
		w := gzip.NewWriter(&gz)
		w.Name = "a name"
		w.Write(part)
		w.Close()
	}
	for name, c := range map[string]struct {
		codec   Codec
		payload []byte
	}{
		"raw snappy":            {Snappy, s2.EncodeSnappyBest(nil, body)},
		"lz4 of Go clients":     {Lz4, lz4Frame()},
		"lz4, sum of contents":  {Lz4, otherSum},
		"lz4 with all sums":     {Lz4, lz4Frame(lz4.BlockChecksumOption(true), lz4.SizeOption(uint64(len(body))), lz4.BlockSizeOption(lz4.Block64Kb))},
		"two gzip members":      {Gzip, gz.Bytes()},
		"xerial, small version": {Snappy, append([]byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"), append(binary.BigEndian.AppendUint32(nil, uint32(len(s2.EncodeSnappy(nil, body)))), s2.EncodeSnappy(nil, body)...)...)},
	} {
		b := wrap(c.codec, 50, c.payload)
		if _, err := Validate(b, client); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		codec   Codec
		payload []byte
	}{
		"s2 instead of snappy": {Snappy, s2.EncodeBest(nil, bytes.Repeat([]byte("abcdefgh01234567"), 4000))},
		"linked lz4 blocks":    {Lz4, linked},
		"lz4 block sum":        {Lz4, badSum},
		"lz4 without its sum":  {Lz4, noSum},
		"lz4 and more":         {Lz4, append(lz4Frame(), 0)},
		"xerial cut off":       {Snappy, []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00")},
	} {
		if _, err := Validate(wrap(c.codec, 50, c.payload), client); wire.CodeOf(err) != wire.InvalidRecord {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadersStopAtBadContents(t *testing.T) {
	for _, c := range allCodecs {
		b := sample(t, NewCompression(c), 10, 20)
		b = bytes.Clone(b)
		for i := HeaderSize; i < len(b); i++ {
			b[i] = 0xff
		}
		it := b.Records(0)
		for it.Next() {
		}
		if err := it.Close(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", c, err)
		}
	}
}
