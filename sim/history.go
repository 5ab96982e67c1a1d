package sim

import (
	"fmt"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/record"
)

// history is what the clients did and were told, and what the checkers make of it while it goes on.
type history struct {
	mu      sync.Mutex
	leaders map[ledKey]int32
	seen    map[place]sighting
	writes  map[string]*write // by value
	refused map[string]string // values that were certainly not written, and why
	marks   map[ledKey]int64  // the highest high watermark that the leader of an epoch has told
	proved  map[ledKey]bool   // leaders whose logs were looked at
	tips    map[place]tip     // the last record of a partition that was shown
	acked   int
}

type ledKey struct {
	topic [16]byte
	index int32
	epoch int32
}

type place struct {
	topic  string
	index  int32
	offset int64
}

// String names a place.
func (p place) String() string { return fmt.Sprintf("%s-%d@%d", p.topic, p.index, p.offset) }

// sighting is what somebody read at an offset.
type sighting struct {
	value string
	crc   uint32
	epoch int32
	by    int32
}

// write is a record that a client sent.
type write struct {
	topic      string
	index      int32
	value      string
	client     string
	seq        int // of the client on the partition
	begin, end time.Time
	offset     int64 // -1: unknown
	acked      bool
}

func newHistory() *history {
	return &history{leaders: map[ledKey]int32{}, seen: map[place]sighting{}, writes: map[string]*write{}, refused: map[string]string{}, marks: map[ledKey]int64{}, proved: map[ledKey]bool{}, tips: map[place]tip{}}
}

// led notes that somebody said who leads: I6, one leader for each epoch.
func (c *cluster) led(topic [16]byte, index, epoch, leader int32) {
	if leader < 0 {
		return
	}
	h := c.history
	h.mu.Lock()
	defer h.mu.Unlock()
	k := ledKey{topic, index, epoch}
	if other, ok := h.leaders[k]; ok && other != leader {
		c.fail("I6 OneLeaderPerEpoch", "%x-%d: brokers %d and %d lead in epoch %d", topic, index, other, leader, epoch)
	}
	h.leaders[k] = leader
}

// sent notes that a client is about to write.
func (c *cluster) sent(w *write) *write {
	h := c.history
	h.mu.Lock()
	defer h.mu.Unlock()
	w.begin, w.offset = time.Now(), -1
	h.writes[w.value] = w
	return w
}

// told notes what a client was told about a write.
func (c *cluster) told(w *write, offset int64) {
	h := c.history
	h.mu.Lock()
	w.end, w.offset, w.acked = time.Now(), offset, true // -1: it is there, but where was not said
	h.acked++
	h.showing(w.topic, w.index, offset, w.value)
	h.mu.Unlock()
	c.trace.note("%s: %s-%d %q acknowledged at %d", w.client, w.topic, w.index, w.value, offset)
}

// notWritten notes that a write failed for good: I10.
func (c *cluster) notWritten(w *write, why error) {
	h := c.history
	h.mu.Lock()
	h.refused[w.value] = why.Error()
	h.mu.Unlock()
}

// saw checks batches that a client was shown: I2 ConsistentRead, I9.
func (c *cluster) saw(topic string, index int32, from *fetched) {
	h := c.history
	for _, b := range from.batches {
		if b.IsControl() {
			continue
		}
		it := b.Records(1 << 20)
		for it.Next() {
			r := it.Record()
			h.mu.Lock()
			c.sawOne(h, place{topic, index, r.Offset}, sighting{string(r.Value), b.CRC(), b.LeaderEpoch(), from.broker})
			h.mu.Unlock()
		}
		if err := it.Close(); err != nil {
			c.fail("I2 ConsistentRead", "%s-%d: the batch at %d is not valid: %v", topic, index, b.BaseOffset(), err)
		}
	}
}

func (c *cluster) sawOne(h *history, at place, s sighting) {
	if old, ok := h.seen[at]; ok {
		if old.value != s.value || old.epoch != s.epoch {
			c.fail("I2 ConsistentRead", "%s-%d at %d: broker %d shows %q of epoch %d, broker %d showed %q of epoch %d", at.topic, at.index, at.offset, s.by, s.value, s.epoch, old.by, old.value, old.epoch)
		}
		return
	}
	h.seen[at] = s
	h.showing(at.topic, at.index, at.offset, s.value)
	w := h.writes[s.value]
	switch {
	case w == nil || w.topic != at.topic || w.index != at.index:
		c.fail("I9 NoInvention", "%s-%d at %d: nobody sent %q there", at.topic, at.index, at.offset, s.value)
	case h.refused[s.value] != "":
		c.fail("I10 DefiniteFailuresStayFailed", "%s-%d at %d: %q, of which it was said: %s", at.topic, at.index, at.offset, s.value, h.refused[s.value])
	}
}

// mark is the highest high watermark that the leader of an epoch has told by now.
func (c *cluster) mark(k ledKey) int64 {
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	return c.history.marks[k]
}

// marked is I3 MonotonicHighWatermark: a leader that was asked after it had told one does not tell a lower one.
func (c *cluster) marked(k ledKey, topic string, before int64, f *fetched) {
	h := c.history
	h.mu.Lock()
	h.marks[k] = max(h.marks[k], f.hw)
	h.mu.Unlock()
	if f.hw < before {
		c.fail("I3 MonotonicHighWatermark", "%s-%d: broker %d, which leads in epoch %d, tells %d after %d", topic, k.index, f.broker, k.epoch, f.hw, before)
	}
}

// batchOf makes a batch of one record.
func batchOf(value string) record.Batch {
	var b record.Builder
	b.Append(time.Now().UnixMilli(), nil, []byte(value))
	batch, err := b.Build()
	if err != nil {
		panic(err) // it is small and whole
	}
	return batch
}
