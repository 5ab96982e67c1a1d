package handler

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// CreateAcls, versions 1 to 3: 1 pattern types (KIP-290), 2 flexible, 3 user resources (KIP-373). The controller decides
// entry by entry.
func (b *Broker) handleCreateACLs(r *wire.Request) {
	req := r.Body.(*kmsg.CreateACLsRequest)
	if slices.ContainsFunc(req.Creations, func(c kmsg.CreateACLsRequestCreation) bool {
		return c.ResourceType == 0 || c.ResourcePatternType == 0 || c.Operation == 0 || c.PermissionType == 0
	}) {
		r.Hangup("a CreateAcls request has elements of type 0")
		return
	}
	b.changeACLs(r)
}

// changeACLs hands a change of the rules to the controller.
func (b *Broker) changeACLs(r *wire.Request) {
	if b.allowed(r, authz.Alter, authz.Cluster, authz.ClusterName) && !b.Authorizer.Enabled() {
		r.Reply(wire.ErrorResponse(r.Body, wire.SecurityDisabled, "No Authorizer is configured."))
		return
	}
	b.forwardIf(r, authz.Alter)
}
