// Package clustermodel is a small cluster in memory that behaves as Kafka does
// towards the service: brokers are formatted, run, register and fall out of
// the ISR; reassignments take several looks to finish. It also has a store in
// memory, and a fuse that ends "the service" at any chosen effect. It is no
// judge of the protocol: real clusters are.
package clustermodel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
)

// Node is one broker's machine.
type Node struct {
	Formatted, Running, Registered bool
	// PID counts up with every start, when StartedAt is.
	PID       int
	StartedAt time.Time
	// FrozenSince is zero unless the process is halted.
	FrozenSince time.Time
	// Stillborn processes end as soon as they are started.
	Stillborn bool
}

// World is all that survives the service: store, disks, processes, cluster.
type World struct {
	mu         sync.Mutex
	Docs       map[string]store.Doc
	revision   int64
	pids       int
	Nodes      map[int32]Node
	Partitions []spec.PartitionObservation
	Throttle   int64
	Removed    bool
	// Fuse counts down at each point before and after an effect; at zero the
	// service is dead: nothing more is done for it.
	Fuse   int
	Points int
	// Taken are ports of other programs.
	Taken map[int]bool
	// Stray is called at each observation, for what others do meanwhile.
	Stray func(w *World)
}

// New makes a world with no fuse.
func New() *World { return &World{Docs: map[string]store.Doc{}, Nodes: map[int32]Node{}, Fuse: -1} }

// ErrDead is what a service sees that has been ended.
var ErrDead = errors.New("the service is dead")

// effect runs f between two points where the service may end.
func (w *World) effect(f func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.point() {
		return ErrDead
	}
	if err := f(); err != nil {
		return err
	}
	if w.point() {
		return ErrDead
	}
	return nil
}

func (w *World) point() bool {
	w.Points++
	if w.Fuse > 0 {
		w.Fuse--
	}
	return w.Fuse == 0
}

func (w *World) node(id int32, change func(n *Node)) func() error {
	return func() error {
		n := w.Nodes[id]
		change(&n)
		w.Nodes[id] = n
		return nil
	}
}

// Prepare does nothing but say so.
func (w *World) Prepare(_ context.Context, _ spec.Cluster, say func(string)) error {
	say("engine is ready")
	return w.effect(func() error { return nil })
}

// Provision formats.
func (w *World) Provision(_ context.Context, _ spec.Cluster, b spec.Broker) error {
	return w.effect(w.node(b.ID, func(n *Node) { n.Formatted = true }))
}

// Wipe refuses while the broker runs, and loses its replicas' data.
func (w *World) Wipe(_ context.Context, _ spec.Cluster, id int32) error {
	return w.effect(func() error {
		if w.Nodes[id].Running {
			return fmt.Errorf("broker %d runs", id)
		}
		return w.node(id, func(n *Node) { n.Formatted = false })()
	})
}

// Remove refuses while the broker runs.
func (w *World) Remove(_ context.Context, _ spec.Cluster, id int32) error {
	return w.effect(func() error {
		for n, node := range w.Nodes {
			if (id == 0 || n == id) && node.Running {
				return fmt.Errorf("broker %d runs", n)
			}
		}
		delete(w.Nodes, id)
		if id == 0 {
			clear(w.Nodes)
			w.Removed = true
		}
		return nil
	})
}

// Start refuses a broker without formatted storage.
func (w *World) Start(_ context.Context, _ spec.Cluster, b spec.Broker) error {
	return w.effect(func() error {
		if !w.Nodes[b.ID].Formatted {
			return fmt.Errorf("broker %d has no formatted storage", b.ID)
		}
		return w.node(b.ID, func(n *Node) {
			if n.Running {
				return
			}
			w.pids++
			n.PID, n.StartedAt, n.FrozenSince = w.pids, time.Now(), time.Time{}
			n.Running, n.Registered = !n.Stillborn, n.Registered || !n.Stillborn
		})()
	})
}

// Stop ends the process; its replicas leave the ISR.
func (w *World) Stop(_ context.Context, _ spec.Cluster, id int32) error {
	return w.effect(func() error {
		if n, ok := w.Nodes[id]; ok {
			n.Running, n.FrozenSince = false, time.Time{}
			w.Nodes[id] = n
		}
		for i := range w.Partitions {
			p := &w.Partitions[i]
			if len(p.ISR) > 1 {
				p.ISR = slices.DeleteFunc(slices.Clone(p.ISR), func(x int32) bool { return x == id })
			}
		}
		return nil
	})
}

// Kill is Stop here.
func (w *World) Kill(ctx context.Context, c spec.Cluster, id int32) error { return w.Stop(ctx, c, id) }

// Observe looks, and lets the cluster get on: one replica that is being added
// is finished, and all replicas of running brokers catch up.
func (w *World) Observe(_ context.Context, c spec.Cluster) (o spec.Observation, err error) {
	err = w.effect(func() error {
		if w.Stray != nil {
			w.Stray(w)
		}
		w.advance()
		for _, b := range c.Brokers {
			n := w.Nodes[b.ID]
			o.Reachable = o.Reachable || n.Running
			o.Brokers = append(o.Brokers, spec.BrokerObservation{ID: b.ID, ProcessAlive: n.Running, DataDirPresent: n.Formatted,
				Registered: n.Registered, Fenced: !n.Running, PID: n.PID, StartedAt: n.StartedAt, UnresponsiveSince: n.FrozenSince})
		}
		o.At = time.Now()
		o.Partitions = slices.Clone(w.Partitions)
		return nil
	})
	return o, err
}

func (w *World) advance() {
	finished := false
	for i := range w.Partitions {
		p := &w.Partitions[i]
		if !finished && len(p.Adding)+len(p.Removing) > 0 {
			p.Replicas = slices.DeleteFunc(slices.Clone(p.Replicas), func(id int32) bool { return slices.Contains(p.Removing, id) })
			p.Adding, p.Removing, finished = nil, nil, true
			p.ISR = p.Replicas
		}
		p.ISR = nil
		for _, id := range p.Replicas {
			if w.Nodes[id].Running && !slices.Contains(p.Adding, id) {
				p.ISR = append(p.ISR, id)
			}
		}
	}
}

// Reassign begins or takes back reassignments as Kafka does: the new replicas
// are added first, the old ones go at the end.
func (w *World) Reassign(_ context.Context, _ spec.Cluster, moves []spec.Move, throttle int64) error {
	return w.effect(func() error {
		w.Throttle = throttle
		for _, m := range moves {
			i := slices.IndexFunc(w.Partitions, func(p spec.PartitionObservation) bool { return p.Topic == m.Topic && p.Partition == m.Partition })
			if i < 0 {
				return fmt.Errorf("unknown partition %s-%d", m.Topic, m.Partition)
			}
			p := &w.Partitions[i]
			was := slices.DeleteFunc(slices.Clone(p.Replicas), func(id int32) bool { return slices.Contains(p.Adding, id) })
			p.Replicas, p.Adding, p.Removing = was, nil, nil
			if len(m.To) == 0 {
				continue
			}
			p.Replicas = slices.Clone(m.To)
			for _, id := range m.To {
				if !slices.Contains(was, id) {
					p.Adding = append(p.Adding, id)
				}
			}
			for _, id := range was {
				if !slices.Contains(m.To, id) {
					p.Replicas, p.Removing = append(p.Replicas, id), append(p.Removing, id)
				}
			}
		}
		return nil
	})
}

// ElectLeaders elects.
func (w *World) ElectLeaders(context.Context, spec.Cluster) error {
	return w.effect(func() error {
		for i := range w.Partitions {
			w.Partitions[i].Leader = w.Partitions[i].Replicas[0]
		}
		return nil
	})
}

// Unregister refuses a broker that runs.
func (w *World) Unregister(_ context.Context, _ spec.Cluster, id int32) error {
	return w.effect(func() error {
		if n := w.Nodes[id]; n.Running {
			return fmt.Errorf("broker %d runs", id)
		}
		return w.node(id, func(n *Node) { n.Registered = false })()
	})
}

// Get implements store.Store.
func (w *World) Get(_ context.Context, kind, key string) (d store.Doc, err error) {
	err = w.effect(func() error {
		var ok bool
		if d, ok = w.Docs[kind+" "+key]; !ok {
			return store.ErrNotFound
		}
		return nil
	})
	return d, err
}

// Put implements store.Store.
func (w *World) Put(_ context.Context, kind, key string, body []byte, revision int64) (next int64, err error) {
	err = w.effect(func() error {
		if w.Docs[kind+" "+key].Revision != revision {
			return store.ErrConflict
		}
		w.revision++
		next = w.revision
		w.Docs[kind+" "+key] = store.Doc{Kind: kind, Key: key, Body: slices.Clone(body), Revision: w.revision}
		return nil
	})
	return next, err
}

// Delete implements store.Store.
func (w *World) Delete(_ context.Context, kind, key string, revision int64) error {
	return w.effect(func() error {
		if w.Docs[kind+" "+key].Revision != revision {
			return store.ErrConflict
		}
		delete(w.Docs, kind+" "+key)
		return nil
	})
}

// List implements store.Store.
func (w *World) List(_ context.Context, kind, prefix string, limit int, before string) (out []store.Doc, err error) {
	err = w.effect(func() error {
		for _, d := range w.Docs {
			if d.Kind == kind && strings.HasPrefix(d.Key, prefix) && (before == "" || d.Key < before) {
				out = append(out, d)
			}
		}
		slices.SortFunc(out, func(a, b store.Doc) int { return strings.Compare(b.Key, a.Key) })
		if limit > 0 && len(out) > limit {
			out = out[:limit]
		}
		return nil
	})
	return out, err
}

// Runs says whether a broker's process is alive.
func (w *World) Runs(_ spec.Cluster, id int32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Nodes[id].Running
}

// PortsFree says which port of a broker another program has.
func (w *World) PortsFree(b spec.Broker) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range b.Ports() {
		if w.Taken[p.Port] {
			return fmt.Errorf("port %d is taken", p.Port)
		}
	}
	return nil
}

// Forget has nothing open.
func (w *World) Forget(string) {}

// With looks at or changes the world between two effects.
func (w *World) With(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}
