package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/admin"
	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/metricstore"
)

// TestCluster runs a cluster of each engine under load and looks at every
// panel. WEIR_KAFKA_DIST names an Apache Kafka, WEIR_BIN a Weir binary; an
// engine without its own is skipped.
func TestCluster(t *testing.T) {
	for _, e := range []struct {
		env     string
		request controlplane.CreateRequest
	}{
		{"WEIR_KAFKA_DIST", controlplane.CreateRequest{Engine: spec.EngineApacheKafka, EngineVersion: "4.3.1", DistDir: os.Getenv("WEIR_KAFKA_DIST"), Profile: "prod-3", Brokers: 3}},
		{"WEIR_BIN", controlplane.CreateRequest{Engine: spec.EngineWeir, Profile: "dev", Brokers: 1}},
	} {
		t.Run(e.request.Engine, func(t *testing.T) {
			if os.Getenv(e.env) == "" {
				t.Skipf("1 engine skipped: %s is not set", e.env)
			}
			e.request.Name, e.request.MemoryBytes = "watched", 512<<20
			watchCluster(t, e.request)
		})
	}
}

func watchCluster(t *testing.T, request controlplane.CreateRequest) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	dir := t.TempDir()
	store, err := metricstore.Open(filepath.Join(dir, "metrics.db"), metricstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	w := New(Options{Store: store, Dir: dir, DiskEvery: 5 * time.Second, LagEvery: 5 * time.Second})
	defer w.Close()
	svc, err := controlplane.Open(ctx, controlplane.Options{Dir: dir, Binary: os.Getenv("WEIR_BIN"), Metrics: w, FirstPort: 20000 + rand.IntN(60)*100})
	if err != nil {
		t.Fatal(err)
	}
	defer svc.Close()
	defer func() {
		if err := svc.StopAll(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	began := time.Now()
	if _, err := svc.Create(ctx, "test", request); err != nil {
		t.Fatal(err)
	}
	var view controlplane.ClusterView
	await(t, "an active cluster", func() bool {
		view, err = svc.Cluster(ctx, request.Name)
		return err == nil && (view.State == spec.Active || view.State == spec.Failed)
	})
	if view.State != spec.Active {
		logs := engine.Layout{Dir: filepath.Join(dir, "clusters", request.Name)}
		output, _ := os.ReadFile(logs.Output(1)) // what there is of it
		t.Fatalf("%s\n%s", view.Reason, output)
	}
	t.Logf("%d brokers serve after %v", len(view.Brokers), time.Since(began).Round(time.Millisecond))
	load(ctx, t, view.ClientProperties)
	look := func(id string) PanelData {
		d, err := w.Panel(ctx, view.ID, id, time.Now().Add(-2*time.Minute), time.Now(), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	// A scrape that a busy machine lets time out makes a gap: every panel is
	// looked at until each has been as it should.
	missing := map[string]string{}
	for _, p := range w.Panels() {
		missing[p.ID] = "not looked at"
	}
	settled(ctx, t, func() string {
		for id := range missing {
			d := look(id)
			if missing[id] = wrong(id, d, len(view.Brokers)); missing[id] == "" {
				delete(missing, id)
				t.Logf("%s: %s %s", id, latest(d), d.Unit)
			}
		}
		return strings.Join(slices.Sorted(maps.Values(missing)), "; ")
	})
	showScrapes(t, store, view.Brokers)
	settled(ctx, t, func() string { return notServed(t, view) })
}

// settled polls until nothing is missing any more.
func settled(ctx context.Context, t *testing.T, missing func() string) {
	t.Helper()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		what := missing()
		if what == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// load writes two topics' worth of records and reads a part of them.
func load(ctx context.Context, t *testing.T, properties string) {
	t.Helper()
	access, err := admin.ReadAccess(properties)
	if err != nil {
		t.Fatal(err)
	}
	a, err := admin.Open(access)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.CreateTopic(ctx, "load", 6, -1, nil); err != nil {
		t.Fatal(err)
	}
	opts, err := access.Options()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(opts, kgo.DefaultProduceTopic("load"), kgo.ConsumeTopics("load"), kgo.ConsumerGroup("readers"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done; cl.Close() })
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			for range 20 {
				cl.Produce(ctx, &kgo.Record{Value: make([]byte, 500)}, nil)
			}
			poll, stop := context.WithTimeout(ctx, 10*time.Millisecond)
			if n%3 == 0 { // slower than the writing: it falls behind
				cl.PollRecords(poll, 30)
			}
			stop()
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
}

func peak(d PanelData) float64 {
	out := -1.0
	for _, s := range d.Series {
		for _, p := range s.Points {
			out = max(out, p[1])
		}
	}
	return out
}

// wrong says what a panel lacks: a line, or a figure that can be.
func wrong(id string, d PanelData, brokers int) string {
	lines := map[string]int{"brokers": 2, "offline-partitions": 1, "isr-changes": 2, "consumer-lag": 1, "host-cpu": 1, "host-memory": 2, "host-disk": 2}
	want, special := lines[id]
	if !special {
		want = brokers
	}
	low, high := 0.0, map[string]float64{"ratio": 1.001, "ms": 60_000, "cores": 64, "": 100_000, "changes/s": 100, "bytes/s": 1e9, "records/s": 1e6, "bytes": 1e15}[d.Unit]
	switch id {
	case "disk-used", "process-memory", "open-files", "host-memory", "host-disk", "brokers", "consumer-lag":
		low = 1
	case "bytes-in", "bytes-out":
		low = 1000
	}
	if top := peak(d); len(d.Series) != want || top < low || top > high {
		return fmt.Sprintf("%s: %d lines, want %d; peak %v, want %v to %v", id, len(d.Series), want, top, low, high)
	}
	for _, s := range d.Series {
		if (s.Broker != nil) == special {
			return fmt.Sprintf("%s: line %s", id, s.Name)
		}
	}
	return ""
}

// latest are the figures at the end of a panel's lines.
func latest(d PanelData) string {
	var last []string
	for _, s := range d.Series {
		if n := len(s.Points); n > 0 {
			last = append(last, fmt.Sprintf("%s=%.4g", s.Name, s.Points[n-1][1]))
		}
	}
	return strings.Join(last, " ")
}

// showScrapes logs what a scrape costs.
func showScrapes(t *testing.T, s *metricstore.Store, brokers []spec.Broker) {
	t.Helper()
	for _, q := range []string{`avg(avg_over_time(scrape_duration_seconds[1m])) * 1000`, `max(scrape_samples_scraped)`} {
		v, ok := value(t, s, q)
		if !ok {
			t.Errorf("no %s", q)
		}
		t.Logf("%s = %.4g with %d brokers", q, v, len(brokers))
	}
}

// notServed are the names that public boards ask for and no broker has, whichever
// engine it is. Those by what has not happened, such as errors, may be missing, and
// engine weir does not measure how long the quorum takes.
func notServed(t *testing.T, view controlplane.ClusterView) string {
	t.Helper()
	names, err := os.ReadFile("testdata/board_names.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := "\n"
	for _, b := range view.Brokers {
		text, err := metricsOf(t.Context(), b)
		if err != nil {
			return err.Error()
		}
		all += text
	}
	var missing []string
	for name := range strings.FieldsSeq(string(names)) {
		if view.Engine == spec.EngineWeir && strings.HasPrefix(name, "kafka_server_raftmetrics_") && strings.Contains(name, "_latency_") {
			continue
		}
		if !strings.Contains(all, "\n"+name+" ") && !strings.Contains(all, "\n"+name+"{") {
			missing = append(missing, name)
		}
	}
	return strings.Join(missing, " ")
}

func metricsOf(ctx context.Context, b spec.Broker) (text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, engine.MetricsURL(b), http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), errors.Join(err, resp.Body.Close())
}
