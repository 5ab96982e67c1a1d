package txn

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

const payments = "payments-7"

// inheriting runs f with a coordinator that has loaded a record of Apache Kafka's.
func inheriting(t *testing.T, name string, f func(*testing.T, *rig)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		inRig(t, func(t *testing.T, x *rig) {
			x.write(bytesOf(t, kafkaKey), kafkaValue(t, name))
			x.ahead = time.Until(time.UnixMilli(updatedMs)) + time.Hour
			x.again()
			f(t, x)
		})
	})
}

// onlyMarker is the one marker that was sent.
func (x *rig) onlyMarker(t *testing.T) kmsg.WriteTxnMarkersRequestMarker {
	t.Helper()
	if r := x.markers(); len(r) == 1 && len(r[0].Markers) == 1 {
		return r[0].Markers[0]
	}
	t.Fatalf("requests for markers: %+v", x.markers())
	panic("unreachable")
}

// TestNextCoordinatorGoesOn with what another has left in each state.
func TestNextCoordinatorGoesOn(t *testing.T) {
	inheriting(t, "Empty", func(t *testing.T, x *rig) {
		if got := x.state(payments); got != "Empty" {
			t.Fatalf("state %s", got)
		}
		x.end(payments, Producer{4001, 0}, true).is(t, wire.InvalidTxnState)
		x.add(payments, Producer{4001, 0}, tps("orders", 0)...).ok(t)
	})
	for _, name := range []string{"Ongoing", "Ongoing, version 0", "Ongoing of a client before transactions V2"} {
		inheriting(t, name, func(t *testing.T, x *rig) {
			// Its time was over long ago.
			pass(2 * time.Second)
			if got := x.state(payments); got != "CompleteAbort" {
				t.Fatalf("state %s", got)
			}
			m := x.onlyMarker(t)
			if m.ProducerID != 4001 || m.ProducerEpoch != 4 || m.Committed || m.CoordinatorEpoch != x.epoch || m.Topics[0].Topic != "orders" {
				t.Fatalf("marker %+v", m)
			}
			x.end(payments, Producer{4001, 3}, true).is(t, wire.InvalidTxnState)
			x.add(payments, Producer{4001, 3}, tps("orders", 0)...).is(t, wire.ProducerFenced)
		})
	}
	inheriting(t, "PrepareCommit", func(t *testing.T, x *rig) {
		if got := x.state(payments); got != "CompleteCommit" {
			t.Fatalf("state %s", got)
		}
		m := x.onlyMarker(t)
		if m.ProducerID != 4001 || m.ProducerEpoch != 4 || !m.Committed || m.CoordinatorEpoch != x.epoch || m.TransactionVersion != 2 || m.Topics[0].Topic != "__consumer_offsets" ||
			m.Topics[0].Partitions[0] != 49 {
			t.Fatalf("marker %+v", m)
		}
		if p := x.end(payments, Producer{4001, 3}, true).ok(t); p != (Producer{4001, 4}) {
			t.Fatalf("the answer that was lost: %+v", p)
		}
		x.end(payments, Producer{4001, 3}, false).is(t, wire.InvalidTxnState)
	})
	inheriting(t, "PrepareAbort with the next producer", func(t *testing.T, x *rig) {
		if got := x.state(payments); got != "CompleteAbort" {
			t.Fatalf("state %s", got)
		}
		if m := x.onlyMarker(t); m.ProducerID != 4001 || m.ProducerEpoch != 32767 || m.Committed {
			t.Fatalf("marker %+v", m)
		}
		if p := x.end(payments, Producer{4001, 32766}, false).ok(t); p != (Producer{5000, 0}) {
			t.Fatalf("the answer that was lost: %+v", p)
		}
		x.add(payments, Producer{5000, 0}, tps("orders", 0)...).ok(t)
	})
	inheriting(t, "PrepareAbort without partitions", func(t *testing.T, x *rig) {
		if got := x.state(payments); got != "CompleteAbort" || len(x.markers()) != 0 {
			t.Fatalf("state %s, %d requests", got, len(x.markers()))
		}
	})
	inheriting(t, "CompleteCommit", func(t *testing.T, x *rig) {
		if p := x.end(payments, Producer{4001, 3}, true).ok(t); p != (Producer{4001, 4}) {
			t.Fatalf("the answer that was lost: %+v", p)
		}
		x.end(payments, Producer{4001, 4}, true).is(t, wire.InvalidTxnState) // nothing to commit
		x.add(payments, Producer{4001, 4}, tps("orders", 0)...).ok(t)
	})
	inheriting(t, "CompleteAbort of the next producer", func(t *testing.T, x *rig) {
		if p := x.end(payments, Producer{4001, 32766}, false).ok(t); p != (Producer{5000, 0}) {
			t.Fatalf("the answer that was lost: %+v", p)
		}
		x.init(payments, 5000, &Producer{4001, 32765}).is(t, wire.ProducerFenced)
		if p := x.init(payments, 5000, &Producer{5000, 0}).ok(t); p != (Producer{5000, 1}) {
			t.Fatalf("producer %+v", p)
		}
	})
}

// TestDeadIdIsForgotten: what names an id dead leaves nothing of it, as a tombstone does.
func TestDeadIdIsForgotten(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		v := kafkaValue(t, "CompleteAbort of the next producer")
		v[16] = byte(stateDead)
		x.write(bytesOf(t, kafkaKey), v)
		x.again()
		if got := x.state(payments); got != "TRANSACTIONAL_ID_NOT_FOUND" {
			t.Fatalf("state %s", got)
		}
		x.add(payments, Producer{5000, 0}, tps("orders", 0)...).is(t, wire.InvalidProducerIdMapping)
		if p := x.init(payments, 5000, nil).ok(t); p != (Producer{101, 0}) {
			t.Fatalf("producer %+v", p)
		}
	})
}

// TestMarkersGoOnAfterAReload: those that were not written are sent by the next coordinator, under its epoch, and the one before
// sends no more.
func TestMarkersGoOnAfterAReload(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		p := x.init("x", 60_000, nil).ok(t)
		x.add("x", p, tps("t", 0, 1)...).ok(t)
		written := map[int32][]int32{} // by partition, the epochs of coordinators
		x.mu.Lock()
		x.mark = func(m *kmsg.WriteTxnMarkersRequestMarker, tp log.TopicPartition) wire.Code {
			if tp.Partition == 1 && m.CoordinatorEpoch == 1 {
				return wire.NotLeaderOrFollower
			}
			written[tp.Partition] = append(written[tp.Partition], m.CoordinatorEpoch)
			return wire.None
		}
		x.mu.Unlock()
		now := x.end("x", p, true).ok(t)
		pass(3 * time.Second)
		if got := x.state("x"); got != "PrepareCommit" || len(written[0]) != 1 || len(written[1]) != 0 {
			t.Fatalf("state %s, written %v", got, written)
		}
		if s := x.c.Stats(); s.PendingMarkers != 1 {
			t.Fatalf("stats %+v", s)
		}
		x.again()
		pass(time.Second)
		if got := x.state("x"); got != "CompleteCommit" || len(written[1]) != 1 || written[1][0] != 2 {
			t.Fatalf("state %s, written %v", got, written)
		}
		sent := len(x.markers())
		pass(10 * time.Second)
		if n := len(x.markers()); n != sent {
			t.Fatalf("%d requests came after the end", n-sent)
		}
		x.add("x", now, tps("t", 0)...).ok(t)
		if s := x.c.Stats(); s != (Stats{}) {
			t.Fatalf("stats %+v", s)
		}
	})
}

// TestDeposedCoordinatorGivesUp when a partition has heard of its successor, which ends the transaction.
func TestDeposedCoordinatorGivesUp(t *testing.T) {
	for _, code := range []wire.Code{wire.TransactionCoordinatorFenced, wire.InvalidProducerEpoch} {
		inRig(t, func(t *testing.T, x *rig) {
			p := x.init("x", 60_000, nil).ok(t)
			x.add("x", p, tps("t", 0, 1)...).ok(t)
			x.mu.Lock()
			x.mark = func(m *kmsg.WriteTxnMarkersRequestMarker, tp log.TopicPartition) wire.Code {
				if m.CoordinatorEpoch < 2 && tp.Partition == 1 {
					return code
				}
				return wire.None
			}
			x.mu.Unlock()
			x.end("x", p, true).ok(t)
			pass(30 * time.Second)
			if n := len(x.markers()); n != 1 {
				t.Fatalf("%d requests", n)
			}
			if got := x.state("x"); got != "PrepareCommit" {
				t.Fatalf("state %s", got)
			}
			x.again()
			if got := x.state("x"); got != "CompleteCommit" {
				t.Fatalf("state %s", got)
			}
		})
	}
}

// TestLastRecordIsWrittenInTheEnd: when all markers are written and the log does not take what says so, it is tried again, for as
// long as this is the coordinator.
func TestLastRecordIsWrittenInTheEnd(t *testing.T) {
	for _, code := range []wire.Code{wire.NotEnoughReplicas, wire.NotEnoughReplicasAfterAppend, wire.NotLeaderOrFollower, wire.FencedLeaderEpoch, wire.KafkaStorageError} {
		t.Run(code.Name(), func(t *testing.T) {
			inRig(t, func(t *testing.T, x *rig) {
				p := x.init("x", 60_000, nil).ok(t)
				x.add("x", p, tps("t", 0)...).ok(t)
				x.mu.Lock()
				x.mark = func(*kmsg.WriteTxnMarkersRequestMarker, log.TopicPartition) wire.Code {
					x.logs.Log(0).FailAppends(code)
					return wire.None
				}
				x.mu.Unlock()
				now := x.end("x", p, true).ok(t)
				pass(5 * time.Second)
				if got := x.state("x"); got != "PrepareCommit" {
					t.Fatalf("state %s", got)
				}
				if s := x.c.Stats(); s != (Stats{LogAppendRetries: 1}) {
					t.Fatalf("stats %+v", s)
				}
				x.add("x", now, tps("t", 0)...).is(t, wire.ConcurrentTransactions)
				x.logs.Log(0).FailAppends(nil)
				pass(2 * time.Second)
				if got := x.state("x"); got != "CompleteCommit" {
					t.Fatalf("state %s", got)
				}
				if s := x.c.Stats(); s != (Stats{}) {
					t.Fatalf("stats %+v", s)
				}
				x.add("x", now, tps("t", 0)...).ok(t)
			})
		})
	}
}

// TestResignedCoordinatorCountsNothing: neither markers nor records wait at who is not the coordinator any more.
func TestResignedCoordinatorCountsNothing(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		a, b := x.init("a", 60_000, nil).ok(t), x.init("b", 60_000, nil).ok(t)
		x.add("a", a, tps("t", 0)...).ok(t)
		x.add("b", b, tps("t", 1)...).ok(t)
		x.mu.Lock()
		x.leader = func(tp log.TopicPartition) (int32, bool) { return tp.Partition - 1, true } // 0 has no leader
		x.mark = func(*kmsg.WriteTxnMarkersRequestMarker, log.TopicPartition) wire.Code {
			x.logs.Log(0).FailAppends(wire.NotEnoughReplicas)
			return wire.None
		}
		x.mu.Unlock()
		x.end("a", a, true).ok(t)
		x.end("b", b, true).ok(t)
		pass(time.Second)
		if s := x.c.Stats(); s != (Stats{UnknownDestination: 1, LogAppendRetries: 1, PendingMarkers: 1}) {
			t.Fatalf("stats %+v", s)
		}
		x.c.Resigned(0, x.epoch+1)
		pass(5 * time.Second)
		if s := x.c.Stats(); s != (Stats{}) {
			t.Fatalf("stats %+v", s)
		}
	})
}

// TestDecisionThatIsNotCommittedIsNotActedOn: what a new leader has above the high watermark may be lost with it, and the one after
// it would decide otherwise. Nor is anybody told of it.
func TestDecisionThatIsNotCommittedIsNotActedOn(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		x.logs.Log(0).Hold()
		x.write(bytesOf(t, kafkaKey), kafkaValue(t, "PrepareCommit"))
		x.again()
		pass(10 * time.Second)
		if n := len(x.markers()); n != 0 {
			t.Fatalf("%d requests for markers", n)
		}
		if got := x.state(payments); got != "COORDINATOR_LOAD_IN_PROGRESS" {
			t.Fatalf("state %s", got)
		}
		x.logs.Log(0).Release()
		pass(time.Second)
		if got := x.state(payments); got != "CompleteCommit" {
			t.Fatalf("state %s", got)
		}
		// One that resigns meanwhile does nothing more.
		x.logs.Log(0).Hold()
		x.write(bytesOf(t, kafkaKey), kafkaValue(t, "PrepareCommit"))
		x.again()
		x.c.Resigned(0, -1)
		x.logs.Log(0).Release()
		pass(time.Second)
		if n := len(x.markers()); n != 1 {
			t.Fatalf("%d requests for markers", n)
		}
	})
}
