package main

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/kwire"
)

// batchBytes is the size of the values of one batch before compression.
const batchBytes = 64 << 10

// inFlight is how many requests a producer has on its connection, as the Java
// client does by default.
const inFlight = 5

// load is one way to produce and consume.
type load struct {
	recordBytes int
	partitions  int32
	codec       int
	acks        int16
	tls         *tls.Config // nil: plain text
}

func (l load) String() string {
	text := fmt.Sprintf("%d B, %d partitions, %s, acks %s", l.recordBytes, l.partitions, script.Codecs[l.codec], map[int16]string{1: "1", -1: "all"}[l.acks])
	if l.tls != nil {
		text += ", TLS"
	}
	return text
}

// batch makes a batch once; producers send it again and again, so that the
// generator costs next to nothing.
func (l load) batch() []byte {
	// Words make values that compress about as well as logs do.
	words := []string{"GET ", "/index ", "error ", "connection ", "200 ", "timeout ", "user ", "=", "kafka ", "10.0.0."}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not for secrets
	records := make([]script.Rec, batchBytes/l.recordBytes)
	for i := range records {
		var value []byte
		for len(value) < l.recordBytes {
			value = append(value, words[random.IntN(len(words))]...)
			value = append(value, byte('0'+random.IntN(10)), byte('a'+random.IntN(26)))
		}
		records[i] = script.Rec{Value: value[:l.recordBytes]}
	}
	return script.Batch{Base: time.Now().UnixMilli(), Codec: l.codec, Records: records}.Encode()
}

var topics atomic.Int32

// freshTopic is a name that was not there before.
func freshTopic() string { return fmt.Sprintf("bench-load-%d", topics.Add(1)) }

// deleteTopic deletes a topic and waits until its files are gone from all nodes.
func deleteTopic(name string, nodes ...*brokers.Broker) error {
	c, err := kwire.Dial(nodes[0].Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis, req.TopicNames = 5, 60000, []string{name}
	resp, err := c.Request(req)
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode; code != 0 {
		return fmt.Errorf("delete %s: error %d", name, code)
	}
	deadline := time.Now().Add(time.Minute)
	for _, b := range nodes {
		for ; ; time.Sleep(50 * time.Millisecond) {
			left, err := filepath.Glob(filepath.Join(b.Config.Dir, "*", name+"-*"))
			if err != nil {
				return err
			}
			if len(left) == 0 {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("delete %s: %s is still there", name, left[0])
			}
		}
	}
	return nil
}

func createTopic(b *brokers.Broker, name string, partitions int32) error {
	return createReplicated(b, name, partitions, 1)
}

func createReplicated(b *brokers.Broker, name string, partitions int32, replicas int16) error {
	c, err := kwire.Dial(b.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.Timeout = 5 * time.Minute
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 300000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, replicas
	req.Topics = append(req.Topics, t)
	resp, err := c.Request(req)
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode; code != 0 {
		return fmt.Errorf("create %s: error %d", name, code)
	}
	if replicas > 1 {
		return nil // the other nodes may not have heard of it yet
	}
	return awaitLeaders(c, name, partitions)
}

// awaitLeaders asks until every partition answers for its end.
func awaitLeaders(c *kwire.Conn, topic string, partitions int32) error {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID = 7, -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for p := range partitions {
		tp := kmsg.NewListOffsetsRequestTopicPartition()
		tp.Partition, tp.Timestamp, tp.CurrentLeaderEpoch = p, -1, -1
		t.Partitions = append(t.Partitions, tp)
	}
	req.Topics = append(req.Topics, t)
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		resp, err := c.Request(req)
		if err != nil {
			return err
		}
		bad := slices.ContainsFunc(resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions,
			func(p kmsg.ListOffsetsResponseTopicPartition) bool { return p.ErrorCode != 0 })
		if !bad {
			return nil
		}
	}
	return fmt.Errorf("%s: not every partition has a leader", topic)
}

// at is where the leader of each partition listens.
type at func(partition int32) string

// only is a single broker, which leads all.
func only(b *brokers.Broker) at { return func(int32) string { return b.Addr } }

// produce sends total bytes of values, spread over the partitions, one
// connection for each.
func produce(leader at, topic string, l load, total int64) error {
	batch := l.batch()
	each := int(total / int64(l.partitions) / batchBytes)
	var group sync.WaitGroup
	errs := make([]error, l.partitions)
	for p := range l.partitions {
		group.Go(func() { errs[p] = produceOne(l, leader(p), topic, p, batch, each) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func produceOne(l load, addr, topic string, partition int32, batch []byte, count int) error {
	c, err := l.dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	req := produceRequest(topic, partition, l.acks, batch)
	frame := c.Frame(req, 0)
	sent, answered := 0, 0
	for answered < count {
		for sent < count && sent-answered < inFlight {
			binary.BigEndian.PutUint32(frame[8:], uint32(sent)) // the correlation id
			if err := c.Write(frame); err != nil {
				return err
			}
			sent++
		}
		answer, err := c.ReadFrame(c.Timeout)
		if err != nil {
			return err
		}
		if answered == 0 { // the shape never changes: look at the first in full
			resp := kmsg.NewPtrProduceResponse()
			resp.Version = req.Version
			if err := resp.ReadFrom(answer[4:]); err != nil {
				return err
			}
			if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
				return fmt.Errorf("produce: error %d", code)
			}
		}
		answered++
	}
	return nil
}

func produceRequest(topic string, partition int32, acks int16, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 7, acks, 30000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// consume reads all partitions to their ends and returns the bytes of batches.
func consume(b *brokers.Broker, topic string, l load) (int64, error) {
	var group sync.WaitGroup
	errs, read := make([]error, l.partitions), make([]int64, l.partitions)
	for p := range l.partitions {
		group.Go(func() { read[p], errs[p] = consumeOne(l, l.of(b)(p), topic, p) })
	}
	group.Wait()
	var sum int64
	for p := range l.partitions {
		if errs[p] != nil {
			return 0, errs[p]
		}
		sum += read[p]
	}
	return sum, nil
}

func fetchRequest(topic string, partition int32, offset int64, waitMillis int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 11, -1, waitMillis, 1, 50<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = partition, offset, 1<<20, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func consumeOne(l load, addr, topic string, partition int32) (int64, error) {
	c, err := l.dial(addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var offset, sum int64
	for {
		data, end, err := fetchOnce(c, topic, partition, offset, 100)
		if err != nil {
			return sum, err
		}
		if len(data) > 0 {
			offset = nextOffset(data)
			sum += int64(len(data))
		}
		if offset >= end {
			return sum, nil
		}
	}
}

// fetchOnce returns batches and the high watermark.
func fetchOnce(c *kwire.Conn, topic string, partition int32, offset int64, waitMillis int32) ([]byte, int64, error) {
	req := fetchRequest(topic, partition, offset, waitMillis)
	id, err := c.Send(req)
	if err != nil {
		return nil, 0, err
	}
	frame, err := c.ReadFrame(c.Timeout)
	if err != nil {
		return nil, 0, err
	}
	if got := int32(binary.BigEndian.Uint32(frame)); got != id {
		return nil, 0, fmt.Errorf("correlation id %d, want %d", got, id)
	}
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = req.Version
	if err := resp.UnsafeReadFrom(frame[4:]); err != nil {
		return nil, 0, err
	}
	p := resp.Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		return nil, 0, fmt.Errorf("fetch: error %d", p.ErrorCode)
	}
	return p.RecordBatches, p.HighWatermark, nil
}

// nextOffset is the offset behind the last whole batch.
func nextOffset(b []byte) int64 {
	var next int64
	for len(b) >= 61 {
		n := 12 + int(binary.BigEndian.Uint32(b[8:]))
		if n > len(b) {
			break
		}
		next = int64(binary.BigEndian.Uint64(b)) + int64(binary.BigEndian.Uint32(b[23:])) + 1
		b = b[n:]
	}
	return next
}
