package telemetry

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Options are the settings of a Registry.
type Options struct {
	// Dialects in which Kafka's MBeans are named; Strimzi if empty.
	Dialects []Dialect
	// MaxPartitionSeries is up to how many partitions series per partition are served.
	MaxPartitionSeries int
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Registry is all measurements of a node. Safe for concurrent use.
type Registry struct {
	opt  Options
	prom *prometheus.Registry

	mu      sync.Mutex
	facts   map[string]*entry
	order   []*entry
	sources []func(Emit)
	topics  sync.Map // topic name → *Topic
	all     *Topic
	api     sync.Map   // API name → *Request
	making  sync.Mutex // of an API's measurements
}

// entry is a figure that was declared.
type entry struct {
	fact   Fact
	labels Labels
	read   func(now time.Time) figures
	key    string
}

// Emit hands over one figure during a scrape.
type Emit func(f Fact, l Labels, value float64)

// New makes a registry with the figures of the Go runtime and the process in it.
func New(opt Options) *Registry {
	if len(opt.Dialects) == 0 {
		opt.Dialects = []Dialect{Strimzi}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	r := &Registry{opt: opt, prom: prometheus.NewRegistry(), facts: map[string]*entry{}}
	r.prom.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), scraper{r})
	r.all = &Topic{}
	return r
}

func (r *Registry) add(f Fact, l Labels, read func(now time.Time) figures) {
	e := &entry{fact: f, labels: l, read: read, key: f.key(l)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.facts[e.key]; old != nil {
		*old = *e
		return
	}
	r.facts[e.key] = e
	r.order = append(r.order, e)
}

// Counter returns a counter under the given name and labels. Resolve it once and keep it. A second call with
// the same name and labels makes a new one in place of the first.
func (r *Registry) Counter(f Fact, l ...string) *Counter {
	c := &Counter{}
	r.add(f, l, func(now time.Time) figures { return figures{value: float64(c.Load()), rate: c.perSecond(now)} })
	return c
}

// CounterFunc serves a count that somebody else keeps.
func (r *Registry) CounterFunc(f Fact, read func() float64, l ...string) {
	r.add(f, l, func(time.Time) figures { return figures{value: read()} })
}

// GaugeFunc serves a figure that is asked for at each scrape. read must not wait.
func (r *Registry) GaugeFunc(f Fact, read func() float64, l ...string) {
	r.add(f, l, func(time.Time) figures { return figures{value: read()} })
}

// Timing returns a histogram under the given name and labels. Resolve it once and keep it.
func (r *Registry) Timing(f Fact, l ...string) *Histogram {
	h := &Histogram{}
	r.add(f, l, func(now time.Time) figures { return figures{timing: h.view(now)} })
	return h
}

// Source adds a function that hands over figures at each scrape, for sets that come and go (partitions, groups).
// It must not wait for anything and must emit each name and label set once.
func (r *Registry) Source(emit func(Emit)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sources = append(r.sources, emit)
}

// scraper makes Prometheus metrics of a registry. It describes none beforehand, since sets come and go.
type scraper struct{ r *Registry }

// Describe sends nothing.
func (scraper) Describe(chan<- *prometheus.Desc) {}

// Collect sends everything.
func (s scraper) Collect(ch chan<- prometheus.Metric) {
	r := s.r
	now := r.opt.Now()
	r.mu.Lock()
	entries := slices.Clone(r.order)
	sources := slices.Clone(r.sources)
	r.mu.Unlock()
	seen, helps := map[string]bool{}, map[string]string{}
	send := func(f Fact, l Labels, v figures) {
		for _, d := range r.opt.Dialects {
			for _, smp := range d.samples(f, l, v) {
				if k := smp.key(); !seen[k] {
					seen[k] = true
					if helps[smp.name] == "" { // one family has one help, though several facts may meet in it
						helps[smp.name] = f.Help
					}
					ch <- smp.metric(helps[smp.name])
				}
			}
		}
	}
	for _, e := range entries {
		send(e.fact, e.labels, e.read(now))
	}
	r.emitTopics(now, send)
	for _, src := range sources {
		src(func(f Fact, l Labels, v float64) { send(f, l, figures{value: v}) })
	}
}

func (s sample) key() string { return Fact{Name: s.name}.key(s.labels) }

func (s sample) metric(help string) prometheus.Metric {
	names, values := make([]string, 0, len(s.labels)/2), make([]string, 0, len(s.labels)/2)
	for i := 0; i+1 < len(s.labels); i += 2 {
		names, values = append(names, s.labels[i]), append(values, s.labels[i+1])
	}
	kind := prometheus.GaugeValue
	if s.counter {
		kind = prometheus.CounterValue
	}
	if help == "" {
		help = s.name
	}
	m, err := prometheus.NewConstMetric(prometheus.NewDesc(s.name, help, names, nil), kind, s.value, values...)
	if err != nil {
		return prometheus.NewInvalidMetric(prometheus.NewDesc(s.name, help, nil, nil), err)
	}
	return m
}
