package service

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/watch"
	"github.com/weir-stream/weir/internal/metricstore"
	"github.com/weir-stream/weir/internal/restapi"
)

// metricsFile is the history of metrics in the service's directory.
const metricsFile = "metrics.db"

// measures is the watching of clusters and what it remembers. Without a file to
// remember in there is none, and the service runs all the same: the zero value
// has no panels.
type measures struct {
	store   *metricstore.Store
	watcher *watch.Watcher
	log     *slog.Logger
}

func openMeasures(dir string, log *slog.Logger) measures {
	store, err := metricstore.Open(filepath.Join(dir, metricsFile), metricstore.Options{Log: log})
	if err != nil {
		log.Error("there will be no graphs", "error", err)
		return measures{}
	}
	return measures{store, watch.New(watch.Options{Store: store, Log: log, Dir: dir}), log}
}

func (h measures) close() {
	if h.watcher == nil {
		return
	}
	h.watcher.Close()
	if err := h.store.Close(); err != nil {
		h.log.Error("the last metrics were not kept", "error", err)
	}
}

// sink is told of brokers; nil without a history.
func (h measures) sink() controlplane.MetricsSink {
	if h.watcher == nil {
		return nil
	}
	return h.watcher
}

// collectors are what the watching says of itself.
func (h measures) collectors() []prometheus.Collector {
	if h.watcher == nil {
		return nil
	}
	return []prometheus.Collector{h.watcher}
}

// prometheus answers queries; nil without a history.
func (h measures) prometheus() http.Handler {
	if h.watcher == nil {
		return nil
	}
	return h.store.Handler()
}

// panels are what the API shows; nil without a history.
func (h measures) panels() restapi.Panels {
	if h.watcher == nil {
		return nil
	}
	return panels{h.watcher}
}

// panels gives the watcher's panels the API's form.
type panels struct{ w *watch.Watcher }

// Panels implements restapi.Panels.
func (p panels) Panels() []restapi.Panel {
	all := p.w.Panels()
	out := make([]restapi.Panel, 0, len(all))
	for _, x := range all {
		out = append(out, restapi.Panel{ID: x.ID, Title: x.Title, Unit: x.Unit, Kind: x.Kind, Help: x.Help})
	}
	return out
}

// Panel implements restapi.Panels.
func (p panels) Panel(ctx context.Context, cluster, id string, from, to time.Time, step time.Duration) (restapi.PanelData, error) {
	d, err := p.w.Panel(ctx, cluster, id, from, to, step)
	if err != nil {
		return restapi.PanelData{}, err
	}
	out := restapi.PanelData{ID: d.ID, Unit: d.Unit, Series: make([]restapi.Series, 0, len(d.Series))}
	for _, s := range d.Series {
		line := restapi.Series{Name: s.Name, Points: make([][]float64, 0, len(s.Points))}
		if s.Broker != nil {
			line.Broker = *s.Broker
		}
		for _, point := range s.Points {
			line.Points = append(line.Points, point[:])
		}
		out.Series = append(out.Series, line)
	}
	return out, nil
}

// open opens the service and its history. What closes the history comes after
// what closes the service.
func (v *verbs) open(ctx context.Context, dir string, log *slog.Logger) (*controlplane.Service, measures, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, measures{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, measures{}, err
	}
	past := openMeasures(dir, log)
	svc, err := controlplane.Open(ctx, controlplane.Options{Dir: dir, Binary: self, Version: v.Version, Log: log, Metrics: past.sink()})
	if err != nil {
		past.close()
		return nil, measures{}, err
	}
	return svc, past, nil
}
