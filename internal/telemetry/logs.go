package telemetry

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Two levels beyond slog's, for Kafka's names of levels.
const (
	LevelTrace = slog.LevelDebug - 4
	LevelFatal = slog.LevelError + 4
)

var levelNames = []struct {
	name  string
	level slog.Level
}{{"TRACE", LevelTrace}, {"DEBUG", slog.LevelDebug}, {"INFO", slog.LevelInfo}, {"WARN", slog.LevelWarn}, {"ERROR", slog.LevelError}, {"FATAL", LevelFatal}}

// ParseLevel reads TRACE, DEBUG, INFO, WARN, ERROR or FATAL.
func ParseLevel(s string) (slog.Level, bool) {
	for _, l := range levelNames {
		if l.name == s {
			return l.level, true
		}
	}
	return 0, false
}

// LevelName is the name of a level, the nearest one below for levels in between.
func LevelName(level slog.Level) string {
	name := levelNames[0].name
	for _, l := range levelNames {
		if level >= l.level {
			name = l.name
		}
	}
	return name
}

// RootLogger is the name of the logger whose level holds where none is set.
const RootLogger = "root"

// Logs is where all log lines go: one writer, a logger per room, a level per logger that can change while
// running. Safe for concurrent use.
type Logs struct {
	root  slog.LevelVar
	json  bool
	mu    sync.Mutex
	rooms map[string]*atomic.Pointer[slog.Level]
	out   *lockedWriter
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}

// NewLogs makes loggers that write to w from level on, as lines in Kafka's layout or as JSON.
func NewLogs(w io.Writer, level slog.Level, json bool) *Logs {
	l := &Logs{json: json, rooms: map[string]*atomic.Pointer[slog.Level]{}, out: &lockedWriter{w: w}}
	l.root.Set(level)
	return l
}

// Logger returns the logger of a room.
func (l *Logs) Logger(room string) *slog.Logger {
	h := &logHandler{logs: l, room: room, level: l.level(room)}
	if l.json {
		h.inner = slog.NewJSONHandler(l.out, &slog.HandlerOptions{Level: LevelTrace}).WithAttrs([]slog.Attr{slog.String("logger", room)})
	}
	return slog.New(h)
}

func (l *Logs) level(room string) *atomic.Pointer[slog.Level] {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.rooms[room]
	if p == nil {
		p = &atomic.Pointer[slog.Level]{}
		l.rooms[room] = p
	}
	return p
}

// Names returns the rooms that have a logger, in order.
func (l *Logs) Names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.rooms))
}

// Level returns the level that holds for a room, or for RootLogger.
func (l *Logs) Level(room string) slog.Level {
	if room == RootLogger {
		return l.root.Level()
	}
	if p := l.level(room).Load(); p != nil {
		return *p
	}
	return l.root.Level()
}

// SetLevel sets the level of a room, or of RootLogger.
func (l *Logs) SetLevel(room string, level slog.Level) {
	if room == RootLogger {
		l.root.Set(level)
		return
	}
	l.level(room).Store(&level)
}

// Unset gives a room the level of the root logger again.
func (l *Logs) Unset(room string) { l.level(room).Store(nil) }

type logHandler struct {
	logs   *Logs
	room   string
	level  *atomic.Pointer[slog.Level]
	inner  slog.Handler // for JSON
	prefix string       // attributes of With, written out
	group  string
}

// Enabled compares with the level of the room, or of the root.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	if p := h.level.Load(); p != nil {
		return level >= *p
	}
	return level >= h.logs.root.Level()
}

// Handle writes one line: [2006-01-02 15:04:05,000] INFO message key=value (room)
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.inner != nil {
		return h.inner.Handle(ctx, r)
	}
	b := make([]byte, 0, 256)
	b = append(b, '[')
	b = r.Time.AppendFormat(b, "2006-01-02 15:04:05.000")
	b[len(b)-4] = ','
	b = append(b, "] "...)
	b = append(b, LevelName(r.Level)...)
	b = append(b, ' ')
	b = append(b, strings.ReplaceAll(r.Message, "\n", "\n  ")...)
	b = append(b, h.prefix...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, h.group, a)
		return true
	})
	b = append(b, " ("...)
	b = append(b, h.room...)
	b = append(b, ")\n"...)
	_, err := h.logs.out.Write(b)
	return err
}

func appendAttr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, m := range v.Group() {
			b = appendAttr(b, group, m)
		}
		return b
	}
	b = append(b, ' ')
	b = append(b, group...)
	b = append(b, a.Key...)
	b = append(b, '=')
	s := v.String()
	if v.Kind() == slog.KindTime {
		s = v.Time().Format(time.RFC3339Nano)
	}
	if s == "" || strings.ContainsAny(s, " \t\n\r\"=") {
		if a.Key == "stack" {
			return append(append(b, '\n'), s...)
		}
		return strconv.AppendQuote(b, s)
	}
	return append(b, s...)
}

// WithAttrs returns a handler that adds attrs to each line.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	if h.inner != nil {
		next.inner = h.inner.WithAttrs(attrs)
		return &next
	}
	b := []byte(h.prefix)
	for _, a := range attrs {
		b = appendAttr(b, h.group, a)
	}
	next.prefix = string(b)
	return &next
}

// WithGroup returns a handler that puts name before the keys that follow.
func (h *logHandler) WithGroup(name string) slog.Handler {
	next := *h
	if h.inner != nil {
		next.inner = h.inner.WithGroup(name)
	}
	next.group = h.group + name + "."
	return &next
}
