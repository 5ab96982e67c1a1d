//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// staging says what a scene is made of. The zero value is three nodes that are brokers and voters and speak in the clear.
type staging struct {
	// binary is the program that the nodes run at first. Empty: the one just built.
	binary string
	// secured is how the nodes and their clients know each other: one of the names of securedBy, or empty.
	secured string
	// inAir has every frame go through this process, which can delay and lose it.
	inAir bool
	// brokers are how many brokers there are. With controllers, those are nodes of their own, numbered after the brokers.
	brokers, controllers int
	// partitions are those of the topic t.
	partitions int
	// pace is how often each producer writes to each partition.
	pace time.Duration
	// filler is the key of each record.
	filler []byte
	// producers and members are options for each of the load's clients and of the group's.
	producers, members [][]kgo.Opt
	// plain leaves transactions out: the program does not have them.
	plain bool
	// props are put over the settings of all nodes.
	props map[string]string
}

func (st *staging) complete(t *testing.T) {
	t.Helper()
	if st.binary == "" {
		binary, err := filepath.Abs("../bin/weir")
		if err != nil {
			t.Fatal(err)
		}
		st.binary = binary
	}
	if st.brokers == 0 {
		st.brokers = 3
	}
	if st.partitions == 0 {
		st.partitions = 4
	}
	if st.pace == 0 {
		st.pace = 10 * time.Millisecond
	}
	if st.producers == nil {
		st.producers = make([][]kgo.Opt, 2)
	}
	if st.members == nil {
		st.members = make([][]kgo.Opt, 2)
	}
}

// scene is a cluster whose nodes are each in a network namespace with two small disks, under a load of idempotent producers and
// a group.
type scene struct {
	staging
	t      *testing.T
	ctx    context.Context
	land   *land
	nodes  []*brokers.Broker
	rng    *rand.Rand
	secret *secrets // nil in the clear
	cl     *kgo.Client
	adm    *kadm.Client
	load   *cluster.Load
	group  *cluster.Group
	ledger *transactors // nil without transactions
	// topics are those whose replicas are moved and must be in sync, with the number of their partitions.
	topics map[string]int
	// faults count what was played, worst is the longest time from a fault's end until all was well, by fault.
	faults map[string]int
	worst  map[string]time.Duration
}

// faultMinutes is how long faults go on: WEIR_CLUSTER_MINUTES, or once.
func faultMinutes(t *testing.T) time.Duration {
	if os.Getenv("WEIR_CLUSTER_MINUTES") == "" {
		return 0
	}
	return clusterMinutes(t)
}

func newScene(t *testing.T, st staging) *scene {
	t.Helper()
	st.complete(t)
	count := st.brokers + st.controllers
	ctx, cancel := context.WithTimeout(t.Context(), 24*time.Minute)
	t.Cleanup(cancel)
	s := &scene{staging: st, t: t, ctx: ctx, land: newLand(t, count, st.inAir), faults: map[string]int{}, worst: map[string]time.Duration{}, topics: map[string]int{"t": st.partitions}}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, links are slow by %s", seed, s.land.slow)
	s.rng = rand.New(rand.NewPCG(seed, 2))
	s.startNodes(count)
	s.cl = s.connect("admin")
	s.adm = kadm.NewClient(s.cl)
	s.createTopic("t", st.partitions, nil)
	if s.secret != nil {
		s.secret.allow(s)
	}
	var producers, members []*kgo.Client
	for _, opts := range st.producers {
		producers = append(producers, s.connect("app", append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0)}, opts...)...))
	}
	for _, opts := range st.members {
		members = append(members, s.connect("app", append([]kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(30 * time.Second), kgo.HeartbeatInterval(500 * time.Millisecond)}, opts...)...))
	}
	s.load = cluster.StartSteadyLoad(t, cluster.Pattern{Topic: "t", Partitions: st.partitions, Pace: st.pace, Key: st.filler}, producers)
	s.group = cluster.StartGroup(t, members)
	t.Cleanup(func() { // the producers of a test that has failed wait for nobody
		for _, cl := range slices.Concat(producers, members) {
			cl.Close()
		}
	})
	if !st.plain {
		s.ledger = startTransactors(s)
	}
	s.healthy("start")
	return s
}

func (s *scene) startNodes(count int) {
	s.t.Helper()
	mib := 64
	if minutes := faultMinutes(s.t); minutes > 0 {
		mib += 32 * int(minutes.Minutes())
	}
	config := brokers.Config{Binary: s.binary, Dir: s.t.TempDir(), Port: 21600, Props: map[string]string{
		"broker.session.timeout.ms": fmt.Sprint(faultSession.Milliseconds()), "broker.heartbeat.interval.ms": "500", "replica.lag.time.max.ms": "4000",
		"offsets.topic.num.partitions": "2", "transaction.state.log.num.partitions": "2",
	}}
	maps.Copy(config.Props, s.props)
	if more := os.Getenv("WEIR_CLUSTER_PROPS"); more != "" {
		for _, line := range strings.Split(more, ",") {
			key, value, _ := strings.Cut(line, "=")
			config.Props[key] = value
		}
	}
	if s.secured != "" {
		s.secret = newSecrets(s.t, s.secured)
		s.secret.configure(&config)
	}
	if s.controllers > 0 {
		config.Ask = s.asked(config.Ask)
	}
	config.Each = func(node int, b *brokers.Broker) error {
		b.Host, b.Within = address(node), within(node)
		small := filepath.Join(b.Dir, "small")
		b.Props["log.dirs"], b.Props["metadata.log.dir"] = b.DataDir()+","+small, b.DataDir()
		if s.controllers > 0 {
			b.Props["process.roles"], b.Props["broker.rack"] = "broker", rack(node)
			if node > s.brokers {
				b.Props["process.roles"] = "controller"
			}
		}
		if s.secret != nil {
			s.secret.give(node, b)
		}
		if err := s.land.disk(b.DataDir(), mib); err != nil {
			return err
		}
		return s.land.disk(small, mib)
	}
	var err error
	if s.nodes, err = brokers.StartNodes(s.ctx, count, config); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		for i, b := range s.nodes {
			if s.t.Failed() {
				s.t.Logf("node %d:\n%s", i+1, b.LogTail(25))
			}
			b.Kill()
			if dir := os.Getenv("WEIR_CLUSTER_KEEP"); dir != "" {
				if err := os.Rename(b.LogFile(), filepath.Join(dir, fmt.Sprintf("%s-node%d.log", s.t.Name(), i+1))); err != nil {
					s.t.Log(err)
				}
			}
		}
	})
}

// connect makes a client that acts as somebody, where that counts.
func (s *scene) connect(who string, opts ...kgo.Opt) *kgo.Client {
	s.t.Helper()
	cl, err := kgo.NewClient(append(s.options(who), opts...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(cl.Close)
	return cl
}

// options are those of all clients.
func (s *scene) options(who string) []kgo.Opt {
	s.t.Helper()
	var addrs []string
	for _, b := range s.nodes[:s.brokers] {
		addrs = append(addrs, b.Addr)
	}
	base := []kgo.Opt{kgo.SeedBrokers(addrs...), kgo.MetadataMinAge(100 * time.Millisecond), kgo.DialTimeout(2 * time.Second),
		kgo.RequestTimeoutOverhead(3 * time.Second), kgo.ProduceRequestTimeout(5 * time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
		// A process that is killed between the handshake and the first answer looks to this client as if TLS were set up wrongly,
		// for which it gives up records.
		kgo.AlwaysRetryEOF()}
	if s.secret != nil {
		base = append(base, s.secret.as(who)...)
	}
	return base
}

// createTopic makes a topic with three replicas, of which two have to be in sync, and waits until all are.
func (s *scene) createTopic(name string, partitions int, configs map[string]string) {
	s.t.Helper()
	two := "2"
	all := map[string]*string{"min.insync.replicas": &two}
	for k, v := range configs {
		all[k] = &v
	}
	await(s.t, s.ctx, "topic "+name+" is made", func() bool {
		_, err := s.adm.CreateTopic(s.ctx, int32(partitions), 3, all, name)
		return err == nil || strings.Contains(err.Error(), "EXISTS")
	})
	await(s.t, s.ctx, "all replicas of "+name+" are in sync", func() bool { return inSync(s.ctx, s.adm, name) })
}

// healthy waits until all replicas are in sync, records are acknowledged in all partitions and the group processes them.
func (s *scene) healthy(after string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, healthyWithin)
	defer cancel()
	for topic := range s.topics {
		await(s.t, ctx, "all replicas of "+topic+" are in sync after "+after, func() bool { return inSync(ctx, s.adm, topic) })
	}
	s.goesOn(ctx, "after "+after)
	processed := s.group.Processed()
	await(s.t, ctx, "the group goes on after "+after, func() bool { return s.group.Processed() > processed+100 })
	await(s.t, ctx, "the group's partitions are in sync after "+after, func() bool { return inSync(ctx, s.adm, "__consumer_offsets") })
	if s.ledger != nil {
		s.ledger.goesOn(ctx, "after "+after)
		await(s.t, ctx, "the partitions of transactions are in sync after "+after, func() bool { return inSync(ctx, s.adm, "__transaction_state") })
	}
	if s.secret != nil {
		s.secret.check(ctx, s)
	}
}

// goesOn waits until more records are acknowledged than were under way: then every partition takes some.
func (s *scene) goesOn(ctx context.Context, when string) {
	s.t.Helper()
	before := s.load.Acked()
	await(s.t, ctx, "records are acknowledged "+when, func() bool {
		return s.load.Acked() > before+10*len(s.producers)*s.partitions+100
	})
}

// hold keeps a fault up until the cluster has gone on for longer than a session.
func (s *scene) hold(what string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, healthyWithin)
	defer cancel()
	s.wait(faultSession + time.Duration(s.rng.IntN(3000))*time.Millisecond)
	s.goesOn(ctx, "while "+what)
}

func (s *scene) wait(length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

func (s *scene) any() int { return 1 + s.rng.IntN(len(s.nodes)) }

// controller is who leads the quorum.
func (s *scene) controller() int {
	s.t.Helper()
	node, _ := s.quorum()
	return node
}

// quorum is who leads it, and in which epoch.
func (s *scene) quorum() (leader int, epoch int32) {
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
		p := resp.Topics[0].Partitions[0]
		leader, epoch = int(p.LeaderID), p.LeaderEpoch
		return leader > 0
	})
	return leader, epoch
}

// judge ends the load, reads everything and compares it with what producers and consumers were told.
func (s *scene) judge() {
	s.t.Helper()
	if s.ledger != nil {
		s.t.Logf("FIGURE %s", s.ledger.judge())
	}
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
	out := s.load.Check(s.ctx, s.connect("app", kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())))
	if out.Failed > 0 {
		s.t.Errorf("%d sends failed", out.Failed)
	}
	told, commits := s.group.Committed()
	var fetched kadm.OffsetResponses
	await(s.t, s.ctx, "the commits are told", func() (ok bool) {
		var err error
		fetched, err = s.adm.FetchOffsets(s.ctx, "g")
		return err == nil && fetched.Error() == nil
	})
	lost := 0
	for p, want := range told {
		if o, ok := fetched.Lookup("t", p); !ok || o.At < want {
			s.t.Errorf("C1: the commit of %d for partition %d was acknowledged; it is %d", want, p, o.At)
			lost++
		}
	}
	s.t.Logf("FIGURE %d records acknowledged, %d lost, %d doubled, %d sends failed; the group processed all; %d commits acknowledged, %d lost; faults %v; longest until all was well %v",
		out.Acked, out.Lost, out.Doubled, out.Failed, commits, lost, s.faults, s.worst)
}

// rack is where a node stands: there are three of them.
func rack(node int) string { return fmt.Sprint("rack", node%3) }

// asked has nodes that are only controllers, who answer no clients, count as ready when they accept connections.
func (s *scene) asked(broker func(context.Context, *brokers.Broker) error) func(context.Context, *brokers.Broker) error {
	if broker == nil {
		broker = brokers.AskPlain
	}
	return func(ctx context.Context, b *brokers.Broker) error {
		if b.Props["process.roles"] != "controller" {
			return broker(ctx, b)
		}
		c, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", b.Host, b.Controller), time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	}
}
