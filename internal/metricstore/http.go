package metricstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// maxForm bounds the body of a query.
const maxForm = 1 << 20

// Handler serves the part of Prometheus' HTTP API that reads: query,
// query_range, series, labels, label values, and what Grafana asks to know
// whom it talks to. Paths are as there, /api/v1/query and so on. It asks nobody
// for rights: who mounts it does.
func (s *Store) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, h := range map[string]func(*http.Request) (any, error){
		"/api/v1/query":               s.serveQuery,
		"/api/v1/query_range":         s.serveRange,
		"/api/v1/series":              s.serveSeries,
		"/api/v1/labels":              s.serveLabels,
		"/api/v1/label/{name}/values": s.serveLabelValues,
		"/api/v1/metadata":            func(*http.Request) (any, error) { return map[string]any{}, nil },
		"/api/v1/status/buildinfo": func(*http.Request) (any, error) {
			return map[string]string{"version": "3.0.0", "application": "weir"}, nil
		},
	} {
		mux.HandleFunc("GET "+path, reply(h))
		mux.HandleFunc("POST "+path, reply(h))
	}
	return mux
}

// badRequest is an error of the one who asks.
type badRequest struct{ error }

func reply(h func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		w.Header().Set("Content-Type", "application/json")
		data, err := any(nil), r.ParseForm()
		if err != nil {
			err = badRequest{err}
		} else {
			data, err = h(r)
		}
		if err == nil {
			// What cannot be sent any more has nobody to be told to.
			_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data})
			return
		}
		kind, status := errorKind(err)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "error", "errorType": kind, "error": err.Error()})
	}
}

func errorKind(err error) (string, int) {
	var bad badRequest
	var wrong parser.ParseErrors
	var canceled promql.ErrQueryCanceled
	var late promql.ErrQueryTimeout
	switch {
	case errors.As(err, &bad), errors.As(err, &wrong):
		return "bad_data", http.StatusBadRequest
	case errors.As(err, &canceled), errors.Is(err, context.Canceled):
		return "canceled", 499
	case errors.As(err, &late):
		return "timeout", http.StatusServiceUnavailable
	}
	return "execution", http.StatusUnprocessableEntity
}

func (s *Store) serveQuery(r *http.Request) (any, error) {
	at, err := timeOf(r, "time", s.opt.Now())
	if err != nil {
		return nil, err
	}
	q, err := s.engine.NewInstantQuery(r.Context(), s, promql.NewPrometheusQueryOpts(false, 0, nil), r.Form.Get("query"), at)
	if err != nil {
		return nil, badRequest{err}
	}
	defer q.Close()
	res := q.Exec(r.Context())
	if res.Err != nil {
		return nil, res.Err
	}
	return encodeValue(res.Value)
}

func (s *Store) serveRange(r *http.Request) (any, error) {
	from, err1 := timeOf(r, "start", time.Time{})
	to, err2 := timeOf(r, "end", time.Time{})
	step, err3 := stepOf(r)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, badRequest{err}
	}
	m, err := s.exactRange(r.Context(), r.Form.Get("query"), from, to, step)
	if err != nil {
		return nil, badRequest{err}
	}
	return encodeValue(m)
}

// window is what start and end of a request for names say: all there is.
func (s *Store) window(r *http.Request) (querier, error) {
	from, err1 := timeOf(r, "start", time.UnixMilli(0))
	to, err2 := timeOf(r, "end", s.opt.Now())
	return querier{s, from.UnixMilli(), to.UnixMilli()}, errors.Join(err1, err2)
}

func (s *Store) serveSeries(r *http.Request) (any, error) {
	q, err := s.window(r)
	if err != nil {
		return nil, err
	}
	out := []map[string]string{}
	for _, ms := range r.Form["match[]"] {
		matchers, err := newParser().ParseMetricSelector(ms)
		if err != nil {
			return nil, badRequest{err}
		}
		for _, found := range q.s.match(matchers) {
			out = append(out, found.labels.Map())
		}
	}
	return out, nil
}

func (s *Store) serveLabels(r *http.Request) (any, error) {
	return s.names(r, func(q querier, ms []*labels.Matcher) ([]string, error) {
		names, _, err := q.LabelNames(r.Context(), nil, ms...)
		return names, err
	})
}

func (s *Store) serveLabelValues(r *http.Request) (any, error) {
	return s.names(r, func(q querier, ms []*labels.Matcher) ([]string, error) {
		names, _, err := q.LabelValues(r.Context(), r.PathValue("name"), nil, ms...)
		return names, err
	})
}

// names collects over all selectors, or over everything where there is none.
func (s *Store) names(r *http.Request, list func(querier, []*labels.Matcher) ([]string, error)) ([]string, error) {
	q, err := s.window(r)
	if err != nil {
		return nil, err
	}
	selectors := r.Form["match[]"]
	if len(selectors) == 0 {
		out, err := list(q, nil)
		return append([]string{}, out...), err
	}
	seen, out := map[string]bool{}, []string{}
	for _, text := range selectors {
		matchers, err := newParser().ParseMetricSelector(text)
		if err != nil {
			return nil, badRequest{err}
		}
		names, err := list(q, matchers)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			if !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	return out, nil
}

// timeOf reads a time as Prometheus takes it: seconds or RFC 3339.
func timeOf(r *http.Request, key string, none time.Time) (time.Time, error) {
	text := r.Form.Get(key)
	if text == "" {
		return none, nil
	}
	if v, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(v) < 1e11 {
		return time.UnixMilli(int64(math.Round(v * 1000))), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	return none, badRequest{fmt.Errorf("%s %q is no time: give seconds or RFC 3339", key, text)}
}

// stepOf reads a step: seconds or a duration such as 1m.
func stepOf(r *http.Request) (time.Duration, error) {
	text := r.Form.Get("step")
	if v, err := strconv.ParseFloat(text, 64); err == nil && v > 0 && v < 1e9 {
		return time.Duration(v * float64(time.Second)), nil
	}
	if d, err := model.ParseDuration(text); err == nil && d > 0 {
		return time.Duration(d), nil
	}
	return 0, badRequest{fmt.Errorf("step %q is no step: give seconds or a duration such as 1m", text)}
}

// point is [seconds, "value"].
func point(tMs int64, v float64) [2]any {
	return [2]any{json.Number(strings.TrimSuffix(strconv.FormatFloat(float64(tMs)/1000, 'f', 3, 64), ".000")), strconv.FormatFloat(v, 'f', -1, 64)}
}

// encodeValue is Prometheus' JSON form of a result.
func encodeValue(v parser.Value) (any, error) {
	out := []any{}
	switch v := v.(type) {
	case promql.Matrix:
		for _, r := range v {
			points := make([][2]any, 0, len(r.Floats))
			for _, p := range r.Floats {
				points = append(points, point(p.T, p.F))
			}
			out = append(out, map[string]any{"metric": r.Metric.Map(), "values": points})
		}
	case promql.Vector:
		for _, r := range v {
			out = append(out, map[string]any{"metric": r.Metric.Map(), "value": point(r.T, r.F)})
		}
	case promql.Scalar:
		return map[string]any{"resultType": v.Type(), "result": point(v.T, v.V)}, nil
	case promql.String:
		return map[string]any{"resultType": v.Type(), "result": [2]any{float64(v.T) / 1000, v.V}}, nil
	default:
		return nil, fmt.Errorf("a result of type %s", v.Type())
	}
	return map[string]any{"resultType": v.Type(), "result": out}, nil
}
