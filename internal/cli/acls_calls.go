package cli

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/security/authz"
)

// aclCalls asks a cluster about rules and changes them.
type aclCalls struct{ *cluster }

// create makes the rules about one resource.
func (c *aclCalls) create(ctx context.Context, a resourceRules) error {
	req := kmsg.NewPtrCreateACLsRequest()
	for _, e := range a.entries {
		n := kmsg.NewCreateACLsRequestCreation()
		n.ResourceType, n.ResourceName, n.ResourcePatternType = kmsg.ACLResourceType(a.resource.kind), a.resource.name, kmsg.ACLResourcePatternType(a.resource.pattern)
		n.Principal, n.Host, n.Operation, n.PermissionType = e.principal, e.host, kmsg.ACLOperation(e.operation), kmsg.ACLPermissionType(e.permission)
		req.Creations = append(req.Creations, n)
	}
	raw, err := c.callLeader(ctx, "createAcls", req)
	if err != nil {
		return &callError{err}
	}
	for _, r := range raw.(*kmsg.CreateACLsResponse).Results {
		if err := client.Coded(r.ErrorCode, r.ErrorMessage); err != nil {
			return &callError{err}
		}
	}
	return nil
}

// delete removes the entries of a resource, or all of them if a has none.
func (c *aclCalls) delete(ctx context.Context, a resourceRules) error {
	req := kmsg.NewPtrDeleteACLsRequest()
	for _, e := range a.entries {
		f := deleteFilter(a.resource)
		f.Principal, f.Host = &e.principal, &e.host
		f.Operation, f.PermissionType = kmsg.ACLOperation(e.operation), kmsg.ACLPermissionType(e.permission)
		req.Filters = append(req.Filters, f)
	}
	if len(a.entries) == 0 {
		f := deleteFilter(a.resource)
		f.Operation, f.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
		req.Filters = append(req.Filters, f)
	}
	raw, err := c.callLeader(ctx, "deleteAcls", req)
	if err != nil {
		return &callError{err}
	}
	for _, r := range raw.(*kmsg.DeleteACLsResponse).Results {
		if err := client.Coded(r.ErrorCode, r.ErrorMessage); err != nil {
			return &callError{err}
		}
		for _, m := range r.MatchingACLs {
			if err := client.Coded(m.ErrorCode, m.ErrorMessage); err != nil {
				return &callError{err}
			}
		}
	}
	return nil
}

func deleteFilter(r resourcePattern) kmsg.DeleteACLsRequestFilter {
	f := kmsg.NewDeleteACLsRequestFilter()
	f.ResourceType, f.ResourceName, f.ResourcePatternType = kmsg.ACLResourceType(r.kind), &r.name, kmsg.ACLResourcePatternType(r.pattern)
	return f
}

// describe asks for the rules that filters take, or for all of them if there is no filter.
func (c *aclCalls) describe(ctx context.Context, filters []resourcePattern) ([]resourceRules, error) {
	var out []resourceRules
	at := map[resourcePattern]int{}
	take := func(f *resourcePattern) error {
		resp, err := c.ask(ctx, f)
		if err != nil {
			return &callError{err}
		}
		for _, r := range resp.Resources {
			p := resourcePattern{authz.ResourceType(r.ResourceType), r.ResourceName, authz.PatternType(r.ResourcePatternType)}
			i, ok := at[p]
			if !ok {
				i = len(out)
				at[p], out = i, append(out, resourceRules{resource: p})
			}
			for _, e := range r.ACLs {
				out[i].entries = append(out[i].entries, aclEntry{e.Principal, e.Host, authz.Operation(e.Operation), authz.Permission(e.PermissionType)})
			}
		}
		return nil
	}
	var err error
	if len(filters) == 0 {
		err = take(nil)
	}
	for i := 0; i < len(filters) && err == nil; i++ {
		err = take(&filters[i])
	}
	sortRules(out)
	return out, err
}

func (c *aclCalls) ask(ctx context.Context, f *resourcePattern) (*kmsg.DescribeACLsResponse, error) {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	if f != nil {
		req.ResourceType, req.ResourceName, req.ResourcePatternType = kmsg.ACLResourceType(f.kind), &f.name, kmsg.ACLResourcePatternType(f.pattern)
	}
	req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	raw, err := c.call(ctx, "describeAcls", req)
	if err != nil {
		return nil, err
	}
	resp := raw.(*kmsg.DescribeACLsResponse)
	return resp, client.Coded(resp.ErrorCode, resp.ErrorMessage)
}
