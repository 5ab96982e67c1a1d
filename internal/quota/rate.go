package quota

import (
	"math"
	"time"
)

// Window is over how long a rate is measured: over the last Samples pieces of the time Size. With 11 of 1 s, Kafka's
// default, over ten whole seconds and the one that is under way.
type Window struct {
	Samples int
	Size    time.Duration
}

func (w Window) sizeMs() int64 { return max(w.Size.Milliseconds(), 1) }

// Rate measures events a second over a window, by the same rules as Kafka's SampledStat and Rate, so that the same
// traffic has the same rate and is held back for the same time. It is not safe for concurrent use. Times are in
// milliseconds and must not go back by much.
type Rate struct {
	window  Window
	simple  bool
	samples []sample
	current int
}

type sample struct {
	value       float64
	start, last int64
}

// NewRate returns a rate without events.
func NewRate(w Window) Rate {
	w.Samples = max(w.Samples, 1)
	return Rate{window: w}
}

// NewSimpleRate returns a rate that is measured over the time since its oldest piece began, one piece at least: Kafka's
// SimpleRate, by which copies of replicas are held back.
func NewSimpleRate(w Window) Rate {
	r := NewRate(w)
	r.simple = true
	return r
}

// Record counts an event of that size; a negative one takes back what was counted.
func (r *Rate) Record(value float64, nowMs int64) {
	if len(r.samples) == 0 {
		r.samples = append(r.samples, sample{start: nowMs, last: nowMs})
	}
	s := &r.samples[r.current]
	if nowMs-s.start >= r.window.sizeMs() {
		// One more than the window has: a piece counts as long as part of it is within.
		r.current = (r.current + 1) % (r.window.Samples + 1)
		if r.current >= len(r.samples) {
			r.samples = append(r.samples, sample{})
		}
		s = &r.samples[r.current]
		*s = sample{start: nowMs, last: nowMs}
	}
	s.value += value
	s.last = nowMs
}

func (r *Rate) purge(nowMs int64) {
	span := int64(r.window.Samples) * r.window.sizeMs()
	for i := range r.samples {
		if nowMs-r.samples[i].last >= span {
			r.samples[i] = sample{start: nowMs, last: nowMs}
		}
	}
}

// SpanMs is the time that the rate is measured over at the moment: at least all pieces but one, so that a burst after a
// pause does not count as a high rate.
func (r *Rate) SpanMs(nowMs int64) int64 {
	r.purge(nowMs)
	oldest := nowMs
	for i := range r.samples {
		oldest = min(oldest, r.samples[i].start)
	}
	elapsed, size := nowMs-oldest, r.window.sizeMs()
	if r.simple {
		return max(elapsed, size)
	}
	if full, least := elapsed/size, int64(r.window.Samples-1); full < least {
		elapsed += (least - full) * size
	}
	return max(elapsed, 1)
}

// PerSecond is the rate.
func (r *Rate) PerSecond(nowMs int64) float64 {
	span := r.SpanMs(nowMs)
	var sum float64
	for i := range r.samples {
		sum += r.samples[i].value
	}
	return sum / (float64(span) / 1000)
}

// Excess is how long nothing may happen for the rate to come down to the limit: 0 if it is not above it.
func (r *Rate) Excess(limit float64, nowMs int64) time.Duration {
	rate := r.PerSecond(nowMs)
	if !(rate > limit) {
		return 0
	}
	return millis((rate - limit) / limit * float64(r.SpanMs(nowMs)))
}

// millis rounds, up to what the protocol can say.
func millis(ms float64) time.Duration {
	return time.Duration(math.Min(math.Floor(ms+0.5), math.MaxInt32)) * time.Millisecond
}

// bucket has tokens, which come back at the rate of the limit up to what a window of it makes (KIP-599). It may be
// overdrawn.
type bucket struct {
	tokens float64
	last   int64
}

func (b *bucket) refill(limit float64, w Window, nowMs int64) {
	if math.IsInf(limit, 1) { // without a quota it stays empty, and nobody asks it
		b.tokens, b.last = 0, nowMs
		return
	}
	b.tokens = min(b.burst(limit, w), b.tokens+limit*float64(nowMs-b.last)/1000)
	b.last = nowMs
}

func (b *bucket) burst(limit float64, w Window) float64 {
	return float64(w.Samples) * float64(w.sizeMs()) / 1000 * limit
}

func (b *bucket) take(n, limit float64, w Window, nowMs int64) {
	b.refill(limit, w, nowMs)
	if !math.IsInf(limit, 1) {
		b.tokens = min(b.burst(limit, w), b.tokens-n)
	}
}

// debt is how long it takes until nothing is overdrawn.
func (b *bucket) debt(limit float64, w Window, nowMs int64) time.Duration {
	b.refill(limit, w, nowMs)
	if b.tokens >= 0 {
		return 0
	}
	return millis(-b.tokens / limit * 1000)
}
