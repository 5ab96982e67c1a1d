package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// DescribeGroups, versions 0 to 6.
//
//	1 throttle time             4 instance ids (KIP-345)   6 error message, GROUP_ID_NOT_FOUND (KIP-1043)
//	3 authorized operations     5 flexible
//
// Before version 6 a group that is not there is described as dead, without an error.
func (b *Broker) handleDescribeGroups(r *wire.Request) {
	req := r.Body.(*kmsg.DescribeGroupsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
	var ids []string
	for _, id := range req.Groups {
		if b.allowed(r, authz.Describe, authz.Group, id) {
			ids = append(ids, id)
			continue
		}
		g := kmsg.NewDescribeGroupsResponseGroup()
		g.Group, g.ErrorCode, g.AuthorizedOperations = id, int16(wire.GroupAuthorizationFailed), -1<<31
		resp.Groups = append(resp.Groups, g)
	}
	b.Groups.Describe(ids, func(ds []group.Description) {
		for i := range ds {
			resp.Groups = append(resp.Groups, b.describedGroup(r, req, &ds[i]))
		}
		r.Reply(resp)
	})
}

func (b *Broker) describedGroup(r *wire.Request, req *kmsg.DescribeGroupsRequest, d *group.Description) kmsg.DescribeGroupsResponseGroup {
	g := kmsg.NewDescribeGroupsResponseGroup()
	g.Group, g.State, g.ProtocolType, g.Protocol = d.Group, d.State, d.ProtocolType, d.Protocol
	g.AuthorizedOperations = -1 << 31
	g.ErrorCode = int16(d.Code)
	if d.Code == wire.GroupIdNotFound {
		if r.Version < 6 {
			g.ErrorCode = 0
		} else {
			g.ErrorMessage = &d.Message
		}
	}
	if g.ErrorCode == 0 && req.IncludeAuthorizedOperations && r.Version >= 3 {
		g.AuthorizedOperations = authz.AuthorizedOperations(b.Authorizer, caller(r), authz.Group, d.Group)
	}
	g.Members = make([]kmsg.DescribeGroupsResponseGroupMember, 0, len(d.Members))
	for _, m := range d.Members {
		gm := kmsg.NewDescribeGroupsResponseGroupMember()
		gm.MemberID, gm.InstanceID, gm.ClientID, gm.ClientHost = m.ID, m.InstanceID, m.ClientID, m.ClientHost
		gm.ProtocolMetadata, gm.MemberAssignment = bytesOf(m.Metadata), bytesOf(m.Assignment)
		g.Members = append(g.Members, gm)
	}
	return g
}

// bytesOf turns nil into no bytes, for fields that may not be null.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
