package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/metarecord/message"
	"github.com/weir-stream/weir/internal/wire"
)

// A static quorum becomes a dynamic one (kraft.version 1, KIP-853) by one batch: the version, and the voters with the
// directories and listeners that they have told the leader of (UpdateRaftVoter), each anew in every term.
//
// To Raft its voters stay who they are: node id + 1. Who joins later has an id from its directory's. So the founders, which are the
// voters that a static quorum had, are named for good in a tagged field of the voters record: it is in the log and in
// snapshots, goes with each change, and Apache Kafka passes over it. A founder that comes back with another
// directory is another voter.

// foundersTag is the number of that field: node id and directory id of each founder.
const foundersTag = 20853

const founderBytes = 4 + 16

// founders is the field's content, nil if there is none.
func founders(r *mr.VotersRecord) []byte {
	for _, t := range r.UnknownTags {
		if t.Number == foundersTag {
			return t.Data
		}
	}
	return nil
}

// isFounder reports whether a voter was one when the quorum was static.
func isFounder(r *mr.VotersRecord, id int32, dir [16]byte) bool {
	if r == nil {
		return false
	}
	want := append(binary.BigEndian.AppendUint32(nil, uint32(id)), dir[:]...)
	for one := range slices.Chunk(founders(r), founderBytes) {
		if slices.Equal(one, want) {
			return true
		}
	}
	return false
}

// withFounders makes all voters of a record its founders.
func withFounders(r *mr.VotersRecord) *mr.VotersRecord {
	out := *r
	var data []byte
	for _, v := range r.Voters {
		data = binary.BigEndian.AppendUint32(data, uint32(v.VoterID))
		data = append(data, v.VoterDirectoryID[:]...)
	}
	out.UnknownTags = []message.Tag{{Number: foundersTag, Data: data}}
	return &out
}

// raftIDIn is the id in Raft of a voter of a dynamic quorum, by its voters record.
func raftIDIn(r *mr.VotersRecord, id int32, dir [16]byte) (uint64, error) {
	return raftIDOf(id, dir, !isFounder(r, id, dir))
}

// upgrade is the step from a static quorum to a dynamic one while it is made. Owned by the loop.
type upgrade struct {
	voters   *mr.VotersRecord
	proposed bool
	done     []func(error)
}

// UpgradeVersion makes a static quorum a dynamic one, kraft.version 1. done is called once, from a goroutine of the quorum, and must be
// quick: when that is committed, or would be possible if validateOnly is set, or with an error that wraps a wire.Code. Nothing is done if
// the quorum is dynamic. After the quorum has stopped it may never be called.
func (q *Quorum) UpgradeVersion(validateOnly bool, done func(error)) {
	q.change(done, func() error {
		switch {
		case q.kraft.Load() > 0:
			done(nil)
			return nil
		case q.upgrading != nil && !validateOnly:
			q.upgrading.done = append(q.upgrading.done, done)
			return nil
		}
		voters, err := q.toldVoters()
		if err != nil {
			return err
		}
		if validateOnly {
			done(nil)
			return nil
		}
		q.upgrading = &upgrade{voters: voters, done: []func(error){done}}
		q.log.Info("metadata quorum: the voters will stand in the log (kraft.version 1)", "voters", len(voters.Voters))
		q.stepChange()
		return nil
	})
}

// tell keeps what a voter of a static quorum says of itself, for the day when the quorum becomes dynamic. It belongs to the loop.
func (q *Quorum) tell(v Voter) error {
	if _, in := q.voters.Load().find(v.ID); !in || v.DirectoryID == ([16]byte{}) {
		return refuse(wire.VoterNotFound, "Cannot update voter %s in the set of voters %s", voterKey(v), q.voters.Load().keys())
	}
	if q.told == nil {
		q.told = map[int32]Voter{}
	}
	q.told[v.ID] = v
	return nil
}

// toldVoters is the voters record that the voters of a static quorum have told, all of which must have done so.
func (q *Quorum) toldVoters() (*mr.VotersRecord, error) {
	out := mr.NewVotersRecord()
	for _, v := range q.voters.Load().list() {
		told, ok := q.told[v.ID]
		if v.ID == q.cfg.NodeID {
			told, ok = Voter{ID: v.ID, DirectoryID: q.cfg.DirectoryID, Endpoints: q.cfg.Endpoints, MaxKRaftVersion: 1}, true
		}
		if !ok || told.MaxKRaftVersion < 1 || told.MinKRaftVersion > 1 {
			return nil, refuse(wire.InvalidUpdateVersion, "Invalid upgrade of kraft.version to KRAFT_VERSION_1 because not all of the voters support it")
		}
		out = withVoter(out, told)
	}
	out = withFounders(out)
	if _, err := dynamicVoters(out); err != nil {
		return nil, refuse(wire.InvalidUpdateVersion, "%s", err)
	}
	return out, nil
}

// stepUpgrade goes on with the upgrade that is under way. It belongs to the loop.
func (q *Quorum) stepUpgrade() {
	u := q.upgrading
	switch {
	case u == nil:
	case q.kraft.Load() > 0:
		q.endUpgrade(nil)
	case !u.proposed:
		err := q.proposeVoters(nil, u.voters, 1)
		u.proposed = err == nil
		if err != nil && !errors.Is(err, errBusy) {
			q.endUpgrade(err)
		}
	}
}

// endUpgrade answers who waits for the upgrade. It belongs to the loop.
func (q *Quorum) endUpgrade(err error) {
	u := q.upgrading
	q.upgrading = nil
	if u == nil {
		return
	}
	for _, done := range u.done {
		done(err)
	}
}

// ErrReplaced is wrapped by the fault of a node that took part as one of the voters and is none: the quorum has become dynamic, and
// knows the voter of this id by another directory. Started anew the node stands outside and can be added.
var ErrReplaced = errors.New("this node is another than the voter with its id")

// checkPlace fails if this node takes part in Raft by an id that is not its own in a dynamic quorum: as the voter of a static one that its
// settings name, while another directory has, or had, that voter's place.
func (q *Quorum) checkPlace() error {
	set := q.voters.Load()
	if q.node == nil || q.kraft.Load() == 0 || set.record == nil {
		return nil
	}
	id, err := raftIDIn(set.record, q.cfg.NodeID, q.cfg.DirectoryID)
	if err != nil || id == q.raftID {
		return err
	}
	other := "none"
	if v, in := set.find(q.cfg.NodeID); in {
		other = mr.FormatUUID(v.DirectoryID)
	}
	return fmt.Errorf("%w: the quorum is dynamic (kraft.version 1), its voter %d has the directory %s, and this node %s; started again it follows, and add-controller makes it a voter",
		ErrReplaced, q.cfg.NodeID, other, mr.FormatUUID(q.cfg.DirectoryID))
}

// strange reports whether a request names directories of its two ends that are not those of the voters that it is from and to.
func (q *Quorum) strange(t *wire.RaftTag) bool {
	none := [16]byte{}
	if t.ToDirectory != none && t.ToDirectory != q.cfg.DirectoryID {
		q.refused()
		return true
	}
	v, in := q.member(t.From)
	return in && t.FromDirectory != none && v.DirectoryID != none && v.DirectoryID != t.FromDirectory
}

// isStranger reports whether this node looks by Fetch what it is, since it was refused as a voter. Who leads, or hears of a leader by Raft, is
// one: whoever refused it is the stranger, as a voter with another disk is to the rightful leader.
func (q *Quorum) isStranger() bool { return q.stranger.Load() && q.leader.Load() < 0 }

// refused notes that others do not take this node for the voter whose id in Raft it has: it looks by Fetch what it is.
func (q *Quorum) refused() {
	if !q.stranger.Swap(true) {
		q.follow.poke()
	}
}
