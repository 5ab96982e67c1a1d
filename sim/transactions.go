package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// What transactions are about: producers write to the ledger and beside it, and a chain makes of each record of the ledger one
// of the results (read, write, TxnOffsetCommit).
const (
	ledgerTopic, ledgerCount = "ledger", 3
	resultTopic, resultCount = "results", 2
	stateTopic, stateCount   = "__transaction_state", 2
	chainID, chainGroup      = "chain", "chain"
	plainProducers           = 2
	offsetsTopic             = "__consumer_offsets"
	fleetingTopic            = "fleeting" // comes and goes
	fleetingCount            = 2
	abortEvery               = 4 // one of so many transactions is aborted by its producer
)

// transactionSettings are those of the brokers.
func (c *cluster) transactionSettings() []string {
	r := rand.New(rand.NewPCG(c.seed, 5))
	return []string{fmt.Sprint("transaction.state.log.num.partitions=", stateCount), "transaction.state.log.replication.factor=3", "transaction.state.log.min.isr=2",
		fmt.Sprint("transaction.abort.timed.out.transaction.cleanup.interval.ms=", 300+r.IntN(3)*500)}
}

// segments are the settings of the topics with transactions: in some clusters those reach over several segments.
func (c *cluster) segments() []string {
	ms := []string{"604800000", "2000", "400"}[rand.New(rand.NewPCG(c.seed, 6)).IntN(3)]
	return []string{"min.insync.replicas", "2", "segment.ms", ms}
}

// producers runs the instances of a transactional id one after the other until ctx ends, and closes what is open after that
// unless its time does so. act is one transaction; it reports whether the instance can go on.
func (c *cluster) producers(ctx, flush context.Context, id string, rng *rand.Rand, fresh func(*transactor) func() bool) {
	var zombies sync.WaitGroup
	defer zombies.Wait()
	for instance := 0; ; instance++ {
		p := c.newTransactor(id, instance, rand.New(rand.NewPCG(rng.Uint64(), 11)))
		if instance > 0 && ctx.Err() != nil && !c.jumped.Load() && rng.IntN(2) == 0 {
			c.reach("what was open in the end is left to its time")
			p.close()
			return
		}
		if !p.init(flush) || ctx.Err() != nil {
			p.close()
			if flush.Err() != nil || ctx.Err() != nil && !p.fenced {
				return
			}
			continue
		}
		act := fresh(p)
		for range 2 + rng.IntN(12) {
			if ctx.Err() != nil {
				break
			}
			if !act() || !p.anew(flush) {
				p.lost = true
				break
			}
			wait(ctx, time.Duration(rng.Int64N(int64(400*time.Millisecond))))
		}
		how := rng.IntN(4)
		if p.lost && how != 1 {
			how = 3 // who did not end a transaction begins no other
		}
		switch how {
		case 0: // its process ends amid a transaction
			p.leave(flush)
			p.close()
		case 1: // and nobody comes after it for a while
			p.leave(flush)
			p.close()
			wait(ctx, p.timeout+time.Duration(rng.Int64N(int64(2*time.Second))))
		case 2: // it does not know that it has a successor
			zombies.Go(func() {
				defer p.close()
				p.haunt(ctx, flush, act)
			})
		default:
			p.close()
		}
	}
}

// leave begins a transaction and leaves it open.
func (p *transactor) leave(ctx context.Context) {
	if p.lost || p.fenced {
		return
	}
	p.begin()
	p.write(ctx, ledgerTopic, p.rng.Int32N(ledgerCount), p.value(), p.value())
	p.run = nil
}

// haunt is a zombie: it goes on until it is told that it is fenced, and then does not believe it.
func (p *transactor) haunt(ctx, flush context.Context, act func() bool) {
	for !p.fenced && ctx.Err() == nil {
		if !act() || !p.anew(flush) {
			break
		}
		wait(ctx, time.Duration(p.rng.Int64N(int64(300*time.Millisecond))))
	}
	if !p.fenced {
		return
	}
	p.c.reach("a fenced zombie")
	for i := range int32(3) {
		if !wait(ctx, time.Duration(p.rng.Int64N(int64(500*time.Millisecond)))) {
			return
		}
		p.begin()
		p.write(flush, ledgerTopic, i, p.value())
		if p.rng.IntN(2) == 0 {
			p.end(flush, p.rng.IntN(2) == 0)
		}
		p.run = nil
	}
}

// value is the next one of the producer.
func (p *transactor) value() string {
	p.values++
	return fmt.Sprintf("%s/%d", p.cl.name, p.values)
}

// plain writes to some partitions of both topics in one transaction.
func (p *transactor) plain(ctx, flush context.Context) func() bool {
	return func() bool {
		p.begin()
		for range 1 + p.rng.IntN(4) {
			topic, index := ledgerTopic, p.rng.Int32N(ledgerCount)
			if p.rng.IntN(3) == 0 {
				topic, index = resultTopic, p.rng.Int32N(resultCount)
			}
			values := []string{p.value()}
			for range p.rng.IntN(3) {
				values = append(values, p.value())
			}
			if !p.write(flush, topic, index, values...) {
				return p.giveUp(flush)
			}
			if p.rng.IntN(8) == 0 && !p.fleet(flush) {
				return p.giveUp(flush)
			}
			if p.rng.IntN(4) == 0 {
				wait(ctx, time.Duration(p.rng.Int64N(int64(300*time.Millisecond))))
			}
			if p.rng.IntN(40) == 0 { // its time is over before it is done
				wait(ctx, p.timeout+time.Second)
			}
		}
		return p.end(flush, p.rng.IntN(abortEvery) > 0)
	}
}

// fleeting makes and deletes the topic that comes and goes, and raises transaction.version when its time has come.
func (c *cluster) fleeting(ctx context.Context, rng *rand.Rand) {
	cl := c.newClient("fleeting")
	defer cl.close()
	ask := func(req kmsg.Request) kmsg.Response {
		try, cancel := context.WithTimeout(ctx, 4*time.Second)
		defer cancel()
		resp, err := cl.ask(try, -1, req)
		if err != nil {
			return nil
		}
		return resp
	}
	for there := false; wait(ctx, time.Duration(rng.Int64N(int64(2*time.Second)))); there = !there {
		if there {
			name := fleetingTopic
			req := kmsg.NewPtrDeleteTopicsRequest()
			rt := kmsg.NewDeleteTopicsRequestTopic()
			rt.Topic, req.TimeoutMillis = &name, 3000
			req.Topics, req.TopicNames = append(req.Topics, rt), []string{name}
			ask(req)
		} else {
			ask(createTopic(fleetingTopic, fleetingCount))
		}
		if c.txnRaise > 0 && c.txnNow.Load() < 2 && time.Since(c.began) > c.txnRaise {
			req := kmsg.NewPtrUpdateFeaturesRequest()
			u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
			u.Feature, u.MaxVersionLevel, u.UpgradeType = image.FeatureTransaction, 2, 1
			req.FeatureUpdates = append(req.FeatureUpdates, u)
			if r, ok := ask(req).(*kmsg.UpdateFeaturesResponse); ok && r.ErrorCode == 0 {
				c.trace.note("transaction.version is 2")
				c.reach("transaction.version raised")
				c.txnNow.Store(2)
			}
		}
	}
}

// giveUp aborts what did not succeed.
func (p *transactor) giveUp(ctx context.Context) bool {
	if p.fenced || p.rng.IntN(3) == 0 {
		p.run = nil
		return false
	}
	return p.end(ctx, false)
}

// chain copies the ledger: what is committed there, once.
func (p *transactor) chain(ctx, flush context.Context) func() bool {
	reader := p.c.newClient(p.cl.name + " reads")
	reader.stable = true
	p.also = reader
	var at map[int32]int64
	return func() bool {
		for at == nil {
			if at = p.position(flush, reader); at == nil && !wait(flush, 100*time.Millisecond) {
				return false
			}
		}
		got, next := map[int32][]string{}, map[int32]int64{}
		for _, n := range p.rng.Perm(ledgerCount)[:1+p.rng.IntN(2)] {
			i := int32(n)
			f, err := reader.fetch(flush, -1, ledgerTopic, i, max(at[i], 0))
			if err != nil {
				continue
			}
			if p.c.sawStable(ledgerTopic, i, f); len(f.batches) > 0 {
				next[i] = f.batches[len(f.batches)-1].NextOffset()
				for _, r := range f.committed() {
					if r.offset >= at[i] {
						got[i] = append(got[i], r.value)
					}
				}
			}
		}
		any := false
		for _, values := range got {
			any = any || len(values) > 0
		}
		if !any {
			for i, o := range next {
				at[i] = o // markers and what was aborted are not worth a transaction
			}
			return true
		}
		p.begin()
		for _, i := range sorted(got) {
			var values []string
			for _, v := range got[i] {
				values = append(values, p.value()+">"+v)
			}
			if len(values) > 0 && !p.write(flush, resultTopic, p.rng.Int32N(resultCount), values...) {
				at = nil
				return p.giveUp(flush)
			}
		}
		if !p.sendOffsets(flush, chainGroup, ledgerTopic, next) {
			at = nil
			return p.giveUp(flush)
		}
		commit := p.rng.IntN(abortEvery) > 0
		if !p.end(flush, commit) {
			return false
		}
		if commit {
			for i, o := range next {
				at[i] = o
			}
		}
		return true
	}
}

// position is how far the chain has come. A coordinator that was deposed and does not know it may tell of an older one, as in
// Kafka; so it has to commit something first, which it cannot then.
func (p *transactor) position(ctx context.Context, cl *client) map[int32]int64 {
	if err := cl.refresh(ctx, loadTopic, ledgerTopic); err != nil {
		return nil
	}
	to, err := cl.coordinator(ctx, ofGroups, chainGroup)
	if err != nil {
		return nil
	}
	if err := cl.commitAt(ctx, to, chainGroup, loadTopic, map[int32]int64{0: int64(p.instance)}); err != nil {
		return nil
	}
	at, err := cl.committedAt(ctx, to, chainGroup, ledgerTopic)
	if err != nil {
		return nil
	}
	return at
}

func sorted[V any](m map[int32]V) []int32 {
	var out []int32
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// stableReader reads what is committed, from any replica, from the beginning and from anywhere.
func (c *cluster) stableReader(ctx context.Context, rng *rand.Rand) {
	cl := c.newClient("stable")
	defer cl.close()
	cl.stable = true
	at := map[place]int64{}
	for wait(ctx, time.Duration(rng.Int64N(int64(200*time.Millisecond)))) {
		p := place{topic: ledgerTopic, index: rng.Int32N(ledgerCount)}
		if rng.IntN(2) == 0 {
			p = place{topic: resultTopic, index: rng.Int32N(resultCount)}
		}
		broker := int32(-1)
		if rng.IntN(3) == 0 {
			broker = int32(1 + rng.IntN(len(c.nodes)))
		}
		from := at[p]
		if rng.IntN(8) == 0 {
			from = rng.Int64N(from + 1)
		}
		f, err := cl.fetch(ctx, broker, p.topic, p.index, from)
		if err != nil {
			continue
		}
		c.sawStable(p.topic, p.index, f)
		if len(f.batches) > 0 {
			at[p] = max(at[p], f.batches[len(f.batches)-1].NextOffset())
		}
	}
}

// one is a record that was read.
type one struct {
	offset int64
	value  string
}

// committed are the records of an answer to who reads what is committed: without those of aborted transactions.
func (f *fetched) committed() (out []one) {
	waiting := slices.Clone(f.aborted)
	slices.SortFunc(waiting, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return int(a.FirstOffset - b.FirstOffset)
	})
	aborted := map[int64]bool{}
	for _, b := range f.batches {
		for len(waiting) > 0 && waiting[0].FirstOffset <= b.LastOffset() {
			aborted[waiting[0].ProducerID] = true
			waiting = waiting[1:]
		}
		switch {
		case b.IsControl():
			if m, ok := markerOf(b); ok && !m.Commit {
				delete(aborted, b.ProducerID())
			}
			continue
		case b.IsTransactional() && aborted[b.ProducerID()]:
			continue
		}
		it := b.Records(1 << 20)
		for it.Next() {
			out = append(out, one{it.Record().Offset, string(it.Record().Value)})
		}
		_ = it.Close() // others look at whether it is whole
	}
	return out
}

// markerOf is the marker in a control batch, if it is a transaction's.
func markerOf(b record.Batch) (m record.EndTxnMarker, ok bool) {
	it := b.Records(1 << 20)
	defer it.Close()
	if !it.Next() {
		return m, false
	}
	r := it.Record()
	if len(r.Key) < 4 || len(r.Value) < 6 || r.Key[2] != 0 || r.Key[3] > 1 {
		return m, false
	}
	m.Commit = r.Key[3] == 1
	m.CoordinatorEpoch = int32(r.Value[2])<<24 | int32(r.Value[3])<<16 | int32(r.Value[4])<<8 | int32(r.Value[5])
	return m, true
}

// transactions asks every broker for its transactions.
func (cl *client) transactions(ctx context.Context) ([]kmsg.ListTransactionsResponseTransactionState, error) {
	var out []kmsg.ListTransactionsResponseTransactionState
	for _, m := range cl.c.nodes {
		if !m.broker() {
			continue
		}
		try, cancel := context.WithTimeout(ctx, 3*time.Second)
		resp, err := cl.peer(m.address(brokerPort)).Do(try, kmsg.NewPtrListTransactionsRequest())
		cancel()
		if err != nil {
			return nil, err
		}
		r := resp.(*kmsg.ListTransactionsResponse)
		if r.ErrorCode != 0 {
			return nil, wire.Code(r.ErrorCode)
		}
		out = append(out, r.TransactionStates...)
	}
	return out, nil
}
