package quorum

import (
	"context"
	"errors"
	"syscall"
	"time"

	"go.etcd.io/raft/v3"

	"github.com/weir-stream/weir/internal/peer"
)

// A leader that is silent is given an election timeout: it may be slow, frozen or cut off. One whose process has ended
// leaves signs: the system closes its connections and refuses new ones. Its followers then forget it and elect another
// at once. Nothing of this is needed for safety: an election too early costs a term, no more.

// refusals is how many dials in a row must be refused. A process that is being ended by its system may lose its connections
// before its listener, which then takes a dial and loses it: dials go on for lookFor. The first pause between them is
// dialPause; each after a dial that was not refused is twice the one before.
const (
	refusals  = 2
	lookFor   = 700 * time.Millisecond
	dialPause = 10 * time.Millisecond
)

// Ended reports whether nobody listens at an address: dials are refused, which only the system of a machine that is up
// says. A dial that is taken, or that has no answer, says nothing of the kind. It takes less than a second, or one dial.
func Ended(ctx context.Context, connect func() *peer.Client) bool {
	begin, refused, pause := time.Now(), 0, dialPause
	for {
		c := connect()
		err := c.Connect(ctx)
		c.Close()
		if errors.Is(err, syscall.ECONNREFUSED) {
			if refused++; refused == refusals {
				return true
			}
		} else {
			refused = 0
			pause *= 2
		}
		if time.Since(begin) >= lookFor {
			return false
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return false
		}
	}
}

// examine looks whether a voter whose connection was lost has ended. One look at a time.
func (n *network) examine(to uint64, o *outlet) {
	v, ok := n.q.voters.Load().byRaft[to]
	if !ok || len(v.Endpoints) == 0 || !o.examined.CompareAndSwap(false, true) {
		return
	}
	started := n.group.Go("quorum-examine", func(ctx context.Context) {
		defer o.examined.Store(false)
		address := addressesOf(v)[0]
		if !Ended(ctx, func() *peer.Client { return n.q.cfg.Connect(address) }) {
			return
		}
		if n.q.cfg.OnEnded != nil {
			n.q.cfg.OnEnded(v.ID)
		}
		n.q.inLoop(func() { n.q.leaderEnded(to) })
	})
	if !started {
		o.examined.Store(false)
	}
}

// hasteTicks is for how long voters that have forgotten their leader hurry; each has a turn of turnTicks.
const (
	hasteTicks = ticksPerTimeout / 2
	turnTicks  = 3
)

// leaderEnded forgets the leader if it is the given one, and begins an election in which the voters take turns. It belongs
// to the loop.
func (q *Quorum) leaderEnded(id uint64) {
	st := q.node.BasicStatus()
	if st.Lead != id || id == q.raftID {
		return
	}
	if err := q.node.ForgetLeader(); err != nil {
		return
	}
	q.log.Info("metadata quorum: the leader's process has ended; electing another", "leader", q.leader.Load(), "epoch", st.HardState.GetTerm())
	q.haste = hasteTicks
	q.ended = id
	q.noteRole()
	q.hurry()
}

// hurry campaigns when it is this voter's turn, as long as nobody leads. It belongs to the loop.
func (q *Quorum) hurry() {
	if q.haste == 0 {
		return
	}
	st := q.node.BasicStatus()
	if st.Lead != raft.None {
		q.haste = 0
		return
	}
	since := hasteTicks - q.haste
	q.haste--
	var turn, turns int
	for _, id := range q.voters.Load().ids() {
		if id == q.ended {
			continue
		}
		if id == q.raftID {
			turn = turns
		}
		turns++
	}
	mine := turns > 0 && since%(turns*turnTicks) == turn*turnTicks
	// Who has asked and was not heard asks again: the others may not have seen the signs yet.
	if mine && st.RaftState == raft.StateFollower || st.RaftState == raft.StatePreCandidate {
		if err := q.node.Campaign(); err != nil {
			q.log.Debug("metadata quorum: campaign", "error", err)
		}
	}
}
