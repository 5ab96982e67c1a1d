package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/cli/perf"
)

// verifiableProducer is kafka-verifiable-producer: it sends rising numbers and tells of each what became of it.
type verifiableProducer struct {
	set *kafkaflag.Set

	topic, bootstrap, maxMessages, throughput *kafkaflag.Flag
	acks, createTime, valuePrefix, keys       *kafkaflag.Flag
	config                                    configFile
}

func newVerifiableProducer() Command {
	s := kafkaflag.New("verifiable-producer", "This tool produces increasing integers to the specified topic and prints JSON metadata to stdout on "+
		"each \"send\" request, making externally visible which messages have been acked and which have not.", kafkaflag.Argparse)
	t := &verifiableProducer{
		set:         s,
		topic:       s.String("topic", "TOPIC", "produce to this topic", kafkaflag.Required()),
		bootstrap:   s.String("bootstrap-server", "HOST1:PORT1[,HOST2:PORT2[...]]", "REQUIRED: the brokers to contact first", kafkaflag.Required()),
		maxMessages: s.Int("max-messages", "MAX-MESSAGES", "stop after so many records; -1 is never", kafkaflag.Default("-1")),
		throughput:  s.Int("throughput", "THROUGHPUT", "hold about this many records per second; -1 is no limit", kafkaflag.Default("-1")),
		acks:        s.Int("acks", "ACKS", "what the producer waits for", kafkaflag.Default("-1"), kafkaflag.Choices("0", "1", "-1")),
		config:      newConfigFile(s, "producer.config"),
		createTime:  s.Long("message-create-time", "CREATE-TIME", "timestamps start here, in milliseconds since 1970", kafkaflag.Default("-1")),
		valuePrefix: s.Int("value-prefix", "VALUE-PREFIX", "a number and a dot before each value"),
		keys:        s.Int("repeating-keys", "REPEATING-KEYS", "keys go from 0 up to this number (exclusive) and start again"),
	}
	s.Removed("broker-list", "it was removed in Kafka 4.0; use --bootstrap-server")
	return t
}

// Flags implements Command.
func (t *verifiableProducer) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *verifiableProducer) Run(ctx context.Context, env Env) error {
	file, err := t.config.load(env, t.set)
	if err != nil {
		return err
	}
	// Kafka's tool sets retries to 0, so that no record is written twice; an idempotent producer sees to that as well,
	// and waits for a topic that is being created.
	p := client.Properties{"bootstrap.servers": t.bootstrap.Value(), "acks": t.acks.Value()}.With(file)
	opts, err := client.ProducerOptions(p, env.Stderr)
	if err != nil {
		return thrown(client.Java(err))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return thrown(client.Java(client.ConfigError(err.Error())))
	}
	run := &verifiableSends{topic: t.topic.Value(), events: &events{out: env.Stdout}, createTime: t.createTime.Int64()}
	if t.valuePrefix.Present() {
		run.prefix = t.valuePrefix.Value() + "."
	}
	run.keys = t.keys.Int64()
	run.run(ctx, cl, t.maxMessages.Int64(), t.throughput.Int64())
	return nil
}

// verifiableSends is one run of the tool.
type verifiableSends struct {
	*events
	topic      string
	prefix     string
	keys       int64 // 0: no keys
	createTime int64 // -1: now
	sent       int64
	acked      atomic.Int64
}

func (r *verifiableSends) run(ctx context.Context, cl *kgo.Client, limit, throughput int64) {
	start := time.Now()
	r.print(newEvent("startup_complete"))
	throttle := perf.NewThrottle(float64(throughput), time.Now, func(d time.Duration) { pause(ctx, d) })
	for i := int64(0); (limit < 0 || i < limit) && ctx.Err() == nil; i++ {
		r.send(cl, i, start)
		throttle.Wait(i)
	}
	// What was sent gets its answer even after an interrupt.
	_ = cl.Flush(context.WithoutCancel(ctx)) // its only error is that of the context
	cl.Close()
	r.print(newEvent("shutdown_complete"))
	acked := r.acked.Load()
	average := 1000 * float64(acked) / float64(max(1, time.Since(start).Milliseconds()))
	r.print(toolData{newEvent("tool_data"), r.sent, acked, throughput, javaDouble(average)})
}

func (r *verifiableSends) send(cl *kgo.Client, n int64, start time.Time) {
	record := &kgo.Record{Topic: r.topic, Value: []byte(r.prefix + strconv.FormatInt(n, 10))}
	if r.keys > 0 {
		record.Key = strconv.AppendInt(nil, n%r.keys, 10)
	}
	if r.createTime != -1 {
		record.Timestamp = time.UnixMilli(r.createTime)
		r.createTime += time.Since(start).Milliseconds()
	}
	r.sent++
	cl.Produce(context.Background(), record, r.done)
}

func (r *verifiableSends) done(record *kgo.Record, err error) {
	key, value := optional(record.Key), string(record.Value)
	if err == nil {
		r.acked.Add(1)
		r.print(sendSuccess{newEvent("producer_send_success"), key, value, record.Offset, record.Topic, record.Partition})
		return
	}
	class, message, _ := strings.Cut(client.Java(javaError(err)), ": ")
	r.print(sendFailure{newEvent("producer_send_error"), record.Topic, key, value, "class " + class, fmt.Sprint(message)})
}

// The events' fields are in the order in which Kafka's tool prints them.
type sendSuccess struct {
	event
	Key       *string `json:"key"`
	Value     string  `json:"value"`
	Offset    int64   `json:"offset"`
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
}

type sendFailure struct {
	event
	Topic     string  `json:"topic"`
	Key       *string `json:"key"`
	Value     string  `json:"value"`
	Exception string  `json:"exception"`
	Message   string  `json:"message"`
}

type toolData struct {
	event
	Sent             int64      `json:"sent"`
	Acked            int64      `json:"acked"`
	TargetThroughput int64      `json:"target_throughput"`
	AvgThroughput    javaDouble `json:"avg_throughput"`
}
