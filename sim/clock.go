package sim

import (
	"context"
	"time"
	"unsafe"
)

// wallClock is a reading of a clock whose time of day may be wrong by so many seconds, with what has passed since the beginning
// as its monotonic part, so that durations are right all the same, as on a machine whose clock is set. In a bubble
// time.Now gives no monotonic part, and package time has no way to make such a time: so it is written into the first two
// words, as package time has them. TestWallClock holds that to be so.
func wallClock(t time.Time, passed time.Duration, wrong int64) time.Time {
	const (
		hasMonotonic = 1 << 63
		from1885     = 31045 * 24 * 3600 // to 1970, in seconds: where that form of a time begins to count
	)
	out := t
	*(*[2]uint64)(unsafe.Pointer(&out)) = [2]uint64{hasMonotonic | uint64(t.Unix()+wrong+from1885)<<30 | uint64(t.Nanosecond()), uint64(passed) + 1}
	return out
}

// now is the machine's clock.
func (m *machine) now() time.Time {
	now := time.Now()
	return wallClock(now, now.Sub(m.c.began), m.skew.Load())
}

// setClock makes a machine's time of day jump, forwards or backwards. Producers' timestamps stay within what
// message.timestamp.after.max.ms lets in.
func (x *chaos) setClock(ctx context.Context, m *machine) {
	skew := []int64{-45 * 60, -600, -3, 3, 600, 3600, 3 * 3600}[x.rng.IntN(7)]
	x.note("the clock of node %d is wrong by %v", m.id, time.Duration(skew)*time.Second)
	m.skew.Store(skew)
	x.c.jumped.Store(true)
	x.later(ctx, 20*time.Second, func() {
		x.note("the clock of node %d is right", m.id)
		m.skew.Store(0)
	})
}
