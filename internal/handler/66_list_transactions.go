package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/txn"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// ListTransactions, versions 0 to 2: the transactional ids that this broker coordinates and the client may describe.
//
//	1 duration (KIP-994)    2 pattern of the id (KIP-1152)
func (b *Broker) handleListTransactions(r *wire.Request) {
	req := r.Body.(*kmsg.ListTransactionsRequest)
	resp := req.ResponseKind().(*kmsg.ListTransactionsResponse)
	f := txn.Filter{States: req.StateFilters, ProducerIDs: req.ProducerIDFilters, DurationMs: -1}
	if r.Version >= 1 {
		f.DurationMs = req.DurationFilterMillis
	}
	if r.Version >= 2 && req.TransactionalIDPattern != nil {
		f.Pattern = *req.TransactionalIDPattern
	}
	b.Txns.List(f, func(code wire.Code, unknown []string, ids []txn.Listing) {
		resp.ErrorCode, resp.UnknownStateFilters = int16(code), unknown
		for _, l := range ids {
			if !b.visible(r, authz.Describe, authz.TransactionalID, l.ID) {
				continue
			}
			s := kmsg.NewListTransactionsResponseTransactionState()
			s.TransactionalID, s.ProducerID, s.TransactionState = l.ID, l.ProducerID, l.State
			resp.TransactionStates = append(resp.TransactionStates, s)
		}
		r.Reply(resp)
	})
}
