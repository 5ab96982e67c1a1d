package restapi

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests measures how long the service takes to answer, by call. It is a
// prometheus.Collector, safe for concurrent use.
type Requests struct{ *prometheus.HistogramVec }

// NewRequests measures nothing yet.
func NewRequests() Requests {
	return Requests{prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "weir_service_http_request_duration_seconds",
		Help: "Time that answers took. Streams of events are left out.", Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}},
		[]string{"method", "route", "status"})}
}

// took counts an answer under the route that gave it: paths are as many as
// there are names, routes are few.
func (q Requests) took(r *http.Request, status int, d time.Duration) {
	_, route, _ := strings.Cut(r.Pattern, " ")
	switch {
	case q.HistogramVec == nil || route == Prefix+"/events":
		return
	case r.Pattern != "" && route == "":
		route = r.Pattern // one for every method
	case route == "":
		route = "none"
	}
	method := "other"
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete:
		method = r.Method
	}
	q.WithLabelValues(method, route, strconv.Itoa(status)).Observe(d.Seconds())
}
