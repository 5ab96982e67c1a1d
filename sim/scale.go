package sim

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

const (
	scalePerTopic   = 6
	scalePerRequest = 100 // topics
	scaleChanges    = 300
	scalePatience   = time.Minute
	scaleMemory     = 8 << 30 // from there on it works all the same
)

// crowded is what a cluster of many partitions, each with three replicas on three nodes, is measured by. In virtual time
// computing takes none: each duration here is the virtual one, in which messages and waits take theirs, and the processor
// time that the whole process used meanwhile, all three nodes and the client, as if only one of them could run at a time.
type crowded struct {
	partitions int
	made       elapsed
	idle       elapsed // 10 s in which nothing happens
	heap       uint64
	changes    []elapsed // of a topic that is made, until both of the other nodes tell of it
	failover   elapsed   // from the kill of the active controller until another one has decided something
	led        elapsed   // until all partitions have leaders again
	back       elapsed   // from the start of the killed node until all partitions have three replicas in sync
}

// elapsed is how long something took.
type elapsed struct{ virtual, cpu time.Duration }

func (e elapsed) total() time.Duration { return e.virtual + e.cpu }

func (e elapsed) String() string { return fmt.Sprintf("%v + %v of CPU", e.virtual, e.cpu) }

// processorTime is what this process has used, in real time: the clock in a bubble is virtual.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func measured(f func() error) (elapsed, error) {
	virtual, cpu := time.Now(), processorTime()
	err := f()
	return elapsed{time.Since(virtual), processorTime() - cpu}, err
}

// crowd runs a cluster with so many partitions; it is called inside the bubble.
func (c *cluster) crowd(partitions int) (*crowded, error) {
	defer c.end()
	out := &crowded{partitions: partitions / scalePerTopic * scalePerTopic}
	c.voting = votersStatic
	c.extra = append(c.extra, "default.replication.factor=3", "min.insync.replicas=2", "offsets.topic.num.partitions=2")
	c.add("broker,controller", "broker,controller", "broker,controller")
	for _, m := range c.nodes {
		m.dirs = "/a"
		m.run()
	}
	var err error
	step := func(to *elapsed, f func() error) {
		if err == nil {
			*to, err = measured(f)
		}
	}
	cl := c.newClient("crowd")
	defer cl.close()
	step(&out.made, func() error { return c.populate(cl, out.partitions/scalePerTopic) })
	out.heap = liveHeap()
	step(&out.idle, func() error { c.pause(10 * time.Second); return nil })
	// The collector would charge one change with the heap of three nodes; in processes of their own each has its own.
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(scaleMemory))
	maker := c.newClient("maker")
	defer maker.close()
	for i := range scaleChanges {
		var e elapsed
		step(&e, func() error { return c.change(cl, maker, i) })
		out.changes = append(out.changes, e)
	}
	slices.SortFunc(out.changes, func(a, b elapsed) int { return int(a.total() - b.total()) })
	var dead *machine
	if err == nil {
		dead, err = c.controllerOf(cl, c.nodes[0])
	}
	begin, cpu := time.Now(), processorTime()
	step(&out.failover, func() error {
		dead.kill(false)
		return c.eventually("a decision of another controller", func() bool {
			return c.makeTopics(cl, c.nodes[dead.id%len(c.nodes)], "after") == nil
		})
	})
	step(&out.led, func() error {
		led := func(p *kmsg.MetadataResponseTopicPartition) bool { return p.Leader >= 0 && p.Leader != int32(dead.id) }
		return c.eventually("leaders for all partitions", func() bool { return c.allAre(cl, out.partitions, dead, led) })
	})
	out.led = elapsed{time.Since(begin), processorTime() - cpu}
	step(&out.back, func() error {
		dead.run()
		return c.eventually("three replicas of all partitions in sync", func() bool { return c.allAre(cl, out.partitions, nil, whole) })
	})
	return out, err
}

// populate makes all topics, several requests at a time, and waits until each node knows of all partitions that all their
// replicas are in sync.
func (c *cluster) populate(cl *client, topics int) error {
	if err := c.eventually("three nodes that serve", func() bool {
		return !slices.ContainsFunc(c.nodes, func(m *machine) bool { return !m.serving() }) && c.makeTopics(cl, c.nodes[0], "first") == nil
	}); err != nil {
		return err
	}
	for first := 0; first < topics; first += scalePerRequest {
		var names []string
		for i := first; i < min(first+scalePerRequest, topics); i++ {
			names = append(names, fmt.Sprintf("crowd-%05d", i))
		}
		if err := c.makeTopics(cl, c.nodes[first/scalePerRequest%len(c.nodes)], names...); err != nil {
			return err
		}
	}
	return c.eventually("all partitions at all nodes", func() bool { return c.allAre(cl, topics*scalePerTopic, nil, whole) })
}

// makeTopics makes topics through one node.
func (c *cluster) makeTopics(cl *client, m *machine, names ...string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 60000
	for _, name := range names {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, scalePerTopic, 3
		req.Topics = append(req.Topics, t)
	}
	resp, err := cl.at(m, req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
		if code := wire.Code(t.ErrorCode); code != wire.None && code != wire.TopicAlreadyExists {
			return fmt.Errorf("create %s: %w", t.Topic, code)
		}
	}
	return nil
}

// at sends a request to one node.
func (cl *client) at(m *machine, req kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(cl.c.ctx, time.Minute)
	defer cancel()
	return cl.peer(m.address(brokerPort)).Do(ctx, req)
}

// change makes a topic through one node and waits until the others tell of it.
func (c *cluster) change(cl, maker *client, i int) error {
	name := fmt.Sprint("change-", i)
	from := c.nodes[i%len(c.nodes)]
	made := make(chan error, 1)
	c.wait.Go(func() { made <- c.makeTopics(maker, from, name) })
	for _, m := range c.nodes {
		for m != from {
			resp, err := cl.at(m, metadataOf(name))
			if err != nil {
				return err
			}
			if resp.(*kmsg.MetadataResponse).Topics[0].ErrorCode == 0 {
				break
			}
			if !c.pause(100 * time.Microsecond) {
				return c.ctx.Err()
			}
		}
	}
	return <-made
}

func metadataOf(topics ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	return req
}

func whole(p *kmsg.MetadataResponseTopicPartition) bool { return p.Leader >= 0 && len(p.ISR) == 3 }

// allAre reports whether each node, but one that is dead, tells of all partitions what is wanted.
func (c *cluster) allAre(cl *client, partitions int, dead *machine, ok func(*kmsg.MetadataResponseTopicPartition) bool) bool {
	for _, m := range c.nodes {
		if m == dead {
			continue
		}
		resp, err := cl.at(m, kmsg.NewPtrMetadataRequest())
		if err != nil {
			return false
		}
		n := 0
		for _, t := range resp.(*kmsg.MetadataResponse).Topics {
			for i := range t.Partitions {
				if !ok(&t.Partitions[i]) {
					return false
				}
				n++
			}
		}
		if n < partitions {
			return false
		}
	}
	return true
}

// eventually waits for something.
func (c *cluster) eventually(what string, ok func() bool) error {
	for begin := time.Now(); !ok(); {
		if time.Since(begin) > scalePatience || !c.pause(20*time.Millisecond) {
			return fmt.Errorf("%s: not within %v", what, scalePatience)
		}
	}
	return nil
}

// liveHeap is what is in use after a collection.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
