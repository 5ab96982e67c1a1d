package quorum

import (
	"context"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/weir-stream/weir/internal/vfs"
)

// queue hands items to one worker, which takes all that there are at once.
type queue[T any] struct {
	mu    sync.Mutex
	items []T
	wake  chan struct{}
}

func (q *queue[T]) init() { q.wake = make(chan struct{}, 1) }

func (q *queue[T]) put(v T) {
	q.mu.Lock()
	q.items = append(q.items, v)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// poll takes what there is.
func (q *queue[T]) poll() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}

// take waits for items; nil means that ctx is done.
func (q *queue[T]) take(ctx context.Context) []T {
	for {
		if items := q.poll(); len(items) > 0 {
			return items
		}
		select {
		case <-ctx.Done():
			return nil
		case <-q.wake:
		}
	}
}

// peek shows what there is without taking it.
func (q *queue[T]) peek(show func(T)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, v := range q.items {
		show(v)
	}
}

// retryFullDisk is how long the append worker waits before it tries again on a full disk.
const retryFullDisk = 100 * time.Millisecond

// appendItem is work for the append worker: one of Raft's messages, or a request to cut Raft's log at a point.
type appendItem struct {
	msg   *pb.Message
	lives []uint64 // the logs that msg's responses are meant for
	cut   *point
}

// applyItem is work for the apply worker: one of Raft's messages, or the news that leadership ended, that a snapshot
// was written, that Raft's log begins anew at a point, or what was fetched from the leader.
type applyItem struct {
	msg      *pb.Message
	resigned bool
	retain   bool
	restored *point
	fetched  *fetched
}

// runAppend makes entries and votes durable. All that is waiting is written as one group with one sync.
func (q *Quorum) runAppend(ctx context.Context) {
	for {
		items := q.appendq.take(ctx)
		if items == nil {
			return
		}
		if err := q.appendItems(ctx, items); err != nil {
			if ctx.Err() == nil {
				q.fault(fmt.Errorf("metadata quorum: %w", err))
			}
			return
		}
	}
}

func (q *Quorum) appendItems(ctx context.Context, items []appendItem) error {
	var todo []appendItem
	var cut *point
	for _, i := range items {
		if i.cut != nil {
			cut = i.cut
		} else {
			todo = append(todo, i)
		}
	}
	q.writing.Store(q.uptime())
	defer q.writing.Store(0)
	err := q.appendGroup(ctx, todo)
	if err == nil && cut != nil {
		if cut.Index > q.raft.at.Index { // else Raft's log began anew in the meantime
			err = q.raft.cut(*cut)
		}
		if vfs.IsNoSpace(err) {
			q.log.Error("metadata quorum: no space to cut Raft's log; it goes on growing", "error", err)
			err = nil
		}
		q.cutting.Store(false)
	}
	q.raftBytes.Store(q.raft.size)
	return err
}

func (q *Quorum) appendGroup(ctx context.Context, items []appendItem) error {
	var entries []*pb.Entry
	var hs *pb.HardState
	var snap *pb.Snapshot
	mustSync := false
	for _, i := range items {
		m := i.msg
		if s := m.GetSnapshot(); s.GetMetadata().GetIndex() > 0 {
			snap, entries = s, nil // what came before is behind the point
		}
		if len(m.GetEntries()) > 0 {
			entries = appendEntries(entries, m.GetEntries())
			mustSync = true
		}
		if m.Term != nil && m.Vote != nil {
			mustSync = mustSync || m.GetTerm() != q.raft.hs.GetTerm() || m.GetVote() != q.raft.hs.GetVote()
			hs = &pb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
		}
	}
	if snap != nil {
		if err := q.restore(ctx, snap, hs); err != nil {
			return err
		}
	}
	// A commit index alone need not be durable; it goes with the next group. There it has to be: an entry that changes the voters
	// makes sense only with the knowledge that the change before it is committed.
	if mustSync {
		if hs == nil {
			hs = q.raft.hs
		}
		if err := q.writeGroup(ctx, entries, hs); err != nil {
			return err
		}
	} else if hs != nil {
		q.raft.hs = hs
	}
	if err := q.raft.mem.Append(entries); err != nil {
		return err
	}
	if hs != nil {
		if err := q.raft.mem.SetHardState(hs); err != nil {
			return err
		}
	}
	if err := q.ripen(); err != nil {
		return err
	}
	q.release(items)
	return nil
}

// release lets those messages go that promise what is durable now.
func (q *Quorum) release(items []appendItem) {
	type receiver struct{ id, life uint64 }
	var back []*pb.Message
	var order []receiver // so that it can be played again
	out := map[receiver][]*pb.Message{}
	for _, i := range items {
		for n, r := range i.msg.GetResponses() {
			to := receiver{r.GetTo(), i.lives[n]}
			if to.id == q.raftID {
				back = append(back, r)
				continue
			}
			if _, in := out[to]; !in {
				order = append(order, to)
			}
			out[to] = append(out[to], r)
		}
	}
	for _, to := range order {
		q.sendTo(to.id, to.life, out[to])
	}
	if len(back) > 0 {
		q.step(back)
	}
}

// restore begins Raft's log anew at the point that a snapshot refers to. The metadata log has been fetched up to there
// before Raft saw the message.
func (q *Quorum) restore(ctx context.Context, s *pb.Snapshot, hs *pb.HardState) error {
	at, err := pointOf(s)
	if err != nil {
		return err
	}
	err = q.waitForSpace(ctx, q.isFollowing, func() error { return q.raft.restore(at, hs) })
	if err != nil {
		return fmt.Errorf("begin Raft's log anew at index %d: %w", at.Index, err)
	}
	q.applyq.put(applyItem{restored: &at})
	return nil
}

// appendEntries puts more behind entries; what it overlaps is replaced.
func appendEntries(entries, more []*pb.Entry) []*pb.Entry {
	first := more[0].GetIndex()
	for len(entries) > 0 && entries[len(entries)-1].GetIndex() >= first {
		entries = entries[:len(entries)-1]
	}
	return append(entries, more...)
}

// writeGroup makes a group durable; on a full disk nothing is answered until there is space.
func (q *Quorum) writeGroup(ctx context.Context, entries []*pb.Entry, hs *pb.HardState) error {
	behind := func() bool {
		commit := hs.GetCommit()
		q.appendq.peek(func(i appendItem) { commit = max(commit, i.msg.GetCommit()) })
		last, err := q.raft.mem.LastIndex()
		return err == nil && commit > last
	}
	return q.waitForSpace(ctx, behind, func() error {
		before := q.raft.hs
		err := q.raft.write(entries, hs)
		if err != nil {
			q.raft.hs = before
		}
		return err
	})
}

// isFollowing reports whether others commit what this node has to store.
func (q *Quorum) isFollowing() bool {
	return q.cfg.Observer || q.outside() || len(q.voters.Load().byRaft) > 1
}

// waitForSpace tries again while the disk is full. While nobody goes on without this node, that can take as long as it likes.
// But a node that cannot store what others have committed acts on metadata that is out of date, and others take it for one
// that is well: it gives up after FullDiskPatience.
func (q *Quorum) waitForSpace(ctx context.Context, behind func() bool, write func() error) error {
	var since int64 // when it was behind first
	for warned := false; ; warned = true {
		err := write()
		if err == nil || !vfs.IsNoSpace(err) {
			return err
		}
		if !warned {
			q.log.Error("metadata quorum: no space, waiting", "error", err)
		}
		switch now := q.uptime(); {
		case q.cfg.FullDiskPatience == 0 || !behind():
		case since == 0:
			since = now
		case now-since >= q.cfg.FullDiskPatience.Nanoseconds():
			return fmt.Errorf("no space for the metadata in %s for %v, in which others went on without this node: %w", q.cfg.Dir, q.cfg.FullDiskPatience, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryFullDisk):
		}
	}
}
