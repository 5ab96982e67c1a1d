package handler

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// DeleteGroups, versions 0 to 3: 1 throttling, 2 flexible, 3 error message.
func (b *Broker) handleDeleteGroups(r *wire.Request) {
	req := r.Body.(*kmsg.DeleteGroupsRequest)
	resp := req.ResponseKind().(*kmsg.DeleteGroupsResponse)
	var ids, refused []string
	for _, id := range req.Groups {
		switch {
		case slices.Contains(ids, id) || slices.Contains(refused, id):
		case b.allowed(r, authz.Delete, authz.Group, id):
			ids = append(ids, id)
		default:
			refused = append(refused, id)
		}
	}
	b.Groups.DeleteGroups(ids, func(codes []wire.Code) {
		for i, code := range codes {
			resp.Groups = append(resp.Groups, deletedGroup(ids[i], code))
		}
		for _, id := range refused {
			resp.Groups = append(resp.Groups, deletedGroup(id, wire.GroupAuthorizationFailed))
		}
		r.Reply(resp)
	})
}

func deletedGroup(id string, code wire.Code) kmsg.DeleteGroupsResponseGroup {
	g := kmsg.NewDeleteGroupsResponseGroup()
	g.Group, g.ErrorCode = id, int16(code)
	if code == wire.UnsupportedVersion {
		message := "Group " + id + " uses a group protocol that this broker does not serve; it is kept as it is."
		g.ErrorMessage = &message
	}
	return g
}
