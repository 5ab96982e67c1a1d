//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/testkit/brokers"
)

func readPID(t *testing.T, data string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "weir.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// rounds is how often the broker is killed: WEIR_CRASH_ROUNDS, or a few.
func rounds(t *testing.T) int {
	text := os.Getenv("WEIR_CRASH_ROUNDS")
	if text == "" {
		return 10
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestKillUnderLoad kills the broker with SIGKILL at odd moments under load,
// starts it again, and reads everything: what was acknowledged is there, in
// order and once, because the producer is idempotent and the page cache
// outlives a killed process.
func TestKillUnderLoad(t *testing.T) {
	binary, err := filepath.Abs("../bin/weir")
	if err != nil {
		t.Fatal(err)
	}
	b, err := brokers.Start(t.Context(), brokers.Config{Binary: binary, Dir: t.TempDir(), Port: 20870, Props: map[string]string{
		"log.segment.bytes": "1048576", "num.partitions": "3", "min.insync.replicas": "1", "weir.durability": "fsync",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.DefaultProduceTopic("crash"), kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.ProducerLinger(0), kgo.MaxBufferedRecords(2000))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 3, 1, nil, "crash"); err != nil {
		t.Fatal(err)
	}
	l := &ledger{next: make([]int, 3), acked: make([]int, 3), seen: make([]int, 3)}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range rounds(t) {
		stop := l.load(ctx, t, client)
		pause := time.NewTimer(time.Duration(50+random.IntN(400)) * time.Millisecond)
		<-pause.C
		b.Kill()
		// The load goes on against nobody until the broker is back: a producer retries.
		if err := b.Run(ctx); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		stop()
		if err := client.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		l.verify(ctx, t, b.Addr, round)
		if t.Failed() {
			t.Fatalf("round %d; the broker's log:\n%s", round, b.LogTail(20))
		}
	}
	clear(l.seen)
	l.verify(ctx, t, b.Addr, rounds(t)) // once more from the start
	t.Logf("%d kills, acknowledged %v", rounds(t), l.acked)
}

// ledger knows what was sent to each partition and what was acknowledged.
type ledger struct {
	mu    sync.Mutex
	next  []int
	acked []int // per partition: every number below it is acknowledged
	seen  []int // per partition: every number below it was read; it is the offset too
}

// perRound bounds what one round sends to a partition.
const perRound = 10000

// load produces numbers to every partition until the returned func is
// called, or until there are enough of them.
func (l *ledger) load(ctx context.Context, t *testing.T, c *kgo.Client) func() {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	for p := range l.next {
		group.Go(func() {
			for range perRound {
				if ctx.Err() != nil {
					return
				}
				l.mu.Lock()
				n := l.next[p]
				l.next[p]++
				l.mu.Unlock()
				// The record's own context is not the load's: what is sent is sent.
				c.Produce(context.WithoutCancel(ctx), &kgo.Record{Partition: int32(p), Value: fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", n%700))},
					func(_ *kgo.Record, err error) {
						if err != nil {
							t.Errorf("record %d of partition %d: %v", n, p, err)
							return
						}
						l.mu.Lock()
						l.acked[p] = max(l.acked[p], n+1)
						l.mu.Unlock()
					})
			}
		})
	}
	return func() { cancel(); group.Wait() }
}

// verify reads all partitions: the numbers from 0 up to what was acknowledged
// must be there, each once and in order.
func (l *ledger) verify(ctx context.Context, t *testing.T, addr string, round int) {
	t.Helper()
	for p, want := range l.acked {
		c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"crash": {int32(p): kgo.NewOffset().At(int64(l.seen[p]))}}),
			kgo.FetchMaxWait(200*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		next := l.seen[p]
		deadline, cancel := context.WithTimeout(ctx, 30*time.Second)
		for next < want {
			f := c.PollFetches(deadline)
			if err := f.Err(); err != nil {
				t.Errorf("round %d: partition %d: %d of %d acknowledged records are there: %v", round, p, next, want, err)
				break
			}
			f.EachRecord(func(r *kgo.Record) {
				text, filler, _ := strings.Cut(string(r.Value), " ")
				if n, err := strconv.Atoi(text); (err != nil || n != next || len(filler) != n%700) && !t.Failed() {
					t.Errorf("round %d: partition %d: at offset %d is %.20q, want number %d", round, p, r.Offset, r.Value, next)
				}
				next++
			})
		}
		l.seen[p] = next
		cancel()
		c.Close()
	}
}
