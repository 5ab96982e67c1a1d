package cli

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

// clusterNode is a broker or controller of the cluster.
type clusterNode struct {
	id   int32
	host string
	port int32
	rack string
}

// clusterNodes are the brokers of the cluster (or the controllers, for a client of bootstrap.controllers), by id.
func clusterNodes(ctx context.Context, admin *client.Admin) ([]clusterNode, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	raw, err := admin.Call(ctx, "listNodes", req)
	if err != nil {
		return nil, err
	}
	var nodes []clusterNode
	for _, b := range raw.(*kmsg.MetadataResponse).Brokers {
		n := clusterNode{id: b.NodeID, host: b.Host, port: b.Port}
		if b.Rack != nil {
			n.rack = *b.Rack
		}
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b clusterNode) int { return int(a.id - b.id) })
	return nodes, nil
}

// configEntry is one setting of a resource as DescribeConfigs tells it.
type configEntry struct {
	name      string
	value     string
	null      bool // a value that is not set, or may not be shown
	source    kmsg.ConfigSource
	sensitive bool
	synonyms  []configSynonym
}

type configSynonym struct {
	name, value string
	null        bool
	source      kmsg.ConfigSource
}

// isDefault tells whether the value comes from no configuration at all.
func (e configEntry) isDefault() bool { return e.source == kmsg.ConfigSourceDefaultConfig }

// shown is the value as Java prints it.
func shown(value string, null bool) string {
	if null {
		return "null"
	}
	return value
}

type describedConfigs struct {
	entries []configEntry // in the broker's order
	err     error
}

// describeConfigs asks for the settings of resources of one kind. The error is of the call as a whole.
func describeConfigs(ctx context.Context, admin *client.Admin, kind kmsg.ConfigResourceType, names []string, synonyms bool) (map[string]describedConfigs, error) {
	out := map[string]describedConfigs{}
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = synonyms
	for _, name := range names {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		req.Resources = append(req.Resources, r)
	}
	for _, shard := range admin.CallSharded(ctx, "describeConfigs", req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, r := range shard.Resp.(*kmsg.DescribeConfigsResponse).Resources {
			d := describedConfigs{err: client.Coded(r.ErrorCode, r.ErrorMessage)}
			for _, c := range r.Configs {
				d.entries = append(d.entries, toConfigEntry(c))
			}
			out[r.ResourceName] = d
		}
	}
	return out, nil
}

func toConfigEntry(c kmsg.DescribeConfigsResponseResourceConfig) configEntry {
	e := configEntry{name: c.Name, source: c.Source, sensitive: c.IsSensitive, null: c.Value == nil}
	if c.Value != nil {
		e.value = *c.Value
	}
	for _, s := range c.ConfigSynonyms {
		syn := configSynonym{name: s.Name, source: s.Source, null: s.Value == nil}
		if s.Value != nil {
			syn.value = *s.Value
		}
		e.synonyms = append(e.synonyms, syn)
	}
	return e
}
