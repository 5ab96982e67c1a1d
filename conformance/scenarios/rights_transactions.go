package scenarios

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

const rightsTransaction = "rights-x"

// prepareTransactions has the coordinator know the transactional id that transactionQuestions are about.
func prepareTransactions(s *script.Session) {
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorType, find.CoordinatorKeys = 1, []string{rightsTransaction}
	s.Until("the coordinator of a transaction", func() bool {
		resp, ok := s.Quiet(4, find).(*kmsg.FindCoordinatorResponse)
		return ok && resp.Coordinators[0].ErrorCode == 0
	})
	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID, init.TransactionTimeoutMillis, init.ProducerID, init.ProducerEpoch = ptr(rightsTransaction), 60000, -1, -1
	s.Until("a transactional id", func() bool {
		resp, ok := s.Quiet(4, init).(*kmsg.InitProducerIDResponse)
		return ok && resp.ErrorCode == 0
	})
}

// transactionQuestions come from a producer that does not have the id (any more), so that they change nothing.
func transactionQuestions(s *script.Session, ask func(string, int16, kmsg.Request), t target, at string) {
	const id, epoch = 4_000_000, 0
	for _, v := range []int16{9, 12} {
		batch := script.Batch{Base: s.Base, Records: script.Values("x"), Attributes: 0x10}.Producer(id, epoch, 0)
		req := produceReq(t, 1, batch.Encode())
		req.TransactionID = ptr(rightsTransaction)
		ask("produce in a transaction"+at, v, req)
	}
	topics := []kmsg.AddPartitionsToTxnRequestTopic{{Topic: t.name, Partitions: []int32{0}}}
	ask("add partitions"+at, 3, &kmsg.AddPartitionsToTxnRequest{TransactionalID: rightsTransaction, ProducerID: id, Topics: topics})
	verify := kmsg.AddPartitionsToTxnRequestTransaction{TransactionalID: rightsTransaction, ProducerID: id, VerifyOnly: true,
		Topics: []kmsg.AddPartitionsToTxnRequestTransactionTopic{{Topic: t.name, Partitions: []int32{0}}}}
	ask("verify partitions"+at, 5, &kmsg.AddPartitionsToTxnRequest{Transactions: []kmsg.AddPartitionsToTxnRequestTransaction{verify}})
	for _, v := range []int16{2, 5} {
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.TransactionalID, req.Group, req.ProducerID, req.Generation = rightsTransaction, "rights-g", id, -1
		req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: t.name, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{p}}}
		ask("commit offsets in a transaction"+at, v, req)
	}
	marker := kmsg.WriteTxnMarkersRequestMarker{ProducerID: id, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "rights-missing", Partitions: []int32{0}}}}
	ask("write markers"+at, -1, &kmsg.WriteTxnMarkersRequest{Markers: []kmsg.WriteTxnMarkersRequestMarker{marker}})
	for _, v := range []int16{0, 3, 4} {
		ask("add offsets"+at, v, &kmsg.AddOffsetsToTxnRequest{TransactionalID: rightsTransaction, ProducerID: id, Group: "rights-g"})
	}
	for _, v := range []int16{3, 5} {
		ask("end a transaction"+at, v, &kmsg.EndTxnRequest{TransactionalID: rightsTransaction, ProducerID: id})
	}
	ask("describe transactions"+at, 0, &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{rightsTransaction, "rights-none"}})
	list := kmsg.NewPtrListTransactionsRequest()
	list.DurationFilterMillis = -1
	ask("list transactions"+at, 1, list)
}
