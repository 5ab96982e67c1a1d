package scenarios

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

func quorumReq(topic string, p int32) *kmsg.DescribeQuorumRequest {
	req := kmsg.NewPtrDescribeQuorumRequest()
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic = topic
	tp := kmsg.NewDescribeQuorumRequestTopicPartition()
	tp.Partition = p
	t.Partitions = append(t.Partitions, tp)
	req.Topics = append(req.Topics, t)
	return req
}

// activeController is the node that leads the quorum, and a voter that does not.
func activeController(s *script.Session) (active, standby int32) {
	s.Until("a leader of the quorum", func() bool {
		resp, ok := s.Quiet(1, quorumReq("__cluster_metadata", 0)).(*kmsg.DescribeQuorumResponse)
		if ok && len(resp.Topics) == 1 {
			active = resp.Topics[0].Partitions[0].LeaderID
		}
		return active > 0
	})
	return active, active%3 + 1
}

// threeQuorum asks nodes for the quorum. Which voter leads, and in which order they stand, differs from run to run.
func threeQuorum(s *script.Session) {
	active, _ := activeController(s)
	tell := func(label string, v int16, resp kmsg.Response) {
		r, ok := resp.(*kmsg.DescribeQuorumResponse)
		if !ok {
			return
		}
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				p := &r.Topics[i].Partitions[j]
				told := p.LeaderID == active
				for k := range p.CurrentVoters {
					told = told && (v < 2 || p.CurrentVoters[k].ReplicaDirectoryID != [16]byte{} || p.CurrentVoters[k].ReplicaID != active)
					told = told && p.CurrentVoters[k].LogEndOffset > 0
					p.CurrentVoters[k].ReplicaDirectoryID, p.CurrentVoters[k].LogEndOffset = [16]byte{}, 0
				}
				s.Note(fmt.Sprintf("%s v%d names the leader, and how far voters are", label, v), fmt.Sprint(told, p.LeaderEpoch > 0, p.HighWatermark > 0))
				p.LeaderID, p.LeaderEpoch, p.HighWatermark = 0, 0, 0
				slices.SortFunc(p.CurrentVoters, func(a, b kmsg.DescribeQuorumResponseTopicPartitionReplicaState) int {
					return int(a.ReplicaID - b.ReplicaID)
				})
			}
		}
		s.Record(fmt.Sprintf("%s v%d", label, v), r)
	}
	each(s, kmsg.DescribeQuorum, func(v int16) {
		for _, node := range everyone {
			if resp := s.QuietAt(node, v, quorumReq("__cluster_metadata", 0)); resp != nil {
				tell(fmt.Sprintf("quorum, at node %d", node), v, resp)
			}
		}
		s.AskAt(2, "quorum of another topic", v, quorumReq("three-quorum", 0))
	})
	if resp := s.QuietOn(s.AtController(active), 2, quorumReq("__cluster_metadata", 0)); resp != nil {
		tell("quorum, at the controller", 2, resp)
	}
}
