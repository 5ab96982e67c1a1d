package scenarios

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
	"github.com/weir-stream/weir/internal/testkit/kwire"
)

// nodeReqs are what nodes ask controllers, as broker does in its epoch.
func nodeReqs(broker int32, epoch int64) map[string]kmsg.Request {
	beat := kmsg.NewPtrBrokerHeartbeatRequest()
	beat.BrokerID, beat.BrokerEpoch, beat.CurrentMetadataOffset = broker, epoch, 1
	alter := kmsg.NewPtrAlterPartitionRequest()
	alter.BrokerID, alter.BrokerEpoch = broker, epoch
	of := kmsg.NewAlterPartitionRequestTopic()
	of.TopicID = [16]byte{3}
	of.Partitions = append(of.Partitions, kmsg.NewAlterPartitionRequestTopicPartition())
	alter.Topics = append(alter.Topics, of)
	ids := kmsg.NewPtrAllocateProducerIDsRequest()
	ids.BrokerID, ids.BrokerEpoch = broker, epoch
	dirs := kmsg.NewPtrAssignReplicasToDirsRequest()
	dirs.BrokerID, dirs.BrokerEpoch = broker, epoch
	return map[string]kmsg.Request{"heartbeat": beat, "alter partition": alter, "producer ids": ids, "directories": dirs}
}

// highest are the versions of requests that no client asks.
var highest = map[int16]int16{56: 3, 62: 4, 63: 2, 67: 0, 70: 0, 73: 0}

// threeBrokers asks brokers what only controllers answer.
func threeBrokers(s *script.Session) {
	reqs := nodeReqs(1, 5)
	reqs["registration"] = registration(8, nil)
	reqs["controller registration"] = kmsg.NewPtrControllerRegistrationRequest()
	for label, req := range inOrder(reqs) {
		s.AskAt(2, label, highest[req.Key()], req)
	}
	for key, label := range map[int16]string{52: "vote", 53: "begin epoch", 54: "end epoch", 58: "envelope", 59: "snapshot", 82: "update voter"} {
		s.AskAt(3, label, 0, kmsg.RequestForKey(key))
	}
}

func registration(broker int32, features []kmsg.ApiVersionsResponseSupportedFeature) *kmsg.BrokerRegistrationRequest {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.BrokerID, req.ClusterID, req.IncarnationID, req.PreviousBrokerEpoch = broker, "5L6g3nShT-eMCtK--X86sw", [16]byte{1, 2, 3}, -1
	req.LogDirs = [][16]byte{{7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}}
	l := kmsg.NewBrokerRegistrationRequestListener()
	l.Name, l.Host, l.Port = "PLAINTEXT", "127.0.0.1", 9
	req.Listeners = append(req.Listeners, l)
	for _, f := range features {
		rf := kmsg.NewBrokerRegistrationRequestFeature()
		rf.Name, rf.MinSupportedVersion, rf.MaxSupportedVersion = f.Name, f.MinVersion, f.MaxVersion
		req.Features = append(req.Features, rf)
	}
	return req
}

// threeControllers asks controllers, the active one and another, what brokers and tools ask them; and plays a broker 8 that
// registers, leads a partition and ends.
func threeControllers(s *script.Session) {
	active, standby := activeController(s)
	at, beside := s.AtController(active), s.AtController(standby)
	t := createAssigned(s, "three-controllers", [][]int32{{1, 2, 3}})
	versions := kmsg.NewPtrApiVersionsRequest()
	versions.ClientSoftwareName, versions.ClientSoftwareVersion = "kwire", "1"
	versions.SetVersion(4)
	told, err := at.Request(versions)
	if err != nil {
		s.Note("versions of the controller", err.Error())
		return
	}
	features := told.(*kmsg.ApiVersionsResponse).SupportedFeatures
	for _, v := range []int16{1, 2} {
		for kind := range int8(4) {
			req := kmsg.NewPtrDescribeClusterRequest()
			req.EndpointType = kind
			s.AskOn(beside, fmt.Sprintf("controllers, endpoints of type %d", kind), v, req)
		}
	}
	s.AskOn(at, "metadata of a controller", 12, metadataReq(byName(t.name)))
	s.AskOn(s.AtController(active), "create at the controller", 7, createReq(assigned("three-controllers-direct", [][]int32{{3, 1}})))
	at = s.AtController(active)
	s.AskOn(beside, "create at another controller", 7, createReq(assigned("three-controllers-beside", [][]int32{{3, 1}})))
	gone := kmsg.NewPtrUnregisterBrokerRequest()
	gone.BrokerID = 9
	s.AskOn(at, "forget a stranger", 0, gone)
	s.AskOn(beside, "forget a stranger beside", 0, gone)
	for label, req := range inOrder(nodeReqs(9, 5)) {
		s.AskOn(at, label+" of a stranger", highest[req.Key()], req)
		s.AskOn(beside, label+" of a stranger, beside", highest[req.Key()], req)
	}
	for label, req := range inOrder(nodeReqs(1, 1)) {
		s.AskOn(at, label+" in an old epoch", highest[req.Key()], req)
	}
	s.AskOn(beside, "register beside", 4, registration(8, features))
	wrong := registration(8, features)
	wrong.ClusterID = "another"
	s.AskOn(at, "register with another cluster", 4, wrong)
	same := registration(2, features)
	s.AskOn(at, "register as a node that runs", 4, same)
	bare := registration(8, nil)
	s.AskOn(at, "register without features", 4, bare)
	noDirs := registration(8, features)
	noDirs.LogDirs = nil
	s.AskOn(at, "register without directories", 4, noDirs)
	zk := registration(8, features)
	zk.IsMigratingZkBroker = true
	s.AskOn(at, "register from ZooKeeper", 4, zk)
	guest(s, at, active, features, t)
}

// guest is broker 8.
func guest(s *script.Session, at *kwire.Conn, active int32, features []kmsg.ApiVersionsResponseSupportedFeature, t target) {
	resp, ok := s.QuietOn(at, 4, registration(8, features)).(*kmsg.BrokerRegistrationResponse)
	if !ok || resp.ErrorCode != 0 {
		s.Record("registering", resp)
		return
	}
	epoch := resp.BrokerEpoch
	beat := func(label string, offset int64, fence, down bool) {
		req := kmsg.NewPtrBrokerHeartbeatRequest()
		req.BrokerID, req.BrokerEpoch, req.CurrentMetadataOffset, req.WantFence, req.WantShutdown = 8, epoch, offset, fence, down
		s.AskOn(at, "guest's heartbeat, "+label, 1, req)
	}
	beat("behind", 1, false, false)
	beat("caught up, wants to be fenced", epoch, true, false)
	s.AskOn(at, "create on a fenced one", 7, createReq(assigned("three-controllers-fenced", [][]int32{{8}})))
	beat("caught up", epoch+1, false, false)
	created, ok := s.AskOn(at, "create on the guest", 7, createReq(assigned("three-controllers-guest", [][]int32{{8, 1, 2}}))).(*kmsg.CreateTopicsResponse)
	if !ok {
		return
	}
	mine := target{"three-controllers-guest", created.Topics[0].TopicID}
	state := func() (leaderEpoch int32) {
		s.Until("the guest's topic is known", func() bool { return len(partitionsAt(s, active, mine.name)) == 1 })
		return partitionsAt(s, active, mine.name)[0].LeaderEpoch
	}
	leaderEpoch := state()
	type member struct {
		id    int32
		epoch int64
	}
	alter := func(label string, v int16, of target, p, leaderEpoch, partitionEpoch int32, isr ...member) {
		req := kmsg.NewPtrAlterPartitionRequest()
		req.BrokerID, req.BrokerEpoch = 8, epoch
		at3 := kmsg.NewAlterPartitionRequestTopic()
		at3.Topic, at3.TopicID = of.name, of.id
		ap := kmsg.NewAlterPartitionRequestTopicPartition()
		ap.Partition, ap.LeaderEpoch, ap.PartitionEpoch = p, leaderEpoch, partitionEpoch
		for _, m := range isr {
			ap.NewISR = append(ap.NewISR, m.id)
			e := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
			e.BrokerID, e.BrokerEpoch = m.id, m.epoch
			ap.NewEpochISR = append(ap.NewEpochISR, e)
		}
		at3.Partitions = append(at3.Partitions, ap)
		req.Topics = append(req.Topics, at3)
		s.AskOn(at, "guest alters, "+label, v, req)
	}
	me := member{8, epoch}
	for _, v := range []int16{2, 3} {
		alter("as no leader", v, t, 0, 0, 0, me)
		alter("a missing topic", v, target{"x", [16]byte{9, 9}}, 0, 0, 0, me)
		alter("a missing partition", v, mine, 5, leaderEpoch, 0, me)
		alter("an older leader epoch", v, mine, 0, leaderEpoch-1, 0, me)
		alter("a newer leader epoch", v, mine, 0, leaderEpoch+1, 0, me)
		alter("a newer partition epoch", v, mine, 0, leaderEpoch, 99, me)
		alter("without itself", v, mine, 0, leaderEpoch, int32(v)-2, member{1, -1})
		alter("nobody", v, mine, 0, leaderEpoch, int32(v)-2)
		alter("no replica", v, mine, 0, leaderEpoch, int32(v)-2, me, member{3, -1})
		alter("a stranger", v, mine, 0, leaderEpoch, int32(v)-2, me, member{9, -1})
		alter("itself twice", v, mine, 0, leaderEpoch, int32(v)-2, me, me)
		if v >= 3 {
			alter("another in an old epoch", v, mine, 0, leaderEpoch, int32(v)-2, me, member{1, 1})
			alter("itself in an old epoch", v, mine, 0, leaderEpoch, int32(v)-2, member{8, epoch - 1})
		}
		members := []member{me}
		if v == 3 {
			members = append(members, member{2, -1})
		}
		alter("rightly", v, mine, 0, leaderEpoch, int32(v)-2, members...)
		alter("an older partition epoch", v, mine, 0, leaderEpoch, int32(v)-2, me)
	}
	dirs := func(label string, dir [16]byte, topic [16]byte, p int32) {
		req := kmsg.NewPtrAssignReplicasToDirsRequest()
		req.BrokerID, req.BrokerEpoch = 8, epoch
		d := kmsg.NewAssignReplicasToDirsRequestDirectory()
		d.ID = dir
		dt := kmsg.NewAssignReplicasToDirsRequestDirectoryTopic()
		dt.TopicID = topic
		dp := kmsg.NewAssignReplicasToDirsRequestDirectoryTopicPartition()
		dp.Partition = p
		dt.Partitions = append(dt.Partitions, dp)
		d.Topics = append(d.Topics, dt)
		req.Directories = append(req.Directories, d)
		s.AskOn(at, "guest's directories, "+label, 0, req)
	}
	own := registration(8, nil).LogDirs[0]
	dirs("its own", own, mine.id, 0)
	dirs("an unknown one", [16]byte{5}, mine.id, 0)
	dirs("the lost one", [16]byte{15: 2}, mine.id, 0)
	dirs("a missing topic", own, [16]byte{9}, 0)
	dirs("a missing partition", own, mine.id, 7)
	dirs("not a replica", own, t.id, 0)
	ids := kmsg.NewPtrAllocateProducerIDsRequest()
	ids.BrokerID, ids.BrokerEpoch = 8, epoch
	if r, ok := s.QuietOn(at, 0, ids).(*kmsg.AllocateProducerIDsResponse); ok {
		s.Note("guest's producer ids", fmt.Sprint(r.ErrorCode, " ", r.ProducerIDStart%1000, " ", r.ProducerIDLen))
	}
	beat("in the end", epoch+1, false, true)
	s.Until("the guest is fenced", func() bool { return partitionsAt(s, active, mine.name)[0].Leader != 8 })
	s.AskOn(s.At(active), "what the guest had led", 12, metadataReq(byName(mine.name)))
	beat("after the end", epoch+1, false, true)
	again, ok := s.QuietOn(at, 4, registration(8, features)).(*kmsg.BrokerRegistrationResponse)
	if ok {
		s.Note("the guest registers again", fmt.Sprint(again.ErrorCode, again.BrokerEpoch > epoch))
	}
	beat("in its former epoch", 1<<40, false, false)
	forget := kmsg.NewPtrUnregisterBrokerRequest()
	forget.BrokerID = 8
	s.AskOn(at, "forget the guest", 0, forget)
	beat("forgotten", epoch, false, false)
}
