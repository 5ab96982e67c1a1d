package telemetry

import (
	"strconv"
	"strings"
)

func gauge(domain, typ, name, help string) Fact {
	return Fact{Domain: domain, Type: typ, Name: name, Kind: Gauge, Help: help}
}

func meter(domain, typ, name, help string) Fact {
	return Fact{Domain: domain, Type: typ, Name: name, Kind: Meter, Help: help}
}

func attribute(domain, typ, name, help string) Fact {
	return Fact{Domain: domain, Type: typ, Name: name, Kind: ClientMetric, Help: help}
}

func plain(name, help string) Fact { return Fact{Name: name, Kind: Plain, Help: help} }

// What a broker says of its replicas (kafka.server:type=ReplicaManager).
var (
	UnderReplicated      = gauge("kafka.server", "ReplicaManager", "UnderReplicatedPartitions", "Partitions led here whose in-sync replicas are fewer than their replicas.")
	UnderMinISR          = gauge("kafka.server", "ReplicaManager", "UnderMinIsrPartitionCount", "Partitions led here with fewer in-sync replicas than min.insync.replicas.")
	AtMinISR             = gauge("kafka.server", "ReplicaManager", "AtMinIsrPartitionCount", "Partitions led here with just as many in-sync replicas as min.insync.replicas.")
	LeaderCount          = gauge("kafka.server", "ReplicaManager", "LeaderCount", "Partitions led here.")
	PartitionCount       = gauge("kafka.server", "ReplicaManager", "PartitionCount", "Partitions with a replica here.")
	OfflineReplicaCount  = gauge("kafka.server", "ReplicaManager", "OfflineReplicaCount", "Replicas in directories that failed.")
	ReassigningPartition = gauge("kafka.server", "ReplicaManager", "ReassigningPartitions", "Partitions led here that are being reassigned.")
	ISRShrinks           = meter("kafka.server", "ReplicaManager", "IsrShrinksPerSec", "Replicas that fell out of sync.")
	ISRExpands           = meter("kafka.server", "ReplicaManager", "IsrExpandsPerSec", "Replicas that came back in sync.")
	MaxLag               = Fact{Domain: "kafka.server", Type: "ReplicaFetcherManager", Name: "MaxLag", Kind: Gauge, Help: "Records that the replica furthest behind its leader lacks."} // label clientId
	FailedISRUpdates     = meter("kafka.server", "ReplicaManager", "FailedIsrUpdatesPerSec", "Changes of in-sync replicas that the controller refused.")
)

// The state of the broker and its disks.
var (
	// BrokerState is 0 not running, 1 starting, 2 recovering, 3 running, 6 in controlled shutdown, 7 shutting down.
	BrokerState       = gauge("kafka.server", "KafkaServer", "BrokerState", "State of the broker: 1 starting, 2 recovering, 3 running, 6 in controlled shutdown, 7 shutting down.")
	DiskReadBytes     = gauge("kafka.server", "KafkaServer", "linux-disk-read-bytes", "Bytes that the process read from disks.")
	DiskWriteBytes    = gauge("kafka.server", "KafkaServer", "linux-disk-write-bytes", "Bytes that the process wrote to disks.")
	OfflineLogDirs    = gauge("kafka.log", "LogManager", "OfflineLogDirectoryCount", "Log directories that failed.")
	LogDirOffline     = gauge("kafka.log", "LogManager", "LogDirectoryOffline", "Whether a log directory failed.")
	LogFlushTime      = Fact{Domain: "kafka.log", Type: "LogFlushStats", Name: "LogFlushRateAndTimeMs", Kind: Timing, Help: "Milliseconds that flushes took."}
	RequestQueueSize  = gauge("kafka.network", "RequestChannel", "RequestQueueSize", "Requests that wait to be handled.")
	ResponseQueueSize = gauge("kafka.network", "RequestChannel", "ResponseQueueSize", "Answers that wait to be sent.")
	NetworkIdle       = Fact{Domain: "kafka.network", Type: "SocketServer", Name: "NetworkProcessorAvgIdlePercent", Kind: Percent, Help: "Share of time that the network goroutines had nothing to do."}
	HandlerIdle       = Fact{Domain: "kafka.server", Type: "KafkaRequestHandlerPool", Name: "RequestHandlerAvgIdlePercent", Kind: Percent, Help: "Share of the processors' time that the process did not use."}
	MemoryPoolUsed    = gauge("kafka.network", "SocketServer", "MemoryPoolUsed", "Bytes of frames in flight.")
	MemoryPoolFree    = gauge("kafka.network", "SocketServer", "MemoryPoolAvailable", "Bytes that are left for frames in flight.")
	Purgatory         = gauge("kafka.server", "DelayedOperationPurgatory", "PurgatorySize", "Requests that wait for others.") // label delayedOperation
)

// Connections by listener (kafka.server:type=socket-server-metrics).
var (
	ConnectionCount    = attribute("kafka.server", "socket-server-metrics", "connection-count", "Open connections.")
	ConnectionsCreated = attribute("kafka.server", "socket-server-metrics", "connection-creation-total", "Connections accepted.")
	ConnectionsClosed  = attribute("kafka.server", "socket-server-metrics", "connection-close-total", "Connections closed.")
	ConnectionRate     = attribute("kafka.server", "socket-server-metrics", "connection-creation-rate", "Connections accepted a second.")
	FailedAuth         = attribute("kafka.server", "socket-server-metrics", "failed-authentication-total", "Connections that failed to authenticate.")
	SuccessfulAuth     = attribute("kafka.server", "socket-server-metrics", "successful-authentication-total", "Connections that authenticated by TLS or SASL.")
	FailedReauth       = attribute("kafka.server", "socket-server-metrics", "failed-reauthentication-total", "Connections that failed to authenticate again.")
	SuccessfulReauth   = attribute("kafka.server", "socket-server-metrics", "successful-reauthentication-total", "Connections that authenticated again.")
	ExpiredConnections = attribute("kafka.server", "socket-server-metrics", "expired-connections-killed-total", "Connections closed since their session was over.")
	AcceptRate         = attribute("kafka.server", "socket-server-metrics", "connection-accept-rate", "Connections accepted a second, over the window of quotas.")
	BrokerAcceptRate   = attribute("kafka.server", "socket-server-metrics", "broker-connection-accept-rate", "Connections accepted a second by all listeners that are held to one limit.")
	ConnectionsWaited  = Fact{Name: "weir_connections_waited_seconds_total", Kind: PlainCounter, Help: "Seconds that new connections had to wait for max.connection.creation.rate."}
	ConnectionsKept    = Fact{Name: "weir_connections_kept_seconds_total", Kind: PlainCounter, Help: "Seconds that connections of addresses above their connection_creation_rate were kept unread, then closed."}
	AuditEvents        = Fact{Name: "weir_audit_events_total", Kind: PlainCounter, Help: "Events that the audit log has written."}
	AuditDropped       = Fact{Name: "weir_audit_events_dropped_total", Kind: PlainCounter, Help: "Events that the audit log has lost: too many in a second, or where they go did not keep up or failed."}
	CertificateDays    = plain("weir_listener_certificate_expiry_days", "Days until the certificate of a listener ends.")
)

// Quotas by user and client id (kafka.server:type=Produce and so on); a label is left out where all are meant.
var (
	QuotaProduceRate      = attribute("kafka.server", "Produce", "byte-rate", "Bytes a second that are counted against a quota of Produce.")
	QuotaProduceThrottle  = attribute("kafka.server", "Produce", "throttle-time", "Milliseconds that producers were held back, on average.")
	QuotaFetchRate        = attribute("kafka.server", "Fetch", "byte-rate", "Bytes a second that are counted against a quota of Fetch.")
	QuotaFetchThrottle    = attribute("kafka.server", "Fetch", "throttle-time", "Milliseconds that consumers were held back, on average.")
	QuotaRequestTime      = attribute("kafka.server", "Request", "request-time", "Percent of a processor that requests took.")
	QuotaRequestThrottle  = attribute("kafka.server", "Request", "throttle-time", "Milliseconds that clients were held back for the time of their requests, on average.")
	QuotaMutationRate     = attribute("kafka.server", "ControllerMutation", "mutation-rate", "Partitions a second that were made or deleted.")
	QuotaMutationTokens   = attribute("kafka.server", "ControllerMutation", "tokens", "Partitions that may be made or deleted at once.")
	QuotaMutationThrottle = attribute("kafka.server", "ControllerMutation", "throttle-time", "Milliseconds that clients were held back for partitions made or deleted, on average.")
)

// What the controller says of the cluster (kafka.controller:type=KafkaController).
var (
	ActiveController   = gauge("kafka.controller", "KafkaController", "ActiveControllerCount", "1 on the node that decides, else 0.")
	OfflinePartitions  = gauge("kafka.controller", "KafkaController", "OfflinePartitionsCount", "Partitions without a leader.")
	PreferredImbalance = gauge("kafka.controller", "KafkaController", "PreferredReplicaImbalanceCount", "Partitions not led by their first replica.")
	GlobalTopics       = gauge("kafka.controller", "KafkaController", "GlobalTopicCount", "Topics.")
	GlobalPartitions   = gauge("kafka.controller", "KafkaController", "GlobalPartitionCount", "Partitions.")
	ActiveBrokers      = gauge("kafka.controller", "KafkaController", "ActiveBrokerCount", "Brokers that take part.")
	FencedBrokers      = gauge("kafka.controller", "KafkaController", "FencedBrokerCount", "Brokers that are registered and do not take part.")
	MetadataErrors     = gauge("kafka.controller", "KafkaController", "MetadataErrorCount", "Errors in handling metadata.")
	LastAppliedLag     = gauge("kafka.controller", "KafkaController", "LastAppliedRecordLagMs", "Age of the last metadata record that was applied, 0 on the node that decides.")
	LastAppliedOffset  = gauge("kafka.controller", "KafkaController", "LastAppliedRecordOffset", "Offset of the last metadata record that was applied.")
	LastCommitted      = gauge("kafka.controller", "KafkaController", "LastCommittedRecordOffset", "Offset of the last metadata record that was committed.")
	UncleanElections   = meter("kafka.controller", "ControllerStats", "UncleanLeaderElectionsPerSec", "Elections of leaders that were not in sync.")
)

// Raft (kafka.server:type=raft-metrics).
var (
	RaftState         = attribute("kafka.server", "raft-metrics", "current-state", "What the node is in the quorum; the label state says it.")
	RaftLeader        = attribute("kafka.server", "raft-metrics", "current-leader", "Id of the leader, -1 if there is none.")
	RaftVote          = attribute("kafka.server", "raft-metrics", "current-vote", "Id of the node that this one voted for, -1 for none.")
	RaftEpoch         = attribute("kafka.server", "raft-metrics", "current-epoch", "Epoch of the quorum.")
	RaftHighWatermark = attribute("kafka.server", "raft-metrics", "high-watermark", "Offset up to which metadata is committed.")
	RaftLogEnd        = attribute("kafka.server", "raft-metrics", "log-end-offset", "End of the metadata log.")
	RaftAppendRate    = attribute("kafka.server", "raft-metrics", "append-records-rate", "Metadata records appended a second.")
	RaftFetchRate     = attribute("kafka.server", "raft-metrics", "fetch-records-rate", "Metadata records fetched a second.")
	RaftCommitLatency = attribute("kafka.server", "raft-metrics", "commit-latency-avg", "Milliseconds to commit a metadata record, on average.")
	RaftElection      = attribute("kafka.server", "raft-metrics", "election-latency-max", "Milliseconds that the longest election took.")
)

// Groups (kafka.coordinator.group:type=GroupMetadataManager).
var (
	Groups           = gauge("kafka.coordinator.group", "GroupMetadataManager", "NumGroups", "Groups coordinated here.")
	GroupsStable     = gauge("kafka.coordinator.group", "GroupMetadataManager", "NumGroupsStable", "Groups whose members have their partitions.")
	GroupsEmpty      = gauge("kafka.coordinator.group", "GroupMetadataManager", "NumGroupsEmpty", "Groups without members.")
	GroupsDead       = gauge("kafka.coordinator.group", "GroupMetadataManager", "NumGroupsDead", "Groups that are gone.")
	GroupsPreparing  = gauge("kafka.coordinator.group", "GroupMetadataManager", "NumGroupsPreparingRebalance", "Groups that wait for members to join.")
	GroupsCompleting = gauge("kafka.coordinator.group", "GroupMetadataManager", "NumGroupsCompletingRebalance", "Groups that wait for their leader's assignment.")
	GroupOffsets     = gauge("kafka.coordinator.group", "GroupMetadataManager", "NumOffsets", "Committed offsets kept here.")
)

// Per partition.
var (
	logSize        = gauge("kafka.log", "Log", "Size", "Bytes of the log.")
	logStartOffset = gauge("kafka.log", "Log", "LogStartOffset", "First offset of the log.")
	logEndOffset   = gauge("kafka.log", "Log", "LogEndOffset", "Next offset of the log.")
	logSegments    = gauge("kafka.log", "Log", "NumLogSegments", "Segments of the log.")
	partUnderMin   = gauge("kafka.cluster", "Partition", "UnderMinIsr", "1 if fewer replicas are in sync than min.insync.replicas.")
	partAtMin      = gauge("kafka.cluster", "Partition", "AtMinIsr", "1 if just as many replicas are in sync as min.insync.replicas.")
	partReplicas   = gauge("kafka.cluster", "Partition", "ReplicasCount", "Replicas.")
	partISR        = gauge("kafka.cluster", "Partition", "InSyncReplicasCount", "Replicas in sync.")
	partUnderRepl  = gauge("kafka.cluster", "Partition", "UnderReplicated", "1 if not all replicas are in sync.")
)

// PartitionState is what is served of one replica on this broker. Replicas, ISR and MinISR are meaningful
// on the leader only.
type PartitionState struct {
	Topic                  string
	Partition              int32
	SizeBytes              int64
	LogStartOffset, LogEnd int64
	Segments               int
	Leader                 bool
	Replicas, ISR, MinISR  int
}

// Partitions serves what each hands over at a scrape. With more partitions than Options.MaxPartitionSeries only
// the sum of sizes per topic is served, and weir_partition_series_hidden is 1. count tells how many there are.
func (r *Registry) Partitions(count func() int, each func(yield func(PartitionState) bool)) {
	hidden := plain("weir_partition_series_hidden", "1 if there are more partitions than weir.metrics.max.partition.series, so that series per partition are left out.")
	topicSize := plain("weir_topic_size_bytes", "Bytes of all logs of a topic on this broker.")
	r.Source(func(emit Emit) {
		detail := count() <= r.opt.MaxPartitionSeries
		emit(hidden, nil, truth(!detail))
		sizes := map[string]int64{}
		each(func(p PartitionState) bool {
			sizes[p.Topic] += p.SizeBytes
			if detail {
				emitPartition(emit, p)
			}
			return true
		})
		for topic, n := range sizes {
			emit(topicSize, Labels{"topic", topic}, float64(n))
		}
	})
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func emitPartition(emit Emit, p PartitionState) {
	l := Labels{"topic", p.Topic, "partition", strconv.Itoa(int(p.Partition))}
	emit(logSize, l, float64(p.SizeBytes))
	emit(logStartOffset, l, float64(p.LogStartOffset))
	emit(logEndOffset, l, float64(p.LogEnd))
	emit(logSegments, l, float64(p.Segments))
	if !p.Leader {
		return
	}
	emit(partUnderMin, l, truth(p.ISR < p.MinISR))
	emit(partAtMin, l, truth(p.ISR == p.MinISR))
	emit(partReplicas, l, float64(p.Replicas))
	emit(partISR, l, float64(p.ISR))
	emit(partUnderRepl, l, truth(p.ISR < p.Replicas))
}

// RaftStates serves the state of the node in the quorum (leader, follower, candidate, observer, unattached) as
// one series per state, 1 on the present one, which is how the boards read it.
func (r *Registry) RaftStates(state func() string) {
	r.Source(func(emit Emit) {
		now := state()
		for _, s := range []string{"leader", "follower", "candidate", "observer", "unattached", "voted", "resigned"} {
			emit(RaftState, Labels{"state", s}, truth(strings.EqualFold(s, now)))
		}
	})
}
