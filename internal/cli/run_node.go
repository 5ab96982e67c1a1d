package cli

import (
	"context"

	"github.com/weir-stream/weir/internal/config"
	engine "github.com/weir-stream/weir/internal/node"
	"github.com/weir-stream/weir/internal/telemetry"
)

// runNode runs a node in this process until ctx ends or the node cannot go on.
func runNode(ctx context.Context, cfg *config.Set, logs *telemetry.Logs, ready func()) error {
	dialects, err := telemetry.ParseDialects(cfg.List("weir.metrics.dialect"))
	if err != nil {
		return err
	}
	n, err := engine.Start(ctx, engine.Options{
		Config: cfg, Logs: logs, Version: Version(),
		Metrics: telemetry.New(telemetry.Options{Dialects: dialects, MaxPartitionSeries: cfg.Int("weir.metrics.max.partition.series")}),
	})
	if err != nil {
		return err
	}
	ready()
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-n.Failed():
	}
	stopErr := n.Stop()
	if failure != nil {
		return failure
	}
	return stopErr
}
