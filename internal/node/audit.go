package node

import (
	"context"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/security/audit"
	"github.com/weir-stream/weir/internal/telemetry"
)

// openAudit starts the audit log, if the settings want one. It is written until the listeners are closed.
func (n *Node) openAudit(cfg *config.Set) error {
	var sink audit.Sink
	switch cfg.String("weir.audit.destination") {
	case "off":
		return nil
	case "file":
		f, err := audit.OpenFile(n.opts.FS, cfg.String("weir.audit.file"), cfg.Long("weir.audit.file.max.bytes"), cfg.Int("weir.audit.file.max.count"))
		if err != nil {
			return err
		}
		sink = f
	default:
		sink = audit.LogSink{Logger: n.room("audit")}
	}
	events := audit.New(audit.Config{Node: n.id, Events: cfg.List("weir.audit.events"), PerSecond: cfg.Int("weir.audit.max.events.per.second"), Logger: n.room("audit")})
	n.audit = events
	n.opts.Metrics.CounterFunc(telemetry.AuditEvents, func() float64 { return float64(events.Written()) })
	n.opts.Metrics.CounterFunc(telemetry.AuditDropped, func() float64 { return float64(events.Dropped()) })
	n.watch.Go("audit", func(ctx context.Context) { events.Run(ctx, sink) })
	return nil
}
