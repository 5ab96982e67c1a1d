package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

const operationFailed = "org.apache.kafka.tools.AdminOperationException"

// reassignTool is kafka-reassign-partitions: it moves replicas between brokers and between their log directories.
type reassignTool struct {
	set *kafkaflag.Set

	brokers, controllers, config            *kafkaflag.Flag
	verify, generate, execute, cancel, list *kafkaflag.Flag
	assignment, topics, brokerList          *kafkaflag.Flag
	noRacks, throttle, dirThrottle, timeout *kafkaflag.Flag
	additional, preserve, sameFactor        *kafkaflag.Flag
}

func newReassignTool() Command {
	s := kafkaflag.New("kafka-reassign-partitions", "This tool helps to move topic partitions between replicas.", kafkaflag.Jopt)
	s.OptionErrors = kafkaflag.OptionErrorThrown
	t := &reassignTool{set: s}
	t.verify = s.Switch("verify", "See how far the moves of --reassignment-json-file are, and take throttles away when they are done.")
	t.generate = s.Switch("generate", "Propose where the partitions of topics should go. Nothing is moved.")
	t.execute = s.Switch("execute", "Start the moves of --reassignment-json-file.")
	t.cancel = s.Switch("cancel", "Stop the moves of --reassignment-json-file that are under way.")
	t.list = s.Switch("list", "List all moves that are under way.")
	t.brokers = s.String("bootstrap-server", "Server(s) to use for bootstrapping", "The brokers to contact first, as host:port, separated by commas.", kafkaflag.OptionalArg())
	t.controllers = s.String("bootstrap-controller", "bootstrap controller to connect to", "The controllers to contact first, instead of brokers.", kafkaflag.OptionalArg())
	t.config = s.String("command-config", "Admin client property file", "A properties file with settings for the admin client.")
	t.assignment = s.String("reassignment-json-file", "manual assignment json file path", "The file with the moves: {\"partitions\": [{\"topic\": \"foo\", "+
		"\"partition\": 1, \"replicas\": [1,2,3], \"log_dirs\": [\"dir1\",\"dir2\",\"dir3\"]}], \"version\":1}. log_dirs may be left out, or \"any\".")
	t.topics = s.String("topics-to-move-json-file", "topics to reassign json file path", "The file with the topics for --generate: {\"topics\": [{\"topic\": \"foo\"}], \"version\":1}.")
	t.brokerList = s.String("broker-list", "brokerlist", "The ids of the brokers that may get partitions, separated by commas, for --generate.")
	t.noRacks = s.Switch("disable-rack-aware", "Do not mind racks with --generate.")
	t.throttle = s.Long("throttle", "throttle", "Bytes per second that moves between brokers may take.", kafkaflag.Default("-1"))
	t.dirThrottle = s.Long("replica-alter-log-dirs-throttle", "replicaAlterLogDirsThrottle", "Bytes per second that moves between directories may take.", kafkaflag.Default("-1"))
	t.timeout = s.Long("timeout", "timeout", "Milliseconds to wait for moves between directories to start.", kafkaflag.Default("10000"))
	t.additional = s.Switch("additional", "Start moves although others are under way; also changes the throttle of those.")
	t.preserve = s.Switch("preserve-throttles", "Leave throttles as they are.")
	t.sameFactor = s.Switch("disallow-replication-factor-change", "Refuse moves that change how many replicas a partition has.")
	s.Removed("zookeeper", "it was removed in Kafka 3.0; use --bootstrap-server HOST:PORT (a broker)")
	return t
}

// Flags implements Command.
func (t *reassignTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *reassignTool) Run(ctx context.Context, env Env) error {
	if err := t.check(); err != nil {
		return err
	}
	p, err := loadProperties(t.config.Value())
	if err != nil {
		return reassignFailure(env, err)
	}
	if p["client.id"] == "" {
		p["client.id"] = "reassign-partitions-tool"
	}
	c, err := reach(env, p, t.brokers.Value(), t.controllers.Value())
	if err != nil {
		return reassignFailure(env, err)
	}
	defer c.close()
	run := &reassignment{
		env: env, cluster: c,
		timeout:    time.Duration(t.timeout.Int64()) * time.Millisecond,
		preserve:   t.preserve.Present(),
		additional: t.additional.Present(),
		sameFactor: t.sameFactor.Present(),
		throttle:   t.throttle.Int64(), dirThrottle: t.dirThrottle.Int64(),
	}
	return reassignFailure(env, t.dispatch(ctx, run))
}

func (t *reassignTool) dispatch(ctx context.Context, run *reassignment) error {
	if t.list.Present() {
		return run.list(ctx)
	}
	file := t.assignment.Value()
	if t.generate.Present() {
		file = t.topics.Value()
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return &client.Error{Class: "java.io.IOException", Message: "Unable to read file " + file}
	}
	if t.generate.Present() {
		return run.generate(ctx, text, t.brokerList.Value(), !t.noRacks.Present())
	}
	plan, err := parseMoves(text)
	if err != nil {
		return err
	}
	switch {
	case t.verify.Present():
		return run.verify(ctx, plan)
	case t.execute.Present():
		return run.execute(ctx, plan)
	}
	return run.cancel(ctx, plan)
}

// check refuses command lines that make no sense, in Kafka's order of checks.
func (t *reassignTool) check() error {
	actions := []*kafkaflag.Flag{t.generate, t.execute, t.verify, t.cancel, t.list}
	if kafkaflag.Count(actions...) != 1 {
		return t.set.UsageErrorf("Command must include exactly one action: --generate, --execute, --verify, --cancel, --list")
	}
	action := actions[slices.IndexFunc(actions, (*kafkaflag.Flag).Present)]
	switch {
	case t.brokers.Present() && t.controllers.Present():
		return t.set.UsageErrorf("Please don't specify both --bootstrap-server and --bootstrap-controller")
	case !t.brokers.Present() && !t.controllers.Present():
		return t.set.UsageErrorf("Please specify either --bootstrap-server or --bootstrap-controller")
	}
	required := map[*kafkaflag.Flag][]*kafkaflag.Flag{t.verify: {t.assignment}, t.execute: {t.assignment}, t.cancel: {t.assignment},
		t.generate: {t.topics, t.brokerList}}
	if err := t.set.CheckRequired(required[action]...); err != nil {
		return err
	}
	permitted := map[*kafkaflag.Flag][]*kafkaflag.Flag{
		t.verify:   {t.brokers, t.config, t.preserve},
		t.generate: {t.brokers, t.config, t.noRacks},
		t.execute:  {t.brokers, t.config, t.additional, t.throttle, t.dirThrottle, t.timeout, t.sameFactor},
		t.cancel:   {t.brokers, t.controllers, t.config, t.preserve, t.timeout},
		t.list:     {t.brokers, t.controllers, t.config},
	}
	all := []*kafkaflag.Flag{t.brokers, t.controllers, t.config, t.assignment, t.topics, t.brokerList, t.noRacks, t.throttle, t.dirThrottle, t.timeout,
		t.additional, t.preserve, t.sameFactor}
	for _, f := range all {
		if f.Present() && !slices.Contains(required[action], f) && !slices.Contains(permitted[action], f) {
			return t.set.UsageErrorf("Option \"%s\" can't be used with action \"%s\"", f, action)
		}
	}
	return nil
}

// plainRefusal is a failure whose text is all that is printed.
type plainRefusal string

func (r plainRefusal) Error() string { return string(r) }

// inFuture is a failure that Kafka's tool gets out of a future, which wraps it in an exception of its own.
type inFuture struct{ error }

func (f inFuture) Unwrap() error { return f.error }

// reassignFailure prints a failure on standard output, where Kafka's tool has it.
func reassignFailure(env Env, err error) error {
	var refusal plainRefusal
	var wrapped inFuture
	switch {
	case err == nil, kafkaflag.Handled(err):
		return err
	case errors.As(err, &refusal):
		fmt.Fprintln(env.Stdout, string(refusal))
	case errors.As(err, &wrapped):
		cause := client.Java(wrapped.error)
		fmt.Fprintf(env.Stdout, "Error: %s\njava.util.concurrent.ExecutionException: %s\nCaused by: %s\n\n", cause, cause, cause)
	default:
		fmt.Fprintf(env.Stdout, "Error: %v\n%s\n\n", err, client.Java(err))
	}
	return failed
}

// plural is an "s" unless there is one thing.
func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func sortedNames(partitions []topicPartition) string {
	slices.SortFunc(partitions, topicPartition.compare)
	names := make([]string, len(partitions))
	for i, tp := range partitions {
		names[i] = tp.String()
	}
	return strings.Join(names, ",")
}
