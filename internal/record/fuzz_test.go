package record

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weir-stream/weir/internal/wire"
)

func FuzzValidate(f *testing.F) {
	for _, c := range allCodecs {
		f.Add([]byte(sample(f, NewCompression(c), 3, 10)))
		f.Add([]byte(golden(f, c.String()+"-20")))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		b, _, err := Next(p)
		if err != nil {
			return
		}
		l := Limits{SkipCRC: true, MaxUncompressed: 1 << 20, KeysRequired: true, Partition: "t-0"}
		info, err := Validate(b, l)
		if codec := b.Codec(); codec != None && codec <= Zstd && b.NumRecords() > 0 && b.LastOffsetDelta() == b.NumRecords()-1 && b.Attributes()&^attrKnown == 0 && b.BaseOffset() >= 0 && b.BaseOffset() < 1<<62 {
			sameByStream(t, b, l, info, err)
		}
		if err != nil {
			return
		}
		var w Builder
		w.Reset(NewCompression(None), b.BaseOffset())
		it := b.Records(1 << 20)
		for it.Next() {
			w.AppendRecord(it.Record())
		}
		if err := it.Close(); err != nil {
			t.Fatalf("a valid batch does not read: %v", err)
		}
		if w.NumRecords() != int(info.NumRecords) {
			t.Fatalf("%d records, %d declared", w.NumRecords(), info.NumRecords)
		}
	})
}

// sameByStream checks that both drivers of the walk come to the same end.
func sameByStream(t *testing.T, b Batch, l Limits, info Info, err error) {
	t.Helper()
	var streamed Info
	w := newWalk(b, &l, &streamed)
	src, serr := openSource(b.Codec(), b.Payload(), l.MaxUncompressed)
	if serr == nil {
		serr = w.stream(src, b.NumRecords(), l.MaxUncompressed)
		src.close()
	}
	if serr == nil {
		serr = streamed.err()
	}
	if (err == nil) != (serr == nil) {
		t.Fatalf("in memory: %v, streamed: %v", err, serr)
	}
	if err == nil && (streamed.MaxTimestamp != info.MaxTimestamp || streamed.MaxTimestampDelta != info.MaxTimestampDelta) {
		t.Fatalf("in memory: %+v, streamed: %+v", info, streamed)
	}
}

func fuzzCodec(f *testing.F, c Codec) {
	for _, n := range []int{0, 1, 1000, 100_000} {
		p, err := NewCompression(c).Append(nil, bytes.Repeat([]byte("some text "), n/10))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Add(golden(f, c.String()+"-20").Payload())
	f.Fuzz(func(t *testing.T, p []byte) {
		const limit = 1 << 20
		buf, err := Decompress(c, p, limit)
		var streamed []byte
		src, serr := openSource(c, p, limit)
		if serr == nil {
			streamed, serr = io.ReadAll(io.LimitReader(src, limit+1))
			src.close()
		}
		if serr == nil && len(streamed) > limit {
			serr = tooLarge(limit)
		}
		if (err == nil) != (serr == nil) {
			t.Fatalf("at once: %v, streamed: %v", err, serr)
		}
		if err != nil {
			if wire.CodeOf(err) != wire.InvalidRecord {
				t.Fatalf("code of %v", err)
			}
			return
		}
		defer buf.Release()
		if !bytes.Equal(buf.B, streamed) {
			t.Fatal("contents differ")
		}
		again, err := NewCompression(c).Append(nil, buf.B)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decompress(c, again, limit)
		if err != nil || !bytes.Equal(back.B, buf.B) {
			t.Fatalf("round trip: %v", err)
		}
		back.Release()
	})
}

func FuzzGzip(f *testing.F)   { fuzzCodec(f, Gzip) }
func FuzzSnappy(f *testing.F) { fuzzCodec(f, Snappy) }
func FuzzLz4(f *testing.F)    { fuzzCodec(f, Lz4) }
func FuzzZstd(f *testing.F)   { fuzzCodec(f, Zstd) }

func BenchmarkValidate(b *testing.B) {
	for _, c := range allCodecs {
		for _, valueSize := range []int{100, 1000} {
			batch := sample(b, NewCompression(c), 64<<10/valueSize, valueSize)
			b.Run(fmt.Sprintf("%s/%dB", c, valueSize), func(b *testing.B) {
				info, err := Validate(batch, client)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(info.UncompressedBytes)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Validate(batch, client); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// The shape of perf tools: no keys, no headers.
func BenchmarkValidateValues(b *testing.B) {
	for _, valueSize := range []int{10, 100, 1000} {
		var w Builder
		w.Reset(NewCompression(None), 0)
		for i := range 64 << 10 / valueSize {
			w.Append(1_700_000_000_000+int64(i/10), nil, make([]byte, valueSize))
		}
		batch := build(b, &w)
		b.Run(fmt.Sprintf("%dB", valueSize), func(b *testing.B) {
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Validate(batch, client); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(w.NumRecords()), "ns/record")
		})
	}
}

// plain may leave a record to fields, but never see it differently.
func TestShortcutAgreesWithTheFullCheck(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	agreed := 0
	for range 100_000 {
		body := []byte{0}
		body = AppendVarint(body, rng.Int64N(1<<uint(1+rng.IntN(24)))-20)
		n := rng.Int32N(1 << uint(1+rng.IntN(20)))
		body = AppendVarint(body, int64(n))
		for range 2 {
			size := rng.IntN(1<<uint(rng.IntN(9))) - rng.IntN(2)
			body = AppendVarint(body, int64(size))
			body = append(body, make([]byte, max(size, 0))...)
		}
		body = AppendVarint(body, int64(max(rng.IntN(20)-18, 0)))
		for range rng.IntN(3) { // damage
			body[rng.IntN(len(body))] = byte(rng.Uint32() >> uint(rng.IntN(3)))
		}
		p := append(AppendVarint(nil, int64(len(body))), body...)
		size, delta, nullKey := plain(p, n)
		if size == 0 {
			continue
		}
		var w walk
		wantDelta, wantNull, what := w.fields(body, n)
		if what != "" || size != len(p) || delta != wantDelta || nullKey != wantNull {
			t.Fatalf("%x: size %d delta %d null %v; full check: %q delta %d null %v", p, size, delta, nullKey, what, wantDelta, wantNull)
		}
		agreed++
	}
	if agreed < 3000 {
		t.Fatalf("the shortcut was taken %d times", agreed)
	}
}

func BenchmarkRecords(b *testing.B) {
	batch := sample(b, NewCompression(None), 640, 100)
	var it Records
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for b.Loop() {
		for it.Reset(batch, 0); it.Next(); {
		}
		if err := it.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecompress(b *testing.B) {
	batch := sample(b, NewCompression(None), 640, 100)
	for _, c := range allCodecs {
		b.Run(c.String(), func(b *testing.B) {
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for b.Loop() {
				_, buf, err := Recompress(batch, NewCompression(c), 0)
				if err != nil {
					b.Fatal(err)
				}
				buf.Release()
			}
		})
	}
}

func TestValidateDoesNotAllocatePerRecord(t *testing.T) {
	for _, c := range []Codec{None, Snappy, Lz4, Zstd} {
		b := sample(t, NewCompression(c), 640, 100)
		if n := testing.AllocsPerRun(50, func() {
			if _, err := Validate(b, client); err != nil {
				t.Fatal(err)
			}
		}); n > 20 { // none, but pools lose some with the race detector on
			t.Errorf("%s: %.0f allocations for a batch", c, n)
		}
	}
}

func TestXXH32(t *testing.T) {
	long := strings.Repeat("Nobody inspects the spammish repetition. ", 3)
	var x xxh32
	for n := range len(long) {
		x.reset()
		for _, c := range []byte(long[:n]) {
			x.write([]byte{c})
		}
		if got, want := x.sum(), xxh32Sum([]byte(long[:n])); got != want {
			t.Fatalf("%d bytes: %x in pieces, %x at once", n, got, want)
		}
	}
	for s, want := range map[string]uint32{"": 0x02cc5d05, "a": 0x550d7456, "Nobody inspects the spammish repetition": 0xe2293b2f} {
		if got := xxh32Sum([]byte(s)); got != want {
			t.Errorf("%q: %x, want %x", s, got, want)
		}
	}
}
