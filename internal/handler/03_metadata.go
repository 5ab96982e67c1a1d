package handler

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// Metadata, versions 0 to 13.
//
//	0 no topics means all     5 offline replicas      10 topic ids in answers (KIP-516)
//	1 null means all          7 leader epochs         11 no cluster operations any more
//	4 auto creation on wish   8 authorized operations 12 topics by id
//	                          9 flexible              13 top-level error (KIP-1102)
//
// A topic that is created because it was asked for is answered with UNKNOWN_TOPIC_OR_PARTITION while it is being made,
// as in Apache Kafka: the client asks again.
func (b *Broker) handleMetadata(r *wire.Request) {
	req := r.Body.(*kmsg.MetadataRequest)
	if r.Version < 12 && slices.ContainsFunc(req.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.Topic == nil || t.TopicID != (wire.TopicID{}) }) {
		resp := wire.ErrorResponse(req, wire.InvalidRequest, "").(*kmsg.MetadataResponse) // ids in requests came with version 12
		resp.ErrorCode = 0
		r.Reply(resp)
		return
	}
	if missing := b.missingTopics(r, req); len(missing) > 0 {
		b.autoCreate(r, missing)
	}
	r.Reply(b.metadata(r, req))
}

// missingTopics names the topics of the request that do not exist and may be created now.
func (b *Broker) missingTopics(r *wire.Request, req *kmsg.MetadataRequest) []string {
	if !b.createsOnDemand(r, req) {
		return nil
	}
	img := b.Image()
	var missing []string
	for i := range req.Topics {
		name := req.Topics[i].Topic
		if name == nil || req.Topics[i].TopicID != (wire.TopicID{}) || img.TopicByName(*name) != nil || checkTopicName(*name) != nil {
			continue
		}
		if b.allowed(r, authz.Describe, authz.Topic, *name) && b.mayCreate(r, *name) && !slices.Contains(missing, *name) {
			missing = append(missing, *name)
		}
	}
	return missing
}

// createsOnDemand reports whether topics of the request that do not exist are to be made.
func (b *Broker) createsOnDemand(r *wire.Request, req *kmsg.MetadataRequest) bool {
	return (r.Version < 4 || req.AllowAutoTopicCreation) && b.Config().Bool("auto.create.topics.enable")
}

func (b *Broker) mayCreate(r *wire.Request, topic string) bool {
	return b.visible(r, authz.Create, authz.Cluster, authz.ClusterName) || b.allowed(r, authz.Create, authz.Topic, topic)
}

// autoCreate has topics created with the broker's defaults, in the background, each by one request at a time.
func (b *Broker) autoCreate(r *wire.Request, names []string) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	req.TimeoutMillis = 30_000
	for _, name := range names {
		if _, busy := b.creating.LoadOrStore(strings.Clone(name), true); !busy {
			req.Topics = append(req.Topics, b.newTopic(strings.Clone(name)))
		}
	}
	if len(req.Topics) == 0 {
		return
	}
	rc := requestContext(r)
	done := func() {
		for _, t := range req.Topics {
			b.creating.Delete(t.Topic)
		}
	}
	started := b.Group.Go("auto create", func(ctx context.Context) {
		defer done()
		resp, err := b.Controller.Handle(ctx, rc, req)
		if err != nil {
			b.Logger.Warn("topics that were asked for could not be created", "err", err)
			return
		}
		for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
			if code := wire.Code(t.ErrorCode); code != wire.None && code != wire.TopicAlreadyExists {
				b.Logger.Warn("a topic that was asked for could not be created", "topic", t.Topic, "error", code, "message", deref(t.ErrorMessage))
			}
		}
	})
	if !started {
		done()
	}
}

// metadata builds the answer from the present image.
func (b *Broker) metadata(r *wire.Request, req *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	img := b.Image()
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	resp.ClusterID = &b.ClusterID
	resp.ControllerID = b.someBroker(img)
	resp.AuthorizedOperations = -1 << 31
	if r.Version >= 8 && r.Version <= 10 && req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = b.clusterOperations(r)
	}
	for br := range img.Brokers() {
		if ep, ok := br.Endpoint(r.Conn.Listener); ok && !br.Fenced {
			mb := kmsg.NewMetadataResponseBroker()
			mb.NodeID, mb.Host, mb.Port, mb.Rack = br.ID, ep.Host, int32(ep.Port), br.Rack
			resp.Brokers = append(resp.Brokers, mb)
		}
	}
	if req.Topics == nil || (r.Version == 0 && len(req.Topics) == 0) {
		for t := range img.Topics() {
			if b.visible(r, authz.Describe, authz.Topic, t.Name) {
				resp.Topics = append(resp.Topics, b.topicMetadata(r, req, img, t))
			}
		}
		return resp
	}
	type asked struct {
		name string
		id   wire.TopicID
	}
	seen := make(map[asked]bool, len(req.Topics))
	byID := slices.ContainsFunc(req.Topics, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != (wire.TopicID{}) })
	for i := range req.Topics {
		key := asked{id: req.Topics[i].TopicID}
		if byID && key.id == (wire.TopicID{}) {
			continue // a request by ids is not about names, as in Kafka
		}
		if name := req.Topics[i].Topic; name != nil {
			key.name = *name
		}
		if !seen[key] {
			seen[key] = true
			resp.Topics = append(resp.Topics, b.askedTopic(r, req, img, &req.Topics[i]))
		}
	}
	return resp
}

// askedTopic answers for one topic that was asked for by name or id.
func (b *Broker) askedTopic(r *wire.Request, req *kmsg.MetadataRequest, img *image.Image, asked *kmsg.MetadataRequestTopic) kmsg.MetadataResponseTopic {
	none := func(code wire.Code) kmsg.MetadataResponseTopic {
		t := kmsg.NewMetadataResponseTopic()
		t.ErrorCode, t.Topic, t.TopicID = int16(code), asked.Topic, asked.TopicID
		if asked.Topic != nil {
			t.IsInternal = internalTopic(*asked.Topic)
		}
		return t
	}
	if asked.TopicID != (wire.TopicID{}) || asked.Topic == nil {
		t := img.TopicByID(asked.TopicID)
		if t == nil {
			return none(wire.UnknownTopicId)
		}
		if !b.allowed(r, authz.Describe, authz.Topic, t.Name) {
			hidden := none(wire.TopicAuthorizationFailed) // its name must not be learned from its id
			hidden.Topic = nil
			return hidden
		}
		return b.topicMetadata(r, req, img, t)
	}
	name := *asked.Topic
	if !b.allowed(r, authz.Describe, authz.Topic, name) {
		return none(wire.TopicAuthorizationFailed)
	}
	if t := img.TopicByName(name); t != nil {
		return b.topicMetadata(r, req, img, t)
	}
	code := wire.UnknownTopicOrPartition
	switch {
	case checkTopicName(name) != nil:
		code = wire.InvalidTopicException
	case b.createsOnDemand(r, req) && !b.mayCreate(r, name):
		return none(wire.TopicAuthorizationFailed)
	}
	out := none(code)
	if r.Version >= 8 && req.IncludeTopicAuthorizedOperations {
		out.AuthorizedOperations = b.topicOperations(r, name)
	}
	return out
}

func (b *Broker) topicMetadata(r *wire.Request, req *kmsg.MetadataRequest, img *image.Image, t *image.Topic) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &t.Name, t.ID, internalTopic(t.Name)
	if r.Version >= 8 && req.IncludeTopicAuthorizedOperations {
		out.AuthorizedOperations = b.topicOperations(r, t.Name)
	}
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, 0, len(t.Partitions))
	for i := range t.Partitions {
		p := t.Partitions[i]
		mp := kmsg.NewMetadataResponseTopicPartition()
		mp.Partition, mp.LeaderEpoch = int32(i), p.LeaderEpoch
		mp.Replicas, mp.ISR = p.Replicas, p.ISR
		mp.OfflineReplicas = b.offlineReplicas(img, p)
		mp.Leader = p.Leader
		switch br := img.Broker(p.Leader); {
		case p.Leader < 0 || br == nil || br.Fenced:
			mp.ErrorCode, mp.Leader = int16(wire.LeaderNotAvailable), -1
		default:
			if _, ok := br.Endpoint(r.Conn.Listener); !ok {
				mp.ErrorCode, mp.Leader = int16(wire.ListenerNotFound), -1
				if r.Version < 6 {
					mp.ErrorCode = int16(wire.LeaderNotAvailable)
				}
			}
		}
		if r.Version == 0 { // which has no offline replicas, but an error for them
			mp.Replicas, mp.ISR = reachable(img, p.Replicas, r.Conn.Listener), reachable(img, p.ISR, r.Conn.Listener)
			if mp.ErrorCode == 0 && (len(mp.Replicas) < len(p.Replicas) || len(mp.ISR) < len(p.ISR)) {
				mp.ErrorCode = int16(wire.ReplicaNotAvailable)
			}
		}
		out.Partitions = append(out.Partitions, mp)
	}
	return out
}
