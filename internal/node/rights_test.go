package node

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// A rule has effect for the request after the one that made it, and is there after a restart. Everybody on a listener
// without authentication is ANONYMOUS.
func TestRulesTakeEffect(t *testing.T) {
	const standard = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer"
	dir := t.TempDir()
	n := start(t, settings(t, dir, standard, "super.users=User:ANONYMOUS"))
	admin := raw(t, n)
	create := kmsg.NewPtrCreateACLsRequest()
	create.Creations = []kmsg.CreateACLsRequestCreation{
		{ResourceType: 4, ResourceName: "kafka-cluster", ResourcePatternType: 3, Principal: "User:ANONYMOUS", Host: "127.0.0.1", Operation: 2, PermissionType: 3},
		{ResourceType: 4, ResourceName: "kafka-cluster", ResourcePatternType: 3, Principal: "User:*", Host: "*", Operation: 8, PermissionType: 2},
	}
	for _, r := range ask[*kmsg.CreateACLsResponse](t, admin, 3, create).Results {
		if r.ErrorCode != 0 {
			t.Fatalf("create: %v", wire.Code(r.ErrorCode))
		}
	}
	describe := kmsg.NewPtrDescribeACLsRequest()
	describe.ResourceType, describe.ResourcePatternType, describe.Operation, describe.PermissionType = 1, 1, 1, 1
	if resp := ask[*kmsg.DescribeACLsResponse](t, admin, 3, describe); len(resp.Resources) != 1 || len(resp.Resources[0].ACLs) != 2 {
		t.Errorf("a super user is answered %+v", resp)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}

	n = start(t, settings(t, dir, standard, "super.users=User:root"))
	user := raw(t, n)
	if resp := ask[*kmsg.DescribeACLsResponse](t, user, 3, describe); wire.Code(resp.ErrorCode) != wire.ClusterAuthorizationFailed {
		t.Errorf("who may not describe the cluster is answered %v", wire.Code(resp.ErrorCode))
	}
	topics := kmsg.NewPtrCreateTopicsRequest()
	topics.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "t", NumPartitions: 1, ReplicationFactor: 1}}
	if resp := ask[*kmsg.CreateTopicsResponse](t, user, 7, topics); resp.Topics[0].ErrorCode != 0 {
		t.Errorf("who may create is answered %v", wire.Code(resp.Topics[0].ErrorCode))
	}
	all := kmsg.NewPtrDeleteACLsRequest()
	all.Filters = []kmsg.DeleteACLsRequestFilter{{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: 1}}
	if resp := ask[*kmsg.DeleteACLsResponse](t, user, 3, all); resp.Results[0].ErrorCode != 0 {
		t.Errorf("who may alter the cluster is answered %v", wire.Code(resp.Results[0].ErrorCode))
	}
	topics.Topics[0].Topic = "u"
	if resp := ask[*kmsg.CreateTopicsResponse](t, user, 7, topics); wire.Code(resp.Topics[0].ErrorCode) != wire.TopicAuthorizationFailed {
		t.Errorf("who may do nothing any more is answered %v", wire.Code(resp.Topics[0].ErrorCode))
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
}
