package handler

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// DeleteAcls, versions 1 to 3: 1 pattern types (KIP-290), 2 flexible, 3 user resources (KIP-373). Each filter has an
// answer of its own, with the entries that it took out.
func (b *Broker) handleDeleteACLs(r *wire.Request) {
	req := r.Body.(*kmsg.DeleteACLsRequest)
	if slices.ContainsFunc(req.Filters, func(f kmsg.DeleteACLsRequestFilter) bool {
		return f.ResourceType == 0 || f.ResourcePatternType == 0 || f.Operation == 0 || f.PermissionType == 0
	}) {
		r.Hangup("a DeleteAcls request has elements of type 0")
		return
	}
	b.changeACLs(r)
}
