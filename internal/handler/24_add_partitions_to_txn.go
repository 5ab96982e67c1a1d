package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/txn"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// AddPartitionsToTxn, versions 0 to 5.
//
//	2 PRODUCER_FENCED    3 flexible    4 many transactions, asked about or added to by brokers (KIP-890)    5 TRANSACTION_ABORTABLE
//
// Up to version 3 it comes from producers. If one of the partitions cannot be added, none is.
func (b *Broker) handleAddPartitionsToTxn(r *wire.Request) {
	req := r.Body.(*kmsg.AddPartitionsToTxnRequest)
	if r.Version >= 4 {
		if !b.allowed(r, authz.ClusterAction, authz.Cluster, authz.ClusterName) {
			resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
			resp.ErrorCode = int16(wire.ClusterAuthorizationFailed) // without a word of its transactions
			r.Reply(resp)
			return
		}
		b.Txns.AddForBrokers(req, b.partitionExists(), func(resp *kmsg.AddPartitionsToTxnResponse) { r.Reply(resp) })
		return
	}
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	var parts []log.TopicPartition
	answer := func(code func(i int) wire.Code) {
		n := 0
		for _, t := range req.Topics {
			rt := kmsg.NewAddPartitionsToTxnResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p, int16(code(n))
				rt.Partitions = append(rt.Partitions, rp)
				n++
			}
			resp.Topics = append(resp.Topics, rt)
		}
		r.Reply(resp)
	}
	if !b.allowed(r, authz.Write, authz.TransactionalID, req.TransactionalID) {
		answer(func(int) wire.Code { return wire.TransactionalIdAuthorizationFailed })
		return
	}
	exists := b.partitionExists()
	var codes []wire.Code
	bad := false
	for _, t := range req.Topics {
		allowed := !internalTopic(t.Topic) && b.allowed(r, authz.Write, authz.Topic, t.Topic)
		for _, p := range t.Partitions {
			tp := log.TopicPartition{Topic: t.Topic, Partition: p}
			code := wire.OperationNotAttempted
			switch {
			case !allowed:
				code, bad = wire.TopicAuthorizationFailed, true
			case !exists(tp):
				code, bad = wire.UnknownTopicOrPartition, true
			}
			parts, codes = append(parts, tp), append(codes, code)
		}
	}
	if bad {
		answer(func(i int) wire.Code { return codes[i] })
		return
	}
	b.Txns.AddPartitions(req.TransactionalID, txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}, parts, 0, func(code wire.Code) {
		code = fencedFor(code, r.Version >= 2)
		answer(func(int) wire.Code { return code })
	})
}

// fencedFor is INVALID_PRODUCER_EPOCH in the place of PRODUCER_FENCED for clients that do not know that one.
func fencedFor(code wire.Code, known bool) wire.Code {
	if code == wire.ProducerFenced && !known {
		return wire.InvalidProducerEpoch
	}
	return code
}

// partitionExists asks the present image.
func (b *Broker) partitionExists() func(log.TopicPartition) bool {
	img := b.Image()
	return func(tp log.TopicPartition) bool { return existsIn(img, tp.Topic, tp.Partition) }
}

func existsIn(img *image.Image, topic string, partition int32) bool {
	t := img.TopicByName(topic)
	return t != nil && t.Partition(partition) != nil
}
