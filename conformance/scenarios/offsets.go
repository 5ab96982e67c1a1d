package scenarios

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

func listReq(topic string, p int32, at int64, epoch int32) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.TimeoutMillis = -1, 5000
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	tp := kmsg.NewListOffsetsRequestTopicPartition()
	tp.Partition, tp.Timestamp, tp.CurrentLeaderEpoch = p, at, epoch
	t.Partitions = append(t.Partitions, tp)
	req.Topics = append(req.Topics, t)
	return req
}

func listOffsets(s *script.Session) {
	t := createTarget(s, "list-offsets", 2)
	fill(s, t,
		script.Batch{Base: s.Base, Records: script.Values("a", "b", "c")},
		script.Batch{Base: s.Base + 1000, Codec: 1, Records: script.Values("d", "e", "f")},
		script.Batch{Base: s.Base + 500, Records: []script.Rec{{Value: []byte("g")}, {Value: []byte("h"), At: 90000}, {Value: []byte("i"), At: 3}}},
	)
	each(s, kmsg.ListOffsets, func(v int16) {
		for label, at := range inOrder(map[string]int64{
			"latest": -1, "earliest": -2, "max timestamp": -3, "earliest local": -4, "latest tiered": -5, "earliest pending upload": -6, "special -7": -7, "special -100": -100,
			"before all": s.Base - 1, "first": s.Base, "in the first batch": s.Base + 1, "between": s.Base + 600, "in gzip": s.Base + 1001,
			"highest": s.Base + 90500, "behind all": s.Base + 90501, "zero": 0,
		}) {
			s.Ask(label, v, listReq(t.name, 0, at, -1))
		}
		s.Ask("empty partition, latest", v, listReq(t.name, 1, -1, -1))
		s.Ask("empty partition, max timestamp", v, listReq(t.name, 1, -3, -1))
		s.Ask("empty partition, time", v, listReq(t.name, 1, s.Base, -1))
		s.Ask("missing partition", v, listReq(t.name, 5, -1, -1))
		s.Ask("missing topic", v, listReq("list-missing", 0, -1, -1))
		if v >= 4 {
			s.Ask("epoch 0", v, listReq(t.name, 0, -1, 0))
			s.Ask("epoch 9", v, listReq(t.name, 0, -1, 9))
		}
		if v >= 2 {
			req := listReq(t.name, 0, -1, -1)
			req.IsolationLevel = 1
			s.Ask("read committed", v, req)
		}
		req := listReq(t.name, 0, -1, -1)
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
		s.Ask("twice", v, req)
		replica := listReq(t.name, 0, -1, -1)
		replica.ReplicaID = 5
		s.Ask("as a replica", v, replica)
		debug := listReq(t.name, 0, -1, -1)
		debug.ReplicaID = -2
		s.Ask("debugging", v, debug)
	})
}

func leaderEpochs(s *script.Session) {
	t := createTarget(s, "leader-epochs", 2)
	fill(s, t, script.Batch{Records: script.Values("a", "b")})
	each(s, kmsg.OffsetForLeaderEpoch, func(v int16) {
		ask := func(label, topic string, p, current, epoch int32) {
			req := kmsg.NewPtrOffsetForLeaderEpochRequest()
			req.ReplicaID = -1
			et := kmsg.NewOffsetForLeaderEpochRequestTopic()
			et.Topic = topic
			ep := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			ep.Partition, ep.CurrentLeaderEpoch, ep.LeaderEpoch = p, current, epoch
			et.Partitions = append(et.Partitions, ep)
			req.Topics = append(req.Topics, et)
			s.Ask(label, v, req)
		}
		ask("epoch 0", t.name, 0, -1, 0)
		ask("epoch 1", t.name, 0, -1, 1)
		ask("epoch -1", t.name, 0, -1, -1)
		ask("epoch -2", t.name, 0, -1, -2)
		ask("epoch 99", t.name, 0, -1, 99)
		ask("current 0", t.name, 0, 0, 0)
		ask("current 5", t.name, 0, 5, 0)
		ask("empty partition", t.name, 1, -1, 0)
		ask("missing partition", t.name, 7, -1, 0)
		ask("missing topic", "epochs-missing", 0, -1, 0)
	})
}

func deleteRecords(s *script.Session) {
	each(s, kmsg.DeleteRecords, func(v int16) {
		t := createTarget(s, "delete-records-v"+string(rune('0'+v)), 1)
		fill(s, t, script.Batch{Records: script.Values("a", "b", "c")}, script.Batch{Records: script.Values("d", "e")})
		ask := func(label, topic string, p int32, offset int64) {
			req := kmsg.NewPtrDeleteRecordsRequest()
			req.TimeoutMillis = 5000
			dt := kmsg.NewDeleteRecordsRequestTopic()
			dt.Topic = topic
			dp := kmsg.NewDeleteRecordsRequestTopicPartition()
			dp.Partition, dp.Offset = p, offset
			dt.Partitions = append(dt.Partitions, dp)
			req.Topics = append(req.Topics, dt)
			s.Ask(label, v, req)
		}
		ask("to 1", t.name, 0, 1)
		s.Ask("earliest", 7, listReq(t.name, 0, -2, -1))
		fetchAll(s, "below the start", t)
		req := fetchReq(t, 1)
		s.Ask("in the middle of a batch", 12, req)
		ask("to 1 again", t.name, 0, 1)
		ask("to 0", t.name, 0, 0)
		ask("beyond the end", t.name, 0, 6)
		ask("negative", t.name, 0, -2)
		ask("to the high watermark", t.name, 0, -1)
		s.Ask("earliest after all", 7, listReq(t.name, 0, -2, -1))
		s.Ask("max timestamp after all", 7, listReq(t.name, 0, -3, -1))
		s.Ask("by time after all", 7, listReq(t.name, 0, s.Base, -1))
		ask("missing partition", t.name, 3, 0)
		ask("missing topic", "delete-records-missing", 0, 0)
		ask("internal", "__consumer_offsets", 0, 0)
	})
	compacted := createTarget(s, "delete-records-compacted", 1, "cleanup.policy=compact")
	fill(s, compacted, script.Batch{Records: []script.Rec{{Key: []byte("k"), Value: []byte("v")}}})
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 5000
	dt := kmsg.NewDeleteRecordsRequestTopic()
	dt.Topic = compacted.name
	dt.Partitions = append(dt.Partitions, kmsg.NewDeleteRecordsRequestTopicPartition())
	dt.Partitions[0].Offset = 1
	req.Topics = append(req.Topics, dt)
	s.Ask("compacted", 2, req)
}

func logDirs(s *script.Session) {
	t := createTarget(s, "log-dirs", 2)
	fill(s, t, script.Batch{Records: script.Values("a", "b")})
	each(s, kmsg.DescribeLogDirs, func(v int16) {
		ask := func(label string, topics ...kmsg.DescribeLogDirsRequestTopic) {
			req := kmsg.NewPtrDescribeLogDirsRequest()
			req.Topics = topics
			s.Ask(label, v, req)
		}
		some := kmsg.NewDescribeLogDirsRequestTopic()
		some.Topic, some.Partitions = t.name, []int32{0, 1, 8}
		ask("some", some)
		missing := kmsg.NewDescribeLogDirsRequestTopic()
		missing.Topic, missing.Partitions = "log-dirs-missing", []int32{0}
		ask("missing", missing)
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Topics = []kmsg.DescribeLogDirsRequestTopic{}
		s.Ask("empty list", v, req)
	})
	each(s, kmsg.AlterReplicaLogDirs, func(v int16) {
		ask := func(label, dir, topic string, p int32) {
			req := kmsg.NewPtrAlterReplicaLogDirsRequest()
			d := kmsg.NewAlterReplicaLogDirsRequestDir()
			d.Dir = dir
			at := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
			at.Topic, at.Partitions = topic, []int32{p}
			d.Topics = append(d.Topics, at)
			req.Dirs = append(req.Dirs, d)
			s.Ask(label, v, req)
		}
		ask("to where it is", s.DataDir(), t.name, 0)
		ask("to nowhere", "/no/such/dir", t.name, 0)
		ask("relative", "relative", t.name, 0)
		ask("missing", s.DataDir(), "log-dirs-missing", 0)
	})
}
