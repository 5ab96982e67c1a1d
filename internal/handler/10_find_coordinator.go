package handler

import (
	"context"
	"sync/atomic"

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

// FindCoordinator, versions 0 to 6.
//
//	1 kinds, error message    3 flexible              5 TRANSACTION_ABORTABLE (KIP-890)
//	2 throttling              4 many keys (KIP-699)   6 share groups (KIP-932)
//
// The first look for a coordinator creates __consumer_offsets or __transaction_state; until it is there the answer is
// COORDINATOR_NOT_AVAILABLE, on which clients ask again.
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
	default:
		return fail(wire.InvalidRequest, "There is no coordinator of that kind.")
	}
	name, creating, of := offsetsTopic, &b.creatingOffsets, b.Groups.PartitionFor
	if kind == transactionCoordinator {
		name, creating, of = transactionTopic, &b.creatingTxns, b.Txns.PartitionFor
	}
	topic := img.TopicByName(name)
	if topic == nil {
		b.createInternalTopic(r, name, creating)
		return fail(wire.CoordinatorNotAvailable, "")
	}
	p := topic.Partition(of(key))
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

// createInternalTopic asks the controller for a coordinators' topic, in the background and not twice at a time.
func (b *Broker) createInternalTopic(r *wire.Request, name string, creating *atomic.Bool) {
	if !creating.CompareAndSwap(false, true) {
		return
	}
	rc := controller.RequestContext{Listener: r.Conn.Listener} // as this broker: the client may do nothing with the topic
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 30_000
	req.Topics = append(req.Topics, b.newTopic(name))
	what := "cannot create " + name + "; there are no coordinators until it is there"
	started := b.Group.Go("create "+name, func(ctx context.Context) {
		defer creating.Store(false)
		resp, err := b.Controller.Handle(ctx, rc, req)
		if err != nil {
			b.Logger.Warn(what, "error", err)
			return
		}
		for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
			if code := wire.Code(t.ErrorCode); code != wire.None && code != wire.TopicAlreadyExists {
				b.Logger.Warn(what, "error", code, "message", deref(t.ErrorMessage), "partitions", req.Topics[0].NumPartitions,
					"replication", req.Topics[0].ReplicationFactor)
			}
		}
	})
	if !started {
		creating.Store(false)
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
