package quorum

import (
	"testing"

	mr "github.com/weir-stream/weir/internal/metarecord"
)

// TestFounderIsADirectory: a voter that a static quorum had keeps its id in Raft when the quorum becomes dynamic; a node with the same id and
// another directory is another voter there, since it has forgotten how the first one voted.
func TestFounderIsADirectory(t *testing.T) {
	old, wiped := [16]byte{15: 1}, [16]byte{15: 2}
	r := withFounders(withVoter(mr.NewVotersRecord(), Voter{ID: 3, DirectoryID: old}))
	id := func(r *mr.VotersRecord, dir [16]byte) uint64 {
		t.Helper()
		got, err := raftIDIn(r, 3, dir)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := id(r, old); got != 4 {
		t.Errorf("the founder's id in Raft is %d, it was 4", got)
	}
	if id(r, wiped) == id(r, old) {
		t.Error("a node that lost its directory votes as the founder")
	}
	if id(withVoter(mr.NewVotersRecord(), Voter{ID: 3, DirectoryID: old}), old) == 4 {
		t.Error("a voter of a quorum that was dynamic from the start has a founder's id")
	}
	if other, err := raftIDIn(r, 4, old); err != nil || other == 4 {
		t.Errorf("another node with the founder's directory has the id %d: %v", other, err)
	}
}
