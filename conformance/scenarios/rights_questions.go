package scenarios

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// question is one request to ask with each set of rights.
type question struct {
	what    string
	version int16 // -1: the latest
	req     kmsg.Request
	undo    func() // what the administrator does after it
}

// questions are the requests, those that change something last. A topic is asked for that is there and one that is
// not, since who may see neither must not be able to tell them apart.
func questions(s *script.Session, t target) []question {
	var out []question
	ask := func(what string, version int16, req kmsg.Request) {
		out = append(out, question{what, version, req, nil})
	}
	there, gone := t, target{"rights-missing", [16]byte{9, 9}}
	for _, x := range []target{there, gone} {
		at := " of a topic"
		if x == gone {
			at = " of no topic"
		}
		recordQuestions(s, ask, x, at)
		groupQuestions(ask, x, at)
		topicQuestions(ask, x, at)
		transactionQuestions(s, ask, x, at)
	}
	clusterQuestions(ask)
	configQuestions(ask)
	out = append(out, changes(s, t)...)
	return out
}

func recordQuestions(s *script.Session, ask func(string, int16, kmsg.Request), t target, at string) {
	batch := script.Batch{Base: s.Base, Records: script.Values("x")}
	ask("produce"+at, 9, produceReq(t, 1, batch.Encode()))
	ask("produce by id"+at, -1, produceReq(t, 1, batch.Encode()))
	ask("fetch"+at, 12, fetchReq(t, 0))
	ask("fetch by id"+at, -1, fetchReq(t, 0))
	replica := fetchReq(t, 0)
	replica.ReplicaID, replica.ReplicaState.ID = 1, 1
	replica.ReplicaState.Epoch = -1
	ask("fetch as a replica"+at, -1, replica)
	idempotent := batch.Producer(4711, 0, 0)
	ask("produce idempotent"+at, 9, produceReq(t, 1, idempotent.Encode()))
	list := listReq(t.name, 0, -1, -1)
	ask("list offsets"+at, -1, list)
	asReplica := listReq(t.name, 0, -1, -1)
	asReplica.ReplicaID = 1
	ask("list offsets as a replica"+at, -1, asReplica)
	epochs := kmsg.NewPtrOffsetForLeaderEpochRequest()
	epochs.ReplicaID = -1
	ep := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	ep.CurrentLeaderEpoch = -1
	epochs.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: t.name, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{ep}}}
	ask("leader epochs"+at, -1, epochs)
	producers := kmsg.NewPtrDescribeProducersRequest()
	producers.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: t.name, Partitions: []int32{0}}}
	ask("producers"+at, -1, producers)
	del := kmsg.NewPtrDeleteRecordsRequest()
	del.TimeoutMillis = 5000
	del.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: t.name, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: 0}}}}
	ask("delete records"+at, -1, del)
}

func groupQuestions(ask func(string, int16, kmsg.Request), t target, at string) {
	ask("offset commit"+at, 8, commitOf("rights-g", t.name))
	byID := commitOf("rights-g", "")
	byID.Topics[0].TopicID = t.id
	ask("offset commit by id"+at, 10, byID)
	for _, v := range []int16{5, 8, 9} {
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Group, fetch.Topics = "rights-g", []kmsg.OffsetFetchRequestTopic{{Topic: t.name, Partitions: []int32{0}}}
		fetch.Groups = []kmsg.OffsetFetchRequestGroup{{Group: "rights-g", MemberEpoch: -1, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: t.name, Partitions: []int32{0}}}}}
		ask("offset fetch"+at, v, fetch)
	}
	del := kmsg.NewPtrOffsetDeleteRequest()
	del.Group = "rights-missing"
	del.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: t.name, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}}}
	ask("offset delete"+at, -1, del)
	beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	beat.Group, beat.MemberID, beat.MemberEpoch, beat.SubscribedTopicNames = "rights-g", "m", 5, []string{t.name}
	ask("consumer heartbeat"+at, -1, beat)
}

func topicQuestions(ask func(string, int16, kmsg.Request), t target, at string) {
	for _, v := range []int16{8, 9, -1} {
		meta := kmsg.NewPtrMetadataRequest()
		meta.Topics = []kmsg.MetadataRequestTopic{{Topic: &t.name}}
		meta.IncludeTopicAuthorizedOperations, meta.IncludeClusterAuthorizedOperations = true, true
		ask("metadata"+at, v, meta)
	}
	byID := kmsg.NewPtrMetadataRequest()
	byID.Topics = []kmsg.MetadataRequestTopic{{TopicID: t.id}}
	ask("metadata by id"+at, -1, byID)
	pages := kmsg.NewPtrDescribeTopicPartitionsRequest()
	pages.Topics, pages.ResponsePartitionLimit = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: t.name}}, 100
	ask("topic partitions"+at, -1, pages)
	elect := kmsg.NewPtrElectLeadersRequest()
	elect.TimeoutMillis = 5000
	elect.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: t.name, Partitions: []int32{0}}}
	ask("elect leaders"+at, -1, elect)
	parts := kmsg.NewPtrCreatePartitionsRequest()
	parts.TimeoutMillis, parts.ValidateOnly, parts.Topics = 5000, true, []kmsg.CreatePartitionsRequestTopic{{Topic: t.name, Count: 2}}
	ask("create partitions"+at, -1, parts)
	move := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	move.TimeoutMillis = 5000
	move.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: t.name, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{}}}}
	ask("cancel reassignment"+at, -1, move)
}

func clusterQuestions(ask func(string, int16, kmsg.Request)) {
	ask("consumer heartbeat", -1, &kmsg.ConsumerGroupHeartbeatRequest{Group: "rights-g", MemberID: "m", MemberEpoch: 5, RebalanceTimeoutMillis: -1})
	ask("consumer group", -1, &kmsg.ConsumerGroupDescribeRequest{Groups: []string{"rights-g", "rights-missing"}, IncludeAuthorizedOperations: true})
	all := kmsg.NewPtrMetadataRequest()
	all.Topics = nil
	all.IncludeTopicAuthorizedOperations = true
	ask("metadata of all topics", -1, all)
	ask("topic partitions of all topics", -1, &kmsg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 100})
	for kind, name := range []string{"a group", "a transaction"} {
		for _, v := range []int16{3, 4} {
			find := kmsg.NewPtrFindCoordinatorRequest()
			find.CoordinatorType, find.CoordinatorKey, find.CoordinatorKeys = int8(kind), "rights-x", []string{"rights-x"}
			ask("coordinator of "+name, v, find)
		}
	}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = "rights-g", 10000, 10000, "consumer"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
	ask("join", -1, join)
	ask("sync", -1, &kmsg.SyncGroupRequest{Group: "rights-g", MemberID: "m", Generation: 1})
	ask("heartbeat", -1, &kmsg.HeartbeatRequest{Group: "rights-g", MemberID: "m", Generation: 1})
	ask("leave", -1, &kmsg.LeaveGroupRequest{Group: "rights-g", Members: []kmsg.LeaveGroupRequestMember{{MemberID: "m"}}})
	ask("describe groups", -1, &kmsg.DescribeGroupsRequest{Groups: []string{"rights-g"}, IncludeAuthorizedOperations: true})
	ask("list groups", -1, kmsg.NewPtrListGroupsRequest())
	ask("delete a group", 2, &kmsg.DeleteGroupsRequest{Groups: []string{"rights-missing"}})
	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionTimeoutMillis = 1000
	ask("producer id", -1, init)
	init = kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID, init.TransactionTimeoutMillis = ptr("rights-x"), -1
	ask("transactional producer id", -1, init)
	logdirs := kmsg.NewPtrDescribeLogDirsRequest()
	logdirs.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: "rights-missing", Partitions: []int32{0}}}
	ask("log dirs", -1, logdirs)
	ask("alter log dirs", -1, &kmsg.AlterReplicaLogDirsRequest{Dirs: []kmsg.AlterReplicaLogDirsRequestDir{{Dir: "/none", Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: "rights-missing", Partitions: []int32{0}}}}}})
	ask("reassignments", -1, &kmsg.ListPartitionReassignmentsRequest{TimeoutMillis: 5000})
	ask("quotas", -1, kmsg.NewPtrDescribeClientQuotasRequest())
	alter := kmsg.NewPtrAlterClientQuotasRequest()
	alter.ValidateOnly = true
	alter.Entries = []kmsg.AlterClientQuotasRequestEntry{quotaEntry([]string{"user", "rights-u"}, "producer_byte_rate", 1000)}
	ask("alter quotas", -1, alter)
	ask("scram credentials", -1, &kmsg.DescribeUserSCRAMCredentialsRequest{Users: []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: "nobody"}}})
	quorum := kmsg.NewPtrDescribeQuorumRequest()
	quorum.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}
	ask("quorum", -1, quorum)
	ask("features", -1, &kmsg.UpdateFeaturesRequest{TimeoutMillis: 5000, ValidateOnly: true, FeatureUpdates: []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: "rights", MaxVersionLevel: 1, UpgradeType: 1}}})
	ask("unregister a broker", -1, &kmsg.UnregisterBrokerRequest{BrokerID: 99})
	ask("cluster", -1, &kmsg.DescribeClusterRequest{IncludeClusterAuthorizedOperations: true, EndpointType: 1})
	ask("acls", -1, allACLs())
	ask("create acls", -1, createACLs(creation(2, "", 3, somebody, userHost, 3, 3)))
	f := *allACLs()
	f.Principal = ptr("User:nobody")
	ask("delete acls", -1, deleteACLs(f))
}

func configQuestions(ask func(string, int16, kmsg.Request)) {
	set := kmsg.IncrementalAlterConfigOpSet
	for _, c := range []struct {
		what, name, key, value string
		t                      kmsg.ConfigResourceType
	}{
		{"a topic", "rights-t", "retention.ms", "1000000", 2}, {"no topic", "rights-missing", "retention.ms", "1000000", 2}, {"a broker", "1", "log.cleaner.threads", "1", 4},
		{"all brokers", "", "log.cleaner.threads", "1", 4}, {"loggers", "1", "kafka.rights", "INFO", 8}, {"client metrics", "rights-c", "interval.ms", "1000", 16},
		{"a group", "rights-g", "consumer.session.timeout.ms", "50000", 32},
	} {
		describe := kmsg.NewPtrDescribeConfigsRequest()
		describe.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: c.t, ResourceName: c.name, ConfigNames: []string{c.key}}}
		ask("describe configs of "+c.what, -1, describe)
		if c.t == 8 {
			continue // loggers have other names
		}
		ask("alter configs of "+c.what, -1, &kmsg.IncrementalAlterConfigsRequest{ValidateOnly: true, Resources: []kmsg.IncrementalAlterConfigsRequestResource{
			{ResourceType: c.t, ResourceName: c.name, Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: c.key, Op: set, Value: &c.value}}}}})
		ask("old alter configs of "+c.what, -1, &kmsg.AlterConfigsRequest{ValidateOnly: true, Resources: []kmsg.AlterConfigsRequestResource{
			{ResourceType: c.t, ResourceName: c.name, Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: c.key, Value: &c.value}}}}})
	}
	ask("config resources", -1, &kmsg.ListConfigResourcesRequest{ResourceTypes: []int8{16}})
	ask("config resources of client metrics", 0, kmsg.NewPtrListConfigResourcesRequest())
}

// changes are requests that change something if they may; the administrator puts it back.
func changes(s *script.Session, t target) []question {
	remove := func(name string) func() {
		return func() {
			s.Quiet(6, &kmsg.DeleteTopicsRequest{TimeoutMillis: 10000, Topics: []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}})
			settle(s)
		}
	}
	made, auto := topicOf("rights-new", 1, "retention.ms=100000"), "rights-auto"
	meta := kmsg.NewPtrMetadataRequest()
	meta.Topics, meta.AllowAutoTopicCreation = []kmsg.MetadataRequestTopic{{Topic: &auto}}, true
	doomed := createTarget(s, "rights-doomed", 1)
	byID := createTarget(s, "rights-doomed-id", 1)
	missing := "rights-missing"
	return []question{
		{"create a topic", -1, &kmsg.CreateTopicsRequest{TimeoutMillis: 10000, Topics: []kmsg.CreateTopicsRequestTopic{made}}, remove("rights-new")},
		{"create a topic that is there", -1, &kmsg.CreateTopicsRequest{TimeoutMillis: 10000, Topics: []kmsg.CreateTopicsRequestTopic{topicOf(t.name, 1)}}, nil},
		{"metadata with auto-creation", -1, meta, remove(auto)},
		{"delete no topic", -1, &kmsg.DeleteTopicsRequest{TimeoutMillis: 10000, Topics: []kmsg.DeleteTopicsRequestTopic{{Topic: &missing}}}, nil},
		{"delete no topic by name", 5, &kmsg.DeleteTopicsRequest{TimeoutMillis: 10000, TopicNames: []string{missing}}, nil},
		{"delete no topic by id", -1, &kmsg.DeleteTopicsRequest{TimeoutMillis: 10000, Topics: []kmsg.DeleteTopicsRequestTopic{{TopicID: [16]byte{9, 9}}}}, nil},
		{"delete a topic", -1, &kmsg.DeleteTopicsRequest{TimeoutMillis: 10000, Topics: []kmsg.DeleteTopicsRequestTopic{{Topic: &doomed.name}}}, remove(doomed.name)},
		{"delete a topic by id", -1, &kmsg.DeleteTopicsRequest{TimeoutMillis: 10000, Topics: []kmsg.DeleteTopicsRequestTopic{{TopicID: byID.id}}}, remove(byID.name)},
	}
}
