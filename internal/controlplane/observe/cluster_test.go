package observe_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/admin"
	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/engine/apachekafka"
	"github.com/weir-stream/weir/internal/controlplane/engine/weir"
	"github.com/weir-stream/weir/internal/controlplane/observe"
	"github.com/weir-stream/weir/internal/controlplane/provider"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// lab is one cluster under test.
type lab struct {
	t       *testing.T
	ctx     context.Context
	cluster spec.Cluster
	install engine.Installation
	layout  engine.Layout
	secrets certs.Secrets
	certs   map[int32]certs.Issued
	local   *provider.Local
	access  admin.Access
	admin   *admin.Client
	eye     *observe.Observer
}

// TestCluster runs a cluster of each engine from its first start: an
// application with the least rights, a broker that is killed and one that is
// halted. WEIR_KAFKA_DIST names an Apache Kafka, WEIR_BIN a Weir binary; an
// engine without its own is skipped.
func TestCluster(t *testing.T) {
	for _, e := range []struct {
		name, env string
		engine    func(path string) engine.Engine
		cluster   spec.Cluster
		brokers   int
	}{
		{"apache-kafka", "WEIR_KAFKA_DIST", func(string) engine.Engine { return &apachekafka.Engine{} },
			spec.Cluster{Engine: spec.EngineApacheKafka, EngineVersion: "4.3.1", DistDir: os.Getenv("WEIR_KAFKA_DIST"), Profile: "prod-3", Secured: true}, 3},
		{"weir", "WEIR_BIN", func(path string) engine.Engine {
			return &weir.Engine{Binary: path, Dir: filepath.Join(t.TempDir(), "engines")}
		},
			spec.Cluster{Engine: spec.EngineWeir, EngineVersion: "0.1.0", Profile: "dev"}, 1},
		{"weir-secured", "WEIR_BIN", func(path string) engine.Engine {
			return &weir.Engine{Binary: path, Dir: filepath.Join(t.TempDir(), "engines")}
		},
			spec.Cluster{Engine: spec.EngineWeir, EngineVersion: "0.1.0", Profile: "dev", Secured: true}, 1},
	} {
		t.Run(e.name, func(t *testing.T) {
			path := os.Getenv(e.env)
			if path == "" {
				t.Skipf("1 engine skipped: %s is not set", e.env)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
			defer cancel()
			c := e.cluster
			c.ID, c.Name, c.State, c.KafkaClusterID = "c1", "orders", spec.Creating, "5L6g3nShT-eMCtK--X86sw"
			l := newLab(ctx, t, e.engine(path), c, e.brokers)
			for _, b := range l.cluster.Brokers {
				l.format(b)
				l.start(b)
			}
			l.awaitServing()
			l.showUse()
			if c.Secured {
				l.showLeastRights()
			}
			if e.brokers > 1 {
				l.showMove()
			}
			l.showDeathAndReturn(l.cluster.Brokers[len(l.cluster.Brokers)-1].ID)
			l.showFreeze(l.cluster.Brokers[0].ID)
		})
	}
}

func newLab(ctx context.Context, t *testing.T, e engine.Engine, c spec.Cluster, n int) *lab {
	t.Helper()
	ports, err := provider.NewPorts(21000, 21099).Pick(4 * n)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		c.Brokers = append(c.Brokers, spec.Broker{ID: int32(i + 1), ClientPort: ports[4*i], InternalPort: ports[4*i+1], MetricsPort: ports[4*i+2],
			ControllerPort: ports[4*i+3], Controller: true, MemoryBytes: 512 << 20, DiskBytes: 1 << 30})
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, ctx: ctx, cluster: c, layout: engine.Layout{Dir: t.TempDir()}, local: provider.NewLocal(), certs: map[int32]certs.Issued{}}
	l.install, err = e.Prepare(ctx, &c, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	l.access = admin.Access{Bootstrap: engine.Bootstrap(&c)}
	if c.Secured {
		l.secure()
	}
	if err := certs.WritePrivate(l.layout.ClientProperties(), l.access.Properties()); err != nil {
		t.Fatal(err)
	}
	read, err := admin.ReadAccess(l.layout.ClientProperties())
	if err != nil {
		t.Fatal(err)
	}
	if l.admin, err = admin.Open(read); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.end)
	if l.eye, err = observe.New(l.layout, l.local, read, observe.DefaultTimeouts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.eye.Close)
	return l
}

func (l *lab) secure() {
	l.t.Helper()
	now := time.Now()
	authority, err := certs.Open(l.layout.Certs(), l.cluster.Name, now)
	if err != nil {
		l.t.Fatal(err)
	}
	if l.secrets, err = certs.OpenSecrets(l.layout.Certs()); err != nil {
		l.t.Fatal(err)
	}
	for _, b := range l.cluster.Brokers {
		if l.certs[b.ID], err = authority.Issue(certs.Node{Name: engine.NodeName(b.ID)}, now); err != nil {
			l.t.Fatal(err)
		}
	}
	l.access.CAFile, l.access.User, l.access.Password = authority.Path(), certs.AdminUser, l.secrets.AdminPassword
}

// end stops every process of the cluster by the id that was recorded for it.
func (l *lab) end() {
	l.admin.Close()
	for _, b := range l.cluster.Brokers {
		if l.t.Failed() {
			for _, f := range []string{l.layout.Output(b.ID), filepath.Join(l.layout.Logs(b.ID), "server.log")} {
				text, _ := os.ReadFile(f)
				l.t.Logf("%s:\n%s", f, text[max(0, len(text)-2000):])
			}
		}
		if err := l.local.Signal(l.layout.PID(b.ID), syscall.SIGKILL); err != nil && !errors.Is(err, provider.ErrNotRunning) {
			l.t.Error(err)
		}
		if _, err := l.local.Stop(context.Background(), l.layout.PID(b.ID), 0); err != nil {
			l.t.Error(err)
		}
	}
}

func (l *lab) materials(b spec.Broker) engine.Materials {
	return engine.Materials{Layout: l.layout, Cert: l.certs[b.ID], Secrets: l.secrets}
}

func (l *lab) format(b spec.Broker) {
	l.t.Helper()
	if err := l.install.Format(l.ctx, &l.cluster, b, l.materials(b)); err != nil {
		l.t.Fatal(err)
	}
	stat, err := os.Stat(l.layout.Properties(b.ID))
	if err != nil || stat.Mode().Perm() != 0o600 {
		l.t.Errorf("server.properties: %v %v", stat.Mode(), err)
	}
}

func (l *lab) start(b spec.Broker) {
	l.t.Helper()
	c, err := l.install.Command(&l.cluster, b, l.materials(b))
	if err != nil {
		l.t.Fatal(err)
	}
	_, err = l.local.Start(l.ctx, provider.Process{Path: c.Path, Args: c.Args, Env: c.Env, Dir: c.Dir, LogFile: l.layout.Output(b.ID), PIDFile: l.layout.PID(b.ID)})
	if err != nil {
		l.t.Fatal(err)
	}
}

// await polls until ok, which says what is missing.
func (l *lab) await(ok func(context.Context) error) {
	l.t.Helper()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		ctx, cancel := context.WithTimeout(l.ctx, 20*time.Second)
		err := ok(ctx)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-l.ctx.Done():
			l.t.Fatalf("waited in vain: %v", err)
		case <-tick.C:
		}
	}
}

// awaitSeen observes until ok says nothing is missing.
func (l *lab) awaitSeen(ok func(spec.Observation) string) {
	l.t.Helper()
	l.await(func(context.Context) error {
		before := time.Now()
		o := l.eye.Observe(l.ctx, &l.cluster, before)
		if took := time.Since(before); took > 15*time.Second {
			l.t.Errorf("an observation took %v", took)
		}
		if missing := ok(o); missing != "" {
			return fmt.Errorf("%s; seen: %+v", missing, o)
		}
		return nil
	})
}

// awaitServing waits until all brokers serve and every replica is in sync.
func (l *lab) awaitServing() {
	l.t.Helper()
	l.awaitSeen(func(o spec.Observation) string {
		if !o.Reachable {
			return "not reachable"
		}
		for _, b := range o.Brokers {
			if !b.ProcessAlive || !b.DataDirPresent || !b.Registered || b.Fenced || !b.UnresponsiveSince.IsZero() {
				return fmt.Sprintf("broker %d does not serve", b.ID)
			}
		}
		for _, p := range o.Partitions {
			if p.Offline() || p.UnderReplicated() || p.UnderMinISR() {
				return fmt.Sprintf("%s-%d is not in sync", p.Topic, p.Partition)
			}
		}
		return ""
	})
}

// showUse writes as the administrator and sees where it lies.
func (l *lab) showUse() {
	l.t.Helper()
	if err := l.admin.CreateTopic(l.ctx, "seen", 3, -1, nil); err != nil {
		l.t.Fatal(err)
	}
	cl := l.client(l.access)
	l.await(func(ctx context.Context) error {
		for p := range int32(3) {
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "seen", Partition: p, Value: make([]byte, 10_000)}).FirstErr(); err != nil {
				return err
			}
		}
		return nil
	})
	l.awaitSeen(func(o spec.Observation) string {
		leaders := 0
		for _, b := range o.Brokers {
			if leaders += b.Leaders; b.Bytes == 0 || b.Replicas == 0 || b.DiskUsedBytes == 0 {
				return fmt.Sprintf("broker %d has nothing", b.ID)
			}
		}
		if leaders < 3 {
			return "partitions have no leaders"
		}
		return ""
	})
}

// showMove takes a replica away and copies it back under a throttle.
func (l *lab) showMove() {
	l.t.Helper()
	ids := l.cluster.BrokerIDs()
	if err := l.admin.Throttle(l.ctx, 50<<20, ids, []string{"seen"}); err != nil {
		l.t.Fatal(err)
	}
	for _, to := range [][]int32{ids[:2], ids} {
		if err := l.admin.Reassign(l.ctx, admin.Assignment{Topic: "seen", Replicas: to}); err != nil {
			l.t.Fatal(err)
		}
		l.awaitSeen(func(o spec.Observation) string {
			for _, p := range o.Partitions {
				if p.Topic == "seen" && p.Partition == 0 && (len(p.Adding)+len(p.Removing) > 0 || !slices.Equal(p.Replicas, to) || p.UnderReplicated()) {
					return "the move is not done"
				}
			}
			return ""
		})
	}
	if err := l.admin.Reassign(l.ctx, admin.Assignment{Topic: "seen"}); err != nil {
		l.t.Errorf("cancel of a move that is over: %v", err)
	}
	if moves, err := l.admin.Reassignments(l.ctx); err != nil || len(moves) > 0 {
		l.t.Errorf("left: %v %v", moves, err)
	}
	if err := errors.Join(l.admin.Throttle(l.ctx, 0, ids, []string{"seen"}), l.admin.Unregister(l.ctx, 99)); err != nil {
		l.t.Error(err)
	}
}

// showFreeze halts a process: it lives, and is seen to answer nothing; the
// others, if there are any, are seen as before.
func (l *lab) showFreeze(id int32) {
	l.t.Helper()
	if err := l.local.Signal(l.layout.PID(id), syscall.SIGSTOP); err != nil {
		l.t.Fatal(err)
	}
	l.awaitSeen(func(o spec.Observation) string {
		if b, _ := o.Broker(id); !b.ProcessAlive || b.UnresponsiveSince.IsZero() {
			return "the freeze is not seen"
		}
		if len(l.cluster.Brokers) > 1 && !o.Reachable {
			return "the others are not seen"
		}
		return ""
	})
	if err := l.local.Signal(l.layout.PID(id), syscall.SIGCONT); err != nil {
		l.t.Fatal(err)
	}
	l.awaitServing()
}

// showLeastRights: an application does what it was given, and nothing else.
func (l *lab) showLeastRights() {
	l.t.Helper()
	check := func(err error) {
		l.t.Helper()
		if err != nil {
			l.t.Fatal(err)
		}
	}
	for _, topic := range []string{"mine", "other"} {
		check(l.admin.CreateTopic(l.ctx, topic, 3, -1, nil))
	}
	password := certs.NewPassword()
	check(l.admin.SetUser(l.ctx, "app1", password))
	check(l.admin.Grant(l.ctx, "app1", admin.Rights{Produce: []string{"mine"}, Consume: []string{"mine"}, Groups: []string{"group1"}}))
	app := l.access
	app.User, app.Password = "app1", password
	cl := l.client(app, kgo.ConsumeTopics("mine"), kgo.ConsumerGroup("group1"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	l.await(func(ctx context.Context) error {
		return cl.ProduceSync(ctx, &kgo.Record{Topic: "mine", Value: []byte("hello")}).FirstErr()
	})
	fetches := cl.PollRecords(l.ctx, 1)
	if fetches.Err() != nil || fetches.NumRecords() != 1 {
		l.t.Fatalf("consumed %d records: %v", fetches.NumRecords(), fetches.Err())
	}
	cl.Close()
	l.refused("write elsewhere", kerr.TopicAuthorizationFailed, l.client(app).ProduceSync(l.ctx, &kgo.Record{Topic: "other", Value: []byte("x")}).FirstErr())
	other, err := admin.Open(app)
	check(err)
	defer other.Close()
	l.refused("create an account", kerr.ClusterAuthorizationFailed, other.SetUser(l.ctx, "app2", "secret"))
	app.Password = "wrong"
	l.refused("wrong password", kerr.SaslAuthenticationFailed, l.client(app).Ping(l.ctx))
	if err := l.client(admin.Access{Bootstrap: l.access.Bootstrap}).Ping(l.within(3 * time.Second)); err == nil {
		l.t.Error("plain text was answered")
	}
	check(l.admin.DeleteUser(l.ctx, "app1"))
	if users, err := l.admin.Users(l.ctx); err != nil || !slices.Equal(users, []string{certs.AdminUser, certs.BrokerUser}) {
		l.t.Errorf("users %v %v", users, err)
	}
}

func (l *lab) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(l.ctx, d)
	l.t.Cleanup(cancel)
	return ctx
}

func (l *lab) refused(what string, want, err error) {
	l.t.Helper()
	if !errors.Is(err, want) {
		l.t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func (l *lab) client(a admin.Access, more ...kgo.Opt) *kgo.Client {
	l.t.Helper()
	opts, err := a.Options()
	if err != nil {
		l.t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(cl.Close)
	return cl
}

// showDeathAndReturn kills a broker, sees it dead and fenced, starts it again
// and sees every partition back in sync.
func (l *lab) showDeathAndReturn(id int32) {
	l.t.Helper()
	if err := l.local.Signal(l.layout.PID(id), syscall.SIGKILL); err != nil {
		l.t.Fatal(err)
	}
	l.awaitSeen(func(o spec.Observation) string {
		b, _ := o.Broker(id)
		if b.ProcessAlive || !b.UnresponsiveSince.IsZero() {
			return "the death is not seen"
		}
		if len(l.cluster.Brokers) > 1 && !(o.Reachable && b.Registered && b.Fenced && b.Leaders == 0) {
			return "not fenced"
		}
		if len(l.cluster.Brokers) == 1 && (o.Reachable || o.Why == "") {
			return "reachable without a broker"
		}
		return ""
	})
	b, _ := l.cluster.Broker(id)
	l.format(b)
	l.start(b)
	l.awaitServing()
	if err := l.admin.ElectPreferred(l.ctx); err != nil {
		l.t.Error(err)
	}
}
