package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Health is what /healthz and /readyz answer from. Both return nil or what is wrong; they must not wait.
type Health struct {
	Live  func() error // the process does its work: restart it if not
	Ready func() error // it can serve clients now
}

// Handler serves /metrics, /healthz and /readyz.
func (r *Registry) Handler(h Health) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r.prom, promhttp.HandlerOpts{MaxRequestsInFlight: 4, ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /healthz", answer(h.Live))
	mux.HandleFunc("GET /readyz", answer(h.Ready))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "/metrics\n/healthz\n/readyz")
	})
	return mux
}

func answer(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if check != nil {
			if err := check(); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprintln(w, err)
				return
			}
		}
		fmt.Fprintln(w, "ok")
	}
}

// Endpoint is a bound HTTP listener of metrics.
type Endpoint struct {
	net.Listener
	srv *http.Server
}

// Listen binds the addresses of weir.metrics.listeners, each [http://]host:port. Nothing is served yet. On an
// error nothing stays bound.
func (r *Registry) Listen(addresses []string, h Health) ([]*Endpoint, error) {
	var out []*Endpoint
	for _, a := range addresses {
		ln, err := net.Listen("tcp", strings.TrimPrefix(a, "http://"))
		if err != nil {
			for _, e := range out {
				_ = e.Listener.Close()
			}
			return nil, fmt.Errorf("weir.metrics.listeners: cannot listen on %s: %w", a, err)
		}
		out = append(out, &Endpoint{Listener: ln, srv: &http.Server{
			Handler: r.Handler(h), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
			WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		}})
	}
	return out, nil
}

// Serve answers until ctx ends.
func (e *Endpoint) Serve(ctx context.Context, log *slog.Logger) {
	stop := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if e.srv.Shutdown(end) != nil {
			_ = e.srv.Close()
		}
	})
	defer stop()
	log.Info("metrics are served", "url", "http://"+e.Addr().String()+"/metrics")
	if err := e.srv.Serve(e.Listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		log.Error("metrics are no longer served", "address", e.Addr().String(), "err", err)
	}
}
