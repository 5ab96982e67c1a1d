package watch

import (
	"context"
	"time"

	"github.com/weir-stream/weir/internal/admin"
)

const (
	nameLag = "kafka_consumergroup_lag_sum"
	// MaxLagSeries bounds pairs of group and topic that are kept of a cluster:
	// those that are behind the most.
	MaxLagSeries = 300
	lagTime      = 10 * time.Second
)

// watchLag asks a cluster how far its groups are behind. A client is made
// anew after a failure, since passwords and addresses change.
func (w *Watcher) watchLag(ctx context.Context, cluster, properties string) {
	var client *admin.Client
	closeClient := func() {
		if client != nil {
			client.Close()
			client = nil
		}
	}
	defer closeClient()
	silent := false
	every(ctx, w.o.LagEvery, func(ctx context.Context, now time.Time) {
		var err error
		if client == nil {
			client, err = openClient(properties)
		}
		if err == nil {
			ctx, cancel := context.WithTimeout(ctx, lagTime)
			defer cancel()
			var lags []admin.GroupLag
			lags, err = client.Lags(ctx)
			w.putLags(recorder{w, now, []string{"cluster", cluster}}, lags)
		}
		if err != nil {
			closeClient()
		}
		if failed := err != nil; failed != silent && ctx.Err() == nil {
			if silent = failed; silent {
				w.o.Log.Warn("the lag of consumer groups is not known in full", "cluster", cluster, "err", err)
			}
		}
	})
}

func openClient(properties string) (*admin.Client, error) {
	access, err := admin.ReadAccess(properties)
	if err != nil {
		return nil, err
	}
	return admin.Open(access)
}

func (w *Watcher) putLags(rec recorder, lags []admin.GroupLag) {
	for _, l := range lags[:min(len(lags), MaxLagSeries)] {
		rec.put(nameLag, float64(l.Messages), pair{"consumergroup", l.Group}, pair{"topic", l.Topic})
	}
}
