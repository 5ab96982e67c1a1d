package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/cli/perf"
)

const (
	defaultTransactionMs = 3000
	transactionPrefix    = "performance-producer-"
)

// producerPerfTool is kafka-producer-perf-test: how fast a topic takes records.
type producerPerfTool struct {
	set *kafkaflag.Set

	topic, numRecords, throughput, warmup, interval         *kafkaflag.Flag
	recordSize, payloadFile, monotonic, delimiter           *kafkaflag.Flag
	bootstrap, properties, config, oldProperties, oldConfig *kafkaflag.Flag
	printMetrics, transactionalID, transactionMs            *kafkaflag.Flag
}

func newProducerPerfTool() Command {
	s := kafkaflag.New("kafka-producer-perf-test", "This tool is used to verify the producer performance. A transactional id, or a "+
		"duration of transactions, makes it write in transactions.", kafkaflag.Argparse)
	const property = "PROP-NAME=PROP-VALUE"
	t := &producerPerfTool{
		set:         s,
		topic:       s.String("topic", "TOPIC", "produce to this topic", kafkaflag.Required()),
		numRecords:  s.Long("num-records", "NUM-RECORDS", "how many records to produce", kafkaflag.Required()),
		recordSize:  s.Int("record-size", "RECORD-SIZE", "bytes of each record; exactly one of --record-size, --payload-file and --payload-monotonic is needed"),
		payloadFile: s.String("payload-file", "PAYLOAD-FILE", "a UTF-8 text file with the values of records, of which each record gets a random one"),
		monotonic:   s.Switch("payload-monotonic", "the value of each record is its number"),
		delimiter: s.String("payload-delimiter", "PAYLOAD-DELIMITER", "what separates the values in --payload-file, as a regular expression; a new line otherwise",
			kafkaflag.Default(`\n`)),
		throughput: s.Float("throughput", "THROUGHPUT", "hold about this many records per second; -1 is no limit", kafkaflag.Required()),
		bootstrap:  s.String("bootstrap-server", "BOOTSTRAP-SERVER", "the brokers to contact first, as host:port, separated by commas"),
		properties: s.String("command-property", property, "settings of the producer, such as linger.ms=10 batch.size=32768; they go before those of --command-config",
			kafkaflag.Many()),
		config:        s.String("command-config", "CONFIG-FILE", "a properties file with settings of the producer"),
		oldProperties: s.String("producer-props", property, "(DEPRECATED) the same as --command-property", kafkaflag.Many()),
		oldConfig:     s.String("producer.config", "CONFIG-FILE", "(DEPRECATED) the same as --command-config"),
		printMetrics:  s.Switch("print-metrics", "print the producer's metrics at the end"),
		transactionalID: s.String("transactional-id", "TRANSACTIONAL-ID", "the transactional id; without one --transaction-duration-ms makes one up that starts with "+
			transactionPrefix),
		transactionMs: s.Long("transaction-duration-ms", "TRANSACTION-DURATION", "commit after so many milliseconds; 3000 if only the transactional id is given"),
		warmup: s.Long("warmup-records", "WARMUP-RECORDS", "leave out so many records of the figures about the steady state, which get a line of their own",
			kafkaflag.Default("0")),
		interval: s.Long("reporting-interval", "INTERVAL-MS", "milliseconds between lines about the progress", kafkaflag.Default("5000")),
	}
	s.Exclusive(true, t.recordSize, t.payloadFile, t.monotonic)
	return t
}

// Flags implements Command.
func (t *producerPerfTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *producerPerfTool) Run(ctx context.Context, env Env) error {
	if err := t.check(env); err != nil {
		return err
	}
	p, err := t.producerProperties()
	if err != nil {
		return thrown(client.Java(err))
	}
	payloads, err := t.payloads(env)
	if err != nil {
		return thrown(client.Java(err))
	}
	run := &producerPerf{
		env:        env,
		properties: p,
		topic:      t.topic.Value(),
		records:    t.numRecords.Int64(),
		warmup:     t.warmup.Int64(),
		interval:   time.Duration(t.interval.Int64()) * time.Millisecond,
		rate:       t.throughput.Float64(),
		payloads:   payloads,
		recordSize: int(t.recordSize.Int64()),
		metrics:    t.printMetrics.Present(),
	}
	if _, ok := p["transactional.id"]; ok {
		run.transaction = defaultTransactionMs * time.Millisecond
		if t.transactionMs.Present() {
			run.transaction = time.Duration(t.transactionMs.Int64()) * time.Millisecond
		}
	}
	if err := run.run(ctx); err != nil {
		return thrown(client.Java(err))
	}
	return nil
}

// check refuses what argparse cannot see.
func (t *producerPerfTool) check(env Env) error {
	refuse := func(message string) error { return &kafkaflag.ArgumentError{Set: t.set, Message: message} }
	for _, f := range []*kafkaflag.Flag{t.numRecords, t.recordSize, t.interval, t.transactionMs} {
		if f.HasValue() && f.Int64() <= 0 {
			return refuse("--" + f.Name + " should be greater than zero.")
		}
	}
	switch {
	case t.warmup.Int64() >= t.numRecords.Int64():
		return refuse("The value for --warmup-records must be strictly fewer than the number of records in the test, --num-records.")
	case kafkaflag.Count(t.bootstrap, t.properties, t.oldProperties, t.oldConfig, t.config) == 0:
		return refuse("At least one of --bootstrap-server, --command-property, --producer-props, --producer.config or --command-config must be specified.")
	case t.properties.Present() && t.oldProperties.Present():
		return refuse("--command-property and --producer-props cannot be specified together.")
	case t.config.Present() && t.oldConfig.Present():
		return refuse("--command-config and --producer.config cannot be specified together.")
	}
	for _, f := range []struct{ old, successor *kafkaflag.Flag }{{t.oldProperties, t.properties}, {t.oldConfig, t.config}} {
		if f.old.Present() {
			fmt.Fprintf(env.Stdout, "Option --%s has been deprecated and will be removed in a future version. Use --%s instead.\n", f.old.Name, f.successor.Name)
		}
	}
	return nil
}

// producerProperties are the file's settings, then those of the command line.
func (t *producerPerfTool) producerProperties() (client.Properties, error) {
	p, err := loadProperties(t.config.Value() + t.oldConfig.Value())
	if err != nil {
		return nil, err
	}
	for _, property := range append(t.properties.Values(), t.oldProperties.Values()...) {
		key, value, _ := strings.Cut(property, "=")
		if value == "" {
			return nil, client.IllegalArgument("Invalid property: " + property)
		}
		p[key] = value
	}
	if t.bootstrap.Present() {
		p["bootstrap.servers"] = t.bootstrap.Value()
	}
	if p["client.id"] == "" {
		p["client.id"] = "perf-producer-client"
	}
	if t.transactionalID.Present() {
		p["transactional.id"] = t.transactionalID.Value()
	} else if t.transactionMs.Present() && p["transactional.id"] == "" {
		p["transactional.id"] = transactionPrefix + rand.Text()
	}
	return p, nil
}

func (t *producerPerfTool) payloads(env Env) (perf.Payloads, error) {
	switch {
	case t.recordSize.Present():
		return perf.Random(int(t.recordSize.Int64())), nil
	case t.monotonic.Present():
		return &perf.Counting{}, nil
	}
	path, err := filepath.Abs(t.payloadFile.Value())
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(env.Stdout, "Reading payloads from: "+path)
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return nil, client.IllegalArgument("File does not exist or empty file provided.")
	}
	delimiter := t.delimiter.Value()
	separator, err := regexp.Compile(delimiter)
	if err != nil {
		return nil, &client.Error{Class: "java.util.regex.PatternSyntaxException", Message: err.Error()}
	}
	list := trimTrailingEmpty(separator.Split(string(text), -1))
	fmt.Fprintf(env.Stdout, "Number of records read: %d\n", len(list))
	values := make([][]byte, len(list))
	for i, v := range list {
		values[i] = []byte(v)
	}
	return perf.Chosen(values), nil
}
