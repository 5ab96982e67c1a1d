package engine_test

import (
	"context"
	"errors"
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
	"github.com/weir-stream/weir/internal/controlplane/provider"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// TestFormatProperties shows that what is written is what a broker reads.
func TestFormatProperties(t *testing.T) {
	got := string(engine.FormatProperties(map[string]string{"b": `C:\x`, "a": "1"}))
	if want := "a=1\nb=C:\\\\x\n"; got != want {
		t.Errorf("%q", got)
	}
}

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
}

// TestSecuredApacheKafka runs three secured brokers from their first start.
// WEIR_KAFKA_DIST names a distribution; without it the test is skipped.
func TestSecuredApacheKafka(t *testing.T) {
	dist := os.Getenv("WEIR_KAFKA_DIST")
	if dist == "" {
		t.Skip("1 engine skipped: WEIR_KAFKA_DIST names no Apache Kafka")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	l := newLab(ctx, t, &apachekafka.Engine{}, spec.Cluster{
		ID: "c1", Name: "orders", Engine: spec.EngineApacheKafka, EngineVersion: "4.3.1", DistDir: dist,
		Profile: "prod-3", Secured: true, State: spec.Creating, KafkaClusterID: "5L6g3nShT-eMCtK--X86sw",
	}, 3)
	for _, b := range l.cluster.Brokers {
		l.format(b)
		l.start(b)
	}
	l.awaitServing(3)
	l.showLeastRights()
	l.showDeathAndReturn(2)
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
		ctx, cancel := context.WithTimeout(l.ctx, 5*time.Second)
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

// awaitServing waits for n brokers that are not fenced.
func (l *lab) awaitServing(n int) {
	l.t.Helper()
	l.await(func(ctx context.Context) error {
		nodes, err := l.admin.Nodes(ctx)
		if err != nil {
			return err
		}
		if serving := len(slices.DeleteFunc(nodes, func(n admin.Node) bool { return n.Fenced })); serving != n {
			return errors.New("brokers are missing or fenced")
		}
		return nil
	})
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

// showDeathAndReturn kills a broker, sees the cluster fence it, starts it
// again and sees every partition back in sync.
func (l *lab) showDeathAndReturn(id int32) {
	l.t.Helper()
	if err := l.local.Signal(l.layout.PID(id), syscall.SIGKILL); err != nil {
		l.t.Fatal(err)
	}
	l.await(func(ctx context.Context) error {
		nodes, err := l.admin.Nodes(ctx)
		if err == nil && !slices.ContainsFunc(nodes, func(n admin.Node) bool { return n.ID == id && n.Fenced }) {
			err = errors.New("not fenced")
		}
		return err
	})
	if _, err := l.local.Find(l.layout.PID(id)); !errors.Is(err, provider.ErrNotRunning) {
		l.t.Errorf("a dead process was found: %v", err)
	}
	b, _ := l.cluster.Broker(id)
	l.format(b)
	l.start(b)
	l.awaitServing(len(l.cluster.Brokers))
	l.await(func(ctx context.Context) error {
		parts, err := l.admin.Partitions(ctx)
		if err == nil && (len(parts) == 0 || slices.ContainsFunc(parts, func(p admin.Partition) bool { return len(p.ISR) < len(p.Replicas) })) {
			err = errors.New("not in sync")
		}
		return err
	})
	replicas, err := l.admin.Replicas(l.ctx, id)
	if err != nil || len(replicas) == 0 {
		l.t.Errorf("replicas %v %v", replicas, err)
	}
	if err := l.admin.ElectPreferred(l.ctx); err != nil {
		l.t.Error(err)
	}
}
