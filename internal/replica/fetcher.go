package replica

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/wire"
)

const (
	// firstBackoff is the first pause after a failure, doubled up to replica.fetch.backoff.ms.
	firstBackoff = 10 * time.Millisecond
	// rateCheck is how often a throttled replica looks whether it may go on.
	rateCheck = 100 * time.Millisecond
)

// conn is a connection to a leader.
type conn interface {
	Do(ctx context.Context, req kmsg.Request) (kmsg.Response, error)
	DoRaw(ctx context.Context, req kmsg.Request) (*peer.Answer, error)
}

// fetchChange is news for a fetcher: a replica that it gets, or one that it loses.
type fetchChange struct {
	add    *following
	remove *Replica
}

// position is what a fetch session knows of a partition.
type position struct {
	offset, start int64
	lastEpoch     int32
}

// following is one replica of a fetcher. It belongs to the fetcher's loop.
type following struct {
	r     *Replica
	epoch int32 // of the leader

	inSession bool
	told      position
	due       bool // has to be in the next request
	failures  int
	after     time.Time // when it may be asked for again
}

// fetcher fetches from one leader for many replicas, over one connection and in one session (KIP-227): a request has only
// what has changed. Its loop owns all but the inbox.
type fetcher struct {
	m       *Manager
	id      fetcherID
	wake    chan struct{}
	running bool // guarded by fetchers.mu

	mu    sync.Mutex
	inbox []fetchChange

	cluster  Cluster
	members  map[partitionKey]*following
	due      []*following // what the next request has to have, with those that wait for their time
	forget   []partitionKey
	session  int32
	epoch    int32
	failures int
	requests int64
	resp     kmsg.FetchResponse

	client    atomic.Pointer[peer.Client]
	parked    atomic.Int64 // the number of the request under way, 0: none
	asked     atomic.Int64 // session and epoch of that request, as one number; 0: it has no session
	hurried   atomic.Bool  // somebody looks whether it stays parked
	aborted   atomic.Bool  // it was given up
	lastAbort atomic.Pointer[time.Time]
}

// change queues news. The caller holds fetchers.mu.
func (f *fetcher) change(c fetchChange) {
	f.mu.Lock()
	f.inbox = append(f.inbox, c)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
	f.hurry()
}

// loop runs while there is something to fetch.
func (f *fetcher) loop(ctx context.Context, c Cluster) {
	f.cluster, f.members = c, map[partitionKey]*following{}
	f.reset()
	defer f.hangUp()
	for ctx.Err() == nil {
		f.takeNews()
		if len(f.members) == 0 && f.m.fetchers.done(f) {
			return
		}
		f.settle(ctx)
		if req, wait := f.request(); req == nil {
			f.sleep(ctx, wait)
		} else if err := f.exchange(ctx, req); err != nil && ctx.Err() == nil {
			f.failed(ctx, err)
		}
	}
}

// takeNews takes over which replicas are to be fetched.
func (f *fetcher) takeNews() {
	f.mu.Lock()
	news := f.inbox
	f.inbox = nil
	f.mu.Unlock()
	for _, c := range news {
		if c.add != nil {
			key := partitionKey{c.add.r.TopicID, c.add.r.Index}
			if old := f.members[key]; old != nil {
				c.add.inSession, c.add.told = old.inSession, old.told
			}
			f.members[key] = c.add
			f.ask(c.add)
			continue
		}
		key := partitionKey{c.remove.TopicID, c.remove.Index}
		if old := f.members[key]; old != nil && old.r == c.remove {
			delete(f.members, key)
			if old.inSession {
				f.forget = append(f.forget, key)
			}
		}
	}
}

// ask puts a replica into the next request.
func (f *fetcher) ask(p *following) {
	if !p.due {
		p.due = true
		f.due = append(f.due, p)
	}
}

// reset begins without a session: the next request names everything.
func (f *fetcher) reset() {
	f.session, f.epoch, f.forget = 0, 0, nil
	for _, p := range f.members {
		p.inSession = false
		f.ask(p)
	}
}

// settle waits for the disk for what the next request is going to promise. Most of the time that has been done when it came;
// what is left is what this broker had not synced when it stopped leading, or found when it started.
func (f *fetcher) settle(ctx context.Context) {
	for _, p := range f.due {
		if l := p.r.log.Load(); l != nil && unsettled(l) && ctx.Err() == nil {
			_ = l.Sync(ctx, l.LogEndOffset()) // if it fails nothing is promised: see request
		}
	}
}

// unsettled reports whether a log that is synced before anything is promised has more than its disk.
func unsettled(l *log.Log) bool { return l.SyncsBeforeAck() && l.FlushedOffset() < l.LogEndOffset() }

// request makes the next request, or tells how long there is nothing to ask for.
func (f *fetcher) request() (*kmsg.FetchRequest, time.Duration) {
	now, set := time.Now(), f.m.settings()
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaState.ID, req.ReplicaState.Epoch, req.ReplicaID = f.m.nodeID, f.cluster.Epoch(), f.m.nodeID
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(set.FetchWaitMax.Milliseconds()), set.FetchMinBytes, set.ResponseMaxBytes
	req.SessionID, req.SessionEpoch = f.session, f.epoch
	b := fetchBuilder{req: req, at: map[wire.TopicID]int{}}
	wait := time.Hour
	later := f.due[:0]
	for _, p := range f.due {
		if p.after.Before(now) && f.m.waitsForRate(p.r, now) {
			p.after = now.Add(rateCheck)
		}
		switch l := p.r.log.Load(); {
		case f.members[partitionKey{p.r.TopicID, p.r.Index}] != p:
			p.due = false // it is fetched no more
		case p.after.After(now):
			later = append(later, p)
			wait = min(wait, p.after.Sub(now))
			if p.inSession {
				f.forget, p.inSession = append(f.forget, partitionKey{p.r.TopicID, p.r.Index}), false
			}
		case l == nil:
			p.due = false // its directory has failed; news of it will come
		case unsettled(l):
			p.after = now.Add(f.backoff(1))
			later = append(later, p)
			wait = min(wait, p.after.Sub(now))
			if p.inSession {
				f.forget, p.inSession = append(f.forget, partitionKey{p.r.TopicID, p.r.Index}), false
			}
		default:
			p.due = false
			p.told = position{offset: l.LogEndOffset(), start: l.LogStartOffset(), lastEpoch: l.LatestEpoch()}
			p.inSession = true
			b.add(p, l.HighWatermark(), set.FetchMaxBytes)
		}
	}
	clear(f.due[len(later):])
	f.due = later
	if f.epoch > 0 {
		for _, k := range f.forget {
			if p := f.members[k]; p == nil || !p.inSession {
				b.forget(k)
			}
		}
	}
	f.forget = nil
	if len(req.Topics) == 0 && !f.anyInSession() {
		f.reset()
		return nil, wait
	}
	return req, 0
}

func (f *fetcher) anyInSession() bool {
	for _, p := range f.members {
		if p.inSession {
			return true
		}
	}
	return false
}

// fetchBuilder gathers partitions by topic.
type fetchBuilder struct {
	req       *kmsg.FetchRequest
	at        map[wire.TopicID]int
	forgotten map[wire.TopicID]int
}

// add has a replica asked for. The high watermark is what the follower knows (KIP-1166), so that the leader tells it when it
// has another, also if an answer with it came when the follower could make no use of it.
func (b *fetchBuilder) add(p *following, highWatermark int64, maxBytes int32) {
	i, ok := b.at[p.r.TopicID]
	if !ok {
		i = len(b.req.Topics)
		b.at[p.r.TopicID] = i
		t := kmsg.NewFetchRequestTopic()
		t.Topic, t.TopicID = p.r.Topic, p.r.TopicID
		b.req.Topics = append(b.req.Topics, t)
	}
	in := kmsg.NewFetchRequestTopicPartition()
	in.Partition, in.CurrentLeaderEpoch, in.FetchOffset, in.LogStartOffset = p.r.Index, p.epoch, p.told.offset, p.told.start
	in.LastFetchedEpoch, in.PartitionMaxBytes, in.HighWatermark = p.told.lastEpoch, maxBytes, highWatermark
	b.req.Topics[i].Partitions = append(b.req.Topics[i].Partitions, in)
}

func (b *fetchBuilder) forget(k partitionKey) {
	if b.forgotten == nil {
		b.forgotten = map[wire.TopicID]int{}
	}
	i, ok := b.forgotten[k.topic]
	if !ok {
		i = len(b.req.ForgottenTopics)
		b.forgotten[k.topic] = i
		t := kmsg.NewFetchRequestForgottenTopic()
		t.TopicID = k.topic
		b.req.ForgottenTopics = append(b.req.ForgottenTopics, t)
	}
	b.req.ForgottenTopics[i].Partitions = append(b.req.ForgottenTopics[i].Partitions, k.index)
}

// errAborted ends a request that was given up for the sake of a new replica.
var errAborted = errors.New("given up, since more is to be fetched")

// exchange sends a request and takes the answer.
func (f *fetcher) exchange(ctx context.Context, req *kmsg.FetchRequest) error {
	if f.client.Load() == nil {
		c, err := f.cluster.Peer(f.id.leader)
		if err != nil {
			return err
		}
		f.client.Store(c)
	}
	answer, err := f.await(ctx, req)
	if err != nil {
		return err
	}
	defer answer.Release()
	f.resp = kmsg.FetchResponse{Topics: f.resp.Topics[:0]}
	f.resp.Default()
	if err := answer.DecodeInto(&f.resp); err != nil {
		return err
	}
	if code := wire.Code(f.resp.ErrorCode); code != wire.None {
		return code
	}
	f.failures = 0
	f.session = f.resp.SessionID
	if f.epoch = nextEpoch(f.epoch); f.session == 0 {
		f.epoch = 0
		f.reset() // the leader keeps no session for us: every request names everything
	}
	return f.takeAll(ctx)
}

func nextEpoch(e int32) int32 {
	if e == 1<<31-1 {
		return 1
	}
	return e + 1
}

// await sends a request and waits for the answer.
func (f *fetcher) await(ctx context.Context, req *kmsg.FetchRequest) (*peer.Answer, error) {
	f.requests++
	f.asked.Store(0)
	if req.SessionEpoch > 0 {
		f.asked.Store(int64(req.SessionID)<<32 | int64(req.SessionEpoch))
	}
	f.parked.Store(f.requests)
	answer, err := f.client.Load().DoRaw(ctx, req)
	f.parked.Store(0)
	if err != nil && f.aborted.Swap(false) {
		return nil, errAborted
	}
	return answer, err
}

// takeAll takes the partitions of an answer, and waits for the disk where a replica promises only what is on it.
func (f *fetcher) takeAll(ctx context.Context) error {
	var unsynced []*following
	for i := range f.resp.Topics {
		t := &f.resp.Topics[i]
		for j := range t.Partitions {
			p := f.members[partitionKey{t.TopicID, t.Partitions[j].Partition}]
			if p == nil || !p.inSession {
				continue
			}
			if n := f.takeOne(ctx, p, &t.Partitions[j]); n > 0 && p.r.syncsBeforeAck() {
				unsynced = append(unsynced, p)
			}
		}
	}
	for _, p := range unsynced {
		l := p.r.log.Load()
		if l == nil {
			continue
		}
		if err := l.Sync(ctx, l.LogEndOffset()); err != nil && ctx.Err() != nil {
			return err // else its directory has failed, and news of that will come
		}
	}
	return nil
}

func (r *Replica) syncsBeforeAck() bool {
	l := r.log.Load()
	return l != nil && l.SyncsBeforeAck()
}

// takeOne takes one partition of an answer and returns how many bytes it brought.
func (f *fetcher) takeOne(ctx context.Context, p *following, in *kmsg.FetchResponseTopicPartition) int {
	l := p.r.log.Load()
	if l == nil {
		return 0
	}
	var err error
	n := 0
	switch code := wire.Code(in.ErrorCode); code {
	case wire.None:
		before := p.told
		if n, err = f.m.take(p, l, in); err == nil {
			p.failures = 0
			p.r.stats.ReplicatedIn(int64(n))
			if n > 0 && p.r.throttledAsFollower.Load() {
				f.m.followerThrottle.record(int64(n), time.Now())
			}
			p.r.lag.Store(max(in.HighWatermark-l.LogEndOffset(), 0))
			if before != (position{l.LogEndOffset(), l.LogStartOffset(), l.LatestEpoch()}) {
				f.ask(p)
			}
			return n
		}
	case wire.OffsetOutOfRange:
		if err = f.m.outOfRange(ctx, f.client.Load(), p, l); err == nil {
			f.ask(p)
			return 0
		}
	default:
		err = code
	}
	f.delay(ctx, p, err)
	return n
}

// delay leaves a partition out for a while after an error.
func (f *fetcher) delay(ctx context.Context, p *following, err error) {
	if ctx.Err() != nil {
		return
	}
	p.failures++
	p.after = time.Now().Add(f.backoff(p.failures))
	f.ask(p)
	switch wire.CodeOf(err) {
	case wire.NotLeaderOrFollower, wire.FencedLeaderEpoch, wire.UnknownLeaderEpoch, wire.UnknownTopicId, wire.UnknownTopicOrPartition:
		f.m.logger.Debug("the leader does not serve the partition, or not in this epoch", "partition", p.r.name(), "leader", f.id.leader, "epoch", p.epoch, "err", err)
	default:
		f.m.logger.Warn("cannot follow the leader for now", "partition", p.r.name(), "leader", f.id.leader, "epoch", p.epoch, "err", err)
	}
}

func (f *fetcher) backoff(failures int) time.Duration {
	return min(firstBackoff<<min(failures-1, 10), max(f.m.settings().FetchBackoff, firstBackoff))
}

// failed deals with a request that as a whole had no answer: the session is over, and after a pause all is asked again.
func (f *fetcher) failed(ctx context.Context, err error) {
	var code wire.Code
	session := errors.As(err, &code) && (code == wire.FetchSessionIdNotFound || code == wire.InvalidFetchSessionEpoch ||
		code == wire.FetchSessionTopicIdError || code == wire.InconsistentTopicId)
	f.reset()
	if session {
		return
	}
	f.hangUp()
	if errors.Is(err, errAborted) {
		return
	}
	f.failures++
	if f.failures == 3 {
		f.m.logger.Warn("the leader does not answer", "leader", f.id.leader, "err", err)
	}
	f.sleep(ctx, f.backoff(f.failures))
}

func (f *fetcher) hangUp() {
	if c := f.client.Swap(nil); c != nil {
		c.Close()
	}
}

// sleep waits for a time or for news.
func (f *fetcher) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-f.wake:
	}
}
