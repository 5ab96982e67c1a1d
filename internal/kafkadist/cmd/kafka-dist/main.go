// Command kafka-dist assembles a pinned Apache Kafka from Maven and prints the
// folder that holds it:
//
//	go run ./internal/kafkadist/cmd/kafka-dist [VERSION]
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/weir-stream/weir/internal/kafkadist"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	version := kafkadist.Current
	if len(os.Args) > 1 {
		version = os.Args[1]
	}
	d, err := kafkadist.Ensure(ctx, version, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kafka-dist:", err)
		stop()
		os.Exit(1)
	}
	fmt.Println(d.Dir)
}
