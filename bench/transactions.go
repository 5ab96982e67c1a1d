package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// recordsPerTransaction go to the partitions of a topic in turn.
const recordsPerTransaction = 10

// transactions commits small transactions: those of one producer one after the other, for the time that each takes, then those of
// many producers side by side, for what they cost.
func transactions(ctx context.Context, b *brokers.Broker, producers, each int) ([]result, error) {
	topic := freshTopic()
	if err := createTopic(b, topic, 6); err != nil {
		return nil, err
	}
	if _, err := commitMany(ctx, b, topic, producers, each/4); err != nil { // makes __transaction_state, and warms up
		return nil, err
	}
	alone, err := commitMany(ctx, b, topic, 1, 4*each)
	if err != nil {
		return nil, err
	}
	cpu, wall, err := spent(func() error {
		_, err := commitMany(ctx, b, topic, producers, each)
		return err
	}, b)
	if err != nil {
		return nil, err
	}
	if err := deleteTopic(topic, b); err != nil {
		return nil, err
	}
	slices.Sort(alone)
	at := func(q float64) float64 { return float64(alone[int(q*float64(len(alone)-1))].Microseconds()) / 1000 }
	one, many := fmt.Sprintf("transactions of %d records", recordsPerTransaction), fmt.Sprintf("transactions of %d producers", producers)
	n := float64(producers * each)
	return []result{
		{one, "p50 from begin to commit", at(0.5), "ms", wanted{}},
		{one, "p99 from begin to commit", at(0.99), "ms", wanted{}},
		{many, "CPU per 1000", cpu.Seconds() / n * 1000, "s", ratio(0.5)},
		{many, "commits/s", n / wall.Seconds(), "", wanted{least: 1}},
	}, nil
}

// commitMany has producers commit transactions side by side and returns how long each took.
func commitMany(ctx context.Context, b *brokers.Broker, topic string, producers, each int) ([]time.Duration, error) {
	took := make([]time.Duration, producers*each)
	errs := make([]error, producers)
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			errs[p] = commitInTurn(ctx, b, topic, fmt.Sprintf("%s-%d", topic, p), took[p*each:(p+1)*each])
		})
	}
	wg.Wait()
	return took, errors.Join(errs...)
}

func commitInTurn(ctx context.Context, b *brokers.Broker, topic, id string, took []time.Duration) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.TransactionalID(id), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	records := make([]*kgo.Record, recordsPerTransaction)
	for i := range took {
		for j := range records {
			records[j] = &kgo.Record{Value: make([]byte, 100)}
		}
		began := time.Now()
		if err := client.BeginTransaction(); err != nil {
			return err
		}
		if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return err
		}
		if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
			return err
		}
		took[i] = time.Since(began)
	}
	return nil
}
