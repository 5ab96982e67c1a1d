package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/txn"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// InitProducerId, versions 0 to 5: an id for an idempotent producer.
//
//	2 flexible    3 producer id and epoch to raise (KIP-360)    4 PRODUCER_FENCED    5 transactions V2 (KIP-890)
//
// With a transactional id it is the id's coordinator who answers: the producer that had the id before is fenced, and what it
// left open is aborted.
func (b *Broker) handleInitProducerID(r *wire.Request) {
	req := r.Body.(*kmsg.InitProducerIDRequest)
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	code := wire.None
	switch {
	case req.TransactionalID != nil && !b.allowed(r, authz.Write, authz.TransactionalID, *req.TransactionalID):
		code = wire.TransactionalIdAuthorizationFailed
	case req.TransactionalID == nil && !b.visible(r, authz.IdempotentWrite, authz.Cluster, authz.ClusterName) && !b.mayWriteSomeTopic(r):
		code = wire.ClusterAuthorizationFailed
	case (req.ProducerID == -1) != (req.ProducerEpoch == -1) && r.Version >= 3:
		code = wire.InvalidRequest
	}
	if code != wire.None {
		resp.ErrorCode = int16(code)
		r.Reply(resp)
		return
	}
	if req.TransactionalID != nil {
		var expected *txn.Producer
		if r.Version >= 3 && req.ProducerID != -1 {
			expected = &txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
		}
		b.Txns.InitProducer(*req.TransactionalID, req.TransactionTimeoutMillis, expected, func(code wire.Code, p txn.Producer) {
			resp.ErrorCode = int16(fencedFor(code, r.Version >= 4))
			resp.ProducerID, resp.ProducerEpoch = p.ID, p.Epoch
			r.Reply(resp)
		})
		return
	}
	b.Group.Go("producer id", func(ctx context.Context) {
		id, err := b.ProducerIDs.Next(ctx)
		if err != nil {
			resp.ErrorCode = int16(wire.CodeOf(err))
		} else {
			resp.ProducerID, resp.ProducerEpoch = id, 0
		}
		r.Reply(resp)
	})
}
