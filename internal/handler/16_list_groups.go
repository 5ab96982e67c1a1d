package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// ListGroups, versions 0 to 5: 1 throttle time, 3 flexible, 4 states (KIP-518), 5 types (KIP-848).
func (b *Broker) handleListGroups(r *wire.Request) {
	req := r.Body.(*kmsg.ListGroupsRequest)
	resp := req.ResponseKind().(*kmsg.ListGroupsResponse)
	all := b.visible(r, authz.Describe, authz.Cluster, authz.ClusterName)
	b.Groups.List(req.StatesFilter, req.TypesFilter, func(code wire.Code, groups []group.Listing) {
		resp.ErrorCode = int16(code)
		if code != wire.None {
			groups = nil
		}
		for _, l := range groups {
			if !all && !b.visible(r, authz.Describe, authz.Group, l.Group) {
				continue
			}
			g := kmsg.NewListGroupsResponseGroup()
			g.Group, g.ProtocolType, g.GroupState, g.GroupType = l.Group, l.ProtocolType, l.State, l.Type
			resp.Groups = append(resp.Groups, g)
		}
		r.Reply(resp)
	})
}
