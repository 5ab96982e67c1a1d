package group

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/wire"
)

// CommitOffsets commits offsets. The answer has a code per partition, topic by topic, in order; r and its strings may
// be reused then. The empty group id is allowed, as in Kafka.
func (c *Coordinator) CommitOffsets(r *Commit, reply func([]wire.Code)) {
	if len(r.Group) > maxStringBytes {
		reply(r.codes(wire.InvalidGroupId))
		return
	}
	c.run(r.Group, func(tx *coordinator.Tx, m *machine) { m.commit(tx, r, reply) },
		func(err error) { reply(r.codes(errorCode(err))) })
}

// Fetcher says who reads offsets: a member of a consumer group in its epoch, or nobody in particular (nil and -1).
type Fetcher struct {
	MemberID *string
	Epoch    int32
}

// Anybody reads offsets as nobody in particular.
var Anybody = Fetcher{Epoch: -1}

// FetchOffsets reads committed offsets: those asked for, or all of the group if topics is nil. What it answers is
// committed for good. If stable, offsets that a transaction holds are told as such (KIP-447).
func (c *Coordinator) FetchOffsets(group string, by Fetcher, topics []FetchTopic, stable bool, reply func(wire.Code, []FetchedTopic)) {
	by.MemberID = cloneString(by.MemberID)
	read := func(m *machine) []FetchedTopic {
		if topics == nil {
			return m.fetchAll(group, stable)
		}
		return m.fetch(group, topics, stable)
	}
	c.run(group, func(tx *coordinator.Tx, m *machine) {
		if g := m.consumers[group]; g != nil {
			if err := g.CheckFetch(by.MemberID, by.Epoch); err != nil {
				reply(wire.CodeOf(err), nil)
				return
			}
		}
		got := read(m)
		tx.Then(func(_ *coordinator.Tx, err error) {
			switch wire.CodeOf(err) {
			case wire.None:
				reply(wire.None, got)
			case wire.NotCoordinator, wire.CoordinatorNotAvailable, wire.RequestTimedOut:
				reply(errorCode(err), nil) // the shard is gone, or it is open what will last
			default:
				reply(wire.None, read(m)) // what was not committed has been undone
			}
		})
	}, func(err error) { reply(errorCode(err), nil) })
}

// DeleteOffsets handles an OffsetDelete for partitions that exist: a code for the whole, or if that is none one per
// partition, topic by topic, in order.
func (c *Coordinator) DeleteOffsets(group string, topics []FetchTopic, reply func(wire.Code, []wire.Code)) {
	if group == "" {
		reply(wire.InvalidGroupId, nil)
		return
	}
	c.run(group, func(tx *coordinator.Tx, m *machine) { m.deleteOffsets(tx, group, topics, reply) },
		func(err error) { reply(errorCode(err), nil) })
}

// TopicsDeleted removes all offsets for topics that are no more. It does not wait; a shard that cannot write now
// keeps them until they expire.
func (c *Coordinator) TopicsDeleted(topics []*image.Topic) {
	gone := make([]deletedTopic, 0, len(topics))
	for _, t := range topics {
		gone = append(gone, deletedTopic{t.Name, t.ID})
	}
	if len(gone) == 0 {
		return
	}
	for _, p := range c.rt.Shards() {
		c.rt.Run(p, func(tx *coordinator.Tx, m *machine) { m.forgetTopics(tx, gone) }, func(error) {})
	}
}

// TopicsChanged has consumer groups look again at topics that are new, changed or no more; version is that of the metadata. It
// does not wait.
func (c *Coordinator) TopicsChanged(d *image.Delta, version int64) {
	changed := newChangedTopics(d, version)
	if len(changed.names) == 0 {
		return
	}
	for _, p := range c.rt.Shards() {
		c.rt.Run(p, func(_ *coordinator.Tx, m *machine) { m.topicsChanged(changed) }, func(error) {})
	}
}

// Describe handles a DescribeGroups; the answer is in the order of the ids.
func (c *Coordinator) Describe(ids []string, reply func([]Description)) {
	out := make([]Description, len(ids))
	g := coordinator.NewGather(len(ids), func() { reply(out) })
	for i, id := range ids {
		id = strings.Clone(id)
		c.run(id, func(_ *coordinator.Tx, m *machine) {
			out[i] = m.describe(id)
			g.Done()
		}, func(err error) {
			out[i] = Description{Code: errorCode(err), Group: id}
			g.Done()
		})
	}
	g.Done()
}

// DeleteGroups handles a DeleteGroups; the answer is in the order of the ids.
func (c *Coordinator) DeleteGroups(ids []string, reply func([]wire.Code)) {
	out := make([]wire.Code, len(ids))
	g := coordinator.NewGather(len(ids), func() { reply(out) })
	for i, id := range ids {
		c.run(id, func(tx *coordinator.Tx, m *machine) {
			out[i] = m.deleteGroup(tx, id)
			tx.Then(func(_ *coordinator.Tx, err error) {
				if err != nil && out[i] == wire.None {
					out[i] = errorCode(err)
				}
				g.Done()
			})
		}, func(err error) {
			out[i] = errorCode(err)
			g.Done()
		})
	}
	g.Done()
}

// List handles a ListGroups: the groups that this broker coordinates, filtered by the names of states and types in
// any case. While a shard is loaded the answer is its error.
func (c *Coordinator) List(states, types []string, reply func(wire.Code, []Listing)) {
	f, shards := newFilter(states, types), c.rt.Shards()
	lists := make([][]Listing, len(shards))
	var mu sync.Mutex
	code := wire.None
	g := coordinator.NewGather(len(shards), func() { reply(code, slices.Concat(lists...)) })
	for i, p := range shards {
		c.rt.Run(p, func(_ *coordinator.Tx, m *machine) {
			lists[i] = m.list(f)
			g.Done()
		}, func(err error) {
			if ec := errorCode(err); ec != wire.NotCoordinator {
				mu.Lock()
				code = ec
				mu.Unlock()
			}
			g.Done()
		})
	}
	g.Done()
}

// Groups goes over all groups that this broker coordinates, with their members and committed offsets, for metrics. It
// asks one shard at a time, so that it holds a copy of only that one; groups of shards that do not answer before ctx
// ends are left out. Not to be called from a callback of this package.
func (c *Coordinator) Groups(ctx context.Context) iter.Seq[Info] {
	return func(yield func(Info) bool) {
		for _, p := range c.rt.Shards() {
			got := make(chan []Info, 1)
			c.rt.Run(p, func(_ *coordinator.Tx, m *machine) { got <- m.infos() }, func(error) { got <- nil })
			select {
			case infos := <-got:
				for _, i := range infos {
					if !yield(i) {
						return
					}
				}
			case <-ctx.Done():
				return
			}
		}
	}
}
