package handler

import (
	"cmp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// DescribeAcls, versions 1 to 3: 1 pattern types (KIP-290), 2 flexible, 3 user resources (KIP-373). Without an
// authorizer the answer is SECURITY_DISABLED.
func (b *Broker) handleDescribeACLs(r *wire.Request) {
	req := r.Body.(*kmsg.DescribeACLsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeACLsResponse)
	f := image.ACLFilter{ResourceType: int8(req.ResourceType), ResourceName: req.ResourceName, PatternType: int8(req.ResourcePatternType),
		Principal: req.Principal, Host: req.Host, Operation: int8(req.Operation), Permission: int8(req.PermissionType)}
	switch {
	case f.ResourceType == 0 || f.PatternType == 0 || f.Operation == 0 || f.Permission == 0:
		r.Hangup("a DescribeAcls request has elements of type 0")
		return
	case !b.allowed(r, authz.Describe, authz.Cluster, authz.ClusterName):
		resp.ErrorCode = int16(wire.ClusterAuthorizationFailed)
	case !b.Authorizer.Enabled():
		msg := "No Authorizer is configured on the broker"
		resp.ErrorCode, resp.ErrorMessage = int16(wire.SecurityDisabled), &msg
	default:
		resp.ErrorMessage = new(string)
		resp.Resources = describeACLs(b.Image(), f)
	}
	r.Reply(resp)
}

// describeACLs groups the entries that a filter takes by what they are about, in the order of types and names.
func describeACLs(img *image.Image, f image.ACLFilter) []kmsg.DescribeACLsResponseResource {
	seen := map[image.ACLRule]struct{}{}
	var rules []image.ACLRule
	for a := range img.MatchingACLs(f) {
		if _, twice := seen[a.ACLRule]; !twice {
			seen[a.ACLRule] = struct{}{}
			rules = append(rules, a.ACLRule)
		}
	}
	slices.SortFunc(rules, func(a, b image.ACLRule) int {
		return cmp.Or(cmp.Compare(a.ResourceType, b.ResourceType), strings.Compare(a.ResourceName, b.ResourceName), cmp.Compare(a.PatternType, b.PatternType),
			strings.Compare(a.Principal, b.Principal), strings.Compare(a.Host, b.Host), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Permission, b.Permission))
	})
	out := []kmsg.DescribeACLsResponseResource{}
	for i := range rules {
		a := &rules[i]
		if i == 0 || a.ResourceType != rules[i-1].ResourceType || a.ResourceName != rules[i-1].ResourceName || a.PatternType != rules[i-1].PatternType {
			res := kmsg.NewDescribeACLsResponseResource()
			res.ResourceType, res.ResourceName, res.ResourcePatternType = kmsg.ACLResourceType(a.ResourceType), a.ResourceName, kmsg.ACLResourcePatternType(a.PatternType)
			out = append(out, res)
		}
		e := kmsg.NewDescribeACLsResponseResourceACL()
		e.Principal, e.Host, e.Operation, e.PermissionType = a.Principal, a.Host, kmsg.ACLOperation(a.Operation), kmsg.ACLPermissionType(a.Permission)
		res := &out[len(out)-1]
		res.ACLs = append(res.ACLs, e)
	}
	return out
}
