package node

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// notServed are names of the dashboards' list that nobody measures yet.
var notServed = []string{"kafka_server_raftmetrics_commit_latency_avg", "kafka_server_raftmetrics_election_latency_max"}

func TestRunningNodeServesWhatDashboardsExpect(t *testing.T) {
	metrics := telemetry.New(telemetry.Options{MaxPartitionSeries: 1000})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n, err := Start(ctx, Options{Config: settings(t, t.TempDir(), append(transactional(1), "num.partitions=1")...), Metrics: metrics, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	}()
	c := client(t, n, kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("readers"), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	produce(t, c, "orders", 0, 10)
	consume(t, c, 10)
	if err := c.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	produce(t, c, "orders", 10, 14)
	if _, err := kadm.NewClient(c).DescribeTopicConfigs(t.Context(), "no-such-topic"); err != nil {
		t.Fatal(err)
	}
	w := client(t, n, kgo.TransactionalID("payments"), kgo.AllowAutoTopicCreation())
	if err := errors.Join(w.BeginTransaction(), w.ProduceSync(ctx, &kgo.Record{Topic: "paid", Value: []byte("v")}).FirstErr(), w.EndTransaction(ctx, kgo.TryAbort)); err != nil {
		t.Fatal(err)
	}
	text := scrape(t, metrics)
	for _, of := range []string{"transaction_coordinator_metrics", "group_coordinator_metrics"} {
		for _, name := range []string{"partition_load_time_max", "partition_load_time_avg"} {
			if line := "kafka_server_" + of + "_" + name; !strings.Contains(text, "\n"+line+" ") || strings.Contains(text, "\n"+line+" 0\n") {
				t.Errorf("%s: %s", line, linesLike(text, line))
			}
		}
	}
	want, err := os.ReadFile("../telemetry/testdata/names_strimzi.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(want)) {
		if !strings.Contains(text, "\n"+name+" ") && !strings.Contains(text, "\n"+name+"{") && !slices.Contains(notServed, name) {
			t.Errorf("%s is not served", name)
		}
	}
	for _, line := range []string{
		`kafka_server_brokertopicmetrics_messagesin_total{topic="orders"} 14`,
		`kafka_log_log_logendoffset{partition="0",topic="orders"} 14`,
		`kafka_consumergroup_members{consumergroup="readers"} 1`,
		`kafka_consumergroup_lag{consumergroup="readers",partition="0",topic="orders"} 4`,
		`kafka_topic_partition_current_offset{partition="0",topic="orders"} 14`,
		`kafka_coordinator_group_groupmetadatamanager_numgroupsstable 1`,
		`kafka_server_kafkaserver_brokerstate 3`,
		`kafka_controller_kafkacontroller_activecontrollercount 1`,
		`kafka_server_raftmetrics_current_state{state="leader"} 1`,
		`kafka_network_requestmetrics_errors_total{error="UNKNOWN_TOPIC_OR_PARTITION",request="DescribeConfigs"} 1`,
		`weir_build_info{go="`,
		`kafka_coordinator_transaction_transactionmarkerchannelmanager_unknowndestinationqueuesize 0`,
		`kafka_coordinator_transaction_transactionmarkerchannelmanager_logappendretryqueuesize 0`,
		`kafka_server_addpartitionstotxnmanager_verificationfailurerate_total 0`,
		`kafka_server_addpartitionstotxnmanager_verificationtimems_count 1`,
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("the scrape lacks %s; it has\n%s", line, linesLike(text, line))
		}
	}
}

func scrape(t *testing.T, r *telemetry.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler(telemetry.Health{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// linesLike returns the lines of the same metric.
func linesLike(text, line string) string {
	name, _, _ := strings.Cut(line, "{")
	name, _, _ = strings.Cut(name, " ")
	var out []string
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, name) {
			out = append(out, l)
		}
	}
	return strings.Join(out, "")
}

func TestMetricsListenerTellsWhetherTheNodeIsReady(t *testing.T) {
	n := start(t, settings(t, t.TempDir(), "weir.metrics.listeners=127.0.0.1:20550"))
	get := func(path string) (int, string) {
		resp, err := http.Get("http://127.0.0.1:20550" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	for _, path := range []string{"/readyz", "/healthz", "/metrics"} {
		if code, body := get(path); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	n.leaving.Store(true)
	if code, body := get("/readyz"); code != http.StatusServiceUnavailable || body != "the node is stopping\n" {
		t.Errorf("/readyz of a stopping node: %d %q", code, body)
	}
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
}

func TestEveryErrorOfAnAnswerIsCounted(t *testing.T) {
	resp := &kmsg.ListOffsetsResponse{Topics: []kmsg.ListOffsetsResponseTopic{{Partitions: []kmsg.ListOffsetsResponseTopicPartition{{ErrorCode: 3}, {ErrorCode: 0}, {ErrorCode: 3}}}}}
	got := map[wire.Code]int{}
	eachErrorCode(resp, func(c wire.Code) { got[c]++ })
	eachErrorCode(&kmsg.HeartbeatResponse{ErrorCode: 16}, func(c wire.Code) { got[c]++ })
	eachErrorCode(nil, func(c wire.Code) { t.Error("there is no answer") })
	if len(got) != 3 || got[wire.UnknownTopicOrPartition] != 2 || got[wire.None] != 1 || got[wire.NotCoordinator] != 1 {
		t.Errorf("errors = %v", got)
	}
}

func BenchmarkAnswerOfProduce(b *testing.B) {
	o := newObserver(telemetry.New(telemetry.Options{}), nil)
	resp := &kmsg.ProduceResponse{Topics: []kmsg.ProduceResponseTopic{{Partitions: make([]kmsg.ProduceResponseTopicPartition, 1)}}}
	b.ReportAllocs()
	for b.Loop() {
		o.Answer(0, resp)
	}
}
