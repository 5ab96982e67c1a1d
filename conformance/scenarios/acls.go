package scenarios

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// Secured are the scenarios for a broker with Kafka's authorizer, where the session's own principal is a super user.
func Secured() []script.Scenario {
	return []script.Scenario{
		{Name: "acls-create", Run: aclsCreate},
		{Name: "acls-describe", Run: aclsDescribe},
		{Name: "acls-delete", Run: aclsDelete},
		{Name: "acls-many", Run: aclsMany},
	}
}

func creation(resource kmsg.ACLResourceType, name string, pattern kmsg.ACLResourcePatternType, principal, host string, op kmsg.ACLOperation, permission kmsg.ACLPermissionType) kmsg.CreateACLsRequestCreation {
	c := kmsg.NewCreateACLsRequestCreation()
	c.ResourceType, c.ResourceName, c.ResourcePatternType = resource, name, pattern
	c.Principal, c.Host, c.Operation, c.PermissionType = principal, host, op, permission
	return c
}

func createACLs(cs ...kmsg.CreateACLsRequestCreation) *kmsg.CreateACLsRequest {
	req := kmsg.NewPtrCreateACLsRequest()
	req.Creations = cs
	return req
}

// allACLs matches everything.
func allACLs() *kmsg.DescribeACLsRequest {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = 1, 1, 1, 1
	return req
}

// askACLs records a description in the order of its text, since Kafka's has none.
func askACLs(s *script.Session, label string, v int16, req *kmsg.DescribeACLsRequest) {
	resp, ok := s.Quiet(v, req).(*kmsg.DescribeACLsResponse)
	if !ok {
		s.Note(label, "no answer")
		return
	}
	key := func(r *kmsg.DescribeACLsResponseResource) string {
		return strconv.Itoa(int(r.ResourceType)) + r.ResourceName + strconv.Itoa(int(r.ResourcePatternType))
	}
	slices.SortFunc(resp.Resources, func(a, b kmsg.DescribeACLsResponseResource) int { return strings.Compare(key(&a), key(&b)) })
	for i := range resp.Resources {
		slices.SortFunc(resp.Resources[i].ACLs, func(a, b kmsg.DescribeACLsResponseResourceACL) int {
			return cmp.Or(strings.Compare(a.Principal, b.Principal), strings.Compare(a.Host, b.Host), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.PermissionType, b.PermissionType))
		})
	}
	s.Record(label+" v"+strconv.Itoa(int(v)), resp)
}

func aclsCreate(s *script.Session) {
	good := creation(2, "t", 3, "User:alice", "*", 3, 3)
	each(s, kmsg.CreateACLs, func(v int16) {
		for label, c := range inOrder(map[string]kmsg.CreateACLsRequestCreation{
			"good":               good,
			"prefixed":           creation(2, "t", 4, "User:alice", "*", 3, 3),
			"any type":           creation(1, "t", 3, "User:alice", "*", 3, 3),
			"type 0":             creation(0, "t", 3, "User:alice", "*", 3, 3),
			"type 9":             creation(9, "t", 3, "User:alice", "*", 3, 3),
			"any pattern":        creation(2, "t", 1, "User:alice", "*", 3, 3),
			"match pattern":      creation(2, "t", 2, "User:alice", "*", 3, 3),
			"pattern 0":          creation(2, "t", 0, "User:alice", "*", 3, 3),
			"pattern 9":          creation(2, "t", 9, "User:alice", "*", 3, 3),
			"any operation":      creation(2, "t", 3, "User:alice", "*", 1, 3),
			"operation 0":        creation(2, "t", 3, "User:alice", "*", 0, 3),
			"operation 40":       creation(2, "t", 3, "User:alice", "*", 40, 3),
			"any permission":     creation(2, "t", 3, "User:alice", "*", 3, 1),
			"permission 0":       creation(2, "t", 3, "User:alice", "*", 3, 0),
			"permission 9":       creation(2, "t", 3, "User:alice", "*", 3, 9),
			"no name":            creation(2, "", 3, "User:alice", "*", 3, 3),
			"another cluster":    creation(4, "my-cluster", 3, "User:alice", "*", 5, 3),
			"cluster":            creation(4, "kafka-cluster", 3, "User:alice", "*", 5, 3),
			"cluster, any":       creation(4, "*", 3, "User:alice", "*", 5, 3),
			"no colon":           creation(2, "t", 3, "alice", "*", 3, 3),
			"no principal type":  creation(2, "t", 3, ":alice", "*", 3, 3),
			"no principal name":  creation(2, "t", 3, "User:", "*", 3, 3),
			"no principal":       creation(2, "t", 3, "", "*", 3, 3),
			"group principal":    creation(2, "t", 3, "Group:ops", "*", 3, 3),
			"no host":            creation(2, "t", 3, "User:alice", "", 3, 3),
			"host name":          creation(2, "t", 3, "User:alice", "example.com", 3, 3),
			"unfit operation":    creation(2, "t", 3, "User:alice", "*", 13, 3),
			"two-phase commit":   creation(5, "t", 3, "User:alice", "*", 15, 3),
			"delegation token":   creation(6, "t", 3, "User:alice", "*", 8, 3),
			"user":               creation(7, "User:bob", 3, "User:alice", "*", 13, 2),
			"a bad topic's name": creation(2, "no/such topic", 3, "User:alice", "*", 3, 3),
		}) {
			s.Ask("create "+label, v, createACLs(c))
		}
		s.Ask("create none", v, createACLs())
		s.Ask("create twice", v, createACLs(good, good))
		s.Ask("create one bad of three", v, createACLs(good, creation(2, "", 3, "User:alice", "*", 3, 3), creation(3, "g", 3, "User:alice", "*", 3, 3)))
	})
	settle(s)
	each(s, kmsg.DescribeACLs, func(v int16) { askACLs(s, "all", v, allACLs()) })
}

// aclFilters are filters over what aclsSome makes.
func aclFilters() map[string]kmsg.DescribeACLsRequest {
	filter := func(t kmsg.ACLResourceType, name *string, p kmsg.ACLResourcePatternType, principal, host *string, op kmsg.ACLOperation, perm kmsg.ACLPermissionType) kmsg.DescribeACLsRequest {
		req := kmsg.NewDescribeACLsRequest()
		req.ResourceType, req.ResourceName, req.ResourcePatternType = t, name, p
		req.Principal, req.Host, req.Operation, req.PermissionType = principal, host, op, perm
		return req
	}
	return map[string]kmsg.DescribeACLsRequest{
		"topics":              filter(2, nil, 1, nil, nil, 1, 1),
		"a name":              filter(2, ptr("desc-topic"), 3, nil, nil, 1, 1),
		"a name, any":         filter(2, ptr("desc-topic"), 1, nil, nil, 1, 1),
		"a name, match":       filter(2, ptr("desc-topic"), 2, nil, nil, 1, 1),
		"a prefix":            filter(2, ptr("desc-"), 4, nil, nil, 1, 1),
		"a prefix, match":     filter(2, ptr("desc-"), 2, nil, nil, 1, 1),
		"prefixes":            filter(2, nil, 4, nil, nil, 1, 1),
		"match without name":  filter(2, nil, 2, nil, nil, 1, 1),
		"the star":            filter(2, ptr("*"), 3, nil, nil, 1, 1),
		"the star, match":     filter(2, ptr("*"), 2, nil, nil, 1, 1),
		"an empty name":       filter(2, ptr(""), 3, nil, nil, 1, 1),
		"a principal":         filter(1, nil, 1, ptr("User:desc"), nil, 1, 1),
		"the wildcard user":   filter(1, nil, 1, ptr("User:*"), nil, 1, 1),
		"a host":              filter(1, nil, 1, nil, ptr("10.0.0.9"), 1, 1),
		"all hosts":           filter(1, nil, 1, nil, ptr("*"), 1, 1),
		"an operation":        filter(1, nil, 1, nil, nil, 4, 1),
		"the operation all":   filter(1, nil, 1, nil, nil, 2, 1),
		"denials":             filter(1, nil, 1, nil, nil, 1, 2),
		"permission 9":        filter(1, nil, 1, nil, nil, 1, 9),
		"operation 40":        filter(1, nil, 1, nil, nil, 40, 1),
		"type 40":             filter(40, nil, 1, nil, nil, 1, 1),
		"pattern 40":          filter(1, nil, 40, nil, nil, 1, 1),
		"type 0":              filter(0, nil, 1, nil, nil, 1, 1),
		"pattern 0":           filter(1, nil, 0, nil, nil, 1, 1),
		"operation 0":         filter(1, nil, 1, nil, nil, 0, 1),
		"permission 0":        filter(1, nil, 1, nil, nil, 1, 0),
		"nothing":             filter(2, ptr("desc-other"), 3, nil, nil, 1, 1),
		"match, any type":     filter(1, ptr("desc-topic"), 2, nil, nil, 1, 1),
		"another cluster":     filter(4, ptr("my-cluster"), 3, nil, nil, 1, 1),
		"a name, principal":   filter(2, ptr("desc-topic"), 2, ptr("User:desc"), nil, 1, 3),
		"principal, no colon": filter(1, nil, 1, ptr("desc"), nil, 1, 1),
	}
}

func aclsSome(s *script.Session) {
	s.Quiet(3, createACLs(
		creation(2, "desc-topic", 3, "User:desc", "*", 3, 3), creation(2, "desc-topic", 3, "User:desc", "10.0.0.9", 4, 2),
		creation(2, "desc-", 4, "User:desc", "*", 4, 3), creation(2, "desc-topic-2", 4, "User:desc", "*", 4, 3),
		creation(2, "*", 3, "User:*", "*", 8, 3), creation(3, "desc-topic", 3, "User:desc", "*", 3, 3),
		creation(2, "", 4, "User:desc", "*", 4, 3), creation(4, "kafka-cluster", 3, "User:desc", "*", 2, 3)))
	settle(s)
}

func aclsDescribe(s *script.Session) {
	aclsSome(s)
	each(s, kmsg.DescribeACLs, func(v int16) {
		for label, f := range inOrder(aclFilters()) {
			askACLs(s, "describe "+label, v, &f)
		}
	})
}

func deleteACLs(fs ...kmsg.DescribeACLsRequest) *kmsg.DeleteACLsRequest {
	req := kmsg.NewPtrDeleteACLsRequest()
	for _, f := range fs {
		d := kmsg.NewDeleteACLsRequestFilter()
		d.ResourceType, d.ResourceName, d.ResourcePatternType = f.ResourceType, f.ResourceName, f.ResourcePatternType
		d.Principal, d.Host, d.Operation, d.PermissionType = f.Principal, f.Host, f.Operation, f.PermissionType
		req.Filters = append(req.Filters, d)
	}
	return req
}

// askDelete records a deletion in the order of its text, since Kafka's has none.
func askDelete(s *script.Session, label string, v int16, req *kmsg.DeleteACLsRequest) {
	resp, ok := s.Quiet(v, req).(*kmsg.DeleteACLsResponse)
	if !ok {
		s.Note(label, "no answer")
		return
	}
	for i := range resp.Results {
		slices.SortFunc(resp.Results[i].MatchingACLs, func(a, b kmsg.DeleteACLsResponseResultMatchingACL) int {
			return cmp.Or(cmp.Compare(a.ResourceType, b.ResourceType), strings.Compare(a.ResourceName, b.ResourceName), cmp.Compare(a.ResourcePatternType, b.ResourcePatternType),
				strings.Compare(a.Principal, b.Principal), strings.Compare(a.Host, b.Host), cmp.Compare(a.Operation, b.Operation))
		})
	}
	s.Record(label+" v"+strconv.Itoa(int(v)), resp)
}

func aclsDelete(s *script.Session) {
	each(s, kmsg.DeleteACLs, func(v int16) {
		for label, f := range inOrder(aclFilters()) {
			aclsSome(s)
			askDelete(s, "delete "+label, v, deleteACLs(f))
		}
		aclsSome(s)
		all := aclFilters()
		askDelete(s, "delete with two filters", v, deleteACLs(all["a name, match"], all["denials"]))
		askDelete(s, "delete with a bad and a good filter", v, deleteACLs(all["pattern 40"], all["the star"]))
		askDelete(s, "delete with no filter", v, deleteACLs())
	})
	settle(s)
	askACLs(s, "what is left", 3, allACLs())
}

// aclsMany asks for more than the metadata log takes in one go.
func aclsMany(s *script.Session) {
	var many []kmsg.CreateACLsRequestCreation
	for i := range 10001 {
		many = append(many, creation(2, "many-"+strconv.Itoa(i), 3, "User:many", "*", 3, 3))
	}
	if resp, ok := s.Quiet(3, createACLs(many...)).(*kmsg.CreateACLsResponse); ok {
		resp.Results = resp.Results[:1]
		s.Record("create 10001", resp)
	}
	s.Quiet(3, createACLs(many[:6000]...))
	s.Quiet(3, createACLs(many[6000:]...))
	settle(s)
	f := *allACLs()
	f.Principal = ptr("User:many")
	if resp, ok := s.Quiet(3, deleteACLs(f)).(*kmsg.DeleteACLsResponse); ok {
		s.Note("delete 10001 matches", strconv.Itoa(len(resp.Results[0].MatchingACLs)))
		resp.Results[0].MatchingACLs = nil
		s.Record("delete 10001", resp)
	}
}
