package txn

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// frozen makes broker 1 take requests and never answer. Partition 0 of t, and the coordinator of transactions for who asks, are
// led by broker 1 until they move to 2, which leads all else.
func (x *rig) frozen() (move func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	moved := false
	x.leader = func(tp log.TopicPartition) (int32, bool) {
		if tp.Partition == 0 && !moved {
			return 1, true
		}
		return 2, true
	}
	x.lost = func(broker int32) error {
		if broker == 1 {
			return errFrozen
		}
		return nil
	}
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		moved = true
	}
}

// TestFrozenBrokerHoldsBackOnlyWhatItLeads: and that only until somebody else leads it.
func TestFrozenBrokerHoldsBackOnlyWhatItLeads(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		move := x.frozen()
		a, b, c := x.init("a", 60_000, nil).ok(t), x.init("b", 60_000, nil).ok(t), x.init("c", 60_000, nil).ok(t)
		x.add("a", a, tps("t", 0, 1)...).ok(t)
		x.add("b", b, tps("t", 1)...).ok(t)
		x.add("c", c, tps("t", 0)...).ok(t)
		x.end("a", a, true).ok(t)
		x.end("c", c, true).ok(t) // waits behind a in the queue of the frozen broker
		x.end("b", b, true).ok(t)
		if got := x.state("b"); got != "CompleteCommit" {
			t.Fatalf("b is %s", got)
		}
		pass(9 * time.Second)
		if got := x.state("a"); got != "PrepareCommit" {
			t.Fatalf("a is %s", got)
		}
		move()
		pass(2 * time.Second)
		for _, id := range []string{"a", "c"} {
			if got := x.state(id); got != "CompleteCommit" {
				t.Errorf("%s is %s", id, got)
			}
		}
	})
}

// TestFrozenCoordinatorIsAskedNoLonger than it is the coordinator.
func TestFrozenCoordinatorIsAskedNoLonger(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		p := x.init("a", 60_000, nil).ok(t)
		move := x.frozen()
		v := NewVerifier(x.c, telemetry.New(telemetry.Options{}))
		var codes []wire.Code
		ask := func() { v.Verify("a", p, tps("t", 1), SupportsAdding, func(c []wire.Code) { codes = c }) }
		ask()
		pass(9 * time.Second)
		if codes != nil {
			t.Fatalf("told %v", codes)
		}
		move()
		pass(time.Second)
		if len(codes) != 1 || codes[0] != wire.NetworkException {
			t.Fatalf("told %v", codes)
		}
		ask()
		synctest.Wait()
		if codes[0] != wire.None {
			t.Fatalf("told %v", codes)
		}
	})
}

// TestLostRequestsAreSentAgain: the pause between grows and is bounded.
func TestLostRequestsAreSentAgain(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		p := x.init("a", 60_000, nil).ok(t)
		x.add("a", p, tps("t", 0)...).ok(t)
		x.mu.Lock()
		x.lost = func(int32) error { return errors.New("reset") }
		x.mu.Unlock()
		x.end("a", p, true).ok(t)
		pass(60 * time.Second)
		if n := len(x.markers()); n < 55 || n > 75 {
			t.Fatalf("%d requests in a minute", n)
		}
		x.mu.Lock()
		x.lost = func(int32) error { return nil }
		x.mu.Unlock()
		pass(maxMarkerBackoff)
		if got := x.state("a"); got != "CompleteCommit" {
			t.Fatalf("a is %s", got)
		}
	})
}
