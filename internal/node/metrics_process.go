package node

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/telemetry"
)

// registerProcess serves what the process uses of the machine, under the names that Kafka has for it.
func (n *Node) registerProcess(r *telemetry.Registry) {
	r.GaugeFunc(telemetry.DiskReadBytes, func() float64 { return procIO("read_bytes") })
	r.GaugeFunc(telemetry.DiskWriteBytes, func() float64 { return procIO("write_bytes") })
	idle := &idleMeter{}
	r.GaugeFunc(telemetry.HandlerIdle, idle.read)
	r.GaugeFunc(telemetry.NetworkIdle, idle.read)
	// A request is handled by the goroutine that read it, and its answer waits for nothing but those before it on the
	// same connection: there are no queues.
	r.GaugeFunc(telemetry.RequestQueueSize, func() float64 { return 0 })
	r.GaugeFunc(telemetry.ResponseQueueSize, func() float64 { return 0 })
}

// procIO reads a line of /proc/self/io; 0 where there is none.
func procIO(key string) float64 {
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(line, ":")
		if ok && name == key {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err == nil {
				return v
			}
		}
	}
	return 0
}

// idleMeter tells which share of the processors' time the process did not use since it was asked before, a second
// ago at least. It takes the place of the idle shares of Kafka's thread pools.
type idleMeter struct {
	mu   sync.Mutex
	at   time.Time
	used float64
	last float64
}

func (m *idleMeter) read() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, used := time.Now(), cpuSeconds()
	if m.at.IsZero() {
		m.at, m.used, m.last = now, used, 1
		return 1
	}
	if dt := now.Sub(m.at).Seconds(); dt >= 1 {
		m.last = min(max(1-(used-m.used)/(dt*float64(runtime.GOMAXPROCS(0))), 0), 1)
		m.at, m.used = now, used
	}
	return m.last
}

// cpuSeconds is what Go code and the collector used; it is an estimate that is renewed at each collection.
func cpuSeconds() float64 {
	s := []metrics.Sample{{Name: "/cpu/classes/user:cpu-seconds"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(s)
	total := 0.0
	for i := range s {
		if s[i].Value.Kind() == metrics.KindFloat64 {
			total += s[i].Value.Float64()
		}
	}
	return total
}

// rateMeter makes a rate of a figure that only grows: its increase a second since it was asked before, a second ago
// at least.
type rateMeter struct {
	read func() float64
	mu   sync.Mutex
	at   time.Time
	was  float64
	last float64
}

func (m *rateMeter) perSecond() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, n := time.Now(), m.read()
	if m.at.IsZero() {
		m.at, m.was = now, n
		return 0
	}
	if dt := now.Sub(m.at).Seconds(); dt >= 1 {
		m.last, m.at, m.was = (n-m.was)/dt, now, n
	}
	return m.last
}
