package watch

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// own is what the watching says of itself, under weir_service_.
type own struct {
	scrapes *prometheus.HistogramVec
	series  prometheus.GaugeFunc
}

func newOwn(series func() int) own {
	return own{
		prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "weir_service_scrape_duration_seconds",
			Help: "Time that the scrape of a broker took.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 4}}, []string{"cluster", "result"}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "weir_service_metric_series", Help: "Series in the store of metrics."},
			func() float64 { return float64(series()) }),
	}
}

// scraped counts a scrape.
func (o own) scraped(cluster string, took time.Duration, ok bool) {
	o.scrapes.WithLabelValues(cluster, map[bool]string{true: "ok", false: "failed"}[ok]).Observe(took.Seconds())
}

// Describe implements prometheus.Collector: a Watcher is a collector of what
// it says of itself.
func (w *Watcher) Describe(ch chan<- *prometheus.Desc) {
	w.own.scrapes.Describe(ch)
	w.own.series.Describe(ch)
}

// Collect implements prometheus.Collector.
func (w *Watcher) Collect(ch chan<- prometheus.Metric) {
	w.own.scrapes.Collect(ch)
	w.own.series.Collect(ch)
}
