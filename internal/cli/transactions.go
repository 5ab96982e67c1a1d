package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// transactionsTool is kafka-transactions: what transactions there are, which of them hang, and their end by force (KIP-664).
type transactionsTool struct {
	set *kafkaflag.Set

	servers, config                                                         *kafkaflag.Flag
	list, describe, describeProducers, abort, hanging, force                *kafkaflag.Set
	longer, pattern                                                         *kafkaflag.Flag
	id, forceID                                                             *kafkaflag.Flag
	producersTopic, producersPartition, producersBroker                     *kafkaflag.Flag
	abortTopic, abortPartition, abortStart, abortID, abortEpoch, abortCoord *kafkaflag.Flag
	hangingTopic, hangingPartition, hangingBroker, hangingMinutes           *kafkaflag.Flag
}

func newTransactionsTool() Command {
	s := kafkaflag.New("kafka-transactions", "Shows the transactions of producers and ends those that hang.", kafkaflag.Argparse)
	t := &transactionsTool{
		set:     s,
		config:  s.String("command-config", "FILE", "a properties file with settings for the admin client"),
		servers: s.String("bootstrap-server", "host:port", "the brokers to contact first, separated by commas", kafkaflag.Required()),
	}
	t.list = s.Sub("list", "list transactional ids and where their transactions are")
	t.longer = t.list.Long("duration-filter", "DURATION_FILTER", "only those that run for longer than so many milliseconds; below 0: all")
	t.pattern = t.list.String("transactional-id-pattern", "TRANSACTIONAL_ID_PATTERN", "only transactional ids that match the regular expression")
	t.describe = s.Sub("describe", "show one transactional id with its transaction")
	t.id = t.describe.String("transactional-id", "TRANSACTIONAL_ID", "the transactional id", kafkaflag.Required())
	t.describeProducers = s.Sub("describe-producers", "show who writes into a partition, and whose transaction is open in it")
	t.producersBroker = t.describeProducers.Int("broker-id", "BROKER_ID", "the broker to ask; without it the leader")
	t.producersTopic = t.describeProducers.String("topic", "TOPIC", "the topic", kafkaflag.Required())
	t.producersPartition = t.describeProducers.Int("partition", "PARTITION", "the partition", kafkaflag.Required())
	t.abort = s.Sub("abort", "end a transaction that hangs in a partition; that needs the right to alter the cluster")
	t.abortTopic = t.abort.String("topic", "TOPIC", "the topic", kafkaflag.Required())
	t.abortPartition = t.abort.Int("partition", "PARTITION", "the partition", kafkaflag.Required())
	t.abortStart = t.abort.Long("start-offset", "START_OFFSET", "where the transaction begins")
	t.abortID = t.abort.Long("producer-id", "PRODUCER_ID", "the producer id, instead of --start-offset")
	t.abortEpoch = t.abort.Int("producer-epoch", "PRODUCER_EPOCH", "the producer epoch, with --producer-id")
	t.abortCoord = t.abort.Int("coordinator-epoch", "COORDINATOR_EPOCH", "the coordinator epoch, with --producer-id")
	t.hanging = s.Sub("find-hanging", "look for open transactions that no coordinator is going to end")
	t.hangingBroker = t.hanging.Int("broker-id", "BROKER_ID", "look at the partitions of this broker")
	t.hangingMinutes = t.hanging.Int("max-transaction-timeout", "MAX_TRANSACTION_TIMEOUT", "the longest time-out of transactions in minutes", kafkaflag.Default("15"))
	t.hangingTopic = t.hanging.String("topic", "TOPIC", "look at this topic")
	t.hangingPartition = t.hanging.Int("partition", "PARTITION", "look at this partition of it")
	t.force = s.Sub("forceTerminateTransaction", "fence the producer of a transactional id and abort what it has open; that needs the right to write with the id")
	t.forceID = t.force.String("transactionalId", "TRANSACTIONALID", "the transactional id", kafkaflag.Required())
	return t
}

// Flags implements Command.
func (t *transactionsTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *transactionsTool) Run(ctx context.Context, env Env) error {
	admin, err := connect(env, "bootstrap.servers", t.servers.Value(), t.config.Value())
	if err != nil {
		return throw(env, err)
	}
	defer admin.Close()
	switch t.set.Chosen() {
	case t.list:
		err = t.runList(ctx, env, admin)
	case t.describe:
		err = t.runDescribe(ctx, env, admin)
	case t.describeProducers:
		err = t.runProducers(ctx, env, admin)
	case t.abort:
		err = t.runAbort(ctx, admin)
	case t.hanging:
		err = t.runHanging(ctx, env, admin)
	case t.force:
		err = t.runForce(ctx, admin)
	default:
		return &kafkaflag.ArgumentError{Set: t.set, Message: "too few arguments"}
	}
	return throw(env, err)
}

func (t *transactionsTool) runList(ctx context.Context, env Env, admin *client.Admin) error {
	req := kmsg.NewPtrListTransactionsRequest()
	req.DurationFilterMillis = -1
	if t.longer.Present() {
		req.DurationFilterMillis = t.longer.Int64()
	}
	if t.pattern.Present() {
		p := t.pattern.Value()
		req.TransactionalIDPattern = &p
	}
	rows := [][]string{{"TransactionalId", "Coordinator", "ProducerId", "TransactionState"}}
	for _, shard := range admin.CallSharded(ctx, "listTransactions", req) {
		err := shard.Err
		if err == nil {
			err = kerr.ErrorForCode(shard.Resp.(*kmsg.ListTransactionsResponse).ErrorCode)
		}
		if err != nil {
			return terseErrorf("A broker did not list its transactions: %v", err)
		}
		for _, s := range shard.Resp.(*kmsg.ListTransactionsResponse).TransactionStates {
			rows = append(rows, []string{s.TransactionalID, fmt.Sprint(shard.Meta.NodeID), fmt.Sprint(s.ProducerID), s.TransactionState})
		}
	}
	printTable(env.Stdout, rows)
	return nil
}

// described is what the coordinator of an id tells of it.
func described(ctx context.Context, admin *client.Admin, id string) (kadm.DescribedTransaction, error) {
	all, err := admin.Kadm().DescribeTransactions(ctx, id)
	if err != nil {
		return kadm.DescribedTransaction{}, err
	}
	return all[id], all[id].Err
}

func (t *transactionsTool) runDescribe(ctx context.Context, env Env, admin *client.Admin) error {
	id := t.id.Value()
	d, err := described(ctx, admin, id)
	if errors.Is(err, kerr.TransactionalIDNotFound) {
		return terseErrorf("The coordinator knows no transactional id `%s`.", id)
	}
	if err != nil {
		return terseErrorf("The transactional id `%s` cannot be described: %v", id, err)
	}
	began, took := "None", "None"
	if d.StartTimestamp >= 0 {
		began, took = fmt.Sprint(d.StartTimestamp), fmt.Sprint(time.Now().UnixMilli()-d.StartTimestamp)
	}
	var parts []string
	for _, topic := range d.Topics.Sorted() {
		for _, p := range topic.Partitions {
			parts = append(parts, fmt.Sprintf("%s-%d", topic.Topic, p))
		}
	}
	printTable(env.Stdout, [][]string{
		{"CoordinatorId", "TransactionalId", "ProducerId", "ProducerEpoch", "TransactionState", "TransactionTimeoutMs", "CurrentTransactionStartTimeMs", "TransactionDurationMs", "TopicPartitions"},
		{fmt.Sprint(d.Coordinator), d.TxnID, fmt.Sprint(d.ProducerID), fmt.Sprint(d.ProducerEpoch), d.State, fmt.Sprint(d.TimeoutMillis), began, took, strings.Join(parts, ",")},
	})
	return nil
}

// producersOf asks a broker, or with -1 the leader, for the producers of partitions.
func producersOf(ctx context.Context, admin *client.Admin, broker int32, topics kadm.TopicsSet) ([]kadm.DescribedProducer, error) {
	if broker < 0 {
		got, err := admin.Kadm().DescribeProducers(ctx, topics)
		if err == nil {
			got.EachPartition(func(p kadm.DescribedProducersPartition) {
				if err == nil {
					err = p.Err
				}
			})
		}
		return got.SortedProducers(), err
	}
	req := kmsg.NewPtrDescribeProducersRequest()
	for topic, parts := range topics {
		rt := kmsg.NewDescribeProducersRequestTopic()
		rt.Topic, rt.Partitions = topic, slices.Sorted(maps.Keys(parts))
		req.Topics = append(req.Topics, rt)
	}
	raw, err := admin.CallBroker(ctx, "describeProducers", broker, req)
	if err != nil {
		return nil, err
	}
	var out []kadm.DescribedProducer
	for _, rt := range raw.(*kmsg.DescribeProducersResponse).Topics {
		for _, p := range rt.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, err
			}
			for _, a := range p.ActiveProducers {
				out = append(out, kadm.DescribedProducer{Leader: broker, Topic: rt.Topic, Partition: p.Partition, ProducerID: a.ProducerID, ProducerEpoch: int16(a.ProducerEpoch),
					LastSequence: a.LastSequence, LastTimestamp: a.LastTimestamp, CoordinatorEpoch: a.CoordinatorEpoch, CurrentTxnStartOffset: a.CurrentTxnStartOffset})
			}
		}
	}
	return out, nil
}

// orNone is a number, or None if it is negative.
func orNone(n int64) string {
	if n < 0 {
		return "None"
	}
	return fmt.Sprint(n)
}

func (t *transactionsTool) runProducers(ctx context.Context, env Env, admin *client.Admin) error {
	broker := int32(-1)
	if t.producersBroker.Present() {
		broker = int32(t.producersBroker.Int64())
	}
	topic, partition := t.producersTopic.Value(), int32(t.producersPartition.Int64())
	ps, err := producersOf(ctx, admin, broker, kadm.TopicsSet{topic: {partition: {}}})
	if err != nil {
		who := "its leader"
		if broker >= 0 {
			who = fmt.Sprintf("broker %d", broker)
		}
		return terseErrorf("The producers of partition %s-%d are not told by %s: %v", topic, partition, who, err)
	}
	rows := [][]string{{"ProducerId", "ProducerEpoch", "LatestCoordinatorEpoch", "LastSequence", "LastTimestamp", "CurrentTransactionStartOffset"}}
	for _, p := range ps {
		rows = append(rows, []string{fmt.Sprint(p.ProducerID), fmt.Sprint(p.ProducerEpoch), fmt.Sprint(max(p.CoordinatorEpoch, -1)), fmt.Sprint(p.LastSequence),
			fmt.Sprint(p.LastTimestamp), orNone(p.CurrentTxnStartOffset)})
	}
	printTable(env.Stdout, rows)
	return nil
}

func (t *transactionsTool) runAbort(ctx context.Context, admin *client.Admin) error {
	topic, partition := t.abortTopic.Value(), int32(t.abortPartition.Int64())
	byID := t.abortID.Present()
	switch {
	case t.abortStart.Present() == byID:
		return terseErrorf("Say which transaction is meant: either by --start-offset, or, with brokers before 3.0, by --producer-id, --producer-epoch and --coordinator-epoch.")
	case byID && !t.abortEpoch.Present():
		return terseErrorf("With --producer-id goes --producer-epoch.")
	case byID && !t.abortCoord.Present():
		return terseErrorf("With --producer-id goes --coordinator-epoch.")
	}
	marker := kadm.TxnMarkers{Commit: false, Topics: kadm.TopicsSet{topic: {partition: {}}}}
	if byID {
		marker.ProducerID, marker.ProducerEpoch, marker.CoordinatorEpoch = t.abortID.Int64(), int16(t.abortEpoch.Int64()), int32(t.abortCoord.Int64())
	} else {
		ps, err := producersOf(ctx, admin, -1, marker.Topics)
		if err != nil {
			return terseErrorf("The producers of partition %s-%d are not known: %v", topic, partition, err)
		}
		i := slices.IndexFunc(ps, func(p kadm.DescribedProducer) bool { return p.CurrentTxnStartOffset == t.abortStart.Int64() })
		if i < 0 {
			return terseErrorf("No open transaction begins at offset %d of partition %s-%d.", t.abortStart.Int64(), topic, partition)
		}
		marker.ProducerID, marker.ProducerEpoch, marker.CoordinatorEpoch = ps[i].ProducerID, ps[i].ProducerEpoch, max(ps[i].CoordinatorEpoch, 0)
	}
	got, err := admin.Kadm().WriteTxnMarkers(ctx, marker)
	if err == nil {
		got.EachPartition(func(p kadm.TxnMarkersPartitionResponse) {
			if err == nil {
				err = p.Err
			}
		})
	}
	if err != nil {
		return terseErrorf("The transaction was not ended: %v", err)
	}
	return nil
}

// runHanging lists open transactions of partitions that no coordinator knows of.
func (t *transactionsTool) runHanging(ctx context.Context, env Env, admin *client.Admin) error {
	switch {
	case t.hangingPartition.Present() && !t.hangingTopic.Present():
		return terseErrorf("With --partition goes --topic.")
	case !t.hangingTopic.Present() && !t.hangingBroker.Present():
		return terseErrorf("Say where to look: --topic, --broker-id or both.")
	}
	parts, err := t.searched(ctx, admin)
	if err != nil {
		return err
	}
	broker := int32(-1)
	if t.hangingBroker.Present() {
		broker = int32(t.hangingBroker.Int64())
	}
	rows := [][]string{{"Topic", "Partition", "ProducerId", "ProducerEpoch", "CoordinatorEpoch", "StartOffset", "LastTimestamp", "Duration(min)"}}
	if len(parts) > 0 {
		ps, err := producersOf(ctx, admin, broker, parts)
		if err != nil {
			return terseErrorf("The producers are not known: %v", err)
		}
		longest := time.Duration(t.hangingMinutes.Int64()) * time.Minute
		now := time.Now()
		ps = slices.DeleteFunc(ps, func(p kadm.DescribedProducer) bool {
			return p.CurrentTxnStartOffset < 0 || now.Sub(time.UnixMilli(p.LastTimestamp)) <= longest
		})
		if ps, err = hanging(ctx, admin, ps); err != nil {
			return terseErrorf("The coordinators do not tell which transactions they know: %v", err)
		}
		for _, p := range ps {
			rows = append(rows, []string{p.Topic, fmt.Sprint(p.Partition), fmt.Sprint(p.ProducerID), fmt.Sprint(p.ProducerEpoch), fmt.Sprint(max(p.CoordinatorEpoch, -1)),
				orNone(p.CurrentTxnStartOffset), fmt.Sprint(p.LastTimestamp), fmt.Sprint(int64(now.Sub(time.UnixMilli(p.LastTimestamp)).Minutes()))})
		}
	}
	printTable(env.Stdout, rows)
	return nil
}

// searched are the partitions to look at.
func (t *transactionsTool) searched(ctx context.Context, admin *client.Admin) (kadm.TopicsSet, error) {
	var names []string
	if t.hangingTopic.Present() {
		names = []string{t.hangingTopic.Value()}
	}
	md, err := admin.Kadm().Metadata(ctx, names...)
	if err != nil {
		return nil, err
	}
	out := kadm.TopicsSet{}
	for name, topic := range md.Topics {
		if topic.Err != nil {
			return nil, terseErrorf("Topic `%s` cannot be looked at: %v", name, topic.Err)
		}
		for index, p := range topic.Partitions {
			if t.hangingPartition.Present() && int64(index) != t.hangingPartition.Int64() || t.hangingBroker.Present() && !slices.Contains(p.Replicas, int32(t.hangingBroker.Int64())) {
				continue
			}
			out.Add(name, index)
		}
	}
	return out, nil
}

// hanging leaves of open transactions those that no coordinator knows of, or knows to be over.
func hanging(ctx context.Context, admin *client.Admin, open []kadm.DescribedProducer) ([]kadm.DescribedProducer, error) {
	if len(open) == 0 {
		return nil, nil
	}
	var ids []int64
	for _, p := range open {
		ids = append(ids, p.ProducerID)
	}
	listed, err := admin.Kadm().ListTransactions(ctx, ids, nil)
	if err != nil {
		return nil, err
	}
	byProducer := map[int64]kadm.DescribedTransaction{}
	for _, id := range listed.TransactionalIDs() {
		d, err := described(ctx, admin, id)
		if errors.Is(err, kerr.TransactionalIDNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		byProducer[d.ProducerID] = d
	}
	var out []kadm.DescribedProducer
	for _, p := range open {
		if d, ok := byProducer[p.ProducerID]; ok {
			if _, in := d.Topics[p.Topic][p.Partition]; in {
				continue
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// forcePatience is how long a transactional id is tried to be taken over.
const forcePatience = time.Minute

// runForce takes the transactional id over: that fences its producer and aborts what it has open.
func (t *transactionsTool) runForce(ctx context.Context, admin *client.Admin) error {
	ctx, cancel := context.WithTimeout(ctx, forcePatience)
	defer cancel()
	id := t.forceID.Value()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = &id, 60_000, -1, -1
	for {
		raw, err := admin.Call(ctx, "fenceProducers", req)
		if err != nil {
			return terseErrorf("The transactional id `%s` was not taken over: %v", id, err)
		}
		switch err := kerr.ErrorForCode(raw.(*kmsg.InitProducerIDResponse).ErrorCode); {
		case err == nil:
			return nil
		case errors.Is(err, kerr.ConcurrentTransactions), errors.Is(err, kerr.CoordinatorLoadInProgress), errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, kerr.NotCoordinator):
			pause := time.NewTimer(100 * time.Millisecond)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return terseErrorf("The transactional id `%s` was not taken over in time: %v", id, err)
			}
		default:
			return terseErrorf("The transactional id `%s` was not taken over: %v", id, err)
		}
	}
}
