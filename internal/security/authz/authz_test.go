package authz

import (
	"context"
	"slices"
	"testing"
)

type only struct{ op Operation }

func (o only) Authorize(_ context.Context, _ Caller, actions []Action) []bool {
	out := make([]bool, len(actions))
	for i, a := range actions {
		out[i] = a.Operation == o.op && a.Name != "secret"
	}
	return out
}
func (only) AuthorizeByType(context.Context, Caller, Operation, ResourceType) bool { return true }
func (only) Enabled() bool                                                         { return true }

// The figures of AllowAll are what Apache Kafka without authorizer answers.
func TestAuthorizedOperations(t *testing.T) {
	ctx := context.Background()
	for typ, want := range map[ResourceType]int32{Topic: 3576, Group: 3400, Cluster: 8096, TransactionalID: 33040, User: 24576} {
		if got := AuthorizedOperations(ctx, AllowAll{}, Caller{}, typ, "x"); got != want {
			t.Errorf("operations on type %d = %d, want %d", typ, got, want)
		}
	}
	if got := AuthorizedOperations(ctx, only{Read}, Caller{}, Topic, "x"); got != 1<<Read {
		t.Errorf("operations = %b", got)
	}
}

func TestAllowedNames(t *testing.T) {
	names := []string{"a", "secret", "b"}
	if got := AllowedNames(context.Background(), only{Read}, Caller{}, Read, Topic, names); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("allowed = %v", got)
	}
	if got := AllowedNames(context.Background(), AllowAll{}, Caller{}, Read, Topic, names); len(got) != 3 {
		t.Errorf("allowed = %v", got)
	}
	if Allowed(context.Background(), only{Read}, Caller{}, Write, Topic, "a") {
		t.Error("Write is allowed")
	}
}
