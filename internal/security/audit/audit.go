// Package audit writes down who did what to what from where, and whether that was allowed: one JSON object a line, to a
// file that is rotated, to the process's log, or to whatever else a Sink is: node has one that writes to a topic.
//
// Whoever reports an event never waits: events go through a bounded queue and are bounded in rate; what does not fit is
// counted and the count is written down. A nil *Log is switched off and costs a comparison. No password, token or key
// is in an event, because nobody hands one in. docs/SECURITY.md lists the fields.
package audit

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/weir-stream/weir/internal/security/authz"
)

// The kinds of event, as in weir.audit.events.
const (
	Denied      = "denied"
	Allowed     = "allowed"
	LoginFailed = "login-failed"
	Login       = "login"
)

// Config says what is written down.
type Config struct {
	Node      int32
	Events    []string // which of the kinds
	PerSecond int      // at most so many events in a second
	Logger    *slog.Logger
	Now       func() time.Time // nil: time.Now
}

// Sink takes lines. It is used by one goroutine, which may wait for it: events gather in the queue meanwhile.
type Sink interface {
	// Write takes a line without its end, and keeps it until Flush if it likes. The slice is the caller's.
	Write(line []byte)
	// Flush hands on what was kept. After an error all of that is lost. It ends with ctx.
	Flush(ctx context.Context) error
	Close() error
}

// flushBytes is up to how much a sink is made to keep.
const flushBytes = 64 << 10

// lastFlush bounds what is written after the end of Run's context.
const lastFlush = 3 * time.Second

// queued is how many events wait for the sink at most.
const queued = 4096

// Log is the audit log of a node. Safe for concurrent use; nil is a log that is off.
type Log struct {
	cfg   Config
	kinds [4]bool
	queue chan entry
	// second counts the events of a second: the second since 1970 above, the count in the lower 24 bits.
	second  atomic.Int64
	dropped atomic.Int64
	written atomic.Int64
}

// New returns a log whose events go nowhere until Run. PerSecond is cut to 16 million.
func New(cfg Config) *Log {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.PerSecond = min(cfg.PerSecond, countMask)
	l := &Log{cfg: cfg, queue: make(chan entry, queued)}
	for i, kind := range kinds {
		for _, asked := range cfg.Events {
			l.kinds[i] = l.kinds[i] || asked == kind
		}
	}
	return l
}

var kinds = [4]string{Denied, Allowed, LoginFailed, Login}

// Wants reports whether decisions with this outcome are written down. It is the only cost of those that are not.
func (l *Log) Wants(allowed bool) bool { return l != nil && l.kinds[index(allowed)] }

// WantsLogin is Wants for logins.
func (l *Log) WantsLogin(ok bool) bool { return l != nil && l.kinds[2+index(ok)] }

func index(ok bool) int {
	if ok {
		return 1
	}
	return 0
}

// Decision is an answer of the authorizer.
type Decision struct {
	Who      authz.Caller
	ClientID string
	API      string // of the request that it was asked for
	Op       authz.Operation
	Type     authz.ResourceType
	Name     string
	Allowed  bool
}

// Authentication is the end of a login.
type Authentication struct {
	Principal string // who it is, or says to be where the login failed; may be empty
	Address   string
	Listener  string
	Mechanism string // of SASL; SSL for client certificates
	OK        bool
	Again     bool // of somebody who was in
	Reason    string
}

// entry is an event on its way; the fields are those of the line.
type entry struct {
	Time          string `json:"time"`
	Node          int32  `json:"node"`
	Event         string `json:"event"`
	Outcome       string `json:"outcome"`
	Principal     string `json:"principal,omitempty"`
	ClientAddress string `json:"client_address,omitempty"`
	ClientID      string `json:"client_id,omitempty"`
	Listener      string `json:"listener,omitempty"`
	API           string `json:"api,omitempty"`
	Operation     string `json:"operation,omitempty"`
	ResourceType  string `json:"resource_type,omitempty"`
	Resource      string `json:"resource,omitempty"`
	Mechanism     string `json:"mechanism,omitempty"`
	Again         bool   `json:"reauthentication,omitempty"`
	Reason        string `json:"reason,omitempty"`
	Dropped       int64  `json:"dropped,omitempty"`
}

// maxText bounds what a peer can put into a field.
const maxText = 512

// bounded cuts a text at the bound. What is no text in UTF-8, or steers a terminal, is escaped by the encoder.
func bounded(s string) string {
	if len(s) <= maxText {
		return strings.Clone(s) // it may be part of a request's buffer
	}
	cut := maxText
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// Decided writes down a decision, if it is wanted.
func (l *Log) Decided(d *Decision) {
	if !l.Wants(d.Allowed) || !l.admit() {
		return
	}
	e := entry{Event: "authorization", Outcome: Denied, Principal: bounded(d.Who.Principal.String()), Listener: d.Who.Listener,
		ClientID: bounded(d.ClientID), API: d.API, Operation: d.Op.String(), ResourceType: d.Type.String(), Resource: bounded(d.Name)}
	if d.Who.Host.IsValid() {
		e.ClientAddress = d.Who.Host.Unmap().String()
	}
	if d.Allowed {
		e.Outcome = Allowed
	}
	l.enqueue(e)
}

// Authenticated writes down the end of a login, if it is wanted.
func (l *Log) Authenticated(a *Authentication) {
	if !l.WantsLogin(a.OK) || !l.admit() {
		return
	}
	e := entry{Event: "authentication", Outcome: "failed", Principal: bounded(a.Principal), ClientAddress: a.Address, Listener: a.Listener,
		Mechanism: a.Mechanism, Again: a.Again, Reason: bounded(a.Reason)}
	if a.OK {
		e.Outcome = "succeeded"
	}
	l.enqueue(e)
}

const countMask = 1<<24 - 1

// admit counts an event against the rate.
func (l *Log) admit() bool {
	now := l.cfg.Now().Unix()
	for {
		have := l.second.Load()
		next := now<<24 | 1
		if have>>24 == now {
			if have&countMask >= int64(l.cfg.PerSecond) {
				l.dropped.Add(1)
				return false
			}
			next = have + 1
		}
		if l.second.CompareAndSwap(have, next) {
			return true
		}
	}
}

// timeFormat is RFC 3339 with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

func (l *Log) enqueue(e entry) {
	e.Time, e.Node = l.cfg.Now().UTC().Format(timeFormat), l.cfg.Node
	select {
	case l.queue <- e:
	default:
		l.dropped.Add(1)
	}
}

// Dropped is how many events were not written: too many in a second, or the sink did not keep up or failed.
func (l *Log) Dropped() int64 { return l.dropped.Load() }

// Written is how many events the sink has taken.
func (l *Log) Written() int64 { return l.written.Load() }

// gapEvery is how often it is written down that events are missing.
const gapEvery = time.Second

// Run hands events to the sink until ctx ends, then what is left, and closes it. It owns the sink.
func (l *Log) Run(ctx context.Context, sink Sink) {
	w := writer{log: l, sink: sink}
	tick := time.NewTicker(gapEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			w.end(context.WithoutCancel(ctx))
			return
		case e := <-l.queue:
			w.write(ctx, &e)
			if len(l.queue) == 0 {
				w.flush(ctx)
			}
		case <-tick.C:
			w.gap()
			w.flush(ctx)
		}
	}
}

// writer is the sink's end of a log.
type writer struct {
	log      *Log
	sink     Sink
	told     int64 // of the events that were dropped
	telling  int64 // how many more the gaps tell that the sink keeps
	kept     int64 // events that the sink has and that are not flushed
	bytes    int   // of their lines
	lastFail time.Time
}

func (w *writer) write(ctx context.Context, e *entry) {
	if w.put(e) {
		w.kept++
	}
	if w.bytes >= flushBytes {
		w.flush(ctx)
	}
}

func (w *writer) put(e *entry) bool {
	line, err := json.Marshal(e)
	if err != nil { // nothing in an entry can do that
		w.log.dropped.Add(1)
		w.failed(err)
		return false
	}
	w.sink.Write(line)
	w.bytes += len(line)
	return true
}

// gap writes down that events are missing.
func (w *writer) gap() {
	missing := w.log.dropped.Load() - w.told - w.telling
	if missing == 0 {
		return
	}
	e := entry{Time: w.log.cfg.Now().UTC().Format(timeFormat), Node: w.log.cfg.Node, Event: "gap", Outcome: "dropped", Dropped: missing}
	if w.put(&e) {
		w.telling += missing
	}
}

func (w *writer) flush(ctx context.Context) {
	if w.bytes == 0 {
		return
	}
	if err := w.sink.Flush(ctx); err != nil {
		w.log.dropped.Add(w.kept)
		w.failed(err)
	} else {
		w.log.written.Add(w.kept)
		w.told += w.telling
	}
	w.kept, w.bytes, w.telling = 0, 0, 0
}

// end writes what is left, as far as there is time for it.
func (w *writer) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastFlush)
	defer cancel()
	for more := true; more; {
		select {
		case e := <-w.log.queue:
			w.write(ctx, &e)
		default:
			more = false
		}
	}
	w.gap()
	w.flush(ctx)
	if err := w.sink.Close(); err != nil {
		w.failed(err)
	}
}

// failEvery is how often a failing sink is complained about.
const failEvery = time.Minute

func (w *writer) failed(err error) {
	if now := w.log.cfg.Now(); now.Sub(w.lastFail) >= failEvery {
		w.lastFail = now
		w.log.cfg.Logger.Error("the audit log cannot be written; its events are dropped until it can", "err", err)
	}
}
