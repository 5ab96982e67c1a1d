package service

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/people"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/restapi"
	"github.com/weir-stream/weir/internal/testkit/clustermodel"
)

func engines(kafkaProblem string) restapi.Engines {
	return restapi.Engines{Engines: []controlplane.EngineInfo{
		{Name: "weir", Ready: true, Capabilities: engine.Capabilities{Secured: true}},
		{Name: "apache-kafka", Ready: kafkaProblem == "", Problem: kafkaProblem, Capabilities: engine.Capabilities{Secured: true}},
	}}
}

// TestFirstCluster: three brokers of Weir, or of Apache Kafka if that was asked
// for, and never another engine in its place.
func TestFirstCluster(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct{ wish, problem, engine, err string }{
		{"", "", "weir", ""},
		{"", "Java is missing: install it.", "weir", ""},
		{"weir", "", "weir", ""},
		{"apache-kafka", "", "apache-kafka", ""},
		{"apache-kafka", "Java is missing.", "", "engine apache-kafka cannot run here: Java is missing."},
	} {
		b.answer("GET /engines", engines(c.problem))
		r, err := firstRequest(t.Context(), newClient(b.url, "weir_t"), c.wish)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		if err != nil || r.Engine != c.engine || r.Brokers != 3 || r.Name != "main" || r.Secured != nil {
			t.Errorf("%+v: %+v %v", c, r, err)
		}
	}
}

// TestFirstClusterIsMadeOnce: not again after somebody deleted it, and again
// if it could not be made.
func TestFirstClusterIsMadeOnce(t *testing.T) {
	b := newBench(t)
	v := &verbs{Env: Env{Stdout: &b.out, Stderr: &b.err, IsTerminal: func(any) bool { return false }}}
	l, api := local{t.TempDir()}, newClient(b.url, "weir_t")
	b.answer("GET /engines", engines(""))
	b.answer("GET /clusters", restapi.Clusters{})
	b.answer("POST /clusters", op(spec.OpPending, ""))
	b.answer("GET /operations/op-1", op(spec.OpFailed, "no disk"), op(spec.OpSucceeded, ""))
	ensure := func() error { return v.ensureCluster(t.Context(), api, l, "", v.progress()) }
	if err := ensure(); err == nil || !strings.Contains(err.Error(), "no disk") || !strings.Contains(err.Error(), "weir cluster delete main --yes") {
		t.Error(err)
	}
	for range 3 {
		if err := ensure(); err != nil {
			t.Error(err)
		}
	}
	if n := b.count("POST /clusters"); n != 2 {
		t.Errorf("made %d times", n)
	}
}

func TestBlock(t *testing.T) {
	b := newBench(t)
	v := &verbs{Env: Env{Stdout: &b.out, Stderr: &b.err, IsTerminal: func(any) bool { return false }}}
	l, api, c := local{"/d"}, newClient(b.url, "weir_t"), view()
	b.answer("POST /setup/link", status{201, restapi.SetupLink{Link: b.url + "/setup#s"}})
	if err := v.showBlock(t.Context(), api, l, &c, true); err != nil {
		t.Fatal(err)
	}
	want := `{
  "dashboard": "` + b.url + `",
  "setup": "` + b.url + `/setup#s",
  "cluster": "orders",
  "bootstrap": "127.0.0.1:9092",
  "client_properties": "/c.properties",
  "ca": "/ca.pem",
  "dir": "/d"
}
`
	if d := cmp.Diff(want, b.out.String()); d != "" || b.err.String() != "" {
		t.Error(d, b.err.String())
	}
	b.out.Reset()
	b.answer("POST /setup/link", status{409, `{"detail":"set up"}`})
	if err := v.showBlock(t.Context(), api, l, &c, false); err != nil {
		t.Fatal(err)
	}
	if text := b.out.String(); strings.Contains(text, "setup#") || !strings.Contains(text, "dashboard   "+b.url+"\n") || !strings.Contains(text, "TLS, SCRAM and ACLs") {
		t.Error(text)
	}
	c.HealthLevel, c.Health = controlplane.LevelBad, "All is lost."
	if err := v.showBlock(t.Context(), api, l, &c, false); err == nil || !strings.Contains(err.Error(), "All is lost.") {
		t.Error(err)
	}
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	for _, bad := range []string{"0.0.0.0:0", ":8640", "example.com:1", "10.0.0.1:0", "8640"} {
		if l, err := listen(dir, bad); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", bad, err)
			if l != nil {
				l.Close()
			}
		}
	}
	one, err := listen(dir, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := one.Addr().String()
	if _, err := listen(dir, address); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Error("a port twice:", err)
	}
	if err := writeJSON(filepath.Join(dir, stateFile), state{Address: "http://" + address}); err != nil {
		t.Fatal(err)
	}
	// Somebody else has the port of the last time: the next free one.
	other, err := listen(dir, "")
	if err != nil || other.Addr().String() == address {
		t.Fatal(other, err)
	}
	other.Close()
	one.Close()
	again, err := listen(dir, "")
	if err != nil || again.Addr().String() != address {
		t.Fatal("not the port of the last time:", again, err)
	}
	again.Close()
}

func TestConnectionsAreBounded(t *testing.T) {
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limited(raw, 1).(*limitedListener)
	defer l.Close()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", raw.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	defer dial().Close()
	defer dial().Close()
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	select {
	case <-accepted:
		t.Fatal("two at once")
	default:
	}
	first.Close()
	first.Close() // gives one place back, not two
	second := <-accepted
	if len(l.slots) != 1 {
		t.Errorf("%d places taken", len(l.slots))
	}
	second.Close()
}

func TestOwnToken(t *testing.T) {
	dir, registry := t.TempDir(), people.New(clustermodel.New(), people.Options{})
	path := filepath.Join(dir, tokenFile)
	read := func() string {
		t.Helper()
		if err := keepToken(t.Context(), dir, registry); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
			t.Error(info.Mode())
		}
		who, err := registry.Token(t.Context(), strings.TrimSpace(string(text)))
		if err != nil || who.Role != spec.RoleAdmin {
			t.Error(who, err)
		}
		return string(text)
	}
	one := read()
	if read() != one {
		t.Error("a token that works is replaced")
	}
	write(t, path, "weir_x.y\n")
	if read() == one {
		t.Error("the old one is back")
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for text, want := range map[string]string{"": "", "a\nb\nc\n": "b\nc\n", "a\nb": "a\nb", "one\n": "one\n"} {
		write(t, path, text)
		if got, end := tail(path, 2); string(got) != want && text != "a\nb" || end != int64(len(text)) {
			t.Errorf("%q: %q %d", text, got, end)
		}
	}
	if got, end := tail(path+"x", 2); got != nil || end != 0 {
		t.Error(got, end)
	}
}

// TestDownWithoutService: there is nothing to stop, and that is no failure.
func TestDownWithoutService(t *testing.T) {
	b := newBench(t)
	dir := filepath.Join(t.TempDir(), "none")
	b.want(0, []string{"Nothing runs"}, "down", "--dir", dir)
	if exists(dir) {
		t.Error("it was made")
	}
	b.want(1, []string{"no log", "weir up"}, "logs", "--dir", dir)
	b.want(1, []string{"--engine"}, "up", "--engine", "zookeeper", "--dir", dir)
}
