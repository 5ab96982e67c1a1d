package txn

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// asked is what Verify of a coordinator answers.
func (x *rig) verify(id string, p Producer, parts ...log.TopicPartition) (codes []wire.Code) {
	x.c.Verify(id, p, parts, func(c []wire.Code) { codes = c })
	synctest.Wait()
	return codes
}

func TestVerify(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		p := x.init("x", 60_000, nil).ok(t)
		is := func(what string, got []wire.Code, want ...wire.Code) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		is("no id", x.verify("", p, tps("t", 0, 1)...), wire.InvalidRequest, wire.InvalidRequest)
		is("an id that is not there", x.verify("y", p, tps("t", 0)...), wire.InvalidProducerIdMapping)
		is("before the transaction", x.verify("x", p, tps("t", 0)...), wire.TransactionAbortable)
		x.add("x", p, tps("t", 0, 2)...).ok(t)
		is("some partitions", x.verify("x", p, tps("t", 0, 1, 2)...), wire.None, wire.TransactionAbortable, wire.None)
		is("another topic", x.verify("x", p, tps("u", 0)...), wire.TransactionAbortable)
		is("another producer", x.verify("x", Producer{p.ID + 1, p.Epoch}, tps("t", 0)...), wire.InvalidProducerIdMapping)
		is("an older epoch", x.verify("x", Producer{p.ID, p.Epoch - 1}, tps("t", 0)...), wire.ProducerFenced)
		is("a later epoch", x.verify("x", Producer{p.ID, p.Epoch + 1}, tps("t", 0)...), wire.ProducerFenced)
		x.logs.Log(0).Hold()
		x.c.AddPartitions("x", p, tps("t", 1), 2, func(wire.Code) {})
		synctest.Wait()
		is("while more is added", x.verify("x", p, tps("t", 0, 1)...), wire.None, wire.TransactionAbortable)
		x.logs.Log(0).Release()
		synctest.Wait()
		is("when more was added", x.verify("x", p, tps("t", 0, 1)...), wire.None, wire.None)
		x.mu.Lock()
		x.leader = func(log.TopicPartition) (int32, bool) { return -1, true }
		x.mu.Unlock()
		now := x.end("x", p, true).ok(t)
		is("while it ends", x.verify("x", now, tps("t", 0)...), wire.ConcurrentTransactions)
		is("of before, while it ends", x.verify("x", p, tps("t", 0)...), wire.ProducerFenced)
		x.mu.Lock()
		x.leader = func(log.TopicPartition) (int32, bool) { return 1, true }
		x.mu.Unlock()
		pass(2 * time.Second)
		is("when it has ended", x.verify("x", now, tps("t", 0)...), wire.TransactionAbortable)
		x.c.Resigned(0, -1)
		synctest.Wait()
		is("elsewhere", x.verify("x", now, tps("t", 0)...), wire.NotCoordinator)
	})
}

// TestQuestionsInTheWordsOfTheirClients: what a coordinator says is told to producers as they know it.
func TestQuestionsInTheWordsOfTheirClients(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		v := NewVerifier(x.c, telemetry.New(telemetry.Options{}))
		p := x.init("x", 60_000, nil).ok(t)
		x.add("x", p, tps("t", 0)...).ok(t)
		ask := func(p Producer, s Support, parts ...log.TopicPartition) (codes []wire.Code) {
			v.Verify("x", p, parts, s, func(c []wire.Code) { codes = c })
			synctest.Wait()
			return codes
		}
		for _, c := range []struct {
			what  string
			p     Producer
			s     Support
			parts []log.TopicPartition
			want  []wire.Code
		}{
			{"verified", p, SupportsNothing, tps("t", 0), []wire.Code{wire.None}},
			{"old client", p, SupportsNothing, tps("t", 0, 1), []wire.Code{wire.None, wire.InvalidTxnState}},
			{"client that can abort", p, SupportsAbortable, tps("t", 1, 0), []wire.Code{wire.TransactionAbortable, wire.None}},
			{"fenced", Producer{p.ID, p.Epoch - 1}, SupportsAbortable, tps("t", 0), []wire.Code{wire.InvalidProducerEpoch}},
			{"fenced, new client", Producer{p.ID, p.Epoch - 1}, SupportsAdding, tps("t", 0), []wire.Code{wire.InvalidProducerEpoch}},
			{"added", p, SupportsAdding, tps("t", 7), []wire.Code{wire.None}},
		} {
			if got := ask(c.p, c.s, c.parts...); !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", c.what, got, c.want)
			}
		}
		if n := v.failures.Load(); n != 4 {
			t.Errorf("%d failures", n)
		}
		if got := x.verify("x", p, tps("t", 7)...); got[0] != wire.None {
			t.Error("a partition that was written to is in the transaction")
		}
		x.mu.Lock()
		x.leader = func(log.TopicPartition) (int32, bool) { return -1, true }
		x.mu.Unlock()
		if got := ask(p, SupportsAdding, tps("t", 0, 1)...); !slices.Equal(got, []wire.Code{wire.CoordinatorNotAvailable, wire.CoordinatorNotAvailable}) {
			t.Errorf("without a coordinator: %v", got)
		}
	})
}

// TestQuestionWaitsForTheTransactionBefore: a client of transactions V2 writes for its next transaction while the markers of the
// one before are under way.
func TestQuestionWaitsForTheTransactionBefore(t *testing.T) {
	for _, c := range []struct {
		markers time.Duration
		want    wire.Code
	}{{50 * time.Millisecond, wire.None}, {10 * time.Second, wire.ConcurrentTransactions}} {
		inRig(t, func(t *testing.T, x *rig) {
			v := NewVerifier(x.c, telemetry.New(telemetry.Options{}))
			p := x.init("x", 60_000, nil).ok(t)
			x.add("x", p, tps("t", 0)...).ok(t)
			from := time.Now().Add(c.markers)
			x.mu.Lock()
			x.mark = func(*kmsg.WriteTxnMarkersRequestMarker, log.TopicPartition) wire.Code {
				if time.Now().Before(from) {
					return wire.NotLeaderOrFollower
				}
				return wire.None
			}
			x.mu.Unlock()
			now := x.end("x", p, true).ok(t)
			var codes []wire.Code
			v.Verify("x", now, tps("t", 0), SupportsAdding, func(c []wire.Code) { codes = c })
			pass(time.Second)
			if !slices.Equal(codes, []wire.Code{c.want}) {
				t.Errorf("markers after %v: %v, want %v", c.markers, codes, c.want)
			}
		})
	}
}

// TestBrokersQuestions: a transaction is not touched if one of its partitions is not there.
func TestBrokersQuestions(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		p := x.init("x", 60_000, nil).ok(t)
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.Version = 5
		for _, parts := range [][]int32{{0, 1}, {0}} {
			one := kmsg.NewAddPartitionsToTxnRequestTransaction()
			one.TransactionalID, one.ProducerID, one.ProducerEpoch = "x", p.ID, p.Epoch
			topic := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
			topic.Topic, topic.Partitions = "t", parts
			one.Topics = append(one.Topics, topic)
			req.Transactions = append(req.Transactions, one)
		}
		var resp *kmsg.AddPartitionsToTxnResponse
		x.c.AddForBrokers(req, func(tp log.TopicPartition) bool { return tp.Partition == 0 }, func(r *kmsg.AddPartitionsToTxnResponse) { resp = r })
		synctest.Wait()
		code := func(i, j int) wire.Code { return wire.Code(resp.Transactions[i].Topics[0].Partitions[j].ErrorCode) }
		if a, b, c := code(0, 0), code(0, 1), code(1, 0); a != wire.OperationNotAttempted || b != wire.UnknownTopicOrPartition || c != wire.None {
			t.Fatalf("%v %v %v", a, b, c)
		}
		if got := x.verify("x", p, tps("t", 0, 1)...); !slices.Equal(got, []wire.Code{wire.None, wire.TransactionAbortable}) {
			t.Fatalf("in the transaction: %v", got)
		}
	})
}
