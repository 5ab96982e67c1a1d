package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// Kinds of coordinators.
const (
	groupCoordinator       = 0
	transactionCoordinator = 1
)

// noTransactions explains errTransactions where an answer has room for it.
const noTransactions = "This broker has no transaction coordinator: transactional ids are not supported."

// FindCoordinator, versions 0 to 6.
//
//	1 kinds, error message    3 flexible              5 TRANSACTION_ABORTABLE (KIP-890)
//	2 throttling              4 many keys (KIP-699)   6 share groups (KIP-932)
//
// The first look for a group's coordinator creates __consumer_offsets; until it is there the answer is
// COORDINATOR_NOT_AVAILABLE, on which clients ask again.
//
// A transaction's coordinator is refused with errTransactions (UNSUPPORTED_VERSION), not with
// COORDINATOR_NOT_AVAILABLE, on which clients would ask for ever, nor with an authorization error, which would send
// people to look for a missing right. Java's and Go's clients take it as fatal; Java's shows the message.
func (b *Broker) handleFindCoordinator(r *wire.Request) {
	req := r.Body.(*kmsg.FindCoordinatorRequest)
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	keys := req.CoordinatorKeys
	if r.Version < 4 {
		keys = []string{req.CoordinatorKey}
	}
	img := b.Image()
	for _, key := range keys {
		c := b.findCoordinator(r, img, req.CoordinatorType, key)
		if r.Version < 4 {
			resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Host, resp.Port = c.ErrorCode, c.ErrorMessage, c.NodeID, c.Host, c.Port
			if c.ErrorCode == 0 {
				none := wire.None.Name() // as Kafka says it here
				resp.ErrorMessage = &none
			}
			break
		}
		resp.Coordinators = append(resp.Coordinators, c)
	}
	r.Reply(resp)
}

// findCoordinator answers for one key.
func (b *Broker) findCoordinator(r *wire.Request, img *image.Image, kind int8, key string) kmsg.FindCoordinatorResponseCoordinator {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key, c.NodeID, c.Port, c.ErrorMessage = key, -1, -1, new(string)
	fail := func(code wire.Code, message string) kmsg.FindCoordinatorResponseCoordinator {
		c.ErrorCode = int16(code)
		if message != "" {
			c.ErrorMessage = &message
		}
		return c
	}
	switch kind {
	case groupCoordinator:
		if !b.allowed(r, authz.Describe, authz.Group, key) {
			return fail(wire.GroupAuthorizationFailed, "")
		}
	case transactionCoordinator:
		if !b.allowed(r, authz.Describe, authz.TransactionalID, key) {
			return fail(wire.TransactionalIdAuthorizationFailed, "")
		}
		return fail(errTransactions, noTransactions)
	default:
		return fail(wire.InvalidRequest, "There is no coordinator of that kind.")
	}
	topic := img.TopicByName(offsetsTopic)
	if topic == nil {
		b.createOffsetsTopic(r)
		return fail(wire.CoordinatorNotAvailable, "")
	}
	p := topic.Partition(b.Groups.PartitionFor(key))
	if p == nil {
		return fail(wire.CoordinatorNotAvailable, "")
	}
	leader := img.Broker(p.Leader)
	if !leader.Active() {
		return fail(wire.CoordinatorNotAvailable, "")
	}
	ep, ok := leader.Endpoint(r.Conn.Listener)
	if !ok {
		return fail(wire.CoordinatorNotAvailable, "")
	}
	c.NodeID, c.Host, c.Port = leader.ID, ep.Host, int32(ep.Port)
	return c
}

// createOffsetsTopic asks the controller for __consumer_offsets, in the background and not twice at a time.
func (b *Broker) createOffsetsTopic(r *wire.Request) {
	if !b.creatingOffsets.CompareAndSwap(false, true) {
		return
	}
	rc := controller.RequestContext{Listener: r.Conn.Listener} // as this broker: the client may do nothing with the topic
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 30_000
	req.Topics = append(req.Topics, b.newTopic(offsetsTopic))
	started := b.Group.Go("create "+offsetsTopic, func(ctx context.Context) {
		defer b.creatingOffsets.Store(false)
		resp, err := b.Controller.Handle(ctx, rc, req)
		if err != nil {
			b.Logger.Warn("cannot create "+offsetsTopic+"; groups have no coordinator until it is there", "error", err)
			return
		}
		for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
			if code := wire.Code(t.ErrorCode); code != wire.None && code != wire.TopicAlreadyExists {
				b.Logger.Warn("cannot create "+offsetsTopic+"; groups have no coordinator until it is there",
					"error", code, "message", deref(t.ErrorMessage), "partitions", req.Topics[0].NumPartitions,
					"replication", req.Topics[0].ReplicationFactor)
			}
		}
	})
	if !started {
		b.creatingOffsets.Store(false)
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
