package cli

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/record"
)

// replicaVerificationTool is kafka-replica-verification: it reads all replicas of topics beside each other and tells where they
// differ. It runs until it is stopped, or until offsets differ.
type replicaVerificationTool struct {
	set *kafkaflag.Set

	brokers, fetchSize, maxWait, topics, time, interval *kafkaflag.Flag
}

func newReplicaVerificationTool() Command {
	s := kafkaflag.New("kafka-replica-verification", "Validate that all replicas for a set of topics have the same data.", kafkaflag.Jopt)
	return &replicaVerificationTool{
		set:       s,
		brokers:   s.String("broker-list", "hostname:port,...,hostname:port", "REQUIRED: the brokers to contact first."),
		fetchSize: s.Int("fetch-size", "bytes", "How much to read of a replica at a time.", kafkaflag.Default("1048576")),
		maxWait:   s.Int("max-wait-ms", "ms", "How long a read may wait for records.", kafkaflag.Default("1000")),
		topics:    s.String("topics-include", "Java regex (String)", "The topics to verify, a regular expression.", kafkaflag.Default(".*")),
		time: s.Long("time", "timestamp/-1(latest)/-2(earliest)", "Where to begin: with the first record at or after a time, at the end or at the start.",
			kafkaflag.Default("-1")),
		interval: s.Long("report-interval-ms", "ms", "How often to print the largest lag.", kafkaflag.Default("30000")),
	}
}

// Flags implements Command.
func (t *replicaVerificationTool) Flags() *kafkaflag.Set { return t.set }

const replicaVerificationLogger = "org.apache.kafka.tools.ReplicaVerificationTool"

// Run implements Command.
func (t *replicaVerificationTool) Run(ctx context.Context, env Env) error {
	if err := t.set.CheckRequired(t.brokers); err != nil {
		return err
	}
	if err := validateBootstrap(t.brokers.Value()); err != nil {
		return t.set.UsageErrorf("%s", err)
	}
	if _, err := regexp.Compile(t.topics.Value()); err != nil {
		return throw(env, runtimeError("%s is an invalid regex", t.topics.Value()))
	}
	filter, err := newTopicFilter(t.topics.Value())
	if err != nil {
		return throw(env, err)
	}
	admin, err := client.NewAdmin(client.Properties{"bootstrap.servers": t.brokers.Value()}, env.Stderr)
	if err != nil {
		return throw(env, err)
	}
	defer admin.Close()
	v, err := t.begin(ctx, env, admin, filter)
	if err != nil {
		return throw(env, err)
	}
	v.say("verification process is started")
	for ctx.Err() == nil {
		if v.verify(v.fetch(ctx)) {
			return failed
		}
	}
	return interrupted
}

// begin finds the partitions, their replicas and where to begin.
func (t *replicaVerificationTool) begin(ctx context.Context, env Env, admin *client.Admin, filter *topicFilter) (*verification, error) {
	v := &verification{env: env, client: admin.Client(), ids: map[string][16]byte{}, names: map[[16]byte]string{}, replicas: map[topicPartition][]int32{},
		offsets: map[topicPartition]int64{}, interval: time.Duration(t.interval.Int64()) * time.Millisecond, reported: time.Now(),
		fetchSize: int32(t.fetchSize.Int64()), maxWait: int32(t.maxWait.Int64()), patience: leaderPatience}
	raw, err := admin.Call(ctx, "describeTopics", kmsg.NewPtrMetadataRequest())
	if err != nil {
		return nil, err
	}
	for _, topic := range raw.(*kmsg.MetadataResponse).Topics {
		if topic.Topic == nil || !filter.allows(*topic.Topic, false) {
			continue
		}
		if err := client.Coded(topic.ErrorCode, nil); err != nil {
			return nil, err
		}
		v.ids[*topic.Topic], v.names[topic.TopicID] = topic.TopicID, *topic.Topic
		for _, p := range topic.Partitions {
			tp := topicPartition{*topic.Topic, p.Partition}
			v.partitions = append(v.partitions, tp)
			v.replicas[tp] = slices.Sorted(slices.Values(p.Replicas))
		}
	}
	if len(v.partitions) == 0 {
		client.Logf(env.Stderr, "ERROR", replicaVerificationLogger, "No topics found. [topics-include] if specified, is either filtering out all topics or there is no topic.")
		return nil, failed
	}
	hashOrder(v.partitions, defaultHashCapacity, topicPartition.hash)
	return v, v.seek(ctx, admin, t.time.Int64())
}

// seek sets the offsets to those of a time; a partition whose records are all older begins at its end.
func (v *verification) seek(ctx context.Context, admin *client.Admin, at int64) error {
	older := v.partitions
	for _, time := range []int64{at, offsetLatest} {
		var none []topicPartition
		found, err := v.ledOffsets(ctx, admin, older, time)
		if err != nil {
			return err
		}
		for tp, o := range found {
			switch {
			case o.err != nil:
				return o.err
			case o.offset < 0:
				none = append(none, tp)
			default:
				v.offsets[tp] = o.offset
			}
		}
		if older = none; len(older) == 0 {
			break
		}
	}
	return nil
}

// leaderPatience is how long the start waits for partitions that nobody leads, as Kafka's consumer does for offsets.
const leaderPatience = time.Minute

// ledOffsets lists offsets, and waits for leaders of the partitions that have none.
func (v *verification) ledOffsets(ctx context.Context, admin *client.Admin, of []topicPartition, at int64) (map[topicPartition]listedOffset, error) {
	for begin := time.Now(); ; pause(ctx, 100*time.Millisecond) {
		found := listOffsets(ctx, admin, of, at)
		led := true
		for _, o := range found {
			led = led && !client.HasCode(o.err, kerr.LeaderNotAvailable, kerr.NotLeaderForPartition)
		}
		switch waited := time.Since(begin); {
		case led || ctx.Err() != nil:
			return found, nil
		case waited >= v.patience:
			return nil, client.Timeout(fmt.Sprintf("Failed to get offsets by times in %dms", waited.Milliseconds()))
		}
	}
}

// verification is one run over partitions whose replicas are read side by side.
type verification struct {
	env        Env
	client     *kgo.Client
	ids        map[string][16]byte
	names      map[[16]byte]string
	partitions []topicPartition
	replicas   map[topicPartition][]int32
	offsets    map[topicPartition]int64 // up to where replicas were found equal

	fetchSize, maxWait int32
	interval           time.Duration
	reported           time.Time
	patience           time.Duration // with partitions that have no leader
}

// read is what a replica has from the common offset on.
type read struct {
	batches       []byte
	highWatermark int64
}

type copyAt struct {
	tp     topicPartition
	broker int32
}

func (v *verification) say(format string, args ...any) {
	fmt.Fprintf(v.env.Stdout, "%s: %s\n", time.Now().Format("2006-01-02 15:04:05,000"), fmt.Sprintf(format, args...))
}

// fetch reads all replicas, each broker's in one request. A broker that does not answer has nothing for now.
func (v *verification) fetch(ctx context.Context) map[copyAt]read {
	requests := map[int32]*kmsg.FetchRequest{}
	for _, tp := range v.partitions {
		for _, broker := range v.replicas[tp] {
			req := requests[broker]
			if req == nil {
				req = kmsg.NewPtrFetchRequest()
				req.ReplicaID, req.ReplicaState.ID = debuggingConsumer, debuggingConsumer
				req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = v.maxWait, 1, 1<<31-1, -1
				requests[broker] = req
			}
			i := slices.IndexFunc(req.Topics, func(t kmsg.FetchRequestTopic) bool { return t.Topic == tp.topic })
			if i < 0 {
				t := kmsg.NewFetchRequestTopic()
				t.Topic, t.TopicID = tp.topic, v.ids[tp.topic]
				req.Topics = append(req.Topics, t)
				i = len(req.Topics) - 1
			}
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch, p.LogStartOffset = tp.partition, v.offsets[tp], v.fetchSize, -1, 0
			req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
		}
	}
	type answer struct {
		broker int32
		resp   kmsg.Response
	}
	answers := make(chan answer)
	for broker, req := range requests {
		go func() {
			resp, err := v.client.Broker(int(broker)).Request(ctx, req)
			if err != nil {
				resp = nil
				pause(ctx, time.Duration(v.maxWait)*time.Millisecond)
			}
			answers <- answer{broker, resp}
		}()
	}
	out := map[copyAt]read{}
	for range requests {
		a := <-answers
		resp, ok := a.resp.(*kmsg.FetchResponse)
		if !ok {
			continue
		}
		for _, t := range resp.Topics {
			name := t.Topic
			if name == "" {
				name = v.names[t.TopicID]
			}
			for _, p := range t.Partitions {
				if p.ErrorCode == 0 {
					out[copyAt{topicPartition{name, p.Partition}, a.broker}] = read{p.RecordBatches, p.HighWatermark}
				}
			}
		}
	}
	return out
}

// debuggingConsumer is the replica id of readers that may read any replica, and are no follower.
const debuggingConsumer = -2

// verify compares what was read, moves the common offsets on and prints what differs. It reports whether batches lie at
// different offsets, after which there is nothing left to compare.
func (v *verification) verify(reads map[copyAt]read) (apart bool) {
	maxLag, at, of := int64(-1), int64(-1), topicPartition{}
	for _, tp := range v.partitions {
		if v.compare(tp, reads) {
			return true
		}
		high := int64(-1)
		for _, broker := range v.replicas[tp] {
			if r, ok := reads[copyAt{tp, broker}]; ok {
				high = max(high, r.highWatermark)
			}
		}
		if lag := high - v.offsets[tp]; lag > maxLag {
			maxLag, at, of = lag, v.offsets[tp], tp
		}
	}
	if time.Since(v.reported) > v.interval {
		name := of.String()
		if of == (topicPartition{}) {
			name = "null" // no broker has answered
		}
		v.say("max lag is %d for partition %s at offset %d among %d partitions", maxLag, name, at, len(v.partitions))
		v.reported = time.Now()
	}
	return false
}

// compare goes through the batches of a partition that all replicas have, up to the high watermark of each.
func (v *verification) compare(tp topicPartition, reads map[copyAt]read) (apart bool) {
	brokers := v.replicas[tp]
	rests := make([][]byte, len(brokers))
	for i, broker := range brokers {
		rests[i] = reads[copyAt{tp, broker}].batches
	}
	for {
		of, last, checksum, all := int32(-1), int64(0), uint32(0), true
		for i, broker := range brokers {
			b, ok := firstBatch(rests[i])
			if !ok || b.LastOffset() >= reads[copyAt{tp, broker}].highWatermark {
				all = false
				continue
			}
			rests[i] = rests[i][len(b):]
			switch {
			case of < 0:
				of, last, checksum = broker, b.LastOffset(), b.CRC()
			case last != b.LastOffset():
				v.say("partition %s: replica %d's offset %d doesn't match replica %d's offset %d", tp, of, last, broker, b.LastOffset())
				return true
			case checksum != b.CRC():
				v.say("partition %s has unmatched checksum at offset %d; replica %d's checksum %d; replica %d's checksum %d",
					tp, last, of, checksum, broker, b.CRC())
			}
		}
		if !all || of < 0 {
			return false
		}
		v.offsets[tp] = last + 1
	}
}

// firstBatch is the batch that b begins with, if all of it is there.
func firstBatch(b []byte) (record.Batch, bool) {
	if len(b) < record.HeaderSize {
		return nil, false
	}
	size := record.Batch(b).Size()
	if size < record.HeaderSize || size > len(b) {
		return nil, false
	}
	return record.Batch(b[:size]), true
}
