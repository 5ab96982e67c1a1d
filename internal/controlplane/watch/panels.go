package watch

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// Panel is one graph of a cluster.
type Panel struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// Unit is bytes, bytes/s, records/s, requests/s, changes/s, ms, ratio
	// (0 to 1), cores, or empty for a count.
	Unit string `json:"unit"`
	// Kind is how it is drawn: line, or area where the series add up.
	Kind string `json:"kind"`
	Help string `json:"help"`
	// Queries are what is drawn, in PromQL; $cluster and $range are filled in.
	Queries []Query `json:"queries"`
}

// Query is one kind of line in a panel.
type Query struct {
	// Name is the series' name where the result has no broker and no group.
	Name string `json:"name,omitempty"`
	Expr string `json:"expr"`
}

// Series is one line: Points are pairs of milliseconds and value. A moment
// that is not there is a gap.
type Series struct {
	Name string `json:"name"`
	// Broker is null for what is not of one broker.
	Broker *int32       `json:"broker,omitempty"`
	Points [][2]float64 `json:"points"`
}

// PanelData is what a panel shows.
type PanelData struct {
	ID     string   `json:"id"`
	Unit   string   `json:"unit"`
	Series []Series `json:"series"`
}

// maxSeries bounds the lines of a panel of groups: those that were behind the most.
const maxSeries = 10

// ErrNoPanel is returned for an id that no panel has; it is an fs.ErrNotExist.
var ErrNoPanel = fmt.Errorf("no such panel: %w", fs.ErrNotExist)

// live keeps a broker's series while it answers, so that the rate over the
// moments before its death does not go on after it.
const live = ` and on (broker) (up{cluster="$cluster"} == 1)`

func gauge(name string) []Query {
	return []Query{{Expr: `sum by (broker) (` + name + `{cluster="$cluster"})` + live}}
}

func counter(name string) []Query {
	return []Query{{Expr: `sum by (broker) (rate(` + name + `{cluster="$cluster"}[$range]))` + live}}
}

func latency(request string) []Query {
	return []Query{{Expr: `sum by (broker) (kafka_network_requestmetrics_totaltimems{cluster="$cluster",request="` + request + `",quantile="0.99"})` + live}}
}

func rates(names ...string) (out []Query) {
	for i := 0; i < len(names); i += 2 {
		out = append(out, Query{Name: names[i], Expr: `sum(rate(` + names[i+1] + `{cluster="$cluster"}[$range]))`})
	}
	return out
}

var panels = []Panel{
	{"brokers", "Brokers online", "", "line", "Brokers whose metrics answer, and those that shall run.", []Query{
		{"online", `sum(up{cluster="$cluster"})`}, {"expected", `count(up{cluster="$cluster"})`}}},
	{"bytes-in", "Bytes in", "bytes/s", "area", "Bytes of records that clients wrote, per broker.", counter("kafka_server_brokertopicmetrics_bytesin_total")},
	{"bytes-out", "Bytes out", "bytes/s", "area", "Bytes of records that consumers read, per broker; followers do not count.", counter("kafka_server_brokertopicmetrics_bytesout_total")},
	{"messages-in", "Messages in", "records/s", "area", "Records that clients wrote, per broker.", counter("kafka_server_brokertopicmetrics_messagesin_total")},
	{"offline-partitions", "Offline partitions", "", "line", "Partitions without a leader: nobody can read or write them. Should be 0.", []Query{
		{"offline", `max(kafka_controller_kafkacontroller_offlinepartitionscount{cluster="$cluster"})`}}},
	{"under-replicated", "Under-replicated partitions", "", "line", "Partitions that lack a replica in sync, by the broker that leads them. Should be 0.", gauge("kafka_server_replicamanager_underreplicatedpartitions")},
	{"under-min-isr", "Partitions under min ISR", "", "line", "Partitions that refuse writes with acks=all, by the broker that leads them. Should be 0.", gauge("kafka_server_replicamanager_underminisrpartitioncount")},
	{"isr-changes", "ISR shrinks and expands", "changes/s", "line", "How often replicas fall out of sync and come back.",
		rates("shrinks", "kafka_server_replicamanager_isrshrinks_total", "expands", "kafka_server_replicamanager_isrexpands_total")},
	{"produce-p99", "Produce p99", "ms", "line", "What 99 of 100 Produce requests took at most, waiting for replicas included.", latency("Produce")},
	{"fetch-p99", "Fetch p99", "ms", "line", "What 99 of 100 Fetch requests of consumers took at most, waiting for new records included.", latency("FetchConsumer")},
	{"handler-idle", "Request handlers idle", "ratio", "line", "Share of time that the broker could have handled more. Under 0.3 it is near its limit.", []Query{
		{Expr: `clamp_max(sum by (broker) (kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent{cluster="$cluster"}), 1)` + live}}},
	{"consumer-lag", "Consumer lag", "", "line", "Records that groups have not read yet: the ten groups that were behind the most.", []Query{
		{Expr: `sum by (consumergroup) (` + nameLag + `{cluster="$cluster"})`}}},
	{"disk-used", "Disk used", "bytes", "area", "Size of each broker's log directory.", []Query{
		{Expr: `sum by (broker) (last_over_time(` + nameDiskUsed + `{cluster="$cluster"}[1m])) and on (broker) up{cluster="$cluster"}`}}},
	{"process-cpu", "Process CPU", "cores", "line", "Processors that each broker's process uses.", []Query{
		{Expr: `sum by (broker) (rate(` + nameCPU + `{cluster="$cluster"}[$range])) and on (broker) ` + nameCPU + `{cluster="$cluster"}`}}},
	{"process-memory", "Process memory", "bytes", "line", "Resident memory of each broker's process.", []Query{{Expr: `sum by (broker) (` + nameRSS + `{cluster="$cluster"})`}}},
	{"open-files", "Open files", "", "line", "Open files and connections of each broker's process.", []Query{{Expr: `sum by (broker) (` + nameOpenFiles + `{cluster="$cluster"})`}}},
	{"host-cpu", "Host CPU", "ratio", "line", "Share of this machine's processors that is used, by everything that runs on it.", []Query{
		{"host", `1 - sum(rate(` + nameHostCPU + `{mode=~"idle|iowait"}[$range])) / sum(rate(` + nameHostCPU + `[$range]))`}}},
	{"host-memory", "Host memory", "bytes", "line", "Memory of this machine.", []Query{
		{"used", `sum(` + nameMemTotal + ` - ` + nameMemFree + `)`}, {"total", `sum(` + nameMemTotal + `)`}}},
	{"host-disk", "Host disk", "bytes", "line", "The file system that holds the clusters.", []Query{
		{"used", `sum(` + nameDiskSize + ` - ` + nameDiskAvail + `)`}, {"total", `sum(` + nameDiskSize + `)`}}},
}

// Panels lists the panels that every cluster has, in the order of a page.
func (w *Watcher) Panels() []Panel {
	out := slices.Clone(panels)
	for i := range out {
		out[i].Queries = slices.Clone(out[i].Queries)
	}
	return out
}

// Panel is one panel's data of a cluster. A step of 0 means about 240 points.
// A cluster that nobody has seen yet has no series, and that is no error.
func (w *Watcher) Panel(ctx context.Context, cluster, id string, from, to time.Time, step time.Duration) (PanelData, error) {
	i := slices.IndexFunc(panels, func(p Panel) bool { return p.ID == id })
	if i < 0 {
		return PanelData{}, fmt.Errorf("%w: %q", ErrNoPanel, id)
	}
	p := panels[i]
	if step <= 0 {
		step = to.Sub(from) / 240
	}
	step = max(step.Round(w.o.Every), w.o.Every)
	fill := strings.NewReplacer("$cluster", escape(cluster), "$range", max(6*w.o.Every, step).String())
	out := PanelData{ID: id, Unit: p.Unit, Series: []Series{}}
	for _, q := range p.Queries {
		m, err := w.o.Store.Range(ctx, fill.Replace(q.Expr), from, to, step)
		if err != nil {
			return out, fmt.Errorf("panel %s: %w", id, err)
		}
		for _, r := range m {
			out.Series = append(out.Series, line(q, r))
		}
	}
	if id == "consumer-lag" {
		out.Series = largest(out.Series, maxSeries)
	}
	return out, nil
}

// escape makes a string safe between double quotes in PromQL.
func escape(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

func line(q Query, r promql.Series) Series {
	s := Series{Name: q.Name, Points: make([][2]float64, 0, len(r.Floats))}
	if b := r.Metric.Get("broker"); b != "" {
		s.Name = b
		if n, err := strconv.ParseInt(b, 10, 32); err == nil {
			id := int32(n)
			s.Broker = &id
		}
	} else if g := r.Metric.Get("consumergroup"); g != "" {
		s.Name = g
	}
	for _, p := range r.Floats {
		s.Points = append(s.Points, [2]float64{float64(p.T), p.F})
	}
	return s
}

// largest are the n series with the highest peaks, by name.
func largest(all []Series, n int) []Series {
	peak := func(s Series) float64 {
		out := 0.0
		for _, p := range s.Points {
			out = max(out, p[1])
		}
		return out
	}
	slices.SortStableFunc(all, func(a, b Series) int {
		switch pa, pb := peak(a), peak(b); {
		case pa > pb:
			return -1
		case pa < pb:
			return 1
		}
		return 0
	})
	all = all[:min(len(all), n)]
	slices.SortFunc(all, func(a, b Series) int { return strings.Compare(a.Name, b.Name) })
	return all
}
