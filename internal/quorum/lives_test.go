package quorum

import (
	"testing"

	"github.com/weir-stream/weir/internal/vfs"
)

// TestLateMessagesToALostLog: a voter loses its log, and what the leader had sent to it within the term, but for the end of that,
// comes once more. The voter had a share in committing that end. It must not take the messages for those of a leader that
// knows what it has, and vote for somebody who lacks the end.
func TestLateMessagesToALostLog(t *testing.T) {
	for _, planted := range []string{"", "late messages are taken"} {
		t.Run(planted, func(t *testing.T) {
			c := new(catcher)
			defer func() {
				if p := recover(); p != nil && p != any(c) {
					panic(p)
				}
				if found := c.found != ""; found != (planted != "") {
					t.Errorf("found: %q", c.found)
				}
			}()
			lateMessages(t, c, planted)
		})
	}
}

func lateMessages(t *testing.T, by judge, planted string) {
	s := newSimulation(t, by, 1, planted, nil)
	s.posted = &[]parcel{}
	for i := 0; s.leading() == nil; i++ {
		if s.round(i%4 == 0); i > 10000 {
			t.Fatal("nobody leads")
		}
	}
	for range 40 {
		s.round(true)
	}
	leader := s.leading()
	victim, behind := s.nodes[(leader.index+1)%simVoters], s.nodes[(leader.index+2)%simVoters]
	if victim.q.fresh.Load() || behind.q.fresh.Load() {
		t.Fatal("not all of them vote")
	}
	for _, n := range s.nodes {
		s.cut[[2]int{n.index, behind.index}], s.cut[[2]int{behind.index, n.index}] = true, true
	}
	early := len(*s.posted)
	had := s.end
	for range 3 {
		s.propose()
		for range 4 {
			s.round(false)
		}
	}
	if s.end <= had {
		t.Fatal("nothing was committed without the third")
	}
	id, from, sender := victim.q.raftID, leader.q.raftID, leader.index
	life := leader.q.life
	if s.untold(sender) {
		life = lifeUntold
	}
	victim.wiped()
	leader.crash()
	s.net = nil
	victim.q.lives.set(from, life)
	for _, p := range (*s.posted)[:early] {
		if p.from == sender && p.to == id {
			s.arrive(p)
			victim.turn()
			victim.appendStep()
		}
	}
	clear(s.cut)
	for range 200 {
		s.round(true)
	}
	if s.leading() != nil {
		t.Error("two that lack what was committed have elected one of them")
	}
	s.heal()
}

// TestLogIDIsMadeAnewWithTheLog: the number of Raft's log stays over restarts, is given to one that has none, and is another one when the log is made
// anew, though the file is left.
func TestLogIDIsMadeAnewWithTheLog(t *testing.T) {
	fs, dir := vfs.NewMem(), "/data/raft"
	first, err := drawLogID(fs, dir)
	if err != nil || first < firstLife {
		t.Fatal(first, err)
	}
	if again, err := readLogID(fs, dir); err != nil || again != first {
		t.Errorf("%x, %v, want %x", again, err, first)
	}
	if err := fs.Remove(dir + "/" + logIDFile); err != nil {
		t.Fatal(err)
	}
	second, err := readLogID(fs, dir)
	if err != nil || second < firstLife || second == first {
		t.Errorf("%x, %v after %x", second, err, first)
	}
	if third, err := drawLogID(fs, dir); err != nil || third == second {
		t.Errorf("%x, %v after %x", third, err, second)
	}
}

// TestOlderBuildAmongVoters: a voter of a build that names no logs and others that do understand each other, also when it becomes one
// that does.
func TestOlderBuildAmongVoters(t *testing.T) {
	for old := range simVoters {
		s := newSimulation(t, t, uint64(old+1), "", nil)
		s.older = map[int]bool{old: true}
		grow := func() {
			t.Helper()
			end := s.end
			for i := 0; s.leading() == nil || s.end < end+5; i++ {
				s.propose()
				if s.round(i%2 == 0); i > 10000 {
					t.Fatal("nothing is committed")
				}
			}
		}
		grow()
		if n := s.leading(); n.index == old {
			n.q.inLoop(func() { n.q.handOver(0) })
			for i := 0; s.leading() == n || s.leading() == nil; i++ {
				if s.round(i%2 == 0); i > 10000 {
					t.Fatal("no other leads")
				}
			}
		}
		grow()
		s.older = nil
		s.nodes[old].crash()
		s.nodes[old].start()
		grow()
		s.heal()
		for _, n := range s.nodes[:simVoters] {
			if life := s.nodes[(old+1)%simVoters].q.lives.get(n.q.raftID); n.index != (old+1)%simVoters && life != n.q.life {
				t.Errorf("the log of voter %d is %x, another takes it for %x", n.index, n.q.life, life)
			}
		}
	}
}
