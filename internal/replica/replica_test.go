package replica

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/wire"
)

// Appends of many producers end in any order; what one of them was told is committed must stay so.
func TestHighWatermarkNeverGoesBack(t *testing.T) {
	k := newKit(t, nil)
	r := k.lead(t, 1)
	const each = 2000
	one := batch(t, "x")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range each {
				info, err := k.Append(r, slices.Clone(one), -1)
				if err != nil {
					t.Error(err)
					return
				}
				if hw := r.Log().HighWatermark(); hw <= info.LastOffset || !k.Committed(r, info, -1) {
					t.Errorf("the high watermark is %d after %d was committed", hw, info.LastOffset)
					return
				}
			}
		})
	}
	wg.Wait()
	if hw := r.Log().HighWatermark(); hw != 8*each {
		t.Errorf("the high watermark is %d in the end", hw)
	}
}

var consumer = &Reader{Follower: -1}

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
			spec, done := &CommitSpec{Replica: r, Offset: info.LastOffset + 1, Epoch: info.LeaderEpoch}, make(chan struct{})
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
		if res := k.Read(&specs[0], consumer, 100, true); res.Range != nil {
			res.Range.Release()
		}
		return k.AwaitData(specs, consumer, 1, d, func() { ended <- name })
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

// The registry finds what was put into it, in any order, and what is removed only is gone; who has looked before sees what was
// there then.
func TestRegistry(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g, want := newRegistry(), map[int32]*Replica{}
		type seen struct {
			list []*Replica
			want []*Replica
		}
		var before []seen
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			i := rapid.Int32Range(0, 30).Draw(rt, "index")
			if r := want[i]; r != nil && rapid.Bool().Draw(rt, "remove") {
				delete(want, i)
				if gone := g.remove(r); gone != (len(want) == 0) {
					rt.Fatalf("removed the last: %v", gone)
				}
			} else {
				want[i] = &Replica{Topic: "t", TopicID: wire.TopicID{1}, Index: i}
				g.put(want[i])
			}
			e := g.named("t")
			if len(want) == 0 {
				if e != nil {
					rt.Fatal("a topic without replicas is there")
				}
				continue
			}
			for i := range int32(32) {
				if e.partition(i) != want[i] {
					rt.Fatalf("partition %d: %v", i, e.partition(i))
				}
			}
			list := *e.partitions.Load()
			before = append(before, seen{list, slices.Clone(list)})
		}
		for _, s := range before {
			if !slices.Equal(s.list, s.want) {
				rt.Fatal("what a reader has was changed")
			}
		}
	})
}

// A power cut can take partition.metadata and leave the batches. Who leads takes such a log as it is; who follows may have
// that of an earlier topic of the same name, and begins anew, not before there is a leader.
func TestLogWithoutTopicID(t *testing.T) {
	tp := log.TopicPartition{Topic: "t"}
	for _, c := range []struct {
		name    string
		leaders []int32
		end     int64
	}{
		{"leads", []int32{1}, 2},
		{"follows", []int32{2}, 0},
		{"follows when there is a leader", []int32{-1, 2}, 0},
		{"nobody leads", []int32{-1}, 2},
		{"leads later", []int32{-1, 1}, 2},
		{"leads, then follows", []int32{1, 2}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKit(t, nil)
			ok := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			l, err := k.logs.Open(tp, wire.TopicID{}, [16]byte{})
			ok(err)
			_, err = l.BecomeLeader(0)
			ok(err)
			_, err = l.AppendAsLeader(batch(t, "a", "b"), 0, log.AppendOptions{})
			ok(err)
			for i, leader := range c.leaders {
				epoch := int32(i + 1)
				_, _, err := k.Apply(Change{Topic: "t", TopicID: k.topic, MinInSync: 1, Role: partition.Role{
					Self: 1, Leader: leader, LeaderEpoch: epoch, PartitionEpoch: epoch, Replicas: []int32{1, 2}, ISR: []int32{2},
				}})
				ok(err)
			}
			want := k.topic
			if c.leaders[len(c.leaders)-1] < 0 {
				want = wire.TopicID{}
			}
			if l := k.logs.Get(tp); l.LogEndOffset() != c.end || l.TopicID() != want {
				t.Errorf("the log ends at %d with topic id %x; want %d, %x", l.LogEndOffset(), l.TopicID(), c.end, want)
			}
		})
	}
}
