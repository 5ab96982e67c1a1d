package partition

import (
	"testing"
	"time"
)

// TestVisitedFollowers: a follower that had all, and is told of news only, lags from its last visit on and not from the last
// time that this partition was looked at for it; one that does not ask for the partition any more, from then on.
func TestVisitedFollowers(t *testing.T) {
	begin := time.Unix(1000, 0)
	visited := begin
	alive := func(int32) (int64, bool) { return 7, true }
	l := NewLeader(&Role{Self: 1, Leader: 1, LeaderEpoch: 3, Replicas: []int32{1, 2}, ISR: []int32{1, 2}}, 10, 10*time.Second, begin)
	fetch := func(offset, end int64, now time.Time) {
		t.Helper()
		if err := l.NoteFetch(2, Fetched{Offset: offset, BrokerEpoch: 7, LeaderEnd: end, Now: now, Visited: func() time.Time { return visited }}); err != nil {
			t.Fatal(err)
		}
	}
	shrinks := func(at time.Duration) bool {
		p := l.ProposeShrink(11, begin.Add(at))
		l.proposal = nil
		l.remember()
		return p != nil
	}
	fetch(10, 10, begin)
	if l.HighWatermark(0, 10, 1, begin, alive) != 10 {
		t.Fatal("what both have is not committed")
	}
	// A record comes after an hour of silence, in which the follower was told a second ago that there is no news.
	visited = begin.Add(time.Hour - time.Second)
	if shrinks(time.Hour + 9*time.Second) {
		t.Error("who had all ten seconds ago is taken for a laggard")
	}
	if !shrinks(time.Hour + 10*time.Second) {
		t.Error("who was not heard of for longer than it may lag stays")
	}
	// It is told of the record, and does not come for more: later visits do not count for it.
	fetch(10, 11, begin.Add(time.Hour))
	visited = begin.Add(2 * time.Hour)
	if shrinks(time.Hour + 9*time.Second) {
		t.Error("the visit before the record does not count")
	}
	if !shrinks(time.Hour + 10*time.Second) {
		t.Error("a visit counts for a follower that lacks a record")
	}
	fetch(11, 11, begin.Add(time.Hour))
	l.NotVisited(2)
	visited = begin.Add(5 * time.Hour)
	if f := l.follower(2); f.lastCaughtUp() != begin.Add(2*time.Hour) {
		t.Errorf("who does not ask any more had all at %v", f.lastCaughtUp())
	}
}
