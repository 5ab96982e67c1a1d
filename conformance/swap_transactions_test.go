//go:build conform

package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/kwire"
)

const (
	swapTxnTopic = "swap-transactions"
	swapTxnGroup = "swap-transactions-group"
)

// swapTxns speaks for transactional producers that outlive the broker they began with.
type swapTxns struct {
	t    *testing.T
	conn *kwire.Conn // to the broker that is there now
}

// swapTxn is one of them. With v2 it is a client of transactions V2 (KIP-890).
type swapTxn struct {
	*swapTxns
	id    string
	v2    bool
	pid   int64
	epoch int16
	seq   int32
}

func (s *swapTxns) connect(b *brokers.Broker) {
	s.t.Helper()
	c, err := kwire.Dial(b.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	s.conn = c
}

func (s *swapTxns) ask(v int16, req kmsg.Request) kmsg.Response {
	s.t.Helper()
	req.SetVersion(v)
	resp, err := s.conn.Request(req)
	if err != nil {
		s.t.Fatalf("%s: %v", kmsg.NameForKey(req.Key()), err)
	}
	return resp
}

// open makes an id's producer, with so much time for its transactions.
func (s *swapTxns) open(id string, v2 bool, timeout time.Duration) *swapTxn {
	s.t.Helper()
	x := &swapTxn{swapTxns: s, id: id, v2: v2}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorType, find.CoordinatorKeys = 1, []string{id}
	eventually(s.t, id+" has a coordinator", func() bool {
		return s.ask(4, find).(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode == 0
	})
	x.init(timeout)
	return x
}

func (x *swapTxn) init(timeout time.Duration) {
	x.t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = &x.id, int32(timeout.Milliseconds()), -1, -1
	eventually(x.t, x.id+" gets a producer id", func() bool {
		resp := x.ask(4, req).(*kmsg.InitProducerIDResponse)
		if resp.ErrorCode != 0 {
			return false
		}
		x.pid, x.epoch, x.seq = resp.ProducerID, resp.ProducerEpoch, 0
		return true
	})
}

// write adds a record to the open transaction, or begins one.
func (x *swapTxn) write(value string) {
	x.t.Helper()
	code := int16(0)
	eventually(x.t, x.id+" writes "+value, func() bool {
		code = x.tryWrite(value)
		return code == 0
	})
	x.seq++
}

func (x *swapTxn) tryWrite(value string) int16 {
	x.t.Helper()
	v := int16(12)
	if !x.v2 {
		v = 9
		add := kmsg.NewPtrAddPartitionsToTxnRequest()
		add.TransactionalID, add.ProducerID, add.ProducerEpoch = x.id, x.pid, x.epoch
		add.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: swapTxnTopic, Partitions: []int32{0}}}
		if code := x.ask(3, add).(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
			return code
		}
	}
	var b record.Builder
	b.SetProducer(x.pid, x.epoch, x.seq)
	b.SetTransactional()
	b.Append(time.Now().UnixMilli(), []byte(x.id), []byte(value))
	p, err := b.Build()
	if err != nil {
		x.t.Fatal(err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.TransactionID = -1, 10000, &x.id
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: swapTxnTopic, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: p}}}}
	return x.ask(v, req).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
}

// commitOffset makes an offset of the group part of the transaction.
func (x *swapTxn) commitOffset(offset int64) {
	x.t.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = x.id, swapTxnGroup, x.pid, x.epoch, -1
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset = offset
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: swapTxnTopic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{p}}}
	eventually(x.t, x.id+" commits an offset", func() bool {
		return x.ask(5, req).(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode == 0
	})
}

// end commits or aborts and waits until the markers are there.
func (x *swapTxn) end(commit bool) {
	x.t.Helper()
	v := int16(4)
	if x.v2 {
		v = 5
	}
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = x.id, x.pid, x.epoch, commit
	resp := x.ask(v, req).(*kmsg.EndTxnResponse)
	if resp.ErrorCode != 0 {
		x.t.Fatalf("%s: EndTxn: error %d", x.id, resp.ErrorCode)
	}
	if x.v2 {
		x.pid, x.epoch, x.seq = resp.ProducerID, resp.ProducerEpoch, 0
	}
	x.awaitState(map[bool]string{true: "CompleteCommit", false: "CompleteAbort"}[commit])
}

func (x *swapTxn) awaitState(want string) {
	x.t.Helper()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{x.id}
	eventually(x.t, x.id+" is "+want, func() bool {
		return x.ask(0, req).(*kmsg.DescribeTransactionsResponse).TransactionStates[0].State == want
	})
}

// state is all that tools show of the transactions and of who holds the topic back.
func (s *swapTxns) state(ids ...string) map[string]string {
	s.t.Helper()
	out := map[string]string{}
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = ids
	for _, st := range s.ask(0, req).(*kmsg.DescribeTransactionsResponse).TransactionStates {
		slices.SortFunc(st.Topics, func(a, b kmsg.DescribeTransactionsResponseTransactionStateTopic) int {
			return strings.Compare(a.Topic, b.Topic)
		})
		out["transaction "+st.TransactionalID] = fmt.Sprintf("%d %s timeout %d since %d, producer %d epoch %d, %v", st.ErrorCode, st.State, st.TimeoutMillis, st.StartTimestamp,
			st.ProducerID, st.ProducerEpoch, st.Topics)
	}
	producers := kmsg.NewPtrDescribeProducersRequest()
	producers.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: swapTxnTopic, Partitions: []int32{0}}}
	for _, p := range s.ask(0, producers).(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0].ActiveProducers {
		out[fmt.Sprint("producer ", p.ProducerID)] = fmt.Sprintf("epoch %d, last sequence %d at %d, coordinator epoch %d, open from %d", p.ProducerEpoch, p.LastSequence,
			p.LastTimestamp, p.CoordinatorEpoch, p.CurrentTxnStartOffset)
	}
	for _, level := range []int8{0, 1} {
		ends := kmsg.NewPtrListOffsetsRequest()
		ends.ReplicaID, ends.IsolationLevel = -1, level
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp, p.CurrentLeaderEpoch = -1, -1
		ends.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: swapTxnTopic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
		out[fmt.Sprint("end at isolation level ", level)] = fmt.Sprint(s.ask(6, ends).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].Offset)
	}
	return out
}

// offset is the group's committed offset, or the error of one that asks for what is stable.
func (s *swapTxns) offset() string {
	s.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: swapTxnGroup, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: swapTxnTopic, Partitions: []int32{0}}}}}
	p := s.ask(8, req).(*kmsg.OffsetFetchResponse).Groups[0].Topics[0].Partitions[0]
	return fmt.Sprint(p.ErrorCode, " ", p.Offset)
}

// swapCommitted reads all that a reader of committed records gets, until the mark that the test has written last.
func swapCommitted(t *testing.T, b *brokers.Broker, mark string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumeTopics(swapTxnTopic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out []string
	for !slices.Contains(out, mark) {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("after %v: %v", out, err)
		}
		f.EachRecord(func(r *kgo.Record) { out = append(out, string(r.Value)) })
	}
	return out
}

// TestSwapWithOpenTransactions lets Apache Kafka begin transactions, Weir end them and begin others, and Apache Kafka end those.
func TestSwapWithOpenTransactions(t *testing.T) {
	d := dist(t, kafkadist.Current)
	props := map[string]string{"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500", "transaction.state.log.num.partitions": "3"}
	dir := t.TempDir()
	s := &swapTxns{t: t}
	apache := start(t, brokers.Config{Dist: d, Heap: heap, Dir: dir, Props: props})
	swapMakeTopic(t, apache)
	s.connect(apache)
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{swapTxnGroup}
	eventually(t, "the group has a coordinator", func() bool {
		return s.ask(4, find).(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode == 0
	})
	ids := []string{"commits", "aborts", "old-commits", "old-aborts", "fenced", "late", "offsets", "done"}
	x := map[string]*swapTxn{}
	for _, id := range ids {
		timeout := 10 * time.Minute
		if id == "late" {
			timeout = 15 * time.Second
		}
		x[id] = s.open(id, !strings.HasPrefix(id, "old"), timeout)
	}
	x["done"].write("done")
	x["done"].end(true)
	x["done"].write("not done")
	x["done"].end(false)
	for _, id := range ids[:len(ids)-1] {
		x[id].write(id + " 1")
	}
	x["offsets"].commitOffset(5)
	before := s.state(ids...)
	if got := s.offset(); got != "88 -1" { // UNSTABLE_OFFSET_COMMIT
		t.Errorf("the offset is %s at first", got)
	}
	if err := apache.Stop(); err != nil {
		t.Fatal(err)
	}

	weir := start(t, brokers.Config{Binary: binary(t), Dir: dir, Props: props})
	s.connect(weir)
	s.loaded(ids)
	after := s.state(ids...)
	if x["late"].is("Ongoing") {
		same(t, "transactions", before, after)
	} else {
		t.Log("the late one was over before it could be looked at")
	}
	if got := s.offset(); got != "88 -1" {
		t.Errorf("the offset is %s after the swap", got)
	}
	for _, id := range []string{"commits", "old-commits", "offsets", "old-aborts"} {
		x[id].write(id + " 2")
	}
	x["commits"].end(true)
	x["old-commits"].end(true)
	x["aborts"].end(false)
	x["old-aborts"].end(false)
	x["offsets"].end(true)
	if got := s.offset(); got != "0 5" {
		t.Errorf("the offset is %s after the commit", got)
	}
	x["fenced"].init(10 * time.Minute)
	x["late"].awaitState("CompleteAbort")
	x["done"].write("done on weir")
	x["done"].end(true)
	want := []string{"done", "commits 1", "old-commits 1", "offsets 1", "commits 2", "old-commits 2", "offsets 2", "done on weir"}
	if got := swapCommitted(t, weir, "done on weir"); !slices.Equal(got, want) {
		t.Errorf("on Weir a reader got %q, want %q", got, want)
	}

	// And back: Weir's open transactions, with a group's offset, and one that nobody ends.
	back := []string{"commits", "aborts", "old-commits", "old-aborts", "offsets"}
	for _, id := range back {
		x[id].write(id + " on weir")
	}
	x["offsets"].commitOffset(7)
	late := s.open("late-back", true, 15*time.Second)
	late.write("late on weir")
	before = s.state(append(back, "late-back", "done")...)
	if err := weir.Stop(); err != nil {
		t.Fatal(err)
	}
	swapDumpTransactions(t, d, weir.DataDir(), append(ids, "late-back"))

	apache = start(t, brokers.Config{Dist: d, Heap: heap, Dir: dir, Props: props})
	s.connect(apache)
	s.loaded(ids)
	after = s.state(append(back, "late-back", "done")...)
	if late.is("Ongoing") {
		same(t, "transactions on the way back", before, after)
	} else {
		t.Log("the late one was over before it could be looked at")
	}
	for _, id := range back[:2] {
		x[id].write(id + " back")
	}
	x["commits"].end(true)
	x["aborts"].end(false)
	x["old-commits"].end(true)
	x["old-aborts"].end(false)
	x["offsets"].end(true)
	if got := s.offset(); got != "0 7" {
		t.Errorf("the offset is %s on the way back", got)
	}
	(&swapTxn{swapTxns: s, id: "late-back"}).awaitState("CompleteAbort")
	x["done"].write("done back")
	x["done"].end(true)
	want = append(want, "commits on weir", "old-commits on weir", "offsets on weir", "commits back", "done back")
	if got := swapCommitted(t, apache, "done back"); !slices.Equal(got, want) {
		t.Errorf("on the way back a reader got %q, want %q", got, want)
	}
}

func (x *swapTxn) is(state string) bool {
	x.t.Helper()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{x.id}
	return x.ask(0, req).(*kmsg.DescribeTransactionsResponse).TransactionStates[0].State == state
}

// loaded waits until the coordinators know the ids and the group.
func (s *swapTxns) loaded(ids []string) {
	s.t.Helper()
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = ids
	eventually(s.t, "transactions are loaded", func() bool {
		return !slices.ContainsFunc(s.ask(0, req).(*kmsg.DescribeTransactionsResponse).TransactionStates,
			func(st kmsg.DescribeTransactionsResponseTransactionState) bool { return st.ErrorCode != 0 })
	})
	eventually(s.t, "the group is loaded", func() bool {
		o := s.offset()
		return !strings.HasPrefix(o, "14 ") && !strings.HasPrefix(o, "16 ")
	})
}

func swapMakeTopic(t *testing.T, b *brokers.Broker) {
	t.Helper()
	c := swapClient(t, b.Addr)
	defer c.Close()
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 1, nil, swapTxnTopic); err != nil {
		t.Fatal(err)
	}
}

// swapDumpTransactions has Apache's dump-log read what Weir wrote of transactions.
func swapDumpTransactions(t *testing.T, d *kafkadist.Dist, dataDir string, ids []string) {
	t.Helper()
	out, code := tool(t, d, nil, "", "kafka-dump-log", "--transaction-log-decoder", "--files", glob(t, dataDir, "__transaction_state-*/*.log"))
	for _, bad := range []string{"Exception", "not valid", "corrupt", "isvalid: false"} {
		if strings.Contains(out, bad) {
			t.Errorf("dump-log of transactions says %q: %s", bad, around(out, bad))
		}
	}
	for _, id := range ids {
		if !strings.Contains(out, id) {
			t.Errorf("dump-log of transactions does not tell of %s: %s", id, out)
		}
	}
	if code != 0 {
		t.Errorf("dump-log of transactions: exit code %d", code)
	}
	files := strings.Join([]string{glob(t, dataDir, swapTxnTopic+"-0/*.log"), glob(t, dataDir, swapTxnTopic+"-0/*.snapshot"), glob(t, dataDir, swapTxnTopic+"-0/*.txnindex")}, ",")
	if out, code := tool(t, d, nil, "", "kafka-dump-log", "--deep-iteration", "--files", files); code != 0 || !strings.Contains(out, "endTxnMarker: ABORT") || strings.Contains(out, "Exception") {
		t.Errorf("dump-log of the topic: exit code %d: %s", code, out)
	}
}
