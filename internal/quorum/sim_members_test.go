package quorum

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	mr "github.com/weir-stream/weir/internal/metarecord"
)

// members makes the simulated quorum a dynamic one: three voters to begin with, two controllers that stand outside, and
// changes of the voters among the faults. Voters that lose their disks come back outside, as they do when they are
// formatted anew. A nil one is of a static quorum and does nothing.
type members struct {
	static                            bool // it begins as a static quorum and becomes a dynamic one
	added, removed, refused, replaced int
	open                              map[*Quorum]int // changes that a node was asked for and has not answered
}

// founder reports whether a node's settings name the voters of a static quorum, itself among them.
func (n *simNode) founder() bool {
	return n.s.members != nil && n.s.members.static && n.index < simVoters
}

func (n *simNode) directory() [16]byte { return [16]byte{byte(n.index + 1), byte(n.lives)} }

func (n *simNode) voter() Voter {
	return Voter{ID: int32(n.index), DirectoryID: n.directory(), Endpoints: []Endpoint{{Name: "CONTROLLER", Host: "n", Port: uint16(n.index + 1)}}}
}

// format writes what kafka-storage format does: with --initial-controllers for the first voters, --no-initial-controllers or
// an empty directory for others.
func (m *members) format(n *simNode, initial bool) {
	if m == nil || n.observer || n.founder() || !initial && n.s.rnd.IntN(2) == 0 {
		return
	}
	head := SnapshotHead{KRaftVersion: 1}
	if initial {
		head.Voters = mr.NewVotersRecord()
		for i := range simVoters {
			head.Voters = withVoter(head.Voters, (&simNode{index: i}).voter())
		}
	}
	dir := filepath.Join("/data", LogDirName)
	err := errors.Join(n.fs.MkdirAll(dir), n.fs.SyncDir("/data"),
		WriteSnapshot(n.fs, filepath.Join(dir, SnapshotID{}.FileName()), head, func(func(mr.Versioned) bool) {}))
	if err != nil {
		n.s.t.Fatal(err)
	}
}

// gone are the voters of a set that no node is any more.
func (m *members) gone(s *simulation, set *voterSet) (out []Voter) {
	if set.record == nil {
		return nil // static
	}
	for _, v := range set.list() {
		if s.nodes[v.ID].directory() != v.DirectoryID {
			out = append(out, v)
		}
	}
	return out
}

// change asks the leader to add or remove somebody.
func (m *members) change(s *simulation) {
	leader := s.leading()
	if leader == nil {
		return
	}
	if leader.q.kraft.Load() == 0 {
		m.upgrade(leader)
		return
	}
	set := leader.q.voters.Load()
	n := s.nodes[s.rnd.IntN(s.voters())]
	wait := time.Duration(s.rnd.IntN(3000)) * time.Millisecond
	v, in := set.find(int32(n.index))
	if gone := m.gone(s, set); len(gone) > 0 {
		v, in = gone[0], true // the others are needed
	}
	if in && (len(set.byRaft) > 2 || s.rnd.IntN(4) == 0) {
		leader.q.RemoveVoter(v.ID, v.DirectoryID, wait, m.made(leader, v, false))
	} else {
		v, early := n.voter(), s.rnd.IntN(2) == 0
		if early {
			leader.q.AddVoter(v, wait, true, m.note(leader, &m.added))
		} else {
			leader.q.AddVoter(v, wait, false, m.made(leader, v, true))
		}
	}
}

// upgrade has some of the voters of a static quorum tell the leader of themselves, and asks it to make the quorum a dynamic one.
func (m *members) upgrade(leader *simNode) {
	s := leader.s
	for _, n := range s.nodes[:simVoters] {
		if n.q != nil && s.rnd.IntN(8) > 0 {
			v := n.voter()
			v.MaxKRaftVersion = 1
			leader.q.UpdateVoter(v, func(error) {})
		}
	}
	leader.q.UpgradeVersion(s.rnd.IntN(8) == 0, m.note(leader, new(int)))
}

// made is note for a change of which is said that it is committed: then the leader has applied it.
func (m *members) made(leader *simNode, v Voter, in bool) func(error) {
	count := &m.removed
	if in {
		count = &m.added
	}
	note := m.note(leader, count)
	return func(err error) {
		if have, _ := leader.q.voters.Load().find(v.ID); err == nil && (have.DirectoryID == v.DirectoryID) != in {
			leader.s.t.Fatalf("committed changes: it is said that the change of voter %d is made, the voters are %s", v.ID, leader.q.voters.Load().keys())
		}
		note(err)
	}
}

// note counts a change when it is answered.
func (m *members) note(leader *simNode, count *int) func(error) {
	if m.open == nil {
		m.open = map[*Quorum]int{}
	}
	q := leader.q
	m.open[q]++
	return func(err error) {
		m.open[q]--
		if err == nil {
			*count++
		} else {
			m.refused++
		}
	}
}

// wipe empties the disk of a voter, if that leaves a majority whatever becomes of changes that are under way.
func (m *members) wipe(s *simulation) {
	leader := s.leading()
	if leader == nil {
		return
	}
	if leader.q.kraft.Load() == 0 {
		s.wipe()
		return
	}
	set := leader.q.voters.Load()
	if len(set.byRaft) < 3 || len(m.gone(s, set)) > 0 {
		return
	}
	for _, n := range s.nodes[:s.voters()] {
		if n.q == nil || n.q.voters.Load().keys() != set.keys() || n.q.fresh.Load() && !n.q.outside() || changesMembers(n.q) {
			return
		}
	}
	n := s.nodes[s.rnd.IntN(s.voters())]
	n.q, n.leads = nil, 0
	n.lives++
	n.fs = emptyDisk()
	m.format(n, false)
	n.start()
}

// changesMembers reports whether a change of the members may be in a node's log that is not applied there.
func changesMembers(q *Quorum) bool {
	if q.changing != nil || q.confPending || len(q.proposed) > 0 {
		return true
	}
	last, err := q.raft.mem.LastIndex()
	if err != nil || len(q.appendq.items) > 0 {
		return true
	}
	for i := max(q.applied.Index, q.raft.at.Index) + 1; i <= last; i++ {
		entries, err := q.raft.mem.Entries(i, i+1, ^uint64(0))
		if err != nil || entries[0].GetType() == pb.EntryConfChange {
			return true
		}
	}
	return false
}

// tidy removes the voters that will not come back.
func (m *members) tidy(s *simulation) {
	if m == nil {
		return
	}
	if leader := s.leading(); leader != nil {
		if leader.q.kraft.Load() == 0 {
			m.upgrade(leader)
		}
		for _, v := range m.gone(s, leader.q.voters.Load()) {
			leader.q.RemoveVoter(v.ID, v.DirectoryID, time.Minute, m.note(leader, &m.removed))
		}
	}
}

// settled reports whether all know the same voters, all of which live, and no change is under way.
func (m *members) settled(s *simulation) bool {
	if m == nil {
		return true
	}
	leader := s.leading()
	set := leader.q.voters.Load()
	conf := slices.Sorted(slices.Values(leader.q.applied.Conf.GetVoters()))
	if len(m.gone(s, set)) > 0 || leader.q.changing != nil || len(leader.q.learners()) > 0 || !slices.Equal(conf, set.ids()) {
		return false
	}
	for _, n := range s.nodes {
		if n.q.voters.Load().keys() != set.keys() {
			return false
		}
		if id, err := raftIDIn(set.record, int32(n.index), n.directory()); err != nil || n.q.node != nil && n.q.raftID != id {
			return false // who is added under that id would not be found
		}
		if m.open[n.q] != 0 {
			s.t.Fatalf("committed changes: node %d has %d changes of voters that it has not answered", n.index, m.open[n.q])
		}
	}
	return true
}

// TestDynamicSimulation is TestSimulation with changes of the voters.
func TestDynamicSimulation(t *testing.T) {
	first, count := simSeeds()
	var all members
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			m := new(members)
			simulate(t, t, seed, 8000, "", m)
			all.added, all.removed, all.refused = all.added+m.added, all.removed+m.removed, all.refused+m.refused
		})
	}
	t.Logf("%d voters were added, %d removed, %d changes refused", all.added, all.removed, all.refused)
	if count >= 60 && (all.added == 0 || all.removed == 0) {
		t.Error("nothing changed")
	}
}

// TestUpgradeSimulation is TestDynamicSimulation with a static quorum that becomes a dynamic one amid the faults.
func TestUpgradeSimulation(t *testing.T) {
	first, count := simSeeds()
	var all members
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			m := &members{static: true}
			simulate(t, t, seed, 8000, "", m)
			all.added, all.removed, all.refused, all.replaced = all.added+m.added, all.removed+m.removed, all.refused+m.refused, all.replaced+m.replaced
		})
	}
	t.Logf("%d voters were added, %d removed, %d changes refused, %d nodes were found to be replaced", all.added, all.removed, all.refused, all.replaced)
	if count >= 60 && all.removed == 0 || count >= 600 && all.added == 0 {
		t.Error("nothing changed")
	}
}
