package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/telemetry"
)

// serverStart is kafka-server-start.
type serverStart struct {
	flags    *kafkaflag.Set
	daemon   *kafkaflag.Flag
	override *kafkaflag.Flag
	run      nodeRunner
}

// nodeRunner runs a node until ctx ends. ready is called once clients can be served.
type nodeRunner func(ctx context.Context, cfg *config.Set, logs *telemetry.Logs, ready func()) error

func newServerStart() Command {
	s := kafkaflag.New("kafka-server-start", "Starts a broker, a controller or both, as the properties file says.", kafkaflag.Jopt)
	s.OptionErrors = kafkaflag.OptionErrorUsage
	s.NoArguments = true
	return &serverStart{
		flags:    s,
		daemon:   s.Switch("daemon", "Run in the background; the log goes to kafkaServer.out in LOG_DIR, or in logs."),
		override: s.String("override", "property=value", "Property that wins over the one in the file. May be given more than once.", kafkaflag.Repeatable()),
		run:      runNode,
	}
}

func (c *serverStart) Flags() *kafkaflag.Set { return c.flags }

// Run starts the server. Nothing is written before the settings are found to be right.
func (c *serverStart) Run(ctx context.Context, env Env) error {
	args := c.flags.Args()
	if len(args) == 0 {
		fmt.Fprintln(env.Stderr, "USAGE: kafka-server-start [-daemon] server.properties [--override property=value]*")
		c.flags.WriteUsage(env.Stderr)
		return &kafkaflag.ExitError{Code: 1}
	}
	if len(args) > 1 {
		return &kafkaflag.ExitError{Code: 1, Message: "Found non argument parameters: " + strings.Join(args[1:], ",")}
	}
	cfg, notices, err := loadServerConfig(args[0], c.override.Values())
	if err != nil {
		return &kafkaflag.ExitError{Code: 1, Message: settingErrors(args[0], err)}
	}
	if c.daemon.Present() {
		return startDaemon(ctx, env, args[0], c.override.Values(), notices)
	}
	return serve(ctx, env.Stdout, cfg, notices, args[0], c.run)
}

// loadServerConfig reads a properties file and checks all of it.
func loadServerConfig(file string, overrides []string) (*config.Set, []config.Notice, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	props, err := config.ParseProperties(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	cfg, notices, err := config.Load(props, overrides)
	if err != nil {
		return nil, notices, err
	}
	more, err := jaasOverrides(cfg, os.Getenv("KAFKA_OPTS"))
	if err != nil || len(more) == 0 {
		return cfg, notices, err
	}
	return config.Load(props, slices.Concat(overrides, more))
}

// settingErrors is one line per wrong setting.
func settingErrors(file string, err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return "Cannot read the properties file: " + err.Error()
	}
	var lines []string
	for _, e := range config.Errors(err) {
		lines = append(lines, file+": "+config.Explain(e))
	}
	return strings.Join(lines, "\n")
}

// serve runs a node in this process until ctx ends.
func serve(ctx context.Context, out io.Writer, cfg *config.Set, notices []config.Notice, file string, run nodeRunner) error {
	level, _ := telemetry.ParseLevel(strings.ToUpper(cfg.String("weir.log.level")))
	logs := telemetry.NewLogs(out, level, cfg.String("weir.log.format") == "json")
	log := logs.Logger("main")
	log.Info("weir starts", "version", version, "file", file, "node", cfg.Node().ID, "roles", roles(cfg.Node()))
	for _, n := range notices {
		level := slog.LevelWarn
		if n.Info {
			level = slog.LevelInfo
		}
		log.Log(ctx, level, n.String())
	}
	tuneMemory(log)
	hints(ctx, cfg, log)
	unregister := registerProcess(cfg.Node(), file, log)
	defer unregister()
	err := run(ctx, cfg, logs, func() {
		log.Info("weir is ready", "node", cfg.Node().ID, "listeners", listenerText(cfg.Node()))
		reportReady()
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Error("weir ends", "err", err)
		return &kafkaflag.ExitError{Code: 1}
	}
	log.Info("weir has stopped", "node", cfg.Node().ID)
	return nil
}

func roles(n *config.Node) string {
	var out []string
	if n.Broker {
		out = append(out, "broker")
	}
	if n.Controller {
		out = append(out, "controller")
	}
	return strings.Join(out, ",")
}

func listenerText(n *config.Node) string {
	var out []string
	for _, l := range n.Listeners {
		if !l.MadeUp {
			out = append(out, l.String())
		}
	}
	return strings.Join(out, ",")
}

func warnf(log *slog.Logger, format string, args ...any) { log.Warn(fmt.Sprintf(format, args...)) }
