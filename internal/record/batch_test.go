package record

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/weir-stream/weir/internal/wire"
)

var allCodecs = []Codec{None, Gzip, Snappy, Lz4, Zstd}

// sample builds a batch of n records with keys, nulls, headers and rising timestamps.
func sample(t testing.TB, c Compression, n, valueSize int) Batch {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	var w Builder
	w.Reset(c, 0)
	for i := range n {
		value := make([]byte, valueSize)
		for j := range value {
			value[j] = "abcdefghijklmnop"[rng.IntN(16)]
		}
		var key []byte
		if i%3 != 0 {
			key = fmt.Appendf(nil, "key-%d", i)
		}
		var headers []Header
		if i%5 == 0 {
			headers = []Header{{[]byte("h"), nil}, {[]byte("trace"), []byte("x")}}
		}
		if i%7 == 6 {
			value = nil
		}
		w.Append(1_700_000_000_000+int64(i%11)*1000, key, value, headers...)
	}
	b, err := w.Build()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBuildValidateAndReadBack(t *testing.T) {
	for _, c := range allCodecs {
		for _, n := range []int{1, 7, 1000} {
			t.Run(fmt.Sprintf("%s/%d", c, n), func(t *testing.T) {
				b := sample(t, NewCompression(c), n, 100)
				info, err := Validate(b, Limits{FromClient: true, BeforeMaxMs: 1 << 62, AfterMaxMs: 1 << 62})
				if err != nil {
					t.Fatal(err)
				}
				if info.MaxTimestamp != b.MaxTimestamp() || int(info.NumRecords) != n {
					t.Fatalf("info %+v, header max %d", info, b.MaxTimestamp())
				}
				var again Builder
				again.Reset(NewCompression(None), 0)
				it := b.Records(0)
				for it.Next() {
					again.AppendRecord(it.Record())
				}
				if err := it.Close(); err != nil {
					t.Fatal(err)
				}
				got, err := again.Build()
				if err != nil {
					t.Fatal(err)
				}
				if want := sample(t, NewCompression(None), n, 100); !bytes.Equal(got, want) {
					t.Fatal("records changed on the way")
				}
			})
		}
	}
}

func TestAccessorsAndStamps(t *testing.T) {
	var w Builder
	w.Reset(NewCompression(Lz4), 40)
	w.SetProducer(7, 3, 1<<31-2)
	w.SetTransactional()
	w.SetLeaderEpoch(5)
	for i := range 4 {
		w.Append(int64(100+i), nil, []byte("v"))
	}
	b, err := w.Build()
	if err != nil {
		t.Fatal(err)
	}
	if b.BaseOffset() != 40 || b.LastOffset() != 43 || b.NextOffset() != 44 || b.NumRecords() != 4 || b.LeaderEpoch() != 5 {
		t.Errorf("offsets %d %d, %d records, epoch %d", b.BaseOffset(), b.LastOffset(), b.NumRecords(), b.LeaderEpoch())
	}
	if b.ProducerID() != 7 || b.ProducerEpoch() != 3 || b.BaseSequence() != 1<<31-2 || b.LastSequence() != 1 {
		t.Errorf("producer %d %d, sequences %d to %d", b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), b.LastSequence())
	}
	if !b.IsTransactional() || b.IsControl() || b.Codec() != Lz4 || b.Magic() != 2 || b.Size() != len(b) {
		t.Errorf("attributes %#x", b.Attributes())
	}
	crc := b.CRC()
	b.SetBaseOffset(1000)
	b.SetLeaderEpoch(9)
	if err := b.VerifyCRC(); err != nil || b.CRC() != crc {
		t.Error("the crc must not cover base offset and leader epoch")
	}
	b.StampTimestamps(LogAppendTime, 555)
	if b.TimestampType() != LogAppendTime || b.MaxTimestamp() != 555 || b.VerifyCRC() != nil || b.CRC() == crc {
		t.Error("stamping")
	}
	it := b.Records(0)
	for it.Next() {
		if it.Record().Timestamp != 555 {
			t.Error("records of a LogAppendTime batch must have its time")
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := b.VerifyCRC(); wire.CodeOf(err) != wire.CorruptMessage {
		t.Errorf("flipped bit: %v", err)
	}
}

func TestSplit(t *testing.T) {
	one, two := sample(t, NewCompression(None), 3, 10), sample(t, NewCompression(Zstd), 30, 10)
	all := append(append([]byte(nil), one...), two...)
	var got []int
	for b, err := range Split(all) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, len(b))
	}
	if len(got) != 2 || got[0] != len(one) || got[1] != len(two) {
		t.Fatalf("split into %v", got)
	}
	for cut := 1; cut < len(one); cut++ {
		if _, _, err := Next(one[:cut]); !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	old := append(Batch(nil), one...)
	old[posMagic] = 1
	if _, _, err := Next(old); !errors.Is(err, ErrMagic) {
		t.Fatalf("magic 1: %v", err)
	}
	if _, err := CheckProduced(all, 9); wire.CodeOf(err) != wire.InvalidRecord {
		t.Errorf("two batches: %v", err)
	}
	if _, err := CheckProduced(two, 6); wire.CodeOf(err) != wire.UnsupportedCompressionType {
		t.Errorf("zstd with version 6: %v", err)
	}
	if _, err := CheckProduced(two, 7); err != nil {
		t.Error(err)
	}
}
