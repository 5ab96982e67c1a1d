package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/coordinator/txn"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// AddOffsetsToTxn, versions 0 to 4: the partition of __consumer_offsets that a group's offsets lie in is added to a
// transaction. Producers of transactions V2 do without it.
//
//	2 PRODUCER_FENCED    3 flexible    4 TRANSACTION_ABORTABLE (KIP-890)
func (b *Broker) handleAddOffsetsToTxn(r *wire.Request) {
	req := r.Body.(*kmsg.AddOffsetsToTxnRequest)
	resp := req.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
	answer := func(code wire.Code) {
		resp.ErrorCode = int16(fencedFor(code, r.Version >= 2))
		r.Reply(resp)
	}
	switch {
	case !b.allowed(r, authz.Write, authz.TransactionalID, req.TransactionalID):
		answer(wire.TransactionalIdAuthorizationFailed)
	case !b.allowed(r, authz.Read, authz.Group, req.Group):
		answer(wire.GroupAuthorizationFailed)
	default:
		tp := log.TopicPartition{Topic: group.OffsetsTopic, Partition: b.Groups.PartitionFor(req.Group)}
		b.Txns.AddPartitions(req.TransactionalID, txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}, []log.TopicPartition{tp}, 0, answer)
	}
}
