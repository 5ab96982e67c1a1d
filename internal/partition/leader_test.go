package partition

import (
	"errors"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/wire"
)

var (
	start    = time.Unix(1000, 0)
	everyone = func(int32) (int64, bool) { return 7, true }
)

// leading is broker 1 with followers 2 and 3, all in sync, in a log that ends at 10.
func leading() *Leader {
	return NewLeader(&Role{Self: 1, Leader: 1, LeaderEpoch: 4, PartitionEpoch: 6, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2, 3}}, 10, 30*time.Second, start)
}

func at(offset, leaderEnd int64, after time.Duration) Fetched {
	return Fetched{Offset: offset, BrokerEpoch: 7, LeaderEnd: leaderEnd, Now: start.Add(after)}
}

func (l *Leader) watermark(current, end int64, after time.Duration) int64 {
	return l.HighWatermark(current, end, 2, start.Add(after), everyone)
}

func TestHighWatermarkWaitsForTheISR(t *testing.T) {
	l := leading()
	if hw := l.watermark(5, 12, 0); hw != 5 {
		t.Errorf("before anybody has fetched: %d", hw)
	}
	for _, c := range []struct {
		id         int32
		offset, hw int64
	}{{2, 12, 5}, {3, 11, 11}, {3, 12, 12}, {2, 9, 12}} {
		if err := l.NoteFetch(c.id, at(c.offset, 12, 0)); err != nil {
			t.Fatal(err)
		}
		if hw := l.watermark(5, 12, 0); c.offset != 9 && hw != c.hw {
			t.Errorf("broker %d has %d: high watermark %d, want %d", c.id, c.offset, hw, c.hw)
		}
	}
	if hw := l.watermark(12, 12, 0); hw != 12 {
		t.Errorf("it went back to %d", hw)
	}
}

func TestProposalsCountAtOnce(t *testing.T) {
	l := leading()
	_ = l.NoteFetch(2, at(12, 12, 0))
	later := start.Add(31 * time.Second)
	p := l.ProposeShrink(12, later)
	if p == nil || p.Expands || len(p.ISR) != 2 || l.ProposeShrink(12, later) != nil {
		t.Fatalf("%+v", p)
	}
	if hw := l.watermark(5, 12, 31*time.Second); hw != 5 {
		t.Errorf("a shrink that is not decided lets the high watermark go to %d", hw)
	}
	if got := l.Decide(p, Verdict{Leader: 1, LeaderEpoch: 4, PartitionEpoch: 7, ISR: []int32{1, 2}}); got != OutcomeCommitted {
		t.Fatal(got)
	}
	if hw := l.watermark(5, 12, 31*time.Second); hw != 12 {
		t.Errorf("after it the high watermark is %d", hw)
	}
	_ = l.NoteFetch(3, at(12, 14, 32*time.Second))
	if l.ProposeExpand(3, 12, func(int32) (int64, bool) { return 8, true }) != nil {
		t.Error("a process that is not the registered one joins")
	}
	p = l.ProposeExpand(3, 12, everyone)
	if p == nil || !p.Expands {
		t.Fatalf("%+v", p)
	}
	_ = l.NoteFetch(2, at(14, 14, 33*time.Second))
	if hw := l.watermark(12, 14, 33*time.Second); hw != 12 {
		t.Errorf("the high watermark passes one that may be in sync already: %d", hw)
	}
	for _, code := range []wire.Code{wire.NotController, wire.RequestTimedOut, wire.StaleBrokerEpoch, wire.UnknownServerError} {
		if got := l.Decide(p, Verdict{Err: code}); got != OutcomeRetry || l.Pending() != p {
			t.Errorf("%s: %v", code.Name(), got)
		}
	}
	if got := l.Decide(p, Verdict{Err: errors.New("connection lost")}); got != OutcomeRetry {
		t.Error(got)
	}
	for _, code := range []wire.Code{wire.InvalidUpdateVersion, wire.FencedLeaderEpoch, wire.NewLeaderElected, wire.InvalidRequest} {
		if got := l.Decide(p, Verdict{Err: code}); got != OutcomeStale || l.Pending() != p {
			t.Errorf("%s: %v: whether it was taken is open", code.Name(), got)
		}
	}
	if got := l.Decide(p, Verdict{Err: wire.IneligibleReplica}); got != OutcomeRefused || l.Pending() != nil {
		t.Error(got)
	}
	if got := l.Decide(p, Verdict{Leader: 1, LeaderEpoch: 4, PartitionEpoch: 8, ISR: []int32{1, 2, 3}}); got != OutcomeStale {
		t.Errorf("an answer to a proposal that has ended: %v", got)
	}
}

// The controller takes a follower out whose disk has failed. Its broker is alive, and had all a moment ago.
func TestNobodyWaitsForWhoWasTakenOut(t *testing.T) {
	l := leading()
	_ = l.NoteFetch(2, at(12, 12, 0))
	_ = l.NoteFetch(3, at(11, 11, 0))
	if hw := l.watermark(11, 12, time.Second); hw != 11 {
		t.Fatal(hw)
	}
	role := *l.Role()
	role.PartitionEpoch, role.ISR = 7, []int32{1, 2}
	l.Update(&role, start.Add(time.Second))
	if hw := l.watermark(11, 12, time.Second); hw != 12 {
		t.Errorf("high watermark %d", hw)
	}
}

func TestHighWatermarkNeedsMinInSync(t *testing.T) {
	l := NewLeader(&Role{Self: 1, Leader: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{1}}, 10, 30*time.Second, start)
	if hw := l.watermark(5, 12, 0); hw != 5 {
		t.Errorf("with one in sync of two that are needed: %d", hw)
	}
	alone := NewLeader(&Role{Self: 1, Leader: 1, Replicas: []int32{1}, ISR: []int32{1}}, 10, 30*time.Second, start)
	if hw := alone.watermark(5, 12, 0); hw != 12 {
		t.Errorf("a partition cannot have more in sync than it has replicas: %d", hw)
	}
}

func TestFetchesOfStrangers(t *testing.T) {
	l := leading()
	if err := l.NoteFetch(9, at(1, 12, 0)); !errors.Is(err, wire.NotLeaderOrFollower) {
		t.Error(err)
	}
	newer := at(12, 12, 0)
	newer.BrokerEpoch = 9
	_ = l.NoteFetch(2, newer)
	if err := l.NoteFetch(2, at(12, 12, 0)); !errors.Is(err, wire.NotLeaderOrFollower) {
		t.Errorf("a process that was replaced: %v", err)
	}
}

// epochs is a History.
type epochs []epochStart

func (e epochs) EpochEndOffset(epoch int32) (int32, int64) {
	l := modelLog{epochs: e[:len(e)-1], entries: make([]entry, e[len(e)-1].start)}
	return l.EpochEndOffset(epoch)
}

func TestTruncation(t *testing.T) {
	// The last entry of a history is the log's end.
	leader := epochs{{1, 0}, {3, 10}, {6, 20}, {-1, 25}}
	for _, c := range []struct {
		name       string
		follower   epochs
		last       int32
		offset     int64
		parted     bool
		cut        int64
		outOfEpoch bool
	}{
		{"same", epochs{{1, 0}, {3, 10}, {6, 20}, {-1, 22}}, 6, 22, false, 0, false},
		{"longer in the same epoch", epochs{{1, 0}, {3, 10}, {-1, 23}}, 3, 23, true, 20, false},
		{"an epoch that the leader lacks", epochs{{1, 0}, {3, 10}, {5, 15}, {-1, 18}}, 5, 18, true, 15, false},
		{"the leader's older epoch is not known here", epochs{{1, 0}, {2, 8}, {4, 9}, {-1, 12}}, 4, 12, true, 9, false},
		{"later than all", epochs{{1, 0}, {7, 10}, {-1, 12}}, 7, 12, false, 0, true},
	} {
		parted, known := Divergence(leader, c.last, c.offset)
		if known == c.outOfEpoch || (parted != nil) != c.parted {
			t.Errorf("%s: %+v, known %v", c.name, parted, known)
		} else if parted != nil {
			end := c.follower[len(c.follower)-1].start
			if got := TruncationOffset(c.follower, end, *parted); got != c.cut {
				t.Errorf("%s: cut at %d, want %d", c.name, got, c.cut)
			}
		}
	}
}
