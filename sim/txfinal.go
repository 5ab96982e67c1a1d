package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/wire"
)

// transactionTopics are the topics that clients write in transactions to.
var transactionTopics = map[string]int32{ledgerTopic: ledgerCount, resultTopic: resultCount}

// awaitChain waits until the chain has copied the whole ledger.
func (c *cluster) awaitChain() {
	cl := c.newClient("chain's end")
	defer cl.close()
	cl.stable = true
	next, last, why := map[int32]int64{}, map[int32]int64{}, ""
	for range 200 {
		if why = c.chainBehind(cl, next, last); why == "" {
			return
		}
		if c.isBroken() || !c.pause(300*time.Millisecond) {
			return
		}
	}
	c.fail("T4 NoHangingTransaction", "the chain is not done a minute after the ledger was: %s", why)
}

func (c *cluster) chainBehind(cl *client, next, last map[int32]int64) string {
	for i := range int32(ledgerCount) {
		for {
			f, err := cl.fetch(c.ctx, -1, ledgerTopic, i, next[i])
			if err != nil {
				return err.Error()
			}
			c.sawStable(ledgerTopic, i, f)
			for _, r := range f.committed() {
				last[i] = max(last[i], r.offset+1)
			}
			if len(f.batches) > 0 {
				next[i] = f.batches[len(f.batches)-1].NextOffset()
				continue
			}
			if f.lso < f.hw {
				return fmt.Sprintf("%s-%d has the last stable offset %d below the high watermark %d", ledgerTopic, i, f.lso, f.hw)
			}
			break
		}
	}
	to, err := cl.coordinator(c.ctx, ofGroups, chainGroup)
	if err != nil {
		return err.Error()
	}
	at, err := cl.committedAt(c.ctx, to, chainGroup, ledgerTopic)
	if err != nil {
		return err.Error()
	}
	for i, want := range last {
		if at[i] < want {
			return fmt.Sprintf("it is at %d of %d in %s-%d", at[i], want, ledgerTopic, i)
		}
	}
	return ""
}

// awaitRest is T4 NoHangingTransaction: within a minute no transaction is open any more, by what coordinators say and by the
// last stable offsets.
func (c *cluster) awaitRest() {
	cl := c.newClient("rest")
	defer cl.close()
	cl.stable = true
	why := ""
	for range 200 {
		if why = c.restless(cl); why == "" {
			return
		}
		if c.isBroken() || !c.pause(300*time.Millisecond) {
			return
		}
	}
	c.fail("T4 NoHangingTransaction", "%s, a minute after all producers ended", why)
}

func (c *cluster) restless(cl *client) string {
	all, err := cl.transactions(c.ctx)
	if err != nil {
		return err.Error()
	}
	for _, t := range all {
		if t.TransactionState != "Empty" && !strings.HasPrefix(t.TransactionState, "Complete") {
			return fmt.Sprintf("the transaction of %s is in the state %s", t.TransactionalID, t.TransactionState)
		}
	}
	if len(all) < plainProducers+1 {
		return fmt.Sprintf("coordinators know of %d transactional ids", len(all))
	}
	topics := map[string]int32{ledgerTopic: ledgerCount, resultTopic: resultCount, offsetsTopic: 2}
	switch err := cl.refresh(c.ctx, fleetingTopic); {
	case err == nil:
		topics[fleetingTopic] = fleetingCount
	case !errors.Is(err, wire.UnknownTopicOrPartition):
		return err.Error()
	}
	for topic, count := range topics {
		for i := range count {
			f, err := cl.fetch(c.ctx, -1, topic, i, 0)
			switch {
			case err != nil:
				return err.Error()
			case f.lso < f.hw:
				return fmt.Sprintf("%s-%d has the last stable offset %d below the high watermark %d", topic, i, f.lso, f.hw)
			}
		}
	}
	return ""
}

// checkTransactions looks at all transactions when nobody writes any more.
func (c *cluster) checkTransactions(cl *client) {
	stable := c.newClient("committed")
	defer stable.close()
	stable.stable = true
	visible := map[string]place{}
	for _, topic := range []string{ledgerTopic, resultTopic} {
		for i := range transactionTopics[topic] {
			log := c.readPartition(cl, topic, i)
			if c.isBroken() {
				return
			}
			c.compare(topic, i, log)
			c.checkZombies(topic, i, log)
			c.readCommitted(stable, topic, i, visible)
		}
	}
	if c.isBroken() {
		return
	}
	c.checkAtomic(stable, visible)
	c.checkChain(visible)
	all := map[string]int32{ledgerTopic: ledgerCount, resultTopic: resultCount, offsetsTopic: 2, stateTopic: stateCount}
	if err := cl.refresh(c.ctx, fleetingTopic); err == nil {
		all[fleetingTopic] = fleetingCount
	}
	for topic, count := range all {
		if c.compareDisks(cl, topic); c.isBroken() {
			return
		}
		for i := range count {
			c.checkProducers(cl, topic, i)
		}
	}
	c.checkStateLog()
}

// readCommitted reads what is committed from every replica: all show the same, and all of what readers were shown is there.
func (c *cluster) readCommitted(cl *client, topic string, index int32, visible map[string]place) {
	if err := cl.refresh(c.ctx, topic); err != nil {
		c.fail("L", "%s-%d cannot be read: %v", topic, index, err)
		return
	}
	var replicas []int32
	for _, p := range cl.meta[topic].Partitions {
		if p.Partition == index {
			replicas = slices.Clone(p.Replicas)
		}
	}
	var first []one
	for n, broker := range replicas {
		var all []one
		for next, failures := int64(0), 0; ; {
			f, err := cl.fetch(c.ctx, broker, topic, index, next)
			if err == nil {
				c.sawStable(topic, index, f)
				for _, r := range f.committed() {
					if r.offset >= next {
						all = append(all, r)
					}
				}
				if len(f.batches) > 0 {
					next = f.batches[len(f.batches)-1].NextOffset()
				}
				if f.lso == f.hw && next >= f.hw && (n == 0 || len(all) >= len(first)) {
					break
				}
			}
			if failures++; failures > 100 {
				c.fail("L", "%s-%d cannot be read from broker %d at %d: %v", topic, index, broker, next, err)
				return
			}
			if err != nil || len(f.batches) == 0 {
				c.pause(200 * time.Millisecond)
			}
		}
		if n == 0 {
			first = all
			for _, r := range all {
				visible[r.value] = place{topic, index, r.offset}
			}
		} else if !slices.Equal(all, first) {
			c.fail("T2 ReplicasShowTheSame", "%s-%d: broker %d shows %d committed records, broker %d others, %d", topic, index, replicas[0], len(first), broker, len(all))
		}
	}
	h := c.txns
	h.mu.Lock()
	defer h.mu.Unlock()
	for v, at := range h.shown {
		if at.topic == topic && at.index == index && visible[v] != at {
			c.fail("T2 CommittedStays", "%v, %q was shown as committed, and is not any more", at, v)
		}
	}
}

// checkZombies is T3 Fencing in the log: no record is there that was sent after a successor had its epoch.
func (c *cluster) checkZombies(topic string, index int32, log map[int64]sighting) {
	h := c.txns
	h.mu.Lock()
	defer h.mu.Unlock()
	for o, s := range log {
		run := h.of[s.value]
		if run == nil {
			continue
		}
		at, ok := h.fenceOf(run.id, run.instance)
		for _, w := range run.writes {
			if ok && w.value == s.value && at.Before(w.begin) {
				c.fail("T3 Fencing", "%v: %q was sent after the producer's successor had its epoch", place{topic, index, o}, s.value)
			}
		}
	}
}

// checkAtomic is T1 AtomicVisibility, for records and for offsets.
func (c *cluster) checkAtomic(cl *client, visible map[string]place) {
	h := c.txns
	h.mu.Lock()
	want := map[int32]int64{}
	for _, run := range h.runs {
		n, missing := 0, ""
		for _, w := range run.writes {
			if _, ok := visible[w.value]; ok {
				n++
			} else {
				missing = w.value
			}
		}
		switch whole := n == len(run.writes); {
		case run.commit && run.acked && !whole:
			c.fail("T1 AtomicVisibility", "a transaction of %s.%d was committed, and %q of it is not there; %d of %d records are", run.id, run.instance, missing, n, len(run.writes))
		case (!run.commit || run.refused) && n > 0:
			c.fail("T2 AbortedRead", "a transaction of %s.%d was not committed, and %d of its %d records are shown", run.id, run.instance, n, len(run.writes))
		case !whole && n > 0:
			c.fail("T1 AtomicVisibility", "of a transaction of %s.%d, of whose commit nobody knows the outcome, %q is not there, and %d of %d records are", run.id, run.instance, missing, n, len(run.writes))
		case run.commit && !run.acked && !run.refused && n > 0:
			c.reach("a commit of unknown outcome that happened")
		case run.commit && !run.acked && !run.refused:
			c.reach("a commit of unknown outcome that did not happen")
		}
		if n > 0 {
			for i, o := range run.offsets {
				want[i] = max(want[i], o)
			}
		}
	}
	h.mu.Unlock()
	var at map[int32]int64
	var err error
	for range 60 {
		var to int32
		if to, err = cl.coordinator(c.ctx, ofGroups, chainGroup); err == nil {
			if at, err = cl.committedAt(c.ctx, to, chainGroup, ledgerTopic); err == nil {
				break
			}
		}
		c.pause(300 * time.Millisecond)
	}
	if err != nil {
		c.fail("L", "the chain's offsets cannot be read: %v", err)
	}
	for i := range int32(ledgerCount) {
		if max(at[i], 0) != want[i] {
			c.fail("T1 AtomicOffsets", "the chain's transactions that are committed have brought it to %d of %s-%d, its offset is %d", want[i], ledgerTopic, i, at[i])
		}
	}
}

// checkChain is exactly once: each committed record of the ledger is in the results, once.
func (c *cluster) checkChain(visible map[string]place) {
	copies := map[string]string{}
	for v := range visible {
		made, from, ok := strings.Cut(v, ">")
		if !ok {
			continue
		}
		if other := copies[from]; other != "" {
			c.fail("T1 ExactlyOnce", "%q of the ledger is in the results twice: %s and %s", from, other, made)
		}
		if copies[from] = made; visible[from].topic != ledgerTopic {
			c.fail("T1 ExactlyOnce", "%q in the results was never committed to the ledger", v)
		}
	}
	for v, at := range visible {
		if at.topic == ledgerTopic && copies[v] == "" {
			c.fail("T1 ExactlyOnce", "%q of the ledger is not in the results", v)
		}
	}
}
