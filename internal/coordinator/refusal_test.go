package coordinator_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// transact posts an operation of a producer's transaction.
func (x *fixture) transact(key, value string) {
	x.rt.Run(0, func(tx *coordinator.Tx, m *register) {
		tx.Transactional(7, 0, 0)
		m.set(tx, key, value)
		tx.Then(func(_ *coordinator.Tx, err error) { x.report(key, value, err) })
	}, func(err error) { x.report(key, value, err) })
}

// end posts the end of a producer's transaction, which changes a key too.
func (x *fixture) end(key, value string) {
	x.rt.Run(0, func(tx *coordinator.Tx, m *register) {
		before := m.values[key]
		m.values[key] = value
		tx.Undo(func() { m.values[key] = before })
		tx.EndTransaction(7, 0, record.EndTxnMarker{Commit: true}, 0)
		tx.Then(func(_ *coordinator.Tx, err error) { x.report(key, value, err) })
	}, func(err error) { x.report(key, value, err) })
}

// refuseTransactions lets the log refuse what belongs to a transaction.
func (x *fixture) refuseTransactions(is func(record.Batch) bool) {
	x.logs.Log(0).Refuse(func(b record.Batch) error {
		if b.IsTransactional() && is(b) {
			return wire.InvalidTxnState
		}
		return nil
	})
}

func TestRefusedOperationUndoesItselfOnly(t *testing.T) {
	for _, end := range []bool{false, true} {
		inBubble(t, func(x *fixture) {
			log := x.logs.Log(0)
			op := x.transact
			if end {
				op = x.end
			}
			x.refuseTransactions(func(b record.Batch) bool { return b.IsControl() == end })
			log.Hold()
			x.set("a", "1")
			synctest.Wait() // on its way
			x.set("b", "1")
			x.set("c", "1")
			op("c", "2")
			x.set("c", "3") // on what was before the one that is refused
			x.set("d", "1")
			op("d", "2")
			x.expect("c=2 INVALID_TXN_STATE", "d=2 INVALID_TXN_STATE")
			if got := x.values(); got != "a=1 b=1 c=3 d=1" {
				t.Fatalf("state while the rest waits is %s", got)
			}
			log.Release()
			x.expect("a=1", "b=1", "c=1", "c=3", "d=1")
			x.rt.Resigned(0, 2)
			x.rt.Elected(0, 3)
			if got := x.values(); got != "a=1 b=1 c=3 d=1" {
				t.Fatalf("state after a reload is %s", got)
			}
		})
	}
}

func TestRefusedOperationSeesWhatItWasBuiltOn(t *testing.T) {
	inBubble(t, func(x *fixture) {
		log := x.logs.Log(0)
		log.Hold()
		x.set("a", "1")
		synctest.Wait()
		x.set("a", "2")
		x.transact("a", "3")
		synctest.Wait()
		if n := log.Waiting(); n != 3 {
			t.Fatalf("%d batches are in the log, want those of the transaction and all before it", n)
		}
		x.set("a", "4")
		synctest.Wait()
		log.Fail(wire.NotLeaderOrFollower)
		x.expect("a=1 NOT_LEADER_OR_FOLLOWER", "a=2 NOT_LEADER_OR_FOLLOWER", "a=3 NOT_LEADER_OR_FOLLOWER", "a=4 NOT_LEADER_OR_FOLLOWER")
		if got := x.values(); got != "" {
			t.Fatalf("state after the failure is %s", got)
		}
		x.transact("a", "5")
		x.expect("a=5")
	})
}

func TestRefusedBatchTakesWhatIsBehindItAlong(t *testing.T) {
	inBubble(t, func(x *fixture) {
		log := x.logs.Log(0)
		log.Hold()
		x.set("a", "1")
		synctest.Wait()
		log.FailAppends(wire.NotEnoughReplicas)
		x.set("a", "2")
		x.transact("a", "3")
		x.expect("a=2 NOT_ENOUGH_REPLICAS", "a=3 NOT_ENOUGH_REPLICAS")
		if got := x.values(); got != "a=1" {
			t.Fatalf("state after the refusal is %s", got)
		}
		log.FailAppends(nil)
		log.Release()
		x.expect("a=1")
	})
}

func TestTransactionsDoNotWaitForEachOther(t *testing.T) {
	inBubble(t, func(x *fixture) {
		log := x.logs.Log(0)
		log.Hold()
		for i := range 3 {
			x.transact("a", fmt.Sprint(i))
			x.set("b", fmt.Sprint(i))
		}
		synctest.Wait()
		if n := log.Waiting(); n != 5 { // the last that is set waits
			t.Fatalf("%d batches are in the log", n)
		}
		pass(coordinator.DefaultCommitTimeout)
		x.expect("a=0 REQUEST_TIMED_OUT", "b=0 REQUEST_TIMED_OUT", "a=1 REQUEST_TIMED_OUT", "b=1 REQUEST_TIMED_OUT",
			"a=2 REQUEST_TIMED_OUT", "b=2 REQUEST_TIMED_OUT")
		log.Release()
		x.expect()
		if n := len(log.Batches()); n != 6 {
			t.Fatalf("%d batches at the end", n)
		}
		if got := x.values(); got != "a=2 b=2" {
			t.Fatalf("state at the end is %s", got)
		}
	})
}

func TestLimitOfBatchesFollowsTheTopic(t *testing.T) {
	inBubble(t, func(x *fixture) {
		big := strings.Repeat("x", 400)
		x.set("a", big)
		synctest.Wait()
		x.logs.Log(0).SetMaxBatchBytes(300)
		x.set("b", big)
		synctest.Wait()
		x.logs.Log(0).SetMaxBatchBytes(3000)
		x.set("c", big)
		x.expect("a="+big, "b="+big+" RECORD_LIST_TOO_LARGE", "c="+big)
	})
}
