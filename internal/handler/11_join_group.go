package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// JoinGroup, versions 0 to 9.
//
//	1 rebalance time-out    4 MEMBER_ID_REQUIRED (KIP-394)   6 flexible
//	2 throttle time         5 instance ids (KIP-345)         7 protocol type in answers (KIP-559)
//	                                                         8 reasons (KIP-800)
//	                                                         9 skip assignment (KIP-814)
func (b *Broker) handleJoinGroup(r *wire.Request) {
	req := r.Body.(*kmsg.JoinGroupRequest)
	if !b.allowed(r, authz.Read, authz.Group, req.Group) {
		resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
		resp.ErrorCode, resp.Generation = int16(wire.GroupAuthorizationFailed), -1
		r.Reply(resp)
		return
	}
	client := group.Client{ID: r.ClientID, Host: "/" + r.Conn.Remote.Addr().String()}
	b.Groups.JoinGroup(client, req, func(resp *kmsg.JoinGroupResponse) { r.Reply(resp) })
}
