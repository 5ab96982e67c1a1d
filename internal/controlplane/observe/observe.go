// Package observe looks at one cluster from three sides at once: the processes
// and folders on this machine, each broker's own port, and the metadata that
// the cluster tells. Each question has its own time limit, so that a dead or
// frozen broker costs an observation that long and no longer, and never hides
// what the others say.
//
// It judges nothing and mends nothing.
package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/admin"
	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/provider"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// Timeouts bound one observation's questions.
type Timeouts struct {
	Ping     time.Duration // one broker's own port
	Metadata time.Duration // the cluster's metadata
	Sizes    time.Duration // one broker's log directories
}

// DefaultTimeouts suit brokers on this machine.
var DefaultTimeouts = Timeouts{Ping: 2 * time.Second, Metadata: 10 * time.Second, Sizes: 5 * time.Second}

// Observer looks at one cluster again and again; it remembers since when a
// broker has not answered. Observe must not be called twice at once.
type Observer struct {
	layout   engine.Layout
	local    *provider.Local
	access   admin.Access
	client   *admin.Client
	timeouts Timeouts
	silent   map[int32]silence
}

// silence belongs to one process: a new process starts with a clean record.
type silence struct {
	pid   int
	since time.Time
}

// New makes an observer; Close ends its connections.
func New(layout engine.Layout, local *provider.Local, access admin.Access, t Timeouts) (*Observer, error) {
	client, err := admin.Open(access)
	if err != nil {
		return nil, err
	}
	return &Observer{layout: layout, local: local, access: access, client: client, timeouts: t, silent: map[int32]silence{}}, nil
}

// Close ends the observer's connections.
func (o *Observer) Close() { o.client.Close() }

// metadata is what the cluster tells, or why it does not.
type metadata struct {
	nodes      []admin.Node
	partitions []spec.PartitionObservation
	err        error
}

// Observe looks once. It always returns: what could not be learned is missing
// and, for the cluster as a whole, explained in Why.
func (o *Observer) Observe(ctx context.Context, c *spec.Cluster, now time.Time) spec.Observation {
	out := spec.Observation{At: now, Brokers: make([]spec.BrokerObservation, len(c.Brokers))}
	answers := make([]error, len(c.Brokers))
	var meta metadata
	var all sync.WaitGroup
	all.Go(func() { meta = o.metadata(ctx) })
	for i, b := range c.Brokers {
		all.Go(func() { out.Brokers[i], answers[i] = o.broker(ctx, b) })
	}
	all.Wait()
	for i := range out.Brokers {
		o.remember(&out.Brokers[i], answers[i], now)
	}
	if meta.err != nil {
		out.Why = meta.err.Error()
		return out
	}
	out.Reachable, out.Partitions = true, meta.partitions
	o.join(ctx, &out, meta)
	return out
}

// broker looks at one broker's process, folder and port; the error says that
// its port gave no answer.
func (o *Observer) broker(ctx context.Context, b spec.Broker) (spec.BrokerObservation, error) {
	out := spec.BrokerObservation{ID: b.ID}
	if r, err := o.local.Find(o.layout.PID(b.ID)); err == nil {
		out.ProcessAlive, out.PID, out.StartedAt = true, r.PID, r.StartedAt
	} else {
		out.LastWords = lastLine(o.layout.Output(b.ID))
	}
	data := o.layout.Data(b.ID)
	_, err := os.Stat(filepath.Join(data, "meta.properties"))
	out.DataDirPresent = err == nil
	if n, err := provider.DiskUsage(data); err == nil {
		out.DiskUsedBytes = n
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeouts.Ping)
	defer cancel()
	return out, ping(ctx, o.access, engine.Address(b.ClientPort))
}

// longestWords bounds the line that is kept of a process's output, in bytes.
const longestWords = 300

// lastLine is the last line of a file, "" if there is none.
func lastLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	text := make([]byte, min(end, 4*longestWords))
	n, _ := f.ReadAt(text, end-int64(len(text))) // what could be read is enough
	lines := strings.Split(strings.TrimSpace(string(text[:n])), "\n")
	last := strings.ToValidUTF8(lines[len(lines)-1], "")
	return strings.TrimSpace(last[:min(len(last), longestWords)])
}

// remember notes since when a live process has not answered. A dead process is
// not silent, it is dead.
func (o *Observer) remember(b *spec.BrokerObservation, unanswered error, now time.Time) {
	if unanswered == nil || !b.ProcessAlive {
		delete(o.silent, b.ID)
		return
	}
	s, known := o.silent[b.ID]
	if !known || s.pid != b.PID {
		s = silence{b.PID, now}
		o.silent[b.ID] = s
	}
	b.UnresponsiveSince = s.since
}

// metadata asks the cluster, and stops waiting when the time is over: the
// client may take longer to give up a connection that never answers.
func (o *Observer) metadata(ctx context.Context) metadata {
	ctx, cancel := context.WithTimeout(ctx, o.timeouts.Metadata)
	defer cancel()
	answer := make(chan metadata, 1)
	go func() { answer <- o.ask(ctx) }()
	select {
	case m := <-answer:
		return m
	case <-ctx.Done():
		return metadata{err: fmt.Errorf("no broker answered within %v: %w", o.timeouts.Metadata, ctx.Err())}
	}
}

func (o *Observer) ask(ctx context.Context) metadata {
	var m metadata
	if m.nodes, m.err = o.client.Nodes(ctx); m.err != nil {
		return m
	}
	parts, err := o.client.Partitions(ctx)
	if err != nil {
		m.err = err
		return m
	}
	index := map[string]int{}
	topics := map[string]bool{}
	for i, p := range parts {
		index[fmt.Sprint(p.Topic, "-", p.Partition)] = i
		topics[p.Topic] = true
		m.partitions = append(m.partitions, spec.PartitionObservation{Topic: p.Topic, Partition: p.Partition, Leader: p.Leader, Replicas: p.Replicas, ISR: p.ISR})
	}
	moves, err := o.client.Reassignments(ctx)
	for _, r := range moves {
		if i, ok := index[fmt.Sprint(r.Topic, "-", r.Partition)]; ok {
			m.partitions[i].Adding, m.partitions[i].Removing = r.Adding, r.Removing
		}
	}
	m.err = errors.Join(err, o.minInSync(ctx, topics, m.partitions))
	return m
}

func (o *Observer) minInSync(ctx context.Context, topics map[string]bool, parts []spec.PartitionObservation) error {
	names := make([]string, 0, len(topics))
	for t := range topics {
		names = append(names, t)
	}
	values, err := o.client.TopicSetting(ctx, "min.insync.replicas", names...)
	for i := range parts {
		// A value that is no number stays 0: unknown.
		parts[i].MinInSync, _ = strconv.Atoi(values[parts[i].Topic])
	}
	return err
}

// sizes lists a broker's replicas; without an answer in time they are unknown.
func (o *Observer) sizes(ctx context.Context, broker int32) []admin.Replica {
	ctx, cancel := context.WithTimeout(ctx, o.timeouts.Sizes)
	defer cancel()
	answer := make(chan []admin.Replica, 1)
	go func() {
		rs, _ := o.client.Replicas(ctx, broker)
		answer <- rs
	}()
	select {
	case rs := <-answer:
		return rs
	case <-ctx.Done():
		return nil
	}
}

// join puts what the metadata says of brokers to what was seen of them, and
// asks those that serve for sizes.
func (o *Observer) join(ctx context.Context, out *spec.Observation, meta metadata) {
	replicas := make([][]admin.Replica, len(out.Brokers))
	var all sync.WaitGroup
	for i := range out.Brokers {
		b := &out.Brokers[i]
		for _, n := range meta.nodes {
			if n.ID == b.ID {
				b.Registered, b.Fenced = true, n.Fenced
			}
		}
		for _, p := range out.Partitions {
			if p.Leader == b.ID {
				b.Leaders++
			}
			for _, r := range p.Replicas {
				if r == b.ID {
					b.Replicas++
				}
			}
		}
		if b.Registered && !b.Fenced && b.ProcessAlive && b.UnresponsiveSince.IsZero() {
			all.Go(func() { replicas[i] = o.sizes(ctx, b.ID) })
		}
	}
	all.Wait()
	type place struct {
		topic     string
		partition int32
	}
	parts := map[place]*spec.PartitionObservation{}
	for i := range out.Partitions {
		p := &out.Partitions[i]
		parts[place{p.Topic, p.Partition}] = p
	}
	for i, rs := range replicas {
		for _, r := range rs {
			out.Brokers[i].Bytes += r.Bytes
			p := parts[place{r.Topic, r.Partition}]
			if p == nil {
				continue // deleted meanwhile
			}
			p.Bytes = max(p.Bytes, r.Bytes)
			if slices.Contains(p.Adding, out.Brokers[i].ID) {
				p.AddedBytes += r.Bytes
			}
		}
	}
}
