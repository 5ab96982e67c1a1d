// Package watch keeps the history of every broker: what its /metrics say each
// five seconds, what its process and its disk use, what the machine has, and
// how far consumer groups are behind. Samples have the same names whatever the
// engine is: those that Kafka's dashboards expect of the JMX exporter with
// Strimzi's rules, of kafka_exporter and of node_exporter. Panels are queries
// over them.
//
// A broker that does not answer makes a gap and up=0, never an error. It
// judges nothing and mends nothing.
package watch

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/provider"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/metricstore"
)

// Target is one broker to scrape and to measure.
type Target = controlplane.MetricsTarget

var _ controlplane.MetricsSink = (*Watcher)(nil)

// Options are what a Watcher works with. Every time is optional.
type Options struct {
	Store *metricstore.Store
	Log   *slog.Logger
	// Every is the time between two scrapes of a broker: 5 s. A scrape may take
	// four fifths of it.
	Every time.Duration
	// DiskEvery and LagEvery are 15 s.
	DiskEvery, LagEvery time.Duration
	// Dir is a folder of the file system that the panels of the host show.
	Dir string
}

// Watcher watches the brokers that SetTargets names. Safe for concurrent use.
type Watcher struct {
	o     Options
	local *provider.Local
	group *lifecycle.Group
	own   own

	mu       sync.Mutex
	clusters map[string]*cluster
}

// cluster is what runs for one cluster.
type cluster struct {
	brokers map[int32]running
	lag     running // by the client.properties of the first broker
}

type running struct {
	target Target
	stop   context.CancelFunc
}

// New makes a watcher and begins with the machine itself.
func New(o Options) *Watcher {
	for _, d := range []struct {
		to    *time.Duration
		value time.Duration
	}{{&o.Every, 5 * time.Second}, {&o.DiskEvery, 15 * time.Second}, {&o.LagEvery, 15 * time.Second}} {
		if *d.to <= 0 {
			*d.to = d.value
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	w := &Watcher{o: o, own: newOwn(o.Store.Series), local: provider.NewLocal(), group: lifecycle.New("watch", o.Log), clusters: map[string]*cluster{}}
	w.group.Go("host", w.watchHost)
	return w
}

// Close ends all watching. The store stays open: it is the caller's.
func (w *Watcher) Close() { w.group.Stop() }

// SetTargets says which brokers a cluster has that shall run; none: it is
// gone, or stopped. It does not wait.
func (w *Watcher) SetTargets(id string, targets []Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.clusters[id]
	if c == nil {
		c = &cluster{brokers: map[int32]running{}}
		w.clusters[id] = c
	}
	for b, r := range c.brokers {
		if !slices.Contains(targets, r.target) {
			r.stop()
			delete(c.brokers, b)
		}
	}
	for _, t := range targets {
		if _, ok := c.brokers[t.Broker]; !ok {
			c.brokers[t.Broker] = w.start(t, "broker", func(ctx context.Context) { w.watchBroker(ctx, id, t) })
		}
	}
	access := Target{}
	if len(targets) > 0 {
		access.ClientProperties = targets[0].ClientProperties
	}
	if c.lag.target != access {
		if c.lag.stop != nil {
			c.lag.stop()
		}
		c.lag = running{}
		if access.ClientProperties != "" {
			c.lag = w.start(access, "lag", func(ctx context.Context) { w.watchLag(ctx, id, access.ClientProperties) })
		}
	}
	if len(targets) == 0 {
		delete(w.clusters, id)
		w.own.scrapes.DeletePartialMatch(map[string]string{"cluster": id})
	}
}

func (w *Watcher) start(t Target, name string, f func(ctx context.Context)) running {
	ctx, cancel := context.WithCancel(w.group.Context())
	w.group.Go(name, func(context.Context) {
		defer cancel()
		f(ctx)
	})
	return running{t, cancel}
}

// every calls f at once and then at each tick, until ctx ends.
func every(ctx context.Context, d time.Duration, f func(ctx context.Context, now time.Time)) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		f(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// recorder puts samples of one moment into the store.
type recorder struct {
	w      *Watcher
	now    time.Time
	common []string // label, value, …
}

// put stores a sample. What the store refuses it has logged, or is a clock
// that was set back: there is nothing more to do about either here.
func (r recorder) put(name string, v float64, more ...pair) {
	all := make([]string, 0, 2+len(r.common)+2*len(more))
	all = append(append(all, model.MetricNameLabel, name), r.common...)
	for _, p := range more {
		all = append(all, p.name, p.value)
	}
	err := r.w.o.Store.Append(labels.FromStrings(all...), r.now.UnixMilli(), v)
	if err != nil && !errors.Is(err, metricstore.ErrTooManySeries) && !errors.Is(err, metricstore.ErrOutOfOrder) {
		r.w.o.Log.Error("a sample was not stored", "metric", name, "err", err)
	}
}

func brokerLabels(cluster string, broker int32) []string {
	return []string{"cluster", cluster, "broker", strconv.Itoa(int(broker))}
}
