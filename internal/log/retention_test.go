package log

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// filled is a log of n segments with one record of 200 bytes in each, an hour apart.
func filled(t *testing.T, x *managed, n int) *Log {
	x.cfg.SegmentBytes = 300
	l := x.log("p", 0)
	for range n {
		appendValues(t, l, strings.Repeat("x", 200))
		x.clock.now = x.clock.now.Add(time.Hour)
	}
	must.Equal(t, n, l.NumSegments())
	l.SetHighWatermark(l.LogEndOffset())
	return l
}

func TestRetentionByAge(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a")
	l := filled(t, x, 10)
	cfg := l.Config()
	cfg.RetentionMs = (5 * time.Hour).Milliseconds()
	l.SetConfig(cfg)
	l.SetHighWatermark(3)
	x.m.RetainNow()
	must.Equal(t, int64(3), l.LogStartOffset(), "not beyond the high watermark")
	must.Equal(t, int64(10), l.SetHighWatermark(10))
	x.m.RetainNow()
	must.Equal(t, int64(5), l.LogStartOffset())
	must.Equal(t, 5, l.NumSegments())
	_, err := l.Read(2, 100, true, BoundLogEnd)
	must.ErrorIs(t, err, wire.OffsetOutOfRange)
	deleted := func() (n int) {
		ents, err := mem.List("/a/p-0")
		must.NoError(t, err)
		for _, e := range ents {
			if strings.HasSuffix(e.Name, ".log.deleted") {
				n++
			}
		}
		return n
	}
	must.Equal(t, 5, deleted(), "renamed, for those who still read")
	x.m.sweepOnce(x.m.dirs[0], x.clock.now.Add(59*time.Second).UnixMilli())
	must.Equal(t, 5, deleted(), "not before file.delete.delay.ms")
	x.m.sweepOnce(x.m.dirs[0], x.clock.now.Add(61*time.Second).UnixMilli())
	must.Equal(t, 0, deleted())
	// The active segment goes too when it is old enough; the log is empty then and goes on where it was.
	x.clock.now = x.clock.now.Add(100 * time.Hour)
	x.m.RetainNow()
	must.Equal(t, int64(10), l.LogStartOffset())
	must.Equal(t, int64(0), l.SizeBytes())
	info := appendValues(t, l, "next")
	must.Equal(t, int64(10), info.BaseOffset)
	must.NoError(t, x.m.Close(1))
	x.open()
	l = x.log("p", 0)
	must.Equal(t, int64(10), l.LogStartOffset())
	must.Equal(t, []string{"next"}, values(readAll(t, l, BoundLogEnd, 100)))
}

// TestKIP392ReadBeyondTheHighWatermark: a consumer that reads from a replica which does not know yet that more is committed gets
// nothing for the time being. OFFSET_OUT_OF_RANGE, after which it would begin anew elsewhere, is for what is not in the log.
func TestKIP392ReadBeyondTheHighWatermark(t *testing.T) {
	x := newManaged(t, vfs.NewMem(), "/a")
	filled(t, x, 6)
	must.NoError(t, x.m.Abandon())
	x.open()
	l := x.log("p", 0)
	l.SetHighWatermark(2)
	hw := l.HighWatermark()
	for offset := hw; offset <= l.LogEndOffset(); offset++ {
		info, err := l.Read(offset, 1000, true, BoundHighWatermark)
		must.NoError(t, err)
		must.True(t, info.Range == nil || info.Range.Len == 0, "what is not committed is shown", offset, hw)
	}
	_, err := l.Read(l.LogEndOffset()+1, 1000, true, BoundHighWatermark)
	must.ErrorIs(t, err, wire.OffsetOutOfRange)
}

func TestRetentionBySize(t *testing.T) {
	x := newManaged(t, vfs.NewMem(), "/a")
	l := filled(t, x, 10)
	one := l.SizeBytes() / 10
	cfg := l.Config()
	cfg.RetentionBytes = 4*one - 1
	l.SetConfig(cfg)
	x.m.RetainNow()
	must.Equal(t, 4, l.NumSegments(), "never less than what is asked for")
	cfg.Delete, cfg.Compact, cfg.RetentionBytes = false, true, 0
	l.SetConfig(cfg)
	x.m.RetainNow()
	must.Equal(t, 4, l.NumSegments(), "no limits for a topic that is only compacted")
}

func TestDeleteRecords(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a")
	l := filled(t, x, 6)
	l.SetHighWatermark(4)
	_, err := l.DeleteRecordsTo(5)
	must.ErrorIs(t, err, wire.OffsetOutOfRange)
	l.SetHighWatermark(6)
	cfg := l.Config()
	cfg.RetentionMs = -1
	l.SetConfig(cfg)
	_, err = l.DeleteRecordsTo(4)
	must.NoError(t, err)
	x.m.sweepOnce(x.m.dirs[0], l.env.nowMs())
	p, err := vfs.ReadFile(mem, "/a/log-start-offset-checkpoint", 100)
	must.NoError(t, err)
	must.Equal(t, "0\n1\np 0 4\n", string(p))
	x.m.RetainNow()
	must.Equal(t, 2, l.NumSegments())
	must.Equal(t, []EpochEntry{{0, 4}}, l.Epochs())
	// An unclean stop knows it too.
	must.NoError(t, x.m.Abandon())
	x.open()
	must.Equal(t, int64(4), x.log("p", 0).LogStartOffset())
}

func TestRollByAge(t *testing.T) {
	x := newManaged(t, vfs.NewMem(), "/a")
	x.cfg.SegmentMs = 1000
	l := x.log("p", 0)
	appendValues(t, l, "a")
	x.clock.now = x.clock.now.Add(time.Second)
	appendValues(t, l, "b")
	must.Equal(t, 1, l.NumSegments())
	x.clock.now = x.clock.now.Add(time.Millisecond)
	appendValues(t, l, "c")
	must.Equal(t, 2, l.NumSegments())
}

func TestSizeLimits(t *testing.T) {
	x := newManaged(t, vfs.NewMem(), "/a")
	x.cfg.MaxMessageBytes, x.cfg.SegmentBytes = 200, 1000
	l := x.log("p", 0)
	_, err := l.AppendAsLeader(producedBatch(t, 0, strings.Repeat("x", 300)), 0, AppendOptions{})
	must.ErrorIs(t, err, wire.MessageTooLarge)
	cfg := l.Config()
	cfg.MaxMessageBytes = 5000
	l.SetConfig(cfg)
	_, err = l.AppendAsLeader(producedBatch(t, 0, strings.Repeat("x", 1300)), 0, AppendOptions{})
	must.ErrorIs(t, err, wire.RecordListTooLarge)
	must.Equal(t, int64(0), l.LogEndOffset())
}

func TestTimestampsAndKeys(t *testing.T) {
	x := newManaged(t, vfs.NewMem(), "/a")
	x.cfg.MessageTimestampBeforeMs, x.cfg.MessageTimestampAfterMs = 1000, 1000
	l := x.log("p", 0)
	now := l.env.nowMs()
	info, err := l.AppendAsLeader(producedBatch(t, now-1001, "a", "b", "c"), 0, AppendOptions{})
	must.ErrorIs(t, err, wire.InvalidTimestamp)
	must.Equal(t, 1, len(info.RecordErrors))
	must.Equal(t, int32(0), info.RecordErrors[0].Index)
	cfg := l.Config()
	cfg.Compact = true
	l.SetConfig(cfg)
	info, err = l.AppendAsLeader(producedBatch(t, now, "a", "b"), 0, AppendOptions{})
	must.ErrorIs(t, err, wire.InvalidRecord)
	must.Equal(t, 2, len(info.RecordErrors))
	cfg.Compact, cfg.MessageTimestampType = false, 1
	l.SetConfig(cfg)
	info, err = l.AppendAsLeader(producedBatch(t, 5, "a", "b"), 0, AppendOptions{})
	must.NoError(t, err)
	must.Equal(t, now, info.AppendTimeMs)
	must.Equal(t, now, readAll(t, l, BoundLogEnd, 1000)[1].Timestamp)
	cfg.CompressionType = "zstd"
	l.SetConfig(cfg)
	info, err = l.AppendAsLeader(producedBatch(t, 5, strings.Repeat("a", 500)), 0, AppendOptions{})
	must.NoError(t, err)
	must.True(t, info.Recompressed && info.Bytes < 200, info)
	must.Equal(t, 3, len(readAll(t, l, BoundLogEnd, 1000)))
}

func TestFollower(t *testing.T) {
	clock := newClock()
	leader := openTest(t, vfs.NewMem(), DefaultConfig(), clock)
	follower := openTest(t, vfs.NewMem(), DefaultConfig(), clock)
	for range 3 {
		appendValues(t, leader, "a", "b")
	}
	_, err := leader.BecomeLeader(4)
	must.NoError(t, err)
	appendValues(t, leader, "c")
	got, err := leader.Read(0, 10_000, true, BoundLogEnd)
	must.NoError(t, err)
	buf := make([]byte, got.Range.Len)
	_, err = got.Range.ReadAt(buf, 0)
	must.NoError(t, err)
	got.Range.Release()
	// A fetch in epoch 0 takes nothing of epoch 4, and a cut batch at the end is left away.
	follower.BecomeFollower(0)
	info, err := follower.AppendAsFollower(append([]byte(nil), buf...), 0)
	must.NoError(t, err)
	must.Equal(t, int64(5), info.LastOffset)
	// An answer that was on its way when the leader changed neither writes nor cuts.
	follower.BecomeFollower(4)
	_, err = follower.AppendAsFollower(append([]byte(nil), buf...), 0)
	must.ErrorIs(t, err, wire.NotLeaderOrFollower)
	must.ErrorIs(t, follower.TruncateAsFollower(0, 0), wire.NotLeaderOrFollower)
	must.ErrorIs(t, follower.StartOverAsFollower(0, 0), wire.NotLeaderOrFollower)
	must.Equal(t, int64(6), follower.LogEndOffset())
	_, err = follower.AppendAsFollower(append([]byte(nil), buf...), 4)
	must.ErrorIs(t, err, wire.OffsetOutOfRange)
	must.NoError(t, follower.TruncateAsFollower(3, 4))
	must.Equal(t, int64(2), follower.LogEndOffset(), "whole batches only")
	got, err = leader.Read(2, 10_000, true, BoundLogEnd)
	must.NoError(t, err)
	buf = make([]byte, got.Range.Len)
	_, err = got.Range.ReadAt(buf, 0)
	must.NoError(t, err)
	got.Range.Release()
	_, err = follower.AppendAsFollower(buf[:len(buf)-5], 4)
	must.NoError(t, err)
	must.Equal(t, int64(6), follower.LogEndOffset())
	buf[len(buf)-1] ^= 1
	var bad []byte
	for b, err := range record.Split(buf) {
		must.NoError(t, err)
		bad = b
	}
	_, err = follower.AppendAsFollower(bad, 4)
	must.ErrorIs(t, err, wire.CorruptMessage)
	e, end := leader.EpochEndOffset(2)
	must.True(t, e == 0 && end == 6, e, end)
	e, end = leader.EpochEndOffset(4)
	must.True(t, e == 4 && end == 7, e, end)
	e, end = leader.EpochEndOffset(5)
	must.True(t, e == -1 && end == -1, e, end)
}

// A broker that led without a write has an epoch that begins at its log end. The next leader does not know it, and tells
// to cut there: the epoch must go, or the follower would ask with it for ever.
func TestTruncationDropsAnEpochWithoutRecords(t *testing.T) {
	l := openTest(t, vfs.NewMem(), DefaultConfig(), newClock())
	appendValues(t, l, "a")
	_, err := l.BecomeLeader(7)
	must.NoError(t, err)
	must.Equal(t, int32(7), l.LatestEpoch())
	l.BecomeFollower(8)
	must.NoError(t, l.TruncateAsFollower(1, 8))
	must.Equal(t, int32(0), l.LatestEpoch())
	must.Equal(t, int64(1), l.LogEndOffset())
	_, err = l.BecomeLeader(9)
	must.NoError(t, err)
	must.ErrorIs(t, l.TruncateAsFollower(0, 9), wire.NotLeaderOrFollower)
}

// Epochs whose records are cut off are gone with them: asked where they end, the log must not speak of what it does not have.
func TestTruncationDropsEpochs(t *testing.T) {
	l := openTest(t, vfs.NewMem(), DefaultConfig(), newClock())
	appendValues(t, l, "a")
	_, err := l.BecomeLeader(7)
	must.NoError(t, err)
	appendValues(t, l, "b")
	l.BecomeFollower(8)
	must.NoError(t, l.TruncateAsFollower(1, 8))
	must.Equal(t, int32(0), l.LatestEpoch())
}

// TestAnEpochWithoutRecordsIsForgottenOnDisk: a leader that wrote nothing follows another, whose history has no such epoch. The next process
// must not find it, since it would take the records that came after it for that epoch's.
func TestAnEpochWithoutRecordsIsForgottenOnDisk(t *testing.T) {
	l := openTest(t, vfs.NewMem(), DefaultConfig(), newClock())
	appendValues(t, l, "a")
	_, err := l.BecomeLeader(7)
	must.NoError(t, err)
	must.NoError(t, l.writeEpochs())
	l.BecomeFollower(8)
	must.NoError(t, l.TruncateAsFollower(1, 8))
	must.Equal(t, int32(0), l.LatestEpoch())
	got, err := l.readEpochs()
	must.NoError(t, err)
	must.Equal(t, []EpochEntry{{Epoch: 0, StartOffset: 0}}, got)
}

// TestBatchesDisproveEpochs: after a power cut the checkpoint of the epochs may be older than the batches. Those count: an epoch that is said
// to begin before a batch of an older one did not begin there.
func TestBatchesDisproveEpochs(t *testing.T) {
	for _, c := range []struct {
		had, want []EpochEntry
		epoch     int32
		offset    int64
	}{
		{[]EpochEntry{{0, 0}, {1, 50}}, []EpochEntry{{0, 0}}, 0, 50},
		{[]EpochEntry{{0, 0}, {1, 50}, {2, 60}}, []EpochEntry{{0, 0}, {2, 60}}, 0, 55},
		{[]EpochEntry{{0, 0}, {1, 50}, {2, 60}}, []EpochEntry{{0, 0}, {1, 50}, {2, 60}}, 0, 49},
		{[]EpochEntry{{3, 0}}, []EpochEntry{{1, 0}}, 1, 0},
		{[]EpochEntry{{0, 0}, {1, 50}}, []EpochEntry{{0, 0}, {1, 50}}, 1, 70},
		{[]EpochEntry{{0, 0}, {1, 50}}, []EpochEntry{{0, 0}, {1, 50}, {4, 70}}, 4, 70},
	} {
		var cache epochCache
		cache.load(c.had)
		cache.assign(c.epoch, c.offset)
		if got := cache.entries(); !slices.Equal(got, c.want) {
			t.Errorf("%v, and a batch of epoch %d at %d: %v, want %v", c.had, c.epoch, c.offset, got, c.want)
		}
	}
}

func TestTruncationLowersTheRecoveryPointFirst(t *testing.T) {
	mem := vfs.NewMem()
	x := newManaged(t, mem, "/a")
	l := filled(t, x, 6)
	must.NoError(t, l.flush())
	x.m.checkpoint(x.m.dirs[0], recoveryPointFile)
	point := func() string {
		p, err := vfs.ReadFile(mem, "/a/recovery-point-offset-checkpoint", 100)
		must.NoError(t, err)
		return string(p)
	}
	must.Equal(t, "0\n1\np 0 6\n", point())
	must.NoError(t, l.TruncateTo(3))
	must.Equal(t, "0\n1\np 0 3\n", point())
	must.NoError(t, l.TruncateFullyTo(1))
	must.Equal(t, "0\n1\np 0 0\n", point())
}
