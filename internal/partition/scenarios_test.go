package partition

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Known defects of Apache Kafka as scripted histories of the model, by the number of the proposal that ended each. The
// random histories of TestModel come upon the same; here they can be read. docs/TESTING.md has the list.

// script is a world that does what it is told: three brokers, broker 0 leads.
type script struct {
	*world
	t *testing.T
}

func newScript(t *testing.T, minISR int) *script {
	w := &world{rng: rand.New(rand.NewPCG(1, 1)), chance: rand.New(rand.NewPCG(1, 2)), now: time.Unix(1000, 0), lag: modelLag, ackedAt: map[int]int64{}, saw: map[string]int{}, power: true}
	w.ctl = &modelController{minISR: minISR, epochs: 1}
	m := modelMeta{modelState: modelState{replicas: []int32{0, 1, 2}, isr: []int32{0, 1, 2}}, brokers: make([]registration, 3)}
	for i := range m.brokers {
		m.brokers[i].epoch = 1
		w.brokers = append(w.brokers, &modelBroker{w: w, id: int32(i), up: true, epoch: 1, applied: -1})
	}
	w.ctl.commit(m)
	s := &script{w, t}
	s.apply(0, 1, 2)
	return s
}

// apply lets brokers take all news of the metadata.
func (s *script) apply(ids ...int32) {
	for _, id := range ids {
		for b := s.brokers[id]; b.up && b.applied < len(s.ctl.log)-1; {
			b.applyNext()
		}
	}
}

// deliver hands out all messages, and those that come of them, but those of brokers that are cut off.
func (s *script) deliver() {
	for len(s.net) > 0 {
		m := s.net[0]
		s.net = s.net[1:]
		if m.to >= 0 && s.brokers[m.to].cut > 0 || m.from >= 0 && s.brokers[m.from].cut > 0 {
			continue
		}
		s.hand(m)
	}
	s.check()
}

// fetch lets followers fetch once.
func (s *script) fetch(ids ...int32) {
	for _, id := range ids {
		s.brokers[id].fetch()
		s.deliver()
	}
}

// settle lets all that are up take part until everything is everywhere, and looks whether it is.
func (s *script) settle() {
	s.t.Helper()
	for range 40 {
		s.now = s.now.Add(time.Millisecond)
		s.apply(0, 1, 2)
		for _, b := range s.brokers {
			if b.up && b.cut == 0 && b.role != nil && b.leader == nil && b.role.Leader >= 0 {
				s.fetch(b.id)
			}
			if b.leads() {
				b.tick()
				s.deliver()
			}
		}
	}
	leader := s.leaderNow()
	if leader == nil || !leader.leads() {
		s.t.Fatalf("nobody leads: %+v", s.ctl.now().modelState)
	}
	for _, b := range s.brokers {
		if b.up && b.cut == 0 && !slices.Equal(b.log.entries, leader.log.entries) {
			s.t.Errorf("broker %d has %v, the leader %d has %v", b.id, b.log.entries, leader.id, leader.log.entries)
		}
	}
	for id, o := range s.ackedAt {
		if o >= leader.log.end() || leader.log.entries[o].id != id {
			s.fail("NoCommittedRecordLostGlobally", "record %d was acknowledged at %d", id, o)
		}
	}
	if s.broken != "" {
		s.t.Error(s.broken)
	}
}

// write has a broker that leads append a record, and returns its number.
func (s *script) write(id int32) int {
	s.t.Helper()
	if !s.brokers[id].leads() {
		s.t.Fatalf("broker %d does not lead", id)
	}
	s.brokers[id].produce()
	return s.ids
}

func (s *script) isAcked(id int) bool { _, ok := s.ackedAt[id]; return ok }

// lose ends a broker's process by a power cut that takes all that was not flushed.
func (s *script) lose(id int32) {
	b := s.brokers[id]
	b.up, b.clean, b.suspect = false, false, true
	b.leader, b.writes, b.fetching, b.role = nil, nil, 0, nil
	b.log.truncate(int64(b.log.flushed))
	b.hw = 0
}

// comeBack starts a broker's process and lets the controller unfence it.
func (s *script) comeBack(id int32) {
	s.brokers[id].restart()
	s.apply(id)
	s.ctl.unfence(id)
	s.apply(0, 1, 2)
}

// TestKIP101FollowerBehindLeads: a follower has a committed record and does not know that it is committed. When it comes to
// lead it keeps it; a log that is cut to the high watermark would lose it.
func TestKIP101FollowerBehindLeads(t *testing.T) {
	s := newScript(t, 1)
	id := s.write(0)
	s.fetch(1, 2)
	s.brokers[1].fetch() // these tell the leader that they have it
	s.brokers[2].fetch()
	for len(s.net) > 0 && !s.isAcked(id) {
		m := s.net[0]
		s.net = s.net[1:]
		s.hand(m)
	}
	if !s.isAcked(id) || s.brokers[1].hw != 0 {
		t.Fatalf("acknowledged %v, high watermark of the follower %d", s.isAcked(id), s.brokers[1].hw)
	}
	s.net = nil // the answers do not arrive
	s.brokers[0].crash(false, lostNothing)
	s.ctl.fence(0)
	s.apply(1, 2)
	s.settle()
	s.comeBack(0)
	s.settle()
}

// TestKIP101TwoPowerCuts: the leader's last record is on no other broker; another leads and writes at the same offset. The
// logs are cut where they part, not at a high watermark that is beyond that.
func TestKIP101TwoPowerCuts(t *testing.T) {
	s := newScript(t, 1)
	s.write(0)
	s.settle()
	lost := s.write(0)
	s.brokers[0].log.flushed = 2
	s.lose(0)
	s.lose(2)
	s.ctl.fence(0)
	s.ctl.fence(2)
	s.apply(1)
	kept := s.write(1)
	s.settle()
	s.comeBack(0)
	s.comeBack(2)
	s.settle()
	if s.isAcked(lost) || !s.isAcked(kept) || s.brokers[0].log.entries[1].id != kept {
		t.Errorf("acknowledged %v and %v; broker 0 has %v", s.isAcked(lost), s.isAcked(kept), s.brokers[0].log.entries)
	}
}

// TestKIP279FastFailover: two elections follow each other before followers have caught up, so that the last epoch of a
// follower is one that the leader has never seen. It is told where the largest epoch below ended.
func TestKIP279FastFailover(t *testing.T) {
	s := newScript(t, 1)
	s.write(0)
	s.settle()
	s.write(0) // on broker 0 alone
	s.brokers[0].cut = cutFromAll
	s.ctl.fence(0)
	s.apply(1, 2)
	s.write(1) // on broker 1 alone
	s.brokers[1].cut = cutFromAll
	s.ctl.fence(1)
	s.apply(2)
	if s.brokers[2].role.LeaderEpoch != 2 {
		t.Fatalf("broker 2 is in epoch %d", s.brokers[2].role.LeaderEpoch)
	}
	s.write(2)
	s.write(2)
	if end, known := Divergence(&s.brokers[2].log, 1, 2); !known || end == nil || end.Epoch != 0 || end.EndOffset != 1 {
		t.Errorf("a follower at offset 2 of epoch 1 is told %+v", end)
	}
	for _, id := range []int32{1, 0} {
		s.brokers[id].cut = 0
		s.ctl.unfence(id)
		s.settle()
	}
}

// TestKIP320StaleLeader: a leader that was deposed and does not know it neither acknowledges nor serves followers of the new
// epoch, nor does it serve one that is behind as if it were its own.
func TestKIP320StaleLeader(t *testing.T) {
	s := newScript(t, 1)
	s.write(0)
	s.settle()
	old := s.brokers[0]
	old.cut = cutFromController
	s.ctl.fence(0)
	s.apply(1, 2)
	zombie := s.write(0)
	acked := s.write(1)
	s.fetch(2)
	s.fetch(2)
	if s.isAcked(zombie) || !s.isAcked(acked) {
		t.Errorf("of the old leader's record acknowledged: %v, of the new one's: %v", s.isAcked(zombie), s.isAcked(acked))
	}
	f := modelFetch{from: 2, nr: 99, brokerEpoch: 1, leaderEpoch: 1, offset: 1, lastEpoch: 0}
	old.answerFetch(message{fetch: f})
	if m := s.net[len(s.net)-1]; !m.fetch.err {
		t.Error("the old leader serves a follower of the new epoch")
	}
	s.net = nil
	old.cut = 0
	s.ctl.unfence(0)
	s.settle()
}

// TestKIP903StaleBrokerEpoch: a follower that has caught up loses what it had while the leader's request to take it into the
// ISR is on its way. The request names the process that was in sync, and is refused.
func TestKIP903StaleBrokerEpoch(t *testing.T) {
	s := newScript(t, 2)
	s.settle()
	s.ctl.fence(2)
	s.ctl.unfence(2)
	s.apply(0, 1, 2)
	id := s.write(0)
	s.fetch(1)
	s.fetch(1)
	s.fetch(2)
	s.brokers[2].fetch() // now it has all: the leader asks for it
	for len(s.net) > 0 && s.net[0].proposal == nil {
		m := s.net[0]
		s.net = s.net[1:]
		s.hand(m)
	}
	if len(s.net) == 0 || !s.net[0].proposal.has(2) {
		t.Fatal("nobody asks for the follower that has caught up")
	}
	s.lose(2)
	s.comeBack(2)
	if s.brokers[2].log.end() != 0 {
		t.Fatal("broker 2 has lost nothing")
	}
	s.deliver()
	if slices.Contains(s.ctl.now().isr, 2) {
		t.Error("a process that has lost all is in sync")
	}
	s.settle()
	if !s.isAcked(id) || !slices.Contains(s.ctl.now().isr, 2) {
		t.Errorf("in the end: acknowledged %v, ISR %v", s.isAcked(id), s.ctl.now().isr)
	}
}

// TestKIP966LastReplicaStanding: the ISR shrinks to one replica, which then loses what it had not flushed. It is not elected
// again; the replicas that left the ISR while nothing was committed without them are eligible, and have everything.
func TestKIP966LastReplicaStanding(t *testing.T) {
	s := newScript(t, 2)
	id := s.write(0)
	s.settle()
	if !s.isAcked(id) {
		t.Fatal("not acknowledged")
	}
	s.ctl.fence(1)
	s.ctl.fence(2)
	s.apply(0)
	if b := s.brokers[0]; b.role.CheckInSync(2) == nil {
		t.Fatalf("the ISR is %v", b.role.ISR)
	}
	s.lose(0) // nothing was flushed
	s.comeBack(0)
	if s.ctl.now().leader == 0 {
		t.Fatal("the replica that has lost all leads")
	}
	s.ctl.unfence(1)
	s.ctl.unfence(2)
	s.settle()
	if got := s.ctl.now(); got.leader == 0 || s.brokers[0].log.end() != 1 {
		t.Errorf("leader %d; broker 0 ends at %d", got.leader, s.brokers[0].log.end())
	}
}
