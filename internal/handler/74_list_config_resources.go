package handler

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// ListConfigResources, versions 0 and 1: 0 lists client-metrics subscriptions (KIP-714), 1 any types of resources
// (KIP-1142). Topics and brokers are listed whether anything is set on them or not.
func (b *Broker) handleListConfigResources(r *wire.Request) {
	req := r.Body.(*kmsg.ListConfigResourcesRequest)
	resp := req.ResponseKind().(*kmsg.ListConfigResourcesResponse)
	if !b.allowed(r, authz.DescribeConfigs, authz.Cluster, authz.ClusterName) {
		resp.ErrorCode = int16(wire.ClusterAuthorizationFailed)
		r.Reply(resp)
		return
	}
	types := req.ResourceTypes
	if req.Version == 0 {
		types = []int8{int8(config.ResourceClientMetrics)}
	} else if len(types) == 0 {
		for _, t := range configTypes {
			types = append(types, int8(t))
		}
	}
	for i, t := range types {
		if !knownConfigType(config.ResourceType(t)) {
			resp.ErrorCode = int16(wire.UnsupportedVersion)
			resp.ConfigResources = nil
			r.Reply(resp)
			return
		}
		if slices.Contains(types[:i], t) {
			continue
		}
		for _, name := range b.configResourceNames(config.ResourceType(t)) {
			res := kmsg.NewListConfigResourcesResponseConfigResource()
			res.Name, res.Type = name, t
			resp.ConfigResources = append(resp.ConfigResources, res)
		}
	}
	r.Reply(resp)
}

func (b *Broker) configResourceNames(t config.ResourceType) (names []string) {
	img := b.Image()
	switch t {
	case config.ResourceTopic:
		for _, topic := range img.SortedTopics() {
			names = append(names, topic.Name)
		}
	case config.ResourceBroker, config.ResourceBrokerLogger:
		for broker := range img.Brokers() {
			names = append(names, itoa(int(broker.ID)))
		}
	case config.ResourceClientMetrics:
		names = img.ConfigNames(image.ClientMetricsConfig)
	case config.ResourceGroup:
		names = img.ConfigNames(image.GroupConfig)
	}
	return names
}
