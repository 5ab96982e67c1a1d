package log

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/weir-stream/weir/internal/vfs"
)

// TestHolesOfCompactionAreNoDamage: a broker recovers its logs before it knows the topics' settings, and the settings of a
// topic that was compacted may have changed since. The holes between its segments are none of a lost tail.
func TestHolesOfCompactionAreNoDamage(t *testing.T) {
	for seed := range uint64(20) {
		mem := vfs.NewMem()
		rng := rand.New(rand.NewPCG(seed, 3))
		x := &keyed{managed: newManaged(t, mem, "/a"), rng: rng, seq: map[int64]int32{}, open: map[int64]bool{}}
		x.m.BeginRun(20)
		x.cfg.SegmentBytes, x.cfg.IndexIntervalBytes = int32(500+rng.IntN(1500)), int32(rng.IntN(200))
		x.cfg.Compact, x.cfg.Delete, x.cfg.DeleteRetentionMs, x.cfg.MinCleanableDirtyRatio = true, false, 10_000, 0
		x.l = x.log("c", 0)
		for range 3 {
			for range 40 {
				x.appendKeyed()
			}
			x.l.SetHighWatermark(x.l.LogEndOffset())
			must.NoError(t, x.l.flush())
			x.m.CleanNow(context.Background())
		}
		want, _ := committed(t, x.l)
		end := x.l.LogEndOffset()
		must.NoError(t, x.m.Abandon()) // before the recovery point was written
		x.cfg.Compact, x.cfg.Delete = false, true
		x.open0()
		must.Equal(t, int64(20), x.m.PreviousBrokerEpoch(), "seed", seed)
		x.l = x.log("c", 0)
		got, _ := committed(t, x.l)
		must.Equal(t, end, x.l.LogEndOffset(), fmt.Sprint("seed ", seed))
		must.Equal(t, want, got, fmt.Sprint("seed ", seed))
	}
}
