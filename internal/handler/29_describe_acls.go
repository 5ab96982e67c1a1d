package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// DescribeAcls, versions 1 to 3: 1 pattern types (KIP-290), 2 flexible, 3 user resources (KIP-373). Without an
// authorizer, which is always so as yet, the answer is SECURITY_DISABLED.
func (b *Broker) handleDescribeACLs(r *wire.Request) {
	req := r.Body.(*kmsg.DescribeACLsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeACLsResponse)
	if !b.allowed(r, authz.Describe, authz.Cluster, authz.ClusterName) {
		resp.ErrorCode = int16(wire.ClusterAuthorizationFailed)
	} else {
		msg := "No Authorizer is configured on the broker"
		resp.ErrorCode, resp.ErrorMessage = int16(wire.SecurityDisabled), &msg
	}
	r.Reply(resp)
}
