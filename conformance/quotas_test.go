//go:build conform

package conformance

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

const (
	perfRecords, perfSize = 10000, 1000
	produceQuota          = 2 << 20
	consumeQuota          = 4 << 20
)

var (
	producedRate = regexp.MustCompile(`records sent, ([\d.]+) records/sec`)
	consumedRate = regexp.MustCompile(`(?m)^\d{4}-[^\n]*, \d{4}-[^,]*, [\d.]+, ([\d.]+), \d+, [\d.]+`)
)

// TestPerfUnderQuotas lets Apache's own clients run against quotas: what they reach is near the quota on both brokers.
func TestPerfUnderQuotas(t *testing.T) {
	d := dist(t, kafkadist.Current)
	short := map[string]string{"quota.window.num": "2"} // so that the burst at the beginning is short
	ref := perfUnderQuota(t, d, apache(t, short))
	sub := perfUnderQuota(t, d, subject(t, short))
	t.Logf("FIGURE of the quota reached: produce %.2f by Apache Kafka, %.2f by the subject; consume %.2f, %.2f", ref[0], sub[0], ref[1], sub[1])
	for i, what := range []string{"produced", "consumed"} {
		if sub[i] < 0.6 || sub[i] > 1.4 {
			t.Errorf("%s at %.2f of the quota", what, sub[i])
		}
		// Apache Kafka asks its log for just as much as the quota of a window has, and the answer's head makes that too much now
		// and then: consumers lose some time by it.
		if ref[i] < 0.3 || ref[i] > 1.4 {
			t.Errorf("%s at %.2f of the quota by Apache Kafka: this test is not right", what, ref[i])
		}
	}
}

// perfUnderQuota is what a producer and a consumer reach, as parts of their quotas.
func perfUnderQuota(t *testing.T, d *kafkadist.Dist, b *brokers.Broker) [2]float64 {
	t.Helper()
	run := func(name string, args ...string) string {
		out, code := tool(t, d, nil, "", name, append([]string{"--bootstrap-server", b.Addr}, args...)...)
		if code != 0 {
			t.Fatalf("%s against %s: exit %d\n%s", name, b.Name(), code, out)
		}
		return out
	}
	run("kafka-configs", "--alter", "--entity-type", "clients", "--entity-name", "under-quota", "--add-config",
		fmt.Sprintf("producer_byte_rate=%d,consumer_byte_rate=%d", produceQuota, consumeQuota))
	out := run("kafka-producer-perf-test", "--topic", "perf", "--num-records", strconv.Itoa(perfRecords), "--record-size", strconv.Itoa(perfSize),
		"--throughput", "-1", "--command-property", "client.id=under-quota")
	all := producedRate.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		t.Fatalf("no rate in\n%s", out)
	}
	produced, _ := strconv.ParseFloat(all[len(all)-1][1], 64)
	out = run("kafka-consumer-perf-test", "--topic", "perf", "--num-records", strconv.Itoa(perfRecords), "--timeout", "30000", "--command-property", "client.id=under-quota")
	m := consumedRate.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no rate in\n%s", out)
	}
	consumed, _ := strconv.ParseFloat(m[1], 64) // MiB a second
	if err := b.Stop(); err != nil {
		t.Error(err)
	}
	return [2]float64{produced * perfSize / produceQuota, consumed * (1 << 20) / consumeQuota}
}
