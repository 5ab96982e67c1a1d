package controller

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// createACLs answers CreateAcls v1 to v3. What is there already is not made twice. Nothing is made if one of the
// entries is for any resource, operation or the like, or if it would take more records than one operation may.
func (c *Controller) createACLs(_ RequestContext, req *kmsg.CreateACLsRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.CreateACLsResponse)
	made := map[image.ACLRule]struct{}{}
	var records []mr.Versioned
	for i := range req.Creations {
		if anyACL(&req.Creations[i]) {
			return decision{}, wire.UnknownServerError // Kafka trips over it
		}
	}
	for i := range req.Creations {
		rule := ruleOf(&req.Creations[i])
		out := kmsg.NewCreateACLsResponseResult()
		out.ErrorMessage = new(string)
		if err := checkACL(&rule); err != nil {
			out.ErrorCode, out.ErrorMessage = errorFields(err)
		} else if _, twice := made[rule]; !twice && c.state.ACLByRule(rule) == nil {
			made[rule] = struct{}{}
			records = append(records, mr.V0(&mr.AccessControlEntryRecord{ID: newID(), ResourceType: rule.ResourceType, ResourceName: rule.ResourceName,
				PatternType: rule.PatternType, Principal: rule.Principal, Host: rule.Host, Operation: rule.Operation, PermissionType: rule.Permission}))
		}
		resp.Results = append(resp.Results, out)
	}
	if len(records) > maxBatchRecords {
		return decision{}, refuse(wire.PolicyViolation, "Unable to perform excessively large batch operation.")
	}
	return decision{answer: resp, records: records}, nil
}

func anyACL(c *kmsg.CreateACLsRequestCreation) bool {
	return authz.ResourceType(c.ResourceType) == authz.AnyResource || authz.Operation(c.Operation) == authz.AnyOperation ||
		authz.Permission(c.PermissionType) == authz.AnyPermission ||
		authz.PatternType(c.ResourcePatternType) == authz.AnyPattern || authz.PatternType(c.ResourcePatternType) == authz.MatchPattern
}

func ruleOf(c *kmsg.CreateACLsRequestCreation) image.ACLRule {
	return image.ACLRule{ResourceType: int8(c.ResourceType), ResourceName: c.ResourceName, PatternType: int8(c.ResourcePatternType),
		Principal: c.Principal, Host: c.Host, Operation: int8(c.Operation), Permission: int8(c.PermissionType)}
}

// checkACL refuses what cannot be a rule.
func checkACL(r *image.ACLRule) error {
	switch {
	case authz.ResourceType(r.ResourceType) == authz.Cluster && r.ResourceName != authz.ClusterName:
		return refuse(wire.InvalidRequest, "The only valid name for the CLUSTER resource is %s", authz.ClusterName)
	case r.ResourceName == "":
		return refuse(wire.InvalidRequest, "Invalid empty resource name")
	case unknownResource(r.ResourceType):
		return refuse(wire.InvalidRequest, "Invalid resourceType UNKNOWN")
	case unknownPattern(r.PatternType):
		return refuse(wire.InvalidRequest, "Invalid patternType UNKNOWN")
	case unknownOperation(r.Operation):
		return refuse(wire.InvalidRequest, "Invalid operation UNKNOWN")
	case unknownPermission(r.Permission):
		return refuse(wire.InvalidRequest, "Invalid permissionType UNKNOWN")
	case !strings.Contains(r.Principal, ":"):
		return refuse(wire.InvalidRequest, "Could not parse principal from `%s` (no colon is present separating the principal type from the principal name)", r.Principal)
	}
	return nil
}

func unknownResource(v int8) bool {
	return v < int8(authz.AnyResource) || v > int8(authz.User)
}

func unknownPattern(v int8) bool {
	return v < int8(authz.AnyPattern) || v > int8(authz.Prefixed)
}

func unknownOperation(v int8) bool {
	return v < int8(authz.AnyOperation) || v > int8(authz.TwoPhaseCommit)
}

func unknownPermission(v int8) bool {
	return v < int8(authz.AnyPermission) || v > int8(authz.Allow)
}

// deleteACLs answers DeleteAcls v1 to v3. An entry that several filters match is answered for each of them.
func (c *Controller) deleteACLs(_ RequestContext, req *kmsg.DeleteACLsRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.DeleteACLsResponse)
	gone := map[image.UUID]struct{}{}
	var records []mr.Versioned
	for i := range req.Filters {
		f := filterOf(&req.Filters[i])
		out := kmsg.NewDeleteACLsResponseResult()
		if err := checkFilter(&f); err != nil {
			out.ErrorCode, out.ErrorMessage = errorFields(err)
			resp.Results = append(resp.Results, out)
			continue
		}
		for a := range c.state.MatchingACLs(f) {
			if _, twice := gone[a.ID]; !twice {
				gone[a.ID] = struct{}{}
				records = append(records, mr.V0(&mr.RemoveAccessControlEntryRecord{ID: a.ID}))
			}
			if len(records) > maxBatchRecords {
				return decision{}, refuse(wire.InvalidRequest, "Cannot remove more than %d acls in a single delete operation.", maxBatchRecords)
			}
			out.MatchingACLs = append(out.MatchingACLs, matchingACL(a))
		}
		resp.Results = append(resp.Results, out)
	}
	return decision{answer: resp, records: records}, nil
}

func filterOf(f *kmsg.DeleteACLsRequestFilter) image.ACLFilter {
	return image.ACLFilter{ResourceType: int8(f.ResourceType), ResourceName: f.ResourceName, PatternType: int8(f.ResourcePatternType),
		Principal: f.Principal, Host: f.Host, Operation: int8(f.Operation), Permission: int8(f.PermissionType)}
}

func checkFilter(f *image.ACLFilter) error {
	switch {
	case unknownResource(f.ResourceType), unknownPattern(f.PatternType):
		return refuse(wire.InvalidRequest, "Unknown patternFilter.")
	case unknownOperation(f.Operation), unknownPermission(f.Permission):
		return refuse(wire.InvalidRequest, "Unknown entryFilter.")
	}
	return nil
}

func matchingACL(a *image.ACL) kmsg.DeleteACLsResponseResultMatchingACL {
	m := kmsg.NewDeleteACLsResponseResultMatchingACL()
	m.ResourceType, m.ResourceName, m.ResourcePatternType = kmsg.ACLResourceType(a.ResourceType), a.ResourceName, kmsg.ACLResourcePatternType(a.PatternType)
	m.Principal, m.Host, m.Operation, m.PermissionType = a.Principal, a.Host, kmsg.ACLOperation(a.Operation), kmsg.ACLPermissionType(a.Permission)
	return m
}
