package metricstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// Limits of one query: 5 million samples held at once (80 MB), 20 seconds.
const (
	maxQuerySamples = 5_000_000
	queryTime       = 20 * time.Second
	// MaxPoints bounds the steps of a range query.
	MaxPoints = 11_000
)

func newEngine(o Options) *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		Logger: o.Log, MaxSamples: maxQuerySamples, Timeout: queryTime, LookbackDelta: o.Lookback,
		EnableAtModifier: true, EnableNegativeOffset: true, Parser: newParser(),
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
	})
}

func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

// Range evaluates a PromQL expression at from, from+step and so on up to to.
// The times are aligned to whole steps, so that the same moments are shown
// whenever one asks.
func (s *Store) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	step = max(step, time.Second)
	from, to = from.Truncate(step), to.Truncate(step)
	return s.exactRange(ctx, expr, from, to, step)
}

func (s *Store) exactRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
	if step < time.Millisecond || to.Before(from) {
		return nil, errors.New("the step must be positive and the end not before the start")
	}
	if to.Sub(from)/step >= MaxPoints {
		return nil, fmt.Errorf("more than %d points: choose a larger step or a shorter time", MaxPoints)
	}
	q, err := s.engine.NewRangeQuery(ctx, s, promql.NewPrometheusQueryOpts(false, 0, nil), expr, from, to, step)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return nil, res.Err
	}
	m, err := res.Matrix()
	return copyMatrix(m), err
}

// copyMatrix copies what the engine takes back when the query is closed.
func copyMatrix(m promql.Matrix) promql.Matrix {
	out := make(promql.Matrix, 0, len(m))
	for _, r := range m {
		out = append(out, promql.Series{Metric: r.Metric, Floats: slices.Clone(r.Floats)})
	}
	return out
}

// Querier implements storage.Queryable.
func (s *Store) Querier(from, to int64) (storage.Querier, error) { return querier{s, from, to}, nil }

type querier struct {
	s        *Store
	from, to int64
}

// Close implements storage.Querier.
func (querier) Close() error { return nil }

// match lists the series that matchers fit.
func (s *Store) match(matchers []*labels.Matcher) []*series {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*series
	try := func(rs []*series) {
		for _, r := range rs {
			if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(r.labels.Get(m.Name)) }) {
				out = append(out, r)
			}
		}
	}
	for _, m := range matchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual && m.Value != "" {
			try(s.byName[m.Value])
			return out
		}
	}
	for _, rs := range s.byName {
		try(rs)
	}
	return out
}

// Select implements storage.Querier.
func (q querier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	from, to := q.from, q.to
	if hints != nil {
		from, to = max(from, hints.Start), min(to, hints.End)
	}
	found := q.s.match(matchers)
	slices.SortFunc(found, func(a, b *series) int { return labels.Compare(a.labels, b.labels) })
	st, err := q.s.db.PrepareContext(ctx, selectChunks)
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	defer st.Close()
	out := make([]*selected, 0, len(found))
	for _, r := range found {
		found, err := q.s.chunks(ctx, st, r, from, to)
		if err != nil {
			return storage.ErrSeriesSet(err)
		}
		if len(found) > 0 {
			out = append(out, &selected{r.labels, found, from, to})
		}
	}
	return &set{series: out, at: -1}
}

// chunks are a series' chunks that touch [from, to], in order. Memory is read
// first: a chunk on its way to the file is then seen at least once, and the
// one from memory, which has more, wins.
func (s *Store) chunks(ctx context.Context, st *sql.Stmt, r *series, from, to int64) ([]chunk, error) {
	s.mu.Lock()
	mem, covers := r.inMemory(from, to)
	s.mu.Unlock()
	if covers {
		return mem, nil
	}
	old, err := fromFile(ctx, st, r.id, from, to)
	if err != nil {
		return nil, err
	}
	old = slices.DeleteFunc(old, func(c chunk) bool {
		return slices.ContainsFunc(mem, func(m chunk) bool { return m.start == c.start })
	})
	return append(old, mem...), nil
}

// LabelValues implements storage.Querier.
func (q querier) LabelValues(_ context.Context, name string, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	seen := map[string]bool{}
	for _, r := range q.s.match(matchers) {
		if v := r.labels.Get(name); v != "" {
			seen[v] = true
		}
	}
	return limited(slices.Sorted(maps.Keys(seen)), hints), nil, nil
}

// LabelNames implements storage.Querier.
func (q querier) LabelNames(_ context.Context, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	seen := map[string]bool{}
	for _, r := range q.s.match(matchers) {
		r.labels.Range(func(l labels.Label) { seen[l.Name] = true })
	}
	return limited(slices.Sorted(maps.Keys(seen)), hints), nil, nil
}

func limited(names []string, hints *storage.LabelHints) []string {
	if hints != nil && hints.Limit > 0 && len(names) > hints.Limit {
		return names[:hints.Limit]
	}
	return names
}

// set walks series.
type set struct {
	series []*selected
	at     int
}

func (s *set) Next() bool                      { s.at++; return s.at < len(s.series) }
func (s *set) At() storage.Series              { return s.series[s.at] }
func (*set) Err() error                        { return nil }
func (*set) Warnings() annotations.Annotations { return nil }

// selected is one series of an answer.
type selected struct {
	labels   labels.Labels
	chunks   []chunk
	from, to int64
}

// Labels implements storage.Series.
func (s *selected) Labels() labels.Labels { return s.labels }

// Iterator implements storage.Series. A series is decoded only when its turn
// comes, so that the engine's limit of samples holds for a query over many.
func (s *selected) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	found, err := s.decode()
	return decoded{storage.NewListSeriesIterator(found), err}
}

func (s *selected) decode() (out samples, err error) {
	var it chunkenc.Iterator
	last := int64(noTime)
	for _, c := range s.chunks {
		x, err := chunkenc.FromData(chunkenc.EncXOR, c.data)
		if err != nil {
			return out, err
		}
		for it = x.Iterator(it); it.Next() == chunkenc.ValFloat; {
			t, v := it.At()
			if t >= s.from && t <= s.to && t > last {
				out, last = append(out, sample{t, v}), t
			}
		}
		if it.Err() != nil {
			return out, fmt.Errorf("damaged chunk of %s: %w", s.labels, it.Err())
		}
	}
	return out, nil
}

// decoded adds what went wrong to an iterator.
type decoded struct {
	chunkenc.Iterator
	err error
}

// Err implements chunkenc.Iterator.
func (d decoded) Err() error { return d.err }

// sample is a chunks.Sample.
type sample struct {
	t int64
	v float64
}

// T and the other methods implement chunks.Sample.
func (s *sample) T() int64                    { return s.t }
func (s *sample) ST() int64                   { return 0 }
func (s *sample) F() float64                  { return s.v }
func (*sample) H() *histogram.Histogram       { return nil }
func (*sample) FH() *histogram.FloatHistogram { return nil }
func (*sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s *sample) Copy() chunks.Sample         { return &sample{s.t, s.v} }

// samples is a list without a box around each.
type samples []sample

// Get and Len implement storage.Samples.
func (s samples) Get(i int) chunks.Sample { return &s[i] }
func (s samples) Len() int                { return len(s) }
