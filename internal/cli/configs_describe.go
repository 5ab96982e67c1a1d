package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

func (c *configs) describeEntities(ctx context.Context) error {
	switch c.types[0] {
	case entityUsers, entityClients:
		if err := c.describeQuotas(ctx); err != nil {
			return err
		}
		if c.has(entityClients) || c.hasDefault() {
			return nil
		}
		return c.describeCredentials(ctx)
	case entityIPs:
		return c.describeQuotas(ctx)
	}
	var name *string
	if len(c.names) > 0 {
		name = &c.names[0]
	}
	return c.describeResources(ctx, c.types[0], name)
}

// describeResources describes one entity, or all of a type.
func (c *configs) describeResources(ctx context.Context, entity string, name *string) error {
	singular := entity[:len(entity)-1]
	names := []string{}
	if name == nil {
		var err error
		if names, err = c.entityNames(ctx, entity); err != nil {
			return err
		}
	} else {
		known, err := c.exists(ctx, entity, *name)
		if err != nil {
			return err
		}
		if !known {
			fmt.Fprintf(c.env.Stdout, "The %s '%s' doesn't exist and doesn't have dynamic config.\n", singular, *name)
			return nil
		}
		names = append(names, *name)
	}
	for _, n := range names {
		kind := "Dynamic"
		if c.all.Present() {
			kind = "All"
		}
		if entity == entityBrokers && n == "" {
			fmt.Fprintf(c.env.Stdout, "Default configs for %s in the cluster are:\n", entity)
		} else {
			fmt.Fprintf(c.env.Stdout, "%s configs for %s %s are:\n", kind, singular, n)
		}
		entries, err := c.resourceConfigs(ctx, entity, n)
		if err != nil {
			return err
		}
		c.printConfigs(entity, n, entries)
	}
	return nil
}

// ownSources are the sources of settings that were made for an entity itself; the others are shown with --all only.
func ownSource(entity, name string, source kmsg.ConfigSource) bool {
	switch entity {
	case entityTopics:
		return source == kmsg.ConfigSourceDynamicTopicConfig
	case entityBrokers:
		if name == "" {
			return source == kmsg.ConfigSourceDynamicDefaultBrokerConfig
		}
		return source == kmsg.ConfigSourceDynamicBrokerConfig
	case entityClientMetrics:
		return source == kmsg.ConfigSourceClientMetricsConfig
	case entityGroups:
		return source == kmsg.ConfigSourceGroupConfig
	}
	return true
}

func (c *configs) printConfigs(entity, name string, entries []configEntry) {
	slices.SortFunc(entries, func(a, b configEntry) int { return strings.Compare(a.name, b.name) })
	for _, e := range entries {
		if !c.all.Present() && !ownSource(entity, name, e.source) {
			continue
		}
		var synonyms []string
		for _, s := range e.synonyms {
			synonyms = append(synonyms, sourceName(s.source)+":"+s.name+"="+shown(s.value, s.null))
		}
		fmt.Fprintf(c.env.Stdout, "  %s=%s sensitive=%t synonyms={%s}\n", e.name, shown(e.value, e.null), e.sensitive, strings.Join(synonyms, ", "))
	}
}

var sourceNames = map[kmsg.ConfigSource]string{
	kmsg.ConfigSourceDynamicTopicConfig:         "DYNAMIC_TOPIC_CONFIG",
	kmsg.ConfigSourceDynamicBrokerConfig:        "DYNAMIC_BROKER_CONFIG",
	kmsg.ConfigSourceDynamicDefaultBrokerConfig: "DYNAMIC_DEFAULT_BROKER_CONFIG",
	kmsg.ConfigSourceStaticBrokerConfig:         "STATIC_BROKER_CONFIG",
	kmsg.ConfigSourceDefaultConfig:              "DEFAULT_CONFIG",
	kmsg.ConfigSourceDynamicBrokerLoggerConfig:  "DYNAMIC_BROKER_LOGGER_CONFIG",
	kmsg.ConfigSourceClientMetricsConfig:        "DYNAMIC_CLIENT_METRICS_CONFIG",
	kmsg.ConfigSourceGroupConfig:                "DYNAMIC_GROUP_CONFIG",
}

func sourceName(s kmsg.ConfigSource) string {
	if name, ok := sourceNames[s]; ok {
		return name
	}
	return "UNKNOWN"
}

func (c *configs) resourceConfigs(ctx context.Context, entity, name string) ([]configEntry, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = resourceKinds[entity], name
	req.Resources = append(req.Resources, r)
	raw, err := c.callFor(ctx, "describeConfigs", entity, name, req)
	if err != nil {
		return nil, executing(err)
	}
	var entries []configEntry
	for _, r := range raw.(*kmsg.DescribeConfigsResponse).Resources {
		if err := client.Coded(r.ErrorCode, r.ErrorMessage); err != nil {
			return nil, executing(err)
		}
		for _, cfg := range r.Configs {
			entries = append(entries, toConfigEntry(cfg))
		}
	}
	return entries, nil
}

// exists tells whether there is an entity to describe.
func (c *configs) exists(ctx context.Context, entity, name string) (bool, error) {
	if entity == entityBrokers && name == "" {
		return true, nil
	}
	if entity == entityTopics {
		if err := checkTopicName(name); err != nil {
			return false, err
		}
	}
	names, err := c.entityNames(ctx, entity)
	return slices.Contains(names, name), err
}

// checkTopicName refuses what no topic can be called, in the words of Kafka's own check.
func checkTopicName(name string) error {
	invalid := func(reason string) error {
		return &client.Error{Class: "org.apache.kafka.common.errors.InvalidTopicException", Message: "Topic name is invalid: " + reason}
	}
	switch {
	case name == "":
		return invalid("the empty string is not allowed")
	case name == "." || name == "..":
		return invalid("'" + name + "' is not allowed")
	case len(name) > 249:
		return invalid("the length of '" + name + "' is longer than the max allowed length 249")
	case !topicName(name):
		return invalid("'" + name + "' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
	}
	return nil
}

func topicName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	})
}

// entityNames are all entities of a type; "" at the end of the brokers is their default.
func (c *configs) entityNames(ctx context.Context, entity string) ([]string, error) {
	switch entity {
	case entityTopics:
		return c.topicNames(ctx)
	case entityBrokers, entityLoggers:
		nodes, _, err := c.cluster.describe(ctx, false)
		if err != nil {
			return nil, executing(err)
		}
		var ids []string
		for _, n := range nodes {
			ids = append(ids, strconv.Itoa(int(n.id)))
		}
		if entity == entityLoggers {
			return ids, nil
		}
		return append(ids, ""), nil
	case entityClientMetrics:
		return c.configResources(ctx, kmsg.ConfigResourceTypeClientMetrics)
	}
	groups, err := listGroups(ctx, c.cluster.admin, nil, nil, nil)
	if err != nil {
		return nil, executing(err)
	}
	var names []string
	for _, g := range groups {
		names = append(names, g.id)
	}
	configured, err := c.configResources(ctx, kmsg.ConfigResourceTypeGroupConfig)
	if err != nil && !client.Unsupported(err) && !client.HasCode(err, kerr.UnsupportedVersion) {
		return nil, err
	}
	for _, n := range configured {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names, nil
}

func (c *configs) topicNames(ctx context.Context) ([]string, error) {
	meta, err := listTopics(ctx, c.cluster.admin)
	if err != nil {
		return nil, executing(err)
	}
	var names []string
	for _, t := range meta.Topics {
		if t.Topic != nil {
			names = append(names, *t.Topic)
		}
	}
	hashOrder(names, defaultHashCapacity, stringHash)
	return names, nil
}

func (c *configs) configResources(ctx context.Context, kind kmsg.ConfigResourceType) ([]string, error) {
	req := kmsg.NewPtrListConfigResourcesRequest()
	req.ResourceTypes = []int8{int8(kind)}
	raw, err := c.callFor(ctx, "listConfigResources", "", "", req)
	if err != nil {
		return nil, executing(err)
	}
	resp := raw.(*kmsg.ListConfigResourcesResponse)
	if err := client.Coded(resp.ErrorCode, nil); err != nil {
		return nil, executing(err)
	}
	var names []string
	for _, r := range resp.ConfigResources {
		if kmsg.ConfigResourceType(r.Type) == kind || resp.Version == 0 {
			names = append(names, r.Name)
		}
	}
	return names, nil
}

// quotaEntry is the quotas of one entity.
type quotaEntry struct {
	entity []kmsg.DescribeClientQuotasResponseEntryEntity
	values []kmsg.DescribeClientQuotasResponseEntryValue
}

func (q quotaEntry) has(name string) bool {
	return slices.ContainsFunc(q.values, func(v kmsg.DescribeClientQuotasResponseEntryValue) bool { return v.Key == name })
}

// hash is Java's hash of Kafka's ClientQuotaEntity.
func (q quotaEntry) hash() (h int32) {
	for _, e := range q.entity {
		value := int32(0)
		if e.Name != nil {
			value = stringHash(*e.Name)
		}
		h += stringHash(e.Type) ^ value
	}
	return h + 31
}

// quotas asks for the quotas of exactly the entities of the command line.
func (c *configs) quotas(ctx context.Context) ([]quotaEntry, error) {
	if len(c.names) > len(c.types) {
		return nil, client.IllegalArgument("More entity names specified than entity types")
	}
	if c.cluster.controllers {
		return nil, executing(&client.Error{Class: "org.apache.kafka.common.errors.UnsupportedEndpointTypeException",
			Message: "This Admin API is not yet supported when communicating directly with the controller quorum."})
	}
	req := kmsg.NewPtrDescribeClientQuotasRequest()
	req.Strict = true
	for i, entity := range c.types {
		component := kmsg.NewDescribeClientQuotasRequestComponent()
		component.EntityType = quotaEntityTypes[entity]
		switch {
		case i >= len(c.names):
			component.MatchType = kmsg.QuotasMatchTypeAny
		case c.names[i] == "":
			component.MatchType = kmsg.QuotasMatchTypeDefault
		default:
			component.MatchType, component.Match = kmsg.QuotasMatchTypeExact, kmsg.StringPtr(c.names[i])
		}
		req.Components = append(req.Components, component)
	}
	raw, err := c.callFor(ctx, "describeClientQuotas", "", "", req)
	if err != nil {
		return nil, executing(err)
	}
	resp := raw.(*kmsg.DescribeClientQuotasResponse)
	if err := client.Coded(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return nil, executing(err)
	}
	var entries []quotaEntry
	for _, e := range resp.Entries {
		q := quotaEntry{e.Entity, e.Values}
		hashOrder(q.values, len(q.values), func(v kmsg.DescribeClientQuotasResponseEntryValue) int32 { return stringHash(v.Key) })
		entries = append(entries, q)
	}
	hashOrder(entries, len(entries), quotaEntry.hash)
	return entries, nil
}

var quotaEntityNames = []struct{ wire, shown string }{{"user", "user-principal"}, {"client-id", "client-id"}, {"ip", "ip"}}

func (c *configs) describeQuotas(ctx context.Context) error {
	entries, err := c.quotas(ctx)
	if err != nil {
		return err
	}
	for _, q := range entries {
		var who, what []string
		for _, t := range quotaEntityNames {
			for _, e := range q.entity {
				switch {
				case e.Type != t.wire:
				case e.Name == nil:
					who = append(who, "the default "+t.shown)
				default:
					who = append(who, t.shown+" '"+*e.Name+"'")
				}
			}
		}
		for _, v := range q.values {
			what = append(what, v.Key+"="+javaFloat(v.Value, 64))
		}
		fmt.Fprintf(c.env.Stdout, "Quota configs for %s are %s\n", strings.Join(who, ", "), strings.Join(what, ", "))
	}
	return nil
}

func (c *configs) describeCredentials(ctx context.Context) error {
	req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	for _, name := range c.names {
		u := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
		u.Name = name
		req.Users = append(req.Users, u)
	}
	raw, err := c.callFor(ctx, "describeUserScramCredentials", "", "", req)
	if err != nil {
		return executing(err)
	}
	resp := raw.(*kmsg.DescribeUserSCRAMCredentialsResponse)
	if err := client.Coded(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return executing(err)
	}
	for _, r := range resp.Results {
		err := client.Coded(r.ErrorCode, r.ErrorMessage)
		switch {
		case client.HasCode(err, kerr.ResourceNotFound):
			continue
		case err != nil:
			var own *client.Error
			errors.As(err, &own)
			fmt.Fprintf(c.env.Stdout, "Error retrieving SCRAM credential configs for user-principal '%s': ExecutionException: %s\n", r.User, client.Java(own))
			continue
		}
		var infos []string
		for _, info := range r.CredentialInfos {
			infos = append(infos, fmt.Sprintf("%s=iterations=%d", mechanismName(info.Mechanism), info.Iterations))
		}
		fmt.Fprintf(c.env.Stdout, "SCRAM credential configs for user-principal '%s' are %s\n", r.User, strings.Join(infos, ", "))
	}
	return nil
}

func mechanismName(id int8) string {
	for name, m := range scramMechanisms {
		if m.id == id {
			return name
		}
	}
	return "UNKNOWN"
}
