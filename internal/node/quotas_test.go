package node

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/testkit/kwire"
	"github.com/weir-stream/weir/internal/wire"
)

// setQuota sets a quota of an entity, given as type, name, …, or takes it away if value is not a number. It holds when the
// answer is there.
func setQuota(t *testing.T, c *kwire.Conn, key string, value float64, entity ...string) {
	t.Helper()
	req := kmsg.NewPtrAlterClientQuotasRequest()
	e := kmsg.NewAlterClientQuotasRequestEntry()
	for i := 0; i < len(entity); i += 2 {
		p := kmsg.NewAlterClientQuotasRequestEntryEntity()
		p.Type = entity[i]
		if entity[i+1] != "" {
			p.Name = &entity[i+1]
		}
		e.Entity = append(e.Entity, p)
	}
	op := kmsg.NewAlterClientQuotasRequestEntryOp()
	op.Key, op.Remove = key, math.IsNaN(value)
	if !op.Remove {
		op.Value = value
	}
	e.Ops = append(e.Ops, op)
	req.Entries = append(req.Entries, e)
	resp := ask[*kmsg.AlterClientQuotasResponse](t, c, 1, req)
	if out := resp.Entries[0]; out.ErrorCode != 0 {
		t.Fatalf("%s of %v: %v %v", key, entity, wire.Code(out.ErrorCode), *out.ErrorMessage)
	}
}

func createTopic(t *testing.T, c *kwire.Conn, version int16, name string, partitions int32) (code wire.Code, throttleMs int32) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	req.Topics = append(req.Topics, topic)
	resp := ask[*kmsg.CreateTopicsResponse](t, c, version, req)
	return wire.Code(resp.Topics[0].ErrorCode), resp.ThrottleMillis
}

func sized(t *testing.T, bytes int) *kmsg.ProduceRequest {
	t.Helper()
	var b record.Builder
	b.Append(time.Now().UnixMilli(), nil, make([]byte, bytes))
	return produceRequest(t, "t", &b)
}

// What is beyond a quota is answered at once with the time, and the connection is not read for as long (KIP-219).
func TestProducersAreHeldBack(t *testing.T) {
	reg := telemetry.New(telemetry.Options{})
	n, err := Start(t.Context(), Options{Config: settings(t, filepath.Join(t.TempDir(), "data")), Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop()
	admin, c := raw(t, n), raw(t, n)
	createTopic(t, admin, 7, "t", 1)
	if got := ask[*kmsg.ProduceResponse](t, c, 12, sized(t, 100000)); got.ThrottleMillis != 0 {
		t.Errorf("held back for %d ms without quotas", got.ThrottleMillis)
	}
	// Ten seconds' worth may come at once. 104 kB at 10 kB a second are some 400 ms too many.
	setQuota(t, admin, "producer_byte_rate", 10000, "user", "ANONYMOUS")
	began := time.Now()
	got := ask[*kmsg.ProduceResponse](t, c, 12, sized(t, 104000))
	if took := time.Since(began); got.ThrottleMillis < 400 || got.ThrottleMillis > 500 || produced(got) != wire.None {
		t.Errorf("held back for %d ms after %v (%v)", got.ThrottleMillis, took, produced(got))
	}
	answered := time.Now()
	ask[*kmsg.MetadataResponse](t, c, 12, kmsg.NewPtrMetadataRequest())
	if waited := time.Since(answered); waited < 350*time.Millisecond {
		t.Errorf("the next request was answered after %v", waited)
	}
	if text := scrape(t, reg); !strings.Contains(text, `kafka_server_produce_byte_rate{user="ANONYMOUS"} `) || !strings.Contains(text, `kafka_server_produce_throttle_time{user="ANONYMOUS"} 4`) {
		t.Errorf("metrics:\n%s", linesLike(text, `kafka_server_produce_byte_rate{user="ANONYMOUS"}`))
	}
	setQuota(t, admin, "producer_byte_rate", math.NaN(), "user", "ANONYMOUS")
	if got := ask[*kmsg.ProduceResponse](t, raw(t, n), 12, sized(t, 100000)); got.ThrottleMillis != 0 {
		t.Errorf("held back for %d ms after the quota is gone", got.ThrottleMillis)
	}
}

// A consumer beyond its quota gets an empty answer, and its session what it lacks later.
func TestConsumersAreHeldBack(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data")))
	defer n.Stop()
	admin, c := raw(t, n), raw(t, n)
	createTopic(t, admin, 7, "t", 1)
	for range 3 {
		ask[*kmsg.ProduceResponse](t, admin, 12, sized(t, 60000))
	}
	setQuota(t, admin, "consumer_byte_rate", 10000, "client-id", "")
	req := fetchRequest("t")
	req.SessionEpoch = 0
	fetch := func(epoch, session int32, offset int64) *kmsg.FetchResponse {
		req.SessionEpoch, req.SessionID, req.Topics[0].Partitions[0].FetchOffset = epoch, session, offset
		return ask[*kmsg.FetchResponse](t, c, 12, req)
	}
	first := fetch(0, 0, 0)
	if got := len(first.Topics[0].Partitions[0].RecordBatches); first.ThrottleMillis != 0 || got < 60000 || got > 120000 || first.SessionID == 0 {
		t.Fatalf("the first answer has %d bytes and holds back for %d ms; a window's quota is 100000", got, first.ThrottleMillis)
	}
	second := fetch(1, first.SessionID, 2) // a batch has two records
	if len(second.Topics) != 0 || second.ThrottleMillis < 1000 || second.SessionID != first.SessionID || second.ErrorCode != 0 {
		t.Fatalf("beyond the quota: %d topics, held back for %d ms, session %d, error %d", len(second.Topics), second.ThrottleMillis, second.SessionID, second.ErrorCode)
	}
	// What was not sent does not count: with a larger quota the same fetch goes on in the same session.
	setQuota(t, admin, "consumer_byte_rate", 20000, "client-id", "")
	third := fetch(2, first.SessionID, 2)
	if third.ErrorCode != 0 || third.ThrottleMillis != 0 || len(third.Topics) != 1 || len(third.Topics[0].Partitions[0].RecordBatches) < 60000 {
		t.Fatalf("within the quota again: error %d, held back for %d ms, %d topics", third.ErrorCode, third.ThrottleMillis, len(third.Topics))
	}
}

func TestPartitionsAreCounted(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data"), "controller.quota.window.num=10"))
	defer n.Stop()
	c := raw(t, n)
	setQuota(t, c, "controller_mutation_rate", 0.5, "user", "ANONYMOUS")
	if code, wait := createTopic(t, c, 7, "a", 6); code != wire.None || wait != 0 {
		t.Fatalf("a burst: %v, held back for %d ms", code, wait)
	}
	// One partition too many was made: at half a partition a second that takes two seconds.
	if code, wait := createTopic(t, raw(t, n), 7, "b", 1); code != wire.ThrottlingQuotaExceeded || wait < 500 || wait > 2000 {
		t.Fatalf("beyond the quota: %v, held back for %d ms", code, wait)
	}
	if code, wait := createTopic(t, raw(t, n), 5, "c", 1); code != wire.None || wait < 1000 || wait > 4000 {
		t.Fatalf("an old client: %v, held back for %d ms", code, wait)
	}
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.TimeoutMillis, del.TopicNames = 30000, []string{"a"}
	gone := ask[*kmsg.DeleteTopicsResponse](t, raw(t, n), 5, del)
	if wire.Code(gone.Topics[0].ErrorCode) != wire.ThrottlingQuotaExceeded || gone.ThrottleMillis == 0 {
		t.Errorf("a deletion beyond the quota: %v, held back for %d ms", wire.Code(gone.Topics[0].ErrorCode), gone.ThrottleMillis)
	}
	more := kmsg.NewPtrCreatePartitionsRequest()
	more.TimeoutMillis = 30000
	more.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "a", Count: 9}}
	grown := ask[*kmsg.CreatePartitionsResponse](t, raw(t, n), 3, more)
	if wire.Code(grown.Topics[0].ErrorCode) != wire.ThrottlingQuotaExceeded || grown.ThrottleMillis == 0 {
		t.Errorf("more partitions beyond the quota: %v, held back for %d ms", wire.Code(grown.Topics[0].ErrorCode), grown.ThrottleMillis)
	}
}

// The time of requests is counted whatever they ask for, and held back for a window at most.
func TestTimeOfRequestsIsCounted(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data")))
	defer n.Stop()
	setQuota(t, raw(t, n), "request_percentage", 0.0001, "client-id", "busy")
	c := client(t, n, kgo.ClientID("busy"))
	await(t, "a client that is held back", func() bool {
		resp, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), c)
		return err == nil && resp.ThrottleMillis > 0 && resp.ThrottleMillis <= 1000
	})
}

// A client of any broker has the quotas of the cluster, and its topics count where they are decided on.
func TestQuotasInACluster(t *testing.T) {
	k := newClusterOf(t, []string{"controller", "broker"})
	k.start(k.members...)
	c := k.client(kgo.ClientID("many"))
	req := kmsg.NewPtrAlterClientQuotasRequest()
	e := kmsg.NewAlterClientQuotasRequestEntry()
	e.Entity = []kmsg.AlterClientQuotasRequestEntryEntity{{Type: "client-id", Name: kmsg.StringPtr("many")}}
	e.Ops = []kmsg.AlterClientQuotasRequestEntryOp{{Key: "controller_mutation_rate", Value: 0.01}}
	req.Entries = append(req.Entries, e)
	if resp, err := req.RequestWith(k.ctx(), c); err != nil || resp.Entries[0].ErrorCode != 0 {
		t.Fatal(resp, err)
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	create.TimeoutMillis = 30000
	for _, name := range []string{"a", "b"} {
		create.Topics = append(create.Topics, kmsg.CreateTopicsRequestTopic{Topic: name, NumPartitions: 3, ReplicationFactor: 1})
	}
	resp, err := create.RequestWith(k.ctx(), c)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := wire.Code(resp.Topics[0].ErrorCode), wire.Code(resp.Topics[1].ErrorCode); a != wire.None || b != wire.ThrottlingQuotaExceeded || resp.ThrottleMillis == 0 {
		t.Errorf("two topics: %v, %v, held back for %d ms", a, b, resp.ThrottleMillis)
	}
	describe := kmsg.NewPtrDescribeClientQuotasRequest()
	k.eventually("the quota at the broker", func() bool {
		got, err := describe.RequestWith(k.ctx(), c)
		return err == nil && len(got.Entries) == 1 && got.Entries[0].Values[0].Value == 0.01
	})
}

// set changes dynamic settings of the one broker; "" takes a setting away. It holds when the answer is there.
func set(t *testing.T, c *kwire.Conn, name, value string) {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, "1"
	e := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	e.Name, e.Value = name, &value
	if value == "" {
		e.Op, e.Value = kmsg.IncrementalAlterConfigOpDelete, nil
	}
	r.Configs = append(r.Configs, e)
	req.Resources = append(req.Resources, r)
	if out := ask[*kmsg.IncrementalAlterConfigsResponse](t, c, 1, req).Resources[0]; out.ErrorCode != 0 {
		t.Fatalf("%s=%s: %v %v", name, value, wire.Code(out.ErrorCode), out.ErrorMessage)
	}
}

// answers reports whether a connection to a listener is served soon.
func answers(t *testing.T, n *Node, listener string) bool {
	t.Helper()
	c, err := kwire.Dial(n.Addr(listener))
	if err != nil {
		return false
	}
	t.Cleanup(func() { _ = c.Close() }) // a test's connection has nothing to lose
	served := make(chan bool, 1)
	go func() {
		_, err := c.Request(kmsg.NewPtrApiVersionsRequest())
		served <- err == nil
	}()
	select {
	case ok := <-served:
		return ok
	case <-time.After(700 * time.Millisecond):
		return false
	}
}

func TestConnectionLimitsChange(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data"), "listeners=PLAINTEXT://127.0.0.1:0,CLIENTS://127.0.0.1:0",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CLIENTS:PLAINTEXT", "inter.broker.listener.name=PLAINTEXT", "listener.name.clients.max.connections=1"))
	defer n.Stop()
	admin := raw(t, n)
	if !answers(t, n, "CLIENTS") {
		t.Fatal("the first client is not served")
	}
	if answers(t, n, "CLIENTS") {
		t.Fatal("a second client is served, with listener.name.clients.max.connections=1")
	}
	set(t, admin, "listener.name.clients.max.connections", "5")
	if !answers(t, n, "CLIENTS") {
		t.Fatal("a client is not served after the limit was raised")
	}
	set(t, admin, "max.connections", "2")
	await(t, "clients that make room", func() bool { return n.server.Connections() <= 2 })
	if answers(t, n, "CLIENTS") || !answers(t, n, "PLAINTEXT") {
		t.Fatal("with max.connections=2 a client is served, or no broker")
	}
	set(t, admin, "max.connections", "")
	if !answers(t, n, "CLIENTS") {
		t.Fatal("a client is not served without max.connections")
	}
	set(t, admin, "max.connections.per.ip", "1")
	if answers(t, n, "CLIENTS") {
		t.Fatal("a client is served above max.connections.per.ip")
	}
	set(t, admin, "max.connections.per.ip.overrides", "127.0.0.1:100")
	if !answers(t, n, "CLIENTS") {
		t.Fatal("a client is not served though its address is an exception")
	}
	set(t, admin, "listener.name.clients.max.connections", "100")
	set(t, admin, "listener.name.clients.max.connection.creation.rate", "1")
	await(t, "a client that has to wait", func() bool { return !answers(t, n, "CLIENTS") })
	set(t, admin, "listener.name.clients.max.connection.creation.rate", "")
	await(t, "a client that is served again", func() bool { return answers(t, n, "CLIENTS") })
	setQuota(t, admin, "connection_creation_rate", 1, "ip", "127.0.0.1")
	await(t, "a client whose address is above its rate", func() bool { return !answers(t, n, "CLIENTS") })
	setQuota(t, admin, "connection_creation_rate", math.NaN(), "ip", "127.0.0.1")
	await(t, "a client whose address has no quota", func() bool { return answers(t, n, "CLIENTS") })
	setQuota(t, admin, "connection_creation_rate", 1, "ip", "localhost")
	await(t, "the address of a host that is above its rate", func() bool { return !answers(t, n, "CLIENTS") })
}
