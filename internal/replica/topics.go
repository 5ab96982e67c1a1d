package replica

import (
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/weir-stream/weir/internal/wire"
)

// topicShards is how many copy-on-write maps the registry is split into, so that adding one topic copies a small
// part only and a lookup takes no lock.
const topicShards = 64

// topicEntry is one topic of which this broker holds replicas. The slice is indexed by partition, with nil where
// the replica is elsewhere, and replaced as a whole.
type topicEntry struct {
	name       string
	id         wire.TopicID
	partitions atomic.Pointer[[]*Replica]
}

func (t *topicEntry) partition(i int32) *Replica {
	ps := *t.partitions.Load()
	if i < 0 || int(i) >= len(ps) {
		return nil
	}
	return ps[i]
}

// registry finds topics by name and by id without a lock.
type registry struct {
	mu     sync.Mutex // writers only
	seed   maphash.Seed
	byName [topicShards]atomic.Pointer[map[string]*topicEntry]
	byID   [topicShards]atomic.Pointer[map[wire.TopicID]*topicEntry]
}

func newRegistry() *registry {
	g := &registry{seed: maphash.MakeSeed()}
	for i := range topicShards {
		g.byName[i].Store(&map[string]*topicEntry{})
		g.byID[i].Store(&map[wire.TopicID]*topicEntry{})
	}
	return g
}

func (g *registry) nameShard(name string) *atomic.Pointer[map[string]*topicEntry] {
	return &g.byName[maphash.String(g.seed, name)%topicShards]
}

func (g *registry) idShard(id wire.TopicID) *atomic.Pointer[map[wire.TopicID]*topicEntry] {
	return &g.byID[id[15]%topicShards]
}

func (g *registry) named(name string) *topicEntry { return (*g.nameShard(name).Load())[name] }

func (g *registry) identified(id wire.TopicID) *topicEntry { return (*g.idShard(id).Load())[id] }

// put adds a replica, making its topic known if it is not.
func (g *registry) put(r *Replica) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.identified(r.TopicID)
	if t == nil {
		t = &topicEntry{name: r.Topic, id: r.TopicID}
		t.partitions.Store(&[]*Replica{})
		names, ids := g.nameShard(r.Topic), g.idShard(r.TopicID)
		n, i := maps.Clone(*names.Load()), maps.Clone(*ids.Load())
		n[r.Topic], i[r.TopicID] = t, t
		names.Store(&n)
		ids.Store(&i)
	}
	old, end := *t.partitions.Load(), int(r.Index)+1
	ps := old[:max(len(old), min(end, cap(old)))]
	if int(r.Index) < len(old) || end > cap(old) {
		// Nobody sees what lies behind the end of a slice that was stored; what lies before it is never written to.
		ps = append(make([]*Replica, 0, max(len(old), end+end/4)), old...)
		ps = ps[:max(len(old), end)]
	}
	ps[r.Index] = r
	t.partitions.Store(&ps)
}

// remove forgets a replica, and its topic with the last one, and reports whether no topic of that name is left.
func (g *registry) remove(r *Replica) (topicGone bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.identified(r.TopicID)
	if t == nil {
		return false
	}
	old := *t.partitions.Load()
	ps := make([]*Replica, len(old))
	copy(ps, old)
	left := 0
	for i, p := range ps {
		if p == r {
			ps[i] = nil
		} else if p != nil {
			left++
		}
	}
	t.partitions.Store(&ps)
	if left > 0 {
		return false
	}
	ids := g.idShard(t.id)
	i := maps.Clone(*ids.Load())
	delete(i, t.id)
	ids.Store(&i)
	if names := g.nameShard(t.name); (*names.Load())[t.name] == t {
		n := maps.Clone(*names.Load())
		delete(n, t.name)
		names.Store(&n)
		return true
	}
	return false
}

// each calls f for every replica until it returns false.
func (g *registry) each(f func(*Replica) bool) {
	for i := range g.byID {
		for _, t := range *g.byID[i].Load() {
			for _, r := range *t.partitions.Load() {
				if r != nil && !f(r) {
					return
				}
			}
		}
	}
}
