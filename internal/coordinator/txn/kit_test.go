package txn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/memlog"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// rig is a coordinator over one partition in memory with brokers that answer as a test says.
type rig struct {
	t     *testing.T
	logs  memlog.Logs
	g     *lifecycle.Group
	c     *Coordinator
	epoch int32
	cfg   Config
	ahead time.Duration // of the bubble's clock, which begins in the year 2000

	mu      sync.Mutex
	version int8
	leader  func(log.TopicPartition) (int32, bool)
	// mark says what becomes of a marker in one partition; lost requests have no answer.
	mark   func(m *kmsg.WriteTxnMarkersRequestMarker, tp log.TopicPartition) wire.Code
	lost   func(broker int32) error
	asked  []kmsg.Request
	nextID int64
	newID  func(context.Context) (int64, error)
}

// inRig runs f with an elected coordinator, in virtual time.
func inRig(t *testing.T, f func(*testing.T, *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := &rig{t: t, version: 2, nextID: 100, cfg: Config{AbortInterval: time.Second, RemoveInterval: time.Hour}}
		x.leader = func(log.TopicPartition) (int32, bool) { return 1, true }
		x.mark = func(*kmsg.WriteTxnMarkersRequestMarker, log.TopicPartition) wire.Code { return wire.None }
		x.lost = func(int32) error { return nil }
		x.newID = func(context.Context) (int64, error) { x.nextID++; return x.nextID, nil }
		x.start()
		f(t, x)
		x.stop()
	})
}

func (x *rig) start() {
	quiet := slog.New(slog.DiscardHandler)
	x.g = lifecycle.New("test", quiet)
	x.c = New(x.cfg, Deps{Partitions: &x.logs, PartitionCount: func() int32 { return 1 },
		Cluster: x, Group: x.g, Logger: quiet, Now: func() time.Time { return time.Now().Add(x.ahead) }, NewProducerID: func(ctx context.Context) (int64, error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			return x.newID(ctx)
		}})
	x.epoch++
	x.c.Elected(0, x.epoch)
	synctest.Wait()
}

func (x *rig) stop() {
	x.c.Close()
	synctest.Wait()
	x.g.Stop()
}

// put writes what a coordinator may have left of an id into the log.
func (x *rig) put(id string, v values, version int8) {
	x.t.Helper()
	x.write(recordKey(id), recordValue(&v, version))
}

func (x *rig) write(key, value []byte) {
	x.t.Helper()
	var w record.Builder
	w.Reset(record.Compression{}, 0)
	w.Append(time.Now().UnixMilli(), key, value)
	b, err := w.Build()
	if err != nil {
		x.t.Fatal(err)
	}
	x.logs.Log(0).Append(x.epoch, b, log.AppendOptions{}, func(_ int64, err error) {
		if err != nil {
			x.t.Fatal(err)
		}
	})
}

// again is another coordinator over the same log.
func (x *rig) again() {
	x.stop()
	x.start()
}

func (x *rig) Leader(tp log.TopicPartition) (int32, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.leader(tp)
}

func (x *rig) Version() int8 { return x.version }

// Ask implements Cluster.
func (x *rig) Ask(ctx context.Context, broker int32, r kmsg.Request) (kmsg.Response, error) {
	x.mu.Lock()
	x.asked = append(x.asked, r)
	lost := x.lost
	x.mu.Unlock()
	if err := lost(broker); err != nil {
		if errors.Is(err, errFrozen) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, err
	}
	switch r := r.(type) {
	case *kmsg.WriteTxnMarkersRequest:
		return x.writeMarkers(r), nil
	case *kmsg.AddPartitionsToTxnRequest:
		got := make(chan kmsg.Response, 1)
		x.c.AddForBrokers(r, func(log.TopicPartition) bool { return true }, func(resp *kmsg.AddPartitionsToTxnResponse) { got <- resp })
		return <-got, nil
	}
	return nil, fmt.Errorf("%T", r)
}

// errFrozen stands for a broker that takes requests and never answers.
var errFrozen = errors.New("frozen")

func (x *rig) writeMarkers(r *kmsg.WriteTxnMarkersRequest) kmsg.Response {
	x.mu.Lock()
	defer x.mu.Unlock()
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	for i := range r.Markers {
		m := &r.Markers[i]
		out := kmsg.NewWriteTxnMarkersResponseMarker()
		out.ProducerID = m.ProducerID
		for _, topic := range m.Topics {
			t := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			t.Topic = topic.Topic
			for _, index := range topic.Partitions {
				p := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				p.Partition, p.ErrorCode = index, int16(x.mark(m, log.TopicPartition{Topic: topic.Topic, Partition: index}))
				t.Partitions = append(t.Partitions, p)
			}
			out.Topics = append(out.Topics, t)
		}
		resp.Markers = append(resp.Markers, out)
	}
	return resp
}

// markers are the requests for markers that were sent.
func (x *rig) markers() (out []*kmsg.WriteTxnMarkersRequest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range x.asked {
		if m, ok := r.(*kmsg.WriteTxnMarkersRequest); ok {
			out = append(out, m)
		}
	}
	return out
}

// result is the answer to an operation; told is false while there is none.
type result struct {
	told bool
	code wire.Code
	p    Producer
}

func (x *rig) init(id string, timeoutMs int32, expected *Producer) *result {
	var r result
	x.c.InitProducer(id, timeoutMs, expected, func(code wire.Code, p Producer) { r = result{true, code, p} })
	synctest.Wait()
	return &r
}

func (x *rig) add(id string, p Producer, parts ...log.TopicPartition) *result {
	var r result
	x.c.AddPartitions(id, p, parts, x.version, func(code wire.Code) { r = result{true, code, p} })
	synctest.Wait()
	return &r
}

func (x *rig) end(id string, p Producer, commit bool) *result {
	var r result
	x.c.EndTransaction(id, p, commit, x.version >= 2, func(code wire.Code, now Producer) { r = result{true, code, now} })
	synctest.Wait()
	return &r
}

// ok fails the test if an operation has not succeeded, and returns the producer that it gave.
func (r *result) ok(t *testing.T) Producer {
	t.Helper()
	return r.is(t, wire.None)
}

func (r *result) is(t *testing.T, want wire.Code) Producer {
	t.Helper()
	if !r.told || r.code != want {
		t.Fatalf("answer %+v (%s), want %s", *r, r.code.Name(), want.Name())
	}
	return r.p
}

// state is what DescribeTransactions says of an id: its state, or the name of an error.
func (x *rig) state(id string) string {
	var out string
	x.c.Describe([]string{id}, func(d []Description) {
		out = d[0].State
		if d[0].Code != wire.None {
			out = d[0].Code.Name()
		}
	})
	synctest.Wait()
	return out
}

func tps(topic string, partitions ...int32) (out []log.TopicPartition) {
	for _, p := range partitions {
		out = append(out, log.TopicPartition{Topic: topic, Partition: p})
	}
	return out
}

// pass lets virtual time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
