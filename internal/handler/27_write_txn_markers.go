package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// WriteTxnMarkers, versions 1 and 2: coordinators, and who mends a hanging transaction, end transactions in the partitions
// that this broker leads.
//
//	1 flexible    2 transaction.version of the marker (KIP-1228)
func (b *Broker) handleWriteTxnMarkers(r *wire.Request) {
	req := r.Body.(*kmsg.WriteTxnMarkersRequest)
	if !b.visible(r, authz.Alter, authz.Cluster, authz.ClusterName) && !b.allowed(r, authz.ClusterAction, authz.Cluster, authz.ClusterName) {
		r.Reply(wire.ErrorResponse(req, wire.ClusterAuthorizationFailed, ""))
		return
	}
	b.Markers.Write(req, func(resp *kmsg.WriteTxnMarkersResponse) { r.Reply(resp) })
}
