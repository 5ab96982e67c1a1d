package quorum

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// A voter that lost its log and has begun another is, to Raft, the voter that it was: what its first log promised is gone,
// while messages about that may still be under way. So each log of Raft has a number, drawn when it is made, and each
// message carries the numbers of both ends. Who has another log by then takes no message, and none is taken from
// a log that is not the one that the sender has now. Which one that is says the answer to a request of one's own alone: of
// two numbers in requests nobody could tell the newer. Nothing is exchanged before it is known.
//
// A leader or candidate that finds that a voter has another log, and counts on the first in its term, gives the term up, and
// sends that voter nothing in it. So a new log is filled only by a leader that was elected without it, by a majority
// of the others; and that one has all that any majority with the first log had (see fresh.go).
//
// Builds before this one name no logs. Their messages are taken and they are sent to as before, without that protection.

// The numbers that are not those of a log.
const (
	lifeUnknown uint64 = iota
	lifeUntold         // of a build that does not say
	firstLife
)

// lives knows which logs the other voters have. Safe for concurrent use.
type lives struct {
	mu sync.Mutex
	of map[uint64]uint64 // by id in Raft
	// heard is the last term in which a voter promised something; shunned that in which it gets no messages.
	heard, shunned map[uint64]uint64
}

func (l *lives) init() {
	l.of, l.heard, l.shunned = map[uint64]uint64{}, map[uint64]uint64{}, map[uint64]uint64{}
}

// get is the log that a voter has, as far as is known.
func (l *lives) get(id uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[id]
}

// set notes which log a voter has and returns which one it had.
func (l *lives) set(id, life uint64) (had uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	had = l.of[id]
	l.of[id] = life
	return had
}

// promised notes that a voter's message was taken that promises something in a term.
func (l *lives) promised(id, term uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard[id] = term
}

// shun has a voter get no messages of a term if it has promised something in it, and reports whether it has.
func (l *lives) shun(id, term uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heard[id] != term {
		return false
	}
	l.shunned[id] = term
	return true
}

func (l *lives) isShunned(id, term uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return term > 0 && l.shunned[id] == term
}

// logIDFile has the number of Raft's log beside it.
const logIDFile = "log.id"

// drawLogID gives the log that is about to be made in a folder its number, durably.
func drawLogID(fsys vfs.FS, raftDir string) (uint64, error) {
	var b [8]byte
	id := lifeUnknown
	for id < firstLife {
		if _, err := rand.Read(b[:]); err != nil {
			return 0, err
		}
		id = binary.BigEndian.Uint64(b[:])
	}
	if err := fsys.MkdirAll(raftDir); err != nil {
		return 0, err
	}
	return id, vfs.WriteFileAtomic(fsys, filepath.Join(raftDir, logIDFile), fmt.Appendf(nil, "%016x\n", id), true)
}

// readLogID reads the number of Raft's log; one that an older build made gets one.
func readLogID(fsys vfs.FS, raftDir string) (id uint64, err error) {
	b, err := vfs.ReadFile(fsys, filepath.Join(raftDir, logIDFile), 64)
	if err != nil && !vfs.IsNotExist(err) {
		return 0, err
	}
	if _, err := fmt.Sscanf(string(b), "%016x", &id); err != nil || id < firstLife {
		return drawLogID(fsys, raftDir)
	}
	return id, nil
}

// send hands messages to the way to another voter. It never waits.
func (q *Quorum) send(to uint64, ms []*pb.Message) { q.sendTo(to, q.lives.get(to), ms) }

// sendTo is send for messages that are meant for one log of the voter.
func (q *Quorum) sendTo(to, life uint64, ms []*pb.Message) {
	ms = without(ms, func(m *pb.Message) bool { return q.lives.isShunned(to, m.GetTerm()) })
	switch {
	case len(ms) == 0:
	case life == lifeUnknown:
		q.greet(to)
		q.inLoop(func() { q.unreachable(to, ms) })
	default:
		q.carry(to, life, ms)
	}
}

// tag is what stands on messages to one log of a voter.
func (q *Quorum) tag(to, life uint64) wire.RaftTag {
	v, _ := q.member(to)
	if life == lifeUntold {
		life = lifeUnknown // should it have become a build that says
	}
	return wire.RaftTag{From: q.raftID, FromLog: q.life, ToLog: life, FromDirectory: q.cfg.DirectoryID, ToDirectory: v.DirectoryID}
}

// addressed are the logs that the answers of a message to the append worker are meant for.
func (q *Quorum) addressed(m *pb.Message) (out []uint64) {
	for _, r := range m.GetResponses() {
		life := lifeUntold
		if to := r.GetTo(); to != q.raftID {
			life = q.lives.get(to)
		}
		out = append(out, life)
	}
	return out
}

// greetAll asks all voters which logs they have, before there is anything to say.
func (q *Quorum) greetAll() {
	if q.node == nil {
		return
	}
	for _, id := range q.voters.Load().ids() {
		if id != q.raftID {
			q.greet(id)
		}
	}
}

// heard takes what the answer to a request says of the receiver's log.
func (q *Quorum) heard(from, life uint64) {
	if life == lifeUnknown {
		life = lifeUntold
	}
	if q.lives.get(from) != life {
		q.inLoop(func() { q.learn(from, life) })
	}
}

// learn takes over which log a voter has. It belongs to the loop.
func (q *Quorum) learn(id, life uint64) {
	had := q.lives.set(id, life)
	if had < firstLife || life < firstLife || had == life {
		return
	}
	if v, in := q.voters.Load().byRaft[id]; in {
		delete(q.told, v.ID) // it may have another directory too
	}
	st := q.node.BasicStatus()
	term := st.HardState.GetTerm()
	q.log.Warn("metadata quorum: a voter has another log than before: it has lost the first", "voter", id, "epoch", term)
	if !q.lives.shun(id, term) {
		return
	}
	switch {
	case st.RaftState == raft.StateLeader && q.electedTerm.Load() == int64(term):
		if !q.renounced {
			q.handOver(id)
		}
	case st.RaftState == raft.StateLeader || st.RaftState == raft.StateCandidate: // it has not begun to lead
		q.laterTerm()
	}
}

// laterTerm ends a term in which this node leads or wants to. It belongs to the loop.
func (q *Quorum) laterTerm() {
	later := q.node.BasicStatus().HardState.GetTerm() + 1
	if err := q.node.Step(&pb.Message{Type: pb.MsgHeartbeatResp.Enum(), From: &q.raftID, To: &q.raftID, Term: &later}); err != nil {
		q.log.Error("metadata quorum: the term that was given up goes on", "error", err)
	}
}

// known reports whether a message may be taken from one log of a voter; if not, it is asked which one it has.
func (q *Quorum) known(from, life uint64) bool {
	if q.lives.get(from) == life {
		return true
	}
	if _, in := q.member(from); in && from != q.raftID {
		q.inLoop(func() { q.greet(from) }) // the loop runs when the way out is there; this may come before
	}
	return false
}
