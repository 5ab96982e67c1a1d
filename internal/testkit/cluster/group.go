package cluster

import (
	"context"
	"maps"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Group is consumers of one group that commit what they have processed, and what they were told. Its checks carry the
// names of docs: C1 no acknowledged commit is lost, C2 no record is passed over.
type Group struct {
	t       testing.TB
	mu      sync.Mutex
	seen    map[string]int  // how often each record was processed
	commits map[int32]int64 // by partition: the highest offset whose commit was acknowledged
	count   int

	stop context.CancelFunc
	wait sync.WaitGroup
}

// StartGroup starts consumers of a group; each client must have been made with DisableAutoCommit and BlockRebalanceOnPoll.
func StartGroup(t testing.TB, clients []*kgo.Client) *Group {
	ctx, cancel := context.WithCancel(context.Background())
	g := &Group{t: t, seen: map[string]int{}, commits: map[int32]int64{}, stop: cancel}
	for _, cl := range clients {
		g.wait.Go(func() { g.consume(ctx, cl) })
	}
	return g
}

func (g *Group) consume(ctx context.Context, cl *kgo.Client) {
	for ctx.Err() == nil {
		fs := cl.PollRecords(ctx, 20)
		next := map[int32]int64{}
		g.mu.Lock()
		fs.EachRecord(func(r *kgo.Record) {
			g.seen[string(r.Value)]++
			if _, ok := next[r.Partition]; !ok && r.Offset < g.commits[r.Partition] {
				g.t.Errorf("C1: the commit of %d for partition %d was acknowledged; offset %d is read after that", g.commits[r.Partition], r.Partition, r.Offset)
			}
			next[r.Partition] = r.Offset + 1
		})
		g.mu.Unlock()
		if len(next) > 0 && cl.CommitUncommittedOffsets(ctx) == nil {
			g.mu.Lock()
			g.count++
			for p, o := range next {
				g.commits[p] = max(g.commits[p], o)
			}
			g.mu.Unlock()
		}
		cl.AllowRebalance()
	}
}

// Processed is how many different records were processed so far.
func (g *Group) Processed() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.seen)
}

// Committed are the highest offsets whose commits were acknowledged, by partition, and how many commits were.
func (g *Group) Committed() (offsets map[int32]int64, commits int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.commits), g.count
}

// Unseen counts those of the values that nobody has processed.
func (g *Group) Unseen(values []string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, v := range values {
		if g.seen[v] == 0 {
			n++
		}
	}
	return n
}

// Finish ends the consumers.
func (g *Group) Finish() {
	g.stop()
	g.wait.Wait()
}
