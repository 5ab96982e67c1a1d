package handler

import (
	"github.com/weir-stream/weir/internal/security/audit"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/security/principal"
	"github.com/weir-stream/weir/internal/wire"
)

// errTransactions is the one answer to everything that needs a transaction coordinator, which this broker does not
// have: clients take it as final, and it says what is missing.
const errTransactions = wire.UnsupportedVersion

// caller is who sent a request. Who has no principal of the usual form has no name to be given rights by.
func caller(r *wire.Request) authz.Caller {
	p, err := principal.Parse(r.Conn.Principal)
	if err != nil {
		p = principal.Principal{}
	}
	return authz.Caller{Principal: p, Host: r.Conn.Remote.Addr(), Listener: r.Conn.Listener}
}

// allowed asks the authorizer, and has the audit log told.
func (b *Broker) allowed(r *wire.Request, op authz.Operation, t authz.ResourceType, name string) bool {
	who := caller(r)
	ok := b.Authorizer.Authorize(who, op, t, name)
	if b.Audit.Wants(ok) {
		b.audit(r, who, op, t, name, ok)
	}
	return ok
}

// visible is allowed where a denial is no refusal, as in Apache Kafka's log of its authorizer: lists leave out what the
// client may not see, and another right may do as well.
func (b *Broker) visible(r *wire.Request, op authz.Operation, t authz.ResourceType, name string) bool {
	who := caller(r)
	ok := b.Authorizer.Authorize(who, op, t, name)
	if ok && b.Audit.Wants(true) {
		b.audit(r, who, op, t, name, true)
	}
	return ok
}

// mayWriteSomeTopic reports whether the client may write to any topic at all, which is enough for a producer id.
func (b *Broker) mayWriteSomeTopic(r *wire.Request) bool {
	who := caller(r)
	ok := b.Authorizer.AuthorizeByType(who, authz.Write, authz.Topic)
	if b.Audit.Wants(ok) {
		b.audit(r, who, authz.Write, authz.Topic, authz.Wildcard, ok)
	}
	return ok
}

func (b *Broker) audit(r *wire.Request, who authz.Caller, op authz.Operation, t authz.ResourceType, name string, ok bool) {
	b.Audit.Decided(&audit.Decision{Who: who, ClientID: r.ClientID, API: wire.APIName(r.Key), Op: op, Type: t, Name: name, Allowed: ok})
}

// clusterOperations and topicOperations are the bit fields that clients ask for; 0 for who may not describe.
func (b *Broker) clusterOperations(r *wire.Request) int32 {
	if !b.visible(r, authz.Describe, authz.Cluster, authz.ClusterName) {
		return 0
	}
	return authz.AuthorizedOperations(b.Authorizer, caller(r), authz.Cluster, authz.ClusterName)
}

func (b *Broker) topicOperations(r *wire.Request, name string) int32 {
	return authz.AuthorizedOperations(b.Authorizer, caller(r), authz.Topic, name)
}
