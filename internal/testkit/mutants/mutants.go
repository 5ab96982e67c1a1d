// Package mutants checks the checkers: it plants known faults into the code that keeps records, one at a time, and sees
// that the simulation or the crash test that should notice does. The faults are put over the source by go's -overlay, so
// the product has no hook for them and the tree is not touched. Its test runs with `make sim-mutants` (build tag mutants).
package mutants

import "slices"

// A Mutant is one fault.
type Mutant struct {
	Name string
	// File is below the module's root; Old is in it exactly once and becomes New.
	File, Old, New string
	// Check is the test that has to fail, in the package of File or in Package.
	Check, Package string
	// Seeds is how many histories the check may try; 0: its own number. From is the first of them, 0: its own.
	Seeds, From int
}

const (
	modelCheck   = "^TestModel$"             // partition: one partition under faults, stepped by a seed
	quorumCheck  = "^TestSimulation$"        // quorum: voters on disks and a network that fail
	upgradeCheck = "^TestUpgradeSimulation$" // quorum: the same, with a static quorum that becomes a dynamic one
	votersCheck  = "^TestDynamicSimulation$" // quorum: the same, with voters that are added, removed and wiped
	ballotCheck  = "^TestVotesOfFreshVotersCountTogether$"
	crashCheck   = "^TestCrash$"   // log: power cuts at any call
	wholeCheck   = "^TestCluster$" // sim: whole clusters
)

// All are the mutants.
var All = slices.Concat(rooms, whole, transactions, groups)

// rooms are those by the room in which they are.
var rooms = []Mutant{
	{Name: "the high watermark counts the committed ISR only", File: "internal/partition/leader.go", Check: modelCheck,
		Old: "f.LogEndOffset < hw && (f.inMaximalISR ||", New: "f.LogEndOffset < hw && (f.InSync(l.role) ||"},
	{Name: "the high watermark is the leader's end", File: "internal/partition/leader.go", Check: modelCheck,
		Old: "			hw = f.LogEndOffset\n", New: "			hw = localEnd\n"},
	{Name: "the high watermark is off by one", File: "internal/partition/leader.go", Check: modelCheck,
		Old: "			hw = f.LogEndOffset\n", New: "			hw = f.LogEndOffset + 1\n"},
	{Name: "the high watermark goes back", File: "internal/partition/leader.go", Check: modelCheck,
		Old: "return max(current, hw)", New: "return hw"},
	{Name: "committed below min.insync.replicas", File: "internal/partition/leader.go", Check: modelCheck,
		Old: "l.role.CheckInSync(minInSync) != nil || !slices", New: "!slices"},
	{Name: "a replica joins the ISR below the high watermark", File: "internal/partition/isr.go", Check: modelCheck,
		Old: "f.LogEndOffset < highWatermark || f.LogEndOffset < l.epochStart", New: "f.LogEndOffset < 0"},
	{Name: "an answer to a proposal that may have been taken ends it", File: "internal/partition/isr.go", Check: modelCheck, Seeds: 3000,
		Old: "		return OutcomeStale\n	default:", New: "		l.proposal = nil\n		l.remember()\n		return OutcomeRefused\n	default:"},
	{Name: "a follower does not cut its log where the leader's ended", File: "internal/partition/truncation.go", Check: modelCheck,
		Old: "return min(own, end.EndOffset, logEndOffset)", New: "return min(own, logEndOffset)"},
	{Name: "logs of different epochs are taken for the same", File: "internal/partition/truncation.go", Check: modelCheck,
		Old: "if epoch < lastFetchedEpoch || end < offset {", New: "if end < offset {"},
	{Name: "logs that parted within an epoch are taken for the same", File: "internal/partition/truncation.go", Check: modelCheck,
		Old: "if epoch < lastFetchedEpoch || end < offset {", New: "if epoch < lastFetchedEpoch {"},

	{Name: "a vote is lost in a restart", File: "internal/quorum/raftlog.go", Check: "^TestHardStateOutlivesPower$",
		Old: "	return &pb.HardState{Term: &term, Vote: &vote, Commit: &commit}, nil", New: "	vote = 0\n	return &pb.HardState{Term: &term, Vote: &vote, Commit: &commit}, nil"},
	{Name: "a promise goes out before it is on the disk", File: "internal/quorum/raftlog.go", Check: quorumCheck,
		Old: "	if err = l.f.Sync(); err != nil {", New: "	if err = error(nil); err != nil {"},
	{Name: "a vote need not be on the disk", File: "internal/quorum/workers.go", Check: "^TestVoteIsDurable$",
		Old: "mustSync = mustSync || m.GetTerm() != q.raft.hs.GetTerm() || m.GetVote() != q.raft.hs.GetVote()", New: "_ = mustSync"},
	{Name: "the metadata log is not synced", File: "internal/quorum/metalog.go", Check: quorumCheck,
		Old: "	if err := l.f.Sync(); err != nil {", New: "	if err := error(nil); err != nil {"},

	{Name: "the data of a segment is not synced", File: "internal/log/flush.go", Check: crashCheck,
		Old: "	if err := o.Sync(); err != nil {", New: "	if err := error(nil); err != nil {"},
	{Name: "the folder of a partition is not synced", File: "internal/log/flush.go", Check: crashCheck,
		Old: "if err := l.env.fs.SyncDir(l.dirPath()); err != nil {", New: "if err := error(nil); err != nil {"},
	{Name: "the entry of a new partition is not synced", File: "internal/log/flush.go", Check: crashCheck,
		Old: "	if err := d.env.fs.SyncDir(d.path); err != nil {", New: "	if err := error(nil); err != nil {"},

	{Name: "a replica that died unclean stays eligible to lead", File: "internal/controller/election.go", Check: "^TestEligibleLeaders$|^TestLeadersAfterKill$|^TestRegistrationIsChecked$",
		Old: "!slices.Contains(c.isr, id) && !slices.Contains(c.unclean, id) && slices.Contains(c.replicas, id)", New: "!slices.Contains(c.isr, id) && slices.Contains(c.replicas, id)"},
	{Name: "any live replica may lead", File: "internal/controller/election.go", Check: "^TestEligibleLeaders$|^TestUncleanElection$|^TestLeadersAfterKill$",
		Old: "	if c.election == electUnclean {\n		for", New: "	{\n		for"},
	{Name: "a reassignment ends below min.insync.replicas", File: "internal/controller/election.go", Check: "^TestReassignmentWaitsForMinInSync$",
		Old: " || len(isr) < min(c.minISR, len(replicas)) {", New: " {"},
	{Name: "a shrunk ISR keeps its replicas from leading for ever", File: "internal/controller/election.go", Check: "^TestEligibleLeaders$",
		Old: "	if len(c.isr) >= c.minISR {\n", New: "	if len(c.isr) > 0 {\n"},

	{Name: "a wiped voter votes under its old id", File: "internal/quorum/ballot.go", Check: quorumCheck, Seeds: 400,
		Old: "	if q.fresh.Load() && m.GetIndex() > firstIndex {", New: "	if q.fresh.Load() && m == nil {"},
	{Name: "two changes of the voters at once", File: "internal/quorum/members.go", Check: votersCheck, Seeds: 200,
		Old: "	if q.changing != nil || q.confPending || len(q.learners()) > 0 {", New: "	if false {"},
	{Name: "a voter is said to be added before that is committed", File: "internal/quorum/members.go", Check: votersCheck, Seeds: 200,
		Old: "			if c.early {\n", New: "			if !c.early || c.early {\n"},
	{Name: "a removed voter counts for the majority", File: "internal/quorum/confchange.go", Check: votersCheck, Seeds: 200,
		Old: "		q.node.ApplyConfChange(&cc)\n", New: "		if cc.GetType() != pb.ConfChangeRemoveNode {\n			q.node.ApplyConfChange(&cc)\n		}\n"},
	{Name: "an added voter does not count for the majority", File: "internal/quorum/confchange.go", Check: votersCheck, Seeds: 200,
		Old: "		q.node.ApplyConfChange(&cc)\n", New: "		if cc.GetType() != pb.ConfChangeAddNode {\n			q.node.ApplyConfChange(&cc)\n		}\n"},
	{Name: "a change of the voters is forgotten in a restart", File: "internal/quorum/confchange.go", Check: votersCheck, Seeds: 200,
		Old: "	q.applied.Conf = changedConf(q.applied.Conf, &cc)\n", New: "	_ = changedConf(q.applied.Conf, &cc)\n"},
	{Name: "a snapshot has no voters", File: "internal/quorum/snapshot.go", Check: votersCheck, Seeds: 200,
		Old: "		if w.head.Voters != nil {\n			w.b", New: "		if w.head.Voters != nil && w.head.Now < 0 {\n			w.b"},
	{Name: "a fresh voter votes with what its leader knows as committed", File: "internal/quorum/fresh.go", Check: "^TestFreshVoterWaitsForTheLeadersTerm$",
		Old: "!leads && term < q.freshTerm.Load()", New: "!leads && term < 0"},
	{Name: "a change of the voters forgets the founders", File: "internal/quorum/members.go", Check: upgradeCheck, Seeds: 60,
		Old: "	out.UnknownTags = r.UnknownTags\n", New: ""},
	{Name: "a founder with another directory is taken for the first", File: "internal/quorum/upgrade.go", Check: "^TestFounderIsADirectory$",
		Old: "		if slices.Equal(one, want) {", New: "		if slices.Equal(one[:4], want[:4]) {"},
	{Name: "a fresh voter elects itself with a majority", File: "internal/quorum/ballot.go", Check: ballotCheck,
		Old: "fresh: q.fresh.Load() && m.GetIndex() > firstIndex", New: "fresh: m == nil"},
	{Name: "a fresh vote makes a majority", File: "internal/quorum/ballot.go", Check: ballotCheck,
		Old: "	case from != q.raftID && (marked || b.fresh):", New: "	case from != q.raftID && b.fresh:"},
	{Name: "fresh votes count while a voter is being added", File: "internal/quorum/ballot.go", Check: ballotCheck,
		Old: "	return !q.addsVoter()", New: "	return true"},
	{Name: "fresh votes do not count at all", File: "internal/quorum/ballot.go", Check: "^TestFirstLeaderEndsBeforeOthersHaveCaughtUp$",
		Old: "	return !q.addsVoter()", New: "	return false"},
	{Name: "a fresh voter votes for who does not count that apart", File: "internal/quorum/ballot.go", Check: "^TestFreshVoterMarksItsVote$",
		Old: "return m.GetIndex() <= firstIndex || bytes.Equal(m.GetContext(), countsFresh)", New: "return m != nil"},
	{Name: "a node follows itself", File: "internal/quorum/follow.go", Check: "^TestWhoDoesNotLeadIsNotFollowed$",
		Old: "	if leader == f.q.cfg.NodeID {", New: "	if leader == f.q.cfg.NodeID && epoch < 0 {"},
	{Name: "who does not lead is asked for ever", File: "internal/quorum/follow.go", Check: "^TestWhoDoesNotLeadIsNotFollowed$",
		Old: "	if code != wire.None && asked >= 0 && f.leader.ID == asked && f.epoch == was {", New: "	if code != wire.None && asked < 0 && was < -1 {"},
	{Name: "who was refused as a voter is a stranger for ever", File: "internal/quorum/upgrade.go", Check: upgradeCheck, Seeds: 60,
		Old: "return q.stranger.Load() && q.leader.Load() < 0", New: "return q.stranger.Load()"},
	{Name: "who has an id of a static quorum goes on in a dynamic one", File: "internal/quorum/upgrade.go", Check: "^TestWhoHasAnIDOfAStaticQuorumIsReplaced$",
		Old: "	if err != nil || id == q.raftID {", New: "	if _, in := set.byRaft[q.raftID]; err != nil || id == q.raftID || !in {"},
	{Name: "messages to a voter's lost log are taken", File: "internal/quorum/serve.go", Check: "^TestLateMessagesToALostLog$",
		Old: " || t.ToLog != q.life {", New: " {"},
	{Name: "a former leader promises what is not on its disk", File: "internal/replica/fetcher.go", Check: "^TestFormerLeaderSyncsBeforeItFollows$",
		Old: "		case unsettled(l):\n", New: "		case unsettled(l) && now.IsZero():\n"},

	{Name: "acknowledged before the ISR has it", File: "internal/replica/leader.go", Package: "sim", Check: wholeCheck, Seeds: 8,
		Old: "	hw := r.leader.HighWatermark(old, promised(l), int(r.minInSync.Load()), m.now(), m.alive)\n", New: "	hw := max(old, promised(l))\n"},
	{Name: "a follower does not truncate", File: "internal/replica/follower.go", Package: "sim", Check: wholeCheck, Seeds: 8,
		Old: "	return l.TruncateAsFollower(offset, epoch)\n", New: "	return nil\n"},
	{Name: "consumers read what is not committed", File: "internal/replica/fetch.go", Package: "sim", Check: wholeCheck, Seeds: 60,
		Old: "		return log.BoundHighWatermark\n", New: "		return log.BoundLogEnd\n"},
	{Name: "producers are forgotten after failover", File: "internal/log/producerload.go", Package: "sim", Check: wholeCheck, Seeds: 8,
		Old: "	if err := r.run(); err != nil {\n", New: "	if err := error(nil); err != nil {\n"},
	{Name: "a repeated batch is not recognized", File: "internal/log/producerstate.go", Package: "sim", Check: wholeCheck, Seeds: 8,
		Old: "		if kept := e.batches[i]; kept.lastSeq == last && kept.firstSeq() == first {\n", New: "		if kept := e.batches[i]; kept.lastSeq == last && kept.firstSeq() == first && last < 0 {\n"},
	{Name: "committed offsets are lost when the coordinator moves", File: "internal/coordinator/load.go", Package: "sim", Check: wholeCheck, Seeds: 8,
		Old: "		if len(piece) == 0 {\n", New: "		if len(piece) >= 0 {\n"},
	{Name: "a produce is answered without waiting for the ISR", File: "internal/replica/produce.go", Package: "sim", Check: wholeCheck, Seeds: 8,
		Old: "	committed := l.HighWatermark() >= s.Offset\n", New: "	committed := l.HighWatermark() >= s.Offset || l.LogEndOffset() >= s.Offset\n"},
	{Name: "the entry of a formatted directory is not synced", File: "internal/node/format/format.go", Package: "sim", Check: wholeCheck, Seeds: 8,
		Old: "		if err := vfs.MakeDir(fsys, dir.Path); err != nil {\n", New: "		if err := fsys.MkdirAll(dir.Path); err != nil {\n"},
	{Name: "a power cut counts as the death of a process", File: "internal/log/runmark.go", Check: crashCheck,
		Old: "now.Same(d.run.Memory)", New: `now.ID != ""`},
	{Name: "a failed directory keeps the mark of its run", File: "internal/log/manager.go", Check: "^TestFailedDirectoryEndsTheRun$",
		Old: "	if err := m.endRun(); err != nil {\n", New: "	if err := error(nil); err != nil {\n"},
	{Name: "damage counts as the death of a process", File: "internal/log/recover.go", Check: "^TestDamageIsNoKill$",
		Old: "if err == nil && !torn {", New: "if err == nil && zero && !torn {"},
	{Name: "a mark outlives the directories of its run", File: "internal/log/runmark.go", Check: "^TestOtherDirectoriesAreNotThoseOfTheRun$",
		Old: "!slices.Equal(d.run.Directories, ids)", New: "ids == nil"},
	{Name: "a node with a full disk acts on metadata that is out of date", File: "internal/quorum/workers.go", Package: "internal/node", Check: "^TestFullMetadataDisk$",
		Old: "case q.cfg.FullDiskPatience == 0 || !behind():", New: "case since == 0 || !behind():"},
}
