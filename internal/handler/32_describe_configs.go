package handler

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// DescribeConfigs, versions 1 to 4.
//
//	1 synonyms and sources (KIP-226)      3 type and documentation (KIP-569)      4 flexible
func (b *Broker) handleDescribeConfigs(r *wire.Request) {
	req := r.Body.(*kmsg.DescribeConfigsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	resp.Resources = make([]kmsg.DescribeConfigsResponseResource, 0, len(req.Resources))
	for i := range req.Resources {
		res := &req.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = res.ResourceType, res.ResourceName
		out.Configs = []kmsg.DescribeConfigsResponseResourceConfig{}
		entries, err := b.describeResource(r, res)
		text := message(err) // Kafka answers the empty text where it has nothing to say
		out.ErrorCode, out.ErrorMessage = int16(wire.CodeOf(err)), &text
		for _, e := range entries {
			out.Configs = append(out.Configs, describedConfig(e, req.IncludeSynonyms, req.IncludeDocumentation))
		}
		resp.Resources = append(resp.Resources, out)
	}
	r.Reply(resp)
}

// describeResource returns the settings of one resource, all of them if the request names none.
func (b *Broker) describeResource(r *wire.Request, res *kmsg.DescribeConfigsRequestResource) ([]config.Entry, error) {
	t, name := config.ResourceType(res.ResourceType), res.ResourceName
	if err := b.mayConfigure(r, authz.DescribeConfigs, t, name); err != nil {
		return nil, err
	}
	cfg, img := b.Config(), b.Image()
	switch t {
	case config.ResourceTopic:
		if err := validTopicName(name); err != nil {
			return nil, err
		}
		if img.TopicByName(name) == nil {
			return nil, wire.UnknownTopicOrPartition
		}
		return cfg.DescribeTopic(img.Config(image.TopicConfig, name), res.ConfigNames), nil
	case config.ResourceBroker:
		if name == "" {
			return cfg.DescribeBrokerDefault(res.ConfigNames), nil
		}
		if err := b.isThisBroker(name, " or empty string,"); err != nil {
			return nil, err
		}
		return cfg.DescribeBroker(res.ConfigNames), nil
	case config.ResourceBrokerLogger:
		if name == "" {
			return nil, failure(wire.InvalidRequest, "Broker id must not be empty")
		}
		if err := b.isThisBroker(name, ""); err != nil {
			return nil, err
		}
		return describeLoggers(b.Loggers, res.ConfigNames), nil
	case config.ResourceClientMetrics:
		if name == "" {
			return nil, failure(wire.InvalidRequest, "Client metrics subscription name must not be empty")
		}
		return config.DescribeClientMetrics(img.Config(image.ClientMetricsConfig, name), res.ConfigNames), nil
	case config.ResourceGroup:
		if name == "" {
			return nil, failure(wire.InvalidRequest, "Group name must not be empty")
		}
		return cfg.DescribeGroup(img.Config(image.GroupConfig, name), res.ConfigNames), nil
	}
	return nil, failure(wire.InvalidRequest, "Unexpected resource type "+resourceTypeName(t)+" for resource "+name)
}

// isThisBroker refuses the id of another broker; alternatives is what else the sentence says could be given.
func (b *Broker) isThisBroker(name, alternatives string) error {
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return failure(wire.InvalidRequest, "Broker id must be an integer, but it is: "+name)
	}
	if int32(id) != b.NodeID {
		return failure(wire.InvalidRequest, "Unexpected broker id, expected "+itoa(int(b.NodeID))+alternatives+" but received "+name)
	}
	return nil
}

func describedConfig(e config.Entry, synonyms, doc bool) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.ReadOnly, c.IsSensitive = e.Name, e.Value, e.ReadOnly, e.Sensitive
	c.Source, c.IsDefault = kmsg.ConfigSource(e.Source), e.Source == config.SourceDefault
	c.ConfigType = kmsg.ConfigType(e.Type)
	c.ConfigSynonyms = []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{}
	if synonyms {
		for _, s := range e.Synonyms {
			syn := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			syn.Name, syn.Value, syn.Source = s.Name, s.Value, kmsg.ConfigSource(s.Source)
			c.ConfigSynonyms = append(c.ConfigSynonyms, syn)
		}
	}
	if doc && e.Doc != "" || e.Source == config.SourceBrokerLogger {
		c.Documentation = &e.Doc
	}
	return c
}

// mayConfigure asks for the right to read or change the settings of a resource.
func (b *Broker) mayConfigure(r *wire.Request, op authz.Operation, t config.ResourceType, name string) error {
	switch t {
	case config.ResourceTopic:
		if !b.allowed(r, op, authz.Topic, name) {
			return wire.TopicAuthorizationFailed
		}
	case config.ResourceGroup:
		if !b.allowed(r, op, authz.Group, name) {
			return wire.GroupAuthorizationFailed
		}
	case config.ResourceBroker, config.ResourceBrokerLogger, config.ResourceClientMetrics:
		if !b.allowed(r, op, authz.Cluster, authz.ClusterName) {
			return wire.ClusterAuthorizationFailed
		}
	}
	return nil
}

func resourceTypeName(t config.ResourceType) string {
	names := map[config.ResourceType]string{config.ResourceTopic: "TOPIC", config.ResourceBroker: "BROKER", config.ResourceBrokerLogger: "BROKER_LOGGER",
		config.ResourceClientMetrics: "CLIENT_METRICS", config.ResourceGroup: "GROUP"}
	if n, ok := names[t]; ok {
		return n
	}
	return "UNKNOWN"
}

// configTypes are the types of resources that have settings of their own in the metadata.
var configTypes = []config.ResourceType{config.ResourceTopic, config.ResourceBroker, config.ResourceBrokerLogger, config.ResourceClientMetrics, config.ResourceGroup}

func knownConfigType(t config.ResourceType) bool { return slices.Contains(configTypes, t) }
