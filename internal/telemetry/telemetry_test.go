package telemetry

import (
	"errors"
	"io"
	"math"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// full returns a registry in which everything is declared, as a running node has it.
func full(opt Options) *Registry {
	r := New(opt)
	for _, f := range []Fact{UnderReplicated, UnderMinISR, AtMinISR, LeaderCount, PartitionCount, OfflineReplicaCount, BrokerState,
		DiskReadBytes, DiskWriteBytes, OfflineLogDirs, RequestQueueSize, ResponseQueueSize, NetworkIdle, HandlerIdle,
		ActiveController, OfflinePartitions, PreferredImbalance, GlobalTopics, GlobalPartitions, ActiveBrokers, FencedBrokers, MetadataErrors, LastAppliedLag,
		RaftLeader, RaftVote, RaftEpoch, RaftHighWatermark, RaftLogEnd, RaftAppendRate, RaftFetchRate, RaftCommitLatency, RaftElection,
		Groups, GroupsStable, GroupsEmpty, GroupsDead, GroupsPreparing, GroupsCompleting} {
		r.GaugeFunc(f, func() float64 { return 1 })
	}
	r.GaugeFunc(ConnectionCount, func() float64 { return 3 }, "listener", "PLAINTEXT", "networkprocessor", "0")
	r.RaftStates(func() string { return "leader" })
	for _, f := range []Fact{ISRShrinks, ISRExpands, UncleanElections} {
		r.Counter(f)
	}
	r.Topic("orders").Produced(10, 1000)
	r.Request("Produce").Observe(13, 500, RequestTimes{Local: 2 * time.Millisecond})
	r.Partitions(func() int { return 1 }, func(yield func(PartitionState) bool) {
		yield(PartitionState{Topic: "orders", Partition: 0, SizeBytes: 1000, LogEnd: 10, Leader: true, Replicas: 1, ISR: 1, MinISR: 1})
	})
	r.Cluster(ClusterSource{
		Brokers: func() []BrokerInfo { return []BrokerInfo{{1, "localhost:9092"}} },
		Count:   func() int { return 1 },
		Partitions: func(yield func(ClusterPartition) bool) {
			yield(ClusterPartition{Topic: "orders", Leader: 1, Replicas: []int32{1}, ISR: []int32{1}, HighWatermark: 10})
		},
	})
	r.Source(func(emit Emit) {
		var lag Lag
		lag.Commit(GroupCommit{Group: "g", Topic: "orders", Partition: 0, Offset: 7, HighWatermark: 10})
		lag.Commit(GroupCommit{Group: "g", Topic: "orders", Partition: 1, Offset: -1, HighWatermark: 5})
		lag.Members("g", 2)
		lag.Emit(emit)
	})
	return r
}

func scrape(t *testing.T, r *Registry) map[string]*dto.MetricFamily {
	t.Helper()
	if _, err := r.prom.Gather(); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(r.Handler(Health{}))
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %s", resp.Status, body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value finds a sample by name and labels (name, value, …; all that it has).
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		var have []string
		for _, l := range m.Label {
			have = append(have, l.GetName(), l.GetValue())
		}
		if sortedPairs(have) != sortedPairs(labels) {
			continue
		}
		switch {
		case m.Counter != nil:
			return m.Counter.GetValue()
		case m.Gauge != nil:
			return m.Gauge.GetValue()
		}
		return m.Untyped.GetValue()
	}
	t.Fatalf("there is no %s%q", name, labels)
	return 0
}

func sortedPairs(l []string) string {
	var pairs []string
	for i := 0; i+1 < len(l); i += 2 {
		pairs = append(pairs, l[i]+"="+l[i+1])
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

// The lists are what the public boards of each kind ask for.
func TestNamesThatDashboardsExpect(t *testing.T) {
	for _, d := range []Dialect{Strimzi, Confluent} {
		families := scrape(t, full(Options{Dialects: []Dialect{d}, MaxPartitionSeries: 10}))
		want, err := os.ReadFile("testdata/names_" + string(d) + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range strings.Fields(string(want)) {
			if families[name] == nil {
				t.Errorf("%s: %s is not served", d, name)
			}
		}
	}
}

func TestAllDialectsAtOnceAreOneValidScrape(t *testing.T) {
	dialects, err := ParseDialects([]string{"all"})
	if err != nil {
		t.Fatal(err)
	}
	f := scrape(t, full(Options{Dialects: dialects, MaxPartitionSeries: 10}))
	for name, labels := range map[string][]string{
		"kafka_server_brokertopicmetrics_bytesin_total":       {"topic", "orders"},
		"kafka_server_brokertopicmetrics_bytesinpersec":       {"topic", "orders"},
		"kafka_server_brokertopicmetrics_bytesinpersec_total": {"topic", "orders"},
		"kafka_server_BrokerTopicMetrics_Count":               {"name", "BytesInPerSec", "topic", "orders"},
	} {
		if got := value(t, f, name, labels...); got != 1000 {
			t.Errorf("%s = %v", name, got)
		}
	}
	value(t, f, "kafka_server_BrokerTopicMetrics_OneMinuteRate", "name", "BytesInPerSec", "topic", "")
	value(t, f, "kafka_network_RequestMetrics_99thPercentile", "name", "TotalTimeMs", "request", "Produce")
	if _, err := ParseDialects([]string{"klingon"}); err == nil {
		t.Error("an unknown dialect is accepted")
	}
}

func TestLagOfGroups(t *testing.T) {
	f := scrape(t, full(Options{MaxPartitionSeries: 10}))
	if got := value(t, f, "kafka_consumergroup_lag", "consumergroup", "g", "topic", "orders", "partition", "0"); got != 3 {
		t.Errorf("lag = %v", got)
	}
	if got := value(t, f, "kafka_consumergroup_lag", "consumergroup", "g", "topic", "orders", "partition", "1"); got != -1 {
		t.Errorf("lag without a commit = %v", got)
	}
	if got := value(t, f, "kafka_consumergroup_lag_sum", "consumergroup", "g", "topic", "orders"); got != 3 {
		t.Errorf("sum of lags = %v", got)
	}
}

func TestPartitionSeriesEndAboveTheLimit(t *testing.T) {
	f := scrape(t, full(Options{MaxPartitionSeries: 0}))
	if f["kafka_log_log_size"] != nil || f["kafka_topic_partition_current_offset"] != nil {
		t.Error("series per partition are served above the limit")
	}
	if value(t, f, "weir_partition_series_hidden") != 1 || value(t, f, "weir_topic_size_bytes", "topic", "orders") != 1000 {
		t.Error("the sum per topic is missing")
	}
}

func TestRemovedTopicIsNotServed(t *testing.T) {
	r := New(Options{})
	r.Topic("a").Produced(1, 1)
	if first := r.Topic("a"); first != r.Topic("a") {
		t.Error("a topic has two sets of counters")
	}
	r.RemoveTopic("a")
	f := scrape(t, r)
	if n := len(f["kafka_server_brokertopicmetrics_bytesin_total"].GetMetric()); n != 1 {
		t.Errorf("%d series, want that of all topics only", n)
	}
	if got := value(t, f, "kafka_server_brokertopicmetrics_messagesin_total"); got != 1 {
		t.Errorf("all topics = %v", got)
	}
}

func TestHistogramQuantilesAreWithinAnEighth(t *testing.T) {
	var h Histogram
	rnd := rand.New(rand.NewSource(1))
	var all []float64
	for range 20000 {
		d := time.Duration(math.Exp(rnd.Float64()*15)) * time.Microsecond
		h.Observe(d)
		all = append(all, float64(d.Microseconds())/1000)
	}
	slices.Sort(all)
	v := h.view(time.Unix(1000, 0))
	for _, q := range quantiles {
		want := all[int(math.Ceil(q.q*float64(len(all))))-1]
		if got := v.quantile(q.q); got < want || got > want*1.13+0.001 {
			t.Errorf("quantile %v = %v, want %v", q.q, got, want)
		}
	}
	if v.count != 20000 {
		t.Errorf("count = %d", v.count)
	}
}

func TestHistogramBucketsCoverEveryDuration(t *testing.T) {
	for us := uint64(0); us < 1<<33; us = us*9/8 + 1 {
		i := bucketOf(us)
		if i < histBuckets-1 && (bucketTop(i) < float64(us) || i > 0 && bucketTop(i-1) >= float64(us)) {
			t.Fatalf("%d µs is in bucket %d, (%v, %v]", us, i, bucketTop(i-1), bucketTop(i))
		}
	}
	var h Histogram
	h.Observe(1 << 62)
	h.Observe(-1)
}

func TestQuantilesForgetOldTimes(t *testing.T) {
	var h Histogram
	at := time.Unix(0, 0)
	h.Observe(time.Hour)
	h.view(at)
	h.view(at.Add(window))
	h.view(at.Add(2 * window))
	h.Observe(time.Millisecond)
	v := h.view(at.Add(3 * window))
	if got := v.quantile(0.999); got > 2 {
		t.Errorf("the hour of long ago still counts: %v ms", got)
	}
	if v.count != 2 {
		t.Errorf("count = %d", v.count)
	}
}

func TestRateIsSmoothed(t *testing.T) {
	var c Counter
	at := time.Unix(0, 0)
	c.perSecond(at)
	for range 40 {
		c.Add(1000)
		at = at.Add(10 * time.Second)
		c.perSecond(at)
	}
	if got := c.perSecond(at); math.Abs(got-100) > 2 {
		t.Errorf("rate = %v, want about 100", got)
	}
}

func TestHealth(t *testing.T) {
	ready := errors.New("recovering")
	srv := httptest.NewServer(New(Options{}).Handler(Health{Ready: func() error { return ready }}))
	defer srv.Close()
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/nothing": 404, "/": 200} {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || path == "/readyz" && string(body) != "recovering\n" {
			t.Errorf("%s = %d %q, want %d", path, resp.StatusCode, body, want)
		}
	}
	ready = nil
	resp, err := http.Get(srv.URL + "/readyz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("/readyz = %v %v", resp, err)
	}
	resp.Body.Close()
}

func BenchmarkObserve(b *testing.B) {
	q := New(Options{}).Request("Produce")
	b.ReportAllocs()
	for b.Loop() {
		q.Observe(13, 1000, RequestTimes{Local: time.Millisecond})
	}
}
