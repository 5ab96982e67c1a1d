package replica

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

// Appends of many producers end in any order; what one of them was told is committed must stay so.
func TestHighWatermarkNeverGoesBack(t *testing.T) {
	k := newKit(t, nil)
	r := k.lead(t, 1)
	const ends = 50_000
	if _, err := k.Append(r, batch(t, make([]string, ends)...), -1); err != nil {
		t.Fatal(err)
	}
	r.Log().SetHighWatermark(0)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for end := next.Add(1); end <= ends; end = next.Add(1) {
				k.advance(r, r.Role(), r.Log(), end, 1)
				if hw := r.Log().HighWatermark(); hw < end {
					t.Errorf("the high watermark is %d after %d was committed", hw, end)
					return
				}
			}
		})
	}
	wg.Wait()
	if hw := r.Log().HighWatermark(); hw != ends {
		t.Errorf("the high watermark is %d in the end", hw)
	}
}

// An end that comes late, after that of a later append, leaves the high watermark where it is.
func TestLateEndOfAnAppend(t *testing.T) {
	k := newKit(t, nil)
	r := k.lead(t, 1)
	for range 3 {
		if _, err := k.Append(r, batch(t, "x"), 1); err != nil {
			t.Fatal(err)
		}
	}
	k.advance(r, r.Role(), r.Log(), 1, 10)
	if hw := r.Log().HighWatermark(); hw != 3 {
		t.Errorf("high watermark %d", hw)
	}
}

func TestDeleteRecordsAnswersTheNewStart(t *testing.T) {
	k := newKit(t, nil)
	r := k.lead(t, 1)
	if _, err := k.Append(r, batch(t, "a", "b", "c"), 1); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ offset, low int64 }{{2, 2}, {1, 2}, {-1, 3}} {
		if low, err := k.DeleteRecords(r, c.offset); low != c.low || err != nil {
			t.Errorf("up to %d: low watermark %d, %v; want %d", c.offset, low, err, c.low)
		}
	}
	for _, offset := range []int64{4, -2} {
		if _, err := k.DeleteRecords(r, offset); !errors.Is(err, wire.OffsetOutOfRange) {
			t.Errorf("up to %d: %v", offset, err)
		}
	}
}

// flush.messages=1 promises what Kafka promises with it: nothing is acknowledged before it is on the disk.
func TestFlushMessagesOneWaitsForTheDisk(t *testing.T) {
	k := newKit(t, func(mc *log.ManagerConfig) {
		mc.TopicConfig = func(string) log.Config {
			c := log.DefaultConfig()
			c.FlushMessages = 1
			return c
		}
	})
	r := k.lead(t, 1)
	for range 20 {
		info, err := k.Append(r, batch(t, "x"), 1)
		if err != nil {
			t.Fatal(err)
		}
		if !k.Committed(r, info, 1) {
			spec, done := &CommitSpec{Replica: r, Offset: info.LastOffset + 1}, make(chan struct{})
			k.AwaitCommit([]*CommitSpec{spec}, 10*time.Second, func() { close(done) })
			<-done
			if spec.Outcome() != wire.None {
				t.Fatal(spec.Outcome())
			}
		}
		if f := r.Log().FlushedOffset(); f <= info.LastOffset {
			t.Fatalf("offset %d was acknowledged, the disk has what is below %d", info.LastOffset, f)
		}
	}
}

func TestNoWaiterStaysBehind(t *testing.T) {
	k := newKit(t, nil)
	r := k.lead(t, 1)
	specs := []FetchSpec{{Replica: r, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1}}
	ended := make(chan string, 8)
	wait := func(d time.Duration, name string) *Wait {
		if res := k.Read(&specs[0], 100, true, false); res.Range != nil {
			res.Range.Release()
		}
		return k.AwaitData(specs, false, 1, d, func() { ended <- name })
	}
	wait(time.Nanosecond, "expired")
	if got := <-ended; got != "expired" {
		t.Fatal(got)
	}
	wait(time.Minute, "data")
	if _, err := k.Append(r, batch(t, "x"), 1); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got != "data" {
		t.Fatal(got)
	}
	wait(time.Minute, "cancelled").Cancel()
	wait(time.Minute, "removed")
	if _, _, err := k.Apply(Change{Topic: "t", TopicID: k.topic, Removed: true, Role: *r.Role()}); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got != "removed" {
		t.Fatal(got)
	}
	if n := r.waits.n.Load(); n != 0 || r.waits.first != nil {
		t.Errorf("%d waiters are left on the list", n)
	}
	if _, err := k.Append(r, batch(t, "x"), 1); !errors.Is(err, wire.NotLeaderOrFollower) {
		t.Errorf("append to a removed partition: %v", err)
	}
}
