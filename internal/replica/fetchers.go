package replica

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
)

// fetcherID names a fetcher: one of num.replica.fetchers for each leader.
type fetcherID struct {
	leader int32
	index  int
}

// fetchers gives each followed replica to the fetcher of its leader. A fetcher's goroutine lives while it has replicas.
// Safe for concurrent use.
type fetchers struct {
	m    *Manager
	seed maphash.Seed

	mu      sync.Mutex
	group   *lifecycle.Group // nil: not started yet
	cluster Cluster
	byID    map[fetcherID]*fetcher
	of      map[*Replica]*fetcher
}

func newFetchers(m *Manager) *fetchers {
	return &fetchers{m: m, seed: maphash.MakeSeed(), byID: map[fetcherID]*fetcher{}, of: map[*Replica]*fetcher{}}
}

// start lets the fetchers run.
func (fs *fetchers) start(g *lifecycle.Group, c Cluster) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.group, fs.cluster = g, c
	for _, f := range fs.byID {
		fs.run(f)
	}
}

// add lets a replica follow the leader of its role.
func (fs *fetchers) add(r *Replica, role *partition.Role) {
	n := max(fs.m.settings().Fetchers, 1)
	id := fetcherID{role.Leader, int(maphash.Comparable(fs.seed, log.TopicPartition{Topic: r.Topic, Partition: r.Index}) % uint64(n))}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.byID[id]
	if f == nil {
		f = &fetcher{m: fs.m, id: id, wake: make(chan struct{}, 1)}
		fs.byID[id] = f
	}
	fs.of[r] = f
	f.change(fetchChange{add: &following{r: r, epoch: role.LeaderEpoch}})
	fs.run(f)
}

// remove ends the following of a replica. An answer that is on its way is refused by the log, which has another role by
// then.
func (fs *fetchers) remove(r *Replica) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.of[r]; f != nil {
		delete(fs.of, r)
		f.change(fetchChange{remove: r})
	}
}

// run starts a fetcher that does not run. The caller holds fs.mu.
func (fs *fetchers) run(f *fetcher) {
	if fs.group == nil || f.running {
		return
	}
	f.running = fs.group.Go("replica fetcher", func(ctx context.Context) { f.loop(ctx, fs.cluster) })
}

// done ends a fetcher that has nothing to fetch, unless it has got something meanwhile.
func (fs *fetchers) done(f *fetcher) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.inbox) > 0 {
		return false
	}
	f.running = false
	delete(fs.byID, f.id)
	return true
}

// maxLag is how far the follower that is furthest behind its leader is.
func (fs *fetchers) maxLag() int64 {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	most := int64(0)
	for r := range fs.of {
		most = max(most, r.lag.Load())
	}
	return most
}
