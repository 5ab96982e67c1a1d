package kafkadist

// A tool is a script of the distribution and the classes that have implemented
// it, newest first.
type tool struct {
	name    string
	heap    string
	classes []string
}

const (
	pkg   = "org.apache.kafka.tools."
	small = "-Xmx256M"
	large = "-Xmx512M"
)

var tools = []tool{
	{"kafka-storage", small, []string{"kafka.tools.StorageTool"}},
	{"kafka-topics", small, []string{pkg + "TopicCommand", "kafka.admin.TopicCommand"}},
	{"kafka-configs", small, []string{pkg + "ConfigCommand", "kafka.admin.ConfigCommand"}},
	{"kafka-acls", small, []string{pkg + "AclCommand", "kafka.admin.AclCommand"}},
	{"kafka-console-producer", large, []string{pkg + "ConsoleProducer", "kafka.tools.ConsoleProducer"}},
	{"kafka-console-consumer", large, []string{pkg + "consumer.ConsoleConsumer", "kafka.tools.ConsoleConsumer"}},
	{"kafka-consumer-groups", small, []string{pkg + "consumer.group.ConsumerGroupCommand", "kafka.admin.ConsumerGroupCommand"}},
	{"kafka-groups", small, []string{pkg + "GroupsCommand"}},
	{"kafka-broker-api-versions", small, []string{pkg + "BrokerApiVersionsCommand", "kafka.admin.BrokerApiVersionsCommand"}},
	{"kafka-cluster", small, []string{pkg + "ClusterTool", "kafka.tools.ClusterTool"}},
	{"kafka-get-offsets", small, []string{pkg + "GetOffsetShell", "kafka.tools.GetOffsetShell"}},
	{"kafka-delete-records", small, []string{pkg + "DeleteRecordsCommand", "kafka.admin.DeleteRecordsCommand"}},
	{"kafka-log-dirs", small, []string{pkg + "LogDirsCommand", "kafka.admin.LogDirsCommand"}},
	{"kafka-dump-log", small, []string{pkg + "DumpLogSegments", "kafka.tools.DumpLogSegments"}},
	{"kafka-producer-perf-test", large, []string{pkg + "ProducerPerformance"}},
	{"kafka-consumer-perf-test", large, []string{pkg + "ConsumerPerformance", "kafka.tools.ConsumerPerformance"}},
	{"kafka-e2e-latency", small, []string{pkg + "EndToEndLatency", "kafka.tools.EndToEndLatency"}},
	{"kafka-verifiable-producer", large, []string{pkg + "VerifiableProducer"}},
	{"kafka-verifiable-consumer", large, []string{pkg + "VerifiableConsumer"}},
	{"kafka-features", small, []string{pkg + "FeatureCommand", "kafka.admin.FeatureCommand"}},
	{"kafka-metadata-quorum", small, []string{pkg + "MetadataQuorumCommand", "kafka.admin.MetadataQuorumCommand"}},
	{"kafka-metadata-shell", small, []string{"org.apache.kafka.shell.MetadataShell"}},
	{"kafka-leader-election", small, []string{pkg + "LeaderElectionCommand", "kafka.admin.LeaderElectionCommand"}},
	{"kafka-reassign-partitions", small, []string{pkg + "reassign.ReassignPartitionsCommand", "kafka.admin.ReassignPartitionsCommand"}},
	{"kafka-transactions", small, []string{pkg + "TransactionsCommand"}},
	{"kafka-client-metrics", small, []string{pkg + "ClientMetricsCommand"}},
	{"kafka-preferred-replica-election", small, []string{"kafka.admin.PreferredReplicaLeaderElectionCommand"}},
}
