// Command kafkago produces, reads and commits with segmentio/kafka-go, as
// roundtrip.py beside it does with librdkafka. It is a module of its own, so
// that the client does not become a dependency of weir.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
)

const partitions = 3

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(bootstrap, prefix string) error {
	count := 2000
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	client := &kafka.Client{Addr: kafka.TCP(bootstrap), Timeout: 30 * time.Second}
	codecs := []struct {
		name  string
		codec kafka.Compression
	}{{"none", 0}, {"gzip", kafka.Gzip}, {"snappy", kafka.Snappy}, {"lz4", kafka.Lz4}, {"zstd", kafka.Zstd}}
	for _, c := range codecs {
		topic := prefix + "-" + c.name
		resp, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
			Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}},
		})
		if err == nil {
			err = resp.Errors[topic]
		}
		if err != nil {
			return fmt.Errorf("create %s: %w", topic, err)
		}
		if err := produce(ctx, bootstrap, topic, c.codec, count); err != nil {
			return fmt.Errorf("produce %s: %w", topic, err)
		}
		values, err := consume(ctx, bootstrap, topic, count)
		if err != nil {
			return fmt.Errorf("consume %s: %w", topic, err)
		}
		committed, err := committed(ctx, client, topic)
		if err != nil {
			return fmt.Errorf("offsets of %s: %w", topic, err)
		}
		sum := sha256.New()
		for i := range count {
			sum.Write([]byte(values[i] + "\n"))
		}
		fmt.Printf("%s records=%d sum=%x committed=%d\n", c.name, len(values), sum.Sum(nil)[:8], committed)
	}
	return nil
}

func produce(ctx context.Context, bootstrap, topic string, codec kafka.Compression, count int) error {
	w := &kafka.Writer{
		Addr: kafka.TCP(bootstrap), Topic: topic, Balancer: &kafka.Hash{}, RequiredAcks: kafka.RequireAll,
		Compression: codec, BatchTimeout: 5 * time.Millisecond,
	}
	messages := make([]kafka.Message, count)
	for i := range messages {
		messages[i] = kafka.Message{
			Key: []byte("key-" + strconv.Itoa(i%50)), Value: []byte("value " + strconv.Itoa(i)),
			Headers: []kafka.Header{{Key: "n", Value: []byte(strconv.Itoa(i))}},
		}
	}
	err := w.WriteMessages(ctx, messages...)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	return err
}

func consume(ctx context.Context, bootstrap, topic string, count int) (map[int]string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{bootstrap}, Topic: topic, GroupID: topic + "-group", StartOffset: kafka.FirstOffset, MaxWait: 200 * time.Millisecond,
		SessionTimeout: 10 * time.Second,
	})
	defer r.Close()
	values := map[int]string{}
	for len(values) < count {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			return values, fmt.Errorf("%d of %d records: %w", len(values), count, err)
		}
		n, err := strconv.Atoi(string(m.Headers[0].Value))
		if err != nil || string(m.Key) != "key-"+strconv.Itoa(n%50) {
			return values, fmt.Errorf("record %d came back with key %q", n, m.Key)
		}
		values[n] = string(m.Value)
		if err := r.CommitMessages(ctx, m); err != nil {
			return values, err
		}
	}
	return values, nil
}

func committed(ctx context.Context, client *kafka.Client, topic string) (int64, error) {
	resp, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: topic + "-group", Topics: map[string][]int{topic: {0, 1, 2}}})
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, p := range resp.Topics[topic] {
		if p.Error != nil {
			return 0, p.Error
		}
		sum += max(p.CommittedOffset, 0)
	}
	return sum, nil
}
