package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/config"
)

// topicsTool is kafka-topics: create, change, delete, list and describe topics.
type topicsTool struct {
	set *kafkaflag.Set

	create, alter, list, describe, remove               *kafkaflag.Flag
	bootstrap, commandConfig                            *kafkaflag.Flag
	topic, topicID                                      *kafkaflag.Flag
	config, deleteConfig                                *kafkaflag.Flag
	partitions, replicationFactor, assignment           *kafkaflag.Flag
	underReplicated, unavailable, underMinISR, atMinISR *kafkaflag.Flag
	overrides, ifExists, ifNotExists, excludeInternal   *kafkaflag.Flag
	pageSize                                            *kafkaflag.Flag
}

func newTopicsTool() Command {
	s := kafkaflag.New("kafka-topics", "This tool helps to create, delete, describe, or change a topic.", kafkaflag.Jopt)
	s.ValuesLater = true
	t := &topicsTool{set: s}
	t.bootstrap = s.String("bootstrap-server", "server to connect to", "REQUIRED: the brokers to contact first, as host:port, separated by commas.")
	t.commandConfig = s.String("command-config", "command config property file", "A properties file with settings for the admin client.")
	t.list = s.Switch("list", "List topics.")
	t.create = s.Switch("create", "Create a topic.")
	t.remove = s.Switch("delete", "Delete topics.")
	t.alter = s.Switch("alter", "Add partitions to topics. (kafka-configs changes the settings of topics.)")
	t.describe = s.Switch("describe", "Show the details of topics.")
	t.topic = s.String("topic", "topic", "The topic. Except with --create a regular expression, or several separated by commas.")
	t.topicID = s.String("topic-id", "topic-id", "The id of the topic to describe.")
	t.config = s.String("config", "name=value", "A setting of the topic that is created; may be repeated. The settings are: "+topicSettings()+".", kafkaflag.Repeatable())
	t.deleteConfig = s.String("delete-config", "name", "Has no effect since 4.0; kafka-configs deletes settings.", kafkaflag.Repeatable())
	t.partitions = s.Int("partitions", "# of partitions", "How many partitions the topic gets (--create; the cluster's default otherwise), or is to have in "+
		"all (--alter). Adding partitions changes which partition the records of a key go to.")
	t.replicationFactor = s.Int("replication-factor", "replication factor", "How many replicas each partition of the created topic gets; the cluster's default otherwise.")
	t.assignment = s.String("replica-assignment", "broker_id_for_part1_replica1 : broker_id_for_part1_replica2 , broker_id_for_part2_replica1 : broker_id_for_part2_replica2 , ...",
		"Which brokers get the replicas of the created topic, or of its new partitions.")
	t.underReplicated = s.Switch("under-replicated-partitions", "Describe only partitions with replicas that are not in sync.")
	t.unavailable = s.Switch("unavailable-partitions", "Describe only partitions whose leader is not available.")
	t.underMinISR = s.Switch("under-min-isr-partitions", "Describe only partitions with fewer replicas in sync than min.insync.replicas.")
	t.atMinISR = s.Switch("at-min-isr-partitions", "Describe only partitions with exactly min.insync.replicas replicas in sync.")
	t.overrides = s.Switch("topics-with-overrides", "Describe only topics with settings of their own.")
	t.ifExists = s.Switch("if-exists", "With --alter, --delete or --describe: do nothing if the topic does not exist.")
	t.ifNotExists = s.Switch("if-not-exists", "With --create: do nothing if the topic exists.")
	t.excludeInternal = s.Switch("exclude-internal", "With --list or --describe: leave out Kafka's internal topics.")
	t.pageSize = s.Int("partition-size-limit-per-response", "maximum number of partitions per response", "With --describe: how many partitions a broker may send at once.")
	s.Removed("zookeeper", "it was removed in Kafka 3.0; use --bootstrap-server HOST:PORT (a broker)")
	s.Removed("force", "it was removed in Kafka 3.0; no prompt is left that it could answer")
	s.Removed("disable-rack-aware", "it was removed in Kafka 3.0; use --replica-assignment to place replicas without regard to racks")
	return t
}

func topicSettings() string {
	var names []string
	for _, d := range config.TopicDefs() {
		if strings.HasPrefix(d.Name, "internal.") {
			continue
		}
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// Flags implements Command.
func (t *topicsTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *topicsTool) Run(ctx context.Context, env Env) error {
	if err := t.check(env); err != nil {
		return throw(env, err)
	}
	admin, err := connect(env, "bootstrap.servers", t.bootstrap.Value(), t.commandConfig.Value())
	if err != nil {
		return throw(env, err)
	}
	defer admin.Close()
	c := &topicsRun{topicsTool: t, env: env, admin: admin}
	var misread *kafkaflag.OptionError
	switch {
	case errors.As(t.set.CheckValues(), &misread):
		err = &client.Error{Class: misread.Class, Message: misread.Message}
	case t.create.Present():
		err = c.runCreate(ctx)
	case t.alter.Present():
		err = c.runAlter(ctx)
	case t.list.Present():
		err = c.runList(ctx)
	case t.describe.Present():
		err = c.runDescribe(ctx)
	default:
		err = c.runDelete(ctx)
	}
	if err == nil {
		return nil
	}
	fmt.Fprintln(env.Stdout, "Error while executing topic command :", err)
	client.Logf(env.Stderr, "ERROR", "org.apache.kafka.tools.TopicCommand", "%s\n", client.Java(err))
	return failed
}

func (t *topicsTool) check(env Env) error {
	s := t.set
	if kafkaflag.Count(t.create, t.list, t.alter, t.describe, t.remove) != 1 {
		return s.UsageErrorf("Command must include exactly one action: --list, --describe, --create, --alter or --delete")
	}
	if t.deleteConfig.Present() {
		fmt.Fprintln(env.Stderr, "delete-config option is no longer supported and deprecated since version 4.0. The config will be fully removed in future releases.")
	}
	if !t.bootstrap.Present() {
		return client.IllegalArgument("--bootstrap-server must be specified")
	}
	if t.describe.Present() && t.ifExists.Present() {
		switch {
		case !t.topic.Present() && !t.topicID.Present():
			return s.UsageErrorf("--topic or --topic-id is required to describe a topic")
		case t.topic.Present() && t.topicID.Present():
			fmt.Fprintln(env.Stdout, "Only topic id will be used when both --topic and --topic-id are specified and topicId is not Uuid.ZERO_UUID")
		}
	}
	if !t.list.Present() && !t.describe.Present() {
		if err := s.CheckRequired(t.topic); err != nil {
			return err
		}
	}
	if t.alter.Present() {
		if err := t.checkAlter(); err != nil {
			return err
		}
	}
	return t.checkCombinations()
}

func (t *topicsTool) checkAlter() error {
	if t.bootstrap.Present() && t.config.Present() {
		return t.set.UsageErrorf("Option combination \"%s\" can't be used with option \"%s\"%s", javaList([]*kafkaflag.Flag{t.bootstrap, t.config}), t.alter,
			" (To alter topic configurations, the kafka-configs tool can be used.)")
	}
	return t.set.CheckRequired(t.partitions)
}

// checkCombinations refuses flags that do not belong to the action or exclude each other, in Kafka's order.
func (t *topicsTool) checkCombinations() error {
	s := t.set
	all := []*kafkaflag.Flag{t.alter, t.create, t.describe, t.list, t.remove}
	allBut := func(allowed ...*kafkaflag.Flag) []*kafkaflag.Flag {
		return slices.DeleteFunc(slices.Clone(all), func(f *kafkaflag.Flag) bool { return slices.Contains(allowed, f) })
	}
	reports := []*kafkaflag.Flag{t.underReplicated, t.underMinISR, t.atMinISR, t.unavailable}
	type rule struct {
		flag *kafkaflag.Flag
		not  []*kafkaflag.Flag
	}
	rules := []rule{
		{t.config, allBut(t.create, t.alter)},
		{t.partitions, allBut(t.create, t.alter)},
		{t.replicationFactor, allBut(t.create)},
		{t.assignment, allBut(t.create, t.alter)},
	}
	if t.create.Present() {
		rules = append(rules, rule{t.assignment, []*kafkaflag.Flag{t.partitions, t.replicationFactor}})
	}
	for _, r := range reports {
		rules = append(rules, rule{r, append(allBut(t.describe), t.overrides)})
	}
	rules = append(rules,
		rule{t.overrides, append(allBut(t.describe), reports...)},
		rule{t.ifExists, allBut(t.alter, t.remove, t.describe)},
		rule{t.ifNotExists, allBut(t.create)},
		rule{t.excludeInternal, allBut(t.list, t.describe)},
	)
	for _, r := range rules {
		if err := s.CheckInvalid(r.flag, r.not...); err != nil {
			return err
		}
	}
	return nil
}

// parseReplicaAssignment reads "1:2,2:3": the replicas of each partition.
func parseReplicaAssignment(text string) ([][]int32, error) {
	var out [][]int32
	for _, list := range strings.Split(strings.TrimRight(text, ","), ",") {
		var replicas []int32
		var duplicates []string
		for _, word := range strings.Split(list, ":") {
			id, err := strconv.ParseInt(strings.TrimSpace(word), 10, 32)
			if err != nil {
				return nil, &client.Error{Class: "java.lang.NumberFormatException", Message: fmt.Sprintf("For input string: %q", strings.TrimSpace(word))}
			}
			if slices.Contains(replicas, int32(id)) && !slices.Contains(duplicates, strconv.FormatInt(id, 10)) {
				duplicates = append(duplicates, strconv.FormatInt(id, 10))
			}
			replicas = append(replicas, int32(id))
		}
		if len(duplicates) > 0 {
			return nil, &client.Error{Class: "org.apache.kafka.tools.AdminCommandFailedException",
				Message: "Partition replica lists may not contain duplicate entries: " + strings.Join(duplicates, ",")}
		}
		out = append(out, replicas)
		if len(replicas) != len(out[0]) {
			return nil, &client.Error{Class: "org.apache.kafka.tools.AdminOperationException",
				Message: fmt.Sprintf("Partition %d has different replication factor: %s", len(out)-1, javaList(replicas))}
		}
	}
	return out, nil
}

// javaList is how Java prints a list of numbers or words.
func javaList[T any](items []T) string {
	words := make([]string, len(items))
	for i, item := range items {
		words[i] = fmt.Sprint(item)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// topicConfigs reads the values of --config and checks them as the tool does before it asks a broker.
func topicConfigs(values []string) ([][2]string, error) {
	var out [][2]string
	for _, v := range values {
		key, value, ok := strings.Cut(v, "=")
		if !ok || strings.Contains(value, "=") || strings.TrimSpace(value) == "" {
			return nil, client.IllegalArgument("requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".")
		}
		out = append(out, [2]string{strings.TrimSpace(key), strings.TrimSpace(value)})
	}
	for _, c := range out {
		if config.LookupTopic(c[0]) == nil {
			return nil, &client.Error{Class: "org.apache.kafka.common.errors.InvalidConfigurationException", Message: "Unknown topic config name: " + c[0]}
		}
	}
	for _, c := range out {
		if _, err := config.LookupTopic(c[0]).Parse(c[1]); err != nil {
			return nil, client.ConfigError(err.Error())
		}
	}
	return out, nil
}
