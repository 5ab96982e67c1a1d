package replica

import "github.com/weir-stream/weir/internal/telemetry"

// declareMetrics makes the counters of replication.
func (m *Manager) declareMetrics() {
	m.shrinks, m.expands, m.failedUpdates = m.stats.Counter(telemetry.ISRShrinks), m.stats.Counter(telemetry.ISRExpands), m.stats.Counter(telemetry.FailedISRUpdates)
	m.stats.GaugeFunc(telemetry.MaxLag, func() float64 { return float64(m.fetchers.maxLag()) }, "clientId", "Replica")
}
