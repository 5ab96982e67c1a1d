package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// Heartbeat, versions 0 to 4: 1 throttle time, 3 instance ids (KIP-345), 4 flexible.
func (b *Broker) handleHeartbeat(r *wire.Request) {
	req := r.Body.(*kmsg.HeartbeatRequest)
	if !b.allowed(r, authz.Read, authz.Group, req.Group) {
		resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = int16(wire.GroupAuthorizationFailed)
		r.Reply(resp)
		return
	}
	b.Groups.Heartbeat(req, func(resp *kmsg.HeartbeatResponse) { r.Reply(resp) })
}
