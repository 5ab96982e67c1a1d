package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// e2eLatencyTool is kafka-e2e-latency: the time from sending a record to reading it, one record after the other.
type e2eLatencyTool struct {
	set *kafkaflag.Set

	bootstrap, topic, numRecords, acks, recordSize, config *kafkaflag.Flag
	keySize, headerKeySize, headerSize, numHeaders         *kafkaflag.Flag
}

func newE2ELatencyTool() Command {
	s := kafkaflag.New("kafka-e2e-latency", "This tool measures end-to-end latency in Kafka by sending messages and timing their reception.",
		kafkaflag.Jopt)
	s.OptionErrors = kafkaflag.OptionErrorUsage
	size := func(name, usage string) *kafkaflag.Flag {
		return s.Int(name, "bytes", "Optional: "+usage, kafkaflag.OptionalArg(), kafkaflag.Default("0"))
	}
	return &e2eLatencyTool{
		set:           s,
		bootstrap:     s.String("bootstrap-server", "bootstrap-server", "REQUIRED: the brokers to contact first, as host:port, separated by commas."),
		topic:         s.String("topic", "topic-name", "REQUIRED: the topic to use; it is created if it does not exist."),
		numRecords:    s.Int("num-records", "count", "REQUIRED: how many records to send."),
		acks:          s.String("producer-acks", "producer-acks", "REQUIRED: what the producer waits for, '1' or 'all'."),
		recordSize:    s.Int("record-size", "bytes", "REQUIRED: bytes of each record's value."),
		config:        s.String("command-config", "config-file", "Optional: a properties file with settings of the clients.", kafkaflag.OptionalArg()),
		keySize:       size("record-key-size", "bytes of each record's key; 0 is no key."),
		headerKeySize: size("record-header-key-size", "bytes of each header's name."),
		headerSize:    size("record-header-size", "bytes of each header's value; -1 is null."),
		numHeaders:    s.Int("num-headers", "count", "Optional: how many headers each record has.", kafkaflag.OptionalArg(), kafkaflag.Default("0")),
	}
}

// Flags implements Command.
func (t *e2eLatencyTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *e2eLatencyTool) Run(ctx context.Context, env Env) error {
	run := &e2eLatency{env: env}
	var err error
	if len(t.set.Args()) > 0 {
		err = t.fromPositional(env, run)
	} else {
		err = t.fromFlags(run)
	}
	if err != nil {
		return throw(env, err)
	}
	return throw(env, run.run(ctx))
}

func (t *e2eLatencyTool) fromFlags(run *e2eLatency) error {
	if err := t.set.CheckRequired(t.bootstrap, t.topic, t.numRecords, t.acks, t.recordSize); err != nil {
		return err
	}
	run.bootstrap, run.topic, run.acks, run.config = t.bootstrap.Value(), t.topic.Value(), t.acks.Value(), t.config.Value()
	run.records, run.size = int(t.numRecords.Int64()), int(t.recordSize.Int64())
	run.keySize, run.headerKeySize = int(t.keySize.Int64()), int(t.headerKeySize.Int64())
	run.headerSize, run.headers = int(t.headerSize.Int64()), int(t.numHeaders.Int64())
	return t.check(run)
}

// fromPositional takes the arguments as former versions of Kafka's tool had them.
func (t *e2eLatencyTool) fromPositional(env Env, run *e2eLatency) error {
	args := t.set.Args()
	if len(args) != 5 && len(args) != 6 {
		return terseErrorf("Invalid number of arguments. Expected 5 or 6 positional arguments, but got %d. Usage: bootstrap-server topic num-records "+
			"producer-acks record-size [optional] command-config", len(args))
	}
	fmt.Fprintln(env.Stdout, "WARNING: Positional argument usage is deprecated and will be removed in Apache Kafka 5.0. Please use named arguments instead: "+
		"--bootstrap-server, --topic, --num-records, --producer-acks, --record-size, --command-config")
	run.bootstrap, run.topic, run.acks = args[0], args[1], args[3]
	if len(args) == 6 {
		run.config = args[5]
	}
	var err error
	if run.records, err = strconv.Atoi(args[2]); err != nil {
		return t.set.UsageErrorf("Cannot parse argument '%s' of option num-records", args[2])
	}
	if run.size, err = strconv.Atoi(args[4]); err != nil {
		return t.set.UsageErrorf("Cannot parse argument '%s' of option record-size", args[4])
	}
	return t.check(run)
}

func (t *e2eLatencyTool) check(run *e2eLatency) error {
	switch {
	case run.acks != "1" && run.acks != "all":
		return t.set.UsageErrorf("Invalid value for --producer-acks. Latency testing requires synchronous acknowledgement. Please use '1' or 'all'.")
	case run.records <= 0:
		return t.set.UsageErrorf("Value for --num-records must be a positive integer.")
	case run.size < 0:
		return t.set.UsageErrorf("Value for --record-size must be a non-negative integer.")
	case run.keySize < 0:
		return t.set.UsageErrorf("Value for --record-key-size must be a non-negative integer.")
	case run.headerKeySize < 0:
		return t.set.UsageErrorf("Value for --record-header-key-size must be a non-negative integer.")
	case run.headerSize < -1:
		return t.set.UsageErrorf("Value for --record-header-size must be a non-negative integer or -1 for null header value.")
	case run.headers < 0:
		return t.set.UsageErrorf("Value for --num-headers must be a non-negative integer.")
	}
	return nil
}

func runtimeError(format string, args ...any) error {
	return &client.Error{Class: "java.lang.RuntimeException", Message: fmt.Sprintf(format, args...)}
}
