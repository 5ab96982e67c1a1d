// Package authz asks who may do what. It has Kafka's resource types and operations, the Authorizer that every
// handler asks, and AllowAll, which is used until access control lists are there. It knows no protocol messages
// and no cluster state.
package authz

import (
	"context"
	"net/netip"

	"github.com/weir-stream/weir/internal/security/principal"
)

// ResourceType is a kind of thing that can be protected; the numbers are those of the protocol.
type ResourceType int8

// The resource types.
const (
	AnyResource     ResourceType = 1
	Topic           ResourceType = 2
	Group           ResourceType = 3
	Cluster         ResourceType = 4
	TransactionalID ResourceType = 5
	DelegationToken ResourceType = 6
	User            ResourceType = 7
)

// ClusterName is the name of the only resource of type Cluster.
const ClusterName = "kafka-cluster"

// Operation is something that can be done to a resource; the numbers are those of the protocol.
type Operation int8

// The operations.
const (
	AnyOperation    Operation = 1
	All             Operation = 2
	Read            Operation = 3
	Write           Operation = 4
	Create          Operation = 5
	Delete          Operation = 6
	Alter           Operation = 7
	Describe        Operation = 8
	ClusterAction   Operation = 9
	DescribeConfigs Operation = 10
	AlterConfigs    Operation = 11
	IdempotentWrite Operation = 12
	CreateTokens    Operation = 13
	DescribeTokens  Operation = 14
	TwoPhaseCommit  Operation = 15
)

// Caller is who asks and from where.
type Caller struct {
	Principal principal.Principal
	Host      netip.Addr
	Listener  string
}

// Action is an operation on a resource.
type Action struct {
	Operation Operation
	Type      ResourceType
	Name      string
}

// Authorizer decides. It must not wait for anything and is safe for concurrent use.
type Authorizer interface {
	// Authorize answers for each action, in order, whether the caller may do it.
	Authorize(ctx context.Context, who Caller, actions []Action) []bool
	// AuthorizeByType tells whether the caller may do op to at least one resource of the type.
	AuthorizeByType(ctx context.Context, who Caller, op Operation, t ResourceType) bool
	// Enabled is false if nobody is ever refused, in which case the requests about rules are answered with
	// SECURITY_DISABLED.
	Enabled() bool
}

// AllowAll lets everybody do everything.
type AllowAll struct{}

// Authorize answers true to everything.
func (AllowAll) Authorize(_ context.Context, _ Caller, actions []Action) []bool {
	out := make([]bool, len(actions))
	for i := range out {
		out[i] = true
	}
	return out
}

// AuthorizeByType answers true.
func (AllowAll) AuthorizeByType(context.Context, Caller, Operation, ResourceType) bool { return true }

// Enabled answers false.
func (AllowAll) Enabled() bool { return false }

// Allowed asks about a single action.
func Allowed(ctx context.Context, a Authorizer, who Caller, op Operation, t ResourceType, name string) bool {
	if _, all := a.(AllowAll); all {
		return true
	}
	return a.Authorize(ctx, who, []Action{{op, t, name}})[0]
}

// AllowedNames asks about one operation on several resources and returns the names that are allowed, in order.
func AllowedNames(ctx context.Context, a Authorizer, who Caller, op Operation, t ResourceType, names []string) []string {
	if _, all := a.(AllowAll); all {
		return names
	}
	actions := make([]Action, len(names))
	for i, n := range names {
		actions[i] = Action{op, t, n}
	}
	out := names[:0:0]
	for i, ok := range a.Authorize(ctx, who, actions) {
		if ok {
			out = append(out, names[i])
		}
	}
	return out
}

// supported are the operations that make sense for a resource type, as Kafka's AclEntry has them.
var supported = map[ResourceType][]Operation{
	Topic:           {Read, Write, Create, Describe, Delete, Alter, DescribeConfigs, AlterConfigs},
	Group:           {Read, Describe, Delete, DescribeConfigs, AlterConfigs},
	Cluster:         {Create, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite, Alter, Describe},
	TransactionalID: {Describe, Write, TwoPhaseCommit},
	DelegationToken: {Describe},
	User:            {CreateTokens, DescribeTokens},
}

// SupportedOperations returns the operations that make sense for t. The slice must not be changed.
func SupportedOperations(t ResourceType) []Operation { return supported[t] }

// AuthorizedOperations returns the bit field that Metadata, DescribeCluster and DescribeGroups answer when they
// are asked to: bit n stands for the operation with number n.
func AuthorizedOperations(ctx context.Context, a Authorizer, who Caller, t ResourceType, name string) int32 {
	ops := supported[t]
	actions := make([]Action, len(ops))
	for i, op := range ops {
		actions[i] = Action{op, t, name}
	}
	var bits int32
	for i, ok := range a.Authorize(ctx, who, actions) {
		if ok {
			bits |= 1 << ops[i]
		}
	}
	return bits
}
