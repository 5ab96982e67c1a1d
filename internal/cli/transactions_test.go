package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// transactingBroker leads partitions 0 and 1 of "paid" and coordinates the transactional ids "mine", whose transaction is open in
// partition 0, and "over". Producers 1 (of "mine"), 2 (of "over") and 3 (of nobody) have transactions open in both partitions.
func transactingBroker(t *testing.T) *fakeBroker {
	t.Helper()
	b := newFakeBroker(t)
	b.on(kmsg.NewPtrMetadataRequest(), func(kmsg.Request) kmsg.Response {
		resp := b.metadata(1)
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = kmsg.StringPtr("paid")
		for i := range int32(2) {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader, p.Replicas = i, 1, []int32{1}
			topic.Partitions = append(topic.Partitions, p)
		}
		resp.Topics = append(resp.Topics, topic)
		return resp
	})
	b.on(kmsg.NewPtrFindCoordinatorRequest(), func(r kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrFindCoordinatorResponse()
		for _, key := range r.(*kmsg.FindCoordinatorRequest).CoordinatorKeys {
			c := kmsg.NewFindCoordinatorResponseCoordinator()
			c.Key, c.NodeID, c.Host, c.Port = key, 1, b.host, b.port
			resp.Coordinators = append(resp.Coordinators, c)
		}
		return resp
	})
	b.on(kmsg.NewPtrListTransactionsRequest(), func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrListTransactionsResponse()
		resp.TransactionStates = []kmsg.ListTransactionsResponseTransactionState{{TransactionalID: "mine", ProducerID: 1, TransactionState: "Ongoing"},
			{TransactionalID: "over", ProducerID: 2, TransactionState: "CompleteCommit"}}
		return resp
	})
	b.on(kmsg.NewPtrDescribeTransactionsRequest(), func(r kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrDescribeTransactionsResponse()
		for _, id := range r.(*kmsg.DescribeTransactionsRequest).TransactionalIDs {
			s := kmsg.NewDescribeTransactionsResponseTransactionState()
			s.TransactionalID, s.TimeoutMillis, s.StartTimestamp = id, 60_000, -1
			switch id {
			case "mine":
				topic := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
				topic.Topic, topic.Partitions = "paid", []int32{0}
				s.ProducerID, s.ProducerEpoch, s.State, s.Topics = 1, 4, "Ongoing", append(s.Topics, topic)
			case "over":
				s.ProducerID, s.ProducerEpoch, s.State = 2, 5, "CompleteCommit"
			default:
				s.ErrorCode = int16(wire.TransactionalIdNotFound)
			}
			resp.TransactionStates = append(resp.TransactionStates, s)
		}
		return resp
	})
	b.on(kmsg.NewPtrDescribeProducersRequest(), func(r kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrDescribeProducersResponse()
		for _, rt := range r.(*kmsg.DescribeProducersRequest).Topics {
			topic := kmsg.NewDescribeProducersResponseTopic()
			topic.Topic = rt.Topic
			for _, index := range rt.Partitions {
				p := kmsg.NewDescribeProducersResponseTopicPartition()
				p.Partition = index
				for id := range int64(3) {
					p.ActiveProducers = append(p.ActiveProducers, kmsg.DescribeProducersResponseTopicPartitionActiveProducer{ProducerID: id + 1, ProducerEpoch: 4, LastSequence: 9,
						LastTimestamp: time.Now().Add(-time.Hour).UnixMilli(), CoordinatorEpoch: -1, CurrentTxnStartOffset: 100 + id})
				}
				topic.Partitions = append(topic.Partitions, p)
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp
	})
	b.on(kmsg.NewPtrWriteTxnMarkersRequest(), func(r kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrWriteTxnMarkersResponse()
		for _, m := range r.(*kmsg.WriteTxnMarkersRequest).Markers {
			out := kmsg.NewWriteTxnMarkersResponseMarker()
			out.ProducerID = m.ProducerID
			for _, mt := range m.Topics {
				topic := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
				topic.Topic = mt.Topic
				for _, index := range mt.Partitions {
					p := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
					p.Partition = index
					topic.Partitions = append(topic.Partitions, p)
				}
				out.Topics = append(out.Topics, topic)
			}
			resp.Markers = append(resp.Markers, out)
		}
		return resp
	})
	return b
}

// cells are the words of a table's lines, its head left out.
func cells(out string) (rows []string) {
	for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if i > 0 {
			rows = append(rows, strings.Join(strings.Fields(line), " "))
		}
	}
	return rows
}

func TestTransactionsTool(t *testing.T) {
	b := transactingBroker(t)
	run := func(args ...string) result {
		return runTool(t, func() Command { return newTransactionsTool() }, "", append([]string{"--bootstrap-server", b.addr}, args...)...)
	}
	is := func(r result, exit int, rows ...string) {
		t.Helper()
		if got := cells(r.stdout); r.exit != exit || strings.Join(got, "|") != strings.Join(rows, "|") {
			t.Errorf("rows %q, want %q\n%s", got, rows, r)
		}
	}
	is(run("list"), 0, "mine 1 1 Ongoing", "over 1 2 CompleteCommit")
	is(run("describe", "--transactional-id", "mine"), 0, "1 mine 1 4 Ongoing 60000 None None paid-0")
	is(run("describe", "--transactional-id", "over"), 0, "1 over 2 5 CompleteCommit 60000 None None")
	is(run("abort", "--topic", "paid", "--partition", "1", "--start-offset", "102"), 0)
	m := b.requests(kmsg.NewPtrWriteTxnMarkersRequest())
	if len(m) != 1 {
		t.Fatalf("%d requests for markers", len(m))
	}
	if x := m[0].(*kmsg.WriteTxnMarkersRequest).Markers[0]; x.ProducerID != 3 || x.ProducerEpoch != 4 || x.Committed || x.CoordinatorEpoch != 0 || x.TransactionVersion != 0 {
		t.Errorf("marker %+v", x)
	}
	// Known to no coordinator, known with another partition, and known to be over: those hang.
	var hanging []string
	for _, row := range cells(run("find-hanging", "--topic", "paid").stdout) {
		f := strings.Fields(row)
		hanging = append(hanging, f[0]+"-"+f[1]+" of "+f[2]+" at "+f[5]+" for "+f[7])
	}
	want := "paid-0 of 2 at 101 for 60|paid-0 of 3 at 102 for 60|paid-1 of 1 at 100 for 60|paid-1 of 2 at 101 for 60|paid-1 of 3 at 102 for 60"
	if got := strings.Join(hanging, "|"); got != want {
		t.Errorf("hanging %s, want %s", got, want)
	}
	is(run("find-hanging", "--topic", "paid", "--max-transaction-timeout", "90"), 0)
	tries := 0
	b.on(kmsg.NewPtrInitProducerIDRequest(), func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrInitProducerIDResponse()
		if tries++; tries == 1 {
			resp.ErrorCode = int16(wire.ConcurrentTransactions)
		}
		return resp
	})
	is(run("forceTerminateTransaction", "--transactionalId", "mine"), 0)
	if tries != 2 {
		t.Errorf("%d tries", tries)
	}
	for message, args := range map[string][]string{
		"knows no transactional id `none`":         {"describe", "--transactional-id", "none"},
		"No open transaction begins at offset 7":   {"abort", "--topic", "paid", "--partition", "1", "--start-offset", "7"},
		"either by --start-offset":                 {"abort", "--topic", "paid", "--partition", "1"},
		"either by --start-offset, or":             {"abort", "--topic", "paid", "--partition", "1", "--start-offset", "1", "--producer-id", "1"},
		"With --producer-id goes --producer-epoch": {"abort", "--topic", "paid", "--partition", "1", "--producer-id", "1"},
		"goes --coordinator-epoch":                 {"abort", "--topic", "paid", "--partition", "1", "--producer-id", "1", "--producer-epoch", "0"},
		"With --partition goes --topic":            {"find-hanging", "--partition", "1"},
		"Say where to look":                        {"find-hanging"},
	} {
		if r := run(args...); r.exit != 1 || !strings.Contains(r.stdout+r.stderr, message) {
			t.Errorf("%v: no %q in\n%s", args, message, r)
		}
	}
}
