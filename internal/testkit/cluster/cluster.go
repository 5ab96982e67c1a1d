// Package cluster runs several brokers in one process for tests: each with its own logs on a file system in memory, whose
// power can be cut, its own replicas, coordinators, handlers and a listener on a real socket, under one controller that is
// called directly. It stands in for what node assembles, and brings no quorum and no network to the controller.
package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

const (
	controllerID = 100
	clusterID    = "cluster-of-test"
	deadline     = 30 * time.Second
)

// Cluster is a controller with brokers.
type Cluster struct {
	T          testing.TB
	Settings   *config.Set
	Logger     *slog.Logger
	Controller *controller.Controller
	Brokers    []*Broker // Brokers[i] has id i+1

	group *lifecycle.Group

	mu      sync.Mutex
	img     *image.Image
	changed chan struct{} // closed and renewed with each image
}

// New starts a cluster of n brokers; lines are settings that all of them have.
func New(t testing.TB, n int, lines ...string) *Cluster {
	t.Helper()
	level := slog.LevelError + 4
	if os.Getenv("WEIR_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	c := &Cluster{T: t, Settings: settings(t, lines), Logger: logger, img: image.Empty(), changed: make(chan struct{})}
	c.group = lifecycle.New("controller", logger)
	c.group.OnPanic(func(err error) { t.Error(err) })
	c.startController()
	t.Cleanup(func() {
		for _, b := range c.Brokers {
			b.Kill()
		}
		c.group.Stop()
	})
	for range n {
		c.Add(nil)
	}
	return c
}

// Add starts one more broker; change, if not nil, sets what it is before that.
func (c *Cluster) Add(change func(*Broker)) *Broker {
	b := &Broker{c: c, ID: int32(len(c.Brokers) + 1), fs: vfs.NewMem(), address: "127.0.0.1:0"}
	b.Throttle(math.MaxInt64)
	if change != nil {
		change(b)
	}
	c.Brokers = append(c.Brokers, b)
	b.format()
	b.Start()
	return b
}

func settings(t testing.TB, lines []string) *config.Set {
	t.Helper()
	base := []string{"node.id=100", "process.roles=broker,controller", "controller.listener.names=CONTROLLER",
		"listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093", "controller.quorum.voters=100@127.0.0.1:9093",
		"offsets.topic.num.partitions=4", "group.initial.rebalance.delay.ms=0", "broker.heartbeat.interval.ms=200", "broker.session.timeout.ms=1500"}
	set, _, err := config.Load(nil, append(base, lines...))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func (c *Cluster) startController() {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/data"); err != nil {
		c.T.Fatal(err)
	}
	c.Controller = controller.New(controller.Config{
		NodeID: controllerID, DirectoryID: image.UUID{controllerID}, ClusterID: clusterID, Settings: func() *config.Set { return c.Settings }, Log: c.Logger,
		Endpoints: []image.Endpoint{{Name: "CONTROLLER", Host: "127.0.0.1", Port: 9093}},
		OnImage: func(img *image.Image, _ *image.Delta) {
			c.mu.Lock()
			c.img = img
			close(c.changed)
			c.changed = make(chan struct{})
			c.mu.Unlock()
		},
	})
	q, err := quorum.Open(quorum.Config{FS: fs, Dir: "/data", NodeID: controllerID, DirectoryID: image.UUID{controllerID}, ClusterID: clusterID, Listener: c.Controller,
		Log: c.Logger, OnFault: func(err error) { c.T.Errorf("quorum: %v", err) }})
	if err != nil {
		c.T.Fatal(err)
	}
	c.Controller.Start(c.group, q)
	q.Start(c.group)
	if err := c.Controller.WaitActive(c.Context()); err != nil {
		c.T.Fatal(err)
	}
}

// Context ends some time after which a test cannot go on.
func (c *Cluster) Context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	c.T.Cleanup(cancel)
	return ctx
}

// Image is the cluster's metadata, with a channel that is closed by the next one.
func (c *Cluster) Image() (*image.Image, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.img, c.changed
}

// Until waits for a condition of the metadata.
func (c *Cluster) Until(what string, ok func(*image.Image) bool) {
	c.T.Helper()
	end := time.After(deadline)
	for {
		img, changed := c.Image()
		if ok(img) {
			return
		}
		select {
		case <-changed:
		case <-end:
			c.T.Fatalf("waited in vain until %s%s", what, c.describe())
		}
	}
}

// describe is the state of all partitions, for a test that cannot go on.
func (c *Cluster) describe() string {
	img, _ := c.Image()
	var b strings.Builder
	for o := range img.Brokers() {
		fmt.Fprintf(&b, "\n  broker %d epoch %d fenced %v", o.ID, o.Epoch, o.Fenced)
	}
	for _, t := range img.SortedTopics() {
		for i, p := range t.Partitions {
			fmt.Fprintf(&b, "\n  %s-%d leader %d epoch %d partition epoch %d ISR %v ELR %v last known %v of %v:", t.Name, i, p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.ISR, p.ELR, p.LastKnownELR, p.Replicas)
			for _, o := range c.Brokers {
				if !o.Running() {
					continue
				}
				if r, _, _ := o.Replicas.Find(t.Name, t.ID, int32(i), true); r != nil && r.Log() != nil {
					fmt.Fprintf(&b, " [%d: epoch %d hw %d end %d flushed %d]", o.ID, r.Role().LeaderEpoch, r.Log().HighWatermark(), r.Log().LogEndOffset(), r.Log().FlushedOffset())
				}
			}
		}
	}
	return b.String()
}

// Eventually waits for a condition that nothing announces.
func (c *Cluster) Eventually(what string, ok func() bool) {
	c.T.Helper()
	for end := time.Now().Add(deadline); !ok(); {
		if time.Now().After(end) {
			c.T.Fatalf("waited in vain until %s%s", what, c.describe())
		}
		t := time.NewTimer(5 * time.Millisecond)
		<-t.C
	}
}

// Ask sends a request to the controller.
func (c *Cluster) Ask(req kmsg.Request) kmsg.Response {
	c.T.Helper()
	resp, err := c.Controller.Handle(c.Context(), controller.RequestContext{Principal: "User:ANONYMOUS"}, req)
	if err != nil {
		c.T.Fatalf("%T: %v", req, err)
	}
	return resp
}

// CreateTopic makes a topic and waits until all of its replicas are in sync. configs are names and values in turns.
func (c *Cluster) CreateTopic(name string, partitions int32, factor int16, configs ...string) {
	c.T.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, factor
	for i := 0; i+1 < len(configs); i += 2 {
		e := kmsg.NewCreateTopicsRequestTopicConfig()
		e.Name, e.Value = configs[i], &configs[i+1]
		topic.Configs = append(topic.Configs, e)
	}
	req.Topics = append(req.Topics, topic)
	if r := c.Ask(req).(*kmsg.CreateTopicsResponse).Topics[0]; r.ErrorCode != 0 {
		c.T.Fatalf("create %s: %s", name, wire.Code(r.ErrorCode).Name())
	}
}

// UntilInSync waits until all replicas of a topic are in sync.
func (c *Cluster) UntilInSync(topic string) {
	c.T.Helper()
	c.Until(topic+" is in sync", func(img *image.Image) bool {
		t := img.TopicByName(topic)
		return t != nil && !slices.ContainsFunc(t.Partitions, func(p *image.Partition) bool { return len(p.ISR) < len(p.Replicas) || !p.HasLeader() })
	})
}

// Leader is the broker that leads a partition.
func (c *Cluster) Leader(topic string, index int32) *Broker {
	c.T.Helper()
	var id int32
	c.Until(fmt.Sprintf("%s-%d has a leader", topic, index), func(img *image.Image) bool {
		p := img.Partition(topic, index)
		if p == nil || !p.HasLeader() {
			return false
		}
		id = p.Leader
		return true
	})
	return c.Brokers[id-1]
}

// Client makes a client that knows all brokers' present addresses.
func (c *Cluster) Client(opts ...kgo.Opt) *kgo.Client {
	c.T.Helper()
	var seeds []string
	for _, b := range c.Brokers {
		if b.Running() {
			seeds = append(seeds, b.Address())
		}
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(seeds...), kgo.MetadataMinAge(20 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond })}, opts...)...)
	if err != nil {
		c.T.Fatal(err)
	}
	c.T.Cleanup(cl.Close)
	return cl
}

// Random is a source for a test's choices, from a seed that is logged.
func Random(t testing.TB, seed uint64) *rand.Rand {
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 7))
}
