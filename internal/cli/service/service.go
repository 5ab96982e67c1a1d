// Package service holds the verbs of the service that runs clusters: up, down,
// status and logs for the service itself; cluster, op, heal and user for what it
// does; person and token for who may use it. Except for starting and stopping it, they talk to it by its HTTP API.
//
// It decides nothing: plans, checks and refusals are the service's.
package service

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// Group is the heading under which help lists the verbs.
const Group = "service"

// Env is what the verbs have of the process around them.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// IsTerminal says whether a reader or writer has a person before it.
	IsTerminal func(any) bool
	Version    string
}

// verbs are all of them, with what they share.
type verbs struct {
	Env
	server, token string // flags
	output        string
}

// Commands are the verbs, for the root command.
func Commands(env Env) []*cobra.Command {
	v := &verbs{Env: env}
	all := []*cobra.Command{
		v.upCommand(), v.downCommand(), v.statusCommand(), v.logsCommand(),
		v.clusterCommand(), v.opCommand(), v.healCommand(), v.userCommand(), v.personCommand(), v.tokenCommand(),
	}
	for _, c := range all {
		c.GroupID = Group
		c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
			return fail("%v; `%s --help` lists the flags", err, c.CommandPath())
		})
	}
	return append(all, v.runCommand())
}

// group is a command that only has others below it.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fail("%s has no verb %q; `%s --help` lists them", c.CommandPath(), args[0], c.CommandPath())
		}
		return c.Help()
	}}
	c.AddCommand(subs...)
	return c
}

// remote adds the flags that say which service is meant.
func (v *verbs) remote(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&v.server, "server", "", "the service's `address` (default: $WEIR_SERVER, or the one that weir up wrote down)")
	c.Flags().StringVar(&v.token, "token", "", "a `token` of the service (default: $WEIR_TOKEN, or the one that weir up wrote down)")
	return c
}

// shown adds the flag that says how answers are printed.
func (v *verbs) shown(c *cobra.Command) *cobra.Command {
	c.Flags().StringVarP(&v.output, "output", "o", formatTable, "`format` of the output: table, json or yaml")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{formatTable, formatJSON, formatYAML}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// reads makes a verb that gets one thing from the service and prints it. What
// else it needs from the service for people, show may ask for.
func reads[T any](v *verbs, c *cobra.Command, path func(args []string) string, show func(context.Context, *client, T) func(io.Writer)) *cobra.Command {
	v.shown(v.remote(c))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := v.ready()
		if err != nil {
			return err
		}
		var out T
		if err := api.get(cmd.Context(), path(args), &out); err != nil {
			return err
		}
		return v.print(out, show(cmd.Context(), api, out))
	}
	return c
}

// fail is an error without more ado; fix says what to do next.
func fail(format string, args ...any) error {
	return &kafkaflag.ExitError{Code: 1, Message: "weir: " + fmt.Sprintf(format, args...)}
}

// interrupted ends a verb that was stopped from the keyboard.
func interrupted(message string) error { return &kafkaflag.ExitError{Code: 130, Message: message} }

// clusterNames completes the name of a cluster.
func (v *verbs) clusterNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return v.completeClusters(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
}

func (v *verbs) completeClusters(ctx context.Context) []string {
	c, err := v.client()
	if err != nil {
		return nil
	}
	if ctx == nil {
		ctx = context.Background()
	}
	var all clusterList
	if err := c.get(ctx, "/clusters", &all); err != nil {
		return nil
	}
	var names []string
	for _, c := range all.Clusters {
		names = append(names, c.Name)
	}
	return names
}
