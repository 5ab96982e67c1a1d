package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// SyncGroup, versions 0 to 5: 1 throttle time, 3 instance ids (KIP-345), 4 flexible, 5 protocol type and name
// (KIP-559).
func (b *Broker) handleSyncGroup(r *wire.Request) {
	req := r.Body.(*kmsg.SyncGroupRequest)
	code := wire.None
	switch {
	case r.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil):
		code = wire.InconsistentGroupProtocol
	case !b.allowed(r, authz.Read, authz.Group, req.Group):
		code = wire.GroupAuthorizationFailed
	}
	if code != wire.None {
		resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
		resp.ErrorCode, resp.MemberAssignment = int16(code), []byte{}
		r.Reply(resp)
		return
	}
	b.Groups.SyncGroup(req, func(resp *kmsg.SyncGroupResponse) { r.Reply(resp) })
}
