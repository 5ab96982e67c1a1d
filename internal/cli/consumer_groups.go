package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// consumerGroupsTool is kafka-consumer-groups: list, describe, delete consumer groups and move their offsets.
type consumerGroupsTool struct {
	set *kafkaflag.Set

	bootstrap, commandConfig, timeout                           *kafkaflag.Flag
	group, allGroups, topic, allTopics                          *kafkaflag.Flag
	list, describe, remove, reset, deleteOffsets, validateRegex *kafkaflag.Flag
	dryRun, execute, export                                     *kafkaflag.Flag
	toOffset, fromFile, toDatetime, byDuration                  *kafkaflag.Flag
	toEarliest, toLatest, toCurrent, shiftBy                    *kafkaflag.Flag
	members, offsets, state, verbose, groupType                 *kafkaflag.Flag
}

func newConsumerGroupsTool() Command {
	s := kafkaflag.New("kafka-consumer-groups", "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, "+
		"or reset consumer group offsets.", kafkaflag.Jopt)
	s.OptionErrors, s.ValuesLater = kafkaflag.OptionErrorUsage, true
	t := &consumerGroupsTool{set: s}
	t.bootstrap = s.String("bootstrap-server", "server to connect to", "REQUIRED (except with --validate-regex): the brokers to contact first, as host:port, separated by commas.")
	t.commandConfig = s.String("command-config", "command config property file", "A properties file with settings for the admin client.")
	t.timeout = s.Long("timeout", "timeout (ms)", "How long an operation may take.", kafkaflag.Default("30000"))
	t.group = s.String("group", "consumer group", "The group; may be repeated.", kafkaflag.Repeatable())
	t.allGroups = s.Switch("all-groups", "All groups, for --describe, --delete and --reset-offsets.")
	t.topic = s.String("topic", "topic", "A topic, or some of its partitions as topic:0,1,2; may be repeated. For --reset-offsets and --delete-offsets.", kafkaflag.Repeatable())
	t.allTopics = s.Switch("all-topics", "All topics that the group has offsets of, for --reset-offsets.")
	t.list = s.Switch("list", "List the groups.")
	t.describe = s.Switch("describe", "Show the offsets of a group and how far it lags behind (or --members, --state).")
	t.remove = s.Switch("delete", "Delete groups with their offsets.")
	t.reset = s.Switch("reset-offsets", "Move the offsets of inactive groups. Shows what would change unless --execute is given. Needs one of --to-datetime, --by-duration, "+
		"--to-earliest, --to-latest, --shift-by, --from-file, --to-current, --to-offset, and --all-topics or --topic unless there is --from-file.")
	t.deleteOffsets = s.Switch("delete-offsets", "Delete a group's offsets of topics.")
	t.validateRegex = s.String("validate-regex", "regex", "Check a regular expression for topics as brokers would (RE2).")
	t.dryRun = s.Switch("dry-run", "Only show what --reset-offsets would change.")
	t.execute = s.Switch("execute", "Let --reset-offsets change the offsets.")
	t.export = s.Switch("export", "Print the offsets of --reset-offsets as CSV.")
	t.toOffset = s.Long("to-offset", "offset", "Reset to this offset.")
	t.fromFile = s.String("from-file", "path to CSV file", "Reset to the offsets in a file that --export has printed.")
	t.toDatetime = s.String("to-datetime", "datetime", "Reset to the first offset from a time on: YYYY-MM-DDThh:mm:ss.sss")
	t.byDuration = s.String("by-duration", "duration", "Reset to the first offset from some time ago on: PnDTnHnMnS")
	t.toEarliest = s.Switch("to-earliest", "Reset to the earliest offset.")
	t.toLatest = s.Switch("to-latest", "Reset to the latest offset.")
	t.toCurrent = s.Switch("to-current", "Reset to the committed offset.")
	t.shiftBy = s.Long("shift-by", "number-of-offsets", "Reset to so many offsets after (or before, if negative) the committed one.")
	t.members = s.Switch("members", "Describe the members of the group.")
	t.offsets = s.Switch("offsets", "Describe the offsets and lags of the group, which is the default.")
	t.state = s.String("state", "", "Describe the state of the group; or with --list, show states, or only groups in these states.", kafkaflag.OptionalArg())
	t.verbose = s.Switch("verbose", "Describe with more columns.")
	t.groupType = s.String("type", "", "With --list: show types, or only groups of these types.", kafkaflag.OptionalArg())
	s.Removed("zookeeper", "it was removed in Kafka 2.0; use --bootstrap-server HOST:PORT (a broker)")
	s.Removed("new-consumer", "it was removed in Kafka 2.0; there is no other consumer")
	return t
}

// Flags implements Command.
func (t *consumerGroupsTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *consumerGroupsTool) Run(ctx context.Context, env Env) error {
	if err := t.check(env); err != nil {
		return err
	}
	if t.validateRegex.Present() {
		printRegexCheck(env, t.validateRegex.Value())
		return nil
	}
	var misread *kafkaflag.OptionError
	if errors.As(t.set.CheckValues(), &misread) {
		printGroupError(env, "Executing consumer group command failed due to "+misread.Message, &client.Error{Class: misread.Class, Message: misread.Message})
		return nil
	}
	run, err := t.connect(env)
	if err == nil {
		defer run.admin.Close()
		err = run.dispatch(ctx)
	}
	var argument *client.Error
	switch {
	case err == nil, kafkaflag.Handled(err):
		return err
	case errors.As(err, &argument) && argument.Class == "java.lang.IllegalArgumentException":
		return t.set.UsageErrorf("%s", argument.Message)
	}
	// Kafka's tool says so and exits with 0.
	printGroupError(env, "Executing consumer group command failed due to "+failureText(err), err)
	return nil
}

// groupFailure is an error that Java wraps: its text there has the class of the cause.
type groupFailure struct{ cause error }

func (e *groupFailure) Error() string { return client.Java(e.cause) }
func (e *groupFailure) Unwrap() error { return e.cause }

// executing marks an error of a call, which Kafka's tool gets as an ExecutionException.
func executing(err error) error {
	if err == nil || kafkaflag.Handled(err) {
		return err
	}
	return &groupFailure{err}
}

func failureText(err error) string { return err.Error() }

// printGroupError prints "Error: …" to standard output, and the exception, if any, to standard error.
func printGroupError(env Env, message string, err error) {
	fmt.Fprintf(env.Stdout, "\nError: %s\n", message)
	var wrapped *groupFailure
	var twice *wrappedOnce
	switch {
	case errors.As(err, &twice):
		fmt.Fprintf(env.Stderr, "java.lang.RuntimeException: %s\n", err)
	case errors.As(err, &wrapped):
		fmt.Fprintf(env.Stderr, "java.util.concurrent.ExecutionException: %s\nCaused by: %[1]s\n", client.Java(wrapped.cause))
	case err != nil:
		fmt.Fprintln(env.Stderr, client.Java(err))
	}
}

func printRegexCheck(env Env, pattern string) {
	_, err := syntax.Parse(pattern, syntax.Perl)
	var bad *syntax.Error
	if errors.As(err, &bad) {
		fmt.Fprintf(env.Stdout, "The regular expression `%s` is invalid: %s.\n", pattern, bad.Code)
		return
	}
	fmt.Fprintf(env.Stdout, "The regular expression `%s` is valid.\n", pattern)
}

// consumerGroups is one run against a cluster.
type consumerGroups struct {
	*consumerGroupsTool
	env   Env
	admin *client.Admin
}

func (t *consumerGroupsTool) connect(env Env) (*consumerGroups, error) {
	admin, err := connect(env, "bootstrap.servers", t.bootstrap.Value(), t.commandConfig.Value())
	if err != nil {
		return nil, err
	}
	return &consumerGroups{t, env, admin.WithTimeout(time.Duration(t.timeout.Int64()) * time.Millisecond)}, nil
}

func (c *consumerGroups) dispatch(ctx context.Context) error {
	switch {
	case c.list.Present():
		return c.runList(ctx)
	case c.describe.Present():
		return c.runDescribe(ctx)
	case c.remove.Present():
		return c.runDelete(ctx)
	case c.reset.Present():
		return c.runReset(ctx)
	}
	return c.runDeleteOffsets(ctx)
}

func (t *consumerGroupsTool) check(env Env) error {
	s := t.set
	if !t.validateRegex.Present() {
		if err := s.CheckRequired(t.bootstrap); err != nil {
			return err
		}
	}
	for _, check := range []func() error{t.checkDescribe, t.checkDelete, t.checkDeleteOffsets, func() error { return t.checkReset(env) }, t.checkScopes} {
		if err := check(); err != nil {
			return err
		}
	}
	if kafkaflag.Count(t.list, t.describe, t.remove, t.reset, t.deleteOffsets, t.validateRegex) != 1 {
		return s.UsageErrorf("Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets, --validate-regex")
	}
	return nil
}

func (t *consumerGroupsTool) needsGroup(action *kafkaflag.Flag) error {
	if kafkaflag.Count(t.group, t.allGroups) == 0 {
		return t.set.UsageErrorf("Option %s takes one of these options: %s", action, kafkaflag.Join([]*kafkaflag.Flag{t.group, t.allGroups}))
	}
	return nil
}

func (t *consumerGroupsTool) checkDescribe() error {
	if !t.describe.Present() {
		return nil
	}
	if err := t.needsGroup(t.describe); err != nil {
		return err
	}
	if modes := []*kafkaflag.Flag{t.members, t.offsets, t.state}; kafkaflag.Count(modes...) > 1 {
		return t.set.UsageErrorf("Option %s takes at most one of these options: %s", t.describe, kafkaflag.Join(modes))
	}
	if t.state.HasValue() {
		return t.set.UsageErrorf("Option %s does not take a value for %s", t.describe, t.state)
	}
	return nil
}

func (t *consumerGroupsTool) checkDelete() error {
	if !t.remove.Present() {
		return nil
	}
	if err := t.needsGroup(t.remove); err != nil {
		return err
	}
	if t.topic.Present() {
		return t.set.UsageErrorf("The consumer does not support topic-specific offset deletion from a consumer group.")
	}
	return nil
}

func (t *consumerGroupsTool) checkDeleteOffsets() error {
	if t.deleteOffsets.Present() && (!t.group.Present() || !t.topic.Present()) {
		return t.set.UsageErrorf("Option %s takes the following options: %s", t.deleteOffsets, kafkaflag.Join([]*kafkaflag.Flag{t.group, t.topic}))
	}
	return nil
}

func (t *consumerGroupsTool) checkReset(env Env) error {
	if !t.reset.Present() {
		return nil
	}
	switch {
	case t.dryRun.Present() && t.execute.Present():
		return t.set.UsageErrorf("Option %s only accepts one of %s and %s", t.reset, t.execute, t.dryRun)
	case !t.dryRun.Present() && !t.execute.Present():
		fmt.Fprintln(env.Stderr, "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require either "+
			"--dry-run or --execute to be specified. You should add the --dry-run option explicitly if you are scripting this command and want to keep "+
			"the current default behavior without prompting.")
	}
	if err := t.needsGroup(t.reset); err != nil {
		return err
	}
	scenarios := t.scenarios()
	for _, f := range []*kafkaflag.Flag{t.toOffset, t.toDatetime, t.byDuration, t.toEarliest, t.toLatest, t.toCurrent, t.shiftBy, t.fromFile} {
		if err := t.set.CheckInvalid(f, scenarios...); err != nil {
			return err
		}
	}
	return nil
}

// scenarios are the flags that say where offsets are reset to.
func (t *consumerGroupsTool) scenarios() []*kafkaflag.Flag {
	return []*kafkaflag.Flag{t.toOffset, t.toDatetime, t.byDuration, t.toEarliest, t.toLatest, t.toCurrent, t.shiftBy, t.fromFile}
}

func (t *consumerGroupsTool) checkScopes() error {
	if err := t.set.CheckInvalid(t.group, t.allGroups); err != nil {
		return err
	}
	actions := []*kafkaflag.Flag{t.list, t.describe, t.remove, t.reset, t.deleteOffsets}
	without := func(allowed ...*kafkaflag.Flag) []*kafkaflag.Flag {
		return slices.DeleteFunc(slices.Clone(actions), func(f *kafkaflag.Flag) bool { return slices.Contains(allowed, f) })
	}
	if err := t.set.CheckInvalid(t.group, without(t.describe, t.remove, t.reset, t.deleteOffsets)...); err != nil {
		return err
	}
	return t.set.CheckInvalid(t.topic, without(t.remove, t.reset, t.deleteOffsets, t.list, t.describe)...)
}

// dash is "-" for what is not there.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// groupState maps how users may write a state to its name.
func groupState(text string) (string, bool) {
	for _, s := range groupStates {
		if strings.EqualFold(s, strings.TrimSpace(text)) {
			return s, true
		}
	}
	return "", false
}

var groupStates = []string{"Empty", "CompletingRebalance", "PreparingRebalance", "Assigning", "Stable", "Dead", "Reconciling"}
