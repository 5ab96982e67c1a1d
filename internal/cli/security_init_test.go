package cli

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/cli/client"
)

// portsFor returns the first of ports that are free at every one of the offsets.
func portsFor(t testing.TB, offsets ...int) int {
	t.Helper()
	for {
		base := freePorts(t, 1)[0]
		free := base+offsets[len(offsets)-1] < 65536
		for _, o := range offsets {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+o))
			if err != nil {
				free = false
				continue
			}
			defer l.Close()
		}
		if free {
			return base
		}
	}
}

// weirMain runs a command line as a person types it.
func weirMain(t testing.TB, stdin string, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	code := Main(append([]string{"weir"}, args...), Env{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &out})
	return out.String(), code
}

func mustWeir(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	out, code := weirMain(t, stdin, args...)
	if code != 0 {
		t.Fatalf("weir %s: %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// runFiles runs a node with the settings of each file until the test ends.
func runFiles(t testing.TB, files ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	said := make([]bytes.Buffer, len(files))
	var stopped sync.WaitGroup
	for i, file := range files {
		stopped.Go(func() {
			Tool{Name: "kafka-server-start", New: newServerStart}.Run(ctx, Env{Stdin: strings.NewReader(""), Stdout: &said[i], Stderr: &said[i]},
				[]string{file, "--override", "group.initial.rebalance.delay.ms=0"})
		})
	}
	t.Cleanup(func() {
		cancel()
		stopped.Wait()
		for i := range files {
			if t.Failed() {
				t.Logf("the node of %s said:\n%s", files[i], said[i].String())
			}
		}
	})
}

// awaitCluster waits until as many brokers are there as should be.
func awaitCluster(t testing.TB, properties string, brokers int) {
	t.Helper()
	p, err := client.LoadProperties(properties)
	if err != nil {
		t.Fatal(err)
	}
	opts, err := client.Options(p, client.AdminRole, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(opts, kgo.MetadataMinAge(10*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for {
		found, err := kadm.NewClient(cl).ListBrokers(ctx)
		if err == nil && len(found) == brokers {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%d brokers instead of %d: %v", len(found), brokers, err)
		}
	}
}

// walkSecured is what a new user does after weir security init: topics, records, a user of his own, and what that one
// may not.
func walkSecured(t testing.TB, dir string, bootstrap string) {
	t.Helper()
	admin := []string{"--bootstrap-server", bootstrap, "--command-config", filepath.Join(dir, "client.properties")}
	as := func(user string) []string {
		return []string{"--bootstrap-server", bootstrap, "--command-config", filepath.Join(dir, "users", user+".properties")}
	}
	for _, topic := range []string{"orders", "secrets"} {
		mustWeir(t, "", append([]string{"kafka-topics", "--create", "--topic", topic}, admin...)...)
	}
	mustWeir(t, "", "security", "user", "add", dir, "app1", "--produce", "orders", "--consume", "orders", "--group", "app1")
	mustWeir(t, "a\nb\n", append([]string{"kafka-console-producer", "--topic", "orders"}, as("app1")...)...)
	if out := mustWeir(t, "", append([]string{"kafka-console-consumer", "--topic", "orders", "--group", "app1", "--from-beginning", "--max-messages", "2", "--timeout-ms", "60000"},
		as("app1")...)...); !strings.Contains(out, "a\nb\n") {
		t.Errorf("read %s", out)
	}
	if out, code := weirMain(t, "", append([]string{"kafka-console-consumer", "--topic", "secrets", "--group", "app1", "--from-beginning", "--timeout-ms", "10000"}, as("app1")...)...); !strings.Contains(out, "TopicAuthorizationException") {
		t.Errorf("app1 reads secrets: %d %s", code, out)
	}
	// A second user of that name is not made by accident; with --force the old password is over.
	if out, code := weirMain(t, "", "security", "user", "add", dir, "app1"); code != 1 || !strings.Contains(out, "--force") {
		t.Errorf("again: %d %s", code, out)
	}
	old, err := os.ReadFile(filepath.Join(dir, "users", "app1.properties"))
	if err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(t.TempDir(), "stale.properties")
	if err := os.WriteFile(stale, old, 0o600); err != nil {
		t.Fatal(err)
	}
	mustWeir(t, "", "security", "user", "add", dir, "app1", "--force")
	if out, code := weirMain(t, "", "kafka-topics", "--list", "--bootstrap-server", bootstrap, "--command-config", stale); code == 0 || !strings.Contains(out, "Authentication") {
		t.Errorf("an old password: %d %s", code, out)
	}
	if out := mustWeir(t, "", append([]string{"kafka-topics", "--list"}, as("app1")...)...); out != "orders\n" {
		t.Errorf("app1 sees %q", out)
	}
	// Neither plain text nor another authority gets in.
	text := strings.Replace(string(old), "security.protocol=SASL_SSL", "security.protocol=SASL_PLAINTEXT\ndefault.api.timeout.ms=3000\nrequest.timeout.ms=2000", 1)
	if err := os.WriteFile(stale, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := weirMain(t, "", "kafka-topics", "--list", "--bootstrap-server", bootstrap, "--command-config", stale); code == 0 {
		t.Errorf("plain text: %s", out)
	}
}

// TestSecurityInit is a new user's way: one command, then everything works and nothing is open.
func TestSecurityInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secured")
	port := portsFor(t, 0, 1, 2)
	mustWeir(t, "", "security", "init", dir, "--port", fmt.Sprint(port))
	runFiles(t, filepath.Join(dir, "server.properties"))
	awaitCluster(t, filepath.Join(dir, "client.properties"), 1)
	walkSecured(t, dir, fmt.Sprintf("localhost:%d", port))
}

// TestSecurityInitSeveral has three nodes that reach each other by the certificates that were made for them.
func TestSecurityInitSeveral(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secured")
	port := portsFor(t, 0, 1, 2, 10, 11, 12, 20, 21, 22)
	mustWeir(t, "", "security", "init", dir, "--nodes", "3", "--port", fmt.Sprint(port))
	var files []string
	for n := 1; n <= 3; n++ {
		files = append(files, filepath.Join(dir, fmt.Sprintf("node-%d", n), "server.properties"))
	}
	runFiles(t, files...)
	awaitCluster(t, filepath.Join(dir, "client.properties"), 3)
	walkSecured(t, dir, fmt.Sprintf("localhost:%d", port))
}

// runKafkaFile runs Apache Kafka with the settings of a file, on storage that is formatted, until the test ends.
func runKafkaFile(t testing.TB, file string) {
	t.Helper()
	node := exec.Command(filepath.Join(kafkaDist(t), "bin/kafka-server-start.sh"), file)
	node.Env = append(os.Environ(), "KAFKA_HEAP_OPTS=-Xmx400M", "LOG_DIR="+t.TempDir(), "KAFKA_GC_OPTS=", "KAFKA_JMX_OPTS=")
	var out bytes.Buffer
	node.Stdout = &out
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = node.Process.Kill()
		_ = node.Wait()
		if t.Failed() {
			t.Logf("Apache Kafka said:\n%s", out.String())
		}
	})
}

// TestSecurityInitAgainstKafka starts Apache Kafka on what was made.
func TestSecurityInitAgainstKafka(t *testing.T) {
	kafkaDist(t)
	dir := filepath.Join(t.TempDir(), "secured")
	port := portsFor(t, 0, 1, 2)
	mustWeir(t, "", "security", "init", dir, "--port", fmt.Sprint(port))
	runKafkaFile(t, filepath.Join(dir, "server.properties"))
	awaitCluster(t, filepath.Join(dir, "client.properties"), 1)
	walkSecured(t, dir, fmt.Sprintf("localhost:%d", port))
}
