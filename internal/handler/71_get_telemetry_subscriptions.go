package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/clientmetrics"
	"github.com/weir-stream/weir/internal/wire"
)

// GetTelemetrySubscriptions, version 0 (KIP-714): tells a client which of its metrics to push and how often. It is
// in the table only with weir.client.telemetry=true.
func (b *Broker) handleGetTelemetrySubscriptions(r *wire.Request) {
	req := r.Body.(*kmsg.GetTelemetrySubscriptionsRequest)
	resp := req.ResponseKind().(*kmsg.GetTelemetrySubscriptionsResponse)
	sub, err := b.ClientMetrics.Get(req.ClientInstanceID, pushingClient(r))
	if err != nil {
		resp.ErrorCode = int16(wire.CodeOf(err))
		r.Reply(resp)
		return
	}
	resp.ClientInstanceID, resp.SubscriptionID = sub.InstanceID, sub.ID
	resp.PushIntervalMillis = int32(sub.Interval.Milliseconds())
	resp.RequestedMetrics = sub.Metrics
	resp.TelemetryMaxBytes = int32(sub.MaxBytes)
	resp.AcceptedCompressionTypes = clientmetrics.Codecs
	resp.DeltaTemporality = true
	r.Reply(resp)
}

func pushingClient(r *wire.Request) clientmetrics.Client {
	return clientmetrics.Client{ClientID: r.ClientID, SoftwareName: r.Conn.ClientSoftwareName, SoftwareVersion: r.Conn.ClientSoftwareVersion, Address: r.Conn.Remote}
}
