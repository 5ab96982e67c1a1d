package image

import (
	"slices"
	"strings"
)

// QuotaEntity is what a client quota applies to, by type (user, client-id, ip). A nil name is the default entity.
type QuotaEntity []QuotaEntityPart

// QuotaEntityPart is one type and name of a QuotaEntity.
type QuotaEntityPart struct {
	Type string
	Name *string
}

// key is equal for equal entities, whatever the order of their parts.
func (e QuotaEntity) key() string {
	parts := make([]string, len(e))
	for i, p := range e {
		if p.Name == nil {
			parts[i] = p.Type + "\x00d"
		} else {
			parts[i] = p.Type + "\x00n" + *p.Name
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "\x01")
}

// ClientQuota is the quotas of one entity. Immutable.
type ClientQuota struct {
	Entity QuotaEntity
	Values map[string]float64
}

// ACL is one access control entry. Immutable.
type ACL struct {
	ID UUID
	ACLRule
}

// ACLRule is what an access control entry says.
type ACLRule struct {
	ResourceType int8
	ResourceName string
	PatternType  int8
	Principal    string
	Host         string
	Operation    int8
	Permission   int8
}

// ScramKey names a SCRAM credential.
type ScramKey struct {
	User      string
	Mechanism int8 // 1 SCRAM-SHA-256, 2 SCRAM-SHA-512
}

// ScramCredential is one SCRAM credential. Immutable; the byte slices must not be logged.
type ScramCredential struct {
	ScramKey
	Salt, StoredKey, ServerKey []byte
	Iterations                 int32
}

// DelegationToken is one delegation token without its secret. Immutable.
type DelegationToken struct {
	TokenID                      string
	Owner, Requester             string
	Renewers                     []string
	IssueMs, MaxMs, ExpirationMs int64
}

// Concerns reports whether a principal is the token's owner, who asked for it, or one of its renewers.
func (t *DelegationToken) Concerns(principal string) bool {
	return principal == t.Requester || t.RenewableBy(principal)
}

// RenewableBy reports whether a principal may renew the token and end it: its owner and its renewers.
func (t *DelegationToken) RenewableBy(principal string) bool {
	return principal == t.Owner || slices.Contains(t.Renewers, principal)
}

// ExpiredAt reports whether the token is not valid any more, at a time in milliseconds since 1970.
func (t *DelegationToken) ExpiredAt(ms int64) bool { return t.MaxMs < ms || t.ExpirationMs < ms }
