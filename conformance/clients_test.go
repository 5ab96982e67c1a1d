//go:build conform

package conformance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// TestClients lets the clients of other projects produce, read in groups and
// commit, with every codec that they have. What each prints on Weir must be
// what is sent, whole; the facts are known, so that Apache Kafka is not asked.
func TestClients(t *testing.T) {
	t.Parallel()
	b := subject(t, nil)
	t.Run("kcat", func(t *testing.T) { kcat(t, b) })
	t.Run("confluent-kafka-python", func(t *testing.T) { python(t, b) })
	t.Run("kafka-go", func(t *testing.T) { kafkaGo(t, b) })
	t.Run("KafkaJS", func(t *testing.T) { kafkaJS(t, b) })
	t.Run("franz-go", func(t *testing.T) { franzGo(t, b) })
}

// command runs a program and returns what it printed on standard output.
func command(t *testing.T, input string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// installed is the path of a program, or a skip.
func installed(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// cached is a folder in the user's cache for what a client needs, by the
// content of the file that lists it. make is called once to fill it.
func cached(t *testing.T, list string, fill func(dir string)) string {
	t.Helper()
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	dir := filepath.Join(cache, "weir", "clients", filepath.Base(filepath.Dir(list))+"-"+hex.EncodeToString(sum[:6]))
	done := filepath.Join(dir, ".complete")
	if _, err := os.Stat(done); err == nil {
		return dir
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fill(dir)
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// checkFacts compares the lines of a round trip: every record came back and
// every one is committed.
func checkFacts(t *testing.T, out string, count int, codecs ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != len(codecs) {
		t.Fatalf("want a line for each of %v, got\n%s", codecs, out)
	}
	for i, codec := range codecs {
		if want := fmt.Sprintf("%s records=%d ", codec, count); !strings.HasPrefix(lines[i], want) || !strings.HasSuffix(lines[i], fmt.Sprintf("committed=%d", count)) {
			t.Errorf("got %q, want %q and committed=%d", lines[i], want, count)
		}
	}
}

const clientRecords = 2000

// pythonClient is a Python that has confluent-kafka.
func pythonClient(t *testing.T) string {
	python := installed(t, "python3")
	dir := cached(t, "clients/python/requirements.txt", func(dir string) {
		command(t, "", python, "-m", "venv", "--clear", dir)
		command(t, "", filepath.Join(dir, "bin", "pip"), "install", "-q", "--disable-pip-version-check", "-r", "clients/python/requirements.txt")
	})
	return filepath.Join(dir, "bin", "python")
}

func python(t *testing.T, b *brokers.Broker) {
	out := command(t, "", pythonClient(t), "clients/python/roundtrip.py", b.Addr, "python", fmt.Sprint(clientRecords))
	checkFacts(t, out, clientRecords, "none", "gzip", "snappy", "lz4", "zstd", "consumer", "regex")
}

// kafkaJSClient is Node.js and the folder of its modules, KafkaJS among them.
func kafkaJSClient(t *testing.T) (node, modules string) {
	node, npm := installed(t, "node"), installed(t, "npm")
	dir := cached(t, "clients/kafkajs/package-lock.json", func(dir string) {
		for _, name := range []string{"package.json", "package-lock.json"} {
			text, err := os.ReadFile(filepath.Join("clients/kafkajs", name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		command(t, "", npm, "ci", "--prefix", dir, "--no-audit", "--no-fund", "--silent")
	})
	return node, filepath.Join(dir, "node_modules")
}

func kafkaJS(t *testing.T, b *brokers.Broker) {
	node, modules := kafkaJSClient(t)
	out := command(t, "", "env", "NODE_PATH="+modules, "KAFKAJS_NO_PARTITIONER_WARNING=1", node, "clients/kafkajs/roundtrip.js", b.Addr, "kafkajs", fmt.Sprint(clientRecords))
	checkFacts(t, out, clientRecords, "none", "gzip", "snappy")
}

func kafkaGo(t *testing.T, b *brokers.Broker) {
	bin := filepath.Join(t.TempDir(), "kafkago")
	command(t, "", "go", "build", "-C", "clients/kafkago", "-o", bin, ".")
	checkFacts(t, command(t, "", bin, b.Addr, "kafkago"), clientRecords, "none", "gzip", "snappy", "lz4", "zstd")
}

// kcat: lines in, lines out, by codec; headers, keys, a group, offsets by time.
func kcat(t *testing.T, b *brokers.Broker) {
	kcat := installed(t, "kcat")
	var lines strings.Builder
	for i := range clientRecords {
		fmt.Fprintf(&lines, "key-%d:value %d\n", i%50, i)
	}
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		topic := "kcat-" + codec
		command(t, lines.String(), kcat, "-b", b.Addr, "-P", "-t", topic, "-K", ":", "-z", codec, "-H", "h=1", "-X", "enable.idempotence=true")
		out := command(t, "", kcat, "-b", b.Addr, "-C", "-q", "-t", topic, "-o", "beginning", "-e", "-f", "%k:%s\n")
		if out != lines.String() {
			t.Errorf("%s: %d bytes went in, %d came out, or in another order", codec, lines.Len(), len(out))
		}
		head := command(t, "", kcat, "-b", b.Addr, "-C", "-q", "-t", topic, "-o", "5", "-c", "1", "-f", "%o %k %s %h")
		if want := "5 key-5 value 5 h=1"; head != want {
			t.Errorf("%s: one record is %q, want %q", codec, head, want)
		}
	}
	group := command(t, "", kcat, "-b", b.Addr, "-q", "-G", "kcat-group", "-o", "beginning", "-X", "auto.offset.reset=earliest", "-c", fmt.Sprint(clientRecords), "kcat-none")
	if n := strings.Count(group, "\n"); n != clientRecords {
		t.Errorf("the group read %d lines", n)
	}
	if list := command(t, "", kcat, "-b", b.Addr, "-L"); !strings.Contains(list, `topic "kcat-zstd" with 1 partitions`) {
		t.Errorf("kcat -L:\n%s", list)
	}
}

// franzGo: groups whose members come and go, and what they have committed.
func franzGo(t *testing.T, b *brokers.Broker) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.DefaultProduceTopic("franz"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, 6, 1, nil, "franz"); err != nil {
		t.Fatal(err)
	}
	for i := range clientRecords {
		r := kgo.KeySliceRecord(fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "v%d", i))
		r.Headers = []kgo.RecordHeader{{Key: "n", Value: fmt.Appendf(nil, "%d", i)}}
		client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for member := 0; len(seen) < clientRecords; member++ {
		// Each member reads a part, commits and leaves; the next goes on.
		m, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumerGroup("franz-group"), kgo.ConsumeTopics("franz"), kgo.DisableAutoCommit())
		if err != nil {
			t.Fatal(err)
		}
		for read := 0; read < clientRecords/4 && len(seen) < clientRecords; {
			fetches := m.PollRecords(ctx, 200)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if seen[string(r.Value)] {
					t.Errorf("%s came twice though it was committed", r.Value)
				}
				seen[string(r.Value)] = true
				read++
			})
			if err := m.CommitUncommittedOffsets(ctx); err != nil {
				t.Fatal(err)
			}
		}
		m.Close()
	}
	lag, err := admin.Lag(ctx, "franz-group")
	if err != nil || lag["franz-group"].Lag.Total() != 0 {
		t.Errorf("lag %v, %v", lag["franz-group"].Lag.Total(), err)
	}
}
