package log

import (
	"slices"
	"sort"

	"github.com/weir-stream/weir/internal/record"
)

// cleanedTxns follows the transactions while the cleaner goes over a log, to know which batches were aborted and which
// markers have nothing left to mark.
type cleanedTxns struct {
	queue     []abortedTxn // by first offset, not begun yet
	aborted   map[int64]*abortedRun
	committed map[int64]bool
	kept      *[]abortedTxn // the transaction index of the segment that is written, nil while only keys are read
}

type abortedRun struct {
	txn  abortedTxn
	seen bool // batches of it are still there
}

func newCleanedTxns() *cleanedTxns {
	return &cleanedTxns{aborted: map[int64]*abortedRun{}, committed: map[int64]bool{}}
}

// add puts aborted transactions on the queue; those that are there already are left out.
func (c *cleanedTxns) add(txns []abortedTxn) {
	for _, t := range txns {
		if run := c.aborted[t.producerID]; run != nil && run.txn == t {
			continue
		}
		if slices.Contains(c.queue, t) {
			continue
		}
		i := sort.Search(len(c.queue), func(i int) bool { return c.queue[i].firstOffset > t.firstOffset })
		c.queue = slices.Insert(c.queue, i, t)
	}
}

func (c *cleanedTxns) beginUpTo(offset int64) {
	for len(c.queue) > 0 && c.queue[0].firstOffset <= offset {
		t := c.queue[0]
		c.queue = c.queue[1:]
		if c.aborted[t.producerID] == nil {
			c.aborted[t.producerID] = &abortedRun{txn: t}
		}
	}
}

// data takes in a data batch and reports whether its transaction was aborted.
func (c *cleanedTxns) data(b record.Batch) bool {
	c.beginUpTo(b.LastOffset())
	if !b.IsTransactional() {
		return false
	}
	if run := c.aborted[b.ProducerID()]; run != nil {
		run.seen = true
		return true
	}
	c.committed[b.ProducerID()] = true
	return false
}

// control takes in a control batch and reports whether nothing of its transaction is left, so that it may go.
func (c *cleanedTxns) control(b record.Batch) (bool, error) {
	c.beginUpTo(b.LastOffset())
	if b.NumRecords() == 0 {
		return true, nil
	}
	m, ok, err := decodeMarker(b)
	if err != nil || !ok {
		return false, err
	}
	if m.commit {
		had := c.committed[b.ProducerID()]
		delete(c.committed, b.ProducerID())
		return !had, nil
	}
	run := c.aborted[b.ProducerID()]
	delete(c.aborted, b.ProducerID())
	if run == nil || !run.seen {
		return true, nil
	}
	if c.kept != nil {
		*c.kept = append(*c.kept, run.txn)
	}
	return false, nil
}
