package scenarios

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// transactionsErrors asks what each request of transactions can be refused for, in each of its versions.
func transactionsErrors(s *script.Session) {
	t := createTarget(s, "txn-errors", 2)
	findErrors(s)
	x := newTransact(s, "txn-errors")
	initErrors(x)
	addErrors(x, t)
	addOffsetsErrors(x)
	endErrors(x, t)
	produceErrors(x, t)
	askErrors(x, t)
}

func findErrors(s *script.Session) {
	each(s, kmsg.FindCoordinator, func(v int16) {
		for _, kind := range []int8{0, 1, 7} {
			if kind > 0 && v == 0 {
				continue
			}
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorType, req.CoordinatorKeys = kind, []string{"", "", "no:colon"}
			s.Ask(fmt.Sprintf("coordinator of an empty key of kind %d, version %d", kind, v), v, req)
		}
	})
}

func initErrors(x *transact) {
	each(x.s, kmsg.InitProducerID, func(v int16) {
		at := func(label string) string { return fmt.Sprint(label, ", version ", v) }
		keep := *x
		keep.init(at("empty id"), v, func(r *kmsg.InitProducerIDRequest) { r.TransactionalID = ptr("") })
		keep.init(at("no time"), v, func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = 0 })
		if v < 3 {
			return
		}
		for _, c := range []struct {
			label string
			pid   int64
			epoch int16
		}{
			{"id without an epoch", x.pid, -1}, {"epoch without an id", -1, x.epoch}, {"stranger", x.pid + 1000, 0}, {"later epoch", x.pid, x.epoch + 7},
			{"negative id", -7, 0}, {"negative epoch", x.pid, -7},
		} {
			keep := *x
			keep.init(at(c.label), v, func(r *kmsg.InitProducerIDRequest) { r.ProducerID, r.ProducerEpoch = c.pid, c.epoch })
			// The same for an id that nobody has used.
			keep.id = fmt.Sprint("txn-errors-", v, "-", c.label)
			keep.init(at(c.label+" of a new id"), v, func(r *kmsg.InitProducerIDRequest) { r.ProducerID, r.ProducerEpoch = c.pid, c.epoch })
		}
	})
}

func addErrors(x *transact, t target) {
	each(x.s, kmsg.AddPartitionsToTxn, func(v int16) {
		for _, c := range []struct {
			label, id string
			pid       int64
			epoch     int16
			topics    []string
		}{
			{"unknown id", "txn-errors-nobody", x.pid, x.epoch, []string{t.name}},
			{"empty id", "", x.pid, x.epoch, []string{t.name}},
			{"stranger", x.id, x.pid + 1000, x.epoch, []string{t.name}},
			{"older epoch", x.id, x.pid, x.epoch - 1, []string{t.name}},
			{"later epoch", x.id, x.pid, x.epoch + 1, []string{t.name}},
			{"no topics", x.id, x.pid, x.epoch, nil},
			{"topic that is not there", x.id, x.pid, x.epoch, []string{t.name, "txn-errors-missing"}},
			{"name that is none", x.id, x.pid, x.epoch, []string{"not a name"}},
			{"topic twice", x.id, x.pid, x.epoch, []string{t.name, t.name}},
		} {
			if v > 3 && c.label == "topic twice" {
				continue // brokers do not ask so
			}
			req := kmsg.NewPtrAddPartitionsToTxnRequest()
			req.TransactionalID, req.ProducerID, req.ProducerEpoch = c.id, c.pid, c.epoch
			tx := kmsg.NewAddPartitionsToTxnRequestTransaction()
			tx.TransactionalID, tx.ProducerID, tx.ProducerEpoch, tx.VerifyOnly = c.id, c.pid, c.epoch, true
			for _, name := range c.topics {
				req.Topics = append(req.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: name, Partitions: []int32{0}})
				tx.Topics = append(tx.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: name, Partitions: []int32{0}})
			}
			req.Transactions = append(req.Transactions, tx)
			x.s.Ask(fmt.Sprintf("add: %s, version %d", c.label, v), v, req)
		}
	})
	x.end("abort what was added", 4, false)
}

func addOffsetsErrors(x *transact) {
	each(x.s, kmsg.AddOffsetsToTxn, func(v int16) {
		for _, c := range []struct {
			label, id, group string
			pid              int64
			epoch            int16
		}{
			{"unknown id", "txn-errors-nobody", "txn-errors-group", x.pid, x.epoch},
			{"empty id", "", "txn-errors-group", x.pid, x.epoch},
			{"stranger", x.id, "txn-errors-group", x.pid + 1000, x.epoch},
			{"older epoch", x.id, "txn-errors-group", x.pid, x.epoch - 1},
			{"later epoch", x.id, "txn-errors-group", x.pid, x.epoch + 1},
			{"empty group", x.id, "", x.pid, x.epoch},
		} {
			req := kmsg.NewPtrAddOffsetsToTxnRequest()
			req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = c.id, c.group, c.pid, c.epoch
			x.s.Ask(fmt.Sprintf("add offsets: %s, version %d", c.label, v), v, req)
		}
	})
	x.end("abort what an empty group has begun", 4, false)
}

func endErrors(x *transact, t target) {
	each(x.s, kmsg.EndTxn, func(v int16) {
		for _, open := range []bool{false, true} {
			if open {
				x.add(fmt.Sprint("open one, version ", v), 3, t, x.pid, x.epoch, 0)
			}
			for _, c := range []struct {
				label, id string
				pid       int64
				epoch     int16
			}{
				{"unknown id", "txn-errors-nobody", x.pid, x.epoch}, {"empty id", "", x.pid, x.epoch}, {"stranger", x.id, x.pid + 1000, x.epoch},
				{"older epoch", x.id, x.pid, x.epoch - 1}, {"later epoch", x.id, x.pid, x.epoch + 1}, {"negative epoch", x.id, x.pid, -1},
			} {
				req := kmsg.NewPtrEndTxnRequest()
				req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = c.id, c.pid, c.epoch, true
				x.s.Ask(fmt.Sprintf("end: %s, open %v, version %d", c.label, open, v), v, req)
			}
		}
		x.end(fmt.Sprint("end the open one, version ", v), v, v%2 == 0)
	})
}

func produceErrors(x *transact, t target) {
	batch := func(pid int64, epoch int16, seq int32, attributes int16) []byte {
		return script.Batch{Base: x.s.Base, Records: script.Values("v"), Attributes: attributes}.Producer(pid, epoch, seq).Encode()
	}
	const transactional, control = 0x10, 0x20
	each(x.s, kmsg.Produce, func(v int16) {
		if v < 3 {
			return
		}
		for _, c := range []struct {
			label string
			id    *string
			acks  int16
			bytes []byte
		}{
			{"no id", nil, -1, batch(x.pid, x.epoch, 0, transactional)},
			{"empty id", ptr(""), -1, batch(x.pid, x.epoch, 0, transactional)},
			{"unknown id", ptr("txn-errors-nobody"), -1, batch(x.pid, x.epoch, 0, transactional)},
			{"stranger", &x.id, -1, batch(x.pid+1000, 0, 0, transactional)},
			{"older epoch", &x.id, -1, batch(x.pid, x.epoch-1, 0, transactional)},
			{"later epoch", &x.id, -1, batch(x.pid, x.epoch+1, 0, transactional)},
			{"acks of the leader", &x.id, 1, batch(x.pid, x.epoch, 9, transactional)},
			{"no producer", &x.id, -1, batch(-1, -1, -1, transactional)},
			{"marker of a client", &x.id, -1, batch(x.pid, x.epoch, 0, transactional|control)},
			{"marker outside of transactions", nil, -1, batch(x.pid, x.epoch, 0, control)},
		} {
			req := produceReq(t, c.acks, c.bytes)
			req.TransactionID = c.id
			x.s.Ask(fmt.Sprintf("produce: %s, version %d", c.label, v), v, req)
		}
	})
	two := produceReq(t, -1, batch(x.pid, x.epoch, 0, transactional))
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = 1, batch(x.pid+1, x.epoch, 0, transactional)
	two.Topics[0].Partitions = append(two.Topics[0].Partitions, p)
	two.TransactionID = &x.id
	x.s.Ask("produce: two producers", 12, two)
	x.describe("after refused batches")
}

func askErrors(x *transact, t target) {
	each(x.s, kmsg.ListTransactions, func(v int16) {
		for _, state := range []string{"", "Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence", "empty"} {
			req := kmsg.NewPtrListTransactionsRequest()
			req.DurationFilterMillis, req.TransactionalIDPattern = -1, ptr("txn-errors")
			req.StateFilters, req.ProducerIDFilters = []string{state}, []int64{x.pid}
			x.s.Ask(fmt.Sprintf("list: state %q, version %d", state, v), v, req)
		}
	})
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{
		{Topic: t.name, Partitions: []int32{7, -1}}, {Topic: "txn-errors-missing", Partitions: []int32{0}}, {Topic: "", Partitions: []int32{0}}, {Topic: "not a name", Partitions: []int32{0}},
	}
	x.s.Ask("producers of what is not there", 0, req)
	each(x.s, kmsg.WriteTxnMarkers, func(v int16) {
		req := kmsg.NewPtrWriteTxnMarkersRequest()
		for _, c := range []struct {
			name        string
			coordinator int32
		}{{t.name, 0}, {"txn-errors-missing", 0}, {"__consumer_offsets", 0}, {t.name, -1}} {
			m := kmsg.NewWriteTxnMarkersRequestMarker()
			m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch = 123456, 0, c.coordinator
			m.Topics = []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: c.name, Partitions: []int32{1, 77}}}
			req.Markers = []kmsg.WriteTxnMarkersRequestMarker{m}
			x.s.Ask(fmt.Sprintf("marker for %s of coordinator epoch %d, version %d", c.name, c.coordinator, v), v, req)
		}
		req.Markers = nil
		x.s.Ask(fmt.Sprint("no markers, version ", v), v, req)
	})
}
