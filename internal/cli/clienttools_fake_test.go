package cli

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// storedKey derives what a broker keeps of a salted password (RFC 5802).
func storedKey(mechanism string, salted []byte) []byte {
	if mechanism == "SCRAM-SHA-512" {
		mac := hmac.New(sha512.New, salted)
		mac.Write([]byte("Client Key"))
		sum := sha512.Sum512(mac.Sum(nil))
		return sum[:]
	}
	mac := hmac.New(sha256.New, salted)
	mac.Write([]byte("Client Key"))
	sum := sha256.Sum256(mac.Sum(nil))
	return sum[:]
}

// wideBroker is a cluster of brokers 11, 12 and 13 with a topic "rep", of which only 11 and 13 live.
func wideBroker(t *testing.T) *fakeBroker {
	t.Helper()
	b := newFakeBroker(t)
	id := [16]byte{1, 2, 3}
	b.on(kmsg.NewPtrMetadataRequest(), func(kmsg.Request) kmsg.Response {
		resp := b.metadata(11, 13)
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic, topic.TopicID = kmsg.StringPtr("rep"), id
		for i := range int32(3) {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader = i, 11
			topic.Partitions = append(topic.Partitions, p)
		}
		resp.Topics = append(resp.Topics, topic)
		return resp
	})
	b.on(kmsg.NewPtrDescribeTopicPartitionsRequest(), func(r kmsg.Request) kmsg.Response {
		return describePage(r.(*kmsg.DescribeTopicPartitionsRequest), id)
	})
	b.on(kmsg.NewPtrDescribeConfigsRequest(), func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrDescribeConfigsResponse()
		r := kmsg.NewDescribeConfigsResponseResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, "rep"
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.Value, c.Source = "min.insync.replicas", kmsg.StringPtr("2"), kmsg.ConfigSourceDynamicTopicConfig
		r.Configs = append(r.Configs, c)
		resp.Resources = append(resp.Resources, r)
		return resp
	})
	b.on(kmsg.NewPtrListPartitionReassignmentsRequest(), func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrListPartitionReassignmentsResponse()
		topic := kmsg.NewListPartitionReassignmentsResponseTopic()
		topic.Topic = "rep"
		p := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
		p.Partition, p.Replicas, p.AddingReplicas, p.RemovingReplicas = 1, []int32{11, 12, 13}, []int32{13}, []int32{12}
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp
	})
	return b
}

// describePage answers with one partition at a time.
func describePage(req *kmsg.DescribeTopicPartitionsRequest, id [16]byte) kmsg.Response {
	partitions := []kmsg.DescribeTopicPartitionsResponseTopicPartition{
		{Partition: 0, LeaderID: -1, Replicas: []int32{12}, EligibleLeaderReplicas: []int32{11, 12}, LastKnownELR: []int32{12}},
		{Partition: 1, LeaderID: 11, Replicas: []int32{11, 12, 13}, ISR: []int32{11, 12}},
		{Partition: 2, LeaderID: 13, Replicas: []int32{13, 11}, ISR: []int32{13, 11}},
	}
	at := 0
	if req.Cursor != nil {
		at = int(req.Cursor.Partition)
	}
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	topic := kmsg.NewDescribeTopicPartitionsResponseTopic()
	topic.Topic, topic.TopicID, topic.Partitions = kmsg.StringPtr("rep"), id, partitions[at:at+1]
	resp.Topics = append(resp.Topics, topic)
	if at+1 < len(partitions) {
		next := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
		next.Topic, next.Partition = "rep", int32(at+1)
		resp.NextCursor = &next
	}
	return resp
}

const (
	wideSummary = "Topic: rep\tTopicId: AQIDAAAAAAAAAAAAAAAAAA\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: min.insync.replicas=2\n"
	wide0       = "\tTopic: rep\tPartition: 0\tLeader: none\tReplicas: 12\tIsr: \tElr: 11,12\tLastKnownElr: 12\n"
	wide1       = "\tTopic: rep\tPartition: 1\tLeader: 11\tReplicas: 11,12,13\tIsr: 11,12\tAdding Replicas: 13\tRemoving Replicas: 12\tElr: \tLastKnownElr: \n"
	wide2       = "\tTopic: rep\tPartition: 2\tLeader: 13\tReplicas: 13,11\tIsr: 13,11\tElr: \tLastKnownElr: \n"
)

func TestTopicsDescribeOfATroubledCluster(t *testing.T) {
	b := wideBroker(t)
	for flag, want := range map[string]string{
		"":                              wideSummary + wide0 + wide1 + wide2,
		"--under-replicated-partitions": wide0,
		"--unavailable-partitions":      wide0,
		"--under-min-isr-partitions":    wide0,
		"--at-min-isr-partitions":       wide1 + wide2,
		"--topics-with-overrides":       wideSummary,
	} {
		r := runTool(t, newTopicsTool, "", append([]string{"--bootstrap-server", b.addr, "--describe"}, strings.Fields(flag)...)...)
		if r.exit != 0 || r.stdout != want || r.stderr != "" {
			t.Errorf("%s: exit %d\n%s%s\nwant\n%s", flag, r.exit, r.stdout, r.stderr, want)
		}
	}
}

func TestTopicsDescribeOnOldBrokers(t *testing.T) {
	b := wideBroker(t)
	b.on(kmsg.NewPtrApiVersionsRequest(), func(kmsg.Request) kmsg.Response {
		resp := allVersions()
		for i, k := range resp.ApiKeys {
			if k.ApiKey == kmsg.NewPtrDescribeTopicPartitionsRequest().Key() {
				resp.ApiKeys = append(resp.ApiKeys[:i], resp.ApiKeys[i+1:]...)
				break
			}
		}
		return resp
	})
	r := runTool(t, newTopicsTool, "", "--bootstrap-server", b.addr, "--describe", "--topic", "rep")
	if r.exit != 0 || !strings.Contains(r.stdout, "\tPartition: 2\tLeader: 11\tReplicas: \tIsr: \tElr: N/A\tLastKnownElr: N/A\n") {
		t.Errorf("exit %d\n%s%s", r.exit, r.stdout, r.stderr)
	}
}

func TestConfigsOfABrokerThatIsNotThere(t *testing.T) {
	b := newFakeBroker(t)
	r := runTool(t, newConfigsTool, "", "--bootstrap-server", b.addr, "--alter", "--entity-type", "brokers", "--entity-name", "99", "--add-config", "log.cleaner.threads=2")
	want := "Error while executing config command with args '--bootstrap-server " + b.addr + " --alter --entity-type brokers --entity-name 99 --add-config log.cleaner.threads=2'\n" +
		"java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. Call: incrementalAlterConfigs\n"
	if r.exit != 1 || r.stdout != "" || withoutTrace(r.stderr) != want {
		t.Errorf("exit %d\n%s%s\nwant\n%s", r.exit, r.stdout, r.stderr, want)
	}
	if n := len(b.requests(kmsg.NewPtrIncrementalAlterConfigsRequest())); n > 0 {
		t.Errorf("%d requests went to another broker", n)
	}
}

// Quotas are asked of brokers only, in the words of Kafka's admin client; nobody is asked.
func TestQuotasAreNotAskedOfControllers(t *testing.T) {
	for _, action := range [][]string{{"--describe"}, {"--alter", "--add-config", "producer_byte_rate=1000"}} {
		got := runTool(t, newConfigsTool, "", append(action, "--bootstrap-controller", "127.0.0.1:1", "--client", "app")...)
		const want = "Caused by: org.apache.kafka.common.errors.UnsupportedEndpointTypeException: This Admin API is not yet supported when communicating directly with the controller quorum.\n"
		if got.exit != 1 || !strings.HasSuffix(got.stderr, want) {
			t.Errorf("%v: exit %d\n%s", action, got.exit, got.stderr)
		}
	}
}

func TestGroupMembersOfBothProtocols(t *testing.T) {
	b := newFakeBroker(t)
	b.on(kmsg.NewPtrFindCoordinatorRequest(), func(r kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrFindCoordinatorResponse()
		c := kmsg.NewFindCoordinatorResponseCoordinator()
		c.Key, c.NodeID, c.Host, c.Port = "g", 1, b.host, b.port
		resp.Coordinators = append(resp.Coordinators, c)
		return resp
	})
	b.on(kmsg.NewPtrConsumerGroupDescribeRequest(), func(kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrConsumerGroupDescribeResponse()
		g := kmsg.NewConsumerGroupDescribeResponseGroup()
		g.Group, g.State, g.Epoch, g.AssignmentEpoch, g.AssignorName = "g", "Reconciling", 5, 6, "uniform"
		for i, id := range []string{"old-member", "new-member"} {
			m := kmsg.NewConsumerGroupDescribeResponseGroupMember()
			m.MemberID, m.ClientID, m.ClientHost, m.MemberEpoch, m.MemberType = id, "c", "/10.0.0.1", int32(i+1), int8(i)
			tp := kmsg.NewAssignmentTopicPartition()
			tp.Topic, tp.Partitions = "a", []int32{int32(i), 10}
			m.Assignment.TopicPartitions = append(m.Assignment.TopicPartitions, tp)
			g.Members = append(g.Members, m)
		}
		resp.Groups = append(resp.Groups, g)
		return resp
	})
	r := runTool(t, newConsumerGroupsTool, "", "--bootstrap-server", b.addr, "--describe", "--group", "g", "--members", "--verbose")
	want := "\n" +
		"GROUP           CONSUMER-ID     HOST            CLIENT-ID       #PARTITIONS     CURRENT-EPOCH   CURRENT-ASSIGNMENT   TARGET-EPOCH    TARGET-ASSIGNMENT    UPGRADED\n" +
		"g               old-member      /10.0.0.1       c               2               1               a:0,10               6               -                    false\n" +
		"g               new-member      /10.0.0.1       c               2               2               a:1,10               6               -                    true\n"
	if r.exit != 0 || r.stdout != want || r.stderr != "\nWarning: Consumer group 'g' is rebalancing.\n" {
		t.Errorf("exit %d\n%s%s\nwant\n%s", r.exit, r.stdout, r.stderr, want)
	}
}
