//go:build e2e

package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/admin"
)

// loadTopic is what the load writes to, in loadPartitions partitions.
const (
	loadTopic      = "load"
	loadPartitions = 6
)

// load writes numbered records through a default client for as long as the
// scenes go on, and knows which were acknowledged.
type load struct {
	client *kgo.Client
	stop   context.CancelFunc
	done   sync.WaitGroup
	sent   atomic.Uint64
	acked  atomic.Uint64
	bytes  atomic.Int64
	mu     sync.Mutex
	failed []string
	over   atomic.Bool
	have   map[uint64]bool // acknowledged, not yet looked for
	pace   atomic.Int64    // records a second
	acks   []ack           // since the measure began, nil while nobody measures
}

// ack is an acknowledgement: when it came, and how long its record had waited.
type ack struct {
	at    time.Time
	after time.Duration
}

// The paces of a load, in records a second: beside scenes, and where it is
// measured what it loses.
const (
	usualPace    = 100
	measuredPace = 1000
)

// loadValue is the size of a record's value.
const loadValue = 1000

// startLoad begins to write at the usual pace, whatever the cluster does: a
// record that has to wait does not keep the next one back.
func startLoad(t *testing.T, access admin.Access) *load {
	t.Helper()
	opts, err := access.Options()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(opts, kgo.DefaultProduceTopic(loadTopic))...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &load{client: cl, stop: stop, have: map[uint64]bool{}}
	l.pace.Store(usualPace)
	l.done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		last, due := time.Now(), 0.0
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// By the clock and not by the tick: those that a busy machine lets
			// fall out would count as what the cluster did not take.
			now := time.Now()
			due += now.Sub(last).Seconds() * float64(l.pace.Load())
			for last = now; due >= 1; due-- {
				l.send()
			}
		}
	})
	t.Cleanup(func() { stop(); l.done.Wait(); cl.Close() })
	return l
}

func (l *load) send() {
	n := l.sent.Add(1)
	value := make([]byte, loadValue)
	binary.BigEndian.PutUint64(value, n)
	began := time.Now()
	// The record's own context has no end: a default client tries until it is told not to.
	l.client.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
		if err != nil {
			l.mu.Lock()
			l.failed = append(l.failed, fmt.Sprintf("record %d: %v", n, err))
			l.mu.Unlock()
			return
		}
		l.acked.Add(1)
		l.bytes.Add(loadValue)
		l.mu.Lock()
		l.have[n] = true
		if l.acks != nil {
			l.acks = append(l.acks, ack{time.Now(), time.Since(began)})
		}
		l.mu.Unlock()
	})
}

// measure begins to note acknowledgements; the func that it returns ends that
// and says what there was.
func (l *load) measure() func() reading {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acks = make([]ack, 0, 1<<16)
	began := time.Now()
	return func() reading {
		l.mu.Lock()
		defer l.mu.Unlock()
		acks := l.acks
		l.acks = nil
		return read(acks, began, time.Now())
	}
}

// reading is what a load got in a stretch of time, cut into windows of a
// second, the last part of one left out.
type reading struct {
	windows   int
	perSecond float64       // bytes acknowledged
	least     float64       // the same in the worst window
	p99       time.Duration // from a send until its acknowledgement
}

func read(acks []ack, from, to time.Time) (r reading) {
	r.windows = int(to.Sub(from) / time.Second)
	if r.windows == 0 || len(acks) == 0 {
		return r
	}
	windows := make([]int64, r.windows)
	took := make([]time.Duration, 0, len(acks))
	for _, a := range acks {
		if w := int(a.at.Sub(from) / time.Second); w < r.windows {
			windows[w] += loadValue
			r.perSecond += loadValue / float64(r.windows)
		}
		took = append(took, a.after)
	}
	r.least = float64(slices.Min(windows))
	slices.Sort(took)
	r.p99 = took[len(took)*99/100]
	return r
}

// end stops the load, waits for the last acknowledgement, and reads everything:
// no send failed, and every acknowledged record is there.
func (l *load) end(ctx context.Context, t *testing.T, access admin.Access) {
	t.Helper()
	l.stop()
	l.over.Store(true)
	l.done.Wait()
	if err := l.client.Flush(ctx); err != nil {
		t.Fatalf("sends that never ended: %v", err)
	}
	l.mu.Lock()
	failed, acked := l.failed, len(l.have)
	l.mu.Unlock()
	if len(failed) > 0 {
		t.Errorf("%d sends failed, the first: %s", len(failed), failed[0])
	}
	if uint64(acked) != l.sent.Load() || acked == 0 {
		t.Errorf("%d records sent, %d acknowledged", l.sent.Load(), acked)
	}
	l.read(ctx, t, access)
	t.Logf("load: %d records sent, %d acknowledged, %d failed", l.sent.Load(), acked, len(failed))
}

// read looks for every acknowledged record.
func (l *load) read(ctx context.Context, t *testing.T, access admin.Access) {
	t.Helper()
	opts, err := access.Options()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(loadTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	seen := map[uint64]*kgo.Record{}
	twice := 0
	for len(l.have) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Errorf("%d acknowledged records are lost", len(l.have))
			return
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n := binary.BigEndian.Uint64(r.Value)
			if first := seen[n]; first != nil {
				if twice++; twice <= 20 {
					t.Logf("record %d is there twice: %s and %s", n, where(first), where(r))
				}
			}
			seen[n] = r
			delete(l.have, n)
		})
	}
	if twice > 0 {
		t.Errorf("%d records are there twice", twice)
	}
}

// progress waits until the load gets acknowledgements again: whoever waits for
// it knows that the cluster serves.
func (h *house) progress(l *load) {
	h.t.Helper()
	from := l.acked.Load()
	h.await(func() error {
		if l.acked.Load() < from+20 {
			return fmt.Errorf("no acknowledgements: %d of %d", l.acked.Load(), l.sent.Load())
		}
		return nil
	})
}

// where is a record's place and who says to have written it.
func where(r *kgo.Record) string {
	return fmt.Sprintf("partition %d offset %d at %s by producer %d epoch %d", r.Partition, r.Offset, r.Timestamp.Format("15:04:05.000"), r.ProducerID, r.ProducerEpoch)
}
