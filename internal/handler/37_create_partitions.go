package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// CreatePartitions, versions 0 to 3 (KIP-195): 2 is flexible, 3 brought quota errors.
func (b *Broker) handleCreatePartitions(r *wire.Request) {
	req := r.Body.(*kmsg.CreatePartitionsRequest)
	kept := req.Topics[:0:0]
	var refused []kmsg.CreatePartitionsResponseTopic
	for _, t := range req.Topics {
		if b.allowed(r, authz.Alter, authz.Topic, t.Topic) {
			kept = append(kept, t)
			continue
		}
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic, rt.ErrorCode = t.Topic, int16(wire.TopicAuthorizationFailed)
		refused = append(refused, rt)
	}
	req.Topics = kept
	b.forward(r, req, func(resp kmsg.Response) {
		out := resp.(*kmsg.CreatePartitionsResponse)
		out.Topics = append(out.Topics, refused...)
	})
}
