// Package perf has what the performance tools share: counting and percentiles as Kafka's tools have them, the brake
// that holds a rate, and payloads that cost next to nothing, since these tools also are the load generators of
// benchmarks that share the machine with the broker.
//
// It parses no flags, makes no clients and knows no topic.
package perf

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// maxSamples bounds the latencies that are kept for percentiles; of more records every n-th is kept.
const maxSamples = 500_000

// Latencies counts records that were sent and how long each took. Record and the printing methods may be called from
// any goroutine.
type Latencies struct {
	out      io.Writer
	now      func() time.Time
	interval time.Duration
	steady   bool // these are the records after the warm-up
	sampling int64
	start    time.Time

	mu       sync.Mutex
	silent   bool
	samples  []int32 // ms
	total    window
	current  window
	openedAt time.Time // of current
}

// window is a stretch of time.
type window struct {
	count, bytes int64
	sumMs        int64
	maxMs        int64
}

func (w *window) add(latencyMs int64, bytes int) {
	w.count++
	w.bytes += int64(bytes)
	w.sumMs += latencyMs
	w.maxMs = max(w.maxMs, latencyMs)
}

func (w *window) rates(elapsed time.Duration) (recordsPerSec, mbPerSec float64) {
	ms := float64(elapsed.Milliseconds())
	return 1000 * float64(w.count) / ms, 1000 * float64(w.bytes) / ms / (1024 * 1024)
}

// NewLatencies counts from now on. expected is the number of records to come; a line about each interval goes to
// out. steady marks the records after a warm-up.
func NewLatencies(out io.Writer, expected int64, interval time.Duration, steady bool, now func() time.Time) *Latencies {
	sampling := max(1, expected/max(1, min(expected, maxSamples)))
	l := &Latencies{out: out, now: now, interval: interval, steady: steady, sampling: sampling, start: now()}
	l.openedAt = l.start
	l.samples = make([]int32, 0, expected/sampling+1)
	return l
}

// Silence ends the lines about intervals.
func (l *Latencies) Silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = true
}

// Record counts a record whose acknowledgement came at now.
func (l *Latencies) Record(latencyMs int64, bytes int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total.count%l.sampling == 0 {
		l.samples = append(l.samples, int32(latencyMs))
	}
	l.total.add(latencyMs, bytes)
	l.current.add(latencyMs, bytes)
	if now.Sub(l.openedAt) < l.interval {
		return
	}
	if l.steady && l.total.count == l.current.count {
		fmt.Fprintln(l.out, "In steady state.")
	}
	if !l.silent {
		l.printWindow()
	}
	l.current, l.openedAt = window{}, l.now()
}

func (l *Latencies) printWindow() {
	w := &l.current
	records, mb := w.rates(l.now().Sub(l.openedAt))
	fmt.Fprintf(l.out, "%d records sent, %s records/sec (%s MB/sec), %s ms avg latency, %s ms max latency.\n",
		w.count, Java(records, 1), Java(mb, 2), Java(float64(w.sumMs)/float64(w.count), 1), Java(float64(w.maxMs), 1))
}

// PrintTotal prints the line about the whole run. Without any record it is full of NaN and zeros, as Kafka's.
func (l *Latencies) PrintTotal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &l.total
	records, mb := w.rates(l.now().Sub(l.start))
	what := ""
	if l.steady {
		what = " steady state"
	}
	p := Percentiles(l.samples, 0.5, 0.95, 0.99, 0.999)
	fmt.Fprintf(l.out, "%d%s records sent, %s records/sec (%s MB/sec), %s ms avg latency, %s ms max latency, "+
		"%d ms 50th, %d ms 95th, %d ms 99th, %d ms 99.9th.\n", w.count, what, Java(records, 6), Java(mb, 2),
		Java(float64(w.sumMs)/float64(w.count), 2), Java(float64(w.maxMs), 2), p[0], p[1], p[2], p[3])
}

// Percentiles sorts samples and takes the values at the given parts of them, 0 if there are none.
func Percentiles[T int32 | int64](samples []T, parts ...float64) []T {
	slices.Sort(samples)
	values := make([]T, len(parts))
	for i, part := range parts {
		if at := int(part * float64(len(samples))); at < len(samples) {
			values[i] = samples[at]
		}
	}
	return values
}

// Java is a number with so many digits behind the point, as Java's formatter writes it, which knows "NaN" and
// "Infinity" and rounds halves away from zero.
func Java(f float64, digits int) string {
	switch {
	case f != f:
		return "NaN"
	case f > 1e308:
		return "Infinity"
	case f < -1e308:
		return "-Infinity"
	}
	return fmt.Sprintf("%.*f", digits, f)
}
