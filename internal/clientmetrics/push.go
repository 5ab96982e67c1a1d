package clientmetrics

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// Codecs are the compression types that Push takes, best first, with the numbers of the protocol.
var Codecs = []int8{4, 3, 1, 2}

// Push is a payload of metrics.
type Push struct {
	InstanceID     [16]byte
	SubscriptionID int32
	Terminating    bool
	Codec          int8
	Metrics        []byte // OTLP MetricsData, compressed
}

// figure is the latest value of one series of a client.
type figure struct {
	name    string
	labels  telemetry.Labels
	value   float64
	counter bool
}

// Push takes a payload. Nothing of p is kept. Errors are *Error.
func (m *Manager) Push(p Push, c Client) error {
	err := m.push(p, c)
	if err != nil {
		m.refused.Inc()
		return err
	}
	m.pushes.Inc()
	return nil
}

func (m *Manager) push(p Push, c Client) error {
	if p.InstanceID == ([16]byte{}) || p.InstanceID == [16]byte{15: 1} {
		return &Error{wire.InvalidRequest, "Invalid request from the client [" + uuidText(p.InstanceID) + "], invalid client instance id"}
	}
	if err := m.admit(p, c); err != nil {
		return err
	}
	if len(p.Metrics) == 0 {
		return nil
	}
	data, err := decompress(p.Codec, p.Metrics, 4*m.opt.MaxBytes)
	if errors.Is(err, errTooLong) {
		return &Error{wire.TelemetryTooLarge, "Telemetry payload is longer than allowed once it is decompressed"}
	}
	var msg metricspb.MetricsData
	if err == nil {
		err = proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: 32}.Unmarshal(data, &msg)
	}
	if err != nil {
		return &Error{wire.InvalidRecord, "Telemetry payload cannot be read: " + err.Error()}
	}
	m.store(p.InstanceID, &msg)
	return nil
}

// admit checks a push against what the client was told, in Kafka's order.
func (m *Manager) admit(p Push, c Client) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.opt.Now()
	id := uuidText(p.InstanceID)
	in, _ := m.instance(p.InstanceID, c, now)
	defer func() { in.terminating = in.terminating || p.Terminating }()
	switch {
	case in.terminating:
		return &Error{wire.InvalidRequest, "Client [" + id + "] sent the previous request with state terminating to TRUE, can not accept any requests after that"}
	case !p.Terminating && !in.lastPush.IsZero() && now.Sub(in.lastPush) < in.interval/2:
		return &Error{wire.ThrottlingQuotaExceeded, "Request from the client [" + id + "] arrived before the next push interval time"}
	}
	in.lastPush = now
	switch {
	case p.SubscriptionID != in.subID:
		in.retryGet = true
		return &Error{wire.UnknownSubscriptionId, "Unknown client subscription id for the client [" + id + "]"}
	case p.Codec != 0 && !slices.Contains(Codecs, p.Codec):
		in.retryGet = true
		return &Error{wire.UnsupportedCompressionType, fmt.Sprintf("Unknown telemetry compression type %d from the client [%s]", p.Codec, id)}
	case len(p.Metrics) > m.opt.MaxBytes:
		return &Error{wire.TelemetryTooLarge, fmt.Sprintf("Telemetry request from the client [%s] is larger than the maximum allowed size %d", id, m.opt.MaxBytes)}
	}
	in.retryGet = false
	return nil
}

var errTooLong = errors.New("too long")

// decompress returns at most limit bytes, or errTooLong.
func decompress(codec int8, data []byte, limit int) ([]byte, error) {
	src := io.Reader(bytes.NewReader(data))
	switch codec {
	case 1:
		zr, err := gzip.NewReader(src)
		if err != nil {
			return nil, err
		}
		src = zr
	case 2:
		return unsnappy(data, limit)
	case 3:
		src = lz4.NewReader(src)
	case 4:
		zr, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(uint64(max(limit, 1<<20))))
		if err != nil {
			return nil, err
		}
		defer zr.Close()
		src = zr
	}
	out, err := io.ReadAll(io.LimitReader(src, int64(limit)+1))
	if len(out) > limit || errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return nil, errTooLong
	}
	return out, err
}

// unsnappy reads a plain snappy block or the framing that Java's library writes: a header and blocks with lengths.
func unsnappy(data []byte, limit int) ([]byte, error) {
	blocks := [][]byte{data}
	if len(data) >= 16 && bytes.HasPrefix(data, []byte("\x82SNAPPY\x00")) {
		blocks = nil
		for rest := data[16:]; len(rest) > 0; {
			if len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest)) > uint64(len(rest)-4) {
				return nil, io.ErrUnexpectedEOF
			}
			n := int(binary.BigEndian.Uint32(rest))
			blocks, rest = append(blocks, rest[4:4+n]), rest[4+n:]
		}
	}
	var out []byte
	for _, b := range blocks {
		n, err := s2.DecodedLen(b)
		if err != nil {
			return nil, err
		}
		if n > limit-len(out) {
			return nil, errTooLong
		}
		part, err := s2.Decode(nil, b)
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
	}
	return out, nil
}

// store keeps the figures that the client was told to push.
func (m *Manager) store(id [16]byte, msg *metricspb.MetricsData) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.instances[id]
	if e == nil {
		return
	}
	in := e.Value.(*instance)
	for _, rm := range msg.GetResourceMetrics() {
		for _, sm := range rm.GetScopeMetrics() {
			for _, metric := range sm.GetMetrics() {
				name := metric.GetName()
				if !validName(name) || !in.wants(name) {
					m.dropped.Inc()
					continue
				}
				m.keep(in, metric)
			}
		}
	}
}

func (m *Manager) keep(in *instance, metric *metricspb.Metric) {
	counter, delta := false, false
	var points []*metricspb.NumberDataPoint
	if sum := metric.GetSum(); sum != nil {
		points = sum.GetDataPoints()
		counter = sum.GetIsMonotonic()
		delta = sum.GetAggregationTemporality() == metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
	} else if g := metric.GetGauge(); g != nil {
		points = g.GetDataPoints()
	}
	for _, p := range points {
		f := figure{name: strings.Clone(metric.GetName()), counter: counter, value: p.GetAsDouble(), labels: pointLabels(p.GetAttributes())}
		if _, ok := p.GetValue().(*metricspb.NumberDataPoint_AsInt); ok {
			f.value = float64(p.GetAsInt())
		}
		key := f.name + "\x00" + strings.Join(f.labels, "\x01")
		old, known := in.series[key]
		if !known && len(in.series) >= seriesPerClient {
			m.dropped.Inc()
			continue
		}
		if delta {
			f.value += old.value
		}
		in.series[key] = f
	}
}

// pointAttributes are the labels of figures that are kept; a client cannot invent others.
var pointAttributes = []string{"topic", "partition", "node_id", "group_id", "client_state"}

func pointLabels(attrs []*commonpb.KeyValue) telemetry.Labels {
	var l telemetry.Labels
	for _, want := range pointAttributes {
		for _, a := range attrs {
			if strings.ReplaceAll(a.GetKey(), ".", "_") != want {
				continue
			}
			v := a.GetValue().GetStringValue()
			if n, ok := a.GetValue().GetValue().(*commonpb.AnyValue_IntValue); ok {
				v = fmt.Sprint(n.IntValue)
			}
			if utf8.ValidString(v) && len(v) <= 256 {
				l = append(l, want, strings.Clone(v))
			}
			break
		}
	}
	return l
}

func validName(s string) bool {
	if s == "" || len(s) > 160 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9' || i == 0) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// emit serves what clients pushed, under the names of the standard metrics with underscores, prefixed
// kafka_client_.
func (m *Manager) emit(emit telemetry.Emit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire(m.opt.Now())
	kinds := map[string]telemetry.Kind{}
	for e := m.order.Front(); e != nil; e = e.Next() {
		in := e.Value.(*instance)
		who := telemetry.Labels{"client_id", in.client.ClientID, "client_instance_id", uuidText(in.id), "client_software_name", in.client.SoftwareName}
		for _, f := range in.series {
			name := "kafka_client_" + strings.NewReplacer(".", "_", "-", "_").Replace(strings.TrimPrefix(f.name, "org.apache.kafka."))
			kind, seen := kinds[name]
			if !seen { // what the first client says it is; a family has one type
				kind = telemetry.Plain
				if f.counter {
					kind = telemetry.PlainCounter
				}
				kinds[name] = kind
			}
			emit(telemetry.Fact{Name: name, Kind: kind, Help: "Pushed by clients (KIP-714)."}, append(slices.Clone(who), f.labels...), f.value)
		}
	}
}

func uuidText(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }
