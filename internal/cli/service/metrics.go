package service

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// viewer shows clusters.
type viewer interface {
	Clusters(ctx context.Context) ([]controlplane.ClusterView, error)
}

// fleetCollector counts what the service runs, at each scrape.
type fleetCollector struct {
	fleet viewer
	log   *slog.Logger
}

var (
	clustersDesc = prometheus.NewDesc("weir_service_clusters", "Clusters by state.", []string{"state"}, nil)
	levelDesc    = prometheus.NewDesc("weir_service_cluster_healthy", "1 if the cluster is as it should be.", []string{"cluster"}, nil)
	offlineDesc  = prometheus.NewDesc("weir_service_cluster_offline_partitions", "Partitions that nobody can use, as last seen.", []string{"cluster"}, nil)
	urpDesc      = prometheus.NewDesc("weir_service_cluster_under_replicated_partitions", "Partitions that lack a replica in sync, as last seen.", []string{"cluster"}, nil)
)

// scrapeTimeout bounds how long a scrape reads the fleet.
const scrapeTimeout = 5 * time.Second

// Describe implements prometheus.Collector.
func (f *fleetCollector) Describe(out chan<- *prometheus.Desc) {
	out <- clustersDesc
	out <- levelDesc
	out <- offlineDesc
	out <- urpDesc
}

// Collect implements prometheus.Collector.
func (f *fleetCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	all, err := f.fleet.Clusters(ctx)
	if err != nil {
		f.log.Error("the clusters cannot be counted", "error", err)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, label string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, label)
	}
	states := map[spec.State]int{}
	for _, c := range all {
		states[c.State]++
		healthy := 0.0
		if c.HealthLevel == controlplane.LevelOK {
			healthy = 1
		}
		gauge(levelDesc, healthy, c.Name)
		gauge(offlineDesc, float64(c.Counts.Offline), c.Name)
		gauge(urpDesc, float64(c.Counts.UnderReplicated), c.Name)
	}
	for _, s := range spec.States() {
		gauge(clustersDesc, float64(states[s]), string(s))
	}
}

// ownMetrics are those of the service's process and of its fleet.
func ownMetrics(fleet viewer, version string, log *slog.Logger, more ...prometheus.Collector) http.Handler {
	r := prometheus.NewRegistry()
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "weir_service_info", Help: "The version that runs."}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info, &fleetCollector{fleet, log})
	r.MustRegister(more...)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}
