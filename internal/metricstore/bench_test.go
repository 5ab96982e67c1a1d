package metricstore

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func sampleLabels(n int) []labels.Labels {
	out := make([]labels.Labels, n)
	for i := range out {
		out[i] = named(fmt.Sprintf("kafka_server_brokertopicmetrics_metric%d_total", i%40), "cluster", "orders", "broker", fmt.Sprint(i/40))
	}
	return out
}

// value is a counter of bytes that grows unevenly: harder to compress than a gauge.
func value(i, step int) float64 { return float64(step*1_000_003 + (step*step*7919+i*31)%90_001) }

func BenchmarkAppend(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "m.db"), Options{})
	defer s.Close()
	series := sampleLabels(1000)
	b.ReportAllocs()
	for i := range b.N {
		if err := s.Append(series[i%1000], start.UnixMilli()+int64(i/1000)*5000, value(i, i/1000)); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 {
			s.journal = s.journal[:0]
		}
	}
}

// BenchmarkSelect reads an hour of a rate over three brokers, from memory and from the file.
func BenchmarkSelect(b *testing.B) {
	for _, where := range []string{"memory", "file"} {
		b.Run(where, func(b *testing.B) {
			file := filepath.Join(b.TempDir(), "m.db")
			s := open(b, file, Options{})
			series := sampleLabels(120)
			from := time.UnixMilli(windowMs * 200_000)
			for step := range 720 {
				for i, l := range series {
					if err := s.Append(l, from.UnixMilli()+int64(step)*5000, value(i, step)); err != nil {
						b.Fatal(err)
					}
				}
			}
			if where == "file" {
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				s = open(b, file, Options{})
			}
			defer s.Close()
			b.ResetTimer()
			for b.Loop() {
				m, err := s.Range(context.Background(), `sum by (broker) (rate(kafka_server_brokertopicmetrics_metric3_total[1m]))`, from, from.Add(time.Hour), 15*time.Second)
				if err != nil || len(m) != 3 {
					b.Fatal(len(m), err)
				}
			}
		})
	}
}

// BenchmarkMemory reports what a series costs in memory with a full open chunk,
// and what a sample costs in the file.
func BenchmarkMemory(b *testing.B) {
	for range b.N {
		b.StopTimer()
		s := open(b, filepath.Join(b.TempDir(), "m.db"), Options{})
		series := sampleLabels(1000)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		for step := range 1440 {
			for i, l := range series {
				if err := s.Append(l, windowMs*200_000+int64(step)*5000, value(i, step)); err != nil {
					b.Fatal(err)
				}
			}
			s.journal = s.journal[:0]
		}
		b.StopTimer()
		s.journal = nil
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1000, "B/series")
		if err := s.checkpoint(context.Background()); err != nil {
			b.Fatal(err)
		}
		var size int64
		if err := s.db.QueryRow("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").Scan(&size); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(size)/1440_000, "B/sample")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
