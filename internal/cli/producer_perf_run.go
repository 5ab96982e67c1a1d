package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/perf"
)

// batchOverhead is more than the headers of a batch and of a record take.
const batchOverhead = 512

// producerPerf is one run of kafka-producer-perf-test.
type producerPerf struct {
	env         Env
	properties  client.Properties
	topic       string
	records     int64
	warmup      int64
	interval    time.Duration
	rate        float64
	payloads    perf.Payloads
	recordSize  int
	metrics     bool
	transaction time.Duration // 0: no transactions

	acked  int64
	all    *perf.Latencies
	steady *perf.Latencies // of the records after the warm-up; nil before
	pool   sync.Pool       // of *kgo.Record
}

func (r *producerPerf) run(ctx context.Context) error {
	opts, err := r.options()
	if err != nil {
		return err
	}
	var metrics *clientMetrics
	if r.metrics {
		metrics = newClientMetrics("producer", r.properties["client.id"])
		opts = append(opts, kgo.WithHooks(metrics))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return client.ConfigError(err.Error())
	}
	defer cl.Close()
	r.pool.New = func() any { return &kgo.Record{Topic: r.topic} }
	if r.warmup > 0 {
		fmt.Fprintf(r.env.Stdout, "Warmup first %d records. Steady state results will print after the complete test summary.\n", r.warmup)
	}
	r.all = perf.NewLatencies(r.env.Stdout, r.records, r.interval, false, time.Now)
	if err := r.produce(ctx, cl); err != nil {
		return err
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	r.all.PrintTotal()
	if r.steady != nil {
		r.steady.PrintTotal()
	}
	if metrics != nil {
		metrics.awaitWritten(r.acked)
		metrics.print(r.env.Stdout)
	}
	return nil
}

// options are the producer's, with batch.size taken at its word: batches are what is measured.
func (r *producerPerf) options() ([]kgo.Opt, error) {
	opts, err := client.ProducerOptions(r.properties, r.env.Stderr)
	if err != nil {
		return nil, err
	}
	batch, err := r.properties.Int("batch.size", 16384)
	if err != nil {
		return nil, err
	}
	return append(opts, kgo.ProducerBatchMaxBytes(int32(max(batch, int64(r.recordSize)+batchOverhead)))), nil
}

func (r *producerPerf) produce(ctx context.Context, cl *kgo.Client) error {
	throttle := perf.NewThrottle(r.rate, time.Now, func(d time.Duration) { pause(ctx, d) })
	acknowledged := r.acknowledged
	var began time.Time // of the transaction, zero if none is open
	for i := int64(0); i < r.records && ctx.Err() == nil; i++ {
		if r.warmup > 0 && i == r.warmup {
			steady := perf.NewLatencies(r.env.Stdout, r.records-r.warmup, r.interval, true, time.Now)
			r.steady, acknowledged = steady, func(record *kgo.Record, err error) { r.count(record, err, steady) }
			r.all.Silence()
		}
		now := time.Now()
		if r.transaction > 0 && began.IsZero() {
			if err := cl.BeginTransaction(); err != nil {
				return err
			}
			began = now
		}
		record := r.pool.Get().(*kgo.Record)
		*record = kgo.Record{Topic: r.topic, Value: r.payloads.Next(i), Timestamp: now}
		cl.Produce(ctx, record, acknowledged)
		if r.transaction > 0 && now.Sub(began) >= r.transaction {
			if err := commit(ctx, cl); err != nil {
				return err
			}
			began = time.Time{}
		}
		if !throttle.Unlimited() {
			throttle.Wait(i)
		}
	}
	if !began.IsZero() {
		return commit(ctx, cl)
	}
	return nil
}

func (r *producerPerf) acknowledged(record *kgo.Record, err error) { r.count(record, err, nil) }

// count counts a record, whose timestamp is the moment when it was sent, and takes it back for the next one.
func (r *producerPerf) count(record *kgo.Record, err error, steady *perf.Latencies) {
	if err != nil {
		fmt.Fprintln(r.env.Stderr, client.Java(javaError(err)))
		return
	}
	r.acked++
	now := time.Now()
	latencyMs, bytes := now.UnixMilli()-record.Timestamp.UnixMilli(), len(record.Value)
	r.all.Record(latencyMs, bytes, now)
	if steady != nil {
		steady.Record(latencyMs, bytes, now)
	}
	r.pool.Put(record)
}

func commit(ctx context.Context, cl *kgo.Client) error {
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	return javaError(cl.EndTransaction(ctx, kgo.TryCommit))
}

// pause sleeps unless the run is interrupted.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// javaError gives a broker's error its Java name.
func javaError(err error) error {
	var coded *kerr.Error
	if errors.As(err, &coded) {
		return client.Coded(coded.Code, nil)
	}
	if errors.Is(err, kgo.ErrRecordTimeout) {
		return client.Timeout("Expiring record: the time since its creation has passed")
	}
	return err
}
