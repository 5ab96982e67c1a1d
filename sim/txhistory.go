package sim

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/wire"
)

// txnHistory is what transactional producers did and were told, and what readers of committed records were shown.
type txnHistory struct {
	mu      sync.Mutex
	runs    []*txnRun
	of      map[string]*txnRun    // by the values of their records
	started map[string]int        // the newest instance of an id that has asked for its epoch
	inits   map[string][]initDone // in the order of the answers
	told    map[string]identity   // the newest producer and epoch of an id that somebody was told
	stable  map[ledKey]int64      // the highest last stable offset that the leader of an epoch has told
	shown   map[string]place      // by readers of what is committed
}

type identity struct {
	producer int64
	epoch    int16
}

type initDone struct {
	instance int
	at       time.Time
}

// txnRun is one transaction as its producer sees it.
type txnRun struct {
	id       string
	instance int
	overdue  time.Time // when its time is over
	writes   []*write
	offsets  map[int32]int64 // of the chain's group
	ending   bool            // its end was asked for
	commit   bool            // and that it be committed
	acked    bool            // the end was acknowledged
	refused  bool            // it certainly did not happen
}

func newTxnHistory() *txnHistory {
	return &txnHistory{of: map[string]*txnRun{}, started: map[string]int{}, inits: map[string][]initDone{}, told: map[string]identity{}, stable: map[ledKey]int64{}, shown: map[string]place{}}
}

func (h *txnHistory) begin(p *transactor) *txnRun {
	h.mu.Lock()
	defer h.mu.Unlock()
	run := &txnRun{id: p.id, instance: p.instance, overdue: time.Now().Add(p.timeout)}
	h.runs = append(h.runs, run)
	return run
}

func (h *txnHistory) wrote(run *txnRun, ws []*write) {
	h.mu.Lock()
	defer h.mu.Unlock()
	run.writes = append(run.writes, ws...)
	for _, w := range ws {
		h.of[w.value] = run
	}
}

func (h *txnHistory) committing(run *txnRun, offsets map[int32]int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	run.offsets = maps.Clone(offsets)
}

func (h *txnHistory) ending(run *txnRun, commit bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	run.ending, run.commit = true, commit
}

func (h *txnHistory) ended(run *txnRun, done, open bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	run.acked, run.refused = done, !done && !open
}

// raised notes that the id's producer was told of its next epoch.
func (h *txnHistory) raised(id string, producer int64, epoch int16) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told[id] = identity{producer, epoch}
}

// beginInit notes that an instance asks for its epoch, and gives the newest that anybody was told.
func (h *txnHistory) beginInit(p *transactor) identity {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started[p.id] = max(h.started[p.id], p.instance)
	if have, ok := h.told[p.id]; ok {
		return have
	}
	return identity{-1, -1}
}

// initialized is T3 EpochsRise: who asks for an epoch gets a higher one than anybody was told before.
func (c *cluster) initialized(p *transactor, before identity, producer int64, epoch int16) {
	h := c.txns
	h.mu.Lock()
	defer h.mu.Unlock()
	if before.producer == producer && epoch <= before.epoch {
		c.fail("T3 EpochsRise", "%s is told epoch %d of producer %d, when epoch %d had been told", p.cl.name, epoch, producer, before.epoch)
	}
	h.inits[p.id] = append(h.inits[p.id], initDone{p.instance, time.Now()})
	h.told[p.id] = identity{producer, epoch}
	c.trace.note("%s: producer %d in epoch %d", p.cl.name, producer, epoch)
}

// fenceOf is when the first successor of an instance was told its epoch; h.mu is held.
func (h *txnHistory) fenceOf(id string, instance int) (at time.Time, ok bool) {
	for _, i := range h.inits[id] {
		if i.instance > instance {
			return i.at, true
		}
	}
	return at, false
}

// mayEnd reports whether somebody but the run's own producer may have ended it, or that one has asked for it; h.mu is held.
func (c *cluster) mayEnd(run *txnRun) bool {
	return run.ending || c.txns.started[run.id] > run.instance || !time.Now().Before(run.overdue) || c.jumped.Load()
}

// excused reports whether a producer has a successor, or had a transaction whose time was over.
func (c *cluster) excused(p *transactor) bool {
	h := c.txns
	h.mu.Lock()
	defer h.mu.Unlock()
	return p.lost || h.started[p.id] > p.instance || !p.overdue.IsZero() && !time.Now().Before(p.overdue) || c.jumped.Load()
}

// deposed is a process that has led a partition of transactions, and does not any more.
type deposed struct {
	broker int32
	by     *process
	at     time.Time
}

// unaware is how long a process that is frozen or cut off may not know that it was deposed.
const unaware = 20 * time.Second

// staleCoordinator reports whether somebody may take himself for the coordinator of transactions who was deposed. He can commit
// nothing, but what he knows from before he tells, as in Kafka: that a newer epoch is not the producer's.
func (c *cluster) staleCoordinator() bool {
	l := c.meta
	l.mu.Lock()
	defer l.mu.Unlock()
	l.scan()
	for _, d := range l.deposed {
		if d.by != nil && time.Since(d.at) < unaware && c.runningLife(d.broker) == d.by {
			c.reach("a refusal while a deposed coordinator lives")
			return true
		}
	}
	return false
}

// fencedBy is T3 FencedWithCause: nobody is told that he is fenced who is not.
func (c *cluster) fencedBy(p *transactor, what string, code wire.Code) {
	if !c.excused(p) && !c.staleCoordinator() {
		c.fail("T3 FencedWithCause", "%s, which has no successor, is told %s of producer %d in epoch %d: %s", p.cl.name, what, p.producer, p.epoch, code.Name())
	}
}

// forgotten is I8 for transactional producers.
func (c *cluster) forgotten(p *transactor, value string, code wire.Code) {
	if !c.excused(p) {
		c.fail("I8 ProducerStateKept", "%s: %q: %v", p.cl.name, value, code)
	}
}

// endRefused is T1 CommitRefused: a transaction of which all is acknowledged can be ended while nobody else ends it.
func (c *cluster) endRefused(p *transactor, run *txnRun, commit bool, code wire.Code) {
	h := c.txns
	h.mu.Lock()
	written := 0
	for _, w := range run.writes {
		if w.acked {
			written++
		}
	}
	h.mu.Unlock()
	if c.excused(p) || code == wire.InvalidTxnState && !commit && written == 0 || c.staleCoordinator() {
		return
	}
	c.fail("T1 EndTaken", "%s: the end of a transaction (commit %v) with %d acknowledged records: %s", p.cl.name, commit, written, code.Name())
}

// unfenced is T3 Fencing: what began after a successor had its epoch does not succeed.
func (c *cluster) unfenced(p *transactor, begun time.Time, what string) {
	h := c.txns
	h.mu.Lock()
	defer h.mu.Unlock()
	if at, ok := h.fenceOf(p.id, p.instance); ok && at.Before(begun) {
		c.fail("T3 Fencing", "%s of %s, in epoch %d of producer %d, succeeds, and its successor had its epoch before", what, p.cl.name, p.epoch, p.producer)
	}
}

// mark is the highest last stable offset that the leader of an epoch has told by now.
func (h *txnHistory) mark(k ledKey) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stable[k]
}

// markedStable is I3 MonotonicLastStableOffset, as marked.
func (c *cluster) markedStable(k ledKey, topic string, before int64, f *fetched) {
	h := c.txns
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stable[k] = max(h.stable[k], f.lso)
	if f.lso < before || f.lso > f.hw {
		c.fail("I3 MonotonicLastStableOffset", "%s-%d: broker %d, which leads in epoch %d, tells %d after %d, with the high watermark %d", topic, k.index, f.broker, k.epoch, f.lso, before, f.hw)
	}
}

// sawStable checks what a reader of committed records was shown.
func (c *cluster) sawStable(topic string, index int32, f *fetched) {
	c.saw(topic, index, f)
	h := c.txns
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range f.batches {
		if b.LastOffset() >= f.lso {
			c.fail("T2 NotBeyondTheLastStableOffset", "%s-%d: broker %d sends a batch that ends at %d, and the last stable offset is %d", topic, index, f.broker, b.LastOffset(), f.lso)
		}
		if b.IsControl() || !b.IsTransactional() {
			continue
		}
		it := b.Records(1 << 20)
		for it.Next() {
			if run := h.of[string(it.Record().Value)]; run != nil && !c.mayEnd(run) {
				c.fail("T2 NotBeyondAnOpenTransaction", "%v, %q: broker %d shows it to who reads what is committed, and the transaction is open", place{topic, index, it.Record().Offset}, it.Record().Value, f.broker)
			}
		}
		_ = it.Close() // saw has looked at it
	}
	for _, r := range f.committed() {
		run := h.of[r.value]
		if run == nil {
			continue // saw has told of it
		}
		if !run.commit || run.refused {
			c.fail("T2 AbortedRead", "%v, %q: broker %d shows it as committed, and nobody has committed it", place{topic, index, r.offset}, r.value, f.broker)
			c.trace.note("%s", f.describe())
		}
		h.shown[r.value] = place{topic, index, r.offset}
	}
}

// describe tells what was read, for the trace.
func (f *fetched) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "broker %d, last stable offset %d, aborted %v:", f.broker, f.lso, f.aborted)
	for _, batch := range f.batches {
		what := "data"
		if m, ok := markerOf(batch); batch.IsControl() && ok {
			what = fmt.Sprintf("marker, commit %v of coordinator epoch %d", m.Commit, m.CoordinatorEpoch)
		}
		fmt.Fprintf(&b, " [%d-%d producer %d epoch %d of leader epoch %d: %s]", batch.BaseOffset(), batch.LastOffset(), batch.ProducerID(), batch.ProducerEpoch(), batch.LeaderEpoch(), what)
	}
	return b.String()
}
