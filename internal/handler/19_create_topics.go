package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// CreateTopics, versions 2 to 7.
//
//	4 default partitions and replicas (-1)    5 flexible, answers with the topic's configs (KIP-525)
//	6 quota errors (KIP-599)                  7 topic id
func (b *Broker) handleCreateTopics(r *wire.Request) {
	req := r.Body.(*kmsg.CreateTopicsRequest)
	anyTopic := b.visible(r, authz.Create, authz.Cluster, authz.ClusterName)
	kept := req.Topics[:0:0]
	var refused []kmsg.CreateTopicsResponseTopic
	for _, t := range req.Topics {
		switch {
		case t.Topic == metadataTopic:
			refused = append(refused, refusedTopic(t.Topic, wire.InvalidRequest, "Creation of internal topic "+metadataTopic+" is prohibited."))
		case anyTopic || b.allowed(r, authz.Create, authz.Topic, t.Topic):
			kept = append(kept, t)
		default:
			refused = append(refused, refusedTopic(t.Topic, wire.TopicAuthorizationFailed, "Authorization failed."))
		}
	}
	req.Topics = kept
	b.forward(r, req, func(resp kmsg.Response) {
		out := resp.(*kmsg.CreateTopicsResponse)
		for i := range out.Topics {
			b.hideConfigs(r, &out.Topics[i])
		}
		out.Topics = append(out.Topics, refused...)
	})
}

// hideConfigs takes the new topic's configs out of the answer for those who may not describe them.
func (b *Broker) hideConfigs(r *wire.Request, t *kmsg.CreateTopicsResponseTopic) {
	if t.ErrorCode != 0 || b.visible(r, authz.DescribeConfigs, authz.Topic, t.Topic) {
		return
	}
	t.ConfigErrorCode = int16(wire.TopicAuthorizationFailed)
	t.NumPartitions, t.ReplicationFactor, t.Configs = -1, -1, nil
}

func refusedTopic(name string, code wire.Code, msg string) kmsg.CreateTopicsResponseTopic {
	t := kmsg.NewCreateTopicsResponseTopic()
	t.Topic, t.ErrorCode, t.ErrorMessage = name, int16(code), &msg
	t.NumPartitions, t.ReplicationFactor, t.Configs = -1, -1, []kmsg.CreateTopicsResponseTopicConfig{}
	return t
}
