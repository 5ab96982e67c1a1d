package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/security/authz"
)

// aclsTool is kafka-acls: add, remove and list access control lists.
type aclsTool struct {
	set *kafkaflag.Set

	bootstrap, controllers, commandConfig                             *kafkaflag.Flag
	add, remove, list, force, producer, consumer, idempotent, cluster *kafkaflag.Flag
	topic, group, transactionalID, delegationToken, userPrincipal     *kafkaflag.Flag
	pattern, operation, principal                                     *kafkaflag.Flag
	allowPrincipal, denyPrincipal, allowHost, denyHost                *kafkaflag.Flag
}

func newACLsTool() Command {
	s := kafkaflag.New("kafka-acls", "This tool helps to manage acls on kafka.", kafkaflag.Jopt)
	s.OptionErrors, s.ValuesLater = kafkaflag.OptionErrorUsage, true
	t := &aclsTool{set: s}
	many, maybe := kafkaflag.Repeatable(), kafkaflag.OptionalArg()
	t.bootstrap = s.String("bootstrap-server", "server to connect to", "The brokers to contact first, as host:port, separated by commas. This or --bootstrap-controller is required.")
	t.controllers = s.String("bootstrap-controller", "controller to connect to", "The controllers to contact first, as host:port, separated by commas. This or --bootstrap-server is required.")
	t.commandConfig = s.String("command-config", "command-config", "A properties file with settings for the admin client.", maybe)
	t.topic = s.String("topic", "topic", "A topic to which the rules apply; * stands for all topics.", many)
	t.cluster = s.Switch("cluster", "The rules apply to the cluster.")
	t.group = s.String("group", "group", "A group to which the rules apply; * stands for all groups.", many)
	t.transactionalID = s.String("transactional-id", "transactional-id", "A transactional id to which the rules apply; * stands for all ids.", many)
	t.idempotent = s.Switch("idempotent", "Allow the producer to be idempotent; together with --producer. What is transactional is idempotent by itself.")
	t.delegationToken = s.String("delegation-token", "delegation-token", "A delegation token's id to which the rules apply; * stands for all tokens.", many)
	t.pattern = s.String("resource-pattern-type", "", "How names of resources are meant: literal, or prefixed; any and match take part in --list and --remove only.",
		kafkaflag.Default("LITERAL"))
	t.add = s.Switch("add", "Add rules.")
	t.remove = s.Switch("remove", "Remove rules.")
	t.list = s.Switch("list", "List the rules of a resource: --topic <topic>, --group <group> or --cluster.")
	t.operation = s.String("operation", "", "An operation that is allowed or denied: Read, Write, Create, Delete, Alter, Describe, ClusterAction, DescribeConfigs, "+
		"AlterConfigs, IdempotentWrite, CreateTokens, DescribeTokens, TwoPhaseCommit, All.", many, kafkaflag.Default("All"))
	t.allowPrincipal = s.String("allow-principal", "allow-principal", "A principal that is allowed, in the form type:name, such as User:alice; User:* stands for all.", many)
	t.denyPrincipal = s.String("deny-principal", "deny-principal", "A principal that is denied, in the form type:name, whatever other rules allow.", many)
	t.principal = s.String("principal", "principal", "List only the rules of this principal; together with --list.", many, maybe)
	t.allowHost = s.String("allow-host", "allow-host", "An address from which the principals of --allow-principal come; all of them (*) if it is left out.", many)
	t.denyHost = s.String("deny-host", "deny-host", "An address from which the principals of --deny-principal are denied; all of them (*) if it is left out.", many)
	t.producer = s.Switch("producer", "What producers need: WRITE, DESCRIBE and CREATE on the topics, WRITE and DESCRIBE on transactional ids.")
	t.consumer = s.Switch("consumer", "What consumers need: READ and DESCRIBE on the topics, READ on the groups.")
	t.force = s.Switch("force", "Take the answer to all questions to be yes.")
	t.userPrincipal = s.String("user-principal", "user-principal", "A user to whom the rules about tokens apply, in the form type:name.", many)
	return t
}

// Flags implements Command.
func (t *aclsTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *aclsTool) Run(ctx context.Context, env Env) error {
	if err := t.check(); err != nil {
		return err
	}
	err := t.execute(ctx, env)
	if err == nil || kafkaflag.Handled(err) {
		return err
	}
	message, class := told(err)
	fmt.Fprintf(env.Stdout, "Error while executing ACL command: %s\n%s\n\n", message, class)
	return failed
}

// told is how Apache's security tools tell an error: its message, and what they print of the exception.
func told(err error) (message, class string) {
	message, class = err.Error(), client.Java(err)
	var creation *client.CreationError
	var call *callError
	switch {
	case errors.As(err, &creation):
		message = "Failed to create new KafkaAdminClient"
		class = "org.apache.kafka.common.KafkaException: " + message + "\nCaused by: " + client.Java(creation.Cause)
	case errors.As(err, &call):
		message = client.Java(call.cause)
		class = "java.util.concurrent.ExecutionException: " + message + "\nCaused by: " + message
	}
	return message, class
}

// callError is what the cluster answered, which Kafka's tool gets out of a future.
type callError struct{ cause error }

func (e *callError) Error() string { return e.cause.Error() }

// check refuses command lines that make no sense, in the order in which Kafka's tool looks at them.
func (t *aclsTool) check() error {
	refuse := t.set.UsageErrorf
	if t.bootstrap.Present() && t.controllers.Present() {
		return refuse("Only one of --bootstrap-server or --bootstrap-controller must be specified")
	}
	if !t.bootstrap.Present() && !t.controllers.Present() {
		return refuse("One of --bootstrap-server or --bootstrap-controller must be specified")
	}
	if kafkaflag.Count(t.add, t.remove, t.list) != 1 {
		return refuse("Command must include exactly one action: --list, --add, --remove. ")
	}
	err := firstError(
		t.set.CheckInvalid(t.list, t.producer, t.consumer, t.allowHost, t.allowPrincipal, t.denyHost, t.denyPrincipal),
		t.set.CheckInvalid(t.producer, t.operation, t.denyPrincipal, t.denyHost),
		t.set.CheckInvalid(t.consumer, t.operation, t.denyPrincipal, t.denyHost))
	switch {
	case err != nil:
		return err
	case t.principal.Present() && !t.list.Present():
		return refuse("The --principal option is only available if --list is set")
	case t.producer.Present() && !t.topic.Present():
		return refuse("With --producer you must specify a --topic")
	case t.idempotent.Present() && !t.producer.Present():
		return refuse("The --idempotent option is only available if --producer is set")
	case t.consumer.Present() && (!t.topic.Present() || !t.group.Present() || !t.producer.Present() && (t.cluster.Present() || t.transactionalID.Present())):
		return refuse("With --consumer you must specify a --topic and a --group and no --cluster or --transactional-id option should be specified.")
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// execute connects and does what is asked.
func (t *aclsTool) execute(ctx context.Context, env Env) error {
	for _, f := range []*kafkaflag.Flag{t.bootstrap, t.controllers, t.commandConfig} {
		if err := onlyOnce(f); err != nil {
			return err
		}
	}
	p, err := loadProperties(t.commandConfig.Value())
	if err != nil {
		return err
	}
	reached, err := reach(env, p, t.bootstrap.Value(), t.controllers.Value())
	if err != nil {
		return err
	}
	defer reached.close()
	c := &aclCalls{reached}
	switch {
	case t.add.Present():
		return t.addRules(ctx, env, c)
	case t.remove.Present():
		return t.removeRules(ctx, env, c)
	}
	return t.listRules(ctx, env, c)
}

// onlyOnce is Kafka's refusal of a flag that was given more than once and has one value.
func onlyOnce(f *kafkaflag.Flag) error {
	if len(f.Values()) > 1 {
		return &client.Error{Class: "joptsimple.MultipleArgumentsForOptionException",
			Message: "Found multiple arguments for option " + f.Name + ", but you asked for only one"}
	}
	return nil
}

// addRules makes the rules, one resource after the other.
func (t *aclsTool) addRules(ctx context.Context, env Env, c *aclCalls) error {
	pattern, err := t.patternType()
	if err != nil {
		return err
	}
	if pattern == authz.AnyPattern || pattern == authz.MatchPattern {
		return t.set.UsageErrorf("A '--resource-pattern-type' value of '%s' is not valid when adding acls.", pattern)
	}
	asked, err := t.rules(pattern)
	if err != nil {
		return err
	}
	for _, a := range asked {
		if len(a.entries) == 0 {
			return t.set.UsageErrorf("You must specify one of: --allow-principal, --deny-principal when trying to add ACLs.")
		}
	}
	for _, a := range asked {
		if a.entries, err = t.missing(ctx, env, c, a); err != nil {
			return err
		}
		if len(a.entries) == 0 {
			continue
		}
		fmt.Fprintf(env.Stdout, "Adding ACLs for resource `%s`: \n %s\n\n", a.resource, a.lines())
		if err := c.create(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// missing are the entries that are not there yet; it tells of the others.
func (t *aclsTool) missing(ctx context.Context, env Env, c *aclCalls, a resourceRules) ([]aclEntry, error) {
	there, err := c.describe(ctx, []resourcePattern{a.resource})
	if err != nil {
		return nil, err
	}
	var out []aclEntry
	for _, e := range a.entries {
		if slices.ContainsFunc(there, func(r resourceRules) bool { return r.resource == a.resource && slices.Contains(r.entries, e) }) {
			fmt.Fprintf(env.Stdout, "Acl (pattern=%s, entry=%s) already exists.\n", a.resource, e)
			continue
		}
		out = append(out, e)
	}
	return out, nil
}

// removeRules deletes what the command line describes, after a question for each resource.
func (t *aclsTool) removeRules(ctx context.Context, env Env, c *aclCalls) error {
	pattern, err := t.patternType()
	if err != nil {
		return err
	}
	asked, err := t.rules(pattern)
	if err != nil {
		return err
	}
	answers := bufio.NewReader(env.Stdin)
	for _, a := range asked {
		question := fmt.Sprintf("Are you sure you want to delete all ACLs for resource filter `%s`? (y/n)", a.resource)
		if len(a.entries) > 0 {
			question = fmt.Sprintf("Are you sure you want to remove ACLs: \n %s\n from resource filter `%s`? (y/n)", a.lines(), a.resource)
		}
		sure, err := t.confirm(env, answers, question)
		if err != nil {
			return err
		}
		if !sure {
			continue
		}
		if err := c.delete(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// confirm asks a question unless --force answers all of them. Kafka's tool reads the answer from the terminal only; this
// one takes what is piped to it as well.
func (t *aclsTool) confirm(env Env, answers *bufio.Reader, question string) (bool, error) {
	if t.force.Present() {
		return true, nil
	}
	fmt.Fprintln(env.Stdout, question)
	line, err := answers.ReadString('\n')
	if err != nil && line == "" {
		if errors.Is(err, io.EOF) {
			return false, &client.Error{Class: "java.lang.NullPointerException", Message: "There is no answer to the question: the input has ended. --force answers with yes"}
		}
		return false, err
	}
	return strings.EqualFold(strings.TrimRight(line, "\r\n"), "y"), nil
}

// listRules prints the rules of resources, and of principals if some are named.
func (t *aclsTool) listRules(ctx context.Context, env Env, c *aclCalls) error {
	pattern, err := t.patternType()
	if err != nil {
		return err
	}
	principals, err := principalsOf(t.principal)
	if err != nil {
		return err
	}
	found, err := c.describe(ctx, t.resources(pattern))
	if err != nil {
		return err
	}
	if len(principals) == 0 {
		printRules(env.Stdout, found, nil)
	}
	for _, p := range principals {
		fmt.Fprintf(env.Stdout, "ACLs for principal `%s`\n", p)
		printRules(env.Stdout, found, func(e aclEntry) bool { return e.principal == p })
	}
	return nil
}

// printRules prints those of the rules that filter, if there is one, lets through.
func printRules(out io.Writer, found []resourceRules, filter func(aclEntry) bool) {
	for _, r := range found {
		if filter != nil {
			r.entries = slices.DeleteFunc(slices.Clone(r.entries), func(e aclEntry) bool { return !filter(e) })
			if len(r.entries) == 0 {
				continue
			}
		}
		fmt.Fprintf(out, "Current ACLs for resource `%s`:\n%s\n\n", r.resource, r.lines())
	}
}
