package cli

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/perf"
)

// e2eTimeout is how long a record may take to arrive.
const e2eTimeout = time.Minute

// e2eLatency is one run of kafka-e2e-latency.
type e2eLatency struct {
	env       Env
	bootstrap string
	topic     string
	acks      string
	config    string
	records   int
	size      int // of values
	keySize   int // 0: no key

	headers, headerKeySize int
	headerSize             int // -1: null
}

func (r *e2eLatency) run(ctx context.Context) error {
	p, err := loadProperties(strings.TrimSpace(r.config))
	if err != nil {
		return err
	}
	p["bootstrap.servers"] = r.bootstrap
	admin, err := client.NewAdmin(p.Clone(), r.env.Stderr)
	if err != nil {
		return err
	}
	defer admin.Close()
	starts, err := r.prepareTopic(ctx, admin)
	if err != nil {
		return err
	}
	producer, err := r.producer(p.Clone())
	if err != nil {
		return err
	}
	defer producer.Close()
	consumer, err := r.consumer(p.Clone(), starts)
	if err != nil {
		return err
	}
	defer consumer.Close()
	return r.measure(ctx, producer, consumer)
}

// prepareTopic creates the topic if need be and finds where its partitions end.
func (r *e2eLatency) prepareTopic(ctx context.Context, admin *client.Admin) (map[int32]kgo.Offset, error) {
	topics, err := listTopics(ctx, admin)
	if err != nil {
		return nil, err
	}
	exists := false
	for _, t := range topics.Topics {
		exists = exists || t.Topic != nil && *t.Topic == r.topic
	}
	if !exists {
		fmt.Fprintf(r.env.Stdout, "Topic \"%s\" does not exist. Will create topic with 1 partition(s) and replication factor = 1\n", r.topic)
		answer, err := admin.Kadm().CreateTopic(ctx, 1, 1, nil, r.topic)
		if err == nil {
			err = answer.Err
		}
		if err != nil {
			fmt.Fprintf(r.env.Stdout, "Creation of topic %s failed\n", r.topic)
			return nil, javaError(err)
		}
	}
	return r.ends(ctx, admin.Kadm())
}

func (r *e2eLatency) ends(ctx context.Context, admin *kadm.Client) (map[int32]kgo.Offset, error) {
	ctx, cancel := context.WithTimeout(ctx, e2eTimeout)
	defer cancel()
	for {
		listed, err := admin.ListEndOffsets(ctx, r.topic)
		if err == nil {
			err = listed.Error()
		}
		switch {
		case err == nil:
			starts := map[int32]kgo.Offset{}
			listed.Each(func(o kadm.ListedOffset) { starts[o.Partition] = kgo.NewOffset().At(o.Offset) })
			return starts, nil
		case ctx.Err() != nil:
			return nil, javaError(err)
		}
		pause(ctx, 50*time.Millisecond) // a topic that was just created may have no leader yet
	}
}

// producer sends each record at once.
func (r *e2eLatency) producer(p client.Properties) (*kgo.Client, error) {
	p["linger.ms"], p["acks"] = "0", r.acks
	opts, err := client.ProducerOptions(p, r.env.Stderr)
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(opts...)
}

// consumer waits for records at the brokers, which answer as soon as there is one.
func (r *e2eLatency) consumer(p client.Properties, starts map[int32]kgo.Offset) (*kgo.Client, error) {
	opts, err := client.ConsumerOptions(p.With(client.Properties{"group.id": ""}), r.env.Stderr)
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: starts}))...)
}

func (r *e2eLatency) measure(ctx context.Context, producer, consumer *kgo.Client) error {
	total := time.Duration(0)
	latencies := make([]int64, r.records)
	for i := range r.records {
		sent := r.record()
		begin := time.Now()
		if err := producer.ProduceSync(ctx, sent).FirstErr(); err != nil {
			return javaError(err)
		}
		poll, cancel := context.WithTimeout(ctx, e2eTimeout)
		fetches := consumer.PollFetches(poll)
		cancel()
		elapsed := time.Since(begin)
		if err := fetchError(fetches); err != nil {
			return err
		}
		if err := compareSent(sent, fetches.Records()); err != nil {
			return err
		}
		if i%1000 == 0 {
			fmt.Fprintf(r.env.Stdout, "%d\t%s\n", i, strconv.FormatFloat(float64(elapsed.Nanoseconds())/1e6, 'f', -1, 64))
		}
		total += elapsed
		latencies[i] = elapsed.Milliseconds()
	}
	fmt.Fprintf(r.env.Stdout, "Avg latency: %s ms\n", perf.Java(float64(total.Nanoseconds())/float64(r.records)/1e6, 4))
	parts := perf.Percentiles(latencies, 0.5, 0.99, 0.999)
	fmt.Fprintf(r.env.Stdout, "Percentiles: 50th = %d, 99th = %d, 99.9th = %d\n", parts[0], parts[1], parts[2])
	return nil
}

func (r *e2eLatency) record() *kgo.Record {
	record := &kgo.Record{Topic: r.topic, Value: sameLetters(r.size)}
	if r.keySize > 0 {
		record.Key = sameLetters(r.keySize)
	}
	for range r.headers {
		h := kgo.RecordHeader{Key: string(sameLetters(r.headerKeySize))}
		if r.headerSize >= 0 {
			h.Value = sameLetters(r.headerSize)
		}
		record.Headers = append(record.Headers, h)
	}
	return record
}

// sameLetters is one random letter, n times.
func sameLetters(n int) []byte { return bytes.Repeat([]byte{byte('A' + rand.IntN(26))}, n) }

// compareSent checks that what was read is what was sent and nothing else.
func compareSent(sent *kgo.Record, read []*kgo.Record) error {
	if len(read) == 0 {
		return runtimeError("poll() timed out before finding a result (timeout:[%dms])", e2eTimeout.Milliseconds())
	}
	got := read[0]
	switch {
	case !bytes.Equal(got.Value, sent.Value):
		return runtimeError("The message value read [%s] did not match the message value sent [%s]", got.Value, sent.Value)
	case sent.Key == nil && got.Key != nil:
		return runtimeError("Expected null message key but received [%s]", got.Key)
	case sent.Key != nil && got.Key == nil:
		return runtimeError("Expected message key but received null")
	case !bytes.Equal(got.Key, sent.Key):
		return runtimeError("The message key read [%s] did not match the message key sent [%s]", got.Key, sent.Key)
	case len(sent.Headers) > 0 && len(got.Headers) == 0:
		return runtimeError("Expected message headers but received none")
	case len(sent.Headers) != len(got.Headers):
		return runtimeError("Header count mismatch between sent and received messages")
	}
	for i, h := range sent.Headers {
		if g := got.Headers[i]; g.Key != h.Key || !bytes.Equal(g.Value, h.Value) {
			return runtimeError("The message header read [%s:%s] did not match the message header sent [%s:%s]", g.Key, g.Value, h.Key, h.Value)
		}
	}
	if len(read) != 1 {
		return runtimeError("Only one result was expected during this test. We found [%d]", len(read))
	}
	return nil
}
