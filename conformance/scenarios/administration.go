package scenarios

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

func administration(s *script.Session) {
	t := createTarget(s, "administration", 2)
	each(s, kmsg.ElectLeaders, func(v int16) {
		ask := func(label string, kind int8, topic string, partitions ...int32) {
			req := kmsg.NewPtrElectLeadersRequest()
			req.TimeoutMillis, req.ElectionType = 5000, kind
			et := kmsg.NewElectLeadersRequestTopic()
			et.Topic, et.Partitions = topic, partitions
			req.Topics = append(req.Topics, et)
			s.Ask("elect "+label, v, req)
		}
		ask("preferred", 0, t.name, 0, 9)
		ask("missing topic", 0, "administration-missing", 0)
		if v >= 1 {
			ask("unclean", 1, t.name, 0)
			ask("type 5", 5, t.name, 0)
		}
		all := kmsg.NewPtrElectLeadersRequest()
		all.TimeoutMillis = 5000
		s.Ask("elect all", v, all)
	})
	each(s, kmsg.DescribeQuorum, func(v int16) {
		ask := func(label, topic string, p int32) {
			req := kmsg.NewPtrDescribeQuorumRequest()
			qt := kmsg.NewDescribeQuorumRequestTopic()
			qt.Topic = topic
			qp := kmsg.NewDescribeQuorumRequestTopicPartition()
			qp.Partition = p
			qt.Partitions = append(qt.Partitions, qp)
			req.Topics = append(req.Topics, qt)
			s.Ask("quorum "+label, v, req)
		}
		ask("of the metadata", "__cluster_metadata", 0)
		ask("of another topic", t.name, 0)
		ask("of partition 1", "__cluster_metadata", 1)
	})
	reassignments(s, t)
	features(s)
	unregister := kmsg.NewPtrUnregisterBrokerRequest()
	unregister.BrokerID = 9
	s.Ask("unregister a stranger", 0, unregister)
	for _, id := range []int32{-1} {
		unregister.BrokerID = id
		s.Ask("unregister -1", 0, unregister)
	}
}

func reassignments(s *script.Session, t target) {
	list := func(label string, topics ...kmsg.ListPartitionReassignmentsRequestTopic) {
		req := kmsg.NewPtrListPartitionReassignmentsRequest()
		req.TimeoutMillis, req.Topics = 5000, topics
		s.Ask("reassignments "+label, 0, req)
	}
	list("all")
	some := kmsg.NewListPartitionReassignmentsRequestTopic()
	some.Topic, some.Partitions = t.name, []int32{0, 9}
	list("some", some)
	missing := kmsg.NewListPartitionReassignmentsRequestTopic()
	missing.Topic, missing.Partitions = "administration-missing", []int32{0}
	list("missing", missing)
}

func features(s *script.Session) {
	each(s, kmsg.UpdateFeatures, func(v int16) {
		ask := func(label, feature string, level int16, kind int8, dry bool) {
			req := kmsg.NewPtrUpdateFeaturesRequest()
			req.TimeoutMillis, req.ValidateOnly = 5000, dry
			f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
			f.Feature, f.MaxVersionLevel, f.UpgradeType, f.AllowDowngrade = feature, level, kind, kind > 1
			req.FeatureUpdates = append(req.FeatureUpdates, f)
			s.Ask("feature "+label, v, req)
		}
		ask("unknown", "no.such.feature", 1, 1, false)
		ask("too high", "metadata.version", 99, 1, false)
		ask("down without leave", "group.version", 0, 1, false)
		ask("type 9", "group.version", 1, 9, false)
		ask("empty name", "", 1, 1, false)
		ask("negative", "group.version", -1, 1, false)
		s.Ask("feature none", v, kmsg.NewPtrUpdateFeaturesRequest())
	})
}

func securityOff(s *script.Session) {
	each(s, kmsg.DescribeACLs, func(v int16) {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = 1, 1, 1, 1
		s.Ask("acls", v, req)
		s.Ask("create acls", v, createACLs(creation(2, "t", 3, "User:alice", "*", 3, 3), creation(2, "", 3, "User:alice", "*", 3, 3)))
		s.Ask("delete acls", v, deleteACLs(*req))
	})
	each(s, kmsg.DescribeClientQuotas, func(v int16) {
		ask := func(label string, strict bool, components ...kmsg.DescribeClientQuotasRequestComponent) {
			req := kmsg.NewPtrDescribeClientQuotasRequest()
			req.Strict, req.Components = strict, components
			s.Ask("quotas "+label, v, req)
		}
		ask("all", false)
		ask("strict", true)
		c := kmsg.NewDescribeClientQuotasRequestComponent()
		c.EntityType, c.MatchType = "user", 2
		ask("users", false, c)
		ask("users twice", false, c, c)
		c.EntityType = "planet"
		ask("planets", false, c)
		c.EntityType, c.MatchType = "user", 9
		ask("match type 9", false, c)
	})
	scram := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	s.Ask("scram, all", 0, scram)
	u := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
	u.Name = "nobody"
	scram.Users = append(scram.Users, u)
	s.Ask("scram, nobody", 0, scram)
	scram.Users = append(scram.Users, u)
	s.Ask("scram, twice", 0, scram)
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Mechanism = "PLAIN"
	s.Ask("sasl on a plain listener", 1, handshake)
	s.Drop()
}

func telemetry(s *script.Session) {
	get := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
	s.Ask("subscriptions", 0, get)
	push := kmsg.NewPtrPushTelemetryRequest()
	push.ClientInstanceID = [16]byte{1}
	s.Ask("push", 0, push)
}
