package service

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/restapi"
)

func view() controlplane.ClusterView {
	return controlplane.ClusterView{
		Cluster: spec.Cluster{ID: "c-1", Name: "orders", Engine: "apache-kafka", EngineVersion: "4.3.1", State: spec.Active, Secured: true, Brokers: []spec.Broker{{ID: 1, ClientPort: 9092}}},
		Health:  "Healthy.", HealthLevel: "ok", Bootstrap: []string{"127.0.0.1:9092"}, ClientProperties: "/c.properties", CA: "/ca.pem",
		Observation: &spec.Observation{Reachable: true, Brokers: []spec.BrokerObservation{{ID: 1, ProcessAlive: true, Registered: true, PID: 77}}},
	}
}

var scalePlan = spec.Plan{Summary: "Add brokers 4 and 5", Steps: []spec.PlannedStep{{Title: "Start broker 4"}}, PartitionsToMove: 7, BytesToMove: 3 << 30,
	EstimatedSeconds: 90, Risks: []string{"slower"}, Undo: "Scale back."}

func op(state spec.OpState, err string) spec.Operation {
	return spec.Operation{ID: "op-1", Cluster: "c-1", Kind: "scale", State: state, Error: err, Steps: []spec.Step{
		{Name: "Start broker 4", State: spec.StepSucceeded},
		{Name: "Move\x1b[2J partitions", State: spec.StepRunning, Progress: spec.Progress{BytesDone: 1 << 20, BytesTotal: 4 << 20, SecondsLeft: 75}}}}
}

func scaling(t *testing.T) *bench {
	b := newBench(t)
	b.answer("POST /clusters/orders/plan", scalePlan)
	b.answer("POST /clusters/orders/operations", status{202, op(spec.OpPending, "")})
	b.answer("GET /operations/op-1", op(spec.OpRunning, ""), op(spec.OpSucceeded, ""))
	b.answer("GET /clusters/orders", view())
	return b
}

func TestPlanAskWait(t *testing.T) {
	b := scaling(t)
	planned := []string{"Add brokers 4 and 5", "1. Start broker 4", "7 partitions, 3.0 GiB", "about 1 min 30 s", "risk    slower", "undo    Scale back."}
	b.want(0, planned, "cluster", "scale", "orders", "--brokers", "5", "--plan")
	b.want(1, append(planned, "--yes", "--plan", "no terminal"), "cluster", "scale", "orders", "--brokers", "5")
	b.terminal = true
	for _, no := range []string{"", "\n", "n\n", "yess\n"} {
		b.stdin = no
		b.want(1, []string{"Do it? [y/N]", "nothing was done"}, "cluster", "scale", "orders", "--brokers", "5")
	}
	if n := b.count("POST /clusters/orders/operations"); n != 0 {
		t.Fatalf("%d operations begun", n)
	}
	b.stdin = "y\n"
	b.want(0, append(planned, "orders: Healthy.", "[2/2] Move [2J partitions · 1.0 MiB of 4.0 MiB · 1 min 15 s left"), "cluster", "scale", "orders", "--brokers", "5")
	b.terminal = false
	b.answer("GET /operations/op-1", op(spec.OpRunning, ""), op(spec.OpSucceeded, ""))
	if b.want(0, []string{"orders: Healthy."}, "cluster", "scale", "orders", "--brokers", "5", "--yes", "--throttle", "none"); b.err.String() != "" {
		t.Errorf("without a terminal it says %q", b.err.String())
	}
	if last := `POST /clusters/orders/operations {"kind":"scale","brokers":5,"throttleBytesPerSecond":-1}`; b.count(last) != 1 {
		t.Error(b.asked)
	}
	b.want(0, nil, "cluster", "scale", "orders", "--brokers", "5", "--yes", "--no-wait")
	if b.out.String() != "op-1\n" {
		t.Errorf("--no-wait prints %q", b.out.String())
	}
	b.want(0, nil, "cluster", "scale", "orders", "--brokers", "5", "--yes", "-o", "json")
	var got spec.Operation
	if err := json.Unmarshal(b.out.Bytes(), &got); err != nil || got.State != spec.OpSucceeded {
		t.Error(err, b.out.String())
	}
}

func TestOnlySuccessIsSuccess(t *testing.T) {
	b := scaling(t)
	b.answer("GET /operations/op-1", op(spec.OpFailed, "disk full"))
	b.want(1, []string{"scale failed: disk full", "weir op show op-1"}, "cluster", "scale", "orders", "--brokers", "5", "--yes")
	b.want(1, []string{"disk full"}, "op", "watch", "op-1")
	b.want(1, []string{`"error": "disk full"`}, "cluster", "scale", "orders", "--brokers", "5", "--yes", "-o", "json")
	b.answer("GET /operations/op-1", op(spec.OpCancelled, ""))
	b.want(1, []string{"cancelled"}, "cluster", "scale", "orders", "--brokers", "5", "--yes")
	b.answer("POST /clusters/orders/plan", spec.Plan{Impossible: "2 brokers would remain"})
	for _, flag := range []string{"--yes", "--plan"} {
		b.want(1, []string{"cannot be done: 2 brokers would remain"}, "cluster", "scale", "orders", "--brokers", "2", flag)
	}
}

func TestCreate(t *testing.T) {
	b := newBench(t)
	b.answer("POST /clusters/plan", restapi.CreatePlan{Plan: spec.Plan{Summary: "Create orders"}})
	b.answer("POST /clusters", op(spec.OpPending, ""))
	b.answer("GET /operations/op-1", op(spec.OpSucceeded, ""))
	b.answer("GET /clusters/orders", view())
	b.want(0, []string{"orders is there", "127.0.0.1:9092", "/c.properties", "/ca.pem"}, "cluster", "create", "orders", "--brokers", "3", "--engine", "apache-kafka",
		"--kafka-version", "4.3.1", "--profile", "prod-3", "--memory", "512MiB", "--disk", "2g", "--rack", "a,b", "--set", "num.partitions=6", "--set", "x=a=b", "--yes")
	want := `POST /clusters {"name":"orders","engine":"apache-kafka","engineVersion":"4.3.1","profile":"prod-3","brokers":3,"memoryBytes":536870912,"diskBytes":2147483648,"racks":["a","b"],"settings":{"num.partitions":"6","x":"a=b"}}`
	if b.count(want) != 1 {
		t.Error(cmp.Diff(want, b.asked))
	}
	open := view()
	open.Secured, open.CA, open.Engine = false, "", "weir"
	b.answer("GET /clusters/orders", open)
	b.want(0, []string{"NO TLS, NO LOGIN, NO ACCESS CONTROL: ENGINE WEIR"}, "cluster", "create", "orders", "--yes")
	b.answer("POST /clusters/plan", status{422, `{"detail":"some values are refused","errors":[{"location":"body.name","message":"must be lower-case","value":"Bad"}]}`})
	b.want(1, []string{"some values are refused", `name "Bad": must be lower-case`}, "cluster", "create", "Bad", "--yes")
	for _, bad := range [][]string{{"--set", "x"}, {"--set", "=x"}, {"--set", "a=1", "--set", "a=2"}, {"--memory", "big"}, {"--disk", "-1"}, {"--memory", "1 parsec"}, {"--nonsense"}, {"-o", "xml"}} {
		b.want(1, []string{bad[0]}, append([]string{"cluster", "create", "orders", "--yes"}, bad...)...)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "1": 1, "512MiB": 512 << 20, "1g": 1 << 30, "1.5 GiB": 3 << 29, "2GB": 2e9, "10k": 10 << 10, "7b": 7} {
		if got, err := parseSize("memory", text); err != nil || got != want {
			t.Errorf("%q: %d %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "0", "-5", "1e30", "5x", "1 2", "NaN", "Inf", "MiB"} {
		if got, err := parseSize("memory", text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 3 << 30: "3.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestLooking(t *testing.T) {
	b := newBench(t)
	b.answer("GET /clusters", restapi.Clusters{Clusters: []controlplane.ClusterView{view()}})
	b.answer("GET /clusters/orders", view())
	b.answer("GET /clusters/..%2Fx", status{422, `{"detail":"validation failed"}`})
	b.answer("GET /status", restapi.Status{Version: "1", Dir: "/d", UptimeSeconds: 61})
	b.answer("GET /operations", restapi.Operations{Operations: []*spec.Operation{{ID: "op-1", Cluster: "c-1", Kind: "scale", State: spec.OpRunning, Plan: spec.Plan{Summary: "Add"}}}})
	running := op(spec.OpRunning, "")
	running.Log = []spec.LogLine{{Text: "begun by ann"}}
	b.answer("GET /operations/op-1", running)
	b.answer("POST /operations/op-1/cancel", op(spec.OpRunning, ""))
	b.answer("GET /journal", restapi.Journal{Entries: []*spec.JournalEntry{{ID: "j", Cluster: "c-1", Anomaly: "broker down", Broker: 2, Evidence: []string{"no process"}, Choice: "restart", Why: "its data is there",
		Options: []spec.Option{{Name: "replace", WhyNot: "copies all"}}, Action: "op-2"}}})
	b.answer("POST /clusters/orders/simulate", controlplane.Simulation{Sentence: "All goes on.", Action: "restart", Why: "quick"})
	b.answer("POST /clusters/orders/users", status{201, controlplane.Credentials{Name: "app1", Password: "pw", Path: "/u"}})
	b.answer("GET /clusters/orders/brokers/2/log", restapi.LogLines{Lines: []string{"line one"}})
	b.want(0, []string{"NAME", "orders", "ACTIVE", "1/1", "Healthy."}, "cluster", "list")
	b.want(0, []string{"clusters:", "- id: c-1", "name: orders", `engineVersion: 4.3.1`}, "cluster", "list", "-o", "yaml")
	b.want(0, []string{"secured    true", "77", "up"}, "cluster", "describe", "orders")
	b.want(1, []string{"validation failed"}, "cluster", "describe", "../x")
	b.want(0, []string{"version 1", "1 min 1 s", "orders"}, "status")
	b.want(0, []string{`"version": "1"`, `"clusters": [`}, "status", "-o", "json")
	b.want(0, []string{"op-1", "orders", "Add"}, "op", "list", "--cluster", "orders")
	b.want(0, []string{"begun by ann", "1.0 MiB of 4.0 MiB"}, "op", "show", "op-1")
	b.want(0, []string{"weir op watch op-1"}, "op", "cancel", "op-1")
	b.want(0, []string{"orders: broker down (broker 2)", "seen    no process", "choice  restart: its data is there", "not     replace: copies all", "action  op-2"}, "heal", "log")
	b.want(0, []string{"All goes on.", "restart: quick"}, "heal", "simulate", "orders", "--kill", "broker-2,3")
	if b.count(`POST /clusters/orders/simulate {"kill":[2,3]}`) != 1 {
		t.Error(b.asked)
	}
	b.want(1, []string{"broker-2"}, "heal", "simulate", "orders", "--kill", "two")
	b.want(0, []string{"produce to t"}, "user", "create", "app1", "--cluster", "orders", "--produce", "t", "--plan")
	b.want(1, []string{"no terminal"}, "user", "create", "app1", "--cluster", "orders", "--produce", "t")
	b.want(0, []string{"password", "pw", "/u"}, "user", "create", "app1", "--cluster", "orders", "--produce", "t", "--consume", "t", "--group", "app1", "--yes")
	if b.count(`POST /clusters/orders/users {"name":"app1","produce":["t"],"consume":["t"],"groups":["app1"]}`) != 1 {
		t.Error(b.asked)
	}
	b.answer("POST /clusters/orders/export", restapi.Files{Files: []string{"/out/start.sh"}})
	here, _ := filepath.Abs("out")
	if b.want(0, []string{"/out/start.sh"}, "cluster", "export", "orders", "out"); b.count(`POST /clusters/orders/export {"dir":"`+here+`"}`) != 1 {
		t.Error(b.asked)
	}
	b.want(0, []string{"line one"}, "logs", "--cluster", "orders", "--broker", "2")
	b.want(1, []string{"has no verb"}, "cluster", "foo")
	b.want(0, []string{"create", "scale"}, "cluster")
}

// TestYAMLKeepsTypes: what was text stays text for whoever reads it.
func TestYAMLKeepsTypes(t *testing.T) {
	var out strings.Builder
	if err := printYAML(&out, map[string]any{"a": "123", "b": "true", "c": 5, "d": "x: y", "e": []string{}, "f": "", "g": "null"}); err != nil {
		t.Fatal(err)
	}
	want := "a: \"123\"\nb: \"true\"\nc: 5\nd: 'x: y'\ne: []\nf: \"\"\ng: \"null\"\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// TestWhichService: flags before the environment before the file; a token goes
// only to the service that it is for.
func TestWhichService(t *testing.T) {
	b := newBench(t)
	b.answer("GET /clusters", restapi.Clusters{})
	b.want(0, []string{"no clusters", "weir cluster create"}, "cluster", "list")
	b.want(1, []string{"refuses the token", "weir up"}, "cluster", "list", "--token", "other")
	t.Setenv("WEIR_TOKEN", "other")
	b.want(1, []string{"refuses the token"}, "cluster", "list")
	b.want(0, nil, "cluster", "list", "--token", "weir_t")
	t.Setenv("WEIR_TOKEN", "")
	asked := len(b.asked)
	b.want(1, []string{"no token for http://127.0.0.1:9"}, "cluster", "list", "--server", "http://127.0.0.1:9")
	t.Setenv("WEIR_SERVER", b.url)
	b.want(1, []string{"does not answer", "weir up"}, "cluster", "list", "--server", "http://127.0.0.1:1", "--token", "weir_t")
	b.want(1, []string{"no address"}, "cluster", "list", "--server", "127.0.0.1:1", "--token", "weir_t")
	if len(b.asked) != asked {
		t.Error("another service was asked:", b.asked[asked:])
	}
	b.want(0, nil, "cluster", "list")
	path, _ := userFilePath()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	t.Setenv("WEIR_SERVER", "")
	write(t, path, "{")
	b.want(1, []string{"damaged", "weir up"}, "cluster", "list")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	b.want(1, []string{"no service is known", "weir up"}, "cluster", "list")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	if got, _ := userFilePath(); got != filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "weir", "service.json") {
		t.Error(got)
	}
}
