package quorum

import (
	"encoding/binary"
	"fmt"
	"slices"

	mr "github.com/weir-stream/weir/internal/metarecord"
)

// Voter is a member of the quorum.
type Voter struct {
	ID int32
	// DirectoryID is that of its metadata directory; zero in a static quorum, where nobody knows it.
	DirectoryID [16]byte
	// Endpoints are its controller listeners. A static quorum knows one address for each voter.
	Endpoints []Endpoint
	// MinKRaftVersion and MaxKRaftVersion are the versions of the quorum's protocol that it can do, where it has said so.
	MinKRaftVersion, MaxKRaftVersion int16
}

// voterSet is who votes, by Raft's ids. It never changes once it is published.
type voterSet struct {
	byRaft map[uint64]Voter
	record *mr.VotersRecord // of a dynamic quorum
}

// raftIDOf is the id of a voter in Raft: from its directory id if voters are known by it, else from its node id. The founders of a
// quorum that was static keep the latter: see raftIDIn.
func raftIDOf(nodeID int32, dir [16]byte, dynamic bool) (uint64, error) {
	id := uint64(nodeID) + 1
	if dynamic {
		id = binary.BigEndian.Uint64(dir[:8]) ^ binary.BigEndian.Uint64(dir[8:])
	}
	if id == 0 || id >= ^uint64(0)-1 {
		return 0, fmt.Errorf("directory id %s cannot be used for a voter: format with another one", mr.FormatUUID(dir))
	}
	return id, nil
}

// staticVoters is the set of controller.quorum.voters.
func staticVoters(voters []Voter) *voterSet {
	s := &voterSet{byRaft: map[uint64]Voter{}}
	for _, v := range voters {
		s.byRaft[uint64(v.ID)+1] = v
	}
	return s
}

// dynamicVoters is the set of a voters record (KIP-853).
func dynamicVoters(r *mr.VotersRecord) (*voterSet, error) {
	s := &voterSet{byRaft: map[uint64]Voter{}, record: r}
	for _, v := range r.Voters {
		id, err := raftIDIn(r, v.VoterID, v.VoterDirectoryID)
		if err != nil {
			return nil, err
		}
		if _, twice := s.byRaft[id]; twice {
			return nil, fmt.Errorf("two voters have the id %x in Raft: format one of them anew", id)
		}
		out := Voter{ID: v.VoterID, DirectoryID: v.VoterDirectoryID}
		for _, e := range v.Endpoints {
			out.Endpoints = append(out.Endpoints, Endpoint{Name: e.Name, Host: e.Host, Port: e.Port})
		}
		s.byRaft[id] = out
	}
	return s, nil
}

// ids are Raft's ids in rising order.
func (s *voterSet) ids() []uint64 {
	out := make([]uint64, 0, len(s.byRaft))
	for id := range s.byRaft {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// list has the voters in the order of their node ids.
func (s *voterSet) list() []Voter {
	out := make([]Voter, 0, len(s.byRaft))
	for _, v := range s.byRaft {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b Voter) int { return int(a.ID) - int(b.ID) })
	return out
}

// find is the voter with a node id.
func (s *voterSet) find(id int32) (Voter, bool) {
	for _, v := range s.byRaft {
		if v.ID == id {
			return v, true
		}
	}
	return Voter{}, false
}
