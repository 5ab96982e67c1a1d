package handler

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/quota"
	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// Fetch, versions 4 to 18.
//
//	4  isolation level, aborted list    12 flexible, last fetched epoch (KIP-595)
//	5  log start offset                 13 topic ids (KIP-516)
//	7  sessions (KIP-227)               15 replica state instead of replica id
//	9  current leader epoch (KIP-320)   16 node endpoints (KIP-951)
//	10 zstd                             17 replica directory id
//	11 rack (KIP-392)                   18 high watermark known to the follower
//
// A fetch is answered at once when it has min.bytes, an error, or nothing to wait for; else it is parked until enough
// is committed or max.wait.ms is over.
func (b *Broker) handleFetch(r *wire.Request) {
	req := r.Body.(*kmsg.FetchRequest)
	by := replica.Reader{Follower: req.ReplicaID, BrokerEpoch: -1, CommittedOnly: req.IsolationLevel == 1, AnyReplica: r.Version >= 11 || req.ReplicaID == debuggingReplica, Rack: req.Rack}
	if r.Version >= 15 {
		by.Follower, by.BrokerEpoch = req.ReplicaState.ID, req.ReplicaState.Epoch
	}
	f := &fetch{b: b, r: r, req: req, usesIDs: r.Version >= 13, by: by, follower: by.Follower >= 0}
	f.impostor = f.follower && !b.ofNode(r)
	if f.impostor {
		f.full, f.items = true, f.requested()
	} else if code := f.openSession(); code != wire.None {
		f.fail(code)
		return
	}
	f.resolve(0)
	f.run()
}

// fetch is one Fetch request on its way to an answer.
type fetch struct {
	b       *Broker
	r       *wire.Request
	req     *kmsg.FetchRequest
	usesIDs bool
	by      replica.Reader
	// follower: the request is a replica's; impostor: or says so without the right to. It gets no session and no data.
	follower, impostor bool

	maxBytes int64 // that the answer may have
	minBytes int64 // that it should have; never more than maxBytes, which would never come

	session *fetchSession // nil: none
	full    bool          // a full fetch: every partition is answered
	epoch   int32         // the session epoch that the answer belongs to
	items   []fetchItem
	specs   []replica.FetchSpec // parallel to items; Replica nil where codes has an error
	codes   []wire.Code
	hints   []*wire.LeaderHint // parallel to items: who leads what is not here
	sent    []int64            // parallel to items: the bytes that the last read found
	cached  []*cachedFetch     // parallel to items, in a follower's session: where they come from
	open    []bool             // parallel to cached: the last read left something to do
	taken   time.Time          // when the session was asked for its news
	local   time.Duration      // how long the handler took before it parked the request; 0: it did not
}

func (f *fetch) fail(code wire.Code) {
	f.r.Reply(&wire.FetchResponse{Version: f.r.Version, ErrorCode: code})
}

// openSession finds out which partitions the request is about (KIP-227).
func (f *fetch) openSession() wire.Code {
	id, epoch := f.req.SessionID, f.req.SessionEpoch
	if f.r.Version < 7 {
		id, epoch = noSession, finalSessionEpoch
	}
	if epoch == initialSessionEpoch || epoch == finalSessionEpoch {
		f.full = true
		if id != noSession {
			f.b.sessions.remove(id)
		}
		f.items = f.requested()
		return wire.None
	}
	s := f.b.sessions.get(id)
	if s == nil || s.broker != f.sessionOf() {
		return wire.FetchSessionIdNotFound
	}
	code := f.goOn(s, epoch)
	if code == wire.None && f.session == nil {
		f.b.sessions.remove(id) // it closes the session, which takes its lock again
		f.full = true
	}
	return code
}

// goOn takes a request into its session; there is none any more if that has no partitions left.
func (f *fetch) goOn(s *fetchSession, epoch int32) wire.Code {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.epoch != epoch:
		if s.news != nil && s.epoch == nextSessionEpoch(epoch) {
			s.news.Hurry() // a follower that has more to ask for than what it waits for
		}
		return wire.InvalidFetchSessionEpoch
	case s.usesIDs != f.usesIDs:
		return wire.FetchSessionTopicIdError
	}
	s.update(f.requested(), f.forgotten())
	f.b.sessions.touch(s, len(s.partitions))
	if len(s.partitions) == 0 {
		return wire.None
	}
	s.epoch = nextSessionEpoch(epoch)
	f.session, f.epoch = s, s.epoch
	if s.news != nil {
		f.by.Session = s.news
	} else {
		f.items = s.items()
	}
	return wire.None
}

func (f *fetch) requested() []fetchItem {
	n := 0
	for i := range f.req.Topics {
		n += len(f.req.Topics[i].Partitions)
	}
	items := make([]fetchItem, 0, n)
	for i := range f.req.Topics {
		t := &f.req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			items = append(items, fetchItem{
				key:                fetchKey{id: t.TopicID, name: t.Topic, index: p.Partition},
				currentLeaderEpoch: p.CurrentLeaderEpoch, fetchOffset: p.FetchOffset,
				lastFetchedEpoch: p.LastFetchedEpoch, logStartOffset: p.LogStartOffset, highWatermark: p.HighWatermark, maxBytes: p.PartitionMaxBytes,
			})
		}
	}
	return fetchOnce(items)
}

func (f *fetch) forgotten() []fetchKey {
	var keys []fetchKey
	for i := range f.req.ForgottenTopics {
		t := &f.req.ForgottenTopics[i]
		for _, p := range t.Partitions {
			keys = append(keys, fetchKey{id: t.TopicID, name: t.Topic, index: p})
		}
	}
	return keys
}

// resolve finds the replicas of the items from one on and checks rights.
func (f *fetch) resolve(from int) {
	more := len(f.items) - from
	f.specs = append(f.specs, make([]replica.FetchSpec, more)...)
	f.codes = append(f.codes, make([]wire.Code, more)...)
	f.hints = append(f.hints, make([]*wire.LeaderHint, more)...)
	for i := from; i < len(f.items); i++ {
		it := &f.items[i]
		rep, name, code := f.b.Replicas.Find(it.key.name, it.key.id, it.key.index, f.usesIDs)
		switch {
		case f.impostor:
			f.codes[i] = wire.TopicAuthorizationFailed
		case name != "" && !f.follower && !f.b.allowed(f.r, authz.Read, authz.Topic, name):
			f.codes[i] = wire.TopicAuthorizationFailed
		case code != wire.None:
			f.codes[i], f.hints[i] = f.b.elsewhere(name, it.key.id, it.key.index, code)
		default:
			f.specs[i] = replica.FetchSpec{
				Replica: rep, CurrentLeaderEpoch: it.currentLeaderEpoch, Offset: it.fetchOffset,
				LastFetchedEpoch: it.lastFetchedEpoch, LogStartOffset: it.logStartOffset, MaxBytes: it.maxBytes,
			}
		}
	}
}

// run answers, or parks the request and answers later.
func (f *fetch) run() {
	f.maxBytes = int64(min(int(f.req.MaxBytes), f.b.Config().Int("fetch.max.bytes")))
	if !f.follower { // more than a whole window's quota would be held back for certain, each time
		f.maxBytes = int64(min(float64(f.maxBytes), f.b.Quotas.Most(quota.Fetch, f.r.Conn.Principal, f.r.ClientID)))
	}
	f.minBytes = min(int64(f.req.MinBytes), f.maxBytes)
	f.try(time.Now().Add(time.Duration(f.req.MaxWaitMillis) * time.Millisecond))
}

// try answers if there is enough or the time is up, and else waits for more.
func (f *fetch) try(deadline time.Time) {
	for {
		f.gather()
		resp, bytes, urgent := f.read()
		left := time.Until(deadline)
		if urgent || len(f.items) == 0 && f.by.Session == nil || bytes >= f.minBytes || left <= 0 || f.hurried() {
			f.answer(resp)
			return
		}
		release(resp)
		if f.park(f.minBytes-bytes, deadline) {
			return
		}
	}
}

// park waits for missing more bytes, and tries again then. It reports false if it did not begin to wait, since there is
// more to read already.
func (f *fetch) park(missing int64, deadline time.Time) bool {
	if f.follower {
		return f.parkFollower(missing, deadline)
	}
	ended := make(chan struct{})
	w := f.b.Replicas.AwaitData(f.specs, &f.by, missing, time.Until(deadline), func() { close(ended) })
	if w == nil {
		return false
	}
	started := f.b.Group.Go("parked fetch", func(ctx context.Context) {
		f.r.MayBlock = true
		select {
		case <-ended:
			f.try(deadline)
			return
		case <-f.r.Done:
		case <-f.b.stopping:
		case <-ctx.Done():
		}
		w.Cancel()
		f.answerNow()
	})
	if !started { // the node stops
		w.Cancel()
		f.answerNow()
	}
	return true
}

// parkFollower is park without a goroutine that waits: a follower comes for every batch, and each goroutine that is woken
// costs as much as the request itself. When the follower is gone its request ends with its time.
func (f *fetch) parkFollower(missing int64, deadline time.Time) bool {
	p := &parkedFetch{fetch: f}
	await := func(end func()) *replica.Wait {
		if s := f.by.Session; s != nil {
			return s.Await(missing, time.Until(deadline), end)
		}
		return f.b.Replicas.AwaitData(f.specs, &f.by, missing, time.Until(deadline), end)
	}
	w := await(func() {
		f.b.parked.remove(p)
		if !f.b.Group.Go("parked fetch", func(context.Context) {
			f.r.MayBlock = true
			f.try(deadline)
		}) {
			f.answerNow()
		}
	})
	if w == nil {
		return false
	}
	f.b.parked.add(p, w)
	return true
}

// answerNow answers with what there is.
func (f *fetch) answerNow() {
	f.gather()
	resp, _, _ := f.read()
	f.answer(resp)
}

// read reads every partition in order until the answer is full. urgent is true if something has to be said now:
// an error, a divergence or a better place to read from.
func (f *fetch) read() (resp *wire.FetchResponse, bytes int64, urgent bool) {
	f.sent = make([]int64, len(f.items))
	left := f.maxBytes
	resp = &wire.FetchResponse{Version: f.r.Version}
	var topic *wire.FetchTopic
	for i := range f.items {
		it := &f.items[i]
		part := f.readOne(i, left, bytes == 0)
		if part.Records != nil {
			f.sent[i] = part.Records.Len
			bytes += part.Records.Len
			left -= part.Records.Len
		}
		urgent = urgent || part.ErrorCode != wire.None || part.DivergingEpoch != nil || part.PreferredReadReplica >= 0
		if topic == nil || topic.ID != it.key.id || topic.Name != it.key.name {
			resp.Topics = append(resp.Topics, wire.FetchTopic{Name: it.key.name, ID: it.key.id})
			topic = &resp.Topics[len(resp.Topics)-1]
		}
		topic.Partitions = append(topic.Partitions, part)
	}
	if s := f.by.Session; s != nil {
		s.Visited(f.taken)
	}
	return resp, bytes, urgent
}

// hintsFromVersion is the first version whose answers say where the leader is (KIP-951); the field is older.
const hintsFromVersion = 16

func (f *fetch) readOne(i int, left int64, first bool) wire.FetchPartition {
	out := wire.FetchPartition{
		Index: f.items[i].key.index, ErrorCode: f.codes[i],
		HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1, PreferredReadReplica: -1,
	}
	if f.codes[i] != wire.None {
		if !f.follower {
			out.AbortedTransactions = []wire.AbortedTransaction{} // Kafka: null once a log was asked, else empty
		}
		if f.r.Version >= hintsFromVersion {
			out.CurrentLeader = f.hints[i]
		}
		return out
	}
	s := &f.specs[i]
	res := f.b.Replicas.Read(s, &f.by, int(min(left, int64(s.MaxBytes))), first)
	f.settled(i, res.Settled)
	out.ErrorCode, out.HighWatermark, out.LastStableOffset, out.LogStartOffset = res.Code, res.HighWatermark, res.LastStableOffset, res.LogStartOffset
	out.DivergingEpoch, out.PreferredReadReplica = res.Diverging, res.Preferred
	out.Records = res.Range
	if f.by.CommittedOnly && !f.follower {
		out.AbortedTransactions = res.Aborted
	}
	if f.r.Version >= hintsFromVersion && (res.Code == wire.NotLeaderOrFollower || res.Code == wire.FencedLeaderEpoch) {
		h := s.Replica.Hint()
		out.CurrentLeader = &h
	}
	return out
}

// answer sends what the session has not told its client yet.
func (f *fetch) answer(resp *wire.FetchResponse) {
	throttled := f.throttled(resp)
	f.keepNews(throttled)
	if throttled {
		release(resp)
		f.replyThrottled()
		return
	}
	for i, n := range f.sent {
		switch {
		case f.codes[i] != wire.None:
		case f.follower:
			f.b.Replicas.CountReplicated(f.specs[i].Replica, n)
		default:
			f.specs[i].Replica.CountFetched(n)
		}
	}
	switch {
	case f.session != nil:
		if !f.trim(resp) {
			release(resp)
			f.r.Reply(&wire.FetchResponse{Version: f.r.Version, ErrorCode: wire.InvalidFetchSessionEpoch, SessionID: f.session.id})
			return
		}
		resp.SessionID = f.session.id
	case !f.impostor && f.r.Version >= 7 && f.req.SessionEpoch == initialSessionEpoch && len(f.items) > 0:
		if s := f.b.sessions.create(f.items, f.usesIDs, f.sessionOf()); s != nil {
			s.mu.Lock()
			s.note(resp)
			s.mu.Unlock()
			resp.SessionID = s.id
		}
	}
	if !f.follower { // followers hear from the controller who leads where
		resp.NodeEndpoints = f.b.fetchEndpoints(resp, f.r.Version, f.r.Conn.Listener)
	}
	f.r.Reply(resp)
}

// trim drops the partitions that have no news. It reports false if the session has moved on meanwhile, which a
// client that sends a request twice brings about.
func (f *fetch) trim(resp *wire.FetchResponse) bool {
	s := f.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != f.epoch {
		return false
	}
	topics := resp.Topics[:0]
	for _, t := range resp.Topics {
		kept := t.Partitions[:0]
		for _, p := range t.Partitions {
			c := s.partitions[fetchKey{id: t.ID, name: t.Name, index: p.Index}]
			hasData := p.Records != nil && p.Records.Len > 0
			if c == nil || c.record(&p, hasData) {
				kept = append(kept, p)
				if c != nil && hasData && s.order != nil {
					s.order.MoveToBack(c.element)
				}
			} else if p.Records != nil {
				p.Records.Release()
			}
		}
		if t.Partitions = kept; len(kept) > 0 {
			topics = append(topics, t)
		}
	}
	resp.Topics = topics
	return true
}

// release gives back the file ranges of an answer that is not sent.
func release(resp *wire.FetchResponse) {
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			if rg := resp.Topics[i].Partitions[j].Records; rg != nil {
				rg.Release()
			}
		}
	}
}
