package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// LeaveGroup, versions 0 to 5: 1 throttle time, 3 many members, by instance id too (KIP-345), 4 flexible, 5 reasons
// (KIP-800).
func (b *Broker) handleLeaveGroup(r *wire.Request) {
	req := r.Body.(*kmsg.LeaveGroupRequest)
	if !b.allowed(r, authz.Read, authz.Group, req.Group) {
		resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
		resp.ErrorCode = int16(wire.GroupAuthorizationFailed)
		r.Reply(resp)
		return
	}
	b.Groups.LeaveGroup(req, func(resp *kmsg.LeaveGroupResponse) { r.Reply(resp) })
}
