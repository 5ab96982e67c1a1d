package handler

import (
	"github.com/weir-stream/weir/internal/security/audit"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// caller is who sent a request.
func caller(r *wire.Request) authz.Caller {
	return authz.CallerOf(r.Conn.Principal, r.Conn.Remote.Addr(), r.Conn.Listener)
}

// decide asks the authorizer or, on the path of records, where the same is asked again and again, the connection's memory of what
// it said.
func (b *Broker) decide(r *wire.Request, op authz.Operation, t authz.ResourceType, name string) bool {
	var m *authz.Memory
	if op == authz.Write || op == authz.Read {
		m, _ = r.Conn.Rights.(*authz.Memory)
	}
	return m.Authorize(b.Authorizer, r.Conn.Principal, r.Conn.Remote.Addr(), r.Conn.Listener, op, t, name)
}

// allowed asks whether the client may do something, and has the audit log told.
func (b *Broker) allowed(r *wire.Request, op authz.Operation, t authz.ResourceType, name string) bool {
	ok := b.decide(r, op, t, name)
	if b.Audit.Wants(ok) {
		b.audit(r, op, t, name, ok)
	}
	return ok
}

// visible is allowed where a denial is no refusal, as in Apache Kafka's log of its authorizer: lists leave out what the
// client may not see, and another right may do as well.
func (b *Broker) visible(r *wire.Request, op authz.Operation, t authz.ResourceType, name string) bool {
	ok := b.decide(r, op, t, name)
	if ok && b.Audit.Wants(true) {
		b.audit(r, op, t, name, true)
	}
	return ok
}

// mayWriteSomeTopic reports whether the client may write to any topic at all, which is enough for a producer id.
func (b *Broker) mayWriteSomeTopic(r *wire.Request) bool {
	ok := b.Authorizer.AuthorizeByType(caller(r), authz.Write, authz.Topic)
	if b.Audit.Wants(ok) {
		b.audit(r, authz.Write, authz.Topic, authz.Wildcard, ok)
	}
	return ok
}

// audit tells the audit log of a decision, unless writing it down would make the next one: nodes write and copy the topic of
// the audit log, and who reads it would find an event of each read in the next.
func (b *Broker) audit(r *wire.Request, op authz.Operation, t authz.ResourceType, name string, ok bool) {
	if b.AuditTopic != "" && b.ofAudit(r, op, name, ok) {
		return
	}
	b.Audit.Decided(&audit.Decision{Who: caller(r), ClientID: r.ClientID, API: wire.APIName(r.Key), Op: op, Type: t, Name: name, Allowed: ok})
}

func (b *Broker) ofAudit(r *wire.Request, op authz.Operation, name string, ok bool) bool {
	const produce, fetch = 0, 1
	switch r.Key {
	case produce:
		return name == b.AuditTopic && b.writesAudit(r)
	case fetch:
		return ok && (name == b.AuditTopic || op == authz.ClusterAction)
	}
	return false
}

// writesAudit reports whether the client may write to the topic of the audit log: nodes alone.
func (b *Broker) writesAudit(r *wire.Request) bool {
	return b.decide(r, authz.ClusterAction, authz.Cluster, authz.ClusterName)
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
