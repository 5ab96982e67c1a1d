package scenarios

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// threeGroups has the coordinators of groups be where the scenario wants them, and asks the others.
func threeGroups(s *script.Session) {
	t := createAssigned(s, "__consumer_offsets", [][]int32{{2, 1, 3}, {2, 3, 1}, {2, 1, 3}, {2, 3, 1}}, "cleanup.policy=compact")
	awaitLeader(s, t, 2, everyone...)
	group := "three-groups"
	s.Until("the coordinator has loaded its groups", func() bool {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{group}
		resp, ok := s.QuietAt(2, 5, req).(*kmsg.DescribeGroupsResponse)
		return ok && resp.Groups[0].ErrorCode == 0
	})
	each(s, kmsg.FindCoordinator, func(v int16) {
		for _, node := range everyone {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorKey, req.CoordinatorKeys = group, []string{group, "three-groups-other"}
			s.AskAt(node, "coordinator", v, req)
		}
	})
	records := createAssigned(s, "three-groups", [][]int32{{1, 2}})
	awaitLeader(s, records, 1, everyone...)
	for _, node := range []int32{1, 3, 2} {
		m := &member{s: s, conn: s.At(node), group: group, generation: -1, version: 5}
		m.join("join", "range")
		m.sync("sync", 5, map[string]string{m.id: "all"})
		m.beat("heartbeat", 4)
		for v := int16(2); v <= latest(s, kmsg.OffsetCommit); v += 4 {
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Group, req.MemberID, req.Generation = group, m.id, m.generation
			ct := kmsg.NewOffsetCommitRequestTopic()
			ct.Topic, ct.TopicID = records.name, records.id
			cp := kmsg.NewOffsetCommitRequestTopicPartition()
			cp.Offset = 3
			ct.Partitions = append(ct.Partitions, cp)
			req.Topics = append(req.Topics, ct)
			s.AskOn(m.conn, "commit", v, req)
		}
		each(s, kmsg.OffsetFetch, func(v int16) {
			req := kmsg.NewPtrOffsetFetchRequest()
			req.Group, req.RequireStable = group, v >= 7
			ft := kmsg.NewOffsetFetchRequestTopic()
			ft.Topic, ft.Partitions = records.name, []int32{0}
			req.Topics = append(req.Topics, ft)
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = group
			gt := kmsg.NewOffsetFetchRequestGroupTopic()
			gt.Topic, gt.TopicID, gt.Partitions = records.name, records.id, []int32{0}
			g.Topics = append(g.Topics, gt)
			req.Groups = append(req.Groups, g)
			s.AskOn(m.conn, "committed", v, req)
		})
		each(s, kmsg.DescribeGroups, func(v int16) {
			req := kmsg.NewPtrDescribeGroupsRequest()
			req.Groups = []string{group}
			s.AskOn(m.conn, "describe", v, req)
		})
		s.AskOn(m.conn, "list", 4, kmsg.NewPtrListGroupsRequest())
		m.leave("leave", 5)
		offsetDelete := kmsg.NewPtrOffsetDeleteRequest()
		offsetDelete.Group = group
		dt := kmsg.NewOffsetDeleteRequestTopic()
		dt.Topic = records.name
		dt.Partitions = append(dt.Partitions, kmsg.NewOffsetDeleteRequestTopicPartition())
		offsetDelete.Topics = append(offsetDelete.Topics, dt)
		s.AskOn(m.conn, "delete offsets", 0, offsetDelete)
		drop := kmsg.NewPtrDeleteGroupsRequest()
		drop.Groups = []string{group}
		s.AskOn(m.conn, "delete", 2, drop)
	}
	threeConsumers(s, records)
}
