package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/cli/doctor"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/cli/secure"
	"github.com/weir-stream/weir/internal/cli/service"
)

// Main runs the command line argv and returns the exit code. Under the name of a tool (with or without .sh) it is
// that tool; else argv[1] names the tool or one of Weir's own commands. SIGINT and SIGTERM end the context, a
// second one ends the process.
func Main(argv []string, env Env) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	name := ""
	if len(argv) > 0 {
		name = toolName(filepath.Base(argv[0]))
		argv = argv[1:]
	}
	if t, ok := findTool(name); ok {
		return t.Run(ctx, env, argv)
	}
	if len(argv) > 0 {
		if t, ok := findTool(toolName(argv[0])); ok {
			return t.Run(ctx, env, argv[1:])
		}
	}
	return runRoot(ctx, env, argv)
}

func toolName(s string) string {
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(s, ".exe"), ".sh"), ".bat")
}

func findTool(name string) (Tool, bool) {
	tools := Tools()
	i := slices.IndexFunc(tools, func(t Tool) bool { return t.Name == name })
	if i < 0 {
		return Tool{}, false
	}
	return tools[i], true
}

// runRoot is the cobra tree: help, completion and Weir's own commands.
func runRoot(ctx context.Context, env Env, args []string) int {
	completing := len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd)
	code := 0
	root := &cobra.Command{
		Use:   "weir",
		Short: "A Kafka-compatible streaming platform in one binary",
		Long: "Weir is a Kafka-compatible streaming platform in one binary: a service that runs clusters, the broker, and Kafka's command-line tools.\n\n" +
			"  weir up                                     the service, a cluster and a dashboard in the background\n" +
			"  weir cluster create orders --brokers 3      another cluster\n" +
			"  weir kafka-server-start server.properties   one broker by hand, without the service",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       Version(),
	}
	root.AddGroup(&cobra.Group{ID: service.Group, Title: "The service, which runs clusters for you:"},
		&cobra.Group{ID: "own", Title: "Weir itself:"}, &cobra.Group{ID: "kafka", Title: "Kafka's tools; they work with any Kafka:"})
	root.SetHelpCommandGroupID("own")
	root.SetCompletionCommandGroupID("own")
	for _, t := range Tools() {
		cmd := t.New().Flags().Command(completing, func(rest []string) error {
			code = t.Run(ctx, env, rest)
			return nil
		})
		cmd.GroupID = "kafka"
		root.AddCommand(cmd)
	}
	security := secure.Command(secure.Env{Stdout: env.Stdout, Stderr: env.Stderr, Now: time.Now})
	security.GroupID = "own"
	doctorCommand := doctor.Command(doctor.Env{Stdout: env.Stdout, Stderr: env.Stderr, Now: time.Now}, &code)
	doctorCommand.GroupID = "own"
	root.AddCommand(versionCommand(env), installCommand(env), containerCommand(env, &code), security, doctorCommand)
	root.AddCommand(service.Commands(service.Env{Stdin: env.Stdin, Stdout: env.Stdout, Stderr: env.Stderr, IsTerminal: isTerminal, Version: Version()})...)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		if kafkaflag.Handled(err) {
			return kafkaflag.Report(env.Stdout, env.Stderr, err)
		}
		fmt.Fprintf(env.Stderr, "weir: %v\n", err)
		if strings.HasPrefix(err.Error(), "unknown command") {
			fmt.Fprintln(env.Stderr, "weir --help lists the commands.")
		}
		return 1
	}
	return code
}
