package controller

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/vfs"
)

// cluster is a controller with its quorum on a file system in memory, and brokers that only heartbeat.
type cluster struct {
	t      testing.TB
	fs     *vfs.Mem
	set    atomic.Pointer[config.Set]
	c      *Controller
	q      *quorum.Quorum
	g      *lifecycle.Group
	epochs map[int32]int64

	clock atomic.Int64 // added to the real time

	mu      sync.Mutex
	changed chan struct{} // closed and renewed with each image
}

func settings(t testing.TB, lines ...string) *config.Set {
	t.Helper()
	props, err := config.ParseProperties([]byte("node.id=1\nprocess.roles=broker,controller\ncontroller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\ncontroller.quorum.voters=1@127.0.0.1:9093\n"))
	if err != nil {
		t.Fatal(err)
	}
	set, _, err := config.Load(props, lines)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func newCluster(t testing.TB, overrides ...string) *cluster {
	t.Helper()
	k := &cluster{t: t, fs: vfs.NewMem(), epochs: map[int32]int64{}, changed: make(chan struct{})}
	k.set.Store(settings(t, overrides...))
	if err := k.fs.MkdirAll("/data"); err != nil {
		t.Fatal(err)
	}
	if err := k.fs.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	k.start()
	t.Cleanup(func() {
		k.checkIndex()
		k.g.Stop()
	})
	return k
}

// checkIndex holds the index that followed all changes against one that is made of the state it stands for.
func (k *cluster) checkIndex() {
	k.t.Helper()
	differs := make(chan string, 1)
	c := k.c
	c.post(func() {
		if !c.active {
			differs <- ""
			return
		}
		differs <- cmp.Diff(indexOf(c.state), c.index, cmp.AllowUnexported(stateIndex{}))
	})
	select {
	case d := <-differs:
		if d != "" {
			k.t.Errorf("the controller's index is not that of its state: %s", d)
		}
	case <-c.stop:
	}
}

func (k *cluster) start() {
	k.t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	k.g = lifecycle.New("test", quiet)
	k.c = New(Config{NodeID: 1, DirectoryID: image.UUID{1}, ClusterID: "cluster", Settings: k.set.Load, Log: quiet,
		Endpoints: []image.Endpoint{{Name: "CONTROLLER", Host: "127.0.0.1", Port: 9093}},
		OnImage: func(img *image.Image, d *image.Delta) {
			if len(d.Configs) > 0 {
				next, _ := k.set.Load().WithDynamic(img.Config(image.BrokerConfig, ""), img.Config(image.BrokerConfig, "1"))
				k.set.Store(next)
			}
			k.mu.Lock()
			close(k.changed)
			k.changed = make(chan struct{})
			k.mu.Unlock()
		}, Now: func() time.Time { return time.Now().Add(time.Duration(k.clock.Load())) }})
	var err error
	k.q, err = quorum.Open(quorum.Config{FS: k.fs, Dir: "/data", NodeID: 1, DirectoryID: image.UUID{1}, Listener: k.c, Log: quiet,
		OnFault: func(err error) { k.t.Errorf("quorum: %v", err) }})
	if err != nil {
		k.t.Fatal(err)
	}
	k.c.Start(k.g, k.q)
	k.q.Start(k.g)
	if err := k.c.WaitActive(k.ctx()); err != nil {
		k.t.Fatal(err)
	}
}

func (k *cluster) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	k.t.Cleanup(cancel)
	return ctx
}

// stop ends the process; with lost power what was not synced is gone.
func (k *cluster) stop(power bool) {
	k.t.Helper()
	if power {
		k.fs.PowerOff()
	}
	k.g.Stop()
	if power {
		k.fs = k.fs.Crash(rand.New(rand.NewPCG(1, 2)))
	} else if err := k.q.Close(); err != nil {
		k.t.Fatal(err)
	}
}

// ask sends a request that must be answered.
func ask[T kmsg.Response](k *cluster, req kmsg.Request) T {
	k.t.Helper()
	resp, err := k.c.Handle(k.ctx(), RequestContext{Principal: "User:ANONYMOUS"}, req)
	if err != nil {
		k.t.Fatalf("%T: %v", req, err)
	}
	return resp.(T)
}

// broker registers a broker and unfences it. previous is the epoch that it remembers.
func (k *cluster) broker(id int32, previous int64) {
	k.t.Helper()
	k.register(id, previous)
	k.beat(id, false, false)
}

func (k *cluster) register(id int32, previous int64) *kmsg.BrokerRegistrationResponse {
	k.t.Helper()
	return k.registerWith(id, previous, [16]byte{byte(id), 0xd1})
}

// registerWith registers a broker whose directories that are online are these.
func (k *cluster) registerWith(id int32, previous int64, dirs ...[16]byte) *kmsg.BrokerRegistrationResponse {
	k.t.Helper()
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.Version = 4
	req.BrokerID, req.ClusterID, req.IncarnationID, req.PreviousBrokerEpoch = id, "cluster", newID(), previous
	req.LogDirs = dirs
	l := kmsg.NewBrokerRegistrationRequestListener()
	l.Name, l.Host, l.Port = "PLAINTEXT", "127.0.0.1", 9092
	req.Listeners = append(req.Listeners, l)
	for _, f := range image.SupportedFeatures() {
		rf := kmsg.NewBrokerRegistrationRequestFeature()
		rf.Name, rf.MinSupportedVersion, rf.MaxSupportedVersion = f.Name, f.Min, f.Max
		req.Features = append(req.Features, rf)
	}
	resp := ask[*kmsg.BrokerRegistrationResponse](k, req)
	k.epochs[id] = resp.BrokerEpoch
	return resp
}

func (k *cluster) beat(id int32, wantFence, wantShutdown bool) *kmsg.BrokerHeartbeatResponse {
	k.t.Helper()
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.Version = 2
	req.BrokerID, req.BrokerEpoch, req.WantFence, req.WantShutdown = id, k.epochs[id], wantFence, wantShutdown
	req.CurrentMetadataOffset = k.c.Image().Offset()
	return ask[*kmsg.BrokerHeartbeatResponse](k, req)
}

// create makes a topic and fails the test if that does not go.
func (k *cluster) create(name string, partitions int32, factor int16, configs ...string) kmsg.CreateTopicsResponseTopic {
	k.t.Helper()
	r := k.tryCreate(name, partitions, factor, configs...)
	if r.ErrorCode != 0 {
		k.t.Fatalf("create %s: %d %s", name, r.ErrorCode, text(r.ErrorMessage))
	}
	return r
}

func (k *cluster) tryCreate(name string, partitions int32, factor int16, configs ...string) kmsg.CreateTopicsResponseTopic {
	k.t.Helper()
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
	return ask[*kmsg.CreateTopicsResponse](k, req).Topics[0]
}

func text(s *string) string {
	if s == nil {
		return "<null>"
	}
	return *s
}
