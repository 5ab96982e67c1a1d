package txn

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

// Description is what DescribeTransactions tells of a transactional id.
type Description struct {
	Code       wire.Code
	ID         string
	State      string
	Producer   Producer
	TimeoutMs  int32
	StartMs    int64
	Partitions []log.TopicPartition // in order
}

// Describe handles a DescribeTransactions; the answer is in the order of the ids.
func (c *Coordinator) Describe(ids []string, reply func([]Description)) {
	out := make([]Description, len(ids))
	g := coordinator.NewGather(len(ids), func() { reply(out) })
	for i, id := range ids {
		id = strings.Clone(id)
		out[i].ID = id
		if id == "" {
			out[i].Code = wire.InvalidRequest
			g.Done()
			continue
		}
		c.run(id, func(_ *coordinator.Tx, m *machine) {
			if t := m.txns[id]; t != nil && t.v.state != stateDead {
				v := &t.v
				out[i] = Description{ID: id, State: v.state.String(), Producer: Producer{v.producerID, v.epoch}, TimeoutMs: v.timeoutMs, StartMs: v.startMs,
					Partitions: slices.SortedFunc(maps.Keys(v.partitions), compare)}
			} else {
				out[i].Code = wire.TransactionalIdNotFound
			}
			g.Done()
		}, func(err error) {
			out[i].Code = errorCode(err)
			g.Done()
		})
	}
	g.Done()
}

// Filter chooses transactional ids; the zero value and DurationMs -1 choose all.
type Filter struct {
	States      []string // by name
	ProducerIDs []int64
	DurationMs  int64 // -1: however long; else those that have run for longer
	Pattern     string
}

// Listing is one id of a ListTransactions.
type Listing struct {
	ID         string
	ProducerID int64
	State      string
}

// List handles a ListTransactions: the ids that this broker coordinates, and the names of states that do not exist.
func (c *Coordinator) List(f Filter, reply func(code wire.Code, unknown []string, ids []Listing)) {
	states, unknown := map[state]bool{}, []string{}
	for _, name := range f.States {
		if s, ok := stateOf(name); ok {
			states[s] = true
		} else {
			unknown = append(unknown, strings.Clone(name))
		}
	}
	var pattern *regexp.Regexp
	if f.Pattern != "" {
		var err error
		if pattern, err = regexp.Compile(`^(?:` + f.Pattern + `)$`); err != nil {
			reply(wire.InvalidRegularExpression, unknown, nil)
			return
		}
	}
	producers := map[int64]bool{}
	for _, id := range f.ProducerIDs {
		producers[id] = true
	}
	keep := func(t *transaction, nowMs int64) bool {
		switch {
		case t.v.state == stateDead, len(producers) > 0 && !producers[t.v.producerID], len(f.States) > 0 && !states[t.v.state]:
			return false
		case f.DurationMs >= 0 && nowMs-t.v.startMs <= f.DurationMs:
			return false
		}
		return pattern == nil || pattern.MatchString(t.id)
	}
	shards := c.rt.Shards()
	lists := make([][]Listing, len(shards))
	var mu sync.Mutex
	code := wire.None
	g := coordinator.NewGather(len(shards), func() {
		if code != wire.None {
			reply(code, nil, nil)
			return
		}
		reply(code, unknown, slices.Concat(lists...))
	})
	for i, p := range shards {
		c.rt.Run(p, func(tx *coordinator.Tx, m *machine) {
			for _, t := range m.txns {
				if keep(t, tx.NowMs()) {
					lists[i] = append(lists[i], Listing{t.id, t.v.producerID, t.v.state.String()})
				}
			}
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

// abortWithNewID aborts a transaction whose time is over and whose producer has no epoch left.
func (c *Coordinator) abortWithNewID(id string) {
	c.deps.Group.Go("producer id", func(ctx context.Context) {
		newID, err := c.deps.NewProducerID(ctx)
		if err != nil {
			c.deps.Logger.Warn("no producer id for a transaction that has to be aborted; it is tried again", "transactionalId", id, "error", err)
			return
		}
		c.run(id, func(tx *coordinator.Tx, m *machine) {
			if t := m.txns[id]; t != nil && t.timedOut(tx.NowMs()) {
				m.abortOne(tx, t, newID)
			}
		}, func(error) {})
	})
}
