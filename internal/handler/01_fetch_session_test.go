package handler

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/wire"
)

func itemsOf(names ...string) []fetchItem {
	var out []fetchItem
	for _, n := range names {
		out = append(out, fetchItem{key: fetchKey{name: n}})
	}
	return out
}

func namesOf(items []fetchItem) []string {
	var out []string
	for _, it := range items {
		out = append(out, it.key.name)
	}
	return out
}

func TestSessionUpdateAndForget(t *testing.T) {
	c := newFetchSessions(10, time.Now)
	s := c.create(itemsOf("a", "b", "c"), false, -1)
	changed := itemsOf("b")
	changed[0].fetchOffset = 7
	s.update(append(changed, itemsOf("d")...), []fetchKey{{name: "a"}, {name: "unknown"}})
	if got := namesOf(s.items()); !slices.Equal(got, []string{"b", "c", "d"}) {
		t.Fatalf("items %v", got)
	}
	if s.items()[0].fetchOffset != 7 {
		t.Fatal("the new offset was not taken over")
	}
}

func TestSessionTellsOnlyNews(t *testing.T) {
	c := newFetchSessions(10, time.Now)
	s := c.create(itemsOf("a"), false, -1)
	cached := s.partitions[fetchKey{name: "a"}]
	quiet := wire.FetchPartition{HighWatermark: 5, LogStartOffset: 0, PreferredReadReplica: -1}
	if !cached.record(&quiet, false) {
		t.Fatal("the first offsets are news")
	}
	if cached.record(&quiet, false) {
		t.Fatal("the same again is no news")
	}
	failed := quiet
	failed.ErrorCode = wire.NotLeaderOrFollower
	if !cached.record(&failed, false) || !cached.record(&quiet, false) {
		t.Fatal("an error and its end are news")
	}
	moved := quiet
	moved.LogStartOffset = 2
	if !cached.record(&moved, false) || !cached.record(&moved, true) {
		t.Fatal("a new log start and data are news")
	}
}

// A follower that could make no use of the watermark that it was told says what it knows (KIP-1166), and is told again.
func TestSessionTellsAFollowerAgain(t *testing.T) {
	s := newFetchSessions(10, time.Now).create(itemsOf("a"), false, 2)
	cached := s.partitions[fetchKey{name: "a"}]
	answer := wire.FetchPartition{HighWatermark: 5, LogStartOffset: 0, PreferredReadReplica: -1}
	cached.record(&answer, false)
	for _, c := range []struct {
		knows int64
		told  bool
	}{{math.MaxInt64, false}, {5, false}, {3, true}, {-1, true}} {
		again := itemsOf("a")
		again[0].highWatermark = c.knows
		s.update(again, nil)
		if got := cached.record(&answer, false); got != c.told {
			t.Errorf("a follower that knows %d is told: %v, want %v", c.knows, got, c.told)
		}
	}
}

func TestSessionCacheEviction(t *testing.T) {
	now := time.Unix(0, 0)
	c := newFetchSessions(2, func() time.Time { return now })
	small, big := c.create(itemsOf("a"), false, -1), c.create(itemsOf("a", "b", "c"), false, -1)
	if c.create(itemsOf("a", "b"), false, -1) != nil {
		t.Fatal("a fresh session must not be evicted")
	}
	now = now.Add(3 * time.Minute)
	c.touch(small, 1)
	c.touch(big, 3)
	if c.create(itemsOf("a"), false, -1) != nil {
		t.Fatal("a session that is no larger must not evict")
	}
	two := c.create(itemsOf("a", "b"), false, -1)
	if two == nil || c.get(small.id) != nil || c.get(big.id) == nil {
		t.Fatal("the larger session takes the place of the smallest")
	}
	now = now.Add(90 * time.Second)
	c.touch(two, 2)
	now = now.Add(90 * time.Second)
	if c.create(itemsOf("x"), false, -1) == nil || c.get(big.id) != nil {
		t.Fatal("a session unused for two minutes gives way")
	}
	if n, parts, evicted := c.stats(); n != 2 || parts != 3 || evicted != 2 {
		t.Fatalf("sessions %d, partitions %d, evicted %d", n, parts, evicted)
	}
}

func TestNextSessionEpoch(t *testing.T) {
	for in, want := range map[int32]int32{-1: -1, 0: 1, 1: 2, 1<<31 - 1: 1} {
		if got := nextSessionEpoch(in); got != want {
			t.Errorf("after %d: %d, want %d", in, got, want)
		}
	}
}

// A follower without a session would name all of its partitions in every fetch: consumers make room for it, followers do
// not for consumers, nor for each other.
func TestFollowersSessionTakesTheOldestConsumers(t *testing.T) {
	now := time.Unix(1000, 0)
	c := newFetchSessions(2, func() time.Time { return now })
	first := c.create(itemsOf("a"), true, -1)
	now = now.Add(time.Second)
	second := c.create(itemsOf("a", "b"), true, -1)
	if f := c.create(itemsOf("a"), true, 2); f == nil || c.get(first.id) != nil || c.get(second.id) == nil {
		t.Error("the follower did not take the place of the session that was unused for longest")
	}
	if c.create(itemsOf("a"), true, 2) == nil || c.get(second.id) != nil {
		t.Error("a second follower did not take the place of the last consumer")
	}
	if c.create(itemsOf("a", "b", "c"), true, 2) != nil || c.create(itemsOf("a", "b", "c"), true, -1) != nil {
		t.Error("a follower lost its session")
	}
	now = now.Add(time.Minute * 3)
	if c.create(itemsOf("a"), true, -1) == nil {
		t.Error("a session that nobody uses stays for ever")
	}
}

// A session that has no partitions left is over, a follower's like a consumer's, and the fetch that ended it is answered.
func TestSessionWithoutPartitionsEnds(t *testing.T) {
	for _, broker := range []int32{-1, 2} {
		b := &Broker{sessions: newFetchSessions(10, time.Now)}
		s := b.sessions.create(itemsOf("a"), false, broker)
		req := kmsg.NewPtrFetchRequest()
		req.SessionID, req.SessionEpoch = s.id, firstSessionEpoch
		gone := kmsg.NewFetchRequestForgottenTopic()
		gone.Topic, gone.Partitions = "a", []int32{0}
		req.ForgottenTopics = append(req.ForgottenTopics, gone)
		f := &fetch{b: b, r: &wire.Request{Version: 12}, req: req, by: replica.Reader{Follower: broker}, follower: broker >= 0}
		opened := make(chan wire.Code, 1)
		go func() { opened <- f.openSession() }()
		select {
		case code := <-opened:
			if code != wire.None || !f.full || f.session != nil || len(f.items) != 0 || b.sessions.get(s.id) != nil {
				t.Errorf("broker %d: code %v, full %v, session %v, items %v", broker, code, f.full, f.session, f.items)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("broker %d: the fetch waits for itself", broker)
		}
	}
}
