package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/admin"
	"github.com/weir-stream/weir/internal/metricstore"
)

// page is what a broker shows.
const page = `# HELP x y
kafka_server_brokertopicmetrics_bytesin_total %d
kafka_server_brokertopicmetrics_bytesin_total{topic="a"} 7
kafka_network_requestmetrics_totaltimems{request="Produce",quantile="0.99",} 12.5
kafka_network_requestmetrics_totaltimems{request="Metadata",quantile="0.99"} 99
kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent NaN
unknown{a="b"} 1
`

func newWatcher(t *testing.T) (*Watcher, *metricstore.Store) {
	t.Helper()
	store, err := metricstore.Open(filepath.Join(t.TempDir(), "m.db"), metricstore.Options{Lookback: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w := New(Options{Store: store, Every: 100 * time.Millisecond, Dir: t.TempDir()})
	t.Cleanup(func() {
		w.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return w, store
}

// value is what an expression gives now, and whether it gives anything.
func value(t *testing.T, s *metricstore.Store, expr string) (float64, bool) {
	t.Helper()
	now := time.Now()
	m, err := s.Range(context.Background(), expr, now, now.Add(time.Second), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range m {
		return r.Floats[len(r.Floats)-1].F, true
	}
	return 0, false
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(5 * time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// TestScrape follows a broker that answers, fails, sends too much and hangs:
// up says it, the figures stop, nothing else happens.
func TestScrape(t *testing.T) {
	w, s := newWatcher(t)
	var mode atomic.Int32
	var count atomic.Int64
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch mode.Load() {
		case 0:
			fmt.Fprintf(rw, page, count.Add(100))
		case 1:
			rw.WriteHeader(http.StatusInternalServerError)
		case 2:
			for range maxBody/1000 + 2 {
				if _, err := fmt.Fprintln(rw, "x", strings.Repeat(" ", 1000), 1); err != nil {
					return
				}
			}
		default:
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}
	}))
	defer srv.Close()
	defer close(hang)
	w.SetTargets("c1", []Target{{Broker: 7, URL: srv.URL, PIDFile: filepath.Join(t.TempDir(), "none"), Data: t.TempDir()}})
	up := func(want float64) func() bool {
		return func() bool { v, ok := value(t, s, `up{cluster="c1",broker="7"}`); return ok && v == want }
	}
	await(t, "up", up(1))
	for expr, want := range map[string]float64{
		`kafka_network_requestmetrics_totaltimems`:                    12.5,
		`count(kafka_server_brokertopicmetrics_bytesin_total)`:        1,
		`count({__name__=~"unknown|.*idle_percent"}) or vector(0)`:    0,
		`scrape_samples_scraped{broker="7"}`:                          6,
		`count(weir_broker_disk_used_bytes{broker="7",cluster="c1"})`: 1,
	} {
		if v, _ := value(t, s, expr); v != want {
			t.Errorf("%s: %v, want %v", expr, v, want)
		}
	}
	for m := range int32(3) {
		mode.Store(m + 1)
		await(t, fmt.Sprint("down in mode ", m+1), up(0))
		mode.Store(0)
		await(t, "up again", up(1))
	}
	w.SetTargets("c1", nil)
	await(t, "the end of a cluster", func() bool { _, ok := value(t, s, `up{cluster="c1"}`); return !ok })
	if len(w.clusters) != 0 {
		t.Error("the cluster is remembered")
	}
}

// TestPanels: every panel answers without any data, and for names that try to
// break its queries; an unknown one is missing.
func TestPanels(t *testing.T) {
	w, _ := newWatcher(t)
	now := time.Now()
	for _, p := range w.Panels() {
		for _, cluster := range []string{"c1", `"} or up{a="`, "\\"} {
			d, err := w.Panel(context.Background(), cluster, p.ID, now.Add(-time.Hour), now, 0)
			if err != nil || d.ID != p.ID || d.Series == nil || len(d.Series) > 0 && !strings.HasPrefix(p.ID, "host") {
				t.Errorf("%s of %s: %+v %v", p.ID, cluster, d, err)
			}
		}
		if p.Title == "" || p.Help == "" || p.Kind == "" {
			t.Errorf("%s says too little", p.ID)
		}
	}
	if _, err := w.Panel(context.Background(), "c1", "none", now, now, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestLagPanel shows the groups that were behind the most.
func TestLagPanel(t *testing.T) {
	w, _ := newWatcher(t)
	now := time.Now()
	var lags []admin.GroupLag
	for i := range 2 * MaxLagSeries {
		lags = append(lags, admin.GroupLag{Group: fmt.Sprintf("g%03d", i), Topic: "t", Messages: int64(1000 - i)})
	}
	w.putLags(recorder{w, now, []string{"cluster", "c1"}}, lags)
	d, err := w.Panel(context.Background(), "c1", "consumer-lag", now.Add(-time.Minute), now.Add(time.Second), 0)
	if err != nil || len(d.Series) != maxSeries || d.Series[0].Name != "g000" || d.Series[9].Name != "g009" || d.Series[0].Broker != nil {
		t.Errorf("%+v %v", d, err)
	}
	if n := w.o.Store.Series(); n > MaxLagSeries+20 {
		t.Errorf("%d series are kept", n)
	}
}

func TestHost(t *testing.T) {
	f := readHost(t.TempDir())
	if f.diskSize <= 0 || f.diskAvailable <= 0 || f.memTotal < f.memAvailable || f.memTotal <= 0 {
		t.Errorf("%+v", f)
	}
	if v := readVMStat("Mach Virtual Memory Statistics: (page size of 16384 bytes)\nPages free:  10.\nPages active: 7.\nPages inactive:  5.\n"); v != 15*16384 {
		t.Errorf("vm_stat: %v", v)
	}
}

func TestReadText(t *testing.T) {
	var got []string
	all := func([]byte) bool { return true }
	n, err := readText(strings.NewReader("a 1\nb{x=\"q\\\"\\\\\\n,}\",y=\"2\"} 3e2 1234\n\n# c\nd{} +Inf\n"), all,
		func(name string, ls []pair, v float64) { got = append(got, fmt.Sprint(name, ls, v)) })
	if want := "[a[] 1 b[{x q\"\\\n,}} {y 2}] 300]"; err != nil || n != 3 || fmt.Sprint(got) != want {
		t.Errorf("%q, want %q; %d %v", fmt.Sprint(got), want, n, err)
	}
	for _, bad := range []string{"a", "{a=\"b\"} 1", "a{b} 1", "a{b=\"c} 1", "a{b=\"c\"}", "a x", "a " + strings.Repeat(" ", maxLine) + "1"} {
		if _, err := readText(strings.NewReader(bad+"\n"), all, func(string, []pair, float64) {}); err == nil {
			t.Errorf("accepted: %.40q", bad)
		}
	}
}

func FuzzReadText(f *testing.F) {
	f.Add(fmt.Sprintf(page, 1))
	f.Add(`a{b="\`)
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = readText(strings.NewReader(text), func([]byte) bool { return true }, func(string, []pair, float64) {})
	})
}
