package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

// consoleConsumer is one run of kafka-console-consumer. Its loop is one goroutine; positions are shared with the
// callbacks of the group.
type consoleConsumer struct {
	env    Env
	props  client.Properties
	format messageFormatter

	topic, include string
	partition      int32 // -1 unless --partition is given
	start          int64 // of that partition
	maxMessages    int   // -1 for all
	timeout        time.Duration
	hasTimeout     bool
	skipOnError    bool
	systestEvents  bool

	cl        *kgo.Client
	out       *bufio.Writer
	processed int

	autoCommit  bool
	commitEvery time.Duration
	mu          sync.Mutex
	positions   map[string]map[int32]kgo.EpochOffset // what to commit: the next offset of each assigned partition
}

func (c *consoleConsumer) run(ctx context.Context) error {
	opts, err := c.options()
	if err != nil {
		return consumerFailure(c.env, err)
	}
	stopped := ctx
	ctx, distrust := context.WithCancelCause(ctx)
	defer distrust(nil)
	opts = append(opts, client.OnAuthenticationFailure(func(err error) { distrust(err) }))
	if c.cl, err = kgo.NewClient(opts...); err != nil {
		return consumerFailure(c.env, client.ConfigError(err.Error()))
	}
	if c.partition < 0 && !strings.EqualFold(c.props["group.protocol"], "consumer") {
		fmt.Fprintln(c.env.Stderr, "The consumer rebalance protocol (KIP-848) is production-ready! Set group.protocol=consumer to try it out. "+
			"See https://kafka.apache.org/documentation/#consumer_rebalance_protocol")
	}
	if c.topic != "" {
		c.warnMissingTopic(ctx)
	}
	c.out = bufio.NewWriterSize(c.env.Stdout, 64<<10)
	err = c.consume(ctx)
	flushErr := c.out.Flush()
	c.close(ctx)
	fmt.Fprintf(c.env.Stderr, "Processed a total of %d messages\n", c.processed)
	switch {
	case stopped.Err() != nil:
		if c.systestEvents {
			fmt.Fprintln(c.env.Stdout, "shutdown_complete")
		}
		return interrupted
	case err != nil:
		return consumerFailure(c.env, err)
	case flushErr != nil:
		fmt.Fprintln(c.env.Stderr, "Unable to write to standard out, closing consumer.")
	}
	return nil
}

func (c *consoleConsumer) options() ([]kgo.Opt, error) {
	p := c.props.Clone()
	var own []kgo.Opt
	if c.partition >= 0 {
		delete(p, "group.id")
		at := kgo.NewOffset().At(c.start)
		switch c.start {
		case startEarliest:
			at = kgo.NewOffset().AtStart()
		case startLatest:
			at = kgo.NewOffset().AtEnd()
		}
		own = append(own, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.topic: {c.partition: at}}))
	} else {
		var err error
		if c.autoCommit, err = p.Bool("enable.auto.commit", true); err != nil {
			return nil, err
		}
		if c.commitEvery, err = p.Millis("auto.commit.interval.ms", 5*time.Second); err != nil {
			return nil, err
		}
		p["enable.auto.commit"] = "false" // this tool commits positions, as Kafka's consumer does, not records
		c.positions = map[string]map[int32]kgo.EpochOffset{}
		if c.autoCommit { // the position moves past the markers of transactions too
			own = append(own, kgo.KeepControlRecords())
		}
		if c.topic != "" {
			own = append(own, kgo.ConsumeTopics(c.topic))
		} else {
			own = append(own, kgo.ConsumeRegex(), kgo.ConsumeTopics("^(?:"+c.include+")$"))
		}
		own = append(own, kgo.AdjustFetchOffsetsFn(c.assigned), kgo.OnPartitionsRevoked(c.revoked), kgo.OnPartitionsLost(c.lost))
	}
	opts, err := client.ConsumerOptions(p, c.env.Stderr)
	return append(opts, own...), err
}

// assigned notes the position of each new partition: the committed offset, or where the reset policy leads to.
func (c *consoleConsumer) assigned(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if !c.autoCommit {
		return offsets, nil
	}
	var topics []string
	for topic, partitions := range offsets {
		for _, o := range partitions {
			if o.EpochOffset().Offset < 0 {
				topics = append(topics, topic)
				break
			}
		}
	}
	listed := c.listOffsets(ctx, topics)
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, partitions := range offsets {
		if c.positions[topic] == nil {
			c.positions[topic] = map[int32]kgo.EpochOffset{}
		}
		for partition, o := range partitions {
			at := o.EpochOffset()
			if at.Offset < 0 {
				found, ok := listed.Lookup(topic, partition)
				if !ok || found.Err != nil {
					continue
				}
				at = kgo.EpochOffset{Epoch: -1, Offset: found.Offset}
				partitions[partition] = kgo.NewOffset().At(at.Offset)
			}
			c.positions[topic][partition] = at
		}
	}
	return offsets, nil
}

// listOffsets finds the ends that the reset policy asks for. An error leaves the partitions to the client's own
// resolution.
func (c *consoleConsumer) listOffsets(ctx context.Context, topics []string) kadm.ListedOffsets {
	if len(topics) == 0 {
		return nil
	}
	adm := kadm.NewClient(c.cl)
	var listed kadm.ListedOffsets
	switch {
	case c.props["auto.offset.reset"] == "earliest":
		listed, _ = adm.ListStartOffsets(ctx, topics...)
	case c.props["auto.offset.reset"] != "latest":
	case c.props["isolation.level"] == "read_committed":
		listed, _ = adm.ListCommittedOffsets(ctx, topics...)
	default:
		listed, _ = adm.ListEndOffsets(ctx, topics...)
	}
	return listed
}

func (c *consoleConsumer) revoked(ctx context.Context, _ *kgo.Client, gone map[string][]int32) {
	c.commit(ctx)
	c.lost(ctx, nil, gone)
}

func (c *consoleConsumer) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, partitions := range gone {
		for _, p := range partitions {
			delete(c.positions[topic], p)
		}
	}
}

func (c *consoleConsumer) commit(ctx context.Context) {
	if !c.autoCommit {
		return
	}
	c.mu.Lock()
	positions := map[string]map[int32]kgo.EpochOffset{}
	for topic, partitions := range c.positions {
		for p, at := range partitions {
			if positions[topic] == nil {
				positions[topic] = map[int32]kgo.EpochOffset{}
			}
			positions[topic][p] = at
		}
	}
	c.mu.Unlock()
	if len(positions) == 0 {
		return
	}
	ctx = kgo.PreCommitFnContext(ctx, withoutMetadata)
	c.cl.CommitOffsetsSync(ctx, positions, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			client.Logf(c.env.Stderr, "WARN", "org.apache.kafka.clients.consumer.internals.ConsumerCoordinator",
				"[Consumer clientId=%s, groupId=%s] Synchronous auto-commit of offsets failed: %v", c.props["client.id"], c.props["group.id"], err)
		}
	})
}

// withoutMetadata takes out the member id that franz-go puts there: Kafka's consumer commits empty metadata.
func withoutMetadata(req *kmsg.OffsetCommitRequest) error {
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			req.Topics[i].Partitions[j].Metadata = kmsg.StringPtr("")
		}
	}
	return nil
}

// close commits and leaves the group, within the time that Kafka's consumer takes for it at most.
func (c *consoleConsumer) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if c.partition < 0 {
		c.commit(ctx)
		c.autoCommit = false // the partitions are revoked now
		_ = c.cl.LeaveGroupContext(ctx)
	}
	c.cl.Close()
}

// consume prints records until there are enough, none comes in time, or the context ends. An error is of a record
// that cannot be printed.
func (c *consoleConsumer) consume(ctx context.Context) error {
	nextCommit := time.Now().Add(c.commitEvery)
	lastRecord := time.Now()
	for c.processed < c.maxMessages || c.maxMessages < 0 {
		fetches, err := c.poll(ctx, lastRecord, nextCommit)
		if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
			return nil
		} else if cause != nil {
			err = cause
		}
		if err != nil {
			client.Logf(c.env.Stderr, "ERROR", consoleConsumerLogger, "Error processing message, terminating consumer process: ")
			fmt.Fprintln(c.env.Stderr, client.Java(err))
			return nil
		}
		before := c.processed
		if stop, err := c.printAll(fetches); stop || err != nil {
			return err
		}
		if c.processed > before {
			lastRecord = time.Now()
		}
		if now := time.Now(); c.autoCommit && !now.Before(nextCommit) {
			c.commit(ctx)
			nextCommit = now.Add(c.commitEvery)
		}
	}
	return nil
}

// poll waits for records. It is back in time for the next commit, and with a timeout error when none came.
func (c *consoleConsumer) poll(ctx context.Context, lastRecord, nextCommit time.Time) (kgo.Fetches, error) {
	var until time.Time
	if c.autoCommit {
		until = nextCommit
	}
	deadline := lastRecord.Add(c.timeout)
	if c.hasTimeout && (until.IsZero() || deadline.Before(until)) {
		until = deadline
	}
	pollCtx := ctx
	if !until.IsZero() {
		var cancel context.CancelFunc
		pollCtx, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	fetches := c.cl.PollFetches(pollCtx)
	for _, e := range fetches.Errors() {
		if err := fatalFetchError(e.Err); err != nil {
			return nil, err
		}
	}
	if c.hasTimeout && fetches.NumRecords() == 0 && !time.Now().Before(deadline) {
		return nil, client.Timeout("")
	}
	return fetches, nil
}

// fatalFetchError leaves out what the client gets over by itself.
func fatalFetchError(err error) error {
	var loss *kgo.ErrDataLoss
	var coded *kerr.Error
	var session *kgo.ErrGroupSession
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.As(err, &loss):
		return nil
	case errors.As(err, &coded):
		if kerr.IsRetriable(coded) {
			return nil
		}
		return client.Coded(coded.Code, nil)
	case errors.As(err, &session), strings.Contains(err.Error(), "dial"), strings.Contains(err.Error(), "connection"):
		return nil
	}
	return err
}

func (c *consoleConsumer) printAll(fetches kgo.Fetches) (stop bool, err error) {
	var line []byte
	for iter := fetches.RecordIter(); !iter.Done(); {
		if c.maxMessages >= 0 && c.processed >= c.maxMessages {
			return true, nil
		}
		r := iter.Next()
		c.advance(r)
		if r.Attrs.IsControl() {
			continue
		}
		c.processed++
		if line, err = c.format.appendRecord(line[:0], r); err != nil {
			if !c.skipOnError {
				return true, err
			}
			client.Logf(c.env.Stderr, "ERROR", consoleConsumerLogger, "Error processing message, skipping this message: ")
			fmt.Fprintln(c.env.Stderr, client.Java(err))
			continue
		}
		_, _ = c.out.Write(line) // Flush has the error
	}
	if err := c.out.Flush(); err != nil {
		return true, nil
	}
	return false, nil
}

func (c *consoleConsumer) advance(r *kgo.Record) {
	if !c.autoCommit {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if partitions := c.positions[r.Topic]; partitions != nil {
		if _, mine := partitions[r.Partition]; mine {
			partitions[r.Partition] = kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset + 1}
		}
	}
}

// warnMissingTopic says what Kafka's consumer says when the topic is not there (and creates it where brokers do so
// of their own accord).
func (c *consoleConsumer) warnMissingTopic(ctx context.Context) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = !strings.EqualFold(c.props["allow.auto.create.topics"], "false")
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(c.topic)
	req.Topics = append(req.Topics, t)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	resp, err := req.RequestWith(ctx, c.cl)
	if err != nil || len(resp.Topics) != 1 || resp.Topics[0].ErrorCode == 0 {
		return
	}
	who := "clientId=" + c.props["client.id"]
	if c.partition < 0 {
		who += ", groupId=" + c.props["group.id"]
	}
	client.Logf(c.env.Stderr, "WARN", "org.apache.kafka.clients.NetworkClient",
		"[Consumer %s] The metadata response from the cluster reported a recoverable issue with correlation id 2 : {%s=%s}",
		who, c.topic, kerr.TypedErrorForCode(resp.Topics[0].ErrorCode).Message)
}
