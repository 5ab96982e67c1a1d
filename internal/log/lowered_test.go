package log

import (
	"math/rand/v2"
	"testing"

	"github.com/weir-stream/weir/internal/vfs"
)

// TestStartThatWentBackIsNotFoundAgain: records below an offset were deleted; then the log was cut below it, as a leader of an
// unclean election asks for, and has taken other records since. Neither a kill nor lost power brings the old start back, which
// would have the log begin anew behind all of them.
func TestStartThatWentBackIsNotFoundAgain(t *testing.T) {
	for _, rolled := range []bool{false, true} {
		for _, power := range []bool{false, true} {
			mem := vfs.NewMem()
			x := newManaged(t, mem, "/a")
			x.m.BeginRun(20)
			l := x.log("p", 0)
			for range 10 {
				appendValues(t, l, "old")
			}
			if rolled {
				l.mu.Lock()
				must.NoError(t, l.rollLocked(l.end.Load(), 1))
				l.mu.Unlock()
			}
			appendValues(t, l, "old")
			l.SetHighWatermark(l.LogEndOffset())
			_, err := l.DeleteRecordsTo(10)
			must.NoError(t, err)
			if rolled {
				_, _, err = l.retain(l.env.nowMs())
				must.NoError(t, err)
			}
			must.NoError(t, l.flush())
			x.m.checkpoint(x.m.dirs[0], recoveryPointFile, logStartFile, highWatermarkFile)
			must.NoError(t, l.TruncateTo(4))
			_, err = l.BecomeLeader(1)
			must.NoError(t, err)
			for l.LogEndOffset() < 8 {
				appendValues(t, l, "new")
			}
			l.SetHighWatermark(8)
			must.NoError(t, l.flush())
			want := values(readAll(t, l, BoundLogEnd, 1000))
			must.NoError(t, x.m.Abandon())
			if power {
				x.mc.FS = mem.Crash(rand.New(rand.NewPCG(1, 1)))
			}
			x.open()
			got := x.m.Get(TopicPartition{"p", 0})
			must.Equal(t, int64(8), got.LogEndOffset(), "rolled", rolled, "power", power)
			must.Equal(t, want, values(readAll(t, got, BoundLogEnd, 1000)), "rolled", rolled, "power", power)
			must.True(t, power || x.m.PreviousBrokerEpoch() == 20, "rolled", rolled)
			must.NoError(t, x.m.Abandon())
		}
	}
}
