package authz

import (
	"testing"
)

type only struct{ op Operation }

func (o only) Authorize(_ Caller, op Operation, _ ResourceType, name string) bool {
	return op == o.op && name != "secret"
}
func (only) AuthorizeByType(Caller, Operation, ResourceType) bool { return true }
func (only) Enabled() bool                                        { return true }

// The figures of AllowAll are what Apache Kafka without authorizer answers.
func TestAuthorizedOperations(t *testing.T) {
	for typ, want := range map[ResourceType]int32{Topic: 3576, Group: 3400, Cluster: 8096, TransactionalID: 33040, User: 24576} {
		if got := AuthorizedOperations(AllowAll{}, Caller{}, typ, "x"); got != want {
			t.Errorf("operations on type %d = %d, want %d", typ, got, want)
		}
	}
	if got := AuthorizedOperations(only{Read}, Caller{}, Topic, "x"); got != 1<<Read {
		t.Errorf("operations = %b", got)
	}
}
