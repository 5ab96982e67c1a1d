package cli

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"time"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/cli/perf"
)

// consumerPerfTool is kafka-consumer-perf-test: how fast a topic is read.
type consumerPerfTool struct {
	set *kafkaflag.Set

	bootstrap, topic, include, group            *kafkaflag.Flag
	fetchSize, fromLatest, socketBuffer         *kafkaflag.Flag
	config, oldConfig, properties               *kafkaflag.Flag
	printMetrics, detailed, timeout, hideHeader *kafkaflag.Flag
	numRecords, messages, interval, dateFormat  *kafkaflag.Flag
}

func newConsumerPerfTool() Command {
	s := kafkaflag.New("kafka-consumer-perf-test", "This tool is used to verify the consumer performance.", kafkaflag.Jopt)
	s.OptionErrors = kafkaflag.OptionErrorUsage
	t := &consumerPerfTool{
		set:       s,
		bootstrap: s.String("bootstrap-server", "server to connect to", "REQUIRED: the brokers to contact first, as host:port, separated by commas."),
		topic:     s.String("topic", "topic", "The topic to read."),
		include:   s.String("include", "Java regex (String)", "A regular expression of the topics to read."),
		group: s.String("group", "gid", "The id of the group to read in.",
			kafkaflag.Default("perf-consumer-"+strconv.Itoa(rand.IntN(100_000)))),
		fetchSize:  s.Int("fetch-size", "size", "Bytes of one partition that a request may bring.", kafkaflag.Default("1048576")),
		fromLatest: s.Switch("from-latest", "Start at the end of the topic if the group has no offset yet, and not at its beginning."),
		socketBuffer: s.Int("socket-buffer-size", "size", "Accepted for Kafka's sake; the system chooses the size of the receive buffer.",
			kafkaflag.Default("2097152")),
		oldConfig:    s.String("consumer.config", "config file", "(DEPRECATED) The same as --command-config."),
		config:       s.String("command-config", "config file", "A properties file with settings of the consumer."),
		properties:   s.String("command-property", "prop1=val1", "A setting of the consumer; may be repeated.", kafkaflag.Repeatable()),
		printMetrics: s.Switch("print-metrics", "Print the consumer's metrics at the end."),
		detailed:     s.Switch("show-detailed-stats", "Print a line for each interval of --reporting-interval."),
		timeout:      s.Long("timeout", "milliseconds", "Stop when no record came for so long.", kafkaflag.OptionalArg(), kafkaflag.Default("10000")),
		messages:     s.Long("messages", "count", "(DEPRECATED) The same as --num-records."),
		numRecords:   s.Long("num-records", "count", "REQUIRED: how many records to read."),
		interval:     s.Long("reporting-interval", "interval_ms", "Milliseconds between lines about the progress.", kafkaflag.Default("5000")),
		dateFormat:   s.String("date-format", "date format", "The form of times, as Java's SimpleDateFormat has it.", kafkaflag.Default("yyyy-MM-dd HH:mm:ss:SSS")),
		hideHeader:   s.Switch("hide-header", "Leave out the line with the names of the columns."),
	}
	s.Removed("broker-list", "it was removed in Kafka 4.0; use --bootstrap-server")
	s.Removed("threads", "it was removed in Kafka 4.0; the tool has one thread")
	s.Removed("num-fetch-threads", "it was removed in Kafka 4.0; the tool has one thread")
	return t
}

// Flags implements Command.
func (t *consumerPerfTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *consumerPerfTool) Run(ctx context.Context, env Env) error {
	s := t.set
	if err := s.CheckRequired(t.bootstrap); err != nil {
		return err
	}
	for _, pair := range [][2]*kafkaflag.Flag{{t.topic, t.include}, {t.messages, t.numRecords}} {
		if err := s.CheckOneOf(pair[:]...); err != nil {
			return err
		}
	}
	if err := s.CheckInvalid(t.oldConfig, t.config); err != nil {
		return err
	}
	if t.messages.Present() {
		fmt.Fprintln(env.Stdout, "Warning: --messages is deprecated. Use --num-records instead.")
	}
	if t.oldConfig.Present() {
		fmt.Fprintln(env.Stdout, "Warning: --consumer.config is deprecated. Use --command-config instead.")
	}
	run, err := t.prepare(env)
	if err != nil {
		return throw(env, err)
	}
	return throw(env, run.run(ctx))
}

func (t *consumerPerfTool) prepare(env Env) (*consumerPerf, error) {
	if t.interval.Int64() <= 0 {
		return nil, client.IllegalArgument("Reporting interval must be greater than 0.")
	}
	if _, err := perf.FormatDate(t.dateFormat.Value(), time.Now()); err != nil {
		return nil, client.IllegalArgument(err.Error())
	}
	p, err := loadProperties(t.config.Value() + t.oldConfig.Value())
	if err != nil {
		return nil, err
	}
	pairs, err := kafkaflag.KeyValues(t.properties.Values(), true)
	if err != nil {
		return nil, client.IllegalArgument(err.Error())
	}
	for _, kv := range pairs {
		p[kv[0]] = kv[1]
	}
	p["bootstrap.servers"] = t.bootstrap.Value()
	p["group.id"] = t.group.Value()
	p["max.partition.fetch.bytes"] = t.fetchSize.Value()
	p["auto.offset.reset"] = "earliest"
	if t.fromLatest.Present() {
		p["auto.offset.reset"] = "latest"
	}
	if p["client.id"] == "" {
		p["client.id"] = "perf-consumer-client"
	}
	run := &consumerPerf{
		env: env, properties: p, topic: t.topic.Value(), regex: t.include.Present(),
		records:  t.numRecords.Int64() + t.messages.Int64(),
		timeout:  time.Duration(t.timeout.Int64()) * time.Millisecond,
		interval: time.Duration(t.interval.Int64()) * time.Millisecond,
		detailed: t.detailed.Present(), header: !t.hideHeader.Present(), metrics: t.printMetrics.Present(),
		dates: t.dateFormat.Value(),
	}
	if run.regex {
		run.topic = "^(?:" + t.include.Value() + ")$"
		if _, err := regexp.Compile(run.topic); err != nil {
			return nil, &client.Error{Class: "java.util.regex.PatternSyntaxException", Message: err.Error()}
		}
	}
	return run, nil
}
