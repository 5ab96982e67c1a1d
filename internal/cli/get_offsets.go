package cli

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// getOffsetsTool is kafka-get-offsets: the offsets of partitions at a time.
type getOffsetsTool struct {
	set *kafkaflag.Set

	bootstrap, commandConfig           *kafkaflag.Flag
	topicPartitions, topic, partitions *kafkaflag.Flag
	time, excludeInternal              *kafkaflag.Flag
}

func newGetOffsetsTool() Command {
	s := kafkaflag.New("kafka-get-offsets", "An interactive shell for getting topic-partition offsets.", kafkaflag.Jopt)
	s.OptionErrors, s.OptionErrorPrefix = kafkaflag.OptionErrorTerse, "Error occurred: "
	t := &getOffsetsTool{set: s}
	t.bootstrap = s.String("bootstrap-server", "HOST1:PORT1,...,HOST3:PORT3", "REQUIRED: the brokers to contact first.")
	t.topicPartitions = s.String("topic-partitions", "topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3",
		"Which partitions of which topics: topic:partition or topic:from-to (to is left out), where topic is a regular expression.")
	t.topic = s.String("topic", "topic", "The topic, or a regular expression; all topics otherwise.")
	t.partitions = s.String("partitions", "partition ids", "The partitions, separated by commas; all otherwise.")
	t.time = s.String("time", "<timestamp> / -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload",
		"The offset of the first record at or after a time, or one of the named offsets. Nothing is printed for a partition whose records are all older.", kafkaflag.Default("latest"))
	t.commandConfig = s.String("command-config", "config file", "A properties file with settings for the admin client.")
	t.excludeInternal = s.Switch("exclude-internal-topics", "Leave out Kafka's internal topics.")
	s.Removed("broker-list", "it was removed in Kafka 4.0; use --bootstrap-server HOST:PORT")
	s.Removed("offsets", "it was removed in Kafka 3.0 and has no successor: there is one offset per time")
	s.Removed("max-wait-ms", "it was removed in Kafka 3.0; use --command-config with request.timeout.ms")
	return t
}

// Flags implements Command.
func (t *getOffsetsTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *getOffsetsTool) Run(ctx context.Context, env Env) error {
	if err := t.set.CheckRequired(t.bootstrap); err != nil {
		return err
	}
	if err := validateBootstrap(t.bootstrap.Value()); err != nil {
		return t.set.UsageErrorf("%s", err)
	}
	if err := t.print(ctx, env); err != nil {
		fmt.Fprintln(env.Stderr, "Error occurred:", err)
		if _, terse := err.(messageOnly); !terse {
			fmt.Fprintf(env.Stderr, "%s\n\n", client.Java(err))
		}
		return failed
	}
	return nil
}

// messageOnly is an error whose text is all that is to be said.
type messageOnly string

func (e messageOnly) Error() string { return string(e) }

func (t *getOffsetsTool) print(ctx context.Context, env Env) error {
	if t.topicPartitions.Present() && kafkaflag.Count(t.topic, t.partitions) > 0 {
		return messageOnly("--topic-partitions cannot be used with --topic or --partitions")
	}
	at, err := parseOffsetTime(t.time.Value())
	if err != nil {
		return err
	}
	filter, err := t.filter()
	if err != nil {
		return err
	}
	p := client.Properties{}
	if t.commandConfig.Present() {
		if p, err = client.LoadProperties(t.commandConfig.Value()); err != nil {
			return err
		}
	}
	p["bootstrap.servers"], p["client.id"] = t.bootstrap.Value(), "GetOffsetShell"
	admin, err := client.NewAdmin(p, env.Stderr)
	if err != nil {
		return err
	}
	defer admin.Close()
	states, _, err := topicPartitions(ctx, admin, nil)
	if err != nil {
		return executing(err)
	}
	var wanted []topicPartition
	for _, s := range states {
		if t.excludeInternal.Present() && isInternalTopic(s.tp.topic) {
			continue
		}
		if filter(s.tp) {
			wanted = append(wanted, s.tp)
		}
	}
	if len(wanted) == 0 {
		return messageOnly("Could not match any topic-partitions with the specified filters")
	}
	found := listOffsets(ctx, admin, wanted, at)
	for _, tp := range wanted {
		switch o := found[tp]; {
		case o.err != nil:
			fmt.Fprintf(env.Stderr, "Skip getting offsets for topic-partition %s-%d due to error: %s\n", tp.topic, tp.partition, client.Java(o.err))
		case o.offset >= 0:
			fmt.Fprintf(env.Stdout, "%s:%d:%d\n", tp.topic, tp.partition, o.offset)
		}
	}
	return nil
}

var offsetTimes = map[string]int64{
	"latest": offsetLatest, "earliest": offsetEarliest, "max-timestamp": offsetMaxTimestamp,
	"earliest-local": -4, "latest-tiered": -5, "earliest-pending-upload": -6,
}

func parseOffsetTime(text string) (int64, error) {
	if at, ok := offsetTimes[text]; ok {
		return at, nil
	}
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, messageOnly("Malformed time argument " + text + ". Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / " +
			"-5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp")
	}
	return at, nil
}

func (t *getOffsetsTool) filter() (func(topicPartition) bool, error) {
	if t.topicPartitions.Present() {
		return topicPartitionRules(t.topicPartitions.Value())
	}
	pattern := ".*"
	if t.topic.Present() {
		pattern = t.topic.Value()
	}
	topics, err := newTopicFilter(pattern)
	if err != nil {
		return nil, err
	}
	only := map[int32]bool{}
	if t.partitions.Value() != "" {
		for word := range strings.SplitSeq(t.partitions.Value(), ",") {
			n, err := strconv.ParseInt(word, 10, 32)
			if err != nil {
				return nil, messageOnly("--partitions expects a comma separated list of numeric partition ids, but received: " + t.partitions.Value())
			}
			only[int32(n)] = true
		}
	}
	return func(tp topicPartition) bool {
		return topics.allows(tp.topic, false) && (len(only) == 0 || only[tp.partition])
	}, nil
}

var topicPartitionRule = regexp.MustCompile(`^([^:,]*)(?::(?:([0-9]*)|(?:([0-9]*)-([0-9]*))))?$`)

// topicPartitionRules reads "topic1:1,topic2:0-3,topic3,:5-": one of the rules must let a partition through.
func topicPartitionRules(text string) (func(topicPartition) bool, error) {
	var rules []func(topicPartition) bool
	for spec := range strings.SplitSeq(text, ",") {
		m := topicPartitionRule.FindStringSubmatch(spec)
		invalid := &client.Error{Class: "java.lang.RuntimeException", Message: "org.apache.kafka.tools.TerseException: Invalid rule specification: " + spec}
		if m == nil {
			return nil, invalid
		}
		pattern := m[1]
		if pattern == "" {
			pattern = ".*"
		}
		topics, err := newTopicFilter(pattern)
		if err != nil {
			return nil, err
		}
		from, to, err := partitionRange(m[2], m[3], m[4])
		if err != nil {
			return nil, invalid
		}
		rules = append(rules, func(tp topicPartition) bool {
			return topics.allows(tp.topic, false) && int64(tp.partition) >= from && int64(tp.partition) < to
		})
	}
	return func(tp topicPartition) bool {
		for _, rule := range rules {
			if rule(tp) {
				return true
			}
		}
		return false
	}, nil
}

// partitionRange is [from, to) for one partition, or for a range with open ends.
func partitionRange(one, lower, upper string) (from, to int64, err error) {
	from, to = 0, 1<<31
	if one != "" {
		if from, err = strconv.ParseInt(one, 10, 32); err == nil {
			to = from + 1
		}
		return from, to, err
	}
	if lower != "" {
		if from, err = strconv.ParseInt(lower, 10, 32); err != nil {
			return 0, 0, err
		}
	}
	if upper != "" {
		to, err = strconv.ParseInt(upper, 10, 32)
	}
	return from, to, err
}
