package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/config"
)

// The entity types of kafka-configs.
const (
	entityTopics        = "topics"
	entityClients       = "clients"
	entityUsers         = "users"
	entityBrokers       = "brokers"
	entityIPs           = "ips"
	entityClientMetrics = "client-metrics"
	entityGroups        = "groups"
	entityLoggers       = "broker-loggers"
)

var entityTypes = []string{entityTopics, entityClients, entityUsers, entityBrokers, entityIPs, entityClientMetrics, entityGroups, entityLoggers}

// configsTool is kafka-configs: show and change the settings of topics, brokers, clients, users, …
type configsTool struct {
	set *kafkaflag.Set

	bootstrap, controllers, commandConfig  *kafkaflag.Flag
	alter, describe, all                   *kafkaflag.Flag
	entityType, entityName, entityDefault  *kafkaflag.Flag
	addConfig, addConfigFile, deleteConfig *kafkaflag.Flag
	broker, brokerLogger, ip               *kafkaflag.Flag
	shorthands, shorthandDefaults          []entityShorthand
	types, names                           []string // the entities of the command line; "" is the default entity
}

// entityShorthand is a flag that stands for an entity type and its name (or the default entity).
type entityShorthand struct {
	flag       *kafkaflag.Flag
	entityType string
}

func newConfigsTool() Command {
	s := kafkaflag.New("kafka-configs", "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, client-metrics or group", kafkaflag.Jopt)
	s.OptionErrors = kafkaflag.OptionErrorTerse
	t := &configsTool{set: s}
	t.bootstrap = s.String("bootstrap-server", "server to connect to", "The brokers to contact first, as host:port, separated by commas.")
	t.controllers = s.String("bootstrap-controller", "controller to connect to", "The controllers to contact first, instead of brokers.")
	t.commandConfig = s.String("command-config", "command config property file", "A properties file with settings for the admin client.")
	t.alter = s.Switch("alter", "Change the settings of an entity.")
	t.describe = s.Switch("describe", "Show the settings of entities.")
	t.all = s.Switch("all", "Show all settings: static ones and defaults too.")
	t.entityType = s.String("entity-type", "", "The type of the entity: topics, clients, users, brokers, broker-loggers, ips, client-metrics or groups.", kafkaflag.Repeatable())
	t.entityName = s.String("entity-name", "", "The name of the entity: a topic, a client id, a user, a broker's id, an address, a subscription, a group.", kafkaflag.Repeatable())
	t.entityDefault = s.Switch("entity-default", "The default entity of clients, users, brokers or ips.")
	t.addConfig = s.String("add-config", "", "Settings to set: k1=v1,k2=[v1,v2],k3=v3, with brackets around values that have commas. "+settingsOfEntities())
	t.addConfigFile = s.String("add-config-file", "", "A properties file with settings to set.")
	t.deleteConfig = s.String("delete-config", "", "Settings to remove: k1,k2", kafkaflag.Repeatable())
	short := func(name, entityType, usage string) *kafkaflag.Flag {
		f := s.String(name, "", usage)
		t.shorthands = append(t.shorthands, entityShorthand{f, entityType})
		return f
	}
	shortDefault := func(name, entityType, usage string) {
		t.shorthandDefaults = append(t.shorthandDefaults, entityShorthand{s.Switch(name, usage), entityType})
	}
	short("topic", entityTopics, "The topic.")
	short("client", entityClients, "The client id.")
	shortDefault("client-defaults", entityClients, "The defaults of all clients.")
	short("user", entityUsers, "The user.")
	shortDefault("user-defaults", entityUsers, "The defaults of all users.")
	t.broker = short("broker", entityBrokers, "The broker's id.")
	shortDefault("broker-defaults", entityBrokers, "The defaults of all brokers.")
	t.brokerLogger = short("broker-logger", entityLoggers, "The id of the broker whose loggers are meant.")
	shortDefault("ip-defaults", entityIPs, "The defaults of all addresses.")
	t.ip = short("ip", entityIPs, "The address.")
	short("client-metrics", entityClientMetrics, "The subscription of client metrics.")
	short("group", entityGroups, "The group.")
	s.Removed("zookeeper", "it was removed in Kafka 4.0; use --bootstrap-server HOST:PORT (a broker)")
	s.Removed("zk-tls-config-file", "it was removed in Kafka 4.0; use --command-config with ssl.* settings")
	s.Removed("force", "it was removed in Kafka 4.0; no prompt is left that it could answer")
	return t
}

func settingsOfEntities() string {
	var topics []string
	for _, d := range config.TopicDefs() {
		if !strings.HasPrefix(d.Name, "internal.") {
			topics = append(topics, d.Name)
		}
	}
	var groups []string
	for _, d := range config.GroupDefs() {
		groups = append(groups, d.Name)
	}
	slices.Sort(topics)
	slices.Sort(groups)
	return "For topics: " + strings.Join(topics, " ") + ". For users and clients: " + strings.Join(quotaSettings, " ") +
		". For users also: SCRAM-SHA-256 SCRAM-SHA-512. For ips: connection_creation_rate. For client-metrics: interval.ms match metrics. For groups: " +
		strings.Join(groups, " ") + ". Those of brokers are shown by --describe --broker ID --all."
}

// Flags implements Command.
func (t *configsTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *configsTool) Run(ctx context.Context, env Env) error {
	err := t.run(ctx, env)
	var own *client.Error
	var wrapped *groupFailure
	switch {
	case err == nil, kafkaflag.Handled(err):
		return err
	case errors.As(err, &wrapped):
	case errors.As(err, &own) && (own.Class == "java.lang.IllegalArgumentException" ||
		strings.HasSuffix(own.Class, ".InvalidConfigurationException") || strings.HasSuffix(own.Class, ".InvalidTopicException")):
		return &kafkaflag.ExitError{Code: 1, Message: own.Message}
	case client.Unsupported(err):
		return &kafkaflag.ExitError{Code: 1, Message: err.Error()}
	}
	fmt.Fprintf(env.Stderr, "Error while executing config command with args '%s'\n", strings.Join(t.set.Given(), " "))
	if wrapped != nil {
		fmt.Fprintf(env.Stderr, "java.util.concurrent.ExecutionException: %s\nCaused by: %[1]s\n", client.Java(wrapped.cause))
		return failed
	}
	fmt.Fprintln(env.Stderr, client.Java(err))
	return failed
}

func (t *configsTool) run(ctx context.Context, env Env) error {
	if err := t.check(); err != nil {
		return err
	}
	p, err := loadProperties(t.commandConfig.Value())
	if err != nil {
		return err
	}
	cluster, err := reach(env, p, t.bootstrap.Value(), t.controllers.Value())
	if err != nil {
		return err
	}
	defer cluster.close()
	c := &configs{configsTool: t, env: env, cluster: cluster}
	if !t.alter.Present() {
		return c.describeEntities(ctx)
	}
	if len(t.types) != len(t.names) {
		return client.IllegalArgument("An entity name must be specified for every entity type")
	}
	return c.alterEntity(ctx)
}

// entities reads which entities are meant, in the order of the command line: the names of --entity-name and
// --entity-default belong to the types of --entity-type one by one, shorthands follow.
func (t *configsTool) entities() {
	t.types = slices.Clone(t.entityType.Values())
	for _, s := range slices.Concat(t.shorthands, t.shorthandDefaults) {
		if s.flag.Present() {
			t.types = append(t.types, s.entityType)
		}
	}
	names := t.entityName.Values()
	t.names = nil
	for _, f := range t.set.Occurred() {
		switch f {
		case t.entityName:
			t.names, names = append(t.names, names[0]), names[1:]
		case t.entityDefault:
			t.names = append(t.names, "")
		}
	}
	for _, s := range t.shorthands {
		if s.flag.Present() {
			t.names = append(t.names, s.flag.Value())
		}
	}
	for _, s := range t.shorthandDefaults {
		if s.flag.Present() {
			t.names = append(t.names, "")
		}
	}
}

func (t *configsTool) check() error {
	if kafkaflag.Count(t.alter, t.describe) != 1 {
		return t.set.UsageErrorf("Command must include exactly one action: --describe, --alter")
	}
	if err := t.set.CheckInvalid(t.describe, t.alter, t.addConfig, t.deleteConfig); err != nil {
		return err
	}
	t.entities()
	for _, check := range []func() error{t.checkTypes, t.checkMixture, t.checkNames, t.checkDescribe, t.checkAlter} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (t *configsTool) checkTypes() error {
	var seen, twice []string
	for _, entity := range t.types {
		if slices.Contains(seen, entity) {
			twice = append(twice, entity)
		}
		seen = append(seen, entity)
	}
	if len(twice) > 0 {
		return client.IllegalArgument("Duplicate entity type(s) specified: " + strings.Join(twice, ","))
	}
	if kafkaflag.Count(t.bootstrap, t.controllers) == 0 {
		return client.IllegalArgument("Either --bootstrap-server or --bootstrap-controller must be specified.")
	}
	for _, entity := range t.types {
		if !slices.Contains(entityTypes, entity) {
			return client.IllegalArgument("Invalid entity type " + entity + ", the entity type must be one of " + strings.Join(entityTypes, ", ") +
				" with a --bootstrap-server or --bootstrap-controller argument")
		}
	}
	if len(t.types) == 0 {
		return client.IllegalArgument("At least one entity type must be specified")
	}
	if len(t.types) > 1 && (len(t.types) > 2 || !slices.Contains(t.types, entityUsers) || !slices.Contains(t.types, entityClients)) {
		return client.IllegalArgument("Only 'users' and 'clients' entity types may be specified together")
	}
	return nil
}

func (t *configsTool) checkMixture() error {
	if kafkaflag.Count(t.entityName, t.entityType, t.entityDefault) > 0 {
		for _, s := range slices.Concat(t.shorthands, t.shorthandDefaults) {
			if s.flag.Present() {
				return client.IllegalArgument("--entity-{type,name,default} should not be used in conjunction with specific entity flags")
			}
		}
	}
	if kafkaflag.Count(t.bootstrap, t.controllers) > 1 {
		return client.IllegalArgument("Only one of --bootstrap-server or --bootstrap-controller can be specified")
	}
	return nil
}

func (t *configsTool) has(entities ...string) bool {
	return slices.ContainsFunc(entities, func(e string) bool { return slices.Contains(t.types, e) })
}

func (t *configsTool) hasName() bool {
	return slices.ContainsFunc(t.names, func(n string) bool { return n != "" })
}

func (t *configsTool) hasDefault() bool { return slices.Contains(t.names, "") }

func (t *configsTool) checkNames() error {
	if !t.hasName() {
		return nil
	}
	if t.has(entityBrokers, entityLoggers) {
		for _, f := range []*kafkaflag.Flag{t.entityName, t.broker, t.brokerLogger} {
			if _, err := strconv.ParseInt(f.Value(), 10, 32); f.Present() && err != nil {
				return client.IllegalArgument("The entity name for " + t.types[0] + " must be a valid integer broker id, but it is: " + f.Value())
			}
		}
	}
	if t.has(entityIPs) {
		for _, f := range []*kafkaflag.Flag{t.entityName, t.ip} {
			if f.Present() && !isAddress(f.Value()) {
				return client.IllegalArgument("The entity name for " + t.types[0] + " must be a valid IP or resolvable host, but it is: " + f.Value())
			}
		}
	}
	return nil
}

func isAddress(name string) bool {
	_, err := net.LookupHost(name)
	return err == nil
}

func (t *configsTool) checkDescribe() error {
	switch {
	case !t.describe.Present():
	case !t.has(entityUsers, entityClients, entityBrokers, entityIPs) && t.entityDefault.Present():
		return client.IllegalArgument("--entity-default must not be specified with --describe of " + strings.Join(t.types, ","))
	case t.has(entityLoggers) && !t.hasName():
		return client.IllegalArgument("An entity name must be specified with --describe of " + strings.Join(t.types, ","))
	}
	return nil
}

func (t *configsTool) checkAlter() error {
	if !t.alter.Present() {
		return nil
	}
	mayBeDefault := t.has(entityUsers, entityClients, entityBrokers, entityIPs)
	switch {
	case mayBeDefault && !t.hasName() && !t.hasDefault():
		return client.IllegalArgument("An entity-name or default entity must be specified with --alter of users, clients, brokers or ips")
	case !mayBeDefault && !t.hasName():
		return client.IllegalArgument("An entity name must be specified with --alter of " + strings.Join(t.types, ","))
	case t.addConfig.Present() && t.addConfigFile.Present():
		return client.IllegalArgument("Only one of --add-config or --add-config-file must be specified")
	case kafkaflag.Count(t.addConfig, t.addConfigFile, t.deleteConfig) == 0:
		return client.IllegalArgument("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter")
	}
	return nil
}
