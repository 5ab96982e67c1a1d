package controlplane

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-stream/weir/internal/controlplane/heal"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// own is what the service counts of its own work, under weir_service_, from
// its start on.
type own struct {
	operations *prometheus.HistogramVec
	anomalies  *prometheus.CounterVec
	healing    *prometheus.HistogramVec
}

// lengths are the buckets of times that begin with a restart of one process
// and end with a move of much data, in seconds.
var lengths = []float64{.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 900, 3600}

func newOwn() own {
	return own{
		prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "weir_service_operation_duration_seconds",
			Help: "Time from the begin of operations to their end.", Buckets: lengths}, []string{"kind", "state"}),
		prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_service_anomalies_total",
			Help: "What healing found wrong, and what it chose to do."}, []string{"anomaly", "choice"}),
		prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "weir_service_healing_duration_seconds",
			Help: "Time from the discovery of an anomaly until it was over.", Buckets: lengths}, []string{"choice"}),
	}
}

func (o own) ended(op *spec.Operation) {
	if op.EndedAt != nil {
		o.operations.WithLabelValues(op.Kind, string(op.State)).Observe(op.EndedAt.Sub(op.CreatedAt).Seconds())
	}
}

func (o own) found(a heal.Anomaly) { o.anomalies.WithLabelValues(a.Kind, a.Choice).Inc() }

func (o own) over(choice string, took time.Duration) {
	o.healing.WithLabelValues(choice).Observe(took.Seconds())
}

// Describe implements prometheus.Collector: a Service is a collector of what
// it says of its own work.
func (s *Service) Describe(ch chan<- *prometheus.Desc) {
	s.own.operations.Describe(ch)
	s.own.anomalies.Describe(ch)
	s.own.healing.Describe(ch)
}

// Collect implements prometheus.Collector.
func (s *Service) Collect(ch chan<- prometheus.Metric) {
	s.own.operations.Collect(ch)
	s.own.anomalies.Collect(ch)
	s.own.healing.Collect(ch)
}
