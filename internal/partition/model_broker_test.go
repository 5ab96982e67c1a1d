package partition

import (
	"slices"
	"time"

	"github.com/weir-stream/weir/internal/wire"
)

// Errors of the model's controller.
const (
	codeFenced     = wire.FencedLeaderEpoch
	codeInvalid    = wire.InvalidRequest
	codeVersion    = wire.InvalidUpdateVersion
	codeIneligible = wire.IneligibleReplica
	codeElected    = wire.NewLeaderElected
)

// entry is a record of the model: a batch of its own.
type entry struct {
	epoch int32
	id    int
}

type epochStart struct {
	epoch int32
	start int64
}

// modelLog is a log with its leader epochs, of which the part up to flushed outlives a power cut.
type modelLog struct {
	entries []entry
	flushed int
	epochs  []epochStart
	checked int // so many of its records were found to be the committed ones, and have not changed since
}

func (l *modelLog) end() int64 { return int64(len(l.entries)) }

func (l *modelLog) assign(epoch int32, start int64) {
	if n := len(l.epochs); n > 0 && l.epochs[n-1].epoch >= epoch {
		return
	}
	for n := len(l.epochs); n > 0 && l.epochs[n-1].start >= start; n = len(l.epochs) {
		l.epochs = l.epochs[:n-1]
	}
	l.epochs = append(l.epochs, epochStart{epoch, start})
}

func (l *modelLog) append(e entry) {
	l.assign(e.epoch, l.end())
	l.entries = append(l.entries, e)
}

func (l *modelLog) truncate(to int64) {
	l.entries = l.entries[:min(int(to), len(l.entries))]
	l.flushed, l.checked = min(l.flushed, len(l.entries)), min(l.checked, len(l.entries))
	for n := len(l.epochs); n > 0 && l.epochs[n-1].start >= to; n = len(l.epochs) {
		l.epochs = l.epochs[:n-1]
	}
}

func (l *modelLog) latestEpoch() int32 {
	if n := len(l.epochs); n > 0 {
		return l.epochs[n-1].epoch
	}
	return -1
}

func (l *modelLog) EpochEndOffset(epoch int32) (int32, int64) {
	n := len(l.epochs)
	if n == 0 || epoch > l.epochs[n-1].epoch {
		return -1, -1
	}
	for i := n - 1; i >= 0; i-- {
		if l.epochs[i].epoch <= epoch {
			if i == n-1 {
				return l.epochs[i].epoch, l.end()
			}
			return l.epochs[i].epoch, l.epochs[i+1].start
		}
	}
	return epoch, l.epochs[0].start
}

// modelWrite is a produce with acks=all that waits.
type modelWrite struct {
	offset int64
	id     int
}

// modelBroker is one broker with its replica.
type modelBroker struct {
	w         *world
	id        int32
	up, clean bool
	suspect   bool // its process died, may have lost something, and the controller does not know yet
	boots     int  // how often its machine went down
	mark      modelMark
	epoch     int64
	applied   int
	log       modelLog
	hw        int64
	role      *Role
	leader    *Leader
	writes    []modelWrite
	fetching  int // the request under way, 0: none
	cut       int // off from the controller, or from all
}

// modelMark says which registration a broker's directories belong to, and in which run of the machine.
type modelMark struct {
	there bool
	epoch int64
	boots int
}

// previousEpoch is that of the run before, if all that it had written is there.
func (b *modelBroker) previousEpoch() int64 {
	switch {
	case b.clean:
		return b.epoch
	case b.mark.there && (b.mark.boots == b.boots || b.w.bug == "boot id not compared"):
		return b.mark.epoch
	}
	return -1
}

func (b *modelBroker) leads() bool { return b.up && b.leader != nil }

// promised is the end of what this broker answers for.
func (b *modelBroker) promised() int64 {
	if b.w.fsync && b.w.bug != "promise what is not on the disk" {
		return int64(b.log.flushed)
	}
	return b.log.end()
}

// alive is the broker's view of the others.
func (b *modelBroker) alive(id int32) (int64, bool) {
	r := b.w.ctl.log[b.applied].brokers[id]
	return r.epoch, !r.fenced
}

// applyNext takes the next state of the metadata.
func (b *modelBroker) applyNext() {
	b.applied++
	m := b.w.ctl.log[b.applied]
	if !slices.Contains(m.replicas, b.id) {
		if b.role != nil { // the replica was given to others: its log is deleted
			b.role, b.leader, b.writes, b.fetching = nil, nil, nil, 0
			b.log, b.hw = modelLog{}, 0
		}
		return
	}
	role := &Role{Self: b.id, Leader: m.leader, LeaderEpoch: m.leaderEpoch, PartitionEpoch: m.partitionEpoch, Replicas: m.replicas, ISR: m.isr}
	if !role.Supersedes(b.role) {
		return
	}
	old := b.role
	b.role = role
	switch {
	case old != nil && old.LeaderEpoch == role.LeaderEpoch:
		if b.leader != nil {
			b.leader.Update(role, b.w.now)
			b.role = b.leader.Role()
			b.advance()
		}
	case role.Leads():
		b.writes, b.fetching = nil, 0
		b.log.assign(role.LeaderEpoch, b.log.end())
		b.leader = NewLeader(role, b.log.end(), b.w.lag, b.w.now)
		b.w.elected(b)
		b.advance()
	default:
		b.leader, b.writes, b.fetching = nil, nil, 0
	}
}

func (b *modelBroker) minISR() int {
	if b.w.bug == "pass the high watermark below min.insync.replicas" {
		return 1
	}
	return b.w.ctl.minISR
}

// advance moves the high watermark and answers writes.
func (b *modelBroker) advance() {
	if b.leader == nil {
		return
	}
	hw := b.leader.HighWatermark(b.hw, b.promised(), b.minISR(), b.w.now, b.alive)
	switch b.w.bug {
	case "high watermark off by one":
		if hw > b.hw {
			hw = min(hw+1, b.log.end())
		}
	case "ack before the ISR has it":
		hw = b.log.end()
	case "count the committed ISR only":
		hw = b.promised()
		for _, f := range b.leader.Followers() {
			if slices.Contains(b.role.ISR, f.ID) {
				hw = min(hw, f.LogEndOffset)
			}
		}
		hw = max(hw, b.hw)
	}
	b.hw = hw
	b.w.exposed(b)
	b.writes = slices.DeleteFunc(b.writes, func(m modelWrite) bool {
		if m.offset < b.hw {
			b.w.acked(b, m)
			return true
		}
		return false
	})
}

func (b *modelBroker) produce() {
	if b.role.CheckInSync(b.w.ctl.minISR) != nil {
		return
	}
	b.w.ids++
	b.log.append(entry{b.role.LeaderEpoch, b.w.ids})
	b.writes = append(b.writes, modelWrite{b.log.end() - 1, b.w.ids})
	b.advance()
}

// fetch sends what a follower sends.
func (b *modelBroker) fetch() {
	if b.w.fsync && b.w.bug != "promise what was appended as the leader" {
		b.log.flushed = len(b.log.entries) // what it appended while it led may not be on its disk yet
	}
	b.w.requests++
	b.fetching = b.w.requests
	b.w.send(message{to: b.role.Leader, from: b.id, run: (*modelBroker).answerFetch, fetch: modelFetch{from: b.id, nr: b.fetching, brokerEpoch: b.epoch,
		leaderEpoch: b.role.LeaderEpoch, offset: b.fetchOffset(), lastEpoch: b.log.latestEpoch()}})
}

// fetchOffset is what the follower asks for, which promises all below it.
func (b *modelBroker) fetchOffset() int64 {
	return b.log.end()
}

// modelFetch is a fetch, and its answer.
type modelFetch struct {
	from        int32
	nr          int
	brokerEpoch int64
	leaderEpoch int32
	offset      int64
	lastEpoch   int32

	err     bool
	parted  *wire.EpochEnd
	entries []entry
	hw      int64
}

func (b *modelBroker) answerFetch(m message) {
	f := m.fetch
	if b.leader == nil || f.leaderEpoch != b.role.LeaderEpoch && b.w.bug != "serve a follower of another epoch" {
		f.err = true
	} else {
		b.readFor(&f)
	}
	b.w.send(message{to: f.from, from: b.id, run: (*modelBroker).takeFetch, fetch: f})
}

func (b *modelBroker) readFor(f *modelFetch) {
	if f.lastEpoch >= 0 {
		parted, known := Divergence(&b.log, f.lastEpoch, f.offset)
		if parted != nil || !known {
			f.parted, f.err = parted, !known
			return
		}
	}
	if f.offset > b.log.end() {
		f.err = true
		return
	}
	f.entries = slices.Clone(b.log.entries[f.offset:min(int(f.offset)+3, len(b.log.entries))])
	at := Fetched{Offset: f.offset, BrokerEpoch: f.brokerEpoch, LeaderEnd: b.log.end(), Now: b.w.now}
	if b.w.bug == "count what was sent as received" {
		at.Offset += int64(len(f.entries))
	}
	if err := b.leader.NoteFetch(f.from, at); err != nil {
		f.err = true
		return
	}
	b.expand(f.from)
	b.advance()
	f.hw = b.hw
}

func (b *modelBroker) expand(id int32) {
	alive, hw := b.alive, b.hw
	switch b.w.bug {
	case "count a fenced replica":
		alive = func(id int32) (int64, bool) { return b.leader.follower(id).BrokerEpoch, true }
	case "expand below the high watermark":
		hw = 0
		b.leader.epochStart = 0
	}
	if p := b.leader.ProposeExpand(id, hw, alive); p != nil {
		b.ask(p)
	}
}

// ask sends a proposal. One that is sent again comes after the connection of the first has ended: that one was acted on by
// then, or never will be, and its answer does not come.
func (b *modelBroker) ask(p *Proposal) {
	b.w.net = slices.DeleteFunc(b.w.net, func(m message) bool { return m.proposal != nil && (m.to == b.id || m.from == b.id) })
	b.w.send(message{to: controllerID, proposal: p, from: b.id, nr: int(b.epoch)})
}

// takeFetch is the follower's half of the answer.
func (b *modelBroker) takeFetch(m message) {
	f := m.fetch
	if b.fetching != f.nr && b.w.bug != "append an answer of an old epoch" {
		return
	}
	b.fetching = 0
	if b.role == nil || b.leader != nil || f.err {
		return
	}
	if f.parted != nil {
		b.w.saw["parted"]++
		if b.w.bug == "skip the truncation" {
			return
		}
		cut := TruncationOffset(&b.log, b.log.end(), *f.parted)
		if b.w.bug == "truncate to the high watermark" {
			cut = min(b.hw, cut)
		}
		if cut < b.log.end() {
			b.w.saw["truncated"]++
		}
		b.log.truncate(cut)
		b.hw = min(b.hw, b.log.end())
		return
	}
	if f.offset != b.log.end() && b.w.bug != "append an answer of an old epoch" {
		return
	}
	for _, e := range f.entries {
		b.log.append(e)
	}
	if b.w.fsync && b.w.bug != "promise what is not on the disk" {
		b.log.flushed = len(b.log.entries) // before the next fetch promises it
	}
	b.hw = max(b.hw, min(f.hw, b.log.end()))
	b.w.exposed(b)
}

func (b *modelBroker) takeVerdict(m message) {
	if b.leader == nil {
		return
	}
	p := m.proposal
	switch b.leader.Decide(p, m.verdict) {
	case OutcomeCommitted:
		if p.Expands {
			b.w.saw["expanded"]++
		} else {
			b.w.saw["shrunk"]++
		}
		b.role = b.leader.Role()
		b.advance()
	case OutcomeRetry:
		b.ask(p)
	}
}

// crash ends the process. With power gone what was not flushed may be gone too, and what a failed disk did not take.
func (b *modelBroker) crash(clean bool, lost loss) {
	b.up, b.clean = false, clean
	b.suspect = !clean && (lost != lostNothing || !b.w.kills || b.mark.epoch != b.epoch)
	b.leader, b.writes, b.fetching = nil, nil, 0
	switch lost {
	case lostByPower:
		if b.w.bug != "power cut counted as process death" {
			b.boots++
		}
	case lostByDisk:
		if b.w.bug != "a failed disk keeps the mark" {
			b.mark.there = false
		}
	}
	if lost != lostNothing && b.log.flushed < len(b.log.entries) {
		b.w.saw["lost in a power cut"]++
		b.log.truncate(int64(b.log.flushed + b.w.rng.IntN(len(b.log.entries)-b.log.flushed+1)))
	}
	if clean || lost != lostNothing || !b.w.kills {
		b.log.flushed = len(b.log.entries)
	} else if n := len(b.log.epochs); n > 0 && b.log.epochs[n-1].start == b.log.end() && b.w.chance.IntN(2) == 0 {
		b.log.epochs = b.log.epochs[:n-1] // it was in memory only
	}
	b.hw = min(int64(b.w.rng.IntN(int(b.hw)+1)), b.log.end()) // an older one, from the checkpoint
	b.role = nil
}

// loss is how a process that ended took records with it.
type loss int

const (
	lostNothing loss = iota
	lostByPower
	lostByDisk
)

func (b *modelBroker) restart() {
	previous := b.previousEpoch()
	if !b.w.kills && !b.clean { // nobody knows of its page cache
		previous = -1
	}
	b.epoch = b.w.ctl.register(b.id, previous)
	if !b.w.kills || b.w.chance.IntN(8) > 0 { // else it is killed before it has written it
		b.mark = modelMark{true, b.epoch, b.boots}
	}
	b.up, b.suspect = true, false
	b.applied = len(b.w.ctl.log) - 2
	m := b.w.ctl.log[b.applied]
	if !slices.Contains(m.replicas, b.id) && !slices.Contains(b.w.ctl.now().replicas, b.id) {
		b.log, b.hw = modelLog{}, 0
	}
	b.applyNext()
}

func (b *modelBroker) tick() {
	if b.leader == nil {
		return
	}
	if p := b.leader.ProposeShrink(b.log.end(), b.w.now); p != nil {
		b.ask(p)
	}
	if p := b.leader.Pending(); p != nil && b.w.rng.IntN(4) == 0 {
		b.ask(p) // as after a time-out
	}
	b.advance()
}

const modelLag = 30 * time.Millisecond
