package metricstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/weir-stream/weir/internal/vfs"
)

// start lies just before a chunk's window ends.
var start = time.UnixMilli(windowMs * 200_000).Add(-time.Minute)

func open(t testing.TB, file string, o Options) *Store {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return start.Add(time.Hour) }
	}
	o.CommitEvery, o.CheckpointEvery = time.Hour, time.Hour // the test commits
	s, err := Open(file, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func named(name string, more ...string) labels.Labels {
	return labels.FromStrings(append([]string{model.MetricNameLabel, name}, more...)...)
}

// put appends values five seconds apart from a number of steps after start.
func put(t testing.TB, s *Store, l labels.Labels, from int, values ...float64) {
	t.Helper()
	for i, v := range values {
		if err := s.Append(l, start.Add(time.Duration(from+i)*5*time.Second).UnixMilli(), v); err != nil {
			t.Fatal(err)
		}
	}
}

// seen is what an expression gives at every step from start to n steps after it, NaN
// where there is nothing.
func seen(t testing.TB, s *Store, expr string, n int) []float64 {
	t.Helper()
	m, err := s.Range(context.Background(), expr, start, start.Add(time.Duration(n)*5*time.Second), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	out := slices.Repeat([]float64{math.NaN()}, n+1)
	for _, r := range m {
		for _, p := range r.Floats {
			out[(p.T-start.UnixMilli())/5000] = p.F
		}
	}
	return out
}

func want(t testing.TB, got []float64, want ...float64) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// kill leaves the store as the death of its process would.
func kill(t testing.TB, s *Store) {
	t.Helper()
	s.group.Stop()
	if err := errors.Join(s.db.Close(), s.lock.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestOneProcess: a second one would take the journal from the first.
func TestOneProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.db")
	s := open(t, file, Options{})
	if _, err := Open(file, Options{}); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, file, Options{}).Close(); err != nil {
		t.Error(err)
	}
}

// TestRoundTrip compares with what was put in, over window ends, restarts,
// deaths and checkpoints at random moments.
func TestRoundTrip(t *testing.T) {
	file := filepath.Join(t.TempDir(), "metrics.db")
	random := rand.New(rand.NewPCG(1, 2))
	s := open(t, file, Options{})
	const names, steps = 5, 3000 // over four hours
	kept := make([][]float64, names)
	committed := 0
	for i := range steps {
		for n := range names {
			v := random.Float64()
			put(t, s, named("m", "n", fmt.Sprint(n)), i, v)
			kept[n] = append(kept[n], v)
		}
		var err error
		switch random.IntN(60) {
		case 0:
			err, committed = s.checkpoint(context.Background()), i
		case 1, 2:
			err, committed = s.commit(context.Background()), i
		case 3:
			err = s.Close()
			s, committed = open(t, file, Options{}), i
		case 4:
			kill(t, s)
			s = open(t, file, Options{})
			for n := range names {
				for k := committed + 1; k <= i; k++ { // lost, as documented
					kept[n][k] = math.NaN()
				}
			}
			committed = i
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	defer s.Close()
	for n := range names {
		m, err := s.Range(context.Background(), fmt.Sprintf(`m{n="%d"}`, n), start, start.Add(steps*5*time.Second), 5*time.Second)
		if err != nil || len(m) != 1 {
			t.Fatal(len(m), err)
		}
		at := map[int64]float64{}
		for _, p := range m[0].Floats {
			at[(p.T-start.UnixMilli())/5000] = p.F
		}
		for i, v := range kept[n] {
			if math.IsNaN(v) {
				continue // the last one stands in for up to 15 s
			}
			if got := at[int64(i)]; got != v {
				t.Fatalf("series %d, step %d: got %v, want %v", n, i, got, v)
			}
		}
	}
}

// TestRate: a counter that begins again gives no spike, a gap gives nothing.
func TestRate(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "m.db"), Options{})
	defer s.Close()
	nan := math.NaN()
	put(t, s, named("c"), 0, 0, 50, 100, 150, 10, 60, 110)
	want(t, seen(t, s, "rate(c[10s])", 6), nan, 5, 10, 10, 2, 6, 10)
	put(t, s, named("g"), 0, 1, 2)
	put(t, s, named("g"), 6, 7)
	want(t, seen(t, s, "g", 7), 1, 2, 2, 2, nan, nan, 7, 7)
}

func TestOutOfOrder(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "m.db"), Options{})
	defer s.Close()
	put(t, s, named("c"), 1, 1)
	for _, step := range []int{0, 1} {
		if err := s.Append(named("c"), start.Add(time.Duration(step)*5*time.Second).UnixMilli(), 2); !errors.Is(err, ErrOutOfOrder) {
			t.Errorf("step %d: %v", step, err)
		}
	}
}

// TestSeriesLimit: silent series make room, live ones do not, and the refusal
// is logged once.
func TestSeriesLimit(t *testing.T) {
	now := start
	var log strings.Builder
	file := filepath.Join(t.TempDir(), "m.db")
	s := open(t, file, Options{MaxSeries: 4, Now: func() time.Time { return now }, Log: textLog(&log)})
	for i := range 4 {
		put(t, s, named("m", "n", fmt.Sprint(i)), i, 1)
	}
	for i := range 3 {
		if err := s.Append(named("new", "n", fmt.Sprint(i)), now.UnixMilli(), 1); !errors.Is(err, ErrTooManySeries) {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "refused:"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
	now = now.Add(s.opt.SilentAfter + time.Minute)
	if err := s.commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(named("new"), now.UnixMilli(), 5); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		if s.Series() != 4 {
			t.Errorf("%d series", s.Series())
		}
		if v := seen(t, s, `count(m{n="0"})`, 1); !math.IsNaN(v[0]) {
			t.Error("the longest silent series is still there")
		}
		if v := seen(t, s, `count(m)`, 3); v[3] != 3 {
			t.Errorf("others went too: %v", v)
		}
	}
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, file, Options{MaxSeries: 4})
	defer s.Close()
	check()
}

func TestRetention(t *testing.T) {
	now := start
	s := open(t, filepath.Join(t.TempDir(), "m.db"), Options{Retention: 3 * time.Hour, Now: func() time.Time { return now }})
	defer s.Close()
	for range 5 {
		for _, l := range []labels.Labels{named("m"), named("m", "n", "x")} {
			if l.Has("n") && now != start {
				continue // ends after the first hour
			}
			for i := range 720 {
				if err := s.Append(l, now.Add(time.Duration(i)*5*time.Second).UnixMilli(), 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		now = now.Add(time.Hour)
		if err := s.checkpoint(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	var oldest int64
	if err := s.db.QueryRow(`SELECT min("end") FROM chunks`).Scan(&oldest); err != nil {
		t.Fatal(err)
	}
	if age := now.Sub(time.UnixMilli(oldest)); age > s.opt.Retention || age < s.opt.Retention-2*time.Hour {
		t.Errorf("the oldest chunk ended %v ago", age)
	}
	if s.Series() != 1 {
		t.Errorf("%d series: one ended before the retention", s.Series())
	}
}

// TestDamagedFileIsSetAside: the service starts without its history.
func TestDamagedFileIsSetAside(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.db")
	if err := os.WriteFile(file, []byte(strings.Repeat("this is no database ", 300)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, file, Options{})
	defer s.Close()
	put(t, s, named("m"), 0, 1)
	want(t, seen(t, s, "m", 0), 1)
	if kept, _ := filepath.Glob(file + ".damaged-*"); len(kept) != 1 {
		t.Errorf("kept: %v", kept)
	}
	if stat, err := os.Stat(file); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", stat, err)
	}
}

// TestFailedWriteLosesNothing: what a full disk did not take is written later.
func TestFailedWriteLosesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.db")
	s := open(t, file, Options{})
	put(t, s, named("m"), 0, 1, 2)
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, write := range []func(context.Context) error{s.commit, s.checkpoint, s.commit} {
		if write(canceled) == nil {
			t.Fatal("written after the end")
		}
	}
	put(t, s, named("m"), 2, 3)
	if err := s.commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	kill(t, s)
	s = open(t, file, Options{})
	defer s.Close()
	want(t, seen(t, s, "m", 2), 1, 2, 3)
}

// TestHTTP asks as Grafana does.
func TestHTTP(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "m.db"), Options{})
	defer s.Close()
	put(t, s, named("up", "broker", "1"), 0, 1, 0)
	put(t, s, named("up", "broker", "2"), 0, 1, 1)
	sec := start.Unix()
	for _, c := range []struct {
		path string
		form url.Values
		code int
		want string
	}{
		{"query", url.Values{"query": {`up{broker="1"}`}, "time": {fmt.Sprint(sec + 5)}}, 200,
			fmt.Sprintf(`{"data":{"result":[{"metric":{"__name__":"up","broker":"1"},"value":[%d,"0"]}],"resultType":"vector"},"status":"success"}`, sec+5)},
		{"query", url.Values{"query": {"1+1"}, "time": {fmt.Sprint(sec)}}, 200, fmt.Sprintf(`{"data":{"result":[%d,"2"],"resultType":"scalar"},"status":"success"}`, sec)},
		{"query_range", url.Values{"query": {`sum(up)`}, "start": {fmt.Sprint(sec)}, "end": {start.Add(5 * time.Second).UTC().Format(time.RFC3339)}, "step": {"5s"}}, 200,
			fmt.Sprintf(`{"data":{"result":[{"metric":{},"values":[[%d,"2"],[%d,"1"]]}],"resultType":"matrix"},"status":"success"}`, sec, sec+5)},
		{"labels", nil, 200, `{"data":["__name__","broker"],"status":"success"}`},
		{"label/broker/values", url.Values{"match[]": {"up"}}, 200, `{"data":["1","2"],"status":"success"}`},
		{"label/broker/values", url.Values{"match[]": {"down"}}, 200, `{"data":[],"status":"success"}`},
		{"series", url.Values{"match[]": {`{broker="2"}`}}, 200, `{"data":[{"__name__":"up","broker":"2"}],"status":"success"}`},
		{"query", url.Values{"query": {`up{`}}, 400, "bad_data"},
		{"query", url.Values{"query": {`up`}, "time": {"yesterday"}}, 400, "is no time"},
		{"query_range", url.Values{"query": {"up"}, "start": {"0"}, "end": {"1000000"}, "step": {"1"}}, 400, "points"},
		{"query_range", url.Values{"query": {"up"}, "start": {"0"}, "end": {"1"}, "step": {"-1"}}, 400, "is no step"},
	} {
		for _, method := range []string{"GET", "POST"} {
			r := httptest.NewRequest(method, "/api/v1/"+c.path+"?"+c.form.Encode(), nil)
			if method == "POST" {
				r = httptest.NewRequest(method, "/api/v1/"+c.path, strings.NewReader(c.form.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s %s %v: %d %s, want %d %s", method, c.path, c.form, w.Code, w.Body, c.code, c.want)
			}
		}
	}
}

func FuzzJournal(f *testing.F) {
	f.Add(appendEntry(appendEntry(nil, 1, 2, 3), 4, -5, math.Inf(1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		n := 0
		if readJournal(b, func(id, at int64, v float64) { again, n = appendEntry(again, id, at, v), n+1 }) == nil && len(again) > len(b) {
			t.Errorf("%d entries grew from %d to %d bytes", n, len(b), len(again))
		}
	})
}
