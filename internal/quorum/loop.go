package quorum

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/weir-stream/weir/internal/lifecycle"
)

// ticksPerTimeout is how many ticks the election timeout has: with electionTicks of silence an election begins, with
// twice as many at the latest.
const ticksPerTimeout = 2 * electionTicks

// Start runs the quorum in g. A sole voter campaigns at once.
func (q *Quorum) Start(g *lifecycle.Group) {
	q.group, q.spawn = g, g.Go
	g.Go("quorum-apply", q.runApply)
	if q.cfg.Connect != nil {
		q.startNetwork(g)
	}
	if q.node == nil {
		return
	}
	g.Go("quorum-append", q.runAppend)
	g.Go("quorum", q.run)
}

// Close syncs and closes the files. The group given to Start must have stopped.
func (q *Quorum) Close() error {
	err := q.meta.close()
	if q.raft != nil {
		err = errors.Join(err, q.raft.close())
	}
	return err
}

func (q *Quorum) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// step hands this node's own messages to the loop.
func (q *Quorum) step(ms []*pb.Message) { q.stepFrom(lifeUntold, ms) }

// stepFrom hands messages of one of their sender's logs to the loop.
func (q *Quorum) stepFrom(life uint64, ms []*pb.Message) {
	q.mu.Lock()
	for _, m := range ms {
		q.inbox = append(q.inbox, input{msg: m, life: life})
	}
	q.mu.Unlock()
	q.signal()
}

// inLoop has the loop run something.
func (q *Quorum) inLoop(do func()) {
	q.mu.Lock()
	q.inbox = append(q.inbox, input{do: do})
	q.mu.Unlock()
	q.signal()
}

// run is the loop that owns the RawNode. It never waits for a disk.
func (q *Quorum) run(ctx context.Context) {
	if err := q.begin(); err != nil {
		q.fault(err)
		return
	}
	t := time.NewTicker(q.cfg.ElectionTimeout / ticksPerTimeout)
	defer t.Stop()
	for {
		q.handleReady()
		select {
		case <-ctx.Done():
			return
		case <-q.wake:
		case <-t.C:
			q.tick()
		}
		q.takeInputs()
	}
}

// begin campaigns if there is nobody to wait for.
func (q *Quorum) begin() error {
	if len(q.raft.at.Conf.GetVoters()) != 1 || q.raft.at.Conf.GetVoters()[0] != q.raftID {
		return nil
	}
	if err := q.node.Campaign(); err != nil {
		return fmt.Errorf("metadata quorum: campaign: %w", err)
	}
	return nil
}

// tick lets time pass for Raft, and looks whether a leader still can lead.
func (q *Quorum) tick() {
	if q.handing > 0 {
		q.handing--
		q.renounced = q.renounced || q.handing == 0 // the other did not take it
	}
	q.muted = q.renounced || q.stalled() || q.faulted.Load()
	if q.renounced && q.electedTerm.Load() != 0 && q.sole() {
		q.beginAnew()
	}
	if q.ticks++; q.ticks%ticksPerTimeout == 0 && q.electedTerm.Load() != 0 {
		q.referAgain()
	}
	if q.faulted.Load() && q.electedTerm.Load() == 0 {
		return // it could store no vote
	}
	if !q.outside() {
		q.node.Tick()
		q.hurry()
	} else if q.ticks%ticksPerTimeout == 0 {
		q.resting()
	}
	q.noteLonely(q.node.BasicStatus().Lead)
}

// sole reports whether this node is the only voter, by what Raft has applied.
func (q *Quorum) sole() bool {
	voters := q.node.Status().Config.Voters.IDs()
	_, own := voters[q.raftID]
	return own && len(voters) == 1
}

// beginAnew ends the term of a leader that has given it up and is the only voter, the others having been removed meanwhile:
// nobody else would. It is told of a later term, and campaigns.
func (q *Quorum) beginAnew() {
	q.laterTerm()
	if err := q.node.Campaign(); err != nil {
		q.log.Error("metadata quorum: campaign", "error", err)
	}
}

// referAgain has Raft refer voters to a point once more that were referred to one for long: they may have crashed since.
func (q *Quorum) referAgain() {
	was := q.referred
	q.referred = nil
	q.node.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if pr.State == tracker.StateSnapshot {
			q.referred = append(q.referred, id)
		}
	})
	for _, id := range q.referred {
		if slices.Contains(was, id) {
			q.snapshotFailed(id)
		}
	}
}

// stalled reports whether the append worker has been with one write for longer than an election takes. Such a leader's
// heartbeats would go on for ever though it commits nothing.
func (q *Quorum) stalled() bool {
	since := q.writing.Load()
	return since != 0 && q.uptime()-since > q.cfg.ElectionTimeout.Nanoseconds() && len(q.voters.Load().byRaft) > 1
}

// uptime is a clock for what is measured: the time of day may jump.
func (q *Quorum) uptime() int64 { return q.cfg.Now().Sub(q.began).Nanoseconds() + 1 }

// quiet reports whether a message is one that a muted leader neither sends nor takes: without answers it steps down
// within an election timeout (check-quorum), and without its heartbeats the others elect another.
func quiet(t pb.MessageType) bool {
	switch t {
	case pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgApp, pb.MsgAppResp, pb.MsgSnap:
		return true
	}
	return false
}

// takeInputs gives Raft what came for it.
func (q *Quorum) takeInputs() {
	q.mu.Lock()
	inbox, proposed := q.inbox, q.proposed
	q.inbox, q.proposed = nil, nil
	q.mu.Unlock()
	for _, in := range inbox {
		if in.do != nil {
			in.do()
			continue
		}
		q.take(in)
	}
	q.raftApplied.Store(q.node.BasicStatus().Applied)
	for _, p := range proposed {
		if err := q.proposeRaft(p); err != nil {
			q.log.Warn("metadata quorum: proposal dropped", "error", err)
			q.renounce()
			break
		}
	}
	q.stepChange()
}

func (q *Quorum) take(in input) {
	m := in.msg
	own := m.GetFrom() == q.raftID || raft.IsLocalMsgTarget(m.GetFrom())
	if !own && q.lives.get(m.GetFrom()) != in.life {
		return // its sender has lost the log meanwhile
	}
	switch m.GetType() {
	case pb.MsgApp, pb.MsgHeartbeat, pb.MsgSnap:
		q.heardAt = q.ticks
	}
	if !own && (q.muted && q.electedTerm.Load() != 0 && quiet(m.GetType()) || !q.mayAnswer(m)) {
		return
	}
	switch m.GetType() {
	case pb.MsgVote, pb.MsgPreVote:
		q.tellCommit(m)
		q.guard(m)
	case pb.MsgAppResp, pb.MsgVoteResp:
		q.lives.promised(m.GetFrom(), m.GetTerm())
	}
	for _, m := range q.count(m) {
		if err := q.node.Step(m); err != nil && !errors.Is(err, raft.ErrProposalDropped) {
			q.log.Debug("metadata quorum: message not taken", "type", m.GetType(), "error", err)
		}
	}
}

// proposeRaft puts a batch into Raft's log. The proposer's epoch is checked under the same term: a batch of an older
// term must not go in.
func (q *Quorum) proposeRaft(p proposal) error {
	st := q.node.BasicStatus()
	if st.RaftState != raft.StateLeader || int32(st.HardState.GetTerm()) != p.epoch {
		return ErrNotLeader
	}
	if p.change != nil {
		return q.node.ProposeConfChange(p.change)
	}
	return q.node.Propose(p.batch)
}

// renounce gives up the term: a batch did not go into Raft's log, so those proposed after it have wrong offsets.
func (q *Quorum) renounce() {
	q.mu.Lock()
	had := q.epoch
	q.epoch, q.ready, q.proposed = 0, false, nil
	q.mu.Unlock()
	q.leads.Store(false)
	q.loseChange()
	q.renounced, q.muted = true, true
	if had == 0 {
		return
	}
	q.applyq.put(applyItem{resigned: true})
}

func (q *Quorum) handleReady() {
	for q.node.HasReady() {
		rd := q.node.Ready()
		if rd.SoftState != nil || !raft.IsEmptyHardState(rd.HardState) {
			q.noteRole()
		}
		q.ask(rd.Messages)
		out := map[uint64][]*pb.Message{}
		for _, m := range rd.Messages {
			q.mark(m.GetResponses())
			switch to := m.GetTo(); to {
			case raft.LocalAppendThread:
				q.appendq.put(appendItem{msg: m, lives: q.addressed(m)})
			case raft.LocalApplyThread:
				q.applyq.put(applyItem{msg: m})
			default:
				out[to] = append(out[to], reachable(m))
			}
		}
		q.sendAll(out)
	}
}

// sendAll hands messages on to the way to the other voters.
func (q *Quorum) sendAll(out map[uint64][]*pb.Message) {
	for _, to := range slices.Sorted(maps.Keys(out)) { // in an order that can be played again
		ms := out[to]
		if q.muted && q.electedTerm.Load() != 0 {
			ms = without(ms, func(m *pb.Message) bool { return quiet(m.GetType()) })
		}
		if len(ms) > 0 {
			q.send(to, ms)
		}
	}
}

func without(ms []*pb.Message, drop func(*pb.Message) bool) []*pb.Message {
	var kept []*pb.Message
	for _, m := range ms {
		if !drop(m) {
			kept = append(kept, m)
		}
	}
	return kept
}

// noteRole follows Raft's idea of who leads.
func (q *Quorum) noteRole() {
	st := q.node.BasicStatus()
	term := int64(st.HardState.GetTerm())
	elected := int64(0)
	if st.RaftState == raft.StateLeader {
		elected = term
	}
	leader := int32(-1)
	if v, ok := q.voters.Load().byRaft[st.Lead]; ok {
		leader = v.ID
	}
	before := q.electedTerm.Swap(elected)
	if leader >= 0 || !q.outside() { // outside it is known by following
		q.noteLeader(leader, term)
	}
	if before == elected {
		return
	}
	q.renounced, q.muted, q.handing = false, false, 0
	q.loseChange()
	q.mu.Lock()
	resigned := q.epoch
	q.epoch, q.ready, q.proposed = 0, false, nil
	q.mu.Unlock()
	q.leads.Store(false)
	if resigned != 0 {
		q.applyq.put(applyItem{resigned: true}) // the apply worker tells the Listener in order
	}
}

// noteLeader publishes who leads in which epoch.
func (q *Quorum) noteLeader(leader int32, term int64) {
	if q.leader.Swap(leader) == leader && q.term.Load() == term {
		return
	}
	q.term.Store(term)
	q.mu.Lock()
	close(q.changed)
	q.changed = make(chan struct{})
	q.mu.Unlock()
}

// Changed returns a channel that is closed when another leader or epoch is known.
func (q *Quorum) Changed() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.changed
}

// handOver ends this node's term: it gives leadership to the voter that has most of the log, or, if there is none other
// than the given one, falls silent until it has lost it. It belongs to the loop.
func (q *Quorum) handOver(except uint64) (done bool) {
	to := q.successor(except)
	if to == 0 && except == 0 {
		return false // nobody could lead in its place
	}
	q.renounce()
	if to != 0 {
		q.muted, q.renounced = false, false // the transfer needs its messages
		q.handing = ticksPerTimeout
		q.node.TransferLeader(to)
	}
	return true
}

// Resign hands leadership to the voter that has most of the log, and returns when another leads, or ctx ends, or there
// is nobody. Proposals are refused from its beginning on.
func (q *Quorum) Resign(ctx context.Context) {
	if q.node == nil || q.electedTerm.Load() == 0 {
		return
	}
	nobody := make(chan struct{})
	q.inLoop(func() {
		if !q.handOver(0) {
			close(nobody)
		}
	})
	for q.electedTerm.Load() != 0 {
		changed := q.Changed()
		if q.electedTerm.Load() == 0 {
			return
		}
		select {
		case <-changed:
		case <-nobody:
			return
		case <-ctx.Done():
			return
		}
	}
}
