package node

import (
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/weir-stream/weir/internal/record"
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

// What a connection has been answered is forgotten with every change of rules: the very next request after it was applied is
// decided by the new ones, on connections that are open and busy.
func TestRevokedRightsEndAtOnce(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data"), "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"listeners=PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0", "super.users=User:admin", "sasl.enabled.mechanisms=PLAIN",
		`listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_admin="some-l0ng-secret";`))
	defer n.Stop()
	cl := client(t, n, n.seed("SASL_PLAINTEXT"), kgo.SASL(plain.Auth{User: "admin", Pass: "some-l0ng-secret"}.AsMechanism()))
	admin := kadm.NewClient(cl)
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	rule := func(permission kmsg.ACLPermissionType, op kmsg.ACLOperation, host string) kmsg.CreateACLsRequestCreation {
		return kmsg.CreateACLsRequestCreation{ResourceType: kmsg.ACLResourceTypeTopic, ResourceName: "t", ResourcePatternType: kmsg.ACLResourcePatternTypeLiteral,
			Principal: "User:ANONYMOUS", Host: host, Operation: op, PermissionType: permission}
	}
	add := func(rules ...kmsg.CreateACLsRequestCreation) {
		t.Helper()
		req := kmsg.NewPtrCreateACLsRequest()
		req.Creations = rules
		resp, err := req.RequestWith(t.Context(), cl)
		if err != nil || resp.Results[0].ErrorCode != 0 {
			t.Fatal(err, resp)
		}
	}
	remove := func(permission kmsg.ACLPermissionType) {
		t.Helper()
		req := kmsg.NewPtrDeleteACLsRequest()
		req.Filters = []kmsg.DeleteACLsRequestFilter{{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: permission}}
		resp, err := req.RequestWith(t.Context(), cl)
		if err != nil || len(resp.Results[0].MatchingACLs) == 0 {
			t.Fatal(err, resp)
		}
	}
	user := raw(t, n)
	step := func(what string, write, read wire.Code) {
		t.Helper()
		for range 3 { // the first is decided, the others are remembered
			if code := produced(ask[*kmsg.ProduceResponse](t, user, 12, produceRequest(t, "t", new(record.Builder)))); code != write {
				t.Errorf("%s: produce %v, want %v", what, code, write)
			}
			f := ask[*kmsg.FetchResponse](t, user, 12, fetchRequest("t"))
			if code := wire.Code(f.Topics[0].Partitions[0].ErrorCode); code != read {
				t.Errorf("%s: fetch %v, want %v", what, code, read)
			}
		}
	}
	const refused = wire.TopicAuthorizationFailed
	step("without rules", refused, refused)
	for range 5 {
		add(rule(kmsg.ACLPermissionTypeAllow, kmsg.ACLOperationAll, "*"))
		step("allowed", wire.None, wire.None)
		add(rule(kmsg.ACLPermissionTypeDeny, kmsg.ACLOperationWrite, "127.0.0.1"))
		step("writing denied", refused, wire.None)
		remove(kmsg.ACLPermissionTypeDeny)
		step("no longer", wire.None, wire.None)
		remove(kmsg.ACLPermissionTypeAllow)
		step("revoked", refused, refused)
	}
	// Super users are a setting of the start, in Apache Kafka too: it takes the change and nobody becomes one while it runs.
	value := "User:ANONYMOUS"
	if _, err := admin.AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{{Name: "super.users", Value: &value}}); err != nil {
		t.Fatal(err)
	}
	step("not a super user", refused, refused)
}
