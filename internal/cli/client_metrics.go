package cli

import (
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// clientMetrics counts what a client does, for --print-metrics. It is a hook of kgo and safe for concurrent use.
type clientMetrics struct {
	group string // producer or consumer
	tags  string
	start time.Time

	mu                                    sync.Mutex
	written                               sync.Cond // records has grown
	connections, created, closed          int64
	requests, sent, received              int64
	latency, highest                      time.Duration
	batches, records, plain, compressed   int64
	fetched, fetchedRecords, fetchedPlain int64
}

func newClientMetrics(role, clientID string) *clientMetrics {
	m := &clientMetrics{group: role, tags: "{client-id=" + clientID + "}", start: time.Now()}
	m.written.L = &m.mu
	return m
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (m *clientMetrics) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.connections++
		m.created++
	}
}

// OnBrokerDisconnect implements kgo.HookBrokerDisconnect.
func (m *clientMetrics) OnBrokerDisconnect(kgo.BrokerMetadata, net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.connections--
	m.closed++
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (m *clientMetrics) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e2e kgo.BrokerE2E) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	m.sent += int64(e2e.BytesWritten)
	m.received += int64(e2e.BytesRead)
	m.latency += e2e.DurationE2E()
	m.highest = max(m.highest, e2e.DurationE2E())
}

// OnProduceBatchWritten implements kgo.HookProduceBatchWritten.
func (m *clientMetrics) OnProduceBatchWritten(_ kgo.BrokerMetadata, _ string, _ int32, b kgo.ProduceBatchMetrics) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches++
	m.records += int64(b.NumRecords)
	m.plain += int64(b.UncompressedBytes)
	m.compressed += int64(b.CompressedBytes)
	m.written.Broadcast()
}

// awaitWritten waits until so many records are counted: kgo tells of batches after it has acknowledged them.
func (m *clientMetrics) awaitWritten(records int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.records < records {
		m.written.Wait()
	}
}

// OnFetchBatchRead implements kgo.HookFetchBatchRead.
func (m *clientMetrics) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, b kgo.FetchBatchMetrics) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fetched++
	m.fetchedRecords += int64(b.NumRecords)
	m.fetchedPlain += int64(b.UncompressedBytes)
}

// values are the metrics by the names that the Java client gives them.
func (m *clientMetrics) values() map[string]float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	seconds := time.Since(m.start).Seconds()
	per := func(sum, n float64) float64 {
		if n == 0 {
			return 0
		}
		return sum / n
	}
	v := map[string]float64{
		"connection-count":          float64(m.connections),
		"connection-creation-total": float64(m.created),
		"connection-close-total":    float64(m.closed),
		"request-total":             float64(m.requests),
		"request-rate":              per(float64(m.requests), seconds),
		"request-size-avg":          per(float64(m.sent), float64(m.requests)),
		"outgoing-byte-total":       float64(m.sent),
		"outgoing-byte-rate":        per(float64(m.sent), seconds),
		"incoming-byte-total":       float64(m.received),
		"incoming-byte-rate":        per(float64(m.received), seconds),
		"request-latency-avg":       per(float64(m.latency.Microseconds())/1000, float64(m.requests)),
		"request-latency-max":       float64(m.highest.Microseconds()) / 1000,
	}
	if m.group == "producer" {
		v["batch-size-avg"] = per(float64(m.compressed), float64(m.batches))
		v["record-send-total"] = float64(m.records)
		v["record-send-rate"] = per(float64(m.records), seconds)
		v["records-per-request-avg"] = per(float64(m.records), float64(m.batches))
		v["compression-rate-avg"] = per(float64(m.compressed), float64(m.plain))
		return v
	}
	v["bytes-consumed-total"] = float64(m.fetchedPlain)
	v["bytes-consumed-rate"] = per(float64(m.fetchedPlain), seconds)
	v["records-consumed-total"] = float64(m.fetchedRecords)
	v["records-consumed-rate"] = per(float64(m.fetchedRecords), seconds)
	return v
}

// print prints the table of metrics in the form of Kafka's tools.
func (m *clientMetrics) print(out io.Writer) {
	values := m.values()
	names := slices.Sorted(maps.Keys(values))
	title := func(name string) string { return m.group + "-metrics:" + name + ":" + m.tags }
	width := 0
	for _, name := range names {
		width = max(width, len(title(name)))
	}
	fmt.Fprintf(out, "\n%-*s   %s\n", width, "Metric Name", "Value")
	for _, name := range names {
		fmt.Fprintf(out, "%-*s : %.3f\n", width, title(name), values[name])
	}
}
