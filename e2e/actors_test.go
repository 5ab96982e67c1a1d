//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ticking calls a function at most once in a pace until done is closed.
func ticking(done <-chan struct{}, pace time.Duration, f func(n int)) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		case <-tick.C:
			f(n)
		}
	}
}

// numbers are what a writer has sent to a topic: numbers that grow. It knows which were acknowledged, and where.
type numbers struct {
	s          *scene
	topic      string
	partitions int
	cl         *kgo.Client
	filler     string

	mu     sync.Mutex
	acked  []map[int64]int // by partition: offset to number
	failed int
}

func newNumbers(s *scene, topic string, filler int, configs map[string]string, opts ...kgo.Opt) *numbers {
	s.t.Helper()
	const partitions = 4
	s.createTopic(topic, partitions, configs)
	s.topics[topic] = partitions
	w := &numbers{s: s, topic: topic, partitions: partitions, filler: strings.Repeat("x", filler)}
	w.cl = s.connect("app", append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(400)}, opts...)...)
	for range partitions {
		w.acked = append(w.acked, map[int64]int{})
	}
	return w
}

// send writes a number to every partition; it waits only while very much is under way.
func (w *numbers) send(n int, key []byte) {
	for p := range w.partitions {
		w.cl.Produce(context.Background(), &kgo.Record{Topic: w.topic, Partition: int32(p), Key: key, Value: fmt.Appendf(nil, "%d %s", n, w.filler)}, func(r *kgo.Record, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if err != nil {
				w.failed++
				return
			}
			w.acked[p][r.Offset] = n
		})
	}
}

func (w *numbers) flush() {
	ctx, cancel := context.WithTimeout(w.s.ctx, healthyWithin)
	defer cancel()
	if err := w.cl.Flush(ctx); err != nil {
		w.s.t.Errorf("%s: what was sent is not answered: %v", w.topic, err)
	}
}

// count is how many were acknowledged.
func (w *numbers) count() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, acked := range w.acked {
		n += len(acked)
	}
	return n
}

// end is the offset after the last one that was acknowledged.
func (w *numbers) end(p int) (end int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for o := range w.acked[p] {
		end = max(end, o+1)
	}
	return end
}

// offsets asks where a topic's partitions begin or end, until all say it: connections may just have been lost, and a leader that is
// new has to learn its high watermark first.
func (s *scene) offsets(list func(context.Context, ...string) (kadm.ListedOffsets, error), topic string) (out kadm.ListedOffsets) {
	s.t.Helper()
	await(s.t, s.ctx, "the offsets of "+topic+" are told", func() bool {
		var err error
		out, err = list(s.ctx, topic)
		return err == nil && out.Error() == nil
	})
	return out
}

// readAll reads the topic from its beginning to its end. Numbers have to grow in each partition: none is there twice or late.
func (w *numbers) readAll() []map[int64]*kgo.Record {
	w.s.t.Helper()
	ends, starts := w.s.offsets(w.s.adm.ListEndOffsets, w.topic), w.s.offsets(w.s.adm.ListStartOffsets, w.topic)
	got, last := make([]map[int64]*kgo.Record, w.partitions), make([]int, w.partitions)
	for p := range got {
		got[p], last[p] = map[int64]*kgo.Record{}, -1
		from, _ := starts.Lookup(w.topic, int32(p))
		to, ok := ends.Lookup(w.topic, int32(p))
		if !ok || to.Err != nil {
			w.s.t.Fatalf("%s-%d has no end: %v", w.topic, p, to.Err)
		}
		cl := w.s.connect("app", kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{w.topic: {int32(p): kgo.NewOffset().At(from.Offset)}}), kgo.KeepControlRecords(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		ctx, cancel := context.WithTimeout(w.s.ctx, healthyWithin)
		for next := from.Offset; next < to.Offset && ctx.Err() == nil; {
			cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				next = r.Offset + 1
				got[p][r.Offset] = r
				if n := number(r); n <= last[p] {
					w.s.t.Errorf("I7: %s-%d: %d comes after %d at %d", w.topic, p, n, last[p], r.Offset)
				} else {
					last[p] = n
				}
			})
		}
		if ctx.Err() != nil && w.s.ctx.Err() == nil {
			w.s.t.Errorf("%s-%d cannot be read to its end %d", w.topic, p, to.Offset)
		}
		cancel()
		cl.Close()
	}
	return got
}

func number(r *kgo.Record) int {
	text, _, _ := bytes.Cut(r.Value, []byte(" "))
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return -1
	}
	return n
}

// careless writes with acks=1 and never again what has failed: some of it may be lost, nothing may be there twice or late.
type careless struct{ *numbers }

func newCareless(s *scene) *careless {
	return &careless{newNumbers(s, "careless", 10, nil, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.MaxProduceRequestsInflightPerBroker(1))}
}

func (c *careless) act(done <-chan struct{}) {
	ticking(done, 50*time.Millisecond, func(n int) { c.send(n, nil) })
	c.flush()
}

func (c *careless) judge() string {
	got, lost := c.readAll(), 0
	for p, acked := range c.acked {
		for o, n := range acked {
			if r := got[p][o]; r == nil || number(r) != n {
				lost++
			}
		}
	}
	return fmt.Sprintf("acks=1: %d acknowledged, %d failed, %d lost (which may be), none twice or out of order", c.count(), c.failed, lost)
}

// keeper writes to a compacted topic, again and again the same keys: the last value of each stays.
type keeper struct{ *numbers }

const keptKeys = 50

func newKeeper(s *scene) *keeper {
	return &keeper{newNumbers(s, "kept", 500, map[string]string{
		"cleanup.policy": "compact", "segment.ms": "3000", "min.cleanable.dirty.ratio": "0.01",
	})}
}

func (k *keeper) act(done <-chan struct{}) {
	ticking(done, 25*time.Millisecond, func(n int) { k.send(n, fmt.Append(nil, "key ", n%keptKeys)) })
	k.flush()
}

func (k *keeper) judge() string {
	if k.failed > 0 {
		k.s.t.Errorf("%s: %d sends failed", k.topic, k.failed)
	}
	there := 0
	for p, got := range k.readAll() {
		there += len(got)
		newest := map[string]int{}
		for _, r := range got {
			newest[string(r.Key)] = max(newest[string(r.Key)], number(r))
		}
		want := map[string]int{}
		for _, n := range k.acked[p] {
			key := fmt.Sprint("key ", n%keptKeys)
			want[key] = max(want[key], n)
		}
		for key, n := range want {
			if newest[key] != n {
				k.s.t.Errorf("I1: %s-%d: the last value of %s was %d; it is %d", k.topic, p, key, n, newest[key])
			}
		}
	}
	if faultMinutes(k.s.t) > 0 && there >= k.count() {
		k.s.t.Errorf("%s was never compacted", k.topic)
	}
	return fmt.Sprintf("compacted: %d acknowledged, %d are still there, among them the last of each key", k.count(), there)
}

// shortener has a topic that loses its beginning by retention, and by DeleteRecords at any time.
type shortener struct {
	*numbers
	deleted  []int64
	requests int
}

func newShortener(s *scene) *shortener {
	return &shortener{numbers: newNumbers(s, "short", 4000, map[string]string{"segment.bytes": "1048576", "retention.bytes": "1048576"}), deleted: make([]int64, 4)}
}

func (x *shortener) act(done <-chan struct{}) {
	var wg sync.WaitGroup
	wg.Go(func() {
		ticking(done, 700*time.Millisecond, func(n int) {
			p := n % x.partitions
			to := x.end(p) * 9 / 10
			ctx, cancel := context.WithTimeout(x.s.ctx, 10*time.Second)
			defer cancel()
			offsets := kadm.Offsets{}
			offsets.AddOffset(x.topic, int32(p), to, -1)
			got, err := x.s.adm.DeleteRecords(ctx, offsets)
			if r, ok := got.Lookup(x.topic, int32(p)); err == nil && ok && r.Err == nil {
				x.deleted[p] = max(x.deleted[p], to)
				x.requests++
			}
		})
	})
	ticking(done, 50*time.Millisecond, func(n int) { x.send(n, nil) })
	wg.Wait()
	x.flush()
}

func (x *shortener) judge() string {
	if x.failed > 0 {
		x.s.t.Errorf("%s: %d sends failed", x.topic, x.failed)
	}
	got, lost := x.readAll(), 0
	starts := x.s.offsets(x.s.adm.ListStartOffsets, x.topic)
	for p, acked := range x.acked {
		start, _ := starts.Lookup(x.topic, int32(p))
		if start.Offset < x.deleted[p] || start.Offset == 0 && faultMinutes(x.s.t) > 0 {
			x.s.t.Errorf("%s-%d begins at %d; all below %d was deleted", x.topic, p, start.Offset, x.deleted[p])
		}
		for o, n := range acked {
			if r := got[p][o]; o >= start.Offset && (r == nil || number(r) != n) {
				lost++
			}
		}
	}
	if lost > 0 {
		x.s.t.Errorf("I1: %s: %d acknowledged records are lost", x.topic, lost)
	}
	return fmt.Sprintf("shortened: %d acknowledged, %d DeleteRecords, logs begin beyond %v; 0 lost of what is not deleted", x.count(), x.requests, x.deleted)
}

// churner makes and deletes topics all the time, and writes to each. Requests are sent again when nobody answers, by clients and by
// brokers that forward them, so that a topic may be made once more by a request that comes late: what was acknowledged holds
// for the topic's id.
type churner struct {
	s     *scene
	cl    *kgo.Client
	made  map[kadm.TopicID]string // whose making was acknowledged, and whose deletion was not
	gone  map[kadm.TopicID]string // whose deletion was acknowledged too
	names map[string]kadm.TopicID
	times map[string][]string // when what was answered, by name
	// unsure counts requests without success, written the records.
	unsure, written int
}

func newChurner(s *scene) *churner {
	return &churner{s: s, cl: s.connect("app", kgo.ProducerLinger(0), kgo.RecordRetries(10), kgo.UnknownTopicRetries(10)),
		made: map[kadm.TopicID]string{}, gone: map[kadm.TopicID]string{}, names: map[string]kadm.TopicID{}, times: map[string][]string{}}
}

func (c *churner) act(done <-chan struct{}) {
	name := func(n int) string { return fmt.Sprint("churn-", n) }
	ticking(done, 300*time.Millisecond, func(n int) {
		ctx, cancel := context.WithTimeout(c.s.ctx, 10*time.Second)
		defer cancel()
		two := "2"
		made, err := c.s.adm.CreateTopic(ctx, 3, 3, map[string]*string{"min.insync.replicas": &two}, name(n))
		if err != nil || made.Err != nil {
			c.unsure++
		} else {
			c.made[made.ID], c.names[name(n)] = name(n), made.ID
			c.note(name(n), "made as %v", made.ID)
			if c.cl.ProduceSync(ctx, &kgo.Record{Topic: name(n), Value: []byte("x")}).FirstErr() == nil {
				c.written++
			}
		}
		if id, ok := c.names[name(n-3)]; ok {
			delete(c.made, id)
			got, err := c.s.adm.DeleteTopics(ctx, name(n-3))
			deleted, ok := got[name(n-3)]
			if err != nil || !ok || deleted.Err != nil {
				c.unsure++
				return
			}
			c.gone[id] = name(n - 3)
			c.note(name(n-3), "deleted as %v", deleted.ID)
		}
	})
}

func (c *churner) note(name, what string, args ...any) {
	c.times[name] = append(c.times[name], time.Now().Format("15:04:05.000 ")+fmt.Sprintf(what, args...))
}

func (c *churner) judge() string {
	var topics kadm.TopicDetails
	// Whoever is asked may hear of the last ones a little later.
	await(c.s.t, c.s.ctx, "all topics that were made are there", func() (there bool) {
		var err error
		if topics, err = c.s.adm.ListTopics(c.s.ctx); err != nil {
			return false
		}
		for id, name := range c.made {
			if topics[name].ID != id {
				c.s.t.Logf("topic %s was made with the id %v; there is %v", name, id, topics[name].ID)
				return false
			}
		}
		return true
	})
	late := 0
	for _, topic := range topics {
		if _, gone := c.gone[topic.ID]; gone {
			c.s.t.Errorf("topic %s is there, with the id %v whose deletion was acknowledged: %q", topic.Topic, topic.ID, c.times[topic.Topic])
		} else if id, ours := c.names[topic.Topic]; ours && id != topic.ID {
			late++
			c.s.t.Logf("topic %s is there once more as %v: %q", topic.Topic, topic.ID, c.times[topic.Topic])
		}
	}
	return fmt.Sprintf("topics: %d made, %d of them deleted, %d made again by late requests, %d records in them, %d requests not answered with success",
		len(c.names), len(c.gone), late, c.written, c.unsure)
}
