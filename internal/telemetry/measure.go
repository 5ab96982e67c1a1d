package telemetry

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Counter counts events. The zero value is ready; safe for concurrent use.
type Counter struct {
	n    atomic.Int64
	pace atomic.Pointer[pace] // nil until somebody scrapes
}

// pace is how a counter's rate is worked out: when somebody scrapes.
type pace struct {
	mu   sync.Mutex
	last int64
	at   time.Time
	rate float64
}

// Add counts n events.
func (c *Counter) Add(n int64) { c.n.Add(n) }

// Inc counts one event.
func (c *Counter) Inc() { c.n.Add(1) }

// Load returns the count.
func (c *Counter) Load() int64 { return c.n.Load() }

// perSecond returns the rate, smoothed over about a minute.
func (c *Counter) perSecond(now time.Time) float64 {
	p := c.pace.Load()
	if p == nil {
		if c.pace.CompareAndSwap(nil, &pace{last: c.n.Load(), at: now}) {
			return 0
		}
		p = c.pace.Load()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := c.n.Load()
	dt := now.Sub(p.at).Seconds()
	if dt < 1 {
		return p.rate
	}
	instant := float64(n-p.last) / dt
	p.rate += (1 - math.Exp(-dt/60)) * (instant - p.rate)
	p.last, p.at = n, now
	return p.rate
}

// Histogram is a distribution of durations, in buckets whose bounds lie within 1/8 of each other, from a
// microsecond to an hour. The zero value is ready; safe for concurrent use. One Observe is two atomic additions.
type Histogram struct {
	buckets [histBuckets]atomic.Uint64
	sumUs   atomic.Int64

	mu   sync.Mutex // guards what scrapes keep
	old  *histSnapshot
	next *histSnapshot
}

const (
	subBits     = 3 // 8 buckets per doubling
	histBuckets = (33 - subBits) << subBits
	// window is over how long quantiles look back: between one and two windows.
	window = 150 * time.Second
)

type histSnapshot struct {
	at     time.Time
	counts [histBuckets]uint64
}

func bucketOf(us uint64) int {
	if us < 1<<subBits {
		return int(us)
	}
	shift := bits.Len64(us) - subBits - 1
	i := (shift+1)<<subBits + int(us>>shift)&(1<<subBits-1)
	return min(i, histBuckets-1)
}

// bucketTop is the greatest number of microseconds that falls into bucket i.
func bucketTop(i int) float64 {
	if i < 1<<subBits {
		return float64(i)
	}
	shift := i>>subBits - 1
	return float64((uint64(i&(1<<subBits-1))|1<<subBits)<<shift + 1<<shift - 1)
}

// Observe adds a duration; negative ones count as zero.
func (h *Histogram) Observe(d time.Duration) {
	us := max(d.Microseconds(), 0)
	h.buckets[bucketOf(uint64(us))].Add(1)
	h.sumUs.Add(us)
}

// view is the distribution of the last few minutes, with the count and mean of all time.
func (h *Histogram) view(now time.Time) *timingView {
	h.mu.Lock()
	defer h.mu.Unlock()
	var v timingView
	snap := &histSnapshot{at: now}
	for i := range h.buckets {
		snap.counts[i] = h.buckets[i].Load()
		v.count += snap.counts[i]
	}
	v.sumMs = float64(h.sumUs.Load()) / 1000
	if h.next == nil || now.Sub(h.next.at) >= window {
		if h.next == nil {
			h.next = &histSnapshot{at: now}
		} else {
			h.old, h.next = h.next, snap
		}
	}
	for i := range snap.counts {
		n := snap.counts[i]
		if h.old != nil {
			n -= h.old.counts[i]
		}
		v.counts[i] = n
		v.recent += n
	}
	return &v
}

// timingView is a Histogram at a moment.
type timingView struct {
	counts [histBuckets]uint64
	recent uint64 // sum of counts
	count  uint64 // of all time
	sumMs  float64
}

// quantile returns milliseconds; 0 if there was nothing.
func (v *timingView) quantile(q float64) float64 {
	if v.recent == 0 {
		return 0
	}
	want := uint64(math.Ceil(q * float64(v.recent)))
	var seen uint64
	for i, n := range v.counts {
		seen += n
		if n > 0 && seen >= want {
			return bucketTop(i) / 1000
		}
	}
	return 0
}

func (v *timingView) mean() float64 {
	if v.count == 0 {
		return 0
	}
	return v.sumMs / float64(v.count)
}
