package log

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

var quiet = slog.New(slog.DiscardHandler)

// fakeClock is a clock that tests move.
type fakeClock struct{ now time.Time }

func (c *fakeClock) Now() time.Time { return c.now }

func newClock() *fakeClock { return &fakeClock{time.UnixMilli(1_700_000_000_000)} }

// producedBatch is what a client would send: n records from base offset 0.
func producedBatch(t testing.TB, ts int64, values ...string) []byte {
	t.Helper()
	var b record.Builder
	b.Reset(record.Compression{}, 0)
	for i, v := range values {
		b.Append(ts+int64(i), nil, []byte(v))
	}
	out, err := b.Build()
	must.NoError(t, err)
	return out
}

// idempotentBatch is a batch of n records of an idempotent producer.
func idempotentBatch(t testing.TB, ts, pid int64, epoch int16, seq int32, n int) []byte {
	t.Helper()
	var b record.Builder
	b.Reset(record.Compression{}, 0)
	b.SetProducer(pid, epoch, seq)
	for i := range n {
		b.Append(ts, nil, fmt.Appendf(nil, "p%d-%d", pid, int(seq)+i))
	}
	out, err := b.Build()
	must.NoError(t, err)
	return out
}

var testTP = TopicPartition{"t", 0}

func openTest(t testing.TB, fsys vfs.FS, cfg Config, clock *fakeClock) *Log {
	t.Helper()
	l, err := OpenSingle(fsys, "/d/t-0", testTP, cfg, SingleOptions{Logger: quiet, Now: clock.Now, TopicID: TopicID{1}})
	must.NoError(t, err)
	_, err = l.BecomeLeader(0)
	must.NoError(t, err)
	return l
}

func appendValues(t testing.TB, l *Log, values ...string) AppendInfo {
	t.Helper()
	info, err := l.AppendAsLeader(producedBatch(t, l.env.nowMs(), values...), l.role.epoch.Load(), AppendOptions{})
	must.NoError(t, err)
	return info
}

// readAll reads every record from the log start to the bound.
func readAll(t testing.TB, l *Log, upTo Bound, maxBytes int) []record.Record {
	t.Helper()
	var out []record.Record
	off := l.LogStartOffset()
	for {
		info, err := l.Read(off, maxBytes, true, upTo)
		must.NoError(t, err)
		if info.Range == nil {
			return out
		}
		buf := make([]byte, info.Range.Len)
		_, err = info.Range.ReadAt(buf, 0)
		must.NoError(t, err)
		info.Range.Release()
		for b, err := range record.Split(buf) {
			must.NoError(t, err, "read at", off, "range", info.Range.Off, info.Range.Len)
			must.NoError(t, b.VerifyCRC())
			it := b.Records(0)
			for it.Next() {
				r := *it.Record()
				r.Key, r.Value, r.Headers = bytes.Clone(r.Key), bytes.Clone(r.Value), nil
				if r.Offset >= off {
					out = append(out, r)
				}
			}
			must.NoError(t, it.Close())
			off = b.NextOffset()
		}
	}
}

func values(recs []record.Record) []string {
	var out []string
	for _, r := range recs {
		out = append(out, string(r.Value))
	}
	return out
}

func TestAppendReadReopen(t *testing.T) {
	fsys, clock := vfs.NewMem(), newClock()
	l := openTest(t, fsys, DefaultConfig(), clock)
	info := appendValues(t, l, "a", "b", "c")
	must.Equal(t, int64(0), info.BaseOffset)
	must.Equal(t, int64(2), info.LastOffset)
	info = appendValues(t, l, "d")
	must.Equal(t, int64(3), info.BaseOffset)
	must.Equal(t, int64(4), l.LogEndOffset())

	got, err := l.Read(0, 1<<20, true, BoundHighWatermark)
	must.NoError(t, err)
	must.True(t, got.Range == nil, "nothing is below the high watermark yet")
	must.Equal(t, int64(3), l.SetHighWatermark(3))
	must.Equal(t, []string{"a", "b", "c"}, values(readAll(t, l, BoundHighWatermark, 1<<20)))
	must.Equal(t, int64(4), l.SetHighWatermark(10))
	must.Equal(t, []string{"a", "b", "c", "d"}, values(readAll(t, l, BoundHighWatermark, 1)))
	must.Equal(t, []string{"a", "b", "c", "d"}, values(readAll(t, l, BoundLastStable, 100)))
	must.NoError(t, l.Close())

	l = openTest(t, fsys, DefaultConfig(), clock)
	must.Equal(t, int64(4), l.LogEndOffset())
	must.Equal(t, []string{"a", "b", "c", "d"}, values(readAll(t, l, BoundLogEnd, 1<<20)))
	must.Equal(t, []EpochEntry{{0, 0}}, l.Epochs())
	must.Equal(t, TopicID{1}, l.TopicID())
}

func TestRollAndReadAcrossSegments(t *testing.T) {
	fsys, clock := vfs.NewMem(), newClock()
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 1000, 100
	l := openTest(t, fsys, cfg, clock)
	var want []string
	for i := range 200 {
		v := fmt.Sprintf("value-%04d", i)
		want = append(want, v)
		appendValues(t, l, v)
		clock.now = clock.now.Add(time.Millisecond)
	}
	greater(t, l.NumSegments(), 10)
	l.SetHighWatermark(150)
	for _, size := range []int{1, 90, 300, 5000} {
		must.Equal(t, want, values(readAll(t, l, BoundLogEnd, size)))
		must.Equal(t, want[:150], values(readAll(t, l, BoundHighWatermark, size)))
	}
	for i := range 200 {
		got, err := l.OffsetForTimestamp(1_700_000_000_000 + int64(i))
		must.NoError(t, err)
		must.Equal(t, int64(i), got.Offset)
	}
	got, err := l.OffsetForMaxTimestamp()
	must.NoError(t, err)
	must.Equal(t, int64(199), got.Offset)
	// Without a clean close everything is found again.
	l2 := openTest(t, fsys, cfg, clock)
	must.Equal(t, want, values(readAll(t, l2, BoundLogEnd, 300)))
	must.Equal(t, l.NumSegments(), l2.NumSegments())
}
