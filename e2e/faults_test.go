//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/cluster"
)

// faultSession is the session of the brokers in these scenes.
const faultSession = 3 * time.Second

// healthyWithin is how soon all must be well when a fault has ended.
const healthyWithin = time.Minute

const faultPartitions = 4

// scene is three nodes, each in a network namespace with two small disks, under a load of idempotent producers and a group.
type scene struct {
	t     *testing.T
	ctx   context.Context
	land  *land
	nodes []*brokers.Broker
	rng   *rand.Rand
	cl    *kgo.Client
	adm   *kadm.Client
	load  *cluster.Load
	group *cluster.Group
	// worst is the longest time from a fault's end until all was well, by fault.
	worst map[string]time.Duration
}

// sceneFaults are what happens to the cluster, by name. Each returns when it has ended.
var sceneFaults = map[string]func(*scene){
	"kill":              func(s *scene) { s.without(s.any(), "kill") },
	"kill controller":   func(s *scene) { s.without(s.controller(), "kill") },
	"rolling restart":   (*scene).rollingRestart,
	"freeze":            func(s *scene) { s.freeze(s.any()) },
	"freeze controller": func(s *scene) { s.freeze(s.controller()) },
	"cut off":           func(s *scene) { s.cut(s.land.isolating(s.any(), true, true, true)) },
	"cut controller":    func(s *scene) { s.cut(s.land.isolating(s.controller(), true, true, false)) },
	"cut one way out":   func(s *scene) { s.cut(s.land.isolating(s.any(), true, false, false)) },
	"cut one way in":    func(s *scene) { s.cut(s.land.isolating(s.any(), false, true, false)) },
	"cut between two":   (*scene).cutBetweenTwo,
	"slow link":         (*scene).slowLink,
	"full disk":         func(s *scene) { s.fullDisk("small") },
	"full metadata":     func(s *scene) { s.fullDisk("data") },
	"reassign":          (*scene).reassign,
}

// TestFaultsInNetworks has producers and a group work on three nodes while processes, networks and disks fail. Nothing that
// was acknowledged is lost or doubled, no acknowledged commit is lost, no send fails, and all is well soon after each fault.
// WEIR_CLUSTER_MINUTES says for how long; without it a few faults are played once.
func TestFaultsInNetworks(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	s := newScene(t)
	names := []string{"cut one way out", "full disk", "kill controller"}
	counts := map[string]int{}
	var length time.Duration
	if os.Getenv("WEIR_CLUSTER_MINUTES") != "" {
		length = clusterMinutes(t)
		names = slices.Sorted(maps.Keys(sceneFaults))
	}
	if only := os.Getenv("WEIR_CLUSTER_FAULTS"); only != "" {
		names = strings.Split(only, ",")
	}
	for end, i := time.Now().Add(length), 0; i < len(names) || time.Now().Before(end); i++ {
		if i%len(names) == 0 {
			s.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		}
		name := names[i%len(names)]
		counts[name]++
		begin := time.Now()
		sceneFaults[name](s)
		ended := time.Now()
		s.healthy(name)
		s.worst[name] = max(s.worst[name], time.Since(ended))
		t.Logf("%s: %.1f s, all well after %.1f s more; %d records", name, ended.Sub(begin).Seconds(), time.Since(ended).Seconds(), s.load.Acked())
		if s.rng.IntN(3) == 0 {
			elect(s.ctx, t, s.adm)
		}
	}
	s.judge(counts)
}

func newScene(t *testing.T) *scene {
	binary, err := filepath.Abs("../bin/weir")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	t.Cleanup(cancel)
	s := &scene{t: t, ctx: ctx, land: newLand(t, 3), worst: map[string]time.Duration{}}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, links are slow by %s", seed, s.land.slow)
	s.rng = rand.New(rand.NewPCG(seed, 2))
	mib := 64
	if os.Getenv("WEIR_CLUSTER_MINUTES") != "" {
		mib += 32 * int(clusterMinutes(t).Minutes())
	}
	config := brokers.Config{Binary: binary, Dir: t.TempDir(), Port: 21600, Props: map[string]string{
		"broker.session.timeout.ms": fmt.Sprint(faultSession.Milliseconds()), "broker.heartbeat.interval.ms": "500", "replica.lag.time.max.ms": "4000",
		"offsets.topic.num.partitions": "2",
	}}
	config.Each = func(node int, b *brokers.Broker) error {
		b.Host, b.Within = address(node), within(node)
		small := filepath.Join(b.Dir, "small")
		b.Props["log.dirs"], b.Props["metadata.log.dir"] = b.DataDir()+","+small, b.DataDir()
		if err := s.land.disk(b.DataDir(), mib); err != nil {
			return err
		}
		return s.land.disk(small, mib)
	}
	if s.nodes, err = brokers.StartNodes(ctx, 3, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for i, b := range s.nodes {
			if t.Failed() {
				t.Logf("node %d:\n%s", i+1, b.LogTail(25))
			}
			b.Kill()
		}
	})
	s.cl = s.connect()
	s.adm = kadm.NewClient(s.cl)
	two := "2"
	await(t, ctx, "the topic is made", func() bool {
		_, err := s.adm.CreateTopic(ctx, faultPartitions, 3, map[string]*string{"min.insync.replicas": &two}, "t")
		return err == nil || strings.Contains(err.Error(), "EXISTS")
	})
	await(t, ctx, "all replicas are in sync", func() bool { return inSync(ctx, s.adm, "t") })
	var producers, members []*kgo.Client
	for range 2 {
		producers = append(producers, s.connect(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0)))
		members = append(members, s.connect(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(500*time.Millisecond)))
	}
	s.load = cluster.StartSteadyLoad(t, "t", faultPartitions, 10*time.Millisecond, producers)
	s.group = cluster.StartGroup(t, members)
	t.Cleanup(func() { // the producers of a test that has failed wait for nobody
		for _, cl := range slices.Concat(producers, members) {
			cl.Close()
		}
	})
	s.healthy("start")
	return s
}

func (s *scene) connect(opts ...kgo.Opt) *kgo.Client {
	var addrs []string
	for _, b := range s.nodes {
		addrs = append(addrs, b.Addr)
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addrs...), kgo.MetadataMinAge(100 * time.Millisecond), kgo.DialTimeout(2 * time.Second),
		kgo.RequestTimeoutOverhead(3 * time.Second), kgo.ProduceRequestTimeout(5 * time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond })}, opts...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(cl.Close)
	return cl
}

// healthy waits until all replicas are in sync, records are acknowledged in all partitions and the group processes them.
func (s *scene) healthy(after string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, healthyWithin)
	defer cancel()
	await(s.t, ctx, "all replicas are in sync after "+after, func() bool { return inSync(ctx, s.adm, "t") })
	s.goesOn(ctx, "after "+after)
	processed := s.group.Processed()
	await(s.t, ctx, "the group goes on after "+after, func() bool { return s.group.Processed() > processed+100 })
	await(s.t, ctx, "the group's partitions are in sync after "+after, func() bool { return inSync(ctx, s.adm, "__consumer_offsets") })
}

// goesOn waits until more records are acknowledged than were under way: then every partition takes some.
func (s *scene) goesOn(ctx context.Context, when string) {
	s.t.Helper()
	before := s.load.Acked()
	await(s.t, ctx, "records are acknowledged "+when, func() bool { return s.load.Acked() > before+2*10*faultPartitions+100 })
}

// hold keeps a fault up until the cluster has gone on for longer than a session.
func (s *scene) hold(what string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, healthyWithin)
	defer cancel()
	timer := time.NewTimer(faultSession + time.Duration(s.rng.IntN(3000))*time.Millisecond)
	defer timer.Stop()
	<-timer.C
	s.goesOn(ctx, "while "+what)
}

func (s *scene) any() int { return 1 + s.rng.IntN(len(s.nodes)) }

// controller is who leads the quorum.
func (s *scene) controller() (node int) {
	s.t.Helper()
	await(s.t, s.ctx, "a controller leads", func() bool {
		req := kmsg.NewPtrDescribeQuorumRequest()
		topic := kmsg.NewDescribeQuorumRequestTopic()
		topic.Topic = "__cluster_metadata"
		topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
		req.Topics = append(req.Topics, topic)
		resp, err := req.RequestWith(s.ctx, s.cl)
		if err != nil || resp.ErrorCode != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			return false
		}
		node = int(resp.Topics[0].Partitions[0].LeaderID)
		return node > 0
	})
	return node
}

// without ends a node, has the others go on, and starts it again.
func (s *scene) without(node int, how string) {
	s.t.Helper()
	b := s.nodes[node-1]
	end(s.t, b, how)
	s.goesOn(s.ctx, fmt.Sprintf("without node %d", node))
	s.start(node)
}

func (s *scene) start(node int) {
	s.t.Helper()
	if err := s.nodes[node-1].Run(s.ctx); err != nil {
		s.t.Fatalf("start node %d again: %v", node, err)
	}
}

func (s *scene) rollingRestart() {
	s.t.Helper()
	for _, i := range s.rng.Perm(len(s.nodes)) {
		if err := s.nodes[i].Stop(); err != nil {
			s.t.Error(err)
		}
		s.start(i + 1)
		s.healthy(fmt.Sprintf("the restart of node %d", i+1))
	}
}

// freeze stops a process for longer than its session.
func (s *scene) freeze(node int) {
	s.t.Helper()
	pid := s.nodes[node-1].PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			s.t.Fatal(err)
		}
	}()
	s.hold(fmt.Sprintf("node %d is frozen", node))
}

// cut loses all that goes these ways.
func (s *scene) cut(ways []link) {
	s.t.Helper()
	for _, w := range ways {
		s.land.cut(w.from, w.to)
	}
	s.hold(fmt.Sprintf("nothing goes %v", ways))
	for _, w := range ways {
		s.land.mend(w.from, w.to)
	}
}

// cutBetweenTwo leaves the third node as the only one that sees both others.
func (s *scene) cutBetweenTwo() {
	s.t.Helper()
	p := s.rng.Perm(len(s.nodes))
	s.cut([]link{{p[0] + 1, p[1] + 1}, {p[1] + 1, p[0] + 1}})
}

func (s *scene) slowLink() {
	s.t.Helper()
	node := s.any()
	s.land.degrade(node)
	s.hold(fmt.Sprintf("node %d is slow", node))
	s.land.restore(node)
}

// fullDisk fills one of a node's disks, and frees it when the others have gone on. The node, or its directory, is given up.
func (s *scene) fullDisk(disk string) {
	s.t.Helper()
	node := s.any()
	b := s.nodes[node-1]
	free := fill(s.t, filepath.Join(b.Dir, disk))
	s.hold(fmt.Sprintf("node %d has a full disk", node))
	free()
	s.t.Logf("node %d with a full disk (%s) lives: %v", node, disk, b.Running())
	if err := b.Stop(); err != nil {
		s.t.Error(err)
	}
	s.start(node)
}

// reassign takes a replica off each partition, and gives it back in another order while a node is killed.
func (s *scene) reassign() {
	s.t.Helper()
	s.assign(2)
	await(s.t, s.ctx, "no reassignment goes on", func() bool {
		all, err := s.adm.ListPartitionReassignments(s.ctx, nil)
		return err == nil && len(all) == 0
	})
	s.assign(3)
	s.without(s.any(), "kill")
}

// assign gives every partition that many of the nodes, in a random order.
func (s *scene) assign(replicas int) {
	s.t.Helper()
	var plan kadm.AlterPartitionAssignmentsReq
	for p := range int32(faultPartitions) {
		var to []int32
		for _, i := range s.rng.Perm(len(s.nodes))[:replicas] {
			to = append(to, int32(i+1))
		}
		plan.Assign("t", p, to)
	}
	await(s.t, s.ctx, "the reassignment is taken", func() bool {
		all, err := s.adm.AlterPartitionAssignments(s.ctx, plan)
		return err == nil && all.Error() == nil
	})
}

// judge ends the load, reads everything and compares it with what producers and consumers were told.
func (s *scene) judge(faults map[string]int) {
	s.t.Helper()
	finished := make(chan struct{})
	go func() { s.load.Finish(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(2 * time.Minute):
		s.t.Fatal("what was sent is not answered")
	}
	values := s.load.Values()
	await(s.t, s.ctx, "the group has processed all", func() bool { return s.group.Unseen(values) == 0 })
	s.group.Finish()
	out := s.load.Check(s.ctx, s.connect(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())))
	if out.Failed > 0 {
		s.t.Errorf("%d sends failed", out.Failed)
	}
	told, commits := s.group.Committed()
	fetched, err := s.adm.FetchOffsets(s.ctx, "g")
	if err != nil {
		s.t.Fatal(err)
	}
	lost := 0
	for p, want := range told {
		if o, ok := fetched.Lookup("t", p); !ok || o.At < want {
			s.t.Errorf("C1: the commit of %d for partition %d was acknowledged; it is %d", want, p, o.At)
			lost++
		}
	}
	s.t.Logf("FIGURE %d records acknowledged, %d lost, %d doubled, %d sends failed; the group processed all; %d commits acknowledged, %d lost; faults %v; longest until all was well %v",
		out.Acked, out.Lost, out.Doubled, out.Failed, commits, lost, faults, s.worst)
}
