package scenarios

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// transact asks for one transactional id.
type transact struct {
	s     *script.Session
	id    string
	pid   int64
	epoch int16
	seq   int32
}

// newTransact makes the id's coordinator answer, waits for its topic, and takes a producer.
func newTransact(s *script.Session, id string) *transact {
	x := &transact{s: s, id: id}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorType, find.CoordinatorKey, find.CoordinatorKeys = 1, id, []string{id}
	s.Until("there is a coordinator", func() bool {
		resp, ok := s.Quiet(4, find).(*kmsg.FindCoordinatorResponse)
		return ok && resp.Coordinators[0].ErrorCode == 0
	})
	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID, init.TransactionTimeoutMillis, init.ProducerID, init.ProducerEpoch = &id, 60000, -1, -1
	s.Until("the id is loaded", func() bool {
		resp, ok := s.Quiet(4, init).(*kmsg.InitProducerIDResponse)
		return ok && resp.ErrorCode == 0
	})
	x.init("first producer", 4, nil)
	return x
}

func (x *transact) init(label string, v int16, edit func(*kmsg.InitProducerIDRequest)) int16 {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = &x.id, 60000, -1, -1
	if edit != nil {
		edit(req)
	}
	resp, ok := x.s.Ask(label, v, req).(*kmsg.InitProducerIDResponse)
	if !ok {
		return -1
	}
	if resp.ErrorCode == 0 {
		x.pid, x.epoch, x.seq = resp.ProducerID, resp.ProducerEpoch, 0
	}
	return resp.ErrorCode
}

func (x *transact) add(label string, v int16, t target, pid int64, epoch int16, parts ...int32) {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = x.id, pid, epoch
	rt := kmsg.NewAddPartitionsToTxnRequestTopic()
	rt.Topic, rt.Partitions = t.name, parts
	req.Topics = append(req.Topics, rt)
	x.s.Ask(label, v, req)
}

func (x *transact) verify(label string, t target, only bool, parts ...int32) {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	rt := kmsg.NewAddPartitionsToTxnRequestTransaction()
	rt.TransactionalID, rt.ProducerID, rt.ProducerEpoch, rt.VerifyOnly = x.id, x.pid, x.epoch, only
	topic := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
	topic.Topic, topic.Partitions = t.name, parts
	rt.Topics = append(rt.Topics, topic)
	req.Transactions = append(req.Transactions, rt)
	x.s.Ask(label, 5, req)
}

func (x *transact) produce(label string, v int16, t target, values ...string) {
	x.produceAs(label, v, t, x.epoch, x.seq, values...)
	x.seq += int32(len(values))
}

func (x *transact) produceAs(label string, v int16, t target, epoch int16, seq int32, values ...string) {
	b := script.Batch{Base: x.s.Base, Records: script.Values(values...), Attributes: 0x10}.Producer(x.pid, epoch, seq)
	req := produceReq(t, -1, b.Encode())
	req.TransactionID = &x.id
	x.s.Ask(label, v, req)
}

func (x *transact) end(label string, v int16, commit bool) { x.endAs(label, v, commit, x.pid, x.epoch) }

func (x *transact) endAs(label string, v int16, commit bool, pid int64, epoch int16) {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = x.id, pid, epoch, commit
	resp, ok := x.s.Ask(label, v, req).(*kmsg.EndTxnResponse)
	if ok && resp.ErrorCode == 0 && v >= 5 {
		if x.epoch != resp.ProducerEpoch {
			x.seq = 0
		}
		x.pid, x.epoch = resp.ProducerID, resp.ProducerEpoch
	}
	x.settle()
}

// settle waits until no markers are under way.
func (x *transact) settle() {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{x.id}
	x.s.Until("the transaction has ended", func() bool {
		resp, ok := x.s.Quiet(0, req).(*kmsg.DescribeTransactionsResponse)
		return ok && resp.TransactionStates[0].State != "PrepareCommit" && resp.TransactionStates[0].State != "PrepareAbort"
	})
}

func (x *transact) describe(label string) {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{x.id}
	x.s.Ask(label, 0, req)
}

func (x *transact) see(label string, t target) {
	for _, level := range []int8{0, 1} {
		req := fetchReq(t, 0)
		req.MinBytes, req.IsolationLevel = 0, level
		x.s.Ask(fmt.Sprint(label, ", isolation level ", level), 12, req)
		ends := kmsg.NewPtrListOffsetsRequest()
		ends.ReplicaID, ends.IsolationLevel = -1, level
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = t.name
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp, p.CurrentLeaderEpoch = -1, -1
		rt.Partitions = append(rt.Partitions, p)
		ends.Topics = append(ends.Topics, rt)
		x.s.Ask(fmt.Sprint(label, ", end at isolation level ", level), 6, ends)
	}
	req := kmsg.NewPtrDescribeProducersRequest()
	p := kmsg.NewDescribeProducersRequestTopic()
	p.Topic, p.Partitions = t.name, []int32{0}
	req.Topics = append(req.Topics, p)
	x.s.Ask(label+", producers", 0, req)
}

// transactionsOld are those of clients before transactions V2.
func transactionsOld(s *script.Session) {
	t, u := createTarget(s, "txn-old", 2), createTarget(s, "txn-old-other", 1)
	x := newTransact(s, "txn-old")
	x.describe("new")
	x.produce("before it is added", 9, t, "x")
	x.produce("before it is added, 11", 11, t, "x")
	x.seq = 0
	each(s, kmsg.AddPartitionsToTxn, func(v int16) {
		if v < 4 {
			x.add(fmt.Sprint("add, version ", v), v, t, x.pid, x.epoch, 0)
			x.add(fmt.Sprint("add what is not there, version ", v), v, t, x.pid, x.epoch, 0, 7)
			x.add(fmt.Sprint("add of another producer, version ", v), v, t, x.pid+1000, x.epoch, 0)
			x.add(fmt.Sprint("add of an older epoch, version ", v), v, t, x.pid, x.epoch-1, 0)
		}
	})
	x.describe("ongoing")
	x.verify("verify", t, true, 0, 1, 7)
	x.verify("verify what was not added", u, true, 0)
	x.produce("first", 9, t, "a", "b")
	x.produceAs("again", 9, t, x.epoch, 0, "a", "b")
	x.produce("second", 9, t, "c")
	x.see("open", t)
	x.endAs("end of another producer", 3, true, x.pid+1000, x.epoch)
	x.endAs("end of an older epoch", 1, true, x.pid, x.epoch-1)
	x.endAs("end of an older epoch, 3", 3, true, x.pid, x.epoch-1)
	x.endAs("end of a higher epoch", 3, true, x.pid, x.epoch+1)
	x.end("commit", 3, true)
	x.end("commit again", 3, true)
	x.end("abort what is committed", 3, false)
	x.describe("committed")
	x.see("committed", t)
	x.produce("after the end", 9, t, "x")
	x.seq--
	x.add("next", 3, t, x.pid, x.epoch, 0)
	x.produce("third", 9, t, "d")
	x.end("abort", 4, false)
	x.end("abort again", 4, false)
	x.end("commit what is aborted", 4, true)
	x.see("aborted", t)
	x.add("next is open", 3, t, x.pid, x.epoch, 0)
	x.produce("fourth", 9, t, "e")
	old := *x
	x.init("another producer while one is open", 4, nil)
	x.settle()
	old.produce("of the fenced one", 9, t, "z")
	old.add("add of the fenced one, 1", 1, t, old.pid, old.epoch, 0)
	old.add("add of the fenced one, 3", 3, t, old.pid, old.epoch, 0)
	x.init("another producer", 4, nil)
	x.describe("another producer")
	x.see("fenced", t)
	pid, epoch := x.pid, x.epoch
	x.init("raise", 4, func(r *kmsg.InitProducerIDRequest) { r.ProducerID, r.ProducerEpoch = pid, epoch })
	x.init("raise again", 4, func(r *kmsg.InitProducerIDRequest) { r.ProducerID, r.ProducerEpoch = pid, epoch })
	x.init("raise from long ago, 3", 3, func(r *kmsg.InitProducerIDRequest) { r.ProducerID, r.ProducerEpoch = pid, epoch-2 })
	x.init("raise from long ago, 4", 4, func(r *kmsg.InitProducerIDRequest) { r.ProducerID, r.ProducerEpoch = pid, epoch-2 })
	x.init("raise of a stranger", 4, func(r *kmsg.InitProducerIDRequest) { r.ProducerID, r.ProducerEpoch = pid+1000, epoch })
	x.init("half of a producer", 4, func(r *kmsg.InitProducerIDRequest) { r.ProducerID = pid })
	for _, ms := range []int32{0, -1, 900001, 900000} {
		x.init(fmt.Sprint("time-out ", ms), 4, func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = ms })
	}
	x.end("abort without a transaction", 3, false)
	x.end("commit without a transaction", 3, true)
}

// transactionsV2 are those in which the epoch rises each time (KIP-890).
func transactionsV2(s *script.Session) {
	t := createTarget(s, "txn-v2", 2)
	x := newTransact(s, "txn-v2")
	x.produce("first", 12, t, "a", "b")
	x.describe("ongoing")
	x.produce("second", 12, t, "c")
	x.see("open", t)
	before := *x
	x.end("commit", 5, true)
	again := before
	again.end("commit again", 5, true)
	again = before
	again.end("abort what is committed", 5, false)
	x.describe("committed")
	x.see("committed", t)
	before.produce("of the transaction before", 12, t, "z")
	x.produceAs("a gap", 12, t, x.epoch, 3, "x")
	x.produce("third", 12, t, "d")
	again = *x
	x.end("abort", 5, false)
	again.end("abort again", 5, false)
	x.see("aborted", t)
	x.end("abort without a transaction", 5, false)
	x.end("commit without a transaction", 5, true)
	x.describe("after it")
	x.produce("fourth", 12, t, "e")
	fenced := *x
	x.init("another producer while one is open", 5, nil)
	x.settle()
	fenced.produce("of the fenced one", 12, t, "z")
	fenced.end("end of the fenced one", 5, true)
	x.init("another producer", 5, nil)
	x.end("abort of a new one", 5, false)
	x.see("fenced", t)
	plain := script.Batch{Base: s.Base, Records: script.Values("plain")}
	s.Ask("a plain batch", 9, produceReq(t, -1, plain.Encode()))
	stranger := *x
	stranger.pid += 1000
	stranger.produce("of a stranger", 12, t, "z")
	nobody := *x
	nobody.id = "txn-nobody"
	nobody.produce("of an unknown id", 12, t, "z")
	nobody.endAs("end of an unknown id", 5, true, x.pid, x.epoch)
	nobody.describe("unknown id")
}

// transactionsOffsets commits offsets of a group in transactions.
func transactionsOffsets(s *script.Session) {
	t := createTarget(s, "txn-offsets", 2)
	x := newTransact(s, "txn-offsets")
	group := "txn-offsets-group"
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{group}
	s.Until("the group has a coordinator", func() bool {
		resp, ok := s.Quiet(4, find).(*kmsg.FindCoordinatorResponse)
		return ok && resp.Coordinators[0].ErrorCode == 0
	})
	loaded := kmsg.NewPtrOffsetFetchRequest()
	of := kmsg.NewOffsetFetchRequestGroup()
	of.Group, of.MemberEpoch = group, -1
	loaded.Groups = append(loaded.Groups, of)
	s.Until("the group is loaded", func() bool {
		resp, ok := s.Quiet(8, loaded).(*kmsg.OffsetFetchResponse)
		return ok && resp.Groups[0].ErrorCode == 0
	})
	commit := func(label string, v int16, offset int64, edit func(*kmsg.TxnOffsetCommitRequest)) {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = x.id, group, x.pid, x.epoch, -1
		rt := kmsg.NewTxnOffsetCommitRequestTopic()
		rt.Topic = t.name
		for _, index := range []int32{0, 1, 7} {
			p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = index, offset, -1, ptr("m")
			rt.Partitions = append(rt.Partitions, p)
		}
		req.Topics = append(req.Topics, rt)
		if edit != nil {
			edit(req)
		}
		s.Ask(label, v, req)
	}
	fetch := func(label string) {
		for _, stable := range []bool{false, true} {
			req := kmsg.NewPtrOffsetFetchRequest()
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group, g.MemberEpoch = group, -1
			gt := kmsg.NewOffsetFetchRequestGroupTopic()
			gt.Topic, gt.Partitions = t.name, []int32{0, 1}
			g.Topics = append(g.Topics, gt)
			req.Groups, req.RequireStable = append(req.Groups, g), stable
			s.Ask(fmt.Sprint(label, ", stable ", stable), 8, req)
		}
	}
	commit("before the group is added", 3, 1, nil)
	addOffsets := func(label string, v int16, pid int64) {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = x.id, group, pid, x.epoch
		s.Ask(label, v, req)
	}
	each(s, kmsg.AddOffsetsToTxn, func(v int16) {
		addOffsets(fmt.Sprint("add offsets, version ", v), v, x.pid)
		addOffsets(fmt.Sprint("add offsets of a stranger, version ", v), v, x.pid+1000)
	})
	x.describe("offsets are added")
	for v := int16(0); v < 5; v++ {
		commit(fmt.Sprint("commit, version ", v), v, int64(v), nil)
	}
	commit("of a generation", 4, 9, func(r *kmsg.TxnOffsetCommitRequest) { r.Generation, r.MemberID = 3, "m" })
	commit("of an older epoch", 4, 9, func(r *kmsg.TxnOffsetCommitRequest) { r.ProducerEpoch-- })
	fetch("open")
	x.end("commit", 4, true)
	s.Until("the offsets are stable", func() bool { return true })
	fetch("committed")
	commit("version 5 adds", 5, 20, nil)
	x.describe("added by the commit")
	fetch("open again")
	x.end("abort", 5, false)
	fetch("aborted")
	commit("once more", 5, 30, nil)
	x.end("commit with a raise", 5, true)
	fetch("committed again")
}

// transactionsAdmin lists and ends transactions from outside.
func transactionsAdmin(s *script.Session) {
	t := createTarget(s, "txn-admin", 1)
	x := newTransact(s, "txn-admin")
	list := func(label string, v int16, edit func(*kmsg.ListTransactionsRequest)) {
		req := kmsg.NewPtrListTransactionsRequest()
		req.DurationFilterMillis = -1
		req.TransactionalIDPattern = ptr("txn-adm.*")
		if edit != nil {
			edit(req)
		}
		s.Ask(label, v, req)
	}
	list("all", 2, nil)
	x.produce("first", 12, t, "a")
	list("by state", 2, func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Ongoing", "Nonsense"} })
	list("by another state", 2, func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Empty"} })
	list("by producer", 2, func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{x.pid} })
	list("by another producer", 2, func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{x.pid + 1000} })
	list("by a long duration", 2, func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = 1000000 })
	list("by part of a pattern", 2, func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = ptr("txn-adm") })
	list("by a bad pattern", 2, func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = ptr("(") })
	list("by an empty pattern and no such producer", 2, func(r *kmsg.ListTransactionsRequest) {
		r.TransactionalIDPattern, r.ProducerIDFilters = ptr(""), []int64{x.pid + 1000}
	})
	marker := func(label string, v int16, epoch int16, coordinator int32, commit bool, parts ...int32) {
		req := kmsg.NewPtrWriteTxnMarkersRequest()
		m := kmsg.NewWriteTxnMarkersRequestMarker()
		m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch, m.Committed = x.pid, epoch, coordinator, commit
		mt := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
		mt.Topic, mt.Partitions = t.name, parts
		m.Topics = append(m.Topics, mt)
		req.Markers = append(req.Markers, m)
		s.Ask(label, v, req)
	}
	marker("marker of an older epoch", 1, x.epoch-1, 0, false, 0)
	marker("marker for what is not there", 1, x.epoch, 0, false, 7)
	marker("marker of this epoch", 1, x.epoch, 5, false, 0)
	marker("marker of an older coordinator", 1, x.epoch, 4, false, 0)
	x.see("ended from outside", t)
	empty := kmsg.NewPtrDescribeTransactionsRequest()
	empty.TransactionalIDs = []string{"", "txn-none", "txn-admin"}
	s.Ask("describe many", 0, empty)
}
