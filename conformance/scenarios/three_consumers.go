package scenarios

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// threeConsumers asks every node about a consumer group (KIP-848) that node 2 coordinates.
func threeConsumers(s *script.Session, records target) {
	group := "three-consumers"
	for _, node := range []int32{1, 3, 2} {
		c := newConsumer(s, group, "three-consumer", records.name)
		conn := s.At(node)
		each(s, kmsg.ConsumerGroupHeartbeat, func(v int16) {
			if v == 0 {
				return // joins in v0 get their id from the coordinator
			}
			if resp, ok := s.AskOn(conn, "consumer joins", v, c.joining()).(*kmsg.ConsumerGroupHeartbeatResponse); ok && resp.ErrorCode == 0 {
				c.epoch = resp.MemberEpoch
			}
		})
		each(s, kmsg.ConsumerGroupHeartbeat, func(v int16) { s.AskOn(conn, "consumer's heartbeat", v, c.request()) })
		ask := func(v int16) {
			req := kmsg.NewPtrConsumerGroupDescribeRequest()
			req.Groups = []string{group, "three-none"}
			s.AskOn(conn, "describe consumers", v, req)
		}
		each(s, kmsg.ConsumerGroupDescribe, ask)
		for v := int16(9); v <= latest(s, kmsg.OffsetCommit); v++ {
			for _, epoch := range []int32{c.epoch, c.epoch + 7} {
				req := kmsg.NewPtrOffsetCommitRequest()
				req.Group, req.MemberID, req.Generation = group, c.id, epoch
				ct := kmsg.NewOffsetCommitRequestTopic()
				ct.Topic, ct.TopicID = records.name, records.id
				cp := kmsg.NewOffsetCommitRequestTopicPartition()
				cp.Offset = 3
				ct.Partitions = append(ct.Partitions, cp)
				req.Topics = append(req.Topics, ct)
				s.AskOn(conn, "consumer commits", v, req)
			}
		}
		for v := int16(9); v <= latest(s, kmsg.OffsetFetch); v++ {
			req := kmsg.NewPtrOffsetFetchRequest()
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group, g.MemberID, g.MemberEpoch = group, &c.id, c.epoch
			gt := kmsg.NewOffsetFetchRequestGroupTopic()
			gt.Topic, gt.TopicID, gt.Partitions = records.name, records.id, []int32{0}
			g.Topics = append(g.Topics, gt)
			req.Groups = append(req.Groups, g)
			s.AskOn(conn, "consumer's offsets", v, req)
		}
		list := kmsg.NewPtrListGroupsRequest()
		list.TypesFilter = []string{"consumer"}
		s.AskOn(conn, "list consumers", 5, list)
		drop := kmsg.NewPtrDeleteGroupsRequest()
		drop.Groups = []string{group}
		s.AskOn(conn, "delete consumers", 2, drop)
		leaves := c.request()
		leaves.MemberEpoch = -1
		s.AskOn(conn, "consumer leaves", 1, leaves)
		s.AskOn(conn, "delete consumers", 2, drop)
	}
}
