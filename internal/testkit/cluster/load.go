package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Load is producers that write numbered records with acks=all, and what they were told. Its checks carry the names of
// docs: I1 no acknowledged loss, I2 one value for each offset, I7 order, I8 no duplicates, I9 no invention.
type Load struct {
	t testing.TB
	Pattern
	clients []*kgo.Client

	mu     sync.Mutex
	acked  map[string]int64 // value → offset
	sent   map[string]bool
	errors map[string]int

	stop context.CancelFunc
	wait sync.WaitGroup
}

// Pattern says what a load writes: at most one record of each producer to each partition in a pace. Key is every record's key.
type Pattern struct {
	Topic      string
	Partitions int
	Pace       time.Duration
	Key        []byte
}

// StartLoad starts producers; each writes to all partitions in turn, with up to ten records of each under way.
func StartLoad(t testing.TB, topic string, partitions int, clients []*kgo.Client) *Load {
	return StartSteadyLoad(t, Pattern{Topic: topic, Partitions: partitions, Pace: time.Millisecond}, clients)
}

// StartSteadyLoad is StartLoad with producers that write as the pattern says.
func StartSteadyLoad(t testing.TB, pattern Pattern, clients []*kgo.Client) *Load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Load{t: t, Pattern: pattern, clients: clients, acked: map[string]int64{}, sent: map[string]bool{}, errors: map[string]int{}, stop: cancel}
	for i, cl := range clients {
		l.wait.Go(func() { l.produce(ctx, i, cl) })
	}
	return l
}

func (l *Load) produce(ctx context.Context, producer int, cl *kgo.Client) {
	slots := make(chan struct{}, 10*l.Partitions)
	for n := 0; ctx.Err() == nil; n++ {
		slots <- struct{}{}
		p := n % l.Partitions
		value := fmt.Sprintf("%d/%d/%d", producer, p, n/l.Partitions)
		l.mu.Lock()
		l.sent[value] = true
		l.mu.Unlock()
		cl.Produce(context.Background(), &kgo.Record{Topic: l.Topic, Partition: int32(p), Key: l.Key, Value: []byte(value)}, func(r *kgo.Record, err error) {
			l.mu.Lock()
			if err == nil {
				l.acked[value] = r.Offset
			} else {
				l.errors[err.Error()]++
			}
			l.mu.Unlock()
			<-slots
		})
		if n%l.Partitions == 0 {
			t := time.NewTimer(l.Pace)
			<-t.C
		}
	}
	if err := cl.Flush(context.Background()); err != nil && !errors.Is(err, context.Canceled) {
		l.t.Errorf("flush: %v", err)
	}
}

// Acked is how many records were acknowledged so far.
func (l *Load) Acked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// Finish ends the producers, which waits until all that was sent is answered.
func (l *Load) Finish() {
	l.stop()
	l.wait.Wait()
	for err, n := range l.errors {
		l.t.Logf("%d records failed: %s", n, err)
	}
}

// Values are the records that were acknowledged.
func (l *Load) Values() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.acked))
}

// Outcome counts records: those acknowledged and those for which a producer got an error; of what was acknowledged what
// is lost, and what is there more than once.
type Outcome struct{ Acked, Failed, Lost, Doubled int }

// Check reads everything and compares it with what the producers were told.
func (l *Load) Check(ctx context.Context, cl *kgo.Client) (out Outcome) {
	l.t.Helper()
	out.Acked = len(l.acked)
	for _, n := range l.errors {
		out.Failed += n
	}
	got, at := map[string]int64{}, map[string]string{}
	last := map[string]int{}
	missing := len(l.acked)
	for missing > 0 && ctx.Err() == nil {
		fs := cl.PollFetches(ctx)
		fs.EachRecord(func(r *kgo.Record) {
			v := string(r.Value)
			if old, twice := got[v]; twice {
				l.t.Errorf("I8: %s is at offsets %d and %d", v, old, r.Offset)
				out.Doubled++
				return
			}
			got[v] = r.Offset
			place := fmt.Sprintf("%d@%d", r.Partition, r.Offset)
			if at[place] != "" {
				l.t.Errorf("I2: %s and %s are both at %s", at[place], v, place)
			}
			at[place] = v
			l.look(v, r, last)
			if _, ok := l.acked[v]; ok {
				missing--
			}
		})
	}
	for v, offset := range l.acked {
		if _, ok := got[v]; !ok {
			if out.Lost++; out.Lost <= 10 {
				l.t.Errorf("I1: %s was acknowledged at offset %d and is lost", v, offset)
			}
		}
	}
	if out.Lost > 0 {
		l.t.Errorf("I1: %d of %d acknowledged records are lost", out.Lost, len(l.acked))
	}
	return out
}

// look checks one record that was read against what was sent.
func (l *Load) look(v string, r *kgo.Record, last map[string]int) {
	if !l.sent[v] {
		l.t.Errorf("I9: nobody sent %q", v)
	}
	if offset, ok := l.acked[v]; ok && offset != r.Offset {
		l.t.Errorf("I2: %s was acknowledged at %d and is at %d", v, offset, r.Offset)
	}
	cut := strings.LastIndexByte(v, '/')
	n, _ := strconv.Atoi(v[cut+1:])
	if before, ok := last[v[:cut]]; ok && n <= before {
		l.t.Errorf("I7: %s comes after %d", v, before)
	}
	last[v[:cut]] = n
}
