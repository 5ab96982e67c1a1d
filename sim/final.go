package sim

import (
	"slices"
	"time"
)

// readAll reads every partition from all of its replicas and compares it with what clients were told.
func (c *cluster) readAll(out *outcome) {
	cl := c.newClient("reader")
	defer cl.close()
	for i := range int32(registerCount) {
		log := c.readPartition(cl, registerTopic, i)
		out.logged[i] = map[string]bool{}
		for _, s := range log {
			out.logged[i][s.value] = true
		}
		if !c.isBroken() {
			c.compare(registerTopic, i, log)
		}
	}
	for i := range int32(loadCount) {
		if log := c.readPartition(cl, loadTopic, i); !c.isBroken() {
			c.compare(loadTopic, i, log)
		}
	}
	if !c.isBroken() {
		c.checkTransactions(cl)
	}
	c.checkOrder()
	// Another broker has to know the commits as well. Where voters were removed there may be too few of them for that.
	if id, err := cl.coordinator(c.ctx, ofGroups, "group"); err == nil && c.voting != votersChanged {
		m := c.nodes[id-1]
		c.trace.note("kill node %d, the coordinator", m.id)
		m.kill(false)
		c.checkCommitted(cl)
		m.run()
	}
	c.checkCommitted(cl)
	for _, topic := range []string{registerTopic, loadTopic, offsetsTopic} {
		c.compareDisks(cl, topic)
	}
	c.checkLoose(cl)
}

// readPartition gives what is in a partition, by offset.
func (c *cluster) readPartition(cl *client, topic string, index int32) map[int64]sighting {
	log := map[int64]sighting{}
	if err := cl.refresh(c.ctx, topic); err != nil {
		c.fail("L", "%s-%d cannot be read: %v", topic, index, err)
		return log
	}
	var replicas []int32
	for _, p := range cl.meta[topic].Partitions {
		if p.Partition == index {
			replicas = slices.Clone(p.Replicas)
			slices.SortFunc(replicas, func(a, b int32) int { return int(a) - int(b) })
			replicas = append([]int32{p.Leader}, slices.DeleteFunc(replicas, func(id int32) bool { return id == p.Leader })...)
		}
	}
	end := int64(-1)
	for _, broker := range replicas {
		next, failures := int64(0), 0
		for end < 0 || next < end {
			f, err := cl.fetch(c.ctx, broker, topic, index, next)
			if err != nil || len(f.batches) == 0 && end >= 0 && next < end {
				if failures++; failures > 60 {
					c.fail("L", "%s-%d cannot be read from broker %d at %d of %d: %v", topic, index, broker, next, end, err)
					return log
				}
				c.pause(200 * time.Millisecond)
				continue
			}
			if end < 0 {
				end = f.hw
				if f.start != 0 {
					c.fail("I1 NoAckedLoss", "%s-%d begins at %d", topic, index, f.start)
				}
				if end == 0 {
					break
				}
			}
			c.saw(topic, index, f)
			for _, b := range f.batches {
				if b.BaseOffset() > next {
					c.fail("I4 NoGap", "%s-%d of broker %d has no record at %d, the next batch is at %d", topic, index, broker, next, b.BaseOffset())
				}
				it := b.Records(1 << 20)
				for !b.IsControl() && it.Next() {
					if r := it.Record(); broker == replicas[0] {
						log[r.Offset] = sighting{value: string(r.Value), epoch: b.LeaderEpoch(), by: broker}
					}
				}
				_ = it.Close() // saw has looked at it
				next = max(next, b.NextOffset())
			}
		}
	}
	return log
}

// compare is I1, I2 and I8: what was acknowledged is there, at its offset and nowhere else.
func (c *cluster) compare(topic string, index int32, log map[int64]sighting) {
	at := map[string]int64{}
	for o, s := range log {
		if other, twice := at[s.value]; twice {
			c.fail("I8 NoDuplicates", "%s-%d: %q is at %d and at %d", topic, index, s.value, other, o)
		}
		at[s.value] = o
	}
	h := c.history
	h.mu.Lock()
	defer h.mu.Unlock()
	for v, w := range h.writes {
		if w.topic != topic || w.index != index {
			continue
		}
		o, there := at[v]
		switch {
		case w.acked && !there:
			c.fail("I1 NoAckedLoss", "%s-%d: %q was acknowledged at %d and is lost; there is %q", topic, index, v, w.offset, log[w.offset].value)
		case w.acked && w.offset >= 0 && o != w.offset:
			c.fail("I2 SingleValuePerOffset", "%s-%d: %q was acknowledged at %d and is at %d", topic, index, v, w.offset, o)
		case there:
			w.offset = o
		}
	}
}

// checkOrder is I7: the records of one client on one partition are in the order sent, and a write that was acknowledged
// before another began is before it.
func (c *cluster) checkOrder() {
	h := c.history
	h.mu.Lock()
	defer h.mu.Unlock()
	type key struct {
		topic, client string
		index         int32
	}
	by, all := map[key][]*write{}, map[key][]*write{}
	for _, w := range h.writes {
		if w.offset >= 0 {
			k := key{w.topic, w.client, w.index}
			by[k] = append(by[k], w)
			k.client = ""
			all[k] = append(all[k], w)
		}
	}
	for k, ws := range by {
		if _, ok := transactionTopics[k.topic]; k.topic != loadTopic && !ok {
			continue // one that timed out may come after the next
		}
		slices.SortFunc(ws, func(a, b *write) int { return a.seq - b.seq })
		for i := 1; i < len(ws); i++ {
			if ws[i].offset <= ws[i-1].offset {
				c.fail("I7 Order", "%s-%d: %q at %d comes after %q at %d", k.topic, k.index, ws[i-1].value, ws[i-1].offset, ws[i].value, ws[i].offset)
			}
		}
	}
	for k, ws := range all {
		ended := slices.DeleteFunc(slices.Clone(ws), func(w *write) bool { return !w.acked })
		slices.SortFunc(ended, func(a, b *write) int { return a.end.Compare(b.end) })
		slices.SortFunc(ws, func(a, b *write) int { return a.begin.Compare(b.begin) })
		highest, i := int64(-1), 0
		for _, w := range ws {
			for ; i < len(ended) && ended[i].end.Before(w.begin); i++ {
				highest = max(highest, ended[i].offset)
			}
			if w.offset <= highest {
				c.fail("I7 Order", "%s-%d: %q began when offset %d was acknowledged, and is at %d", k.topic, k.index, w.value, highest, w.offset)
			}
		}
	}
}

// checkCommitted is C1: what was said to be committed is, or what was asked for after that. The consumer has ended.
func (c *cluster) checkCommitted(cl *client) {
	var have map[int32]int64
	var err error
	for range 60 {
		if have, err = cl.committed(c.ctx, "group"); err == nil {
			break
		}
		c.pause(300 * time.Millisecond)
	}
	if err != nil {
		c.fail("L", "the group's offsets cannot be read: %v", err)
		return
	}
	for p, at := range c.consumed.committed {
		if have[p] != at && !slices.Contains(c.consumed.unsure[p], have[p]) {
			c.fail("C1 CommitsStay", "%v was committed last, there is %d; asked for since: %v", place{loadTopic, p, at}, have[p], c.consumed.unsure[p])
		}
	}
}
