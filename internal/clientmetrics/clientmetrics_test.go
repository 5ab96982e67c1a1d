package clientmetrics

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// bench is a manager with a clock that the test moves.
type bench struct {
	*Manager
	reg *telemetry.Registry
	now time.Time
}

func newBench(t *testing.T, instances int) *bench {
	t.Helper()
	b := &bench{reg: telemetry.New(telemetry.Options{}), now: time.Unix(1000, 0)}
	b.Manager = New(Options{MaxInstances: instances, MaxBytes: 4096, Now: func() time.Time { return b.now }}, b.reg)
	b.Update("sub", map[string]string{"interval.ms": "1000", "metrics": "org.apache.kafka.producer."})
	return b
}

func (b *bench) scrape(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	b.reg.Handler(telemetry.Health{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

var someone = Client{ClientID: "app", SoftwareName: "apache-kafka-java", SoftwareVersion: "4.3.1", Address: netip.MustParseAddrPort("10.0.0.1:5000")}

func payload(t *testing.T, metrics ...*metricspb.Metric) []byte {
	t.Helper()
	data, err := proto.Marshal(&metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{{ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: metrics}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func sum(name string, value float64, delta bool, labels ...string) *metricspb.Metric {
	point := &metricspb.NumberDataPoint{Value: &metricspb.NumberDataPoint_AsDouble{AsDouble: value}}
	for i := 0; i+1 < len(labels); i += 2 {
		point.Attributes = append(point.Attributes, &commonpb.KeyValue{Key: labels[i], Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: labels[i+1]}}})
	}
	s := &metricspb.Sum{IsMonotonic: true, DataPoints: []*metricspb.NumberDataPoint{point}, AggregationTemporality: metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE}
	if delta {
		s.AggregationTemporality = metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
	}
	return &metricspb.Metric{Name: name, Data: &metricspb.Metric_Sum{Sum: s}}
}

func code(err error) wire.Code { return wire.CodeOf(err) }

func TestPushedFiguresAreServed(t *testing.T) {
	b := newBench(t, 10)
	sub, err := b.Get([16]byte{}, someone)
	if err != nil || sub.Interval != time.Second || len(sub.Metrics) != 1 {
		t.Fatalf("%+v %v", sub, err)
	}
	const name = "org.apache.kafka.producer.record.send.total"
	for range 2 {
		err := b.Push(Push{InstanceID: sub.InstanceID, SubscriptionID: sub.ID, Metrics: payload(t,
			sum(name, 5, true, "topic", "orders", "secret", "x"), sum("org.apache.kafka.consumer.poll", 1, false), sum("bad name\n", 1, false))}, someone)
		if err != nil {
			t.Fatal(err)
		}
		b.now = b.now.Add(time.Second)
	}
	text := b.scrape(t)
	want := `kafka_client_producer_record_send_total{client_id="app",client_instance_id="` + uuidText(sub.InstanceID) + `",client_software_name="apache-kafka-java",topic="orders"} 10`
	if !strings.Contains(text, want) {
		t.Errorf("the scrape lacks %s", want)
	}
	if strings.Contains(text, "secret") || strings.Contains(text, "kafka_client_consumer") {
		t.Error("what nobody asked for is served")
	}
	if !strings.Contains(text, "weir_client_metrics_dropped_series_total 4") {
		t.Error("figures that are left out are not counted")
	}
}

func TestPushRefusals(t *testing.T) {
	b := newBench(t, 10)
	sub, _ := b.Get([16]byte{}, someone)
	push := func(change func(*Push)) wire.Code {
		b.now = b.now.Add(2 * time.Second)
		p := Push{InstanceID: sub.InstanceID, SubscriptionID: sub.ID}
		change(&p)
		return code(b.Push(p, someone))
	}
	for name, c := range map[string]struct {
		change func(*Push)
		want   wire.Code
	}{
		"nothing":       {func(*Push) {}, wire.None},
		"no id":         {func(p *Push) { p.InstanceID = [16]byte{} }, wire.InvalidRequest},
		"other id":      {func(p *Push) { p.SubscriptionID++ }, wire.UnknownSubscriptionId},
		"unknown codec": {func(p *Push) { p.Codec = 9 }, wire.UnsupportedCompressionType},
		"too long":      {func(p *Push) { p.Metrics = make([]byte, 5000) }, wire.TelemetryTooLarge},
		"not protobuf":  {func(p *Push) { p.Metrics = []byte{0xff, 1, 2} }, wire.InvalidRecord},
		"not gzip":      {func(p *Push) { p.Codec, p.Metrics = 1, []byte("no") }, wire.InvalidRecord},
		"not snappy":    {func(p *Push) { p.Codec, p.Metrics = 2, []byte("\x82SNAPPY\x00") }, wire.InvalidRecord},
	} {
		if got := push(c.change); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	p := Push{InstanceID: sub.InstanceID, SubscriptionID: sub.ID}
	b.now = b.now.Add(2 * time.Second)
	if err := b.Push(p, someone); err != nil {
		t.Error(err)
	}
	if got := code(b.Push(p, someone)); got != wire.ThrottlingQuotaExceeded {
		t.Errorf("too soon: %v", got)
	}
	if _, err := b.Get(sub.InstanceID, someone); code(err) != wire.ThrottlingQuotaExceeded {
		t.Errorf("get too soon: %v", err)
	}
	p.Terminating = true
	if err := b.Push(p, someone); err != nil {
		t.Errorf("a last push before its time: %v", err)
	}
	if got := code(b.Push(p, someone)); got != wire.InvalidRequest {
		t.Errorf("after the last one: %v", got)
	}
}

func TestEveryCodec(t *testing.T) {
	plain := payload(t, sum("org.apache.kafka.producer.x", 1, false))
	var gz, lz bytes.Buffer
	zw := gzip.NewWriter(&gz)
	_, _ = zw.Write(plain)
	_ = zw.Close()
	lw := lz4.NewWriter(&lz)
	_, _ = lw.Write(plain)
	_ = lw.Close()
	zs, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	block := s2.EncodeSnappy(nil, plain)
	framed := append([]byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"), byte(len(block)>>24), byte(len(block)>>16), byte(len(block)>>8), byte(len(block)))
	for name, c := range map[string]struct {
		codec int8
		data  []byte
	}{
		"none": {0, plain}, "gzip": {1, gz.Bytes()}, "snappy": {2, block}, "snappy of Java": {2, append(framed, block...)},
		"lz4": {3, lz.Bytes()}, "zstd": {4, zs.EncodeAll(plain, nil)},
	} {
		if got, err := decompress(c.codec, c.data, 4096); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := decompress(c.codec, c.data, len(plain)-1); !errors.Is(err, errTooLong) && c.codec != 0 {
			t.Errorf("%s beyond the limit: %v", name, err)
		}
	}
	bomb := zs.EncodeAll(make([]byte, 64<<20), nil)
	if _, err := decompress(4, bomb, 4096); !errors.Is(err, errTooLong) {
		t.Errorf("a bomb of %d bytes: %v", len(bomb), err)
	}
}

func TestClientsAndFiguresAreBounded(t *testing.T) {
	b := newBench(t, 3)
	var first [16]byte
	for i := range 5 {
		sub, err := b.Get([16]byte{}, someone)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = sub.InstanceID
		}
		b.now = b.now.Add(time.Millisecond)
	}
	if len(b.instances) != 3 || b.order.Len() != 3 || b.instances[first] != nil {
		t.Errorf("%d clients are kept", len(b.instances))
	}
	in, _ := b.instance([16]byte{1}, someone, b.now)
	for i := range seriesPerClient + 50 {
		b.keep(in, sum("org.apache.kafka.producer.x", 1, false, "topic", strings.Repeat("t", i%200)+string(rune('a'+i%26)), "partition", strings.Repeat("p", i/26)))
	}
	if len(in.series) > seriesPerClient {
		t.Errorf("%d figures are kept", len(in.series))
	}
	b.now = b.now.Add(time.Hour)
	b.scrape(t)
	if len(b.instances) != 0 {
		t.Errorf("%d clients are kept for ever", len(b.instances))
	}
}

func TestSubscriptions(t *testing.T) {
	b := newBench(t, 10)
	b.Update("all of one", map[string]string{"interval.ms": "500", "metrics": "*", "match": "client_id=special-.*"})
	b.Update("others", map[string]string{"interval.ms": "700", "metrics": "org.apache.kafka.consumer.", "match": "client_source_address=10[.]0[.]0[.]1,client_source_port=5000"})
	sub, err := b.Get([16]byte{}, someone)
	if err != nil || sub.Interval != 700*time.Millisecond || strings.Join(sub.Metrics, ",") != "org.apache.kafka.consumer.,org.apache.kafka.producer." {
		t.Errorf("%+v %v", sub, err)
	}
	special := someone
	special.ClientID = "special-1"
	all, err := b.Get([16]byte{}, special)
	if err != nil || all.Interval != 500*time.Millisecond || strings.Join(all.Metrics, ",") != "*" {
		t.Errorf("%+v %v", all, err)
	}
	b.Update("others", nil)
	again, err := b.Get(sub.InstanceID, someone)
	if err != nil || again.InstanceID != sub.InstanceID || again.ID == sub.ID || len(again.Metrics) != 1 {
		t.Errorf("after a change: %+v %v", again, err)
	}
}

// FuzzPush checks that no payload breaks or outgrows the manager.
func FuzzPush(f *testing.F) {
	f.Add(int8(0), []byte{10, 2, 8, 1})
	f.Add(int8(1), []byte{0x1f, 0x8b})
	f.Add(int8(2), []byte("\x82SNAPPY\x00"))
	f.Add(int8(3), []byte{4, 0x22, 0x4d, 0x18})
	f.Add(int8(4), []byte{0x28, 0xb5, 0x2f, 0xfd})
	b := &bench{reg: telemetry.New(telemetry.Options{}), now: time.Unix(1000, 0)}
	b.Manager = New(Options{MaxInstances: 2, MaxBytes: 4096, Now: func() time.Time { return b.now }}, b.reg)
	b.Update("sub", map[string]string{"interval.ms": "100", "metrics": "*"})
	sub, err := b.Get([16]byte{}, someone)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, codec int8, data []byte) {
		b.now = b.now.Add(time.Second)
		_ = b.Push(Push{InstanceID: sub.InstanceID, SubscriptionID: sub.ID, Codec: codec, Metrics: data}, someone)
		if e := b.instances[sub.InstanceID]; e != nil && len(e.Value.(*instance).series) > seriesPerClient {
			t.Fatal("too many figures")
		}
	})
}
