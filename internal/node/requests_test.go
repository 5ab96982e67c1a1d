package node

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/testkit/kwire"
	"github.com/weir-stream/weir/internal/wire"
)

// raw is a connection on which requests go as they are.
func raw(t *testing.T, n *Node) *kwire.Conn {
	t.Helper()
	c, err := kwire.Dial(n.Addr("PLAINTEXT"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // a test's connection has nothing to lose
	return c
}

func ask[T kmsg.Response](t *testing.T, c *kwire.Conn, version int16, req kmsg.Request) T {
	t.Helper()
	req.SetVersion(version)
	resp, err := c.Request(req)
	if err != nil {
		t.Fatalf("%s v%d: %v", kmsg.NameForKey(req.Key()), version, err)
	}
	return resp.(T)
}

func produceRequest(t *testing.T, topic string, b *record.Builder) *kmsg.ProduceRequest {
	t.Helper()
	b.Append(time.Now().UnixMilli(), []byte("key"), []byte("value"))
	records, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 5000
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: records}}}}
	return req
}

func produced(resp *kmsg.ProduceResponse) wire.Code {
	return wire.Code(resp.Topics[0].Partitions[0].ErrorCode)
}

// fetchRequest asks for partition 0 from its start, without a session.
func fetchRequest(topic string) *kmsg.FetchRequest {
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = 1 << 20
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.SessionEpoch = 1<<20, -1
	req.Topics = []kmsg.FetchRequestTopic{{Topic: topic, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	return req
}

// A batch that opens a transaction must be one that a coordinator knows of: nobody would ever end it otherwise, and readers of
// committed records would wait for ever.
func TestUnknownTransactionIsRefused(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data"), transactional(1)...))
	defer n.Stop()
	if _, err := kadm.NewClient(client(t, n)).CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	known := client(t, n, kgo.TransactionalID("x"))
	if err := known.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	send(t, t.Context(), known, "t", "open")
	if err := known.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	c := raw(t, n)
	batch := func() *record.Builder {
		var b record.Builder
		b.SetProducer(700, 0, 0)
		b.SetTransactional()
		return &b
	}
	if code := produced(ask[*kmsg.ProduceResponse](t, c, 12, produceRequest(t, "t", batch()))); code != wire.TransactionalIdAuthorizationFailed {
		t.Errorf("a transactional batch without a transactional id: %v", code)
	}
	for version, want := range map[int16]wire.Code{9: wire.InvalidProducerIdMapping, 12: wire.InvalidProducerIdMapping} {
		for _, id := range []string{"x", "y"} {
			req := produceRequest(t, "t", batch())
			req.TransactionID = &id
			if code := produced(ask[*kmsg.ProduceResponse](t, c, version, req)); code != want {
				t.Errorf("of an unknown producer, id %s, version %d: %v", id, version, code)
			}
		}
	}
	if code := produced(ask[*kmsg.ProduceResponse](t, c, 12, produceRequest(t, "t", new(record.Builder)))); code != wire.None {
		t.Fatal(code)
	}
	req := fetchRequest("t")
	req.IsolationLevel, req.MinBytes = 1, 1
	p := ask[*kmsg.FetchResponse](t, c, 12, req).Topics[0].Partitions[0]
	if p.LastStableOffset != p.HighWatermark || p.HighWatermark < 2 {
		t.Errorf("last stable offset %d of %d", p.LastStableOffset, p.HighWatermark)
	}
}

// What coordinators keep must not be written or deleted by anybody.
func TestInternalTopicsAreClosedToClients(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data"), "offsets.topic.num.partitions=1"))
	defer n.Stop()
	produce(t, client(t, n, kgo.AllowAutoTopicCreation()), "t", 0, 1)
	g := client(t, n, kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	consume(t, g, 1)
	c := raw(t, n)
	if code := produced(ask[*kmsg.ProduceResponse](t, c, 12, produceRequest(t, offsetsTopic, new(record.Builder)))); code != wire.InvalidTopicException {
		t.Errorf("produce: %v", code)
	}
	del := kmsg.NewPtrDeleteRecordsRequest()
	del.TimeoutMillis = 5000
	del.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: offsetsTopic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: -1}}}}
	if code := wire.Code(ask[*kmsg.DeleteRecordsResponse](t, c, 2, del).Topics[0].Partitions[0].ErrorCode); code != wire.InvalidTopicException {
		t.Errorf("delete records: %v", code)
	}
	admin, err := kwire.DialAs(n.Addr("PLAINTEXT"), "__admin_client")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if code := produced(ask[*kmsg.ProduceResponse](t, admin, 12, produceRequest(t, offsetsTopic, new(record.Builder)))); code != wire.None {
		t.Errorf("produce by the admin client: %v", code)
	}
}

// An answer that is as large as it may be is enough, whatever min.bytes says.
func TestFetchDoesNotWaitForMoreThanItMayHave(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data")))
	defer n.Stop()
	produce(t, client(t, n, kgo.AllowAutoTopicCreation()), "t", 0, 100)
	c := raw(t, n)
	req := fetchRequest("t")
	req.MinBytes, req.MaxBytes, req.MaxWaitMillis = 1<<20, 100, 60_000
	c.Timeout = 20 * time.Second
	if p := ask[*kmsg.FetchResponse](t, c, 12, req).Topics[0].Partitions[0]; len(p.RecordBatches) == 0 {
		t.Errorf("%v, no records", wire.Code(p.ErrorCode))
	}
}

func TestPageBeginsWithATopicThatWasAskedFor(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data")))
	defer n.Stop()
	if _, err := kadm.NewClient(client(t, n)).CreateTopic(t.Context(), 3, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	c := raw(t, n)
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 2
	req.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "t"}}
	first := ask[*kmsg.DescribeTopicPartitionsResponse](t, c, 0, req)
	if len(first.Topics[0].Partitions) != 2 || first.NextCursor == nil || first.NextCursor.Partition != 2 {
		t.Fatalf("first page: %+v", first)
	}
	req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: first.NextCursor.Topic, Partition: first.NextCursor.Partition}
	if last := ask[*kmsg.DescribeTopicPartitionsResponse](t, c, 0, req); len(last.Topics[0].Partitions) != 1 || last.NextCursor != nil {
		t.Errorf("last page: %+v", last)
	}
	req.Cursor.Topic = "other"
	if bad := ask[*kmsg.DescribeTopicPartitionsResponse](t, c, 0, req); len(bad.Topics) != 1 || wire.Code(bad.Topics[0].ErrorCode) != wire.InvalidRequest {
		t.Errorf("cursor of another topic: %+v", bad)
	}
}

// A node that was told to forget itself is still there: it comes back with all its partitions.
func TestUnregisteredBrokerComesBack(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data"), "broker.heartbeat.interval.ms=50"))
	defer n.Stop()
	produce(t, client(t, n, kgo.AllowAutoTopicCreation()), "t", 0, 10)
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = 1
	if code := wire.Code(ask[*kmsg.UnregisterBrokerResponse](t, raw(t, n), 0, req).ErrorCode); code != wire.None {
		t.Fatal(code)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := client(t, n, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("value 10")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if got := consume(t, c, 11); len(got) != 11 {
		t.Errorf("%d records", len(got))
	}
}
