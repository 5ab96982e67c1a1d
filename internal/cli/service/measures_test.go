package service

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/controlplane"
)

// TestMeasures: a broker that was told of has panels and answers queries.
func TestMeasures(t *testing.T) {
	h := openMeasures(t.TempDir(), slog.New(slog.DiscardHandler))
	defer h.close()
	broker := httptest.NewServer(nil)
	broker.Close() // nobody answers: up is 0
	h.sink().SetTargets("c1", []controlplane.MetricsTarget{{Broker: 3, URL: broker.URL, Data: t.TempDir()}})
	deadline := time.After(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		now := time.Now()
		d, err := h.panels().Panel(t.Context(), "c1", "brokers", now.Add(-time.Minute), now.Add(5*time.Second), 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Series) == 2 && len(d.Series[0].Points) > 0 && d.Series[0].Points[0][1] == 0 {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("%+v", d)
		case <-tick.C:
		}
	}
	if _, err := h.panels().Panel(t.Context(), "c1", "none", time.Now(), time.Now(), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	h.prometheus().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/query?query=up", nil))
	if !strings.Contains(w.Body.String(), `"broker":"3"`) {
		t.Error(w.Body)
	}
}

// TestNoMeasures: without its file the service has no graphs, and runs.
func TestNoMeasures(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, metricsFile), 0o700); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	h := openMeasures(dir, slog.New(slog.NewTextHandler(io.Writer(&log), nil)))
	h.close()
	if h.sink() != nil || h.panels() != nil || h.prometheus() != nil || !strings.Contains(log.String(), "no graphs") {
		t.Errorf("%+v %s", h, log.String())
	}
}
