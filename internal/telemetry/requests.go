package telemetry

import (
	"strconv"
	"sync"
	"time"
)

// Request measures one API on this node.
type Request struct {
	name                                                                      string
	r                                                                         *Registry
	requestQueue, local, remote, responseQueue, responseSend, throttle, total *Histogram
	requestBytes                                                              *Counter

	mu       sync.Mutex
	versions [64]*Counter
	errors   map[string]*Counter
	none     *Counter
}

// RequestTimes are the parts of the time that a request took, as Kafka splits them.
type RequestTimes struct {
	RequestQueue  time.Duration // from the complete frame to the start of its handler
	Local         time.Duration // until the handler is done or waits for others
	Remote        time.Duration // waiting for others: replicas, more data, a group
	ResponseQueue time.Duration // from the answer to the start of sending
	ResponseSend  time.Duration // sending
	Throttle      time.Duration // held back by a quota
}

// Total is the sum of the parts.
func (t RequestTimes) Total() time.Duration {
	return t.RequestQueue + t.Local + t.Remote + t.ResponseQueue + t.ResponseSend
}

func requestFact(name string, kind Kind, help string) Fact {
	return Fact{Domain: "kafka.network", Type: "RequestMetrics", Name: name, Kind: kind, Help: help}
}

// Request returns the measurements of an API by its name (Produce, Metadata, …), the same ones each time. Kafka
// counts consumers and followers apart, under FetchConsumer and FetchFollower. Resolve it once.
func (r *Registry) Request(api string) *Request {
	if q, ok := r.api.Load(api); ok {
		return q.(*Request)
	}
	r.making.Lock() // nobody may see it half made
	defer r.making.Unlock()
	if q, ok := r.api.Load(api); ok {
		return q.(*Request)
	}
	q := &Request{name: api, r: r, errors: map[string]*Counter{}}
	for _, h := range []struct {
		to         **Histogram
		name, help string
	}{
		{&q.requestQueue, "RequestQueueTimeMs", "Milliseconds that requests waited to be handled."},
		{&q.local, "LocalTimeMs", "Milliseconds that the handler took."},
		{&q.remote, "RemoteTimeMs", "Milliseconds that requests waited for others."},
		{&q.responseQueue, "ResponseQueueTimeMs", "Milliseconds that answers waited to be sent."},
		{&q.responseSend, "ResponseSendTimeMs", "Milliseconds that sending took."},
		{&q.throttle, "ThrottleTimeMs", "Milliseconds that answers were held back by a quota."},
		{&q.total, "TotalTimeMs", "Milliseconds that requests took in all."},
	} {
		*h.to = r.Timing(requestFact(h.name, Timing, h.help), "request", api)
	}
	q.requestBytes = r.Counter(Fact{Name: "weir_request_bytes_total", Kind: PlainCounter, Help: "Bytes of requests."}, "request", api)
	q.none = q.errorCounter(noError)
	r.api.Store(api, q)
	return q
}

// Observe counts a request that was answered.
func (q *Request) Observe(version int16, bytes int, times RequestTimes) {
	q.requestQueue.Observe(times.RequestQueue)
	q.local.Observe(times.Local)
	q.remote.Observe(times.Remote)
	q.responseQueue.Observe(times.ResponseQueue)
	q.responseSend.Observe(times.ResponseSend)
	if times.Throttle > 0 {
		q.throttle.Observe(times.Throttle)
	}
	q.total.Observe(times.Total())
	q.requestBytes.Add(int64(bytes))
	q.version(version).Inc()
}

// CountError counts an error of an answer by its name, NONE included. An answer may have several.
func (q *Request) CountError(name string) {
	if name == noError {
		q.none.Inc()
		return
	}
	q.errorCounter(name).Inc()
}

const noError = "NONE"

func (q *Request) version(v int16) *Counter {
	if v < 0 || int(v) >= len(q.versions) {
		v = 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.versions[v] == nil {
		q.versions[v] = q.r.Counter(requestFact("RequestsPerSec", Meter, "Requests."), "request", q.name, "version", strconv.Itoa(int(v)))
	}
	return q.versions[v]
}

func (q *Request) errorCounter(name string) *Counter {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.errors[name]
	if c == nil {
		c = q.r.Counter(requestFact("ErrorsPerSec", Meter, "Answers by error."), "request", q.name, "error", name)
		q.errors[name] = c
	}
	return c
}
