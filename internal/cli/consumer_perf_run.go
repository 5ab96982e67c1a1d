package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/perf"
)

// pollTime is how long one poll may take, so that the tool sees its own time-out.
const pollTime = 100 * time.Millisecond

// consumerPerf is one run of kafka-consumer-perf-test.
type consumerPerf struct {
	env        Env
	properties client.Properties
	topic      string // a regular expression if regex
	regex      bool
	records    int64
	timeout    time.Duration
	interval   time.Duration
	detailed   bool
	header     bool
	metrics    bool
	dates      string

	joins joinTimes
}

// progress is what was read up to a moment.
type progress struct {
	at             time.Time
	records, bytes int64
}

func (r *consumerPerf) run(ctx context.Context) error {
	if r.header {
		first := "start.time, end.time"
		if r.detailed {
			first = "time, threadId"
		}
		fmt.Fprintln(r.env.Stdout, first+", data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec")
	}
	var metrics *clientMetrics
	if r.metrics {
		metrics = newClientMetrics("consumer", r.properties["client.id"])
	}
	start := time.Now()
	r.joins.began = start
	cl, err := r.client(metrics)
	if err != nil {
		return err
	}
	defer cl.Close()
	read, err := r.consume(ctx, cl, start)
	if err != nil {
		return err
	}
	end := time.Now()
	if !r.detailed {
		r.printTotal(start, end, read)
	}
	if metrics != nil {
		metrics.print(r.env.Stdout)
	}
	return nil
}

func (r *consumerPerf) client(metrics *clientMetrics) (*kgo.Client, error) {
	opts, err := client.ConsumerOptions(r.properties, r.env.Stderr)
	if err != nil {
		return nil, err
	}
	opts = append(opts, kgo.ConsumeTopics(r.topic), kgo.DisableFetchCRCValidation(), kgo.WithPools(&fetchPool{}),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { r.joins.end() }),
		kgo.OnPartitionsRevoked(func(ctx context.Context, cl *kgo.Client, _ map[string][]int32) {
			if err := cl.CommitMarkedOffsets(ctx); err != nil { // nothing, unless enable.auto.commit; also when the client leaves
				fmt.Fprintf(r.env.Stderr, "The positions are not committed: %v\n", err)
			}
			r.joins.begin()
		}))
	if r.regex {
		opts = append(opts, kgo.ConsumeRegex())
	}
	if metrics != nil {
		opts = append(opts, kgo.WithHooks(metrics))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, client.ConfigError(err.Error())
	}
	return cl, nil
}

func (r *consumerPerf) consume(ctx context.Context, cl *kgo.Client, start time.Time) (progress, error) {
	read, last := progress{at: start}, progress{at: start}
	lastConsumed := start
	for read.records < r.records && read.at.Sub(lastConsumed) <= r.timeout && ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, pollTime)
		fetches := cl.PollFetches(poll)
		cancel()
		read.at = time.Now()
		if err := fetchError(fetches); err != nil {
			return read, err
		}
		if !fetches.Empty() {
			lastConsumed = read.at
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, record := range p.Records {
				read.records++
				read.bytes += int64(len(record.Key) + len(record.Value))
				if read.at.Sub(last.at) >= r.interval {
					if r.detailed {
						r.printProgress(last, read)
					}
					r.joins.nextRound()
					last = read
				}
			}
			if n := len(p.Records); n > 0 {
				cl.MarkCommitRecords(p.Records[n-1])
			}
			for _, record := range p.Records {
				record.Recycle()
			}
		})
	}
	if read.records < r.records {
		fmt.Fprintf(r.env.Stdout, "WARNING: Exiting before consuming the expected number of records: timeout (%d ms) exceeded. "+
			"You can use the --timeout option to increase the timeout.\n", r.timeout.Milliseconds())
	}
	return read, nil
}

// fetchError is what ended a poll, unless it was the poll's own time.
func fetchError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
			return javaError(e.Err)
		}
	}
	return nil
}

func megabytes(n int64) float64 { return float64(n) / (1024 * 1024) }

func (r *consumerPerf) date(t time.Time) string {
	text, _ := perf.FormatDate(r.dates, t) // the pattern was tried before
	return text
}

func (r *consumerPerf) printTotal(start, end time.Time, read progress) {
	elapsedMs := end.UnixMilli() - start.UnixMilli()
	joinMs := r.joins.total()
	fetchMs := elapsedMs - joinMs
	mb, seconds, fetchSeconds := megabytes(read.bytes), float64(elapsedMs)/1000, float64(fetchMs)/1000
	n := float64(read.records)
	fmt.Fprintf(r.env.Stdout, "%s, %s, %s, %s, %d, %s, %d, %d, %s, %s\n", r.date(start), r.date(end), perf.Java(mb, 4),
		perf.Java(mb/seconds, 4), read.records, perf.Java(n/seconds, 4), joinMs, fetchMs, perf.Java(mb/fetchSeconds, 4), perf.Java(n/fetchSeconds, 4))
}

// printProgress prints the line about an interval.
func (r *consumerPerf) printProgress(last, now progress) {
	elapsedMs := now.at.UnixMilli() - last.at.UnixMilli()
	joinMs := r.joins.round()
	fetchMs := elapsedMs - joinMs
	mb, n := megabytes(now.bytes-last.bytes), float64(now.records-last.records)
	fetchMB, fetchRecords := 0.0, 0.0
	if fetchMs > 0 {
		fetchMB, fetchRecords = 1000*mb/float64(fetchMs), 1000*n/float64(fetchMs)
	}
	fmt.Fprintf(r.env.Stdout, "%s, 0, %s, %s, %d, %s, %d, %d, %s, %s\n", r.date(now.at), perf.Java(megabytes(now.bytes), 4),
		perf.Java(1000*mb/float64(elapsedMs), 4), now.records, perf.Java(n/float64(elapsedMs)*1000, 4), joinMs, fetchMs, perf.Java(fetchMB, 4), perf.Java(fetchRecords, 4))
}

// joinTimes adds up how long the consumer waited for partitions. Its methods may be called from any goroutine.
type joinTimes struct {
	mu             sync.Mutex
	began          time.Time
	sumMs, roundMs int64
}

func (j *joinTimes) begin() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.began = time.Now()
}

func (j *joinTimes) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	ms := time.Since(j.began).Milliseconds()
	j.sumMs += ms
	j.roundMs += ms
}

func (j *joinTimes) nextRound() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.roundMs = 0
}

func (j *joinTimes) total() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sumMs
}

func (j *joinTimes) round() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.roundMs
}

// fetchPool lets kgo use the memory of fetched records again. It is safe for concurrent use.
type fetchPool struct {
	bytes   sync.Pool
	records sync.Pool
}

// GetDecompressBytes implements kgo.PoolDecompressBytes.
func (p *fetchPool) GetDecompressBytes([]byte, kgo.CompressionCodecType) []byte {
	if b, ok := p.bytes.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

// PutDecompressBytes implements kgo.PoolDecompressBytes.
func (p *fetchPool) PutDecompressBytes(b []byte) { p.bytes.Put(&b) }

// GetRecords implements kgo.PoolRecords.
func (p *fetchPool) GetRecords(n int) []kgo.Record {
	if r, ok := p.records.Get().(*[]kgo.Record); ok && cap(*r) >= n {
		return (*r)[:0]
	}
	return make([]kgo.Record, 0, n)
}

// PutRecords implements kgo.PoolRecords.
func (p *fetchPool) PutRecords(r []kgo.Record) { p.records.Put(&r) }
