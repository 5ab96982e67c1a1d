package txn

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

// exhausted is an id whose producer has the last epoch that clients get.
func (x *rig) exhausted(id string) Producer {
	x.put(id, values{producerID: 7, prevProducerID: 7, nextProducerID: -1, epoch: lastEpoch, lastEpoch: -1, timeoutMs: 5000, startMs: -1,
		updateMs: time.Now().UnixMilli(), state: stateCompleteCommit, version: 2}, 2)
	x.again()
	return Producer{7, lastEpoch}
}

// noIDs has the allocator fail or, with false, give ids again.
func (x *rig) noIDs(fail bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.newID = func(context.Context) (int64, error) {
		if fail {
			return -1, fmt.Errorf("%w: the controller is away", wire.CoordinatorLoadInProgress)
		}
		x.nextID++
		return x.nextID, nil
	}
}

// TestClientsComeAgainWithoutProducerIDs: who needs a producer id while there is none is told to come again, and nothing has
// changed until then.
func TestClientsComeAgainWithoutProducerIDs(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		p := x.exhausted("x")
		x.noIDs(true)
		x.init("new", 5000, nil).is(t, wire.CoordinatorLoadInProgress)
		x.init("x", 5000, nil).is(t, wire.CoordinatorLoadInProgress)
		x.add("x", p, tps("t", 0)...).ok(t)
		x.end("x", p, true).is(t, wire.CoordinatorLoadInProgress)
		x.init("x", 5000, nil).is(t, wire.CoordinatorLoadInProgress) // it has to be fenced first
		if got := x.state("x"); got != "Ongoing" {
			t.Fatalf("state %s", got)
		}
		x.noIDs(false)
		if now := x.end("x", p, true).ok(t); now != (Producer{101, 0}) {
			t.Fatalf("the next producer is %+v", now)
		}
		x.init("new", 5000, nil).ok(t)
	})
}

// TestTimeOutWaitsForProducerIDs: a transaction whose time is over is aborted as soon as there is a producer id for what comes
// after it.
func TestTimeOutWaitsForProducerIDs(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		p := x.exhausted("x")
		x.add("x", p, tps("t", 0)...).ok(t)
		x.noIDs(true)
		pass(20 * time.Second)
		if got := x.state("x"); got != "Ongoing" {
			t.Fatalf("state %s", got)
		}
		x.noIDs(false)
		pass(2 * time.Second)
		if got := x.state("x"); got != "CompleteAbort" {
			t.Fatalf("state %s", got)
		}
		x.end("x", p, true).is(t, wire.InvalidTxnState) // it was not committed
		x.add("x", p, tps("t", 0)...).is(t, wire.InvalidProducerIdMapping)
	})
}

// TestLastEpochFences: the one epoch that is never given to a client is that of the markers, and the answer to EndTxn and its
// repetition name the producer that comes after.
func TestLastEpochFences(t *testing.T) {
	for _, commit := range []bool{true, false} {
		inRig(t, func(t *testing.T, x *rig) {
			p := x.exhausted("x")
			x.add("x", p, tps("t", 0)...).ok(t)
			var seen []Producer
			x.mu.Lock()
			x.mark = func(m *kmsg.WriteTxnMarkersRequestMarker, _ log.TopicPartition) wire.Code {
				seen = append(seen, Producer{m.ProducerID, m.ProducerEpoch})
				if len(seen) == 1 {
					return wire.NotLeaderOrFollower
				}
				return wire.None
			}
			x.mu.Unlock()
			now := x.end("x", p, commit).ok(t)
			if now != (Producer{101, 0}) {
				t.Fatalf("the next producer is %+v", now)
			}
			x.end("x", p, commit).is(t, wire.ConcurrentTransactions)
			x.add("x", now, tps("t", 0)...).is(t, wire.ConcurrentTransactions)
			x.again() // the next coordinator knows of it
			pass(5 * time.Second)
			for _, m := range seen {
				if m != (Producer{7, math.MaxInt16}) {
					t.Fatalf("markers of %+v", seen)
				}
			}
			if again := x.end("x", p, commit).ok(t); again != now {
				t.Fatalf("the answer once more is %+v", again)
			}
			x.end("x", p, !commit).is(t, wire.InvalidTxnState)
			x.add("x", now, tps("t", 0)...).ok(t)
		})
	}
}
