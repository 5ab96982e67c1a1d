package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// version is what the linker was told that this build is; empty if nothing.
var version string

// Version returns the version of this build: what the linker was told, else
// what Go noted of the module or the commit, else "dev".
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	return versionOf(info)
}

// versionOf reads the version out of what Go notes in a binary: that of the
// module (go install PATH@VERSION, and builds in a repository), or the commit.
func versionOf(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(len(s.Value), 7)]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if commit == "" {
		return "dev"
	}
	return commit + dirty
}

func versionCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", GroupID: "own", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintf(env.Stdout, "weir %s (tools of Apache Kafka %s, %s, %s/%s)\n", Version(), kafkaflag.KafkaVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						fmt.Fprintln(env.Stdout, "commit", s.Value)
					}
				}
			}
			return nil
		},
	}
}
