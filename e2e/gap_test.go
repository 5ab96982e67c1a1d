//go:build e2e

package e2e

import (
	"context"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// gaps writes to every partition of a topic without pause and notes when each acknowledgement came.
type gaps struct {
	mu   sync.Mutex
	acks map[int32][]time.Time
	errs map[string]int
	stop context.CancelFunc
	wait sync.WaitGroup
}

func watchGaps(cl *kgo.Client, topic string, partitions int32) *gaps {
	ctx, cancel := context.WithCancel(context.Background())
	g := &gaps{acks: map[int32][]time.Time{}, errs: map[string]int{}, stop: cancel}
	for p := range partitions {
		g.wait.Go(func() {
			slots := make(chan struct{}, 100)
			for ctx.Err() == nil {
				slots <- struct{}{}
				cl.Produce(context.Background(), &kgo.Record{Topic: topic, Partition: p, Value: make([]byte, 100)}, func(_ *kgo.Record, err error) {
					g.mu.Lock()
					if err == nil {
						g.acks[p] = append(g.acks[p], time.Now())
					} else {
						g.errs[err.Error()]++
					}
					g.mu.Unlock()
					<-slots
				})
				t := time.NewTimer(2 * time.Millisecond)
				<-t.C
			}
		})
	}
	return g
}

// count is how many acknowledgements of a partition came after a time.
func (g *gaps) count(p int32, since time.Time) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, at := range g.acks[p] {
		if at.After(since) {
			n++
		}
	}
	return n
}

// longest is the longest time between two acknowledgements of one of the partitions around a time, and how long after it
// the last of them had one again.
func (g *gaps) longest(partitions []int32, since time.Time) (gap, first time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range partitions {
		var before time.Time
		seen := false
		for _, at := range g.acks[p] {
			if at.After(since) {
				if !seen {
					first, seen = max(first, at.Sub(since)), true
				}
				gap = max(gap, at.Sub(before))
			}
			before = at
		}
	}
	return gap, first
}

// TestGaps: with default settings, how long producers wait for an acknowledgement when the leader of their partition is
// killed, or stopped in order. A node that is frozen keeps its session.
func TestGaps(t *testing.T) {
	all := nodes(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	connect := func(opts ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(all[0].Addr, all[1].Addr, all[2].Addr), kgo.MetadataMinAge(50 * time.Millisecond),
			kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	const partitions = 6
	adm := kadm.NewClient(connect())
	await(t, ctx, "the topic is made", func() bool {
		_, err := adm.CreateTopic(ctx, partitions, 3, nil, "t")
		return err == nil || strings.Contains(err.Error(), "EXISTS")
	})
	await(t, ctx, "all replicas are in sync", func() bool { return inSync(ctx, adm, "t") })
	load := watchGaps(connect(kgo.ProducerLinger(0)), "t", partitions)
	defer func() { load.stop(); load.wait.Wait() }()
	led := func(node int32) (out []int32) {
		topics, err := adm.ListTopics(ctx, "t")
		if err != nil {
			return nil
		}
		for _, p := range topics["t"].Partitions {
			if p.Leader == node {
				out = append(out, p.Partition)
			}
		}
		slices.Sort(out)
		return out
	}
	type outcome struct{ gap, first time.Duration }
	results := map[string][]outcome{}
	for round := range 4 {
		for _, how := range []string{"kill", "stop"} {
			node := int32(round%3 + 1)
			b := all[node-1]
			var mine []int32
			await(t, ctx, "the node leads something", func() bool {
				mine = led(node)
				return len(mine) > 0 && inSync(ctx, adm, "t")
			})
			steady := time.Now()
			await(t, ctx, "records are acknowledged", func() bool { return load.count(mine[0], steady) > 50 })
			at := time.Now()
			end(t, b, how)
			await(t, ctx, "records are acknowledged again", func() bool {
				return !slices.ContainsFunc(mine, func(p int32) bool { return load.count(p, at.Add(200*time.Millisecond)) < 50 })
			})
			gap, first := load.longest(mine, at)
			t.Logf("FIGURE node %d, %s: longest gap %v, the last partition goes on after %v", node, how, gap, first)
			results[how] = append(results[how], outcome{gap, first})
			if err := b.Run(ctx); err != nil {
				t.Fatal(err)
			}
			await(t, ctx, "all replicas are in sync", func() bool { return inSync(ctx, adm, "t") })
			elect(ctx, t, adm)
		}
	}
	for err, n := range load.errs {
		t.Errorf("%d records failed: %s", n, err)
	}
	// Figures belong to a quiet machine. What has to hold on any is that most gaps are not as long as a session, which is 9 s.
	for how, bound := range map[string]time.Duration{"kill": 4 * time.Second, "stop": 2 * time.Second} {
		within := 0
		for _, o := range results[how] {
			if o.gap <= bound {
				within++
			}
		}
		if within < len(results[how])/2 {
			t.Errorf("%s: only %d of %d gaps are within %v", how, within, len(results[how]), bound)
		}
	}
}

// end ends a node.
func end(t *testing.T, b *brokers.Broker, how string) {
	t.Helper()
	switch how {
	case "kill":
		if err := syscall.Kill(b.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		b.Kill()
	case "stop":
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// elect gives partitions back to the first of their replicas.
func elect(ctx context.Context, t *testing.T, adm *kadm.Client) {
	t.Helper()
	if _, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil); err != nil {
		t.Logf("elect leaders: %v", err)
	}
}
