package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/txn"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// DescribeTransactions, version 0 (KIP-664). Of a transaction's topics only those are told that the client may describe.
func (b *Broker) handleDescribeTransactions(r *wire.Request) {
	req := r.Body.(*kmsg.DescribeTransactionsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	resp.TransactionStates = make([]kmsg.DescribeTransactionsResponseTransactionState, len(req.TransactionalIDs))
	var ids []string
	var slots []int
	for i, id := range req.TransactionalIDs {
		s := &resp.TransactionStates[i]
		s.TransactionalID = id
		if !b.allowed(r, authz.Describe, authz.TransactionalID, id) {
			s.ErrorCode = int16(wire.TransactionalIdAuthorizationFailed)
			continue
		}
		ids, slots = append(ids, id), append(slots, i)
	}
	b.Txns.Describe(ids, func(found []txn.Description) {
		for i := range found {
			b.describeTransaction(r, &found[i], &resp.TransactionStates[slots[i]])
		}
		r.Reply(resp)
	})
}

func (b *Broker) describeTransaction(r *wire.Request, d *txn.Description, s *kmsg.DescribeTransactionsResponseTransactionState) {
	s.ErrorCode = int16(d.Code)
	if d.Code != wire.None {
		return
	}
	s.State, s.TimeoutMillis, s.StartTimestamp = d.State, d.TimeoutMs, d.StartMs
	s.ProducerID, s.ProducerEpoch = d.Producer.ID, d.Producer.Epoch
	seen, shown := "", false
	for _, tp := range d.Partitions {
		if seen != tp.Topic || len(s.Topics) == 0 && !shown {
			seen, shown = tp.Topic, b.allowed(r, authz.Describe, authz.Topic, tp.Topic)
			if shown {
				t := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
				t.Topic = tp.Topic
				s.Topics = append(s.Topics, t)
			}
		}
		if shown {
			t := &s.Topics[len(s.Topics)-1]
			t.Partitions = append(t.Partitions, tp.Partition)
		}
	}
}
