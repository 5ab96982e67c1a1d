package cli

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

// configs is one run of kafka-configs against a cluster.
type configs struct {
	*configsTool
	env     Env
	cluster *cluster
}

// resourceKinds are the entity types whose settings are those of a config resource.
var resourceKinds = map[string]kmsg.ConfigResourceType{
	entityTopics:        kmsg.ConfigResourceTypeTopic,
	entityBrokers:       kmsg.ConfigResourceTypeBroker,
	entityLoggers:       kmsg.ConfigResourceTypeBrokerLogger,
	entityClientMetrics: kmsg.ConfigResourceTypeClientMetrics,
	entityGroups:        kmsg.ConfigResourceTypeGroupConfig,
}

var (
	quotaSettings = []string{"consumer_byte_rate", "controller_mutation_rate", "producer_byte_rate", "request_percentage"}
	ipSettings    = []string{"connection_creation_rate"}
)

// scramMechanism is a SCRAM mechanism with its number on the wire.
type scramMechanism struct {
	id   int8
	hash func() hash.Hash
	size int
}

var scramMechanisms = map[string]scramMechanism{
	"SCRAM-SHA-256": {1, sha256.New, sha256.Size},
	"SCRAM-SHA-512": {2, sha512.New, sha512.Size},
}

func (c *configs) alterEntity(ctx context.Context) error {
	add, err := c.configsToAdd()
	if err != nil {
		return err
	}
	remove, err := c.configsToDelete()
	if err != nil {
		return err
	}
	switch entity, name := c.types[0], c.names[0]; entity {
	case entityUsers, entityClients:
		err = c.alterUsersAndClients(ctx, add, remove)
	case entityIPs:
		err = c.alterIP(ctx, add, remove)
	default:
		err = c.alterResource(ctx, entity, name, add, remove)
	}
	if err != nil {
		return err
	}
	singular := c.types[0][:len(c.types[0])-1]
	if c.names[0] != "" {
		fmt.Fprintf(c.env.Stdout, "Completed updating config for %s %s.\n", singular, c.names[0])
	} else {
		fmt.Fprintf(c.env.Stdout, "Completed updating default config for %s in the cluster.\n", c.types[0])
	}
	return nil
}

func (c *configs) alterResource(ctx context.Context, entity, name string, add client.Properties, remove []string) error {
	if entity == entityLoggers {
		if err := c.checkLoggers(ctx, name, add, remove); err != nil {
			return err
		}
	}
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = resourceKinds[entity], name
	for _, key := range slices.Sorted(maps.Keys(add)) {
		op := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		op.Name, op.Op, op.Value = key, kmsg.IncrementalAlterConfigOpSet, kmsg.StringPtr(add[key])
		r.Configs = append(r.Configs, op)
	}
	for _, key := range remove {
		op := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		op.Name, op.Op = key, kmsg.IncrementalAlterConfigOpDelete
		r.Configs = append(r.Configs, op)
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = append(req.Resources, r)
	raw, err := c.callFor(ctx, "incrementalAlterConfigs", entity, name, req)
	if err != nil {
		return executing(err)
	}
	for _, r := range raw.(*kmsg.IncrementalAlterConfigsResponse).Resources {
		if err := client.Coded(r.ErrorCode, r.ErrorMessage); err != nil {
			return executing(err)
		}
	}
	return nil
}

// callFor sends a request about an entity to the broker that it is, or to any node for other entities.
func (c *configs) callFor(ctx context.Context, call, entity, name string, req kmsg.Request) (kmsg.Response, error) {
	switch {
	case (entity == entityBrokers || entity == entityLoggers) && name != "" && !c.cluster.controllers:
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			return nil, client.IllegalArgument("The entity name for " + entity + " must be a valid integer broker id, found: " + name)
		}
		return c.cluster.admin.CallBroker(ctx, call, int32(id), req)
	case c.cluster.controllers:
		return c.cluster.callLeader(ctx, call, req)
	}
	return c.cluster.callAnyBroker(ctx, call, req)
}

func (c *configs) checkLoggers(ctx context.Context, broker string, add client.Properties, remove []string) error {
	entries, err := c.resourceConfigs(ctx, entityLoggers, broker)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, e := range entries {
		known[e.name] = true
	}
	var unknown []string
	for _, name := range append(slices.Clone(remove), slices.Sorted(maps.Keys(add))...) {
		if !known[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return invalidConfiguration("Invalid broker logger(s): " + strings.Join(unknown, ","))
	}
	return nil
}

func invalidConfiguration(message string) error {
	return &client.Error{Class: "org.apache.kafka.common.errors.InvalidConfigurationException", Message: message}
}

// alterUsersAndClients sets quotas, or the SCRAM credentials of a user, but not both at once.
func (c *configs) alterUsersAndClients(ctx context.Context, add client.Properties, remove []string) error {
	isQuota := func(name string) bool { return slices.Contains(quotaSettings, name) }
	isScram := func(name string) bool { return scramMechanisms[name].id != 0 }
	addScram, addOther := partition(slices.Sorted(maps.Keys(add)), isScram)
	removeScram, removeOther := partition(remove, isScram)
	_, addUnknown := partition(addOther, isQuota)
	_, removeUnknown := partition(removeOther, isQuota)
	scram := len(addScram)+len(removeScram) > 0
	quotas := len(addOther)+len(removeOther) > 0
	if c.types[0] == entityClients || len(c.types) == 2 { // credentials belong to users only
		if unknown := append(addUnknown, addScram...); len(unknown) > 0 {
			return client.IllegalArgument("Only quota configs can be added for '" + entityClients + "' using --bootstrap-server. Unexpected config names: " + scalaSet(unknown))
		}
		if unknown := append(removeUnknown, removeScram...); len(unknown) > 0 {
			return client.IllegalArgument("Only quota configs can be deleted for '" + entityClients + "' using --bootstrap-server. Unexpected config names: " + scalaList(unknown))
		}
	} else {
		switch {
		case len(addUnknown) > 0:
			return client.IllegalArgument("Only quota and SCRAM credential configs can be added for '" + entityUsers + "' using --bootstrap-server. Unexpected config names: " + scalaSet(addUnknown))
		case len(removeUnknown) > 0:
			return client.IllegalArgument("Only quota and SCRAM credential configs can be deleted for '" + entityUsers + "' using --bootstrap-server. Unexpected config names: " + scalaList(removeUnknown))
		case scram && c.hasDefault():
			return client.IllegalArgument("The use of --entity-default or --user-defaults is not allowed with User SCRAM Credentials using --bootstrap-server.")
		case scram && quotas:
			return client.IllegalArgument("Cannot alter both quota and SCRAM credential configs simultaneously for '" + entityUsers + "' using --bootstrap-server.")
		}
	}
	if scram {
		return c.alterCredentials(ctx, c.names[0], add, removeScram)
	}
	return c.alterQuotas(ctx, add, remove)
}

func partition(names []string, in func(string) bool) (yes, no []string) {
	for _, n := range names {
		if in(n) {
			yes = append(yes, n)
		} else {
			no = append(no, n)
		}
	}
	return yes, no
}

// scalaSet and scalaList are how Kafka's tool, which is written in Scala, prints settings to add and to delete.
func scalaSet(names []string) string  { return "Set(" + strings.Join(names, ", ") + ")" }
func scalaList(names []string) string { return "ArrayBuffer(" + strings.Join(names, ", ") + ")" }

func (c *configs) alterIP(ctx context.Context, add client.Properties, remove []string) error {
	_, unknown := partition(append(slices.Sorted(maps.Keys(add)), remove...), func(n string) bool { return slices.Contains(ipSettings, n) })
	if len(unknown) > 0 {
		return client.IllegalArgument("Only connection quota configs can be added for '" + entityIPs + "' using --bootstrap-server. Unexpected config names: " + strings.Join(unknown, ","))
	}
	return c.alterQuotas(ctx, add, remove)
}

// quotaEntityTypes are the names of entity types in requests about quotas.
var quotaEntityTypes = map[string]string{entityUsers: "user", entityClients: "client-id", entityIPs: "ip"}

func (c *configs) alterQuotas(ctx context.Context, add client.Properties, remove []string) error {
	present, err := c.quotas(ctx)
	if err != nil {
		return err
	}
	var missing []string
	for _, name := range remove {
		if len(present) == 0 || !present[0].has(name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return invalidConfiguration("Invalid config(s): " + strings.Join(missing, ","))
	}
	entry := kmsg.NewAlterClientQuotasRequestEntry()
	for i, entity := range c.types {
		e := kmsg.NewAlterClientQuotasRequestEntryEntity()
		e.Type = quotaEntityTypes[entity]
		if c.names[i] != "" {
			e.Name = kmsg.StringPtr(c.names[i])
		}
		entry.Entity = append(entry.Entity, e)
	}
	for _, name := range slices.Sorted(maps.Keys(add)) {
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key = name
		if op.Value, err = strconv.ParseFloat(add[name], 64); err != nil {
			return client.IllegalArgument("Cannot parse quota configuration value for " + name + ": " + add[name])
		}
		entry.Ops = append(entry.Ops, op)
	}
	for _, name := range remove {
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key, op.Remove = name, true
		entry.Ops = append(entry.Ops, op)
	}
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.Entries = append(req.Entries, entry)
	raw, err := c.callFor(ctx, "alterClientQuotas", c.types[0], "", req)
	if err != nil {
		return executing(err)
	}
	for _, e := range raw.(*kmsg.AlterClientQuotasResponse).Entries {
		if err := client.Coded(e.ErrorCode, e.ErrorMessage); err != nil {
			return executing(err)
		}
	}
	return nil
}

const minScramIterations = 4096

var scramCredential = regexp.MustCompile(`^(?:iterations=(-?[0-9]*),)?password=(.*)$`)

func (c *configs) alterCredentials(ctx context.Context, user string, add client.Properties, remove []string) error {
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	for _, name := range remove {
		d := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
		d.Name, d.Mechanism = user, scramMechanisms[name].id
		req.Deletions = append(req.Deletions, d)
	}
	for _, name := range slices.Sorted(maps.Keys(add)) {
		u, err := scramUpsertion(user, name, add[name])
		if err != nil {
			return err
		}
		req.Upsertions = append(req.Upsertions, u)
	}
	raw, err := c.callFor(ctx, "alterUserScramCredentials", entityUsers, "", req)
	if err != nil {
		return executing(err)
	}
	for _, r := range raw.(*kmsg.AlterUserSCRAMCredentialsResponse).Results {
		if err := client.Coded(r.ErrorCode, r.ErrorMessage); err != nil {
			return executing(err)
		}
	}
	return nil
}

func scramUpsertion(user, mechanism, text string) (u kmsg.AlterUserSCRAMCredentialsRequestUpsertion, err error) {
	m := scramCredential.FindStringSubmatch(text)
	invalid := client.IllegalArgument("Invalid credential property " + strings.ReplaceAll(mechanism, "-", "_") + "=" + text)
	if m == nil {
		return u, invalid
	}
	iterations := int64(minScramIterations)
	if m[1] != "" && m[1] != "-1" {
		if iterations, err = strconv.ParseInt(m[1], 10, 32); err != nil {
			return u, invalid
		}
	}
	if iterations < minScramIterations {
		return u, client.IllegalArgument(fmt.Sprintf("Iterations %d is less than the minimum %d required for %s", iterations, minScramIterations, mechanism))
	}
	how := scramMechanisms[mechanism]
	u = kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	u.Name, u.Mechanism, u.Iterations = user, how.id, int32(iterations)
	u.Salt = make([]byte, 24)
	rand.Read(u.Salt)
	u.SaltedPassword, err = pbkdf2.Key(how.hash, m[2], u.Salt, int(iterations), how.size)
	return u, err
}
