package handler

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// The APIs of this file ask for one right on the cluster and are then the controller's alone.

// ElectLeaders, versions 0 to 2: preferred election, since 1 also unclean (KIP-460); 2 is flexible.
func (b *Broker) handleElectLeaders(r *wire.Request) { b.forwardIf(r, authz.Alter) }

// withoutController is how long a question that the image answers too waits for an active controller.
const withoutController = 2 * time.Second

// ListPartitionReassignments, version 0 (KIP-455). Where no controller is active, as while a majority of them is down, a broker
// answers with what it knows: kafka-topics --describe asks for this, and is wanted most of all then.
func (b *Broker) handleListPartitionReassignments(r *wire.Request) {
	if b.Quorum != nil {
		b.forwardIf(r, authz.Describe)
		return
	}
	if !b.allowed(r, authz.Describe, authz.Cluster, authz.ClusterName) {
		r.Reply(wire.ErrorResponse(r.Body, wire.ClusterAuthorizationFailed, ""))
		return
	}
	rc, req := requestContext(r), r.Body.(*kmsg.ListPartitionReassignmentsRequest)
	b.Group.Go("forward", func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, withoutController)
		defer cancel()
		resp, err := b.Controller.Handle(ctx, rc, req)
		switch code := wire.CodeOf(err); {
		case err == nil:
			r.Reply(resp)
		case code == wire.NotController || code == wire.RequestTimedOut || ctx.Err() != nil:
			r.Reply(controller.Reassignments(b.Image(), req))
		default:
			r.Reply(wire.ErrorResponse(req, code, message(err)))
		}
	})
}

// AlterPartitionReassignments, versions 0 and 1 (KIP-455); 1 can refuse a change of the replication factor.
func (b *Broker) handleAlterPartitionReassignments(r *wire.Request) { b.forwardIf(r, authz.Alter) }

// DescribeQuorum, versions 0 to 2: 1 adds fetch times (KIP-836), 2 directory ids and nodes (KIP-853).
func (b *Broker) handleDescribeQuorum(r *wire.Request) {
	if !b.allowed(r, authz.Describe, authz.Cluster, authz.ClusterName) {
		resp := r.Body.ResponseKind().(*kmsg.DescribeQuorumResponse)
		resp.ErrorCode = int16(wire.ClusterAuthorizationFailed)
		r.Reply(resp)
		return
	}
	b.forward(r, r.Body, nil)
}

// UpdateFeatures, versions 0 to 2 (KIP-584): 1 adds validate-only and the upgrade type, 2 drops per-feature results.
func (b *Broker) handleUpdateFeatures(r *wire.Request) { b.forwardIf(r, authz.Alter) }

// UnregisterBroker, version 0 (KIP-631): forgets a broker that will not come back.
func (b *Broker) handleUnregisterBroker(r *wire.Request) { b.forwardIf(r, authz.Alter) }

// AddRaftVoter, versions 0 and 1 (KIP-853): 1 may be answered before the change is committed (KIP-1186).
func (b *Broker) handleAddRaftVoter(r *wire.Request) { b.forwardIf(r, authz.Alter) }

// RemoveRaftVoter, version 0 (KIP-853).
func (b *Broker) handleRemoveRaftVoter(r *wire.Request) { b.forwardIf(r, authz.Alter) }

// AlterUserScramCredentials, version 0 (KIP-554): makes, changes and deletes the credentials of SCRAM users.
func (b *Broker) handleAlterUserScramCredentials(r *wire.Request) { b.forwardIf(r, authz.Alter) }

// forwardIf forwards the request if the client has a right on the cluster.
func (b *Broker) forwardIf(r *wire.Request, op authz.Operation) {
	if !b.allowed(r, op, authz.Cluster, authz.ClusterName) {
		r.Reply(wire.ErrorResponse(r.Body, wire.ClusterAuthorizationFailed, ""))
		return
	}
	b.forward(r, r.Body, nil)
}
