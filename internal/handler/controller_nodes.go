package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// The APIs of this file are what nodes send to controllers. They ask for CLUSTER_ACTION and are served on controllers'
// listeners only.

// Quorum is this node's part in the metadata quorum.
type Quorum interface {
	// Fetch and FetchSnapshot serve the metadata log; Fetch may wait as long as the request allows.
	Fetch(ctx context.Context, req *kmsg.FetchRequest) *kmsg.FetchResponse
	FetchSnapshot(req *kmsg.FetchSnapshotRequest) *kmsg.FetchSnapshotResponse
	// Messages takes Raft's messages from another voter.
	Messages(req *wire.RaftMessagesRequest) *wire.RaftMessagesResponse
	// Active reports whether this node is the active controller; LeaderID is who leads, -1 if that is not known.
	Active() bool
	LeaderID() int32
}

// nodeRoutes are the routes of what nodes send to controllers.
func (b *Broker) nodeRoutes() []wire.Route {
	if b.Quorum == nil {
		return nil
	}
	return []wire.Route{
		{Key: 1, MinVersion: 12, MaxVersion: 18, Handle: b.handleMetadataFetch},
		{Key: 56, MinVersion: 2, MaxVersion: 3, Handle: b.handleNodeRequest},
		{Key: 58, MinVersion: 0, MaxVersion: 0, Handle: b.handleEnvelope},
		{Key: 59, MinVersion: 0, MaxVersion: 1, Handle: b.handleFetchSnapshot},
		{Key: 62, MinVersion: 0, MaxVersion: 4, Handle: b.handleNodeRequest},
		{Key: 63, MinVersion: 0, MaxVersion: 2, Handle: b.handleBrokerHeartbeat},
		{Key: 67, MinVersion: 0, MaxVersion: 0, Handle: b.handleNodeRequest},
		{Key: 70, MinVersion: 0, MaxVersion: 0, Handle: b.handleNodeRequest},
		{Key: 73, MinVersion: 0, MaxVersion: 0, Handle: b.handleNodeRequest},
		{Key: 82, MinVersion: 0, MaxVersion: 0, Handle: b.handleNodeRequest},
		{Key: wire.KeyRaftMessages, MinVersion: 0, MaxVersion: 0, Hidden: true, Handle: b.handleRaftMessages},
	}
}

// ofNode reports whether a request comes from a node of the cluster. Then it is no client's, and counts against no quota.
func (b *Broker) ofNode(r *wire.Request) bool {
	r.Charged = b.allowed(r, authz.ClusterAction, authz.Cluster, authz.ClusterName)
	return r.Charged
}

// mayAct is ofNode that refuses the request if it is not.
func (b *Broker) mayAct(r *wire.Request) bool {
	if b.ofNode(r) {
		return true
	}
	r.Reply(wire.ErrorResponse(r.Body, wire.ClusterAuthorizationFailed, ""))
	return false
}

// handleNodeRequest hands a request of a broker or controller to the controller here.
func (b *Broker) handleNodeRequest(r *wire.Request) {
	if b.mayAct(r) {
		b.forward(r, r.Body, nil)
	}
}

// handleBrokerHeartbeat hands a heartbeat, versions 0 to 2, to the controller here, and its connection to who watches it.
func (b *Broker) handleBrokerHeartbeat(r *wire.Request) {
	if !b.mayAct(r) {
		return
	}
	if req := r.Body.(*kmsg.BrokerHeartbeatRequest); b.Heard != nil {
		b.Heard(req.BrokerID, req.BrokerEpoch, r.Done)
	}
	b.forward(r, r.Body, nil)
}

// handleMetadataFetch answers Fetch of the metadata log, versions 12 to 18 (KIP-595).
func (b *Broker) handleMetadataFetch(r *wire.Request) {
	if !b.mayAct(r) {
		return
	}
	req := r.Body.(*kmsg.FetchRequest)
	req.MaxWaitMillis = min(req.MaxWaitMillis, maxMetadataWaitMs) // who has gone is not noticed before
	b.Group.Go("metadata fetch", func(ctx context.Context) {
		resp := b.Quorum.Fetch(ctx, req)
		resp.SetVersion(r.Version)
		r.Reply(resp)
	})
}

// maxMetadataWaitMs bounds how long a Fetch of the metadata log is parked.
const maxMetadataWaitMs = 2000

// handleFetchSnapshot answers FetchSnapshot, versions 0 and 1 (KIP-630, 853).
func (b *Broker) handleFetchSnapshot(r *wire.Request) {
	if !b.mayAct(r) {
		return
	}
	b.Group.Go("fetch snapshot", func(context.Context) {
		resp := b.Quorum.FetchSnapshot(r.Body.(*kmsg.FetchSnapshotRequest))
		resp.SetVersion(r.Version)
		r.Reply(resp)
	})
}

// handleRaftMessages takes messages of Raft from another voter. Nothing waits for a disk here.
func (b *Broker) handleRaftMessages(r *wire.Request) {
	if !b.ofNode(r) {
		r.Reply(&wire.RaftMessagesResponse{ErrorCode: int16(wire.ClusterAuthorizationFailed)})
		return
	}
	r.Reply(b.Quorum.Messages(r.Body.(*wire.RaftMessagesRequest)))
}
