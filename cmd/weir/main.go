// Command weir is the whole of Weir: the broker, Kafka's command-line tools and its own commands. Linked under a
// tool's name (kafka-topics, kafka-topics.sh) it is that tool; see weir install-tools.
package main

import (
	"os"

	"github.com/weir-stream/weir/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args, cli.Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}))
}
