package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/clientmetrics"
	"github.com/weir-stream/weir/internal/wire"
)

// PushTelemetry, version 0 (KIP-714): takes metrics from a client. It is in the table only with
// weir.client.telemetry=true.
func (b *Broker) handlePushTelemetry(r *wire.Request) {
	req := r.Body.(*kmsg.PushTelemetryRequest)
	resp := req.ResponseKind().(*kmsg.PushTelemetryResponse)
	err := b.ClientMetrics.Push(clientmetrics.Push{InstanceID: req.ClientInstanceID, SubscriptionID: req.SubscriptionID,
		Terminating: req.Terminating, Codec: req.CompressionType, Metrics: req.Metrics}, pushingClient(r))
	resp.ErrorCode = int16(wire.CodeOf(err))
	r.Reply(resp)
}
