package controlplane

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/heal"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
	"github.com/weir-stream/weir/internal/lifecycle"
)

// keepSeen bounds the observations that a member remembers.
const keepSeen = 120

// member is one cluster of the fleet while the service runs: what was seen of
// it, which operations run and what healing did.
type member struct {
	id string
	// admit is held while somebody decides whether an operation may begin.
	admit lifecycle.IOLock
	// wake asks for another look at once.
	wake chan struct{}

	// mu guards what follows; nothing is waited for under it.
	mu      sync.Mutex
	seen    []spec.Observation // partitions in the last one only
	took    time.Duration      // the last observation
	ops     map[string]*running
	acts    []heal.Act
	entries map[string]actRef // open journal entries by their ID
	tended  bool
	gone    bool
}

// running is one operation that is being run.
type running struct {
	op     *spec.Operation // as it was when it was launched
	cancel context.CancelFunc
	done   chan struct{}
}

// actRef finds the act of a journal entry.
type actRef struct {
	broker int32
	choice string
	at     time.Time
}

// member returns the runtime of a cluster, making it if there is none.
func (s *Service) member(id string) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.fleet[id]
	if m == nil {
		m = &member{id: id, admit: lifecycle.NewIOLock(), wake: make(chan struct{}, 1), ops: map[string]*running{}, entries: map[string]actRef{}}
		s.fleet[id] = m
	}
	return m
}

func (s *Service) memberIDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id := range s.fleet {
		ids = append(ids, id)
	}
	return ids
}

// forget drops a cluster that is gone.
func (s *Service) forget(id string) {
	s.mu.Lock()
	m := s.fleet[id]
	delete(s.fleet, id)
	s.mu.Unlock()
	if m != nil {
		m.mu.Lock()
		m.gone = true
		m.mu.Unlock()
		m.nudge()
	}
	s.world.Forget(id)
	s.targets(id, nil)
}

// nudge asks for another look at once.
func (m *member) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// record keeps an observation. Earlier ones lose their partitions: a cluster
// has many, and healing looks at those of the last one only.
func (m *member) record(o spec.Observation, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.seen); n > 0 {
		if o.At.Before(m.seen[n-1].At) {
			return
		}
		m.seen[n-1].Partitions = nil
	}
	m.seen = append(m.seen, o)
	if extra := len(m.seen) - keepSeen; extra > 0 {
		m.seen = slices.Delete(m.seen, 0, extra)
	}
	m.took = took
}

// last is the latest observation; its slices must not be changed.
func (m *member) last() (spec.Observation, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.seen) == 0 {
		return spec.Observation{}, false
	}
	return m.seen[len(m.seen)-1], true
}

// running lists the operations that run, as they were launched, the oldest first.
func (m *member) running() []*spec.Operation {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*spec.Operation
	for _, r := range m.ops {
		out = append(out, r.op)
	}
	slices.SortFunc(out, func(a, b *spec.Operation) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return out
}

// busy are the brokers that an operation works on now: from the first step
// that names a broker until the last one that does.
func busy(op *spec.Operation) []int32 {
	var out []int32
	for i := range op.Steps {
		if op.Steps[i].State == spec.StepPending && i > 0 && op.Steps[i-1].State != spec.StepSucceeded {
			break // not begun, and not next
		}
		for _, id := range named(&op.Steps[i]) {
			for k := i; k < len(op.Steps); k++ {
				if st := op.Steps[k].State; (st == spec.StepPending || st == spec.StepRunning) && slices.Contains(named(&op.Steps[k]), id) && !slices.Contains(out, id) {
					out = append(out, id)
				}
			}
		}
	}
	return out
}

// named are the brokers whose process or files a step touches or waits for.
func named(s *spec.Step) []int32 {
	switch s.Kind {
	case spec.StepReassign, spec.StepElectLeaders, spec.StepPrepareEngine:
		return nil
	case spec.StepDeclareBrokers:
		var ids []int32
		for _, b := range s.Args.Add {
			ids = append(ids, b.ID)
		}
		return ids
	}
	if s.Args.Broker != 0 {
		return []int32{s.Args.Broker}
	}
	return s.Args.Brokers
}

// tend begins to look at a cluster, once.
func (s *Service) tend(c *spec.Cluster) {
	m := s.member(c.ID)
	m.mu.Lock()
	begun := m.tended
	m.tended = true
	m.mu.Unlock()
	if begun {
		return
	}
	s.targets(c.ID, c)
	s.group.Go("tend "+c.ID, func(ctx context.Context) { s.watch(ctx, m) })
}

// watch looks at a cluster until it is gone or the service ends.
func (s *Service) watch(ctx context.Context, m *member) {
	for ctx.Err() == nil {
		c, err := store.Clusters.Get(ctx, s.store, m.id)
		if errors.Is(err, store.ErrNotFound) {
			return
		}
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("the store cannot be read; looking again", "cluster", m.id, "error", err)
			}
			s.pause(ctx, m, c, 5*s.o.HealEvery)
			continue
		}
		s.look(ctx, m, c)
		m.mu.Lock()
		gone, took := m.gone, m.took
		m.mu.Unlock()
		if gone {
			return
		}
		s.pause(ctx, m, c, s.interval(m, took))
	}
}

// calm is how many times as long as an observation the pause after it is, and
// most how many intervals, when all is well: a large cluster is looked at less
// often. When something is wrong, every look counts.
const (
	calm = 9
	most = 10
)

func (s *Service) interval(m *member, took time.Duration) time.Duration {
	last, _ := m.last()
	for _, b := range last.Brokers {
		if !last.Reachable || !b.ProcessAlive || !b.DataDirPresent || !b.UnresponsiveSince.IsZero() || b.Fenced {
			return s.o.HealEvery
		}
	}
	return max(s.o.HealEvery, min(calm*took, most*s.o.HealEvery))
}

// pollProcesses is how often processes are looked at between observations.
const pollProcesses = 200 * time.Millisecond

// pause waits until the next look is due: after d, when somebody asks for it,
// or when a process that lived at the last look is gone.
func (s *Service) pause(ctx context.Context, m *member, c *spec.Cluster, d time.Duration) {
	due := time.NewTimer(d)
	defer due.Stop()
	poll := time.NewTicker(min(d, pollProcesses))
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-due.C:
			return
		case <-m.wake:
			return
		case <-poll.C:
			if last, ok := m.last(); ok && c != nil && s.died(&last, c) {
				return
			}
		}
	}
}

func (s *Service) died(last *spec.Observation, c *spec.Cluster) bool {
	for _, b := range last.Brokers {
		if b.ProcessAlive && !s.world.Runs(*c, b.ID) {
			return true
		}
	}
	return false
}

// look observes a cluster, mends it and writes down how it is.
func (s *Service) look(ctx context.Context, m *member, c *spec.Cluster) {
	idle := c.State == spec.Stopped && s.personal(ctx, m) == nil
	if !idle {
		if _, err := s.observe(ctx, m, *c); err != nil {
			return // the service is ending
		}
		s.mend(ctx, m)
		s.liftThrottle(ctx, m, c)
	}
	s.settle(ctx, m)
}

// observe looks at a cluster now and keeps what was seen.
func (s *Service) observe(ctx context.Context, m *member, c spec.Cluster) (spec.Observation, error) {
	before := time.Now()
	o, err := s.world.Observe(ctx, c)
	if err != nil || ctx.Err() != nil {
		return o, errors.Join(err, ctx.Err())
	}
	m.record(o, time.Since(before))
	return o, nil
}

// watching is the world with every observation kept, whoever made it.
type watching struct {
	world
	s *Service
}

func (w watching) Observe(ctx context.Context, c spec.Cluster) (spec.Observation, error) {
	return w.s.observe(ctx, w.s.member(c.ID), c)
}

// liftThrottle removes a limit that an operation left behind: it failed, or
// could not reach the cluster when it ended.
func (s *Service) liftThrottle(ctx context.Context, m *member, c *spec.Cluster) {
	if last, ok := m.last(); !c.Throttled || s.personal(ctx, m) != nil || !ok || !last.Reachable {
		return
	}
	if err := s.world.Reassign(ctx, *c, nil, 0); err != nil {
		s.log.Warn("the limit on replication could not be lifted yet", "cluster", c.Name, "error", err)
		return
	}
	if _, err := store.Clusters.Change(ctx, s.store, c.ID, func(c *spec.Cluster) error { c.Throttled = false; return nil }); err != nil {
		s.log.Error("the store cannot be written", "cluster", c.Name, "error", err)
	}
}
