package txn

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

// entriesPerRequest and bytesPerRequest bound what goes into one request to a broker.
const (
	entriesPerRequest = 1000
	bytesPerRequest   = 512 << 10
)

// entryBytes bounds what a transaction takes of a request without its partitions and its id.
const entryBytes = 64

// partitionBytes bounds what a partition takes of a request; first says that it is the first of its topic.
func partitionBytes(tp log.TopicPartition, first bool) int {
	if first {
		return len(tp.Topic) + 16 + 4
	}
	return 4
}

// pieces divides partitions so that each piece fits into a request. It sorts parts.
func pieces(parts []log.TopicPartition) (out [][]log.TopicPartition) {
	slices.SortFunc(parts, compare)
	start, bytes := 0, entryBytes
	for i, tp := range parts {
		n := partitionBytes(tp, i == start || parts[i-1].Topic != tp.Topic)
		if bytes+n > bytesPerRequest && i > start {
			out = append(out, parts[start:i:i])
			start, bytes = i, entryBytes
			n = partitionBytes(tp, true)
		}
		bytes += n
	}
	if start < len(parts) {
		out = append(out, parts[start:])
	}
	return out
}

// sizeOf bounds what sorted partitions take of a request, the transaction included.
func sizeOf(parts []log.TopicPartition) int {
	n := entryBytes
	for i, tp := range parts {
		n += partitionBytes(tp, i == 0 || parts[i-1].Topic != tp.Topic)
	}
	return n
}

// job is a decided transaction whose markers are under way.
type job struct {
	id               string
	shard            int32
	producer         Producer
	commit           bool
	coordinatorEpoch int32
	version          int8
	dropped          atomic.Bool // nobody waits for it any more
}

// markers brings markers to the leaders of partitions: one request at a time to each broker, with all that has gathered. It
// goes on with each partition until its marker is written, the partition is gone or the job is dropped.
type markers struct {
	c *Coordinator

	mu      sync.Mutex
	queues  map[int32]*markerQueue
	pausing []pause // entries that are routed again later
	clock   bool    // somebody looks after them
}

type markerQueue struct {
	waiting []markerEntry
	running bool
}

// next is how many entries go into the next request.
func (q *markerQueue) next() int {
	bytes := 0
	for n, e := range q.waiting {
		if bytes += sizeOf(e.parts); n == entriesPerRequest || n > 0 && bytes > bytesPerRequest {
			return n
		}
	}
	return len(q.waiting)
}

type markerEntry struct {
	job     *job
	parts   []log.TopicPartition
	attempt int
}

func newMarkers(c *Coordinator) *markers { return &markers{c: c, queues: map[int32]*markerQueue{}} }

func (s *markers) send(j *job, parts []log.TopicPartition) {
	s.route(markerEntry{job: j, parts: parts})
}

// route puts the partitions of an entry on the queues of their leaders.
func (s *markers) route(e markerEntry) {
	if e.job.dropped.Load() {
		return
	}
	byBroker := map[int32][]log.TopicPartition{}
	var gone []log.TopicPartition
	for _, tp := range e.parts {
		if broker, exists := s.c.deps.Cluster.Leader(tp); exists {
			byBroker[broker] = append(byBroker[broker], tp)
		} else {
			gone = append(gone, tp) // deleted since: there is nothing left to mark
		}
	}
	s.done(e.job, gone)
	for broker, parts := range byBroker {
		one := markerEntry{job: e.job, parts: parts, attempt: e.attempt}
		if broker < 0 {
			s.later(one, len(parts))
			continue
		}
		for _, piece := range pieces(parts) {
			one.parts = piece
			s.queue(broker, one)
		}
	}
}

func (s *markers) queue(broker int32, e markerEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[broker]
	if q == nil {
		q = &markerQueue{}
		s.queues[broker] = q
	}
	q.waiting = append(q.waiting, e)
	if q.running {
		return
	}
	q.running = s.c.deps.Group.Go("txn markers", func(ctx context.Context) { s.run(ctx, broker, q) })
}

// run sends what is queued for a broker until there is nothing.
func (s *markers) run(ctx context.Context, broker int32, q *markerQueue) {
	for {
		s.mu.Lock()
		n := q.next()
		if n == 0 || ctx.Err() != nil {
			q.running = false
			s.mu.Unlock()
			return
		}
		batch := append([]markerEntry(nil), q.waiting[:n]...)
		q.waiting = append(q.waiting[:0], q.waiting[n:]...)
		s.mu.Unlock()
		s.exchange(ctx, broker, batch)
	}
}

// exchange sends one request and takes its answer.
func (s *markers) exchange(ctx context.Context, broker int32, batch []markerEntry) {
	live := batch[:0]
	for _, e := range batch {
		if !e.job.dropped.Load() {
			live = append(live, e)
		}
	}
	if len(live) == 0 {
		return
	}
	resp, err := s.c.ask(ctx, broker, markerRequest(live), func() bool { return s.leads(broker, live) })
	answer, ok := resp.(*kmsg.WriteTxnMarkersResponse)
	if err != nil || !ok {
		if ctx.Err() == nil {
			s.c.deps.Logger.Debug("markers of transactions did not get to their broker, they are sent again", "broker", broker, "error", err)
		}
		for _, e := range live {
			s.later(e, 0)
		}
		return
	}
	codes := answered(answer)
	for _, e := range live {
		s.take(e, codes[e.job.producer.ID])
	}
}

// leads reports whether the broker leads any of the partitions.
func (s *markers) leads(broker int32, batch []markerEntry) bool {
	for _, e := range batch {
		for _, tp := range e.parts {
			if leader, _ := s.c.deps.Cluster.Leader(tp); leader == broker {
				return true
			}
		}
	}
	return false
}

// lookAgain is after how long who waits for a broker looks whether it is still the one to ask.
const lookAgain = 500 * time.Millisecond

// errMoved says that another broker has to be asked.
var errMoved = errors.New("another broker leads what was asked about")

// ask sends a request to a broker for as long as that is the one to ask: one that is frozen holds nothing back once another
// has taken its place.
func (c *Coordinator) ask(ctx context.Context, broker int32, req kmsg.Request, right func() bool) (kmsg.Response, error) {
	if !right() {
		return nil, errMoved
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.deps.Group.Go("txn broker moves", func(context.Context) {
		tick := time.NewTicker(lookAgain)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if !right() {
					cancel(errMoved)
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return c.deps.Cluster.Ask(ctx, broker, req)
}

func markerRequest(batch []markerEntry) *kmsg.WriteTxnMarkersRequest {
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	for _, e := range batch {
		m := kmsg.NewWriteTxnMarkersRequestMarker()
		m.ProducerID, m.ProducerEpoch, m.Committed = e.job.producer.ID, e.job.producer.Epoch, e.job.commit
		m.CoordinatorEpoch, m.TransactionVersion = e.job.coordinatorEpoch, e.job.version
		at := map[string]int{}
		for _, tp := range e.parts {
			i, ok := at[tp.Topic]
			if !ok {
				i = len(m.Topics)
				at[tp.Topic] = i
				t := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
				t.Topic = tp.Topic
				m.Topics = append(m.Topics, t)
			}
			m.Topics[i].Partitions = append(m.Topics[i].Partitions, tp.Partition)
		}
		req.Markers = append(req.Markers, m)
	}
	return req
}

func answered(resp *kmsg.WriteTxnMarkersResponse) map[int64]map[log.TopicPartition]wire.Code {
	out := map[int64]map[log.TopicPartition]wire.Code{}
	for i := range resp.Markers {
		m := &resp.Markers[i]
		if out[m.ProducerID] == nil {
			out[m.ProducerID] = map[log.TopicPartition]wire.Code{}
		}
		for j := range m.Topics {
			for _, p := range m.Topics[j].Partitions {
				out[m.ProducerID][log.TopicPartition{Topic: m.Topics[j].Topic, Partition: p.Partition}] = wire.Code(p.ErrorCode)
			}
		}
	}
	return out
}

// take sorts the partitions of an entry by what was said of them.
func (s *markers) take(e markerEntry, codes map[log.TopicPartition]wire.Code) {
	var done, again []log.TopicPartition
	for _, tp := range e.parts {
		code, ok := codes[tp]
		switch {
		case !ok:
			again = append(again, tp)
		case code == wire.None, code == wire.UnsupportedForMessageFormat:
			done = append(done, tp)
		case code == wire.InvalidProducerEpoch, code == wire.TransactionCoordinatorFenced:
			// Another coordinator, or the producer's next epoch, has been there: whoever it was brings this to its end.
			s.c.deps.Logger.Info("markers of a transaction are not sent any more, since the partition knows of a later epoch",
				"transactionalId", e.job.id, "partition", tp.String(), "code", code.Name())
			e.job.dropped.Store(true)
			return
		default:
			again = append(again, tp)
		}
	}
	s.done(e.job, done)
	if len(again) > 0 {
		s.later(markerEntry{job: e.job, parts: again, attempt: e.attempt}, 0)
	}
}

// done tells the shard that nothing is left to do in these partitions.
func (s *markers) done(j *job, parts []log.TopicPartition) {
	if len(parts) > 0 {
		s.c.rt.Run(j.shard, func(tx *coordinator.Tx, m *machine) { m.marked(tx, j, parts) }, func(error) {})
	}
}
