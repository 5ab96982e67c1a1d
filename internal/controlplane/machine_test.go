package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/provider"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
	"github.com/weir-stream/weir/internal/controlplane/store/sqlite"
	"github.com/weir-stream/weir/internal/testkit/clustermodel"
)

// sleeper is an engine whose brokers do nothing.
type sleeper struct{}

func (sleeper) Name() string                      { return spec.EngineApacheKafka }
func (sleeper) Capabilities() engine.Capabilities { return engine.Capabilities{Secured: true} }
func (sleeper) Versions() ([]string, error)       { return []string{"4.3.1"}, nil }
func (sleeper) Prepare(_ context.Context, _ *spec.Cluster, progress io.Writer) (engine.Installation, error) {
	fmt.Fprint(progress, "half a line, ", "and the rest\n")
	return sleeper{}, nil
}

func (sleeper) Properties(_ *spec.Cluster, b spec.Broker, m engine.Materials) (map[string]string, error) {
	return map[string]string{"log.dirs": m.Layout.Data(b.ID), "ssl.keystore.location": m.Cert.Keystore}, nil
}

func (i sleeper) Files(c *spec.Cluster, b spec.Broker, m engine.Materials) (map[string][]byte, error) {
	p, err := i.Properties(c, b, m)
	return map[string][]byte{engine.PropertiesFile: engine.FormatProperties(p)}, err
}

func (i sleeper) Format(_ context.Context, c *spec.Cluster, b spec.Broker, m engine.Materials) error {
	return errors.Join(engine.WriteFiles(i, c, b, m), os.MkdirAll(m.Layout.Data(b.ID), 0o700),
		os.WriteFile(filepath.Join(m.Layout.Data(b.ID), "meta.properties"), []byte("version=1\n"), 0o600))
}

func (sleeper) Command(_ *spec.Cluster, b spec.Broker, m engine.Materials) (engine.Command, error) {
	return engine.Command{Path: "/bin/sleep", Args: []string{"1000"}, Env: []string{"PATH=/bin:/usr/bin", "HOME=" + m.Layout.Broker(b.ID)}, Dir: m.Layout.Broker(b.ID)}, nil
}

// site makes a machine and a cluster of one sleeper on it.
func newSite(t *testing.T) (*machine, spec.Cluster, engine.Layout) {
	t.Helper()
	m := newMachine(t.TempDir(), provider.NewLocal(), []engine.Engine{sleeper{}})
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	c := spec.Cluster{ID: "c1", Name: "orders", Engine: spec.EngineApacheKafka, Secured: true, Brokers: []spec.Broker{{ID: 1, ClientPort: port}}}
	t.Cleanup(func() {
		if err := m.Kill(context.Background(), c, 1); err != nil {
			t.Error(err)
		}
		m.Forget(c.ID)
	})
	return m, c, m.layout(&c)
}

// TestStartDuringALook: a look at a cluster that does not answer takes seconds,
// and nobody who starts a broker of it waits for that.
func TestStartDuringALook(t *testing.T) {
	m, c, _ := newSite(t)
	if err := m.Prepare(t.Context(), c, func(string) {}); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", fmt.Sprint(c.Brokers[0].ClientPort))) // takes dials and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, end := context.WithCancel(t.Context())
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		_, _ = m.Observe(ctx, c) // what is seen does not matter
	}()
	if _, err := silent.Accept(); err != nil { // the look has begun
		t.Fatal(err)
	}
	b := spec.Broker{ID: 1} // with no port that could be taken
	if err := errors.Join(m.Provision(t.Context(), c, b), m.Start(t.Context(), c, b)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-looked:
		t.Error("the start waited for the look")
	default:
	}
	end()
	<-looked
}

func TestMachine(t *testing.T) {
	m, c, l := newSite(t)
	b := c.Brokers[0]
	var said []string
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(m.Prepare(t.Context(), c, func(s string) { said = append(said, s) }))
	if !slices.Equal(said, []string{"half a line, and the rest"}) {
		t.Errorf("said %q", said)
	}
	check(m.Provision(t.Context(), c, b))
	for _, private := range []string{l.ClientProperties(), l.Properties(1), filepath.Join(l.Certs(), "secrets.json")} {
		if st, err := os.Stat(private); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", private, st, err)
		}
	}
	for range 2 { // again is no harm
		check(m.Start(t.Context(), c, b))
	}
	if !m.Runs(c, 1) {
		t.Fatal("it does not run")
	}
	if err := m.Wipe(t.Context(), c, 1); err == nil || !strings.Contains(err.Error(), "runs") {
		t.Errorf("wiped while it runs: %v", err)
	}
	if err := m.Remove(t.Context(), c, 0); err == nil || !strings.Contains(err.Error(), "runs") {
		t.Errorf("removed while it runs: %v", err)
	}
	check(m.Stop(t.Context(), c, 1))
	check(m.Stop(t.Context(), c, 1))
	check(m.Kill(t.Context(), c, 1))
	for range 2 {
		check(m.Wipe(t.Context(), c, 1))
	}
	if _, err := os.Stat(filepath.Join(aside(l, 1), "meta.properties")); err != nil {
		t.Errorf("the data is not set aside: %v", err)
	}
	check(m.Remove(t.Context(), c, 0))
	// The loop that looks at clusters may look once more.
	if o, err := m.Observe(t.Context(), c); err != nil || o.Reachable || !strings.Contains(o.Why, "gone") {
		t.Errorf("seen of a cluster that is gone: %+v %v", o, err)
	}
	c.Served = true
	if err := m.Prepare(t.Context(), c, func(string) {}); err == nil || !strings.Contains(err.Error(), "from a copy") {
		t.Errorf("a second authority: %v", err)
	}
	if _, err := os.Stat(l.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("files stay, or are back: %v", err)
	}
}

// TestPortTaken: it is said which port, whose, and what to do; nothing starts.
func TestPortTaken(t *testing.T) {
	m, c, _ := newSite(t)
	b := c.Brokers[0]
	if err := errors.Join(m.Prepare(t.Context(), c, func(string) {}), m.Provision(t.Context(), c, b)); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", engine.Address(b.ClientPort))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for what, err := range map[string]error{"start": m.Start(t.Context(), c, b), "provision": m.Provision(t.Context(), c, b)} {
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("port %d is in use", b.ClientPort)) || !strings.Contains(err.Error(), "clientPort") || m.Runs(c, 1) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestTwoServices: the second one on a directory is told who has it.
func TestTwoServices(t *testing.T) {
	o := Options{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Open(t.Context(), o); !errors.Is(err, sqlite.ErrHeld) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("the second service: %v", err)
	}
	if infos := s.Engines(); len(infos) != 2 || infos[0].Default == "" || infos[0].Ready == (infos[0].Problem != "") {
		t.Errorf("%+v", infos)
	}
}

// TestJavaMissing: what cannot be is said before anything is made.
func TestJavaMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("JAVA_HOME", "")
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), KafkaCache: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found := false
	for _, e := range s.Engines() {
		if e.Name == spec.EngineApacheKafka {
			found = !e.Ready && strings.Contains(e.Problem, "install a JDK")
		}
	}
	if !found {
		t.Errorf("%+v", s.Engines())
	}
	op, err := s.Create(t.Context(), "ann", CreateRequest{Name: "orders", Engine: spec.EngineApacheKafka})
	if err != nil {
		t.Fatal(err)
	}
	if done := awaitOp(t, s, op, spec.OpFailed); !strings.Contains(done.Error, "install a JDK") {
		t.Errorf("%+v", done)
	}
	if v := awaitState(t, s, "orders", spec.Failed); v.Mend == nil || v.Mend.Kind != spec.OpStart || !strings.Contains(v.Health, "install a JDK") {
		t.Errorf("%+v", v)
	}
}

// fickle is a store that can refuse to write.
type fickle struct {
	*clustermodel.World
	fails   atomic.Pointer[error]
	refused atomic.Int64
}

func (f *fickle) Put(ctx context.Context, kind, key string, body []byte, revision int64) (int64, error) {
	if err := f.fails.Load(); err != nil {
		f.refused.Add(1)
		return 0, *err
	}
	return f.World.Put(ctx, kind, key, body, revision)
}

// TestStoreFull: nothing is begun that could not be remembered, what runs
// waits, and goes on when there is room.
func TestStoreFull(t *testing.T) {
	f := &fickle{World: clustermodel.New()}
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)), FirstPort: 13000, HealEvery: 5e6, Policy: quick(), store: f, world: f.World})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	create(t, s, 3)
	full := fmt.Errorf("write: %w: free some on the disk", store.ErrFull)
	f.fails.Store(&full)
	if _, err := s.Change(t.Context(), "ann", "orders", ChangeRequest{Kind: spec.OpStop}); !errors.Is(err, store.ErrFull) {
		t.Errorf("a change that cannot be remembered: %v", err)
	}
	if _, err := s.Create(t.Context(), "ann", CreateRequest{Name: "other"}); !errors.Is(err, store.ErrFull) {
		t.Errorf("a cluster that cannot be remembered: %v", err)
	}
	if !f.Runs(spec.Cluster{}, 1) {
		t.Error("a broker was stopped all the same")
	}
	f.fails.Store(nil)
	op, err := s.Change(t.Context(), "ann", "orders", ChangeRequest{Kind: spec.OpScale, Brokers: 4})
	if err != nil {
		t.Fatal(err)
	}
	f.refused.Store(0)
	f.fails.Store(&full)
	await(t, func() string {
		if now, err := s.Operation(t.Context(), op.ID); f.refused.Load() == 0 && err == nil && !now.State.Final() {
			return "nothing was refused yet"
		}
		return ""
	})
	f.fails.Store(nil)
	awaitOp(t, s, op, spec.OpSucceeded)
	awaitState(t, s, "orders", spec.Active)
}

func TestExport(t *testing.T) {
	m, c, l := newSite(t)
	s, err := Open(t.Context(), Options{Dir: m.dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.machine, s.world = m, m
	err = errors.Join(m.Prepare(t.Context(), c, func(string) {}), m.Provision(t.Context(), c, c.Brokers[0]))
	c.State, c.Served = spec.Stopped, true
	c.Brokers[0].Stopped = true
	if err := errors.Join(err, store.Clusters.Put(t.Context(), s.store, &c)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"relative", filepath.Join(m.dir, "x"), m.dir, l.Dir} {
		if _, err := s.Export(t.Context(), "orders", bad); len(spec.Fields(err)) != 1 {
			t.Errorf("%s: %v", bad, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "out")
	files, err := s.Export(t.Context(), "orders", dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), m.dir) && filepath.Base(f) != "copy-data.sh" {
			t.Errorf("%s names the service's directory:\n%s", f, text)
		}
	}
	props, _ := os.ReadFile(filepath.Join(dir, "broker-1", "server.properties"))
	if string(props) != "log.dirs=broker-1/data\nssl.keystore.location=certs/broker-1.pem\n" {
		t.Errorf("settings:\n%s", props)
	}
	for _, f := range []string{"certs/ca.pem", "certs/ca.key", "certs/broker-1.pem", "client.properties", "start-broker-1.sh", "broker-1/data/meta.properties"} {
		if _, err := os.Stat(filepath.Join(dir, f)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "certs", "secrets.json")); err == nil {
		t.Error("the service's secrets were exported")
	}
	if _, err := s.Export(t.Context(), "orders", dir); len(spec.Fields(err)) != 1 {
		t.Errorf("exported over what is there: %v", err)
	}
}
