package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/kwire"
)

// The test of metadata at scale: this many topics of one replica on three nodes, each a broker and a voter.
const (
	scaleTopics     = 10000
	scalePartitions = 6 // of each topic
	scalePerRequest = 200
	scaleProbes     = 300
	scaleFailovers  = 3
)

// scaleName is the test of many partitions on three nodes.
var scaleName = fmt.Sprintf("three nodes, %d partitions", scaleTopics*scalePartitions)

// measureScale runs three nodes of Weir only: Apache Kafka takes minutes to make so many.
func measureScale(ctx context.Context, o options, dir string) ([]pair, error) {
	fmt.Fprintln(os.Stderr, "measuring", scaleName)
	nodes, err := brokers.StartNodes(ctx, 3, brokers.Config{Binary: o.binary, Dir: dir + "/scale", Port: 22900, Props: map[string]string{"num.partitions": "1"}})
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, b := range nodes {
			b.Kill()
		}
	}()
	results, err := scale{trio{nodes, o}}.measure(ctx)
	return join(nil, results, false), err
}

// scale is three nodes with many partitions under measurement.
type scale struct{ trio }

func (s scale) measure(ctx context.Context) (out []result, err error) {
	add := func(what string, value float64, unit string, w wanted) {
		out = append(out, result{scaleName, what, value, unit, w})
		fmt.Fprintf(os.Stderr, "  %s: %.4g %s\n", what, value, unit)
	}
	var took []time.Duration
	cpu, _, err := spent(func() (err error) { took, err = s.changes("before"); return err }, s.nodes...)
	if err != nil {
		return out, fmt.Errorf("changes with nothing there: %w", err)
	}
	add("with no topics: a change at another broker, p99", ms(quantile(took, 0.99)), "ms", wanted{})
	add("with no topics: CPU of all for a change", ms(cpu)/scaleProbes, "ms", wanted{})
	cpu, wall, err := spent(s.createAll, s.nodes...)
	if err != nil {
		return out, fmt.Errorf("create: %w", err)
	}
	add("made, and known to all, in", wall.Seconds(), "s", wanted{})
	add("CPU of all for that", cpu.Seconds(), "s", wanted{})
	idle, _, err := spent(func() error { time.Sleep(2 * settled); return nil }, s.nodes...)
	if err != nil {
		return out, err
	}
	add("CPU of all at rest, of one core", idle.Seconds()/(2*settled).Seconds()*100, "%", wanted{})
	var bytes int64
	for _, b := range s.nodes {
		n, err := b.Anonymous()
		if err != nil {
			return out, err
		}
		bytes += n
	}
	add("anonymous memory of all", float64(bytes)/(1<<20), "MiB", wanted{})
	cpu, _, err = spent(func() (err error) { took, err = s.changes("after"); return err }, s.nodes...)
	if err != nil {
		return out, fmt.Errorf("changes: %w", err)
	}
	add("a change at another broker, p50", ms(quantile(took, 0.5)), "ms", wanted{})
	add("a change at another broker, p99", ms(quantile(took, 0.99)), "ms", wanted{below: 50})
	add("CPU of all for a change, with those who look for it", ms(cpu)/scaleProbes, "ms", wanted{})
	var slowest, back time.Duration
	for range scaleFailovers {
		f, b, err := s.failover(ctx)
		if err != nil {
			return out, fmt.Errorf("failover: %w", err)
		}
		slowest, back = max(slowest, f), max(back, b)
	}
	add(fmt.Sprintf("active controller killed: the next decision after, slowest of %d", scaleFailovers), slowest.Seconds(), "s", wanted{below: 2})
	add("killed node started again: all partitions led after", back.Seconds(), "s", wanted{})
	return out, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))]
}

// createAll makes all topics, several requests at a time, each node taking some, and waits until every node knows all.
func (s scale) createAll() error {
	errs := make([]error, len(s.nodes))
	var wg sync.WaitGroup
	for i, b := range s.nodes {
		wg.Go(func() {
			conn, err := kwire.Dial(b.Addr)
			if err != nil {
				errs[i] = err
				return
			}
			defer conn.Close()
			conn.Timeout = 2 * time.Minute
			for first := i * scalePerRequest; first < scaleTopics && errs[i] == nil; first += len(s.nodes) * scalePerRequest {
				names := make([]string, scalePerRequest)
				for j := range names {
					names[j] = fmt.Sprintf("scale-%05d", first+j)
				}
				errs[i] = createTopics(conn, scalePartitions, names...)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.awaitAll(context.Background(), 2*time.Minute, func(t *kmsg.MetadataResponseTopic) bool { return len(t.Partitions) == scalePartitions })
}

func createTopics(conn *kwire.Conn, partitions int32, names ...string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 5, 120000
	for _, name := range names {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
		req.Topics = append(req.Topics, t)
	}
	resp, err := conn.Request(req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
		if t.ErrorCode != 0 {
			return fmt.Errorf("create %s: error %d", t.Topic, t.ErrorCode)
		}
	}
	return nil
}

// awaitAll waits until every node says of every topic what is wanted.
func (s scale) awaitAll(ctx context.Context, patience time.Duration, ok func(*kmsg.MetadataResponseTopic) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, b := range s.nodes {
		conn, err := kwire.Dial(b.Addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		for {
			req := kmsg.NewPtrMetadataRequest()
			req.Version = 9
			resp, err := conn.Request(req)
			if err != nil {
				return err
			}
			good := 0
			for _, t := range resp.(*kmsg.MetadataResponse).Topics {
				if len(*t.Topic) == len("scale-00000") && ok(&t) {
					good++
				}
			}
			if good == scaleTopics {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s: %d of %d topics are as they should be", b.Addr, good, scaleTopics)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// changes makes small topics through one node and measures how long it takes from the request until each of the others
// tells of it. The durations are sorted.
func (s scale) changes(name string) ([]time.Duration, error) {
	var conns []*kwire.Conn
	for _, b := range s.nodes {
		conn, err := kwire.Dial(b.Addr)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	var took []time.Duration
	for i := range scaleProbes {
		topic := fmt.Sprintf("probe-%s-%d", name, i)
		from := i % len(conns)
		begin := time.Now()
		errs, ends := make([]error, len(conns)), make([]time.Duration, len(conns))
		var wg sync.WaitGroup
		for j, conn := range conns {
			wg.Go(func() {
				if j == from {
					errs[j] = createTopics(conn, 1, topic)
					return
				}
				for errs[j] == nil {
					var known bool
					if known, errs[j] = knows(conn, topic); known {
						break
					}
					time.Sleep(time.Millisecond) // the machine is theirs too
				}
				ends[j] = time.Since(begin)
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		took = append(took, slices.Max(ends))
	}
	slices.Sort(took)
	return took, nil
}

// knows reports whether a node tells of a topic.
func knows(conn *kwire.Conn, topic string) (bool, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = 9, false
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	req.Topics = append(req.Topics, t)
	resp, err := conn.Request(req)
	if err != nil {
		return false, err
	}
	return resp.(*kmsg.MetadataResponse).Topics[0].ErrorCode == 0, nil
}

// failover kills the node of the active controller and measures how long it takes until another one decides something, and
// once that node runs again, until every partition has a leader.
func (s scale) failover(ctx context.Context) (decided, back time.Duration, err error) {
	leader, err := s.activeController()
	if err != nil {
		return 0, 0, err
	}
	dead, other := s.nodes[leader-1], s.nodes[int(leader)%len(s.nodes)]
	conn, err := kwire.Dial(other.Addr)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	begin := time.Now()
	dead.Kill()
	if err := createTopics(conn, 1, fmt.Sprintf("failover-%d", begin.UnixNano())); err != nil {
		return 0, 0, err
	}
	decided = time.Since(begin)
	begin = time.Now()
	if err := dead.Run(ctx); err != nil {
		return decided, 0, err
	}
	err = s.awaitAll(ctx, 2*time.Minute, func(t *kmsg.MetadataResponseTopic) bool {
		return !slices.ContainsFunc(t.Partitions, func(p kmsg.MetadataResponseTopicPartition) bool { return p.Leader < 0 })
	})
	return decided, time.Since(begin), err
}

// activeController is the node that leads the quorum.
func (s scale) activeController() (int32, error) {
	conn, err := kwire.Dial(s.nodes[0].Addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Version = 1
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic = "__cluster_metadata"
	t.Partitions = append(t.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, t)
	resp, err := conn.Request(req)
	if err != nil {
		return 0, err
	}
	r := resp.(*kmsg.DescribeQuorumResponse)
	if r.ErrorCode != 0 || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 || r.Topics[0].Partitions[0].LeaderID < 1 {
		return 0, fmt.Errorf("describe the quorum: error %d, %d topics", r.ErrorCode, len(r.Topics))
	}
	return r.Topics[0].Partitions[0].LeaderID, nil
}
