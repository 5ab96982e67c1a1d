package log

import (
	"fmt"
	"testing"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

func benchBatch(b *testing.B, records, size int, pid int64) []byte {
	var w record.Builder
	w.Reset(record.Compression{}, 0)
	if pid >= 0 {
		w.SetProducer(pid, 0, 0)
	}
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(i * 31)
	}
	for range records {
		w.Append(1_700_000_000_000, nil, value)
	}
	p, err := w.Build()
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func benchLog(b *testing.B) *Log {
	l, err := OpenSingle(vfs.OS(), b.TempDir()+"/t-0", testTP, DefaultConfig(), SingleOptions{Logger: quiet, Now: newClock().Now})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := l.BecomeLeader(0); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.closeFiles() })
	return l
}

// BenchmarkAppend is an append of a client's batch on the operating system's files: check, offsets, one write.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ records, size int }{{1, 100}, {10, 100}, {64, 1000}, {650, 100}} {
		b.Run(fmt.Sprintf("%dx%d", c.records, c.size), func(b *testing.B) {
			l := benchLog(b)
			p := benchBatch(b, c.records, c.size, -1)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				record.Batch(p).SetBaseOffset(0)
				if _, err := l.AppendAsLeader(p, 0, AppendOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAppendAsFollower is the same batch as a follower takes it.
func BenchmarkAppendAsFollower(b *testing.B) {
	l := benchLog(b)
	l.BecomeFollower(1)
	p := benchBatch(b, 64, 1000, -1)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		record.Batch(p).SetBaseOffset(l.LogEndOffset())
		if _, err := l.AppendAsFollower(p, 1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead hands out ranges at the tail, where consumers are, and in cold data, at offsets all over the log.
func BenchmarkRead(b *testing.B) {
	l := benchLog(b)
	p := benchBatch(b, 10, 100, -1)
	for range 100_000 {
		record.Batch(p).SetBaseOffset(0)
		if _, err := l.AppendAsLeader(p, 0, AppendOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	end := l.LogEndOffset()
	l.SetHighWatermark(end)
	read := func(b *testing.B, off int64, size int) {
		info, err := l.Read(off, size, true, BoundHighWatermark)
		if err != nil || info.Range == nil {
			b.Fatal(err)
		}
		info.Range.Release()
	}
	b.Run("tail", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			read(b, end-10, 1<<20)
		}
	})
	b.Run("cold64KiB", func(b *testing.B) {
		b.ReportAllocs()
		for i := int64(0); b.Loop(); i++ {
			read(b, (i*7919)%(end-5000), 64<<10)
		}
	})
}
