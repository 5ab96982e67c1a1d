// Package authz decides who may do what. It has Kafka's resource types and operations, the Authorizer that every
// handler asks, AllowAll for a broker without one, and Standard, which decides by access control lists as Apache
// Kafka's StandardAuthorizer does. It knows no protocol messages and no cluster state: who follows the metadata
// (node) hands it the entries.
package authz

import (
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

// Authorizer decides. It must not wait for anything and is safe for concurrent use.
type Authorizer interface {
	// Authorize tells whether the caller may do op to the resource.
	Authorize(who Caller, op Operation, t ResourceType, name string) bool
	// AuthorizeByType tells whether the caller may do op to at least one resource of the type.
	AuthorizeByType(who Caller, op Operation, t ResourceType) bool
	// Enabled is false if nobody is ever refused, in which case the requests about rules are answered with
	// SECURITY_DISABLED.
	Enabled() bool
}

// AllowAll lets everybody do everything.
type AllowAll struct{}

// Authorize answers true.
func (AllowAll) Authorize(Caller, Operation, ResourceType, string) bool { return true }

// AuthorizeByType answers true.
func (AllowAll) AuthorizeByType(Caller, Operation, ResourceType) bool { return true }

// Enabled answers false.
func (AllowAll) Enabled() bool { return false }

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
func AuthorizedOperations(a Authorizer, who Caller, t ResourceType, name string) int32 {
	var bits int32
	for _, op := range supported[t] {
		if a.Authorize(who, op, t, name) {
			bits |= 1 << op
		}
	}
	return bits
}

// The names of Kafka's enums, by their numbers; kafka-acls prints them, and the audit log.
var (
	resourceNames   = [...]string{"UNKNOWN", "ANY", "TOPIC", "GROUP", "CLUSTER", "TRANSACTIONAL_ID", "DELEGATION_TOKEN", "USER"}
	patternNames    = [...]string{"UNKNOWN", "ANY", "MATCH", "LITERAL", "PREFIXED"}
	permissionNames = [...]string{"UNKNOWN", "ANY", "DENY", "ALLOW"}
	operationNames  = [...]string{"UNKNOWN", "ANY", "ALL", "READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "CLUSTER_ACTION",
		"DESCRIBE_CONFIGS", "ALTER_CONFIGS", "IDEMPOTENT_WRITE", "CREATE_TOKENS", "DESCRIBE_TOKENS", "TWO_PHASE_COMMIT"}
)

func nameOf[N ~int8](names []string, n N) string {
	if n < 0 || int(n) >= len(names) {
		n = 0 // of a later Kafka
	}
	return names[n]
}

// String is Kafka's name of the type.
func (t ResourceType) String() string { return nameOf(resourceNames[:], t) }

// String is Kafka's name of the pattern type.
func (p PatternType) String() string { return nameOf(patternNames[:], p) }

// String is Kafka's name of the operation.
func (o Operation) String() string { return nameOf(operationNames[:], o) }

// String is Kafka's name of the permission.
func (p Permission) String() string { return nameOf(permissionNames[:], p) }
