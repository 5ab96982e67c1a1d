package doctor

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// Env is what the command has of the process around it.
type Env struct {
	Stdout, Stderr io.Writer
	Now            func() time.Time
}

// The exit codes besides 0.
const (
	exitErrors = 1 // findings of severity error
	exitFailed = 2 // nothing could be looked at
)

// Command is weir doctor. It puts the exit code into code.
func Command(env Env, code *int) *cobra.Command {
	var bootstrap, configFile, output string
	var tryKnown bool
	c := &cobra.Command{
		Use: "doctor [FILE | --bootstrap-server HOST:PORT]", Args: cobra.MaximumNArgs(1),
		Short: "Say what an attacker and an operator would see: open doors, weak TLS, data at risk",
		Long: "Looks at a server.properties and the machine it is on, or at a running cluster of any Kafka, and says what should be otherwise, how\n" +
			"one sees it and how it is mended. It only reads. The exit code is 0 if nothing is serious, 1 if there are findings of severity\n" +
			"error, 2 if it could not look. A cluster tells most to its administrator; what is not told is listed as UNKNOWN.",
		Example: "  weir doctor /etc/kafka/server.properties\n  weir doctor --bootstrap-server kafka.example:9092 --command-config admin.properties -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			failed := func(format string, args ...any) error {
				return &kafkaflag.ExitError{Code: exitFailed, Message: "weir: " + fmt.Sprintf(format, args...)}
			}
			switch {
			case output != "table" && output != "json":
				return failed("-o %s is no format: it is table or json", output)
			case (len(args) == 1) == (bootstrap != ""):
				return failed("name either a file or --bootstrap-server")
			case len(args) == 1 && (configFile != "" || tryKnown):
				return failed("--command-config and --try-passwords go with --bootstrap-server")
			}
			f, err := gather(cmd.Context(), env, args, bootstrap, configFile, tryKnown)
			if err != nil {
				return failed("cannot look: %v", err)
			}
			r := diagnose(f)
			if r.Errors > 0 {
				*code = exitErrors
			}
			if output == "json" {
				return r.json(env.Stdout)
			}
			r.table(env.Stdout)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&bootstrap, "bootstrap-server", "", "a running cluster, as `host:port`, separated by commas")
	f.StringVar(&configFile, "command-config", "", "a `file` with properties of the client: TLS, who asks")
	f.BoolVar(&tryKnown, "try-passwords", false, "try to log in with a few known passwords, as an attacker would; the cluster notes these as failures")
	f.StringVarP(&output, "output", "o", "table", "`format` of the output: table or json")
	return c
}

func gather(ctx context.Context, env Env, args []string, bootstrap, configFile string, tryKnown bool) (*facts, error) {
	if len(args) == 1 {
		return fromFile(ctx, args[0], env.Now())
	}
	p := client.Properties{}
	if configFile != "" {
		var err error
		if p, err = client.LoadProperties(configFile); err != nil {
			return nil, err
		}
	}
	p["bootstrap.servers"] = bootstrap
	if _, ok := p["default.api.timeout.ms"]; !ok {
		p["default.api.timeout.ms"] = "20000"
	}
	return fromCluster(ctx, p, tryKnown, env.Now, env.Stderr)
}
