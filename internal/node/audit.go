package node

import (
	"context"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/security/audit"
	"github.com/weir-stream/weir/internal/telemetry"
)

// auditTopic is the topic that brokers write the audit log to, empty if it goes elsewhere.
func auditTopic(cfg *config.Set) string {
	if cfg.String("weir.audit.destination") != "topic" {
		return ""
	}
	return cfg.String("weir.audit.topic")
}

// openAudit starts the audit log, if the settings want one. It is written until the listeners are closed; to a topic until
// clients are gone, since the logs are closed after that.
func (n *Node) openAudit(cfg *config.Set) error {
	var sink audit.Sink
	group, topic := n.watch, auditTopic(cfg)
	switch where := cfg.String("weir.audit.destination"); {
	case where == "off":
		return nil
	case where == "file":
		f, err := audit.OpenFile(n.opts.FS, cfg.String("weir.audit.file"), cfg.Long("weir.audit.file.max.bytes"), cfg.Int("weir.audit.file.max.count"))
		if err != nil {
			return err
		}
		sink = f
	case topic != "" && cfg.Node().Broker:
		sink, group = &auditSink{n: n, topic: topic}, n.trail
	default:
		sink = audit.LogSink{Logger: n.room("audit")}
	}
	events := audit.New(audit.Config{Node: n.id, Events: cfg.List("weir.audit.events"), PerSecond: cfg.Int("weir.audit.max.events.per.second"), Logger: n.room("audit"), Now: n.opts.Now})
	n.audit = events
	n.opts.Metrics.CounterFunc(telemetry.AuditEvents, func() float64 { return float64(events.Written()) })
	n.opts.Metrics.CounterFunc(telemetry.AuditDropped, func() float64 { return float64(events.Dropped()) })
	group.Go("audit", func(ctx context.Context) { events.Run(ctx, sink) })
	return nil
}
