package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/cli/machine"
	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/telemetry"
)

// runCommand runs a tool without a process and returns what it printed and its exit code.
func runCommand(t *testing.T, c Command, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = Tool{Name: "t", New: func() Command { return c }}.Run(t.Context(), Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut}, args)
	return out.String(), errOut.String(), code
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startWith returns kafka-server-start with a node that calls run.
func startWith(run nodeRunner) *serverStart {
	c := newServerStart().(*serverStart)
	c.run = run
	return c
}

func TestServerStartRunsTheNodeOfTheFile(t *testing.T) {
	file := writeFile(t, "broker.id=7\nzookeeper.connect=z:2181\nnum.partitons=3\nlog.dirs="+t.TempDir())
	var got *config.Set
	stdout, stderr, code := runCommand(t, startWith(func(_ context.Context, cfg *config.Set, _ *telemetry.Logs, ready func()) error {
		got = cfg
		ready()
		return nil
	}), file, "--override", "num.partitions=4", "--override", "listeners=PLAINTEXT://127.0.0.1:20501")
	if code != 0 || stderr != "" || got == nil || got.Node().ID != 7 || got.Int("num.partitions") != 4 {
		t.Fatalf("code %d, stderr %q, node %+v", code, stderr, got)
	}
	for _, want := range []string{"ZooKeeper is not needed", "num.partitons: unknown setting, not used; the nearest known one is num.partitions",
		"weir is ready node=7 listeners=PLAINTEXT://127.0.0.1:20501", "weir has stopped"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the log lacks %q:\n%s", want, stdout)
		}
	}
}

func TestServerStartRefusesWithOneLineAKey(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, "num.partitions=x\nlog.dirs="+filepath.Join(dir, "data")+"\nlisteners=A://:1")
	_, stderr, code := runCommand(t, startWith(func(context.Context, *config.Set, *telemetry.Logs, func()) error {
		t.Error("the node was started")
		return nil
	}), file)
	if code != 1 || stderr != file+": Invalid value x for configuration num.partitions: Not a number of type INT; allowed is a whole number in [1,...]\n" {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("something was written: %v", entries)
	}
	_, stderr, code = runCommand(t, newServerStart(), filepath.Join(dir, "none"))
	if code != 1 || !strings.Contains(stderr, "Cannot read the properties file") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
}

func TestServerStartUsage(t *testing.T) {
	_, stderr, code := runCommand(t, newServerStart())
	if code != 1 || !strings.HasPrefix(stderr, "USAGE: kafka-server-start [-daemon] server.properties [--override property=value]*\n") {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	stdout, _, code := runCommand(t, newServerStart(), "--version")
	if code != 0 || stdout != "4.3.1\n" {
		t.Errorf("code %d, stdout %q", code, stdout)
	}
}

func TestServerStartTellsOfTheEnd(t *testing.T) {
	file := writeFile(t, "log.dirs="+t.TempDir())
	stdout, _, code := runCommand(t, startWith(func(context.Context, *config.Set, *telemetry.Logs, func()) error { return errors.New("port in use") }), file)
	if code != 1 || !strings.Contains(stdout, `ERROR weir ends err="port in use"`) {
		t.Errorf("code %d, log\n%s", code, stdout)
	}
}

func TestServerStopChooses(t *testing.T) {
	dir := t.TempDir()
	// This test process is no server, so what it writes down is taken for the rest of a dead one.
	stale := filepath.Join(dir, "1.json")
	data, _ := json.Marshal(process{PID: os.Getpid(), Node: 1, Roles: "broker"})
	if err := os.WriteFile(stale, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newServerStop().(*serverStop)
	c.dir = dir
	if _, stderr, code := runCommand(t, c); code != 1 || stderr != "No kafka server to stop\n" {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("the rest of a dead server is still there")
	}
	if _, stderr, code := runCommand(t, newServerStop(), "--process-role", "king"); code != 1 || !strings.Contains(stderr, "broker and controller") {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	stop := newServerStop().(*serverStop)
	_ = stop.flags.Parse([]string{"--node-id", "9"})
	if got := stop.nothing([]process{{Node: 2, Roles: "broker"}}); got != "No kafka server with node id 9 to stop; there are: node 2 (broker)" {
		t.Error(got)
	}
}

func TestZookeeperToolsDoNothingAndSaySo(t *testing.T) {
	for _, c := range []Command{newZookeeperStart(), newZookeeperStop()} {
		stdout, stderr, code := runCommand(t, c, "-daemon", "config/zookeeper.properties")
		if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "ZooKeeper is not needed") || strings.Count(stdout, "\n") != 1 {
			t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
		}
	}
	if _, _, code := runCommand(t, newZookeeperStop()); code != 0 {
		t.Errorf("code %d without arguments", code)
	}
}

func TestInstallTools(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	taken := filepath.Join(dir, "kafka-topics.sh")
	if err := os.WriteFile(taken, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n, err := installTools("/opt/weir", dir)
		if n != len(Tools())-1 || err == nil || !strings.Contains(err.Error(), taken) {
			t.Errorf("%d linked, err = %v", n, err)
		}
	}
	if to, err := os.Readlink(filepath.Join(dir, "kafka-server-start.sh")); err != nil || to != "/opt/weir" {
		t.Errorf("link to %q %v", to, err)
	}
	if n, err := installTools("/opt/weir2", filepath.Join(dir, "other")); err != nil || n != len(Tools()) {
		t.Errorf("%d linked, err = %v", n, err)
	}
}

func TestToolsByEitherName(t *testing.T) {
	for _, name := range []string{"/usr/bin/kafka-server-start", "kafka-server-start.sh"} {
		var out bytes.Buffer
		if code := Main([]string{name, "--version"}, Env{Stdout: &out, Stderr: &out}); code != 0 || out.String() != "4.3.1\n" {
			t.Errorf("%s: code %d, %q", name, code, out.String())
		}
	}
	var out bytes.Buffer
	if code := Main([]string{"weir", "kafka-server-start.sh", "--version"}, Env{Stdout: &out, Stderr: &out}); code != 0 {
		t.Errorf("code %d, %q", code, out.String())
	}
	out.Reset()
	if code := Main([]string{"weir", "no-such"}, Env{Stdout: &out, Stderr: &out}); code != 1 || !strings.Contains(out.String(), "no-such") {
		t.Errorf("code %d, %q", code, out.String())
	}
	out.Reset()
	if code := Main([]string{"weir", "version"}, Env{Stdout: &out, Stderr: &out}); code != 0 || !strings.HasPrefix(out.String(), "weir dev") {
		t.Errorf("code %d, %q", code, out.String())
	}
	out.Reset()
	if code := Main([]string{"weir", "__complete", "kafka-server-stop", "--pro"}, Env{Stdout: &out, Stderr: &out}); code != 0 || !strings.Contains(out.String(), "--process-role") {
		t.Errorf("completion: code %d, %q", code, out.String())
	}
}

func TestCgroupLimit(t *testing.T) {
	root := t.TempDir()
	put := func(path, text string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("v2", "0::/a/b\n")
	put("cg/a/memory.max", "1000000\n")
	put("cg/a/b/memory.max", "max\n")
	if n, ok := cgroupLimit(filepath.Join(root, "v2"), filepath.Join(root, "cg")); !ok || n != 1000000 {
		t.Errorf("version 2: %d %v", n, ok)
	}
	put("v1", "5:memory:/c\n3:cpu:/\n")
	put("cg/memory/c/memory.limit_in_bytes", "9223372036854771712\n")
	if n, ok := cgroupLimit(filepath.Join(root, "v1"), filepath.Join(root, "cg")); ok {
		t.Errorf("version 1 without limit: %d", n)
	}
	put("cg/memory/memory.limit_in_bytes", "5000")
	if n, ok := cgroupLimit(filepath.Join(root, "v1"), filepath.Join(root, "cg")); !ok || n != 5000 {
		t.Errorf("version 1: %d %v", n, ok)
	}
	if _, ok := cgroupLimit(filepath.Join(root, "none"), root); ok {
		t.Error("a limit without cgroups")
	}
}

func TestVolatileDirectories(t *testing.T) {
	if got := machine.Volatile("/tmp/kafka-logs"); got != "is under /tmp" {
		t.Errorf("/tmp: %q", got)
	}
	if got := machine.Volatile("/var/lib/kafka"); got != "" && !machine.InMemory("/var/lib") {
		t.Errorf("/var/lib/kafka: %q", got)
	}
	if _, err := os.Stat("/dev/shm"); err == nil && machine.InMemory("/dev/shm") && machine.Volatile("/dev/shm/x/y") == "" {
		t.Error("/dev/shm is not found to be in memory")
	}
}

func TestVoterAtAnotherPort(t *testing.T) {
	n := config.Node{ID: 1, Controller: true, Voters: []config.Voter{{ID: 1, Host: "a", Port: 9093}, {ID: 2, Host: "b", Port: 9093}}}
	for port, want := range map[int]int{9093: 0, 0: 0, 9094: 1} {
		n.AdvertisedController = []config.Listener{{Name: "CONTROLLER", Host: "a", Port: port, Controller: true}}
		if got := misplaced(&n); len(got) != want {
			t.Errorf("at port %d: %q", port, got)
		}
	}
}

func TestUnresolvedNamesAreHinted(t *testing.T) {
	var out bytes.Buffer
	log := telemetry.NewLogs(&out, slog.LevelInfo, false).Logger("main")
	lookup := func(_ context.Context, host string) ([]string, error) {
		if host == "good" {
			return []string{"127.0.0.1"}, nil
		}
		return nil, fmt.Errorf("no such host")
	}
	unresolved(t.Context(), []config.Listener{{Name: "A", Host: "good", Port: 1}, {Name: "B", Host: "my-kafka", Port: 9092}, {Name: "C", Host: "10.0.0.1"}}, lookup, log)
	if strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), "the host my-kafka of B://my-kafka:9092 does not resolve") {
		t.Errorf("log = %q", out.String())
	}
}

func TestContainerSettings(t *testing.T) {
	props := containerSettings([]string{"KAFKA_PROCESS_ROLES=broker,controller", "KAFKA_NODE_ID=1", "KAFKA_HEAP_OPTS=-Xmx1g", "KAFKA_LOG4J_ROOT_LOGLEVEL=DEBUG",
		"KAFKA_LISTENER_NAME_A__B_X___Y=v=w", "PATH=/bin", "KAFKA_=x"})
	var got []string
	for _, p := range props {
		got = append(got, p.Key+"="+p.Value)
	}
	if strings.Join(got, ";") != "listener.name.a_b.x-y=v=w;node.id=1;process.roles=broker,controller" {
		t.Errorf("settings = %q", got)
	}
	file := writeFile(t, "num.partitions=9\nbroker.id=3")
	cfg, _, err := containerConfig(file, []string{"KAFKA_NUM_IO_THREADS=4"})
	if err != nil || cfg.Int("num.partitions") != 9 || cfg.Int("num.io.threads") != 4 {
		t.Errorf("%v", err)
	}
	cfg, _, err = containerConfig(file, []string{"KAFKA_PROCESS_ROLES=broker,controller", "KAFKA_NODE_ID=1", "KAFKA_CONTROLLER_LISTENER_NAMES=C",
		"KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:9093", "KAFKA_LISTENERS=PLAINTEXT://:9092,C://:9093"})
	if err != nil || cfg.Int("num.partitions") != 1 || cfg.Node().ID != 1 {
		t.Errorf("%v", err)
	}
}

// What a burst left is collected and given back once it is over, and that collection asks for no other.
func TestGCTunerGivesBackWhenItIsQuiet(t *testing.T) {
	gone := make(chan struct{})
	g := &gcTuner{quiet: time.Hour, release: func() { t.Error("within the burst") }}
	defer func() { g.own.Store(true); g.percent = 0; g.tune(g.last.Add(1e10), 0) }()
	at := g.last
	g.tune(at.Add(1e8), 8<<20)
	within := g.timer
	g.quiet, g.release = time.Millisecond, func() { close(gone) }
	g.tune(at.Add(2e8), 8<<20)
	<-gone
	if within.Stop() {
		t.Error("two are waiting")
	}
	g.quiet = time.Hour
	g.tune(at.Add(3e8), 8<<20)
	if g.timer.Stop() {
		t.Error("the collection that gave back asks for another")
	}
}

func TestGCTunerKeepsQuietProcessesSmall(t *testing.T) {
	g := &gcTuner{quiet: time.Hour, release: func() {}}
	defer func() { g.percent = 0; g.tune(g.last.Add(1e10), 0) }()
	at := g.last
	g.tune(at.Add(1e8), 8<<20)
	if g.percent != 700 {
		t.Errorf("percent under load = %d", g.percent)
	}
	g.tune(at.Add(2e8), 100<<20)
	if g.percent != 100 {
		t.Errorf("percent with a large heap = %d", g.percent)
	}
	g.tune(at.Add(1e11), 8<<20)
	if g.percent != 100 {
		t.Errorf("percent of a quiet process = %d", g.percent)
	}
}
