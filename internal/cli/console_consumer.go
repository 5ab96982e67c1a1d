package cli

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// consoleConsumerTool is kafka-console-consumer: records become lines of standard output.
type consoleConsumerTool struct {
	set *kafkaflag.Set

	topic, include, partition, offset, fromBeginning *kafkaflag.Flag
	bootstrap, group, isolation                      *kafkaflag.Flag
	consumerProperty, commandProperty                *kafkaflag.Flag
	consumerConfig, commandConfig                    *kafkaflag.Flag
	formatter, property, formatterProperty           *kafkaflag.Flag
	formatterConfig                                  *kafkaflag.Flag
	keyDeserializer, valueDeserializer               *kafkaflag.Flag
	maxMessages, timeoutMs                           *kafkaflag.Flag
	skipOnError, systestEvents                       *kafkaflag.Flag
}

func newConsoleConsumerTool() Command {
	s := kafkaflag.New("kafka-console-consumer", "This tool helps to read data from Kafka topics and outputs it to standard output.", kafkaflag.Jopt)
	s.OptionErrors = kafkaflag.OptionErrorUsage
	t := &consoleConsumerTool{set: s}
	t.bootstrap = s.String("bootstrap-server", "server to connect to", "REQUIRED: the brokers to contact first, as host:port, separated by commas.")
	t.topic = s.String("topic", "topic", "The topic to consume.")
	t.include = s.String("include", "Java regex (String)", "A regular expression of topics to consume.")
	t.partition = s.Int("partition", "partition", "The partition to consume, from its end unless --offset says otherwise.")
	t.offset = s.String("offset", "consume offset", "Where to start: a number, earliest or latest.", kafkaflag.Default("latest"))
	t.fromBeginning = s.Switch("from-beginning", "Start with the earliest record where the group has no committed offset.")
	t.group = s.String("group", "consumer group id", "The consumer group; a new one if none is named.")
	t.isolation = s.String("isolation-level", "", "read_committed leaves out records of transactions that are open or aborted; read_uncommitted does not.", kafkaflag.Default("read_uncommitted"))
	t.consumerProperty = s.String("consumer-property", "consumer_prop", "(DEPRECATED) Use --command-property.", kafkaflag.Repeatable())
	t.commandProperty = s.String("command-property", "consumer_prop", "A setting of the consumer as key=value; may be repeated.", kafkaflag.Repeatable())
	t.consumerConfig = s.String("consumer.config", "config file", "(DEPRECATED) Use --command-config.")
	t.commandConfig = s.String("command-config", "config file", "A properties file for the consumer; --command-property overrides it.")
	t.formatter = s.String("formatter", "class", "The class that prints a record: Default-, NoOp- or LoggingMessageFormatter, or for internal topics Offsets-, "+
		"GroupMetadata-, TransactionLog-, ShareGroup- or ShareGroupStateMessageFormatter.", kafkaflag.Default(formatterPackage+"DefaultMessageFormatter"))
	t.property = s.String("property", "prop", "(DEPRECATED) Use --formatter-property.", kafkaflag.Repeatable())
	t.formatterProperty = s.String("formatter-property", "prop", "A setting of the formatter as key=value; may be repeated: print.timestamp, print.key, print.offset, "+
		"print.delivery, print.epoch, print.partition, print.headers, print.value (true or false), key.separator, line.separator, headers.separator, null.literal, "+
		"key.deserializer, value.deserializer, headers.deserializer.", kafkaflag.Repeatable())
	t.formatterConfig = s.String("formatter-config", "config file", "A properties file for the formatter; --formatter-property overrides it.")
	t.keyDeserializer = s.String("key-deserializer", "deserializer for keys", "The class that reads keys.")
	t.valueDeserializer = s.String("value-deserializer", "deserializer for values", "The class that reads values.")
	t.maxMessages = s.Int("max-messages", "num_messages", "Stop after so many records.")
	t.timeoutMs = s.Long("timeout-ms", "timeout_ms", "Stop when no record has come for so long.")
	t.skipOnError = s.Switch("skip-message-on-error", "Go on after a record that cannot be printed.")
	t.systestEvents = s.Switch("enable-systest-events", "Print events of the consumer's life as well (for system tests).")
	s.Removed("zookeeper", "it was removed in Kafka 2.0; use --bootstrap-server HOST:PORT (a broker)")
	s.Removed("whitelist", "it was removed in Kafka 4.0; use --include")
	s.Removed("new-consumer", "it was removed in Kafka 2.0; there is no other consumer")
	return t
}

// Flags implements Command.
func (t *consoleConsumerTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *consoleConsumerTool) Run(ctx context.Context, env Env) error {
	run, err := t.prepare(env)
	if err != nil {
		if kafkaflag.Handled(err) {
			return err
		}
		return consumerFailure(env, err)
	}
	return run.run(ctx)
}

// consumerFailure logs what ends the consumer before or outside of its loop.
func consumerFailure(env Env, err error) error {
	text := "Unknown error when running consumer: "
	if strings.Contains(client.Java(err), "AuthenticationException") {
		text = "Authentication failed: terminating consumer process"
	}
	client.Logf(env.Stderr, "ERROR", consoleConsumerLogger, "%s", text)
	fmt.Fprintln(env.Stderr, client.Java(err))
	return failed
}

const consoleConsumerLogger = "org.apache.kafka.tools.consumer.ConsoleConsumer"

func (t *consoleConsumerTool) check(env Env) error {
	s := t.set
	if err := s.CheckOneOf(t.topic, t.include); err != nil {
		return err
	}
	switch {
	case t.partition.Present() && !t.topic.Present():
		return s.UsageErrorf("The topic is required when partition is specified.")
	case t.partition.Present() && t.fromBeginning.Present() && t.offset.Present():
		return s.UsageErrorf("Options from-beginning and offset cannot be specified together.")
	case !t.partition.Present() && t.offset.Present():
		return s.UsageErrorf("The partition is required when offset is specified.")
	}
	if err := s.CheckRequired(t.bootstrap); err != nil {
		return err
	}
	switch {
	case t.consumerProperty.Present() && t.commandProperty.Present():
		return s.UsageErrorf("Options --consumer-property and --command-property cannot be specified together.")
	case t.consumerConfig.Present() && t.commandConfig.Present():
		return s.UsageErrorf("Options --consumer.config and --command-config cannot be specified together.")
	}
	for _, d := range []struct {
		old *kafkaflag.Flag
		new string
	}{{t.consumerProperty, "--command-property"}, {t.consumerConfig, "--command-config"}} {
		if d.old.Present() {
			fmt.Fprintf(env.Stdout, "Option --%s is deprecated and will be removed in a future version. Use %s instead.\n", d.old.Name, d.new)
		}
	}
	return nil
}

// prepare checks the command line and makes everything the loop needs except the connection.
func (t *consoleConsumerTool) prepare(env Env) (*consoleConsumer, error) {
	if err := t.check(env); err != nil {
		return nil, err
	}
	file, extra, err := t.clientSettings()
	if err != nil {
		return nil, err
	}
	groups := t.groups(file, extra)
	if len(groups) > 1 {
		return nil, t.set.UsageErrorf("The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') "+
			"do not match. Detected group ids: %s", quoted(groups))
	}
	if len(groups) > 0 && t.partition.Present() {
		return nil, t.set.UsageErrorf("Options group and partition cannot be specified together.")
	}
	props := file.With(extra)
	if err := t.completeSettings(env, props, groups); err != nil {
		return nil, err
	}
	start, err := t.startOffset()
	if err != nil {
		return nil, err
	}
	format, err := t.makeFormatter(env)
	if err != nil {
		return nil, err
	}
	c := &consoleConsumer{env: env, props: props, format: format, topic: t.topic.Value(), include: t.include.Value(), start: start,
		partition: -1, maxMessages: -1, skipOnError: t.skipOnError.Present(), systestEvents: t.systestEvents.Present()}
	if t.partition.Present() {
		c.partition = int32(t.partition.Int64())
	}
	if t.maxMessages.Present() {
		c.maxMessages = int(t.maxMessages.Int64())
	}
	if t.timeoutMs.Present() && t.timeoutMs.Int64() >= 0 {
		c.timeout = time.Duration(t.timeoutMs.Int64()) * time.Millisecond
		c.hasTimeout = true
	}
	return c, nil
}

func (t *consoleConsumerTool) clientSettings() (file, extra client.Properties, err error) {
	if file, err = loadClientProperties(firstPresent(t.commandConfig, t.consumerConfig), &kafkaflag.Flag{}); err != nil {
		return nil, nil, err
	}
	extra, err = loadClientProperties(&kafkaflag.Flag{}, firstPresent(t.commandProperty, t.consumerProperty))
	return file, extra, err
}

// groups are the different group ids that the command line, the file and the properties name.
func (t *consoleConsumerTool) groups(file, extra client.Properties) (groups []string) {
	for _, id := range []string{t.group.Value(), file["group.id"], extra["group.id"]} {
		if id != "" && !slices.Contains(groups, id) {
			groups = append(groups, id)
		}
	}
	return groups
}

func (t *consoleConsumerTool) completeSettings(env Env, p client.Properties, groups []string) error {
	reset, set := p["auto.offset.reset"]
	switch {
	case set && t.fromBeginning.Present() && reset != "earliest":
		fmt.Fprintf(env.Stderr, "Can't simultaneously specify --from-beginning and 'auto.offset.reset=%s', please remove one option\n", reset)
		return failed
	case set:
	case t.fromBeginning.Present():
		p["auto.offset.reset"] = "earliest"
	default:
		p["auto.offset.reset"] = "latest"
	}
	p["bootstrap.servers"] = t.bootstrap.Value()
	if p["client.id"] == "" {
		p["client.id"] = "console-consumer"
	}
	if _, set := p["isolation.level"]; t.isolation.Present() || !set {
		p["isolation.level"] = t.isolation.Value()
	}
	if len(groups) > 0 {
		p["group.id"] = groups[0]
		return nil
	}
	// Nobody can continue a group of a random name: nothing is committed.
	p["group.id"] = fmt.Sprintf("console-consumer-%d", rand.IntN(100000))
	if _, set := p["enable.auto.commit"]; !set {
		p["enable.auto.commit"] = "false"
	}
	return nil
}

const (
	startEarliest = -2
	startLatest   = -1
)

func (t *consoleConsumerTool) startOffset() (int64, error) {
	if !t.offset.Present() {
		if t.fromBeginning.Present() {
			return startEarliest, nil
		}
		return startLatest, nil
	}
	switch strings.ToLower(t.offset.Value()) {
	case "earliest":
		return startEarliest, nil
	case "latest":
		return startLatest, nil
	}
	n, err := strconv.ParseInt(t.offset.Value(), 10, 64)
	if err != nil || n < 0 {
		return 0, t.set.UsageErrorf("The provided offset value '%s' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.", t.offset.Value())
	}
	return n, nil
}

func (t *consoleConsumerTool) makeFormatter(env Env) (messageFormatter, error) {
	if t.formatterProperty.Present() && t.property.Present() {
		return nil, t.set.UsageErrorf("Options --property and --formatter-property cannot be specified together.")
	}
	if t.property.Present() {
		fmt.Fprintln(env.Stdout, "Option --property is deprecated and will be removed in a future version. Use --formatter-property instead.")
	}
	settings, err := loadClientProperties(t.formatterConfig, &kafkaflag.Flag{})
	if err != nil {
		return nil, t.set.UsageErrorf("%s", err)
	}
	for key, f := range map[string]*kafkaflag.Flag{"key.deserializer": t.keyDeserializer, "value.deserializer": t.valueDeserializer} {
		if f.Value() != "" {
			settings[key] = f.Value()
		}
	}
	more, err := loadClientProperties(&kafkaflag.Flag{}, firstPresent(t.formatterProperty, t.property))
	if err != nil {
		return nil, t.set.UsageErrorf("%s", err)
	}
	format, ok := newMessageFormatter(t.formatter.Value(), settings.With(more), env.Stderr)
	if !ok {
		return nil, t.set.UsageErrorf("%s", t.formatter.Value())
	}
	return format, nil
}
