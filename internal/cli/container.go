package cli

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/node/format"
	"github.com/weir-stream/weir/internal/vfs"
)

// containerFile is the settings file of the image.
const containerFile = "/opt/kafka/config/server.properties"

// containerCluster is the cluster id of a container that is given none, that of Apache Kafka's image.
const containerCluster = "5L6g3nShT-eMCtK--X86sw"

// containerCommand is weir container-start, the entry point of the image: settings come from KAFKA_* variables as
// in Apache Kafka's image, and empty directories are formatted.
func containerCommand(env Env, code *int) *cobra.Command {
	return &cobra.Command{
		Use: "container-start [FILE]", Short: "Start in a container, with settings from KAFKA_* variables", Hidden: true, Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := containerFile
			if len(args) == 1 {
				file = args[0]
			}
			cfg, notices, err := containerConfig(file, os.Environ())
			if err != nil {
				*code = kafkaflag.Report(env.Stdout, env.Stderr, &kafkaflag.ExitError{Code: 1, Message: settingErrors(file, err)})
				return nil
			}
			if err := formatContainer(vfs.OS(), cfg.Node(), os.Getenv("CLUSTER_ID"), env); err != nil {
				*code = kafkaflag.Report(env.Stdout, env.Stderr, storageFailure(err))
				return nil
			}
			*code = kafkaflag.Report(env.Stdout, env.Stderr, serve(cmd.Context(), env.Stdout, cfg, notices, file, runNode))
			return nil
		},
	}
}

// containerConfig puts what the environment says over what the file says. As in Apache Kafka's image the file
// counts for nothing if the environment has process.roles, since it then describes a node of its own.
func containerConfig(file string, environ []string) (*config.Set, []config.Notice, error) {
	given := containerSettings(environ)
	data, err := os.ReadFile(file)
	if err != nil && !(errors.Is(err, fs.ErrNotExist) && len(given) > 0) {
		return nil, nil, err
	}
	props, err := config.ParseProperties(data)
	if err != nil {
		return nil, nil, err
	}
	if slices.ContainsFunc(given, func(p config.Property) bool { return p.Key == "process.roles" }) {
		props = nil
	}
	return config.Load(append(props, given...), nil)
}

// notSettings are variables that begin with KAFKA_ and set other things than the broker's properties.
var notSettings = []string{"VERSION", "HOME", "OPTS", "HEAP_OPTS", "GC_LOG_OPTS", "LOG4J_*", "JMX_*", "TOOLS_*", "JVM_*", "JVM_PERFORMANCE_OPTS", "ADVERTISED_HOST_NAME_COMMAND"}

// containerSettings turns KAFKA_* variables into properties: three underscores stand for a dash, two for an
// underscore, one for a dot.
func containerSettings(environ []string) config.Properties {
	var out config.Properties
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		rest, ok := strings.CutPrefix(name, "KAFKA_")
		if !ok || rest == "" || slices.ContainsFunc(notSettings, func(p string) bool {
			return p == rest || strings.HasSuffix(p, "*") && strings.HasPrefix(rest, p[:len(p)-1])
		}) {
			continue
		}
		key := strings.NewReplacer("___", "-", "__", "_", "_", ".").Replace(strings.ToLower(rest))
		out = append(out, config.Property{Key: key, Value: value})
	}
	slices.SortFunc(out, func(a, b config.Property) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// formatContainer formats directories that are not formatted, with the cluster id of the container; without one
// with that of the directories that are formatted.
func formatContainer(fsys vfs.FS, n *config.Node, cluster string, env Env) error {
	if cluster == "" {
		cluster = containerCluster
		if found, err := format.Inspect(fsys, n); err == nil && found.Formatted() {
			cluster = found.ClusterID
		}
	}
	r := format.Request{Node: n, ClusterID: cluster, IgnoreFormatted: true, Features: map[string]int16{}, Out: env.Stdout, Now: time.Now()}
	if n.Controller && len(n.Voters) == 0 && !n.Legacy {
		r.Standalone, r.NoInitialControllers = n.Alone, !n.Alone
	}
	return format.Format(fsys, r)
}
