package kafkaflag

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Command is the Set as a cobra command, whose flags exist for shell completion and documentation only: run gets
// the raw arguments, and is to Parse them with the Set. forCompletion must be true when cobra is asked for
// completions (its command "__complete"), since cobra completes flags only where it reads them itself.
func (s *Set) Command(forCompletion bool, run func(args []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:                s.SubName(),
		Short:              s.Purpose,
		DisableFlagParsing: !forCompletion,
		SilenceErrors:      true,
		SilenceUsage:       true,
		Args:               cobra.ArbitraryArgs,
		RunE:               func(_ *cobra.Command, args []string) error { return run(args) },
		ValidArgsFunction:  cobra.NoFileCompletions,
	}
	for _, f := range s.flags {
		if f.removed != "" || f == s.help {
			continue
		}
		for _, name := range append([]string{f.Name}, f.Aliases...) {
			cmd.Flags().AddFlag(f.pflag(name))
		}
		completeValues(cmd, f)
	}
	for _, sub := range s.subs {
		name := sub.SubName()
		cmd.AddCommand(sub.Command(forCompletion, func(args []string) error { return run(append([]string{name}, args...)) }))
	}
	return cmd
}

func (f *Flag) pflag(name string) *pflag.Flag {
	p := &pflag.Flag{Name: name, Usage: f.Usage, DefValue: f.Default, Value: completionValue{f}}
	if f.Short != 0 && name == f.Name {
		p.Shorthand = string(f.Short)
	}
	if f.Kind == None || f.optionalArg {
		p.NoOptDefVal = "true"
	}
	return p
}

// completeValues offers a flag's choices; flags that name files keep the shell's file completion.
func completeValues(cmd *cobra.Command, f *Flag) {
	switch {
	case f.Kind == None:
	case len(f.Choices) > 0:
		_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(f.Choices, cobra.ShellCompDirectiveNoFileComp))
	case strings.Contains(f.Name, "file") || strings.Contains(f.Name, "config"):
	default:
		_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
	}
}

// completionValue satisfies pflag while cobra reads a half-typed line; it accepts anything.
type completionValue struct{ f *Flag }

func (v completionValue) String() string   { return v.f.Default }
func (v completionValue) Set(string) error { return nil }
func (v completionValue) Type() string {
	if v.f.Kind == None {
		return "bool"
	}
	return "string"
}
