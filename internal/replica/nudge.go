package replica

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/peer"
)

const (
	// parkedTooLong is how long a request may wait at the leader when a new replica wants to be fetched; then the leader is asked
	// to answer it (see nudge), or where there is no session it is given up, together with its connection. abortPause is the
	// least time between two of those.
	parkedTooLong = 20 * time.Millisecond
	abortPause    = 100 * time.Millisecond
	// nudgeTimeout is how long an answer to a nudge is waited for, of which nothing depends.
	nudgeTimeout = 5 * time.Second
)

// hurry ends the request that is under way, if it is still parked at the leader in a little while: else what is new would have
// to wait for it.
func (f *fetcher) hurry() {
	nr := f.parked.Load()
	if nr == 0 || !f.hurried.CompareAndSwap(false, true) {
		return
	}
	patience := parkedTooLong
	if last := f.lastAbort.Load(); last != nil {
		patience = max(patience, time.Until(last.Add(abortPause)))
	}
	time.AfterFunc(patience, func() {
		f.hurried.Store(false)
		c, asked := f.client.Load(), f.asked.Load()
		if c == nil || f.parked.Load() != nr {
			return
		}
		if asked != 0 {
			f.nudge(c, int32(asked>>32), int32(asked))
		} else {
			f.aborted.Store(true)
			now := time.Now()
			f.lastAbort.Store(&now)
			c.Close()
		}
	})
}

// nudge asks the leader to answer the request that is parked there, by asking it for the same epoch of the session again. It
// refuses that, which leaves the session as it is: so it need not be told of all replicas anew. Apache Kafka takes no notice
// until the parked request's time is up.
func (f *fetcher) nudge(c *peer.Client, session, epoch int32) {
	fs := f.m.fetchers
	fs.mu.Lock()
	g := fs.group
	fs.mu.Unlock()
	g.Go("nudge a leader", func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, nudgeTimeout)
		defer cancel()
		req := kmsg.NewPtrFetchRequest()
		req.ReplicaState.ID, req.ReplicaState.Epoch, req.ReplicaID = f.m.nodeID, f.cluster.Epoch(), f.m.nodeID
		req.SessionID, req.SessionEpoch = session, epoch
		_, _ = c.Do(ctx, req) // it has to fail
	})
}
