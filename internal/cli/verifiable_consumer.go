package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// maxPollRecords is how many records Kafka's consumer hands out at once, which shows in the events.
const maxPollRecords = 500

// verifiableConsumer is kafka-verifiable-consumer: it reads in a group and tells of assignments, records and commits.
type verifiableConsumer struct {
	set *kafkaflag.Set

	bootstrap, topic, protocol, remoteAssignor, group *kafkaflag.Flag
	instance, maxMessages, sessionTimeout, verbose    *kafkaflag.Flag
	autoCommit, resetPolicy, strategy                 *kafkaflag.Flag
	config                                            configFile
}

func newVerifiableConsumer() Command {
	s := kafkaflag.New("verifiable-consumer", "This tool consumes messages from a specific topic and emits consumer events (e.g. group rebalances, "+
		"received messages, and offsets committed) as JSON objects to STDOUT.", kafkaflag.Argparse)
	t := &verifiableConsumer{
		set:            s,
		bootstrap:      s.String("bootstrap-server", "HOST1:PORT1[,HOST2:PORT2[...]]", "the brokers to contact first", kafkaflag.Required()),
		topic:          s.String("topic", "TOPIC", "read this topic", kafkaflag.Required()),
		protocol:       s.String("group-protocol", "GROUP-PROTOCOL", "classic or consumer", kafkaflag.Default("classic")),
		remoteAssignor: s.String("group-remote-assignor", "GROUP-REMOTE-ASSIGNOR", "the broker's assignor, with --group-protocol consumer"),
		group:          s.String("group-id", "GROUP-ID", "the id of the group", kafkaflag.Required()),
		instance:       s.String("group-instance-id", "GROUP-INSTANCE-ID", "the id of a static member"),
		maxMessages:    s.Int("max-messages", "MAX-MESSAGES", "stop after so many records; -1 is never", kafkaflag.Default("-1")),
		sessionTimeout: s.Int("session-timeout", "TIMEOUT-MS", "the session timeout, with --group-protocol classic"),
		verbose:        s.Switch("verbose", "tell of each record"),
		autoCommit:     s.Switch("enable-autocommit", "commit now and then instead of after each poll"),
		resetPolicy:    s.String("reset-policy", "RESET-POLICY", "where to start without a committed offset: earliest, latest or none", kafkaflag.Default("earliest")),
		strategy: s.String("assignment-strategy", "ASSIGNMENT-STRATEGY", "the members' assignor, with --group-protocol classic",
			kafkaflag.Default("org.apache.kafka.clients.consumer.RangeAssignor")),
		config: newConfigFile(s, "consumer.config"),
	}
	s.Removed("broker-list", "it was removed in Kafka 4.0; use --bootstrap-server")
	return t
}

// Flags implements Command.
func (t *verifiableConsumer) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *verifiableConsumer) Run(ctx context.Context, env Env) error {
	p, err := t.config.load(env, t.set)
	if err != nil {
		return err
	}
	t.setProperties(p)
	run := &verifiableReads{events: &events{out: env.Stdout}, verbose: t.verbose.Present(), commit: !t.autoCommit.Present(), limit: int(t.maxMessages.Int64())}
	opts, err := client.ConsumerOptions(p, env.Stderr)
	if err != nil {
		return thrown(client.Java(err))
	}
	cl, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(t.topic.Value()), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			run.printPartitions("partitions_assigned", p)
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, cl *kgo.Client, p map[string][]int32) {
			if err := cl.CommitMarkedOffsets(ctx); err != nil { // nothing is marked without --enable-autocommit
				fmt.Fprintf(env.Stderr, "The positions are not committed: %v\n", err)
			}
			run.printPartitions("partitions_revoked", p)
		}))...)
	if err != nil {
		return thrown(client.Java(client.ConfigError(err.Error())))
	}
	run.print(newEvent("startup_complete"))
	if err := run.run(ctx, cl); err != nil {
		client.Logf(env.Stderr, "ERROR", "org.apache.kafka.tools.VerifiableConsumer", "Error during processing, terminating consumer process: \n%s", client.Java(err))
	}
	cl.CloseAllowingRebalance()
	run.print(newEvent("shutdown_complete"))
	run.print(newEvent("shutdown_requested"))
	return nil
}

func (t *verifiableConsumer) setProperties(p client.Properties) {
	p["bootstrap.servers"], p["group.id"] = t.bootstrap.Value(), t.group.Value()
	p["auto.offset.reset"] = t.resetPolicy.Value()
	p["enable.auto.commit"] = "false"
	if t.autoCommit.Present() {
		p["enable.auto.commit"] = "true"
	}
	if t.instance.Present() {
		p["group.instance.id"] = t.instance.Value()
	}
	if p["group.protocol"] = t.protocol.Value(); p["group.protocol"] != "classic" {
		if t.remoteAssignor.Present() {
			p["group.remote.assignor"] = t.remoteAssignor.Value()
		}
		return
	}
	p["partition.assignment.strategy"] = t.strategy.Value()
	if t.sessionTimeout.Present() {
		p["session.timeout.ms"] = t.sessionTimeout.Value()
	}
}

// verifiableReads is one run of the tool.
type verifiableReads struct {
	*events
	verbose  bool
	commit   bool
	limit    int // -1: none
	consumed int
}

func (r *verifiableReads) finished() bool { return r.limit >= 0 && r.consumed >= r.limit }

func (r *verifiableReads) run(ctx context.Context, cl *kgo.Client) error {
	for !r.finished() {
		fetches := cl.PollRecords(ctx, maxPollRecords)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		if err := fetchError(fetches); err != nil {
			return err
		}
		offsets := r.received(fetches)
		switch {
		case r.commit && len(offsets) > 0:
			cl.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
				r.committed(offsets, resp, err)
			})
		case !r.commit:
			cl.MarkCommitRecords(fetches.Records()...)
		}
		cl.AllowRebalance()
	}
	return nil
}

// received tells of the records up to the limit and returns the offsets after them.
func (r *verifiableReads) received(fetches kgo.Fetches) map[string]map[int32]kgo.EpochOffset {
	offsets := map[string]map[int32]kgo.EpochOffset{}
	summaries := []recordSet{}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		records := p.Records
		if r.limit >= 0 {
			records = records[:min(len(records), r.limit-r.consumed)]
		}
		if len(records) == 0 {
			return
		}
		last := records[len(records)-1]
		if offsets[p.Topic] == nil {
			offsets[p.Topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1}
		summaries = append(summaries, recordSet{partitionName{p.Topic, p.Partition}, len(records), records[0].Offset, last.Offset})
		if r.verbose {
			for _, record := range records {
				r.print(recordData{newEvent("record_data"), optional(record.Key), optional(record.Value), partitionName{p.Topic, p.Partition}, record.Offset})
			}
		}
		r.consumed += len(records)
	})
	r.print(recordsConsumed{newEvent("records_consumed"), fetches.NumRecords(), summaries})
	return offsets
}

func (r *verifiableReads) committed(offsets map[string]map[int32]kgo.EpochOffset, resp *kmsg.OffsetCommitResponse, err error) {
	e := offsetsCommitted{event: newEvent("offsets_committed"), Offsets: []offsetInEvent{}, Success: true}
	for topic, partitions := range offsets {
		for partition, at := range partitions {
			e.Offsets = append(e.Offsets, offsetInEvent{partitionName{topic, partition}, at.Offset})
		}
	}
	slices.SortFunc(e.Offsets, func(a, b offsetInEvent) int { return a.compare(b.partitionName) })
	if err == nil && resp != nil {
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				err = errors.Join(err, client.Coded(p.ErrorCode, nil))
			}
		}
	}
	if err != nil {
		message := javaError(err).Error()
		e.Error, e.Success = &message, false
	}
	r.print(e)
}

func (r *verifiableReads) printPartitions(name string, partitions map[string][]int32) {
	e := partitionsChanged{newEvent(name), []partitionName{}}
	for topic, numbers := range partitions {
		for _, n := range numbers {
			e.Partitions = append(e.Partitions, partitionName{topic, n})
		}
	}
	slices.SortFunc(e.Partitions, partitionName.compare)
	r.print(e)
}

type partitionName struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
}

func (p partitionName) compare(other partitionName) int {
	return topicPartition{p.Topic, p.Partition}.compare(topicPartition{other.Topic, other.Partition})
}

// The events' fields are in the order in which Kafka's tool prints them.
type recordData struct {
	event
	Key   *string `json:"key"`
	Value *string `json:"value"`
	partitionName
	Offset int64 `json:"offset"`
}

type recordSet struct {
	partitionName
	Count     int   `json:"count"`
	MinOffset int64 `json:"minOffset"`
	MaxOffset int64 `json:"maxOffset"`
}

type recordsConsumed struct {
	event
	Count      int         `json:"count"`
	Partitions []recordSet `json:"partitions"`
}

type offsetInEvent struct {
	partitionName
	Offset int64 `json:"offset"`
}

type offsetsCommitted struct {
	event
	Offsets []offsetInEvent `json:"offsets"`
	Error   *string         `json:"error,omitempty"`
	Success bool            `json:"success"`
}

type partitionsChanged struct {
	event
	Partitions []partitionName `json:"partitions"`
}
