package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// DeleteTopics, versions 1 to 6.
//
//	4 flexible    5 error message    6 topics by id (KIP-516)
//
// Who may not describe a topic learns nothing of it: asked by id, even its name is left out.
func (b *Broker) handleDeleteTopics(r *wire.Request) {
	req := r.Body.(*kmsg.DeleteTopicsRequest)
	if !b.Config().Bool("delete.topic.enable") {
		code := wire.TopicDeletionDisabled
		if r.Version < 3 {
			code = wire.InvalidRequest
		}
		r.Reply(wire.ErrorResponse(req, code, "Topic deletion is disabled."))
		return
	}
	var refused []kmsg.DeleteTopicsResponseTopic
	names := req.TopicNames[:0:0]
	for _, name := range req.TopicNames {
		if code := b.mayDelete(r, name); code != wire.None {
			t := kmsg.NewDeleteTopicsResponseTopic()
			t.Topic, t.ErrorCode = &name, int16(code)
			refused = append(refused, t)
			continue
		}
		names = append(names, name)
	}
	topics := req.Topics[:0:0]
	for _, t := range req.Topics {
		name, known := b.topicName(t.Topic, t.TopicID)
		code := wire.None
		if known {
			code = b.mayDelete(r, name)
		}
		if code != wire.None {
			rt := kmsg.NewDeleteTopicsResponseTopic()
			rt.Topic, rt.TopicID, rt.ErrorCode = t.Topic, t.TopicID, int16(code)
			refused = append(refused, rt)
			continue
		}
		topics = append(topics, t)
	}
	req.TopicNames, req.Topics = names, topics
	if len(refused) > 0 && len(names)+len(topics) == 0 {
		resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
		resp.Topics = refused
		r.Reply(resp)
		return
	}
	b.ask(r, req, func(resp kmsg.Response) {
		out := resp.(*kmsg.DeleteTopicsResponse)
		out.Topics = append(out.Topics, refused...)
		r.Reply(out)
	})
}

// mayDelete is NONE, or what to answer: to who may see the topic, that it is not there if it is not.
func (b *Broker) mayDelete(r *wire.Request, name string) wire.Code {
	switch {
	case b.allowed(r, authz.Delete, authz.Topic, name):
		return wire.None
	case b.Image().TopicByName(name) == nil && b.allowed(r, authz.Describe, authz.Topic, name):
		return wire.UnknownTopicOrPartition
	}
	return wire.TopicAuthorizationFailed
}

// topicName is the name that a request means, by name or id, and whether it is known.
func (b *Broker) topicName(name *string, id wire.TopicID) (string, bool) {
	if name != nil {
		return *name, true
	}
	if t := b.Image().TopicByID(id); t != nil {
		return t.Name, true
	}
	return "", false
}
