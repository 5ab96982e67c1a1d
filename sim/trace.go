package sim

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"
)

// trace is what happened, in virtual time: faults, what clients were told that matters, the nodes' own logs. The newest
// part is kept.
type trace struct {
	mu    sync.Mutex
	begin time.Time
	lines []string
	live  bool
}

// traceLines is how many lines are kept.
const traceLines = 20_000

func newTrace() *trace { return &trace{begin: time.Now(), live: os.Getenv("WEIR_SIM_TRACE") != ""} }

func (t *trace) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := fmt.Sprintf("%9.3f %s", time.Since(t.begin).Seconds(), fmt.Sprintf(format, args...))
	if t.live {
		fmt.Fprintln(os.Stderr, line)
	}
	t.lines = append(t.lines, line)
	if len(t.lines) > 2*traceLines {
		t.lines = append([]string(nil), t.lines[traceLines:]...)
	}
}

// tail is the newest lines.
func (t *trace) tail(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lines[max(0, len(t.lines)-n):]...)
}

type traceWriter struct {
	c  *cluster
	id int
	p  *process
}

// Write takes one line of a node's log.
func (w traceWriter) Write(p []byte) (int, error) {
	if !w.p.gone.Load() { // the last words of one that was killed are nobody's
		w.c.said(p)
	}
	w.c.trace.note("node %d: %s", w.id, bytes.TrimRight(p, "\n"))
	return len(p), nil
}
