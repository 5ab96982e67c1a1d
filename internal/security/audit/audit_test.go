package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/security/principal"
	"github.com/weir-stream/weir/internal/vfs"
)

// memory is a sink that keeps lines, or fails.
type memory struct {
	mu     sync.Mutex
	kept   []map[string]any
	lines  []map[string]any
	fail   error
	stuck  chan struct{}
	most   int // bytes between two flushes
	bytes  int
	closed bool
}

func (m *memory) Write(line []byte) {
	var v map[string]any
	if err := json.Unmarshal(line, &v); err != nil {
		panic(err)
	}
	m.kept = append(m.kept, v)
	m.bytes += len(line)
	m.most = max(m.most, m.bytes)
}

func (m *memory) Flush(ctx context.Context) error {
	kept := m.kept
	m.kept, m.bytes = nil, 0
	if m.stuck != nil {
		select {
		case <-m.stuck:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.lines = append(m.lines, kept...)
	return nil
}
func (m *memory) Close() error { m.closed = true; return nil }

func logged(events ...string) *Log {
	return New(Config{Node: 7, Events: events, PerSecond: 100, Logger: slog.New(slog.DiscardHandler)})
}

func decision(ok bool) *Decision {
	return &Decision{Who: authz.Caller{Principal: principal.Principal{Type: "User", Name: "eve"}, Host: netip.MustParseAddr("::ffff:10.0.0.9"), Listener: "SASL"},
		ClientID: "app", API: "Produce", Op: authz.Write, Type: authz.Topic, Name: "orders", Allowed: ok}
}

// run runs the log over a sink, in virtual time, until the events are written.
func run(t *testing.T, l *Log, sink Sink, events func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { l.Run(ctx, sink); close(done) }()
	events()
	cancel()
	<-done
}

func TestEventsHaveTheirFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, sink := logged(Denied, Allowed, LoginFailed, Login), &memory{}
		run(t, l, sink, func() {
			l.Decided(decision(false))
			l.Decided(decision(true))
			l.Authenticated(&Authentication{Principal: "User:eve", Address: "10.0.0.9", Listener: "SASL", Mechanism: "PLAIN", Reason: "Authentication failed: Invalid username or password"})
			l.Authenticated(&Authentication{Principal: "User:eve", Address: "10.0.0.9", Listener: "SASL", Mechanism: "PLAIN", OK: true, Again: true})
		})
		const at = "2000-01-01T00:00:00.000Z"
		want := []map[string]any{
			{"time": at, "node": 7.0, "event": "authorization", "outcome": "denied", "principal": "User:eve", "client_address": "10.0.0.9", "client_id": "app",
				"listener": "SASL", "api": "Produce", "operation": "WRITE", "resource_type": "TOPIC", "resource": "orders"},
			{"time": at, "node": 7.0, "event": "authorization", "outcome": "allowed", "principal": "User:eve", "client_address": "10.0.0.9", "client_id": "app",
				"listener": "SASL", "api": "Produce", "operation": "WRITE", "resource_type": "TOPIC", "resource": "orders"},
			{"time": at, "node": 7.0, "event": "authentication", "outcome": "failed", "principal": "User:eve", "client_address": "10.0.0.9", "listener": "SASL",
				"mechanism": "PLAIN", "reason": "Authentication failed: Invalid username or password"},
			{"time": at, "node": 7.0, "event": "authentication", "outcome": "succeeded", "principal": "User:eve", "client_address": "10.0.0.9", "listener": "SASL",
				"mechanism": "PLAIN", "reauthentication": true},
		}
		if diff := cmp.Diff(want, sink.lines); diff != "" || !sink.closed {
			t.Errorf("closed %v, events (-want +got):\n%s", sink.closed, diff)
		}
	})
}

func TestOnlyWhatIsWantedIsWritten(t *testing.T) {
	var off *Log
	if off.Wants(true) || off.Wants(false) || off.WantsLogin(true) || off.WantsLogin(false) {
		t.Error("a log that is off wants something")
	}
	synctest.Test(t, func(t *testing.T) {
		l, sink := logged(Denied, Login), &memory{}
		run(t, l, sink, func() {
			l.Decided(decision(true))
			l.Decided(decision(false))
			l.Authenticated(&Authentication{})
			l.Authenticated(&Authentication{OK: true})
		})
		if len(sink.lines) != 2 || sink.lines[0]["outcome"] != "denied" || sink.lines[1]["outcome"] != "succeeded" {
			t.Errorf("written: %v", sink.lines)
		}
	})
}

// TestRateIsBounded: what is too much is counted, and the count is written down.
func TestRateIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, sink := logged(Denied), &memory{}
		run(t, l, sink, func() {
			for range 2 {
				for range 1000 {
					l.Decided(decision(false))
				}
				time.Sleep(1100 * time.Millisecond) // virtual
			}
		})
		events, missing := 0, 0.0
		for _, v := range sink.lines {
			if v["event"] == "gap" {
				missing += v["dropped"].(float64)
			} else {
				events++
			}
		}
		if events != 200 || missing != 1800 || l.Dropped() != 1800 || l.Written() != 200 {
			t.Errorf("%d written, %v told to be missing, counted %d and %d", events, missing, l.Written(), l.Dropped())
		}
	})
}

// TestNobodyWaitsForTheSink: a sink that hangs costs events, not time.
func TestNobodyWaitsForTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Events: []string{Denied}, PerSecond: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
		sink := &memory{stuck: make(chan struct{})}
		before := time.Now()
		run(t, l, sink, func() {
			for range 3 * queued {
				l.Decided(decision(false))
			}
			if waited := time.Since(before); waited != 0 {
				t.Errorf("it took %v", waited)
			}
			close(sink.stuck)
		})
		if n := l.Dropped() + l.Written(); n != 3*queued || l.Dropped() < queued {
			t.Errorf("%d dropped, %d written of %d", l.Dropped(), l.Written(), 3*queued)
		}
		if sink.most > flushBytes+8000 {
			t.Errorf("the sink was made to keep %d bytes", sink.most)
		}
	})
}

// TestEndIsBounded: a sink that hangs for ever holds nothing up when the log ends, and what it had is counted.
func TestEndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := logged(Denied)
		before := time.Now()
		run(t, l, &memory{stuck: make(chan struct{})}, func() {
			for range 10 {
				l.Decided(decision(false))
			}
		})
		if took := time.Since(before); took > 2*lastFlush || l.Dropped() != 10 || l.Written() != 0 {
			t.Errorf("it took %v, %d dropped, %d written", took, l.Dropped(), l.Written())
		}
	})
}

func TestAFailingSinkIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		l := New(Config{Events: []string{Denied}, PerSecond: 100, Logger: slog.New(slog.NewTextHandler(&said, nil))})
		sink := &memory{fail: errors.New("disk full")}
		run(t, l, sink, func() {
			for range 5 {
				l.Decided(decision(false))
			}
			time.Sleep(2500 * time.Millisecond) // virtual: what is told of the gap is lost too
			sink.mu.Lock()
			sink.fail = nil
			sink.mu.Unlock()
			l.Decided(decision(false))
		})
		if l.Written() != 1 || l.Dropped() != 5 || strings.Count(said.String(), "disk full") != 1 {
			t.Errorf("%d written, %d dropped, said\n%s", l.Written(), l.Dropped(), said.String())
		}
		if last := sink.lines[len(sink.lines)-1]; last["dropped"] != 5.0 {
			t.Errorf("the gap is not told: %v", sink.lines)
		}
	})
}

// TestHostileTextsStayInTheirField: line ends, quotes, terminal codes and long names make neither lines nor fields.
func TestHostileTextsStayInTheirField(t *testing.T) {
	for _, name := range []string{"a\nb", "\x1b[31mred", `x","outcome":"allowed`, "\u2028", "\xff\xfe", strings.Repeat("é", 5000), "\x00"} {
		d := decision(false)
		d.Name, d.ClientID, d.Who.Principal.Name = name, name, name
		l := logged(Denied)
		l.Decided(d)
		e := <-l.queue
		line, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == '\u2028' }) || len(line) > 8000 {
			t.Errorf("%.20q makes %.200q", name, line)
		}
		var v map[string]any
		if err := json.Unmarshal(line, &v); err != nil || v["outcome"] != "denied" {
			t.Errorf("%.20q: %v %v", name, v["outcome"], err)
		}
	}
}

func lines(t *testing.T, fsys vfs.FS, name string) []string {
	t.Helper()
	f, err := fsys.Open(name, vfs.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	var out []string
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		out = append(out, s.Text())
	}
	return out
}

func (f *File) flushed(line []byte) error {
	f.Write(line)
	return f.Flush(context.Background())
}

func TestFileIsRotated(t *testing.T) {
	fsys := vfs.NewMem()
	f, err := OpenFile(fsys, "/audit/weir.log", 1024, 3)
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.Repeat([]byte("x"), 299)
	for range 20 {
		if err := f.flushed(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	entries, _ := fsys.List("/audit")
	for i, want := range map[string]int{"weir.log": 2, "weir.log.1": 3, "weir.log.2": 3, "weir.log.3": 3} {
		if got := lines(t, fsys, "/audit/"+i); len(got) != want {
			t.Errorf("%s has %d lines, want %d", i, len(got), want)
		}
	}
	if len(entries) != 4 {
		t.Errorf("there are %v", entries)
	}
}

func TestFileGoesOnAfterACrash(t *testing.T) {
	fsys := vfs.NewMem()
	f, err := OpenFile(fsys, "/audit.log", 1<<20, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.flushed([]byte(`{"a":1}`)), f.Close(), fsys.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	half, err := fsys.Open("/audit.log", vfs.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := half.WriteAt([]byte(`{"b":`), 8); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(half.Sync(), half.Close()); err != nil {
		t.Fatal(err)
	}
	fsys.PowerOff()
	crashed := fsys.Crash(rand.New(rand.NewPCG(1, 2)))
	if f, err = OpenFile(crashed, "/audit.log", 1<<20, 3); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.flushed([]byte(`{"c":3}`)), f.Close()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`{"a":1}`, `{"b":`, `{"c":3}`}, lines(t, crashed, "/audit.log")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func BenchmarkOff(b *testing.B) {
	var l *Log
	b.ReportAllocs()
	for b.Loop() {
		if l.Wants(true) {
			b.Fatal("off")
		}
	}
}

func BenchmarkNotWanted(b *testing.B) {
	l := logged(Denied)
	b.ReportAllocs()
	for b.Loop() {
		if l.Wants(true) {
			b.Fatal("allowed")
		}
	}
}

func BenchmarkOverTheRate(b *testing.B) {
	l, d := logged(Denied), decision(false)
	b.ReportAllocs()
	for b.Loop() {
		l.Decided(d)
	}
}
