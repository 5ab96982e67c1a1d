package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// ConsumerGroupHeartbeat, versions 0 and 1 (KIP-848): 1 regular expressions, members make their own ids (KIP-1082).
func (b *Broker) handleConsumerGroupHeartbeat(r *wire.Request) {
	req := r.Body.(*kmsg.ConsumerGroupHeartbeatRequest)
	switch {
	case !b.servesConsumerGroups():
		r.Reply(wire.ErrorResponse(req, wire.UnsupportedVersion, ""))
		return
	case !b.allowed(r, authz.Read, authz.Group, req.Group):
		r.Reply(wire.ErrorResponse(req, wire.GroupAuthorizationFailed, ""))
		return
	}
	ok := true
	for _, t := range req.SubscribedTopicNames {
		ok = b.visible(r, authz.Describe, authz.Topic, t) && ok
	}
	if !ok {
		r.Reply(wire.ErrorResponse(req, wire.TopicAuthorizationFailed, ""))
		return
	}
	client := group.Client{ID: r.ClientID, Host: "/" + r.Conn.Remote.Addr().String()}
	// Regular expressions are resolved when the request is gone.
	who := caller(r)
	visible := func(topic string) bool { return b.Authorizer.Authorize(who, authz.Describe, authz.Topic, topic) }
	b.Groups.ConsumerHeartbeat(client, visible, req, func(resp *kmsg.ConsumerGroupHeartbeatResponse) { r.Reply(resp) })
}

// servesConsumerGroups reports whether the cluster has finalized group.version 1.
func (b *Broker) servesConsumerGroups() bool {
	return b.Image().Finalized(image.FeatureGroup) >= 1 && b.consumerProtocol
}
