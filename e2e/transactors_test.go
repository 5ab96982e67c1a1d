//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	ledgerTopic, resultTopic = "ledger", "results"
	ledgerChain              = "chain"
	ledgerProducers          = 2
)

// transactors are a load of transactions: producers that write to several partitions of two topics and commit or abort, and are replaced
// by others of the same transactional id while they have something open; and a chain that reads what is committed, writes
// one record for each, and commits its offsets in the same transactions. franz-go does what applications get.
type transactors struct {
	s    *scene
	done chan struct{}
	wg   sync.WaitGroup

	committed, aborted, unknown, fenced, copies, chainFailed atomic.Int64

	mu   sync.Mutex
	runs map[string]*ledgerRun // by name, with which its records begin
	bad  []string
}

// ledgerRun is one transaction.
type ledgerRun struct {
	records int
	state   string // committed, aborted or unknown
}

func startTransactors(s *scene) *transactors {
	s.t.Helper()
	for _, topic := range []string{ledgerTopic, resultTopic} {
		s.createTopic(topic, 4, nil)
		s.topics[topic] = 4
	}
	l := &transactors{s: s, done: make(chan struct{}), runs: map[string]*ledgerRun{}}
	for i := range ledgerProducers {
		rng := rand.New(rand.NewPCG(s.rng.Uint64(), 3))
		l.wg.Go(func() { l.produce(fmt.Sprint("ledger-", i), rng) })
	}
	l.wg.Go(func() { l.chain() })
	return l
}

func (l *transactors) over() bool {
	select {
	case <-l.done:
		return true
	default:
		return l.s.ctx.Err() != nil
	}
}

func (l *transactors) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bad = append(l.bad, fmt.Sprintf(format, args...))
}

func (l *transactors) client(id string) *kgo.Client {
	return l.s.connect("app", kgo.TransactionalID(id), kgo.TransactionTimeout(20*time.Second), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.RecordDeliveryTimeout(30*time.Second))
}

// produce runs producers of one transactional id, one after the other.
func (l *transactors) produce(id string, rng *rand.Rand) {
	for instance := 0; !l.over(); instance++ {
		cl := l.client(id)
		for n := 0; n < 20+rng.IntN(60) && !l.over(); n++ {
			if !l.transact(cl, fmt.Sprintf("%s.%d.%d", id, instance, n), rng) {
				break
			}
		}
		if !l.over() && rng.IntN(2) == 0 {
			l.replace(cl, id, fmt.Sprintf("%s.%d.z", id, instance), rng)
		}
		cl.Close()
	}
}

// write sends some records of a transaction and reports whether all are acknowledged.
func (l *transactors) write(cl *kgo.Client, name string, rng *rand.Rand) bool {
	run := &ledgerRun{records: 1 + rng.IntN(5), state: "unknown"}
	l.mu.Lock()
	l.runs[name] = run
	l.mu.Unlock()
	var rs []*kgo.Record
	for i := range run.records {
		topic := ledgerTopic
		if rng.IntN(4) == 0 {
			topic = resultTopic
		}
		rs = append(rs, &kgo.Record{Topic: topic, Partition: rng.Int32N(4), Value: fmt.Appendf(nil, "%s %d", name, i)})
	}
	ctx, cancel := context.WithTimeout(l.s.ctx, healthyWithin)
	defer cancel()
	return cl.ProduceSync(ctx, rs...).FirstErr() == nil
}

// transact is one transaction, and reports whether the producer can go on.
func (l *transactors) transact(cl *kgo.Client, name string, rng *rand.Rand) bool {
	if cl.BeginTransaction() != nil {
		return false
	}
	commit := l.write(cl, name, rng) && rng.IntN(4) > 0
	return l.end(cl, name, commit) && l.pause(20*time.Millisecond)
}

// end ends a transaction and notes what is known of it.
func (l *transactors) end(cl *kgo.Client, name string, commit bool) bool {
	ctx, cancel := context.WithTimeout(l.s.ctx, healthyWithin)
	defer cancel()
	err := cl.EndTransaction(ctx, kgo.TransactionEndTry(commit))
	state := "unknown"
	switch {
	case !commit:
		state = "aborted" // whatever the answer is, nobody has asked for its commit
		l.aborted.Add(1)
	case err == nil:
		state = "committed"
		l.committed.Add(1)
	default:
		l.unknown.Add(1)
	}
	l.mu.Lock()
	l.runs[name].state = state
	l.mu.Unlock()
	return err == nil
}

// replace begins a transaction, has another client take the id, and tries to commit all the same.
func (l *transactors) replace(cl *kgo.Client, id, name string, rng *rand.Rand) {
	if cl.BeginTransaction() != nil || !l.write(cl, name, rng) {
		l.mu.Lock()
		// It was never asked to be committed.
		l.runs[name] = &ledgerRun{state: "aborted"}
		l.mu.Unlock()
		return
	}
	next := l.client(id)
	defer next.Close()
	ctx, cancel := context.WithTimeout(l.s.ctx, healthyWithin)
	defer cancel()
	if _, _, err := next.ProducerID(ctx); err != nil {
		l.end(cl, name, false)
		return
	}
	if l.end(cl, name, true) {
		l.fail("T3: %s has a successor, and its transaction is committed after that", name)
		return
	}
	l.mu.Lock()
	l.runs[name].state = "aborted" // by the successor
	l.mu.Unlock()
	l.unknown.Add(-1)
	l.fenced.Add(1)
}

func (l *transactors) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.done:
	}
	return true
}

// chain copies each committed record of the ledger once.
func (l *transactors) chain() {
	for !l.over() {
		l.copy()
	}
}

func (l *transactors) session() (*kgo.GroupTransactSession, error) {
	return kgo.NewGroupTransactSession(append(l.s.options("app"), kgo.TransactionalID(ledgerChain), kgo.ConsumerGroup(ledgerChain), kgo.ConsumeTopics(ledgerTopic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.TransactionTimeout(20*time.Second),
		kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(500*time.Millisecond))...)
}

// copy is one life of the chain: until something fails.
func (l *transactors) copy() {
	x, err := l.session()
	if err != nil {
		l.fail("chain: %v", err)
		return
	}
	defer x.Close()
	for !l.over() {
		poll, cancel := context.WithTimeout(l.s.ctx, time.Second)
		fetches := x.PollFetches(poll)
		cancel()
		if fetches.NumRecords() == 0 {
			continue
		}
		if x.Begin() != nil {
			return
		}
		ctx, cancel := context.WithTimeout(l.s.ctx, healthyWithin)
		var rs []*kgo.Record
		fetches.EachRecord(func(r *kgo.Record) {
			rs = append(rs, &kgo.Record{Topic: resultTopic, Partition: r.Partition, Value: append([]byte("> "), r.Value...)})
		})
		sent := x.ProduceSync(ctx, rs...).FirstErr()
		done, err := x.End(ctx, kgo.TransactionEndTry(sent == nil))
		cancel()
		if done && err == nil {
			l.copies.Add(int64(len(rs)))
		} else {
			l.chainFailed.Add(1)
		}
		if err != nil {
			return
		}
	}
}

// goesOn waits until transactions are committed and the chain copies.
func (l *transactors) goesOn(ctx context.Context, when string) {
	l.s.t.Helper()
	committed, copies := l.committed.Load(), l.copies.Load()
	await(l.s.t, ctx, "transactions are committed "+when, func() bool { return l.committed.Load() > committed+4 })
	await(l.s.t, ctx, "the chain copies "+when, func() bool { return l.copies.Load() > copies })
}

// judge reads what is committed, and compares it with what producers were told.
func (l *transactors) judge() string {
	l.s.t.Helper()
	close(l.done)
	l.wg.Wait()
	visible, results := l.read(ledgerTopic), l.read(resultTopic)
	// What the chain has not copied yet it does now.
	rest := &transactors{s: l.s, done: make(chan struct{}), runs: map[string]*ledgerRun{}}
	rest.wg.Go(rest.chain)
	missing := func() (n int) {
		for v := range visible {
			if results["> "+v] == 0 {
				n++
			}
		}
		return n
	}
	await(l.s.t, l.s.ctx, "the chain has copied all", func() bool {
		if missing() > 0 {
			results = l.read(resultTopic)
		}
		return missing() == 0
	})
	close(rest.done)
	rest.wg.Wait()
	results = l.read(resultTopic)
	l.bad = append(l.bad, rest.bad...)
	return l.compare(visible, results)
}

func (l *transactors) compare(visible, results map[string]int) string {
	seen := map[string]int{} // records of a transaction that are there
	doubled, strange, torn, lost, wrong := 0, 0, 0, 0, 0
	for _, m := range []map[string]int{visible, results} {
		for v, n := range m {
			if n > 1 {
				doubled++
				l.fail("T1: %q is there %d times", v, n)
			}
			if from, copied := strings.CutPrefix(v, "> "); copied {
				if visible[from] == 0 {
					strange++
					l.fail("T1: %q was copied and is not in the ledger", from)
				}
				continue
			}
			name, _, _ := strings.Cut(v, " ")
			seen[name]++
		}
	}
	for name, run := range l.runs {
		switch n := seen[name]; {
		case run.state == "committed" && n != run.records:
			lost++
			l.fail("T1: %s was committed with %d records, and %d are there", name, run.records, n)
		case run.state == "aborted" && n > 0:
			wrong++
			l.fail("T2: %s was not committed, and %d records of it are there", name, n)
		case n != 0 && n != run.records:
			torn++
			l.fail("T1: of %s, whose commit is of unknown outcome, %d of %d records are there", name, n, run.records)
		}
	}
	for name := range seen {
		if l.runs[name] == nil {
			l.fail("I9: %s is nobody's", name)
		}
	}
	for i, text := range l.bad {
		if i < 10 {
			l.s.t.Error(text)
		}
	}
	return fmt.Sprintf("transactions: %d committed, %d aborted, %d of unknown outcome, %d of fenced producers; %d lost, %d torn, %d of aborted ones shown; %d records of the ledger, each copied once, %d doubled, %d strange; %d attempts of the chain failed",
		l.committed.Load(), l.aborted.Load(), l.unknown.Load(), l.fenced.Load(), lost, torn, wrong, len(visible), doubled, strange, l.chainFailed.Load())
}

// read reads what is committed of a topic, up to where it ends when no transaction is open any more.
func (l *transactors) read(topic string) map[string]int {
	l.s.t.Helper()
	ends := l.s.offsets(l.s.adm.ListEndOffsets, topic)
	await(l.s.t, l.s.ctx, "all transactions in "+topic+" have ended", func() bool {
		stable, err := l.s.adm.ListCommittedOffsets(l.s.ctx, topic)
		if err != nil || stable.Error() != nil {
			return false
		}
		for p := range int32(4) {
			end, _ := ends.Lookup(topic, p)
			if at, ok := stable.Lookup(topic, p); !ok || at.Offset < end.Offset {
				return false
			}
		}
		return true
	})
	got := map[string]int{}
	for p := range int32(4) {
		end, _ := ends.Lookup(topic, p)
		cl := l.s.connect("app", kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: kgo.NewOffset().AtStart()}}), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		ctx, cancel := context.WithTimeout(l.s.ctx, healthyWithin)
		// Aborted records are not handed out; the last offset is a marker's, which is, or that of a record of a later transaction.
		for next := int64(0); next < end.Offset && ctx.Err() == nil; {
			cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				next = r.Offset + 1
				if !r.Attrs.IsControl() && r.Offset < end.Offset {
					got[string(r.Value)]++
				}
			})
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			l.s.t.Errorf("%s-%d cannot be read to its end %d", topic, p, end.Offset)
		}
		cancel()
		cl.Close()
	}
	return got
}
