package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// groupsTool is kafka-groups: list groups of all types.
type groupsTool struct {
	set *kafkaflag.Set

	bootstrap, commandConfig, list                *kafkaflag.Flag
	groupType, protocol, consumer, share, streams *kafkaflag.Flag
}

func newGroupsTool() Command {
	s := kafkaflag.New("kafka-groups", "This tool helps to list groups of all types.", kafkaflag.Jopt)
	s.OptionErrors = kafkaflag.OptionErrorUsage
	t := &groupsTool{set: s}
	t.bootstrap = s.String("bootstrap-server", "server to connect to", "REQUIRED: the brokers to contact first, as host:port, separated by commas.", kafkaflag.Required())
	t.commandConfig = s.String("command-config", "command config property file", "A properties file with settings for the admin client.")
	t.list = s.Switch("list", "List groups.")
	t.groupType = s.String("group-type", "type", "Only groups of this type: classic, consumer, share or streams.")
	t.protocol = s.String("protocol", "protocol", "Only groups of this protocol.")
	t.consumer = s.Switch("consumer", "Only consumer groups of all kinds: of type consumer, classic ones of consumers, and those that only keep offsets.")
	t.share = s.Switch("share", "Only share groups.")
	t.streams = s.Switch("streams", "Only streams groups.")
	return t
}

// Flags implements Command.
func (t *groupsTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *groupsTool) Run(ctx context.Context, env Env) error {
	if err := t.check(); err != nil {
		return throw(env, err)
	}
	admin, err := connect(env, "bootstrap.servers", t.bootstrap.Value(), t.commandConfig.Value())
	if err != nil {
		return throw(env, err)
	}
	defer admin.Close()
	groups, err := listGroups(ctx, admin, nil, nil, nil)
	if err != nil {
		fmt.Fprintln(env.Stdout, "Error while executing groups command :", err)
		client.Logf(env.Stderr, "ERROR", "org.apache.kafka.tools.GroupsCommand", "%s\n", client.Java(err))
		return failed
	}
	t.print(env, groups)
	return nil
}

func (t *groupsTool) check() error {
	if !t.list.Present() {
		return t.set.UsageErrorf("Command must include exactly one action: --list.")
	}
	if t.groupType.Present() {
		switch strings.ToLower(t.groupType.Value()) {
		case "classic", "consumer", "share", "streams":
		default:
			return client.IllegalArgument("--group-type must be a valid group type.")
		}
	}
	filters := []*kafkaflag.Flag{t.consumer, t.groupType, t.protocol, t.share, t.streams}
	for _, f := range []*kafkaflag.Flag{t.consumer, t.share, t.streams} {
		if err := t.set.CheckInvalid(f, filters...); err != nil {
			return err
		}
	}
	return nil
}

func (t *groupsTool) wanted(g listedGroup) bool {
	is := func(groupType string) bool { return strings.EqualFold(g.groupType, groupType) }
	switch {
	case t.groupType.Present():
		return is(t.groupType.Value()) && (!t.protocol.Present() || g.protocol == t.protocol.Value())
	case t.protocol.Present():
		return g.protocol == t.protocol.Value()
	case t.consumer.Present():
		return g.protocol == "consumer" || g.protocol == "" || is("consumer")
	case t.share.Present():
		return is("share")
	case t.streams.Present():
		return is("streams")
	}
	return true
}

func (t *groupsTool) print(env Env, groups []listedGroup) {
	var rows [][3]string
	width := 20
	for _, g := range groups {
		if !t.wanted(g) {
			continue
		}
		row := [3]string{g.id, "", g.protocol}
		if g.groupType != "" {
			row[1] = titled(g.groupType)
		}
		for _, cell := range row {
			width = max(width, len(cell))
		}
		rows = append(rows, row)
	}
	fmt.Fprintf(env.Stdout, "%-*s %-*s %-*s\n", width, "GROUP", width, "TYPE", width, "PROTOCOL")
	for _, r := range rows {
		fmt.Fprintf(env.Stdout, "%-*s %-*s %-*s \n", width, r[0], width, r[1], width, r[2])
	}
}
