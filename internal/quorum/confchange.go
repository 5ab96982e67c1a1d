package quorum

import (
	"fmt"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// applyConfChange takes over a change of the voters when its entry is applied, and returns the batch that goes with it:
// the voters record. It belongs to the apply worker; Raft hears of it in the loop, before it hears that the entry is
// applied.
func (q *Quorum) applyConfChange(e *pb.Entry) (batch []byte, err error) {
	var cc pb.ConfChange
	if err := unmarshal(e.GetData(), &cc); err != nil {
		return nil, fmt.Errorf("%w: Raft entry %d: %w", ErrDamaged, e.GetIndex(), err)
	}
	q.applied.Conf = changedConf(q.applied.Conf, &cc)
	index := e.GetIndex()
	switch {
	case cc.GetNodeId() != q.raftID:
	case cc.GetType() == pb.ConfChangeRemoveNode:
		q.leftAt.Store(index)
	default:
		q.leftAt.Store(0)
	}
	q.inLoop(func() {
		q.node.ApplyConfChange(&cc)
		q.confPending = false
		q.confAfter.Store(max(q.confAfter.Load(), index))
	})
	return cc.GetContext(), nil
}

// changedConf is the configuration after a change of one member.
func changedConf(conf *pb.ConfState, cc *pb.ConfChange) *pb.ConfState {
	out := proto.Clone(conf).(*pb.ConfState)
	id := cc.GetNodeId()
	is := func(other uint64) bool { return other == id }
	out.Voters, out.Learners = slices.DeleteFunc(out.GetVoters(), is), slices.DeleteFunc(out.GetLearners(), is)
	switch cc.GetType() {
	case pb.ConfChangeAddNode:
		out.Voters = append(out.Voters, id)
	case pb.ConfChangeAddLearnerNode:
		out.Learners = append(out.Learners, id)
	}
	return out
}
