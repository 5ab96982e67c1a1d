package node

import (
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/audit"
	"github.com/weir-stream/weir/internal/server"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

const fetchKey = 1

// observer hands what the server measures to the registry. Safe for concurrent use.
type observer struct {
	reg                      *telemetry.Registry
	apis                     [256]atomic.Pointer[telemetry.Request]
	fromConsumer, fromBroker *telemetry.Request
	mu                       sync.Mutex
	listeners                map[string]*listenerCount
	audit                    *audit.Log // nil: off
}

type listenerCount struct {
	open            atomic.Int64
	created, closed *telemetry.Counter
	// auth counts by again (0 or 1) and outcome (0 failed, 1 succeeded).
	auth    [2][2]*telemetry.Counter
	expired *telemetry.Counter
}

func newObserver(reg *telemetry.Registry, events *audit.Log) *observer {
	return &observer{reg: reg, audit: events, listeners: map[string]*listenerCount{},
		fromConsumer: reg.Request("FetchConsumer"), fromBroker: reg.Request("FetchFollower")}
}

func (o *observer) api(key int16) *telemetry.Request {
	if key < 0 || int(key) >= len(o.apis) {
		return o.reg.Request(wire.APIName(key))
	}
	slot := &o.apis[key]
	q := slot.Load()
	if q == nil {
		q = o.reg.Request(wire.APIName(key))
		slot.Store(q)
	}
	return q
}

// Request implements server.Observer.
func (o *observer) Request(t *server.Timing) {
	times := telemetry.RequestTimes{RequestQueue: t.Queue, Local: t.Local, Remote: t.Remote, ResponseQueue: t.ResponseQueue, ResponseSend: t.Send, Throttle: t.Throttle}
	o.api(t.Key).Observe(t.Version, t.RequestBytes, times)
	if t.Key == fetchKey {
		q := o.fromConsumer
		if t.Follower {
			q = o.fromBroker
		}
		q.Observe(t.Version, t.RequestBytes, times)
	}
}

// Answer implements server.Observer: it counts the errors in an answer, each once as Kafka does.
func (o *observer) Answer(key int16, resp wire.Response) {
	q := o.api(key)
	switch a := resp.(type) {
	case *wire.FetchResponse:
		q.CountError(a.ErrorCode.Name())
		for i := range a.Topics {
			for j := range a.Topics[i].Partitions {
				q.CountError(a.Topics[i].Partitions[j].ErrorCode.Name())
			}
		}
		return
	case *kmsg.ProduceResponse:
		for i := range a.Topics {
			for j := range a.Topics[i].Partitions {
				q.CountError(wire.Code(a.Topics[i].Partitions[j].ErrorCode).Name())
			}
		}
		return
	}
	eachErrorCode(resp, func(c wire.Code) { q.CountError(c.Name()) })
}

// ConnectionOpened implements server.Observer.
func (o *observer) ConnectionOpened(listener string) {
	l := o.listener(listener)
	l.open.Add(1)
	l.created.Inc()
}

// ConnectionClosed implements server.Observer.
func (o *observer) ConnectionClosed(listener, _ string) {
	l := o.listener(listener)
	l.open.Add(-1)
	l.closed.Inc()
}

// Authenticated implements server.Observer.
func (o *observer) Authenticated(l *server.Login) {
	o.listener(l.Listener).auth[index(l.Again)][index(l.OK)].Inc()
	if !o.audit.WantsLogin(l.OK) {
		return
	}
	a := audit.Authentication{Principal: l.Principal, Address: l.Remote.Addr().Unmap().String(), Listener: l.Listener, Mechanism: l.Mechanism, OK: l.OK, Again: l.Again}
	if l.Mechanism == "" {
		a.Mechanism = "SSL"
	}
	if l.Err != nil {
		a.Reason = l.Err.Error()
	}
	o.audit.Authenticated(&a)
}

// SessionExpired implements server.Observer.
func (o *observer) SessionExpired(listener string) { o.listener(listener).expired.Inc() }

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (o *observer) listener(name string) *listenerCount {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.listeners[name]
	if l == nil {
		l = &listenerCount{}
		labels := []string{"listener", name, "networkprocessor", "0"}
		l.created, l.closed = o.reg.Counter(telemetry.ConnectionsCreated, labels...), o.reg.Counter(telemetry.ConnectionsClosed, labels...)
		l.auth = [2][2]*telemetry.Counter{
			{o.reg.Counter(telemetry.FailedAuth, labels...), o.reg.Counter(telemetry.SuccessfulAuth, labels...)},
			{o.reg.Counter(telemetry.FailedReauth, labels...), o.reg.Counter(telemetry.SuccessfulReauth, labels...)},
		}
		l.expired = o.reg.Counter(telemetry.ExpiredConnections, labels...)
		o.reg.GaugeFunc(telemetry.ConnectionCount, func() float64 { return float64(l.open.Load()) }, labels...)
		o.listeners[name] = l
	}
	return l
}

// errorPlan says where the error codes of an answer's type are: the index of its own, and its slices of structs
// that have some.
type errorPlan struct {
	own    int // -1: none
	within []errorBranch
}

type errorBranch struct {
	field int
	plan  *errorPlan
}

var errorPlans sync.Map // reflect.Type of a struct → *errorPlan

func planFor(t reflect.Type) *errorPlan {
	if p, ok := errorPlans.Load(t); ok {
		return p.(*errorPlan)
	}
	p := &errorPlan{own: -1}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "ErrorCode" && f.Type.Kind() == reflect.Int16 {
			p.own = i
		}
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
			if sub := planFor(f.Type.Elem()); sub.own >= 0 || len(sub.within) > 0 {
				p.within = append(p.within, errorBranch{i, sub})
			}
		}
	}
	errorPlans.Store(t, p)
	return p
}

// eachErrorCode calls count with every error code of an answer, NONE included.
func eachErrorCode(resp wire.Response, count func(wire.Code)) {
	v := reflect.ValueOf(resp)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return
	}
	v = v.Elem()
	planFor(v.Type()).walk(v, count)
}

func (p *errorPlan) walk(v reflect.Value, count func(wire.Code)) {
	if p.own >= 0 {
		count(wire.Code(v.Field(p.own).Int()))
	}
	for _, b := range p.within {
		list := v.Field(b.field)
		for i := range list.Len() {
			b.plan.walk(list.Index(i), count)
		}
	}
}
