// Package cli holds Kafka's command-line tools and Weir's own commands, one file (or a few) per tool. Each reads its
// flags through kafkaflag, reaches a cluster through client, and prints what Kafka's tool of that name prints.
//
// Tools talk to clusters only by the Kafka protocol, so that they work with any Kafka; nothing here knows the
// inside of a broker except the commands that start or format one.
package cli

import (
	"context"
	"io"

	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// Env is what a tool has of the process around it.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Command is one run of a tool. It is made, parsed and run once, by one goroutine.
type Command interface {
	// Flags are the tool's flags; Run is called after they are parsed.
	Flags() *kafkaflag.Set
	// Run does the work. Its error goes to kafkaflag.Report; a tool that has printed its failure in Kafka's form
	// returns a kafkaflag.ExitError without a message.
	Run(ctx context.Context, env Env) error
}

// Tool is an entry of the table of tools.
type Tool struct {
	Name string // as typed: kafka-topics
	New  func() Command
}

// Run reads args (without the tool's name) and runs the tool. It returns the exit code.
func (t Tool) Run(ctx context.Context, env Env, args []string) int {
	cmd := t.New()
	err := cmd.Flags().Parse(args)
	if err == nil {
		err = cmd.Run(ctx, env)
	}
	return kafkaflag.Report(env.Stdout, env.Stderr, err)
}

// Tools is the table of all tools, in the order in which help lists them.
func Tools() []Tool {
	return []Tool{
		{"kafka-server-start", newServerStart},
		{"kafka-server-stop", newServerStop},
		{"kafka-storage", newStorageTool},
		{"zookeeper-server-start", newZookeeperStart},
		{"zookeeper-server-stop", newZookeeperStop},
		{"kafka-broker-api-versions", newBrokerAPIVersionsTool},
		{"kafka-cluster", newClusterTool},
		{"kafka-dump-log", newDumpLog},
		{"kafka-transactions", newTransactionsTool},
		{"kafka-log-dirs", newLogDirsTool},
		{"kafka-reassign-partitions", newReassignTool},
		{"kafka-leader-election", newLeaderElectionTool},
		{"kafka-replica-verification", newReplicaVerificationTool},
		{"kafka-metadata-quorum", newMetadataQuorumTool},
		{"kafka-features", newFeaturesTool},
		{"kafka-verifiable-consumer", newVerifiableConsumer},
		{"kafka-verifiable-producer", newVerifiableProducer},
		{"kafka-e2e-latency", newE2ELatencyTool},
		{"kafka-consumer-perf-test", newConsumerPerfTool},
		{"kafka-producer-perf-test", newProducerPerfTool},
		{"kafka-acls", newACLsTool},
		{"kafka-configs", newConfigsTool},
		{"kafka-delegation-tokens", newTokensTool},
		{"kafka-console-consumer", newConsoleConsumerTool},
		{"kafka-console-producer", newConsoleProducerTool},
		{"kafka-consumer-groups", newConsumerGroupsTool},
		{"kafka-delete-records", newDeleteRecordsTool},
		{"kafka-get-offsets", newGetOffsetsTool},
		{"kafka-groups", newGroupsTool},
		{"kafka-topics", newTopicsTool},
	}
}
