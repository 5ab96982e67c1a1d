package record

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goldenRecords appends what testdata/Golden.java writes.
func goldenRecords(w *Builder, n int) {
	for i := range n {
		var key, value []byte
		if i%3 != 0 {
			key = fmt.Appendf(nil, "key-%d", i)
		}
		if i%7 != 6 {
			value = bytes.Repeat(fmt.Appendf(nil, "value-%d ", i), i%50)
			if value == nil {
				value = []byte{}
			}
		}
		var headers []Header
		if i%5 == 0 {
			headers = []Header{{[]byte("h"), nil}, {[]byte("trace"), fmt.Append(nil, i)}}
		}
		w.Append(1_700_000_000_000+int64(i%11)*1000, key, value, headers...)
	}
}

func golden(t testing.TB, name string) Batch {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "golden", name+".batch"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func build(t testing.TB, w *Builder) Batch {
	t.Helper()
	b, err := w.Build()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestUncompressedBatchesEqualKafkas(t *testing.T) {
	var w Builder
	for _, n := range []int{20, 1000} {
		w.Reset(NewCompression(None), 0)
		goldenRecords(&w, n)
		if got, want := build(t, &w), golden(t, fmt.Sprintf("none-%d", n)); !bytes.Equal(maskEpoch(got), maskEpoch(want)) {
			t.Errorf("%d records: %d bytes differ from Kafka's %d", n, len(got), len(want))
		}
	}
	w.Reset(NewCompression(None), 0)
	w.SetProducer(42, 3, 17)
	w.SetTransactional()
	goldenRecords(&w, 20)
	if got, want := build(t, &w), golden(t, "transactional-20"); !bytes.Equal(maskEpoch(got), maskEpoch(want)) {
		t.Error("transactional batch differs from Kafka's")
	}
	for name, commit := range map[string]bool{"commit": true, "abort": false} {
		w.Reset(NewCompression(None), 7)
		w.SetLeaderEpoch(5)
		w.AppendEndTxn(1_700_000_000_000, 42, 3, EndTxnMarker{Commit: commit, CoordinatorEpoch: 9})
		if got, want := build(t, &w), golden(t, name); !bytes.Equal(got, want) {
			t.Errorf("%s marker differs from Kafka's:\n%x\n%x", name, got, want)
		}
		it := golden(t, name).Records(0)
		if !it.Next() {
			t.Fatal(it.Close())
		}
		if m, ok, err := ParseEndTxn(it.Record()); err != nil || !ok || m.Commit != commit || m.CoordinatorEpoch != 9 {
			t.Errorf("%s marker read as %+v %v %v", name, m, ok, err)
		}
		if err := it.Close(); err != nil {
			t.Error(err)
		}
	}
}

// maskEpoch clears the leader epoch, which the producer leaves at what it likes.
func maskEpoch(b Batch) Batch {
	b = bytes.Clone(b)
	b.SetLeaderEpoch(0)
	return b
}

func TestKafkasBatchesAreReadAndAccepted(t *testing.T) {
	for name, n := range map[string]int{
		"none-20": 20, "none-1000": 1000, "gzip-20": 20, "gzip-1000": 1000, "snappy-20": 20, "snappy-1000": 1000,
		"lz4-20": 20, "lz4-1000": 1000, "zstd-20": 20, "zstd-1000": 1000, "gzip9-100": 100, "lz4hc-100": 100,
		"zstd22-1000": 1000, "idempotent-20": 20, "transactional-20": 20, "appendtime-20": 20,
	} {
		t.Run(name, func(t *testing.T) {
			b := golden(t, name)
			info, err := Validate(b, Limits{FromClient: name != "appendtime-20", BeforeMaxMs: 1 << 62, AfterMaxMs: 1 << 62})
			if err != nil {
				t.Fatal(err)
			}
			if int(info.NumRecords) != n || info.MaxTimestamp != b.MaxTimestamp() {
				t.Errorf("info %+v, header's max timestamp %d", info, b.MaxTimestamp())
			}
			var want, got Builder
			want.Reset(NewCompression(None), 0)
			goldenRecords(&want, n)
			got.Reset(NewCompression(None), 0)
			it := b.Records(0)
			for it.Next() {
				r := *it.Record()
				if b.TimestampType() == LogAppendTime {
					if r.Timestamp != 1_800_000_000_000 {
						t.Fatalf("append time %d", r.Timestamp)
					}
					r.Timestamp = 1_700_000_000_000 + int64(got.NumRecords()%11)*1000
				}
				got.AppendRecord(&r)
			}
			if err := it.Close(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(build(t, &got), build(t, &want)) {
				t.Error("records differ")
			}
			for _, c := range allCodecs {
				r, buf, err := Recompress(b, NewCompression(c), 0)
				if err != nil {
					t.Fatal(err)
				}
				if r.Codec() != c || r.NumRecords() != b.NumRecords() || r.BaseOffset() != b.BaseOffset() || r.LeaderEpoch() != b.LeaderEpoch() || r.ProducerID() != b.ProducerID() || r.BaseTimestamp() != b.BaseTimestamp() {
					t.Errorf("header changed on the way to %s", c)
				}
				if again, err := Validate(r, Limits{}); err != nil || again.UncompressedBytes != info.UncompressedBytes {
					t.Errorf("recompressed to %s: %v", c, err)
				}
				buf.Release()
			}
		})
	}
}

// Java's client must read all that is written here. It takes a JVM, so WEIR_KAFKA must name an Apache Kafka.
func TestKafkaReadsOurBatches(t *testing.T) {
	kafka := os.Getenv("WEIR_KAFKA")
	if kafka == "" {
		t.Skip("WEIR_KAFKA does not name a directory of Apache Kafka")
	}
	dir := t.TempDir()
	files := 0
	write := func(name string, c Compression, n int) {
		var w Builder
		w.Reset(c, 0)
		goldenRecords(&w, n)
		if err := os.WriteFile(filepath.Join(dir, name+".batch"), build(t, &w), 0o644); err != nil {
			t.Fatal(err)
		}
		files++
	}
	for _, n := range []int{1, 20, 5000} {
		for _, c := range allCodecs {
			write(fmt.Sprintf("%s-%d", c, n), NewCompression(c), n)
		}
		for level := -1; level <= 9; level++ {
			write(fmt.Sprintf("gzip-level%d-%d", level, n), Compression{Gzip, level}, n)
		}
		for level := 1; level <= 17; level++ {
			write(fmt.Sprintf("lz4-level%d-%d", level, n), Compression{Lz4, level}, n)
		}
		for _, level := range []int{-7, 1, 3, 9, 15, 22} {
			write(fmt.Sprintf("zstd-level%d-%d", level, n), Compression{Zstd, level}, n)
		}
	}
	out, err := exec.Command("java", "-cp", filepath.Join(kafka, "libs", "*"), filepath.Join("testdata", "Golden.java"), "check", dir).CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("%d files read", files)) {
		t.Fatalf("%v\n%s", err, out)
	}
}
