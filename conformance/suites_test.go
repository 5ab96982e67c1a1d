//go:build conform

package conformance

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// A suite is the test suite of a client, taken from its module and run against
// the broker. Only tests that speak to a broker are run: those that use one of
// dials, directly or through others.
type suite struct {
	module, version string
	packages        []string
	dials           []string
	skip            string // of the tests' names: what needs an API that Weir does not advertise
	env             func(addr string, replicas int) []string
	edit            func(addr, text string) string
	known           map[string]string // tests that fail on Apache Kafka as well, or why they fail
	alone           map[string]string // tests that want to be with one node, and why
	atLeast         int               // tests that must have passed
}

// unadvertised are tests of APIs that are not advertised: share groups.
const unadvertised = `Share`

var suites = map[string]suite{
	"franz-go": {
		module: "github.com/twmb/franz-go", version: "v1.22.2", packages: []string{"./pkg/kgo"},
		dials: []string{"newTestClient", "tmpTopic", "tmpTopicPartitions", "adm", "getSeedBrokers", "tmpGroup", "testClientOpts", "newTestConsumer"},
		skip:  unadvertised,
		env: func(addr string, replicas int) []string {
			return []string{"KGO_SEEDS=" + addr, "KGO_TEST_RF=" + strconv.Itoa(replicas), "KGO_TEST_RECORDS=" + suiteRecords(), "KGO_LOG_LEVEL=none"}
		},
		atLeast: 20,
	},
	"kafka-go": {
		module: "github.com/segmentio/kafka-go", version: "v0.4.51", packages: []string{".", "./compress"},
		dials: []string{"newLocalClient", "newLocalClientAndTopic", "newLocalClientWithTopic", "newClient", "DialLeader", "makeTopic", "createTopic", "newTestWriter",
			"newTestKafkaWriter", "clientCreateTopic", "DialContext", "createConn", "NewReader", "newTestClient", "NewWriter", "LookupPartitions", "LookupPartition"},
		skip: unadvertised + `|SASL|TLS|Resolver|Example|ACL|UserScram|ClientQuotas` +
			// These dereference nil in the suite's own helper when a fetch comes back empty.
			`|TestReaderConsumerGroup/(consumer_group_commits_on_close|verify_offset_committed)`,
		env:  func(string, int) []string { return []string{"KAFKA_VERSION=3.9.0"} },
		edit: elsewhere,
		known: map[string]string{
			"TestConn/test_delete_topics": "expects to be the only one who deletes topics; fails on Apache Kafka now and then",
			"TestConn":                    "as its part test_delete_topics",
			"TestClientElectLeaders":      "fails on Apache Kafka too: it wants an election where the preferred leader leads already",
			"TestReaderConsumerGroup/consumer_group_rebalance": "fails on Apache Kafka too: it counts on the order in which two members join",
			"TestReaderConsumerGroup":                          "as its part consumer_group_rebalance",
			"TestReaderReadCompactedMessage":                   "fails on Apache Kafka too: its segment.bytes is below what Kafka 4 allows",
		},
		alone: map[string]string{
			"TestConn/test_list_brokers": "expects one broker",
			"TestConn/the_connection_advertises_the_broker_that_it_is_connected_to": "looks for the only broker's port",
			"TestConn/test_list_groups": "asks the leader of a topic, which need not be the group's coordinator, as that",
		},
		atLeast: 100,
	},
}

// suiteRecords is less than upstream's half a million; both are a matter of time.
func suiteRecords() string {
	if n := os.Getenv("WEIR_CONFORM_SUITE_RECORDS"); n != "" {
		return n
	}
	return "20000"
}

// elsewhere replaces the address that kafka-go's tests have written into them.
func elsewhere(addr, text string) string {
	host, port, _ := strings.Cut(addr, ":")
	return strings.NewReplacer(
		`TCP("localhost")`, `TCP("`+addr+`")`, `"127.0.0.1", "9092"`, `"`+host+`", "`+port+`"`, "localhost:9092", addr, "127.0.0.1:9092", addr,
		"Port: 9092", "Port: "+port, `Host: "localhost"`, `Host: "`+host+`"`, "b.Port != 9092", "b.Port != "+port, "broker.Port != 9092", "broker.Port != "+port,
		`b.Host != "localhost"`, `b.Host != "`+host+`"`, "expected 9092", "expected "+port,
		`"localhost"`, `"`+host+`"`,
	).Replace(text)
}

// TestSuites runs other clients' own tests.
func TestSuites(t *testing.T) {
	t.Parallel()
	for name, s := range suites {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of their time is spent waiting
			addr, replicas := suiteNodes(t, map[string]string{"auto.create.topics.enable": "true", "message.max.bytes": "200000000", "group.initial.rebalance.delay.ms": "3000"})
			runSuite(t, s, addr, replicas)
			// Whatever the suite did, the broker still serves.
			c, err := kgo.NewClient(kgo.SeedBrokers(addr))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// suiteNodes starts what the suites are run against, one node or WEIR_CONFORM_SUITE_NODES of them, each with a replica of
// every partition that a suite or the node itself makes without saying how many.
func suiteNodes(t *testing.T, props map[string]string) (addr string, replicas int) {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("WEIR_CONFORM_SUITE_NODES"), "1"))
	if err != nil {
		t.Fatal(err)
	}
	if n == 1 {
		return subject(t, props).Addr, 1
	}
	c := brokers.Config{Dir: t.TempDir(), Port: basePort + int(started.Add(int32(n)))*portsEach, Props: props}
	if selfComparison() {
		c.Dist, c.Heap = dist(t, kafkadist.Current), heap
	} else {
		c.Binary = binary(t)
	}
	replicas = min(n, 3)
	c.Props["default.replication.factor"] = strconv.Itoa(replicas)
	nodes, err := brokers.StartNodes(t.Context(), n, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for i, b := range nodes {
			if t.Failed() {
				t.Logf("the end of node %d's log:\n%s", i+1, b.LogTail(15))
			}
			b.Kill()
		}
	})
	return nodes[0].Addr, replicas
}

func runSuite(t *testing.T, s suite, addr string, replicas int) {
	t.Helper()
	dir := s.sources(t, addr)
	var tests []string
	for _, pkg := range s.packages {
		tests = append(tests, brokerTests(t, filepath.Join(dir, pkg), s.dials)...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	args := append([]string{"test", "-mod=mod", "-json", "-count=1", "-p", "1", "-timeout", "7m", "-run", "^(" + strings.Join(tests, "|") + ")$", "-skip", s.skip}, s.packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), s.env(addr, replicas)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, _ := cmd.Output() // its failures are read from the output
	if os.Getenv("WEIR_CONFORM_SUITE_NODES") != "" {
		s.known = maps.Clone(s.known)
		maps.Copy(s.known, s.alone)
	}
	s.judge(t, out, errs.String())
}

// judge lists what failed.
func (s suite) judge(t *testing.T, out []byte, errs string) {
	t.Helper()
	results, texts := map[string]string{}, map[string]string{}
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, 1<<26)
	for sc.Scan() {
		var e struct {
			Action, Test, Output string
			Elapsed              float64
		}
		if json.Unmarshal(sc.Bytes(), &e) != nil || e.Test == "" {
			continue
		}
		switch e.Action {
		case "run":
			results[e.Test] = "never ended"
		case "output":
			texts[e.Test] += e.Output
		case "pass", "fail", "skip":
			results[e.Test] = e.Action
			if e.Elapsed > 5 && !strings.Contains(e.Test, "/") {
				t.Logf("%s took %.0fs", e.Test, e.Elapsed)
			}
		}
	}
	passed, skipped := 0, 0
	for name, result := range results {
		switch {
		case result == "pass":
			passed++
		case result == "skip":
			skipped++
		case s.known[name] != "":
			t.Logf("%s %s: %s", name, result, s.known[name])
		default:
			t.Errorf("%s: %s\n%s", name, result, tail(texts[name], 1500))
		}
	}
	t.Logf("%s: %d passed, %d skipped, %d in all", s.module, passed, skipped, len(results))
	if passed < s.atLeast {
		t.Errorf("only %d tests passed, want at least %d; the go command says: %s", passed, s.atLeast, tail(errs, 1500))
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// sources copies the module out of Go's read-only cache.
func (s suite) sources(t *testing.T, addr string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "go.mod", "module suites\n")
	cmd := exec.Command("go", "mod", "download", "-json", s.module+"@"+s.version)
	cmd.Dir = dir
	out, err := cmd.Output()
	var m struct{ Dir string }
	if err != nil || json.Unmarshal(out, &m) != nil {
		t.Fatalf("go mod download: %v\n%s", err, out)
	}
	src := filepath.Join(dir, "src")
	err = filepath.WalkDir(m.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(src, strings.TrimPrefix(path, m.Dir))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if s.edit != nil && strings.HasSuffix(path, "_test.go") {
			text = []byte(s.edit(addr, string(text)))
		}
		return os.WriteFile(to, text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

var function = regexp.MustCompile(`(?ms)^func (?:\([^)]*\) )?(\w+)\((.*?)^}`)

// brokerTests finds the tests of a package that reach a broker: their bodies
// name one of dials, or a function whose body does.
func brokerTests(t *testing.T, dir string, dials []string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range function.FindAllSubmatch(text, -1) {
			bodies[string(m[1])] = string(m[2])
		}
	}
	hit := slices.Clone(dials)
	for more := true; more; {
		more = false
		any := regexp.MustCompile(`\b(` + strings.Join(hit, "|") + `)\(`)
		for name, body := range bodies {
			if !slices.Contains(hit, name) && any.MatchString(body) {
				hit, more = append(hit, name), true
			}
		}
	}
	var tests []string
	for _, name := range hit {
		if _, here := bodies[name]; here && strings.HasPrefix(name, "Test") && name != "TestMain" {
			tests = append(tests, name)
		}
	}
	slices.Sort(tests)
	return tests
}
