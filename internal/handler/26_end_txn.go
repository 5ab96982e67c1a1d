package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/txn"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// EndTxn, versions 0 to 5.
//
//	2 PRODUCER_FENCED    3 flexible    4 TRANSACTION_ABORTABLE    5 the epoch rises, and the answer has it (KIP-890)
//
// The answer comes when the decision is committed in __transaction_state; markers are written after it.
func (b *Broker) handleEndTxn(r *wire.Request) {
	req := r.Body.(*kmsg.EndTxnRequest)
	resp := req.ResponseKind().(*kmsg.EndTxnResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if !b.allowed(r, authz.Write, authz.TransactionalID, req.TransactionalID) {
		resp.ErrorCode = int16(wire.TransactionalIdAuthorizationFailed)
		r.Reply(resp)
		return
	}
	p := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	b.Txns.EndTransaction(req.TransactionalID, p, req.Commit, r.Version >= 5, func(code wire.Code, now txn.Producer) {
		resp.ErrorCode = int16(fencedFor(code, r.Version >= 2))
		resp.ProducerID, resp.ProducerEpoch = now.ID, now.Epoch
		r.Reply(resp)
	})
}
