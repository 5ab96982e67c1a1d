package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/node/format"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

const clusterDeadline = 60 * time.Second

// member is one node of a cluster in this process, over real sockets, with its files in memory.
type member struct {
	k          *cluster
	id         int
	roles      string
	fs         *vfs.Mem
	hook       vfs.Hook // of its next process; nil: its disk works
	address    string   // of the broker
	controller string   // address of the controller, where the settings do not name the voters
	own        []string // settings of this node; "listeners" adds to those that it has
	logs       io.Writer
	metrics    *telemetry.Registry
	n          *Node
}

type cluster struct {
	t       *testing.T
	voters  string
	members []*member
	extra   []string
	scram   []string // users, as kafka-storage takes them
	dynamic bool     // the voters stand in the log
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// newClusterOf makes, but does not start, nodes with the roles given; those with the role of a controller vote.
func newClusterOf(t *testing.T, roles []string, extra ...string) *cluster {
	t.Helper()
	k := membersOf(t, roles, extra...)
	for _, m := range k.members {
		m.format()
	}
	return k
}

// membersOf makes nodes without formatting them.
func membersOf(t *testing.T, roles []string, extra ...string) *cluster {
	t.Helper()
	k := &cluster{t: t, extra: extra}
	var voters []string
	for i, r := range roles {
		m := &member{k: k, id: i + 1, roles: r, fs: vfs.NewMem()}
		if strings.Contains(r, "controller") {
			voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", m.id, freePort(t)))
		}
		k.members = append(k.members, m)
	}
	k.voters = strings.Join(voters, ",")
	t.Cleanup(func() {
		for _, m := range k.members {
			if m.n != nil {
				m.kill()
			}
		}
	})
	return k
}

func (m *member) controllerAddress() string {
	if m.k.dynamic || m.controller != "" {
		return m.controller
	}
	for _, v := range strings.Split(m.k.voters, ",") {
		if id, address, _ := strings.Cut(v, "@"); id == fmt.Sprint(m.id) {
			return address
		}
	}
	return ""
}

func (m *member) settings() *config.Set {
	m.k.t.Helper()
	if m.address == "" {
		m.address = fmt.Sprintf("127.0.0.1:%d", freePort(m.k.t))
	}
	var listeners []string
	if strings.Contains(m.roles, "broker") {
		listeners = append(listeners, "PLAINTEXT://"+m.address)
	}
	var own []string
	for _, line := range m.own {
		if more, ok := strings.CutPrefix(line, "listeners="); ok {
			listeners = append(listeners, more)
		} else {
			own = append(own, line)
		}
	}
	if a := m.controllerAddress(); a != "" {
		listeners = append(listeners, "CONTROLLER://"+a)
	}
	lines := []string{
		fmt.Sprint("node.id=", m.id), "process.roles=" + m.roles, "controller.listener.names=CONTROLLER",
		"listeners=" + strings.Join(listeners, ","), "log.dirs=/data", m.quorumLine(),
		"offsets.topic.num.partitions=2", "offsets.topic.replication.factor=1", "group.initial.rebalance.delay.ms=0",
		"broker.heartbeat.interval.ms=200", "broker.session.timeout.ms=3000",
	}
	set, _, err := config.Load(nil, slices.Concat(lines, m.k.extra, own))
	if err != nil {
		m.k.t.Fatal(err)
	}
	return set
}

func (m *member) format() {
	m.k.t.Helper()
	set := m.settings()
	var users []mr.Versioned
	for _, arg := range m.k.scram {
		user, err := format.ParseScram(arg)
		if err != nil {
			m.k.t.Fatal(err)
		}
		users = append(users, user)
	}
	r := format.Request{Scram: users, Node: set.Node(), ClusterID: "cluster-of-the-test", Out: new(strings.Builder), Now: time.Now()}
	if err := format.Format(m.fs, r); err != nil {
		m.k.t.Fatal(err)
	}
}

func (m *member) options() Options {
	level, to := slog.LevelError, io.Writer(os.Stderr)
	if os.Getenv("WEIR_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	if m.logs != nil {
		level, to = slog.LevelInfo, m.logs
	}
	opts := Options{Config: m.settings(), FS: m.fs, Metrics: m.metrics, Logs: telemetry.NewLogs(to, level, false)}
	if m.hook != nil {
		opts.FS = vfs.Inject(m.fs, m.hook)
	}
	return opts
}

// start starts nodes side by side: none of them serves before most of the voters do.
func (k *cluster) start(ms ...*member) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clusterDeadline)
	defer cancel()
	type outcome struct {
		m   *member
		n   *Node
		err error
	}
	done := make(chan outcome, len(ms))
	for _, m := range ms {
		opts := m.options()
		go func() {
			n, err := Start(ctx, opts)
			done <- outcome{m, n, err}
		}()
	}
	failed := false
	for range ms {
		o := <-done
		if o.m.n = o.n; o.err != nil {
			o.m.n, failed = nil, true
			k.t.Errorf("node %d: %v", o.m.id, o.err)
		}
	}
	if failed {
		k.t.FailNow()
	}
}

// kill ends a node as a process ends that is killed: what the system has stays, nobody is told.
func (m *member) kill() {
	n := m.n
	m.n = nil
	n.server.Stop(0)
	n.controllerServer.Stop(0)
	n.metaGroup.Stop()
	n.handlers.Stop()
	n.work.Stop()
	n.trail.Stop()
	n.watch.Stop()
	if n.isBroker() {
		n.groups.Close()
		n.txns.Close()
		n.colleagues.close()
	}
	n.logGroup.Stop()
	_ = n.logs.Abandon()
	_ = n.quorum.Close()
}

func (k *cluster) client(opts ...kgo.Opt) *kgo.Client {
	k.t.Helper()
	var seeds []string
	for _, m := range k.members {
		if m.n != nil && strings.Contains(m.roles, "broker") {
			seeds = append(seeds, m.address)
		}
	}
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(seeds...), kgo.MetadataMinAge(50 * time.Millisecond), kgo.RetryTimeout(clusterDeadline)}, opts...)...)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(c.Close)
	return c
}

func (k *cluster) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), clusterDeadline)
	k.t.Cleanup(cancel)
	return ctx
}

func (k *cluster) eventually(what string, ok func() bool) {
	k.t.Helper()
	for end := time.Now().Add(clusterDeadline); !ok(); {
		if time.Now().After(end) {
			k.t.Fatalf("waited in vain until %s", what)
		}
		t := time.NewTimer(10 * time.Millisecond)
		<-t.C
	}
}

// active is the member that is the active controller.
func (k *cluster) active() *member {
	var found *member
	k.eventually("there is an active controller", func() bool {
		for _, m := range k.members {
			if m.n != nil && m.n.controller.Active() {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

func (k *cluster) produce(c *kgo.Client, topic string, n int) {
	k.t.Helper()
	for i := range n {
		r := c.ProduceSync(k.ctx(), &kgo.Record{Topic: topic, Value: fmt.Append(nil, topic, "-", i)})
		if err := r.FirstErr(); err != nil {
			k.t.Fatalf("record %d of %s: %v", i, topic, err)
		}
	}
}

func (k *cluster) consume(topic string, n int) {
	k.t.Helper()
	c := k.client(kgo.ConsumeTopics(topic))
	defer c.Close()
	seen := map[string]bool{}
	for len(seen) < n {
		fs := c.PollFetches(k.ctx())
		if err := fs.Err0(); err != nil {
			k.t.Fatalf("%d of %d records of %s: %v", len(seen), n, topic, err)
		}
		fs.EachRecord(func(r *kgo.Record) { seen[string(r.Value)] = true })
	}
}

func (k *cluster) create(c *kgo.Client, topic string, partitions int32, factor int16) {
	k.t.Helper()
	if _, err := kadm.NewClient(c).CreateTopic(k.ctx(), partitions, factor, nil, topic); err != nil {
		k.t.Fatalf("create %s: %v", topic, err)
	}
}

// TestThreeNodes: three nodes that are brokers and controllers agree, forward, spread partitions, lose their active
// controller and go on, and come back.
func TestThreeNodes(t *testing.T) {
	k := newClusterOf(t, []string{"broker,controller", "broker,controller", "broker,controller"})
	k.start(k.members...)
	c := k.client()
	k.create(c, "spread", 6, 1)
	k.create(c, "copied", 3, 3)
	k.produce(c, "spread", 30)
	k.produce(c, "copied", 30)
	adm := kadm.NewClient(c)
	md, err := adm.Metadata(k.ctx(), "spread")
	if err != nil || len(md.Brokers) != 3 {
		t.Fatalf("metadata: %v, %d brokers", err, len(md.Brokers))
	}
	leaders := map[int32]int{}
	for _, p := range md.Topics["spread"].Partitions {
		leaders[p.Leader]++
	}
	if len(leaders) != 3 {
		t.Errorf("six partitions are led by %v", leaders)
	}
	k.consume("spread", 30)
	k.describeQuorum(c, 3, 0)
	k.alterEach(adm)

	old := k.active()
	old.kill()
	k.create(c, "after", 1, 1) // waits for another active controller
	now := k.active()
	if now == old {
		t.Fatal("the killed node is active")
	}
	k.eventually("the dead broker is fenced", func() bool { return now.n.image.Load().Broker(int32(old.id)).Fenced })
	k.produce(c, "copied", 30)
	k.consume("copied", 30)

	k.start(old)
	k.eventually("all replicas are in sync again", func() bool {
		topic := now.n.image.Load().TopicByName("copied")
		for _, p := range topic.Partitions {
			if len(p.ISR) != 3 {
				return false
			}
		}
		return true
	})
	k.consume("spread", 30)
	k.eventually("all controllers are registered", func() bool { return len(old.n.image.Load().Controllers()) == 3 })

	// A clean stop of the active controller hands both of its offices over.
	now = k.active()
	if err := now.n.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	now.n = nil
	k.create(c, "after-stop", 1, 2)
	k.start(now)
}

// alterEach gives every broker a setting of its own: each forwards what it was asked to the controller, which is one of
// the others for most.
// TestMoveOfAReplicaThatIsNotHereYet: who asks a broker to put a replica into a directory, before the broker has it, is told to try
// again. kafka-reassign-partitions does that with log_dirs in its file.
func TestMoveOfAReplicaThatIsNotHereYet(t *testing.T) {
	k := newClusterOf(t, []string{"broker,controller", "broker"})
	k.start(k.members...)
	c := k.client()
	adm := kadm.NewClient(c)
	k.create(c, "t", 1, 1)
	var leader int32
	k.eventually("a leader", func() bool {
		all, err := adm.ListTopics(k.ctx(), "t")
		leader = -1
		if err == nil && len(all["t"].Partitions) == 1 {
			leader = all["t"].Partitions[0].Leader
		}
		return leader > 0
	})
	other := 3 - leader
	dirs, err := adm.DescribeAllLogDirs(k.ctx(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for dir := range dirs[other] {
		req := kmsg.NewPtrAlterReplicaLogDirsRequest()
		req.Dirs = []kmsg.AlterReplicaLogDirsRequestDir{{Dir: dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: "t", Partitions: []int32{0}}}}}
		resp, err := c.Broker(int(other)).Request(k.ctx(), req)
		if err != nil {
			t.Fatal(err)
		}
		if code := wire.Code(resp.(*kmsg.AlterReplicaLogDirsResponse).Topics[0].Partitions[0].ErrorCode); code != wire.ReplicaNotAvailable {
			t.Errorf("%s: %v", dir, code)
		}
	}
}

// TestPartitionWithoutALeaderIsDescribed: DescribeTopicPartitions says that there is no leader, and calls that no error, as Apache Kafka;
// a follower tells the producers that it knows.
func TestPartitionWithoutALeaderIsDescribed(t *testing.T) {
	k := newClusterOf(t, []string{"broker,controller", "broker"})
	k.start(k.members...)
	c := k.client()
	req := kmsg.NewPtrCreateTopicsRequest()
	for name, replicas := range map[string][]int32{"alone": {2}, "both": {2, 1}} {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, -1, -1
		topic.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Replicas: replicas}}
		req.Topics = append(req.Topics, topic)
	}
	k.eventually("the topics are there", func() bool {
		resp, err := req.RequestWith(k.ctx(), c)
		return err == nil && !slices.ContainsFunc(resp.Topics, func(r kmsg.CreateTopicsResponseTopic) bool {
			return r.ErrorCode != 0 && wire.Code(r.ErrorCode) != wire.TopicAlreadyExists
		})
	})
	k.eventually("the follower tells its producers", func() bool {
		ask := &kmsg.DescribeProducersRequest{Topics: []kmsg.DescribeProducersRequestTopic{{Topic: "both", Partitions: []int32{0}}}}
		resp, err := c.Broker(1).Request(k.ctx(), ask)
		return err == nil && resp.(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0].ErrorCode == 0
	})
	k.members[1].kill()
	describe := kmsg.NewPtrDescribeTopicPartitionsRequest()
	describe.ResponsePartitionLimit = 10
	describe.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "alone"}}
	k.eventually("it has no leader, and that is no error", func() bool {
		resp, err := c.Broker(1).Request(k.ctx(), describe)
		if err != nil {
			return false
		}
		p := resp.(*kmsg.DescribeTopicPartitionsResponse).Topics[0].Partitions[0]
		return p.LeaderID == -1 && p.ErrorCode == 0
	})
}

// TestTopicsAreDescribedWithoutAController: what kafka-topics --describe asks for is answered while no controller is active.
func TestTopicsAreDescribedWithoutAController(t *testing.T) {
	k := newClusterOf(t, []string{"controller", "broker"})
	k.start(k.members...)
	c := k.client()
	k.create(c, "t", 1, 1)
	k.members[0].kill()
	began := time.Now()
	resp, err := c.Broker(2).Request(k.ctx(), kmsg.NewPtrListPartitionReassignmentsRequest())
	if err != nil || resp.(*kmsg.ListPartitionReassignmentsResponse).ErrorCode != 0 {
		t.Fatal(resp, err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}

func (k *cluster) alterEach(adm *kadm.Client) {
	k.t.Helper()
	for _, m := range k.members {
		for _, alter := range []func(context.Context, []kadm.AlterConfig, ...int32) (kadm.AlterConfigsResponses, error){adm.AlterBrokerConfigs, adm.AlterBrokerConfigsState} {
			value := fmt.Sprint(1000 * m.id)
			responses, err := alter(k.ctx(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "leader.replication.throttled.rate", Value: &value}}, int32(m.id))
			if err != nil || len(responses) != 1 || responses[0].Err != nil {
				k.t.Errorf("settings of broker %d: %v, %v", m.id, err, responses)
			}
			k.eventually("the broker has its setting", func() bool {
				return m.n.image.Load().Config(image.BrokerConfig, fmt.Sprint(m.id))["leader.replication.throttled.rate"] == value
			})
		}
	}
}

func (k *cluster) describeQuorum(c *kgo.Client, voters, observers int) {
	k.t.Helper()
	req := kmsg.NewPtrDescribeQuorumRequest()
	rt := kmsg.NewDescribeQuorumRequestTopic()
	rt.Topic = "__cluster_metadata"
	rt.Partitions = append(rt.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, rt)
	k.eventually("the quorum is described whole", func() bool {
		resp, err := req.RequestWith(k.ctx(), c)
		if err != nil || resp.ErrorCode != 0 || len(resp.Topics) != 1 {
			return false
		}
		p := resp.Topics[0].Partitions[0]
		if len(p.CurrentVoters) != voters || len(p.Observers) != observers || int(p.LeaderID) != k.active().id {
			return false
		}
		for _, s := range append(p.CurrentVoters, p.Observers...) {
			if s.LogEndOffset < 0 || s.LastFetchTimestamp <= 0 {
				return false
			}
		}
		return len(resp.Nodes) == voters
	})
}

// TestWipedNode: a node that lost its disk comes back under its id with an empty one, and is given its copies anew.
func TestWipedNode(t *testing.T) {
	k := newClusterOf(t, threeCombined)
	k.start(k.members...)
	c := k.client()
	k.create(c, "copied", 6, 3)
	k.produce(c, "copied", 60)
	k.untilInSync("copied", 3)
	lost := k.members[2]
	lost.kill()
	k.produce(c, "copied", 30)
	lost.fs = vfs.NewMem()
	lost.format()
	k.start(lost)
	k.untilInSync("copied", 3)
	dir := lost.n.onlineDirectories()[0]
	k.eventually("the metadata knows where the copies lie now", func() bool {
		for _, p := range lost.n.image.Load().TopicByName("copied").Partitions {
			if p.Directory(lost.n.id) != dir {
				return false
			}
		}
		return true
	})
	k.consume("copied", 60)
}

// TestRolesApart: three controllers, two brokers that only follow, and one more that joins later.
func TestRolesApart(t *testing.T) {
	k := newClusterOf(t, []string{"controller", "controller", "controller", "broker", "broker", "broker"})
	k.start(k.members[:5]...)
	c := k.client()
	k.create(c, "t", 4, 2)
	k.produce(c, "t", 20)
	k.start(k.members[5])
	k.create(c, "wide", 3, 3)
	k.produce(c, "wide", 20)
	k.describeQuorum(c, 3, 3)
	k.active().kill()
	k.create(c, "later", 3, 3)
	k.produce(c, "later", 20)
	k.consume("t", 20)
	k.consume("later", 20)
}
