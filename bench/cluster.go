package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/kwire"
)

// clusterName is the test of three nodes beside three nodes.
const clusterName = "three nodes"

// measureCluster runs three nodes of each side, one side after the other.
func measureCluster(ctx context.Context, o options, dir string) ([]pair, error) {
	var out []pair
	for _, side := range []string{"weir", "apache"} {
		if o.side != "" && o.side != side {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", clusterName, side)
		results, err := clusterOf(ctx, o, dir, side)
		if err != nil {
			return out, fmt.Errorf("%s: %s: %w", clusterName, side, err)
		}
		out = join(out, results, side == "apache")
	}
	return out, nil
}

func clusterOf(ctx context.Context, o options, dir, side string) ([]result, error) {
	props := map[string]string{"log.retention.ms": "-1", "log.segment.delete.delay.ms": "0"} // as for one node
	c := brokers.Config{Dir: dir + "/three-" + side, Props: props, Port: 21900}
	if side == "weir" {
		c.Binary = o.binary
	} else {
		dist, err := kafkadist.Ensure(ctx, kafkadist.Current, os.Stderr)
		if err != nil {
			return nil, err
		}
		c.Dist = dist
	}
	nodes, err := brokers.StartNodes(ctx, 3, c)
	defer func() {
		for _, b := range nodes {
			b.Kill()
		}
	}()
	if err != nil {
		return nil, err
	}
	return trio{nodes, o}.measure(ctx)
}

// trio is three nodes under measurement.
type trio struct {
	nodes []*brokers.Broker
	options
}

// clusterTests are the names of what is measured of three nodes, in this order.
func clusterTests() []test {
	var out []test
	for _, l := range []load{{1024, 6, 0, -1, nil}, {100, 6, 0, -1, nil}, {1024, 1, 0, -1, nil}, {100, 1, 0, -1, nil}} {
		name := fmt.Sprintf("%s, %d B, %d partitions", clusterName, l.recordBytes, l.partitions)
		out = append(out, test{name: name, load: true, three: func(c trio, _ context.Context) ([]result, error) { return c.produce(name, l) }})
	}
	return append(out,
		test{name: clusterName + ", memory", three: trio.memory},
		test{name: clusterName + ", latency", three: trio.latency},
		test{name: clusterName + ", gaps", three: trio.gaps},
	)
}

func (c trio) measure(ctx context.Context) ([]result, error) {
	var out []result
	for _, t := range clusterTests() {
		if !c.only.MatchString(t.name) {
			continue
		}
		rounds := 1
		if t.load {
			rounds = c.rounds
		}
		var all [][]result
		for range rounds {
			results, err := t.three(c, ctx)
			if err != nil {
				return out, fmt.Errorf("%s: %w", t.name, err)
			}
			all = append(all, results)
		}
		out = append(out, medians(all)...)
	}
	return out, nil
}

func (c trio) memory(context.Context) ([]result, error) {
	var sum int64
	for _, b := range c.nodes {
		n, err := b.Anonymous()
		if err != nil {
			return nil, err
		}
		sum += n
	}
	return []result{{clusterName, "anonymous memory of all, after that load", float64(sum) / (1 << 20), "MiB", ratio(0.1)}}, nil
}

func (c trio) produce(name string, l load) ([]result, error) {
	total := c.total()
	topic := freshTopic()
	leader, err := c.create(topic, l.partitions)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ { // on a busy machine a leader may change right after a topic was made
		if err = produce(leader, topic, l, total/4); err == nil {
			break
		}
		leaders, lerr := c.inSync(topic, l.partitions)
		if try == 3 || lerr != nil {
			return nil, errors.Join(err, lerr)
		}
		leader = c.leadersAt(leaders)
	}
	cpu, wall, err := spent(func() error { return produce(leader, topic, l, total) }, c.nodes...)
	if err != nil {
		return nil, err
	}
	if err := deleteTopic(topic, c.nodes...); err != nil {
		return nil, err
	}
	return []result{
		{name, "produce, CPU of all per GiB", cpu.Seconds() / (float64(total) / gib), "s", ratio(0.2)},
		{name, "produce, MiB/s", float64(total) / (1 << 20) / wall.Seconds(), "", wanted{least: 3}},
	}, nil
}

func (c trio) latency(context.Context) ([]result, error) {
	const topic = "three-latency"
	leader, err := c.create(topic, 1)
	if err != nil {
		return nil, err
	}
	count := 4000
	if c.quick {
		count = 500
	}
	return endToEnd(fmt.Sprintf("%s, end to end at 200 records/s, acks all", clusterName), leader(0), topic, -1, 200, count)
}

// create makes a topic with a replica on each node and waits until all are in sync.
func (c trio) create(topic string, partitions int32) (at, error) {
	if err := createReplicated(c.nodes[0], topic, partitions, 3); err != nil {
		return nil, err
	}
	leaders, err := c.inSync(topic, partitions)
	return c.leadersAt(leaders), err
}

func (c trio) leadersAt(leaders map[int32]int32) at {
	return func(p int32) string { return c.nodes[leaders[p]-1].Addr }
}

// inSync waits until every partition has a leader and three replicas in sync, and returns the leaders.
func (c trio) inSync(topic string, partitions int32) (map[int32]int32, error) {
	var last error
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, b := range c.nodes { // all have to know
			var leaders map[int32]int32
			if leaders, last = leadersOf(b, topic, partitions); last != nil {
				break
			}
			if b == c.nodes[len(c.nodes)-1] {
				return leaders, nil
			}
		}
	}
	return nil, last
}

func leadersOf(b *brokers.Broker, topic string, partitions int32) (map[int32]int32, error) {
	conn, err := kwire.Dial(b.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	req.Topics = append(req.Topics, t)
	resp, err := conn.Request(req)
	if err != nil {
		return nil, err
	}
	leaders := map[int32]int32{}
	for _, p := range resp.(*kmsg.MetadataResponse).Topics[0].Partitions {
		if p.Leader > 0 && len(p.ISR) == 3 {
			leaders[p.Partition] = p.Leader
		}
	}
	if len(leaders) < int(partitions) {
		return nil, fmt.Errorf("%s: %d of %d partitions have a leader and all replicas in sync", topic, len(leaders), partitions)
	}
	return leaders, nil
}

// gaps is how long a producer waits for an acknowledgement when the leader of its partition is killed, or stopped.
func (c trio) gaps(ctx context.Context) ([]result, error) {
	const topic = "three-gaps"
	if _, err := c.create(topic, 1); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	var seeds []string
	for _, b := range c.nodes {
		seeds = append(seeds, b.Addr)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.MetadataMinAge(50*time.Millisecond), kgo.ProducerLinger(0),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	acks := startAcks(ctx, client)
	var out []result
	for _, how := range []string{"killed", "stopped"} {
		gap, err := c.gap(ctx, topic, how, acks)
		if err != nil {
			return out, err
		}
		target := wanted{below: 1}
		if how == "stopped" {
			target = wanted{below: 0.1}
		}
		out = append(out, result{clusterName + ", leader " + how, "longest gap between acknowledgements", gap.Seconds(), "s", target})
	}
	cancel()
	return out, acks.wait()
}

func (c trio) gap(ctx context.Context, topic, how string, acks *acks) (time.Duration, error) {
	leaders, err := c.inSync(topic, 1)
	if err != nil {
		return 0, err
	}
	b := c.nodes[leaders[0]-1]
	begin := time.Now()
	if err := acks.await(ctx, begin, 100); err != nil {
		return 0, err
	}
	if how == "killed" {
		b.Kill()
	} else if err := b.Stop(); err != nil {
		return 0, err
	}
	if err := acks.await(ctx, time.Now(), 100); err != nil {
		return 0, err
	}
	gap := acks.longest(begin)
	return gap, b.Run(ctx)
}

// acks notes when each acknowledgement of a steady producer came.
type acks struct {
	mu    sync.Mutex
	at    []time.Time
	ended chan error
}

func startAcks(ctx context.Context, client *kgo.Client) *acks {
	a := &acks{ended: make(chan error, 1)}
	go func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		slots := make(chan struct{}, 100)
		for ctx.Err() == nil {
			<-tick.C
			slots <- struct{}{}
			client.Produce(context.WithoutCancel(ctx), &kgo.Record{Value: make([]byte, 100)}, func(_ *kgo.Record, err error) {
				if err == nil {
					a.mu.Lock()
					a.at = append(a.at, time.Now())
					a.mu.Unlock()
				}
				<-slots
			})
		}
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		a.ended <- client.Flush(flush)
	}()
	return a
}

func (a *acks) wait() error { return <-a.ended }

// await waits for n acknowledgements after a time.
func (a *acks) await(ctx context.Context, since time.Time, n int) error {
	for {
		a.mu.Lock()
		i, _ := slices.BinarySearchFunc(a.at, since, time.Time.Compare)
		got := len(a.at) - i
		a.mu.Unlock()
		if got >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(errors.New("no acknowledgements came"), ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (a *acks) longest(since time.Time) (gap time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := 1; i < len(a.at); i++ {
		if a.at[i].After(since) {
			gap = max(gap, a.at[i].Sub(a.at[i-1]))
		}
	}
	return gap
}
