//go:build conform

package conformance

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// swapTopics are the topics of the swap and what is special about each.
var swapTopics = map[string]map[string]*string{
	"swap-none":      nil,
	"swap-gzip":      nil,
	"swap-snappy":    nil,
	"swap-lz4":       nil,
	"swap-zstd":      nil,
	"swap-compacted": {"cleanup.policy": kadm.StringPtr("compact"), "segment.ms": kadm.StringPtr("1000"), "min.cleanable.dirty.ratio": kadm.StringPtr("0.01")},
	"swap-stamped":   {"message.timestamp.type": kadm.StringPtr("LogAppendTime"), "retention.ms": kadm.StringPtr("86400000")},
}

const swapRecords = 3000

// TestSwapInPlace lets Apache Kafka fill a directory, Weir serve and extend
// it, and Apache's own dump-log read what Weir has written.
func TestSwapInPlace(t *testing.T) {
	d := dist(t, kafkadist.Current)
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()

	before := start(t, brokers.Config{Dist: d, Heap: heap, Dir: dir})
	client := swapClient(t, before.Addr)
	admin := kadm.NewClient(client)
	for topic, configs := range swapTopics {
		if _, err := admin.CreateTopic(ctx, 2, 1, configs, topic); err != nil {
			t.Fatal(err)
		}
		swapProduce(t, ctx, before.Addr, topic, 0)
	}
	for name := range swapGroups {
		readGroup(t, ctx, before.Addr, name, swapRecords/2)
	}
	sums := swapSums(t, ctx, client)
	offsets := committed(t, ctx, admin)
	configs := topicConfigs(t, ctx, admin)
	client.Close()
	if err := before.Stop(); err != nil {
		t.Fatal(err)
	}

	// The unit test of the log's indexes compares them with those of a real broker.
	indexes := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-run", "^TestIndexesAreThoseOfApacheKafka$", "../internal/log")
	indexes.Env = append(os.Environ(), "WEIR_KAFKA_DATA="+before.DataDir())
	if out, err := indexes.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestIndexesAreThoseOfApacheKafka") {
		t.Errorf("indexes: %v\n%s", err, out)
	}

	after := start(t, brokers.Config{Binary: binary(t), Dir: dir})
	client = swapClient(t, after.Addr)
	defer client.Close()
	admin = kadm.NewClient(client)
	same(t, "records", sums, swapSums(t, ctx, client))
	same(t, "committed offsets", offsets, committed(t, ctx, admin))
	same(t, "topic configs", configs, topicConfigs(t, ctx, admin))
	// The groups go on where they were, and the topics take more.
	for name := range swapGroups {
		readGroup(t, ctx, after.Addr, name, swapRecords-swapRecords/2)
	}
	for topic := range swapTopics {
		swapProduce(t, ctx, after.Addr, topic, swapRecords)
	}
	if err := after.Stop(); err != nil {
		t.Fatal(err)
	}
	dumpAll(t, d, after.DataDir())
}

func swapClient(t *testing.T, addr string) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func swapProduce(t *testing.T, ctx context.Context, addr, topic string, from int) {
	t.Helper()
	codecs := map[string]kgo.CompressionCodec{
		"swap-gzip": kgo.GzipCompression(), "swap-snappy": kgo.SnappyCompression(), "swap-lz4": kgo.Lz4Compression(), "swap-zstd": kgo.ZstdCompression(),
	}
	codec, ok := codecs[topic]
	if !ok {
		codec = kgo.NoCompression()
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range swapRecords {
		c.Produce(ctx, kgo.KeyStringRecord(fmt.Sprintf("key-%d", i%100), fmt.Sprintf("value %d of %s", from+i, topic)), func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// swapGroups are groups of either protocol.
var swapGroups = map[string][]kgo.Opt{
	"swap-group":    nil,
	"swap-consumer": {kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())},
}

// readGroup reads a number of records of swap-none with a group and commits.
func readGroup(t *testing.T, ctx context.Context, addr, group string, count int) {
	t.Helper()
	c, err := kgo.NewClient(append(swapGroups[group], kgo.SeedBrokers(addr), kgo.ConsumerGroup(group), kgo.ConsumeTopics("swap-none"), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for read := 0; read < count; {
		f := c.PollRecords(ctx, count-read)
		if err := f.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", read, count, err)
		}
		read += f.NumRecords()
		if err := c.CommitRecords(ctx, f.Records()...); err != nil {
			t.Fatal(err)
		}
	}
}

// swapSums reads every partition from its start to its end: the sum over what
// is there, record by record, with offsets and times.
func swapSums(t *testing.T, ctx context.Context, c *kgo.Client) map[string]string {
	t.Helper()
	out := map[string]string{}
	for topic := range swapTopics {
		ends, err := kadm.NewClient(c).ListEndOffsets(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		for p := range int32(2) {
			end, _ := ends.Lookup(topic, p)
			out[fmt.Sprintf("%s-%d", topic, p)] = sumPartition(t, ctx, c.OptValue(kgo.SeedBrokers).([]string), topic, p, end.Offset)
		}
	}
	return out
}

func sumPartition(t *testing.T, ctx context.Context, seeds []string, topic string, p int32, end int64) string {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sum, next := sha256.New(), int64(0)
	compacted := topic == "swap-compacted"
	for next < end {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("%s-%d at %d of %d: %v", topic, p, next, end, err)
		}
		f.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if !compacted { // what is compacted away depends on when
				fmt.Fprintf(sum, "%d %d %s %s\n", r.Offset, r.Timestamp.UnixMilli(), r.Key, r.Value)
			}
		})
	}
	return fmt.Sprintf("%d %x", end, sum.Sum(nil)[:8])
}

func committed(t *testing.T, ctx context.Context, admin *kadm.Client) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name := range swapGroups {
		offsets, err := admin.FetchOffsets(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		offsets.Each(func(o kadm.OffsetResponse) {
			out[fmt.Sprintf("%s: %s-%d", name, o.Topic, o.Partition)] = fmt.Sprint(o.At, o.LeaderEpoch, o.Metadata)
		})
	}
	return out
}

func topicConfigs(t *testing.T, ctx context.Context, admin *kadm.Client) map[string]string {
	t.Helper()
	out := map[string]string{}
	for topic, want := range swapTopics {
		configs, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range configs[0].Configs {
			if _, set := want[c.Key]; set {
				out[topic+" "+c.Key] = c.MaybeValue() + " " + c.Source.String()
			}
		}
	}
	return out
}

func same(t *testing.T, what string, before, after map[string]string) {
	t.Helper()
	if len(before) == 0 {
		t.Errorf("there were no %s to compare", what)
	}
	for key, want := range before {
		if after[key] != want {
			t.Errorf("%s of %s: %q before, %q after", what, key, want, after[key])
		}
	}
}

// dumpAll has Apache's dump-log read every log and index, and looks for what
// it says of files that it does not trust.
func dumpAll(t *testing.T, d *kafkadist.Dist, dataDir string) {
	t.Helper()
	var files []string
	for _, pattern := range []string{"swap-*/*.log", "swap-*/*.index", "swap-*/*.timeindex", "swap-*/*.snapshot"} {
		found, err := filepath.Glob(filepath.Join(dataDir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			// An index that was preallocated and not yet used has nothing to dump.
			if st, err := os.Stat(f); err == nil && st.Size() > 0 {
				files = append(files, f)
			}
		}
	}
	if len(files) < 2*len(swapTopics) {
		t.Fatalf("only %d files", len(files))
	}
	for name, args := range map[string][]string{
		"topics": {"--deep-iteration", "--files", strings.Join(files, ",")},
		"groups": {"--offsets-decoder", "--files", glob(t, dataDir, "__consumer_offsets-*/*.log")},
	} {
		out, code := tool(t, d, nil, "", "kafka-dump-log", args...)
		for _, bad := range []string{"Exception", "Mismatches", "not valid", "corrupt", "isvalid: false"} {
			if strings.Contains(out, bad) {
				t.Errorf("dump-log of %s says %q: %s", name, bad, around(out, bad))
			}
		}
		if code != 0 {
			t.Errorf("dump-log of %s: exit code %d", name, code)
		}
	}
}

func glob(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v, %d files", pattern, err, len(found))
	}
	return strings.Join(found, ",")
}

func around(text, part string) string {
	i := strings.Index(text, part)
	return text[max(0, i-200):min(len(text), i+300)]
}
