package controller

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/wire"
)

func allow(topic, user string) kmsg.CreateACLsRequestCreation {
	return kmsg.CreateACLsRequestCreation{ResourceType: 2, ResourceName: topic, ResourcePatternType: 3, Principal: user, Host: "*", Operation: 3, PermissionType: 3}
}

func (k *cluster) createACLs(cs ...kmsg.CreateACLsRequestCreation) *kmsg.CreateACLsResponse {
	k.t.Helper()
	req := kmsg.NewPtrCreateACLsRequest()
	req.Version, req.Creations = 3, cs
	return ask[*kmsg.CreateACLsResponse](k, req)
}

func deleteRequestACLs(filters ...kmsg.DeleteACLsRequestFilter) *kmsg.DeleteACLsRequest {
	req := kmsg.NewPtrDeleteACLsRequest()
	req.Version, req.Filters = 3, filters
	return req
}

func TestACLsAreMadeOnceAndOutliveTheProcess(t *testing.T) {
	k := newCluster(t)
	resp := k.createACLs(allow("t", "User:a"), allow("t", "User:a"), allow("", "User:a"), allow("t", "alice"), allow("u", "User:a"))
	for i, want := range []wire.Code{wire.None, wire.None, wire.InvalidRequest, wire.InvalidRequest, wire.None} {
		if got := wire.Code(resp.Results[i].ErrorCode); got != want {
			t.Errorf("entry %d: %v, want %v", i, got, want)
		}
	}
	k.createACLs(allow("t", "User:a"))
	if n := k.c.Image().ACLCount(); n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
	k.stop(true)
	k.start()
	k.createACLs(allow("t", "User:a"))
	if n := k.c.Image().ACLCount(); n != 2 {
		t.Errorf("%d entries after a restart, want 2", n)
	}
}

func TestACLsForAnythingAreRefusedWhole(t *testing.T) {
	k := newCluster(t)
	anything := allow("t", "User:a")
	anything.Operation = 1
	req := kmsg.NewPtrCreateACLsRequest()
	req.Creations = []kmsg.CreateACLsRequestCreation{allow("t", "User:a"), anything}
	if _, err := k.c.Handle(k.ctx(), RequestContext{}, req); wire.CodeOf(err) != wire.UnknownServerError || k.c.Image().ACLCount() != 0 {
		t.Errorf("err = %v, %d entries", err, k.c.Image().ACLCount())
	}
}

func TestDeleteACLs(t *testing.T) {
	k := newCluster(t)
	k.createACLs(allow("t", "User:a"), allow("t", "User:b"), allow("u", "User:a"))
	name, user := "t", "User:a"
	byName := kmsg.DeleteACLsRequestFilter{ResourceType: 2, ResourceName: &name, ResourcePatternType: 3, Operation: 1, PermissionType: 1}
	byUser := kmsg.DeleteACLsRequestFilter{ResourceType: 1, ResourcePatternType: 1, Principal: &user, Operation: 1, PermissionType: 1}
	bad := kmsg.DeleteACLsRequestFilter{ResourceType: 1, ResourcePatternType: 40, Operation: 1, PermissionType: 1}
	resp := ask[*kmsg.DeleteACLsResponse](k, deleteRequestACLs(byName, byUser, bad))
	if n, m, code := len(resp.Results[0].MatchingACLs), len(resp.Results[1].MatchingACLs), wire.Code(resp.Results[2].ErrorCode); n != 2 || m != 2 || code != wire.InvalidRequest {
		t.Errorf("answer = %+v", resp)
	}
	if n := k.c.Image().ACLCount(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// As in Kafka one operation makes and removes no more entries than one batch of the metadata log takes.
func TestACLsInBulk(t *testing.T) {
	k := newCluster(t)
	var many []kmsg.CreateACLsRequestCreation
	for i := range maxBatchRecords + 1 {
		many = append(many, allow(fmt.Sprint("t", i), "User:a"))
	}
	req := kmsg.NewPtrCreateACLsRequest()
	req.Creations = many
	if _, err := k.c.Handle(k.ctx(), RequestContext{}, req); wire.CodeOf(err) != wire.PolicyViolation {
		t.Errorf("err = %v", err)
	}
	k.createACLs(many[:9000]...)
	k.createACLs(many[9000:]...)
	all := kmsg.DeleteACLsRequestFilter{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: 1}
	if _, err := k.c.Handle(k.ctx(), RequestContext{}, deleteRequestACLs(all)); wire.CodeOf(err) != wire.InvalidRequest || k.c.Image().ACLCount() != len(many) {
		t.Errorf("err = %v, %d entries", err, k.c.Image().ACLCount())
	}
}

func TestRulesAreFoundByContent(t *testing.T) {
	k := newCluster(t)
	k.createACLs(allow("t", "User:a"))
	rule := image.ACLRule{ResourceType: 2, ResourceName: "t", PatternType: 3, Principal: "User:a", Host: "*", Operation: 3, Permission: 3}
	if k.c.Image().ACLByRule(rule) == nil {
		t.Fatal("the entry is not found")
	}
	all := kmsg.DeleteACLsRequestFilter{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: 1}
	ask[*kmsg.DeleteACLsResponse](k, deleteRequestACLs(all))
	if a := k.c.Image().ACLByRule(rule); a != nil {
		t.Errorf("found %+v after its removal", a)
	}
}
