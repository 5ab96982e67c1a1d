package handler

import "github.com/weir-stream/weir/internal/wire"

// Routes is the table of a broker's listeners. What is not in it is not advertised.
func (b *Broker) Routes() []wire.Route {
	routes := []wire.Route{
		{Key: 0, MinVersion: 3, MaxVersion: 13, ClaimFromZero: true, Pipelined: true, Handle: b.handleProduce},
		{Key: 1, MinVersion: 4, MaxVersion: 18, Handle: b.handleFetch},
		{Key: 2, MinVersion: 1, MaxVersion: 11, Handle: b.handleListOffsets},
		{Key: 3, MinVersion: 0, MaxVersion: 13, Handle: b.handleMetadata},
		{Key: 8, MinVersion: 2, MaxVersion: 10, Handle: b.handleOffsetCommit},
		{Key: 9, MinVersion: 1, MaxVersion: 10, Handle: b.handleOffsetFetch},
		{Key: 10, MinVersion: 0, MaxVersion: 6, Handle: b.handleFindCoordinator},
		{Key: 11, MinVersion: 0, MaxVersion: 9, Handle: b.handleJoinGroup},
		{Key: 12, MinVersion: 0, MaxVersion: 4, Handle: b.handleHeartbeat},
		{Key: 13, MinVersion: 0, MaxVersion: 5, Handle: b.handleLeaveGroup},
		{Key: 14, MinVersion: 0, MaxVersion: 5, Handle: b.handleSyncGroup},
		{Key: 15, MinVersion: 0, MaxVersion: 6, Handle: b.handleDescribeGroups},
		{Key: 16, MinVersion: 0, MaxVersion: 5, Handle: b.handleListGroups},
		{Key: 17, MinVersion: 0, MaxVersion: 1, Handle: b.handleSaslHandshake},
		{Key: 18, MinVersion: 0, MaxVersion: 5, Handle: b.handleAPIVersions},
		{Key: 19, MinVersion: 2, MaxVersion: 7, Handle: b.handleCreateTopics},
		{Key: 20, MinVersion: 1, MaxVersion: 6, Handle: b.handleDeleteTopics},
		{Key: 21, MinVersion: 0, MaxVersion: 2, Handle: b.handleDeleteRecords},
		{Key: 22, MinVersion: 0, MaxVersion: 5, Handle: b.handleInitProducerID},
		{Key: 23, MinVersion: 2, MaxVersion: 4, Handle: b.handleOffsetForLeaderEpoch},
		{Key: 29, MinVersion: 1, MaxVersion: 3, Handle: b.handleDescribeACLs},
		{Key: 30, MinVersion: 1, MaxVersion: 3, Handle: b.handleCreateACLs},
		{Key: 31, MinVersion: 1, MaxVersion: 3, Handle: b.handleDeleteACLs},
		{Key: 32, MinVersion: 1, MaxVersion: 4, Handle: b.handleDescribeConfigs},
		{Key: 33, MinVersion: 0, MaxVersion: 2, Handle: b.handleAlterConfigs},
		{Key: 34, MinVersion: 1, MaxVersion: 2, Handle: b.handleAlterReplicaLogDirs},
		{Key: 35, MinVersion: 1, MaxVersion: 5, Handle: b.handleDescribeLogDirs},
		{Key: 36, MinVersion: 0, MaxVersion: 2, Handle: b.handleSaslAuthenticate},
		{Key: 37, MinVersion: 0, MaxVersion: 3, Handle: b.handleCreatePartitions},
		{Key: 38, MinVersion: 1, MaxVersion: 3, Handle: b.handleCreateDelegationToken},
		{Key: 39, MinVersion: 1, MaxVersion: 2, Handle: b.handleRenewDelegationToken},
		{Key: 40, MinVersion: 1, MaxVersion: 2, Handle: b.handleExpireDelegationToken},
		{Key: 41, MinVersion: 1, MaxVersion: 3, Handle: b.handleDescribeDelegationToken},
		{Key: 42, MinVersion: 0, MaxVersion: 3, Handle: b.handleDeleteGroups},
		{Key: 43, MinVersion: 0, MaxVersion: 2, Handle: b.handleElectLeaders},
		{Key: 44, MinVersion: 0, MaxVersion: 1, Handle: b.handleIncrementalAlterConfigs},
		{Key: 45, MinVersion: 0, MaxVersion: 1, Handle: b.handleAlterPartitionReassignments},
		{Key: 46, MinVersion: 0, MaxVersion: 0, Handle: b.handleListPartitionReassignments},
		{Key: 47, MinVersion: 0, MaxVersion: 0, Handle: b.handleOffsetDelete},
		{Key: 48, MinVersion: 0, MaxVersion: 1, Handle: b.handleDescribeClientQuotas},
		{Key: 49, MinVersion: 0, MaxVersion: 1, Handle: b.handleAlterClientQuotas},
		{Key: 50, MinVersion: 0, MaxVersion: 0, Handle: b.handleDescribeUserScramCredentials},
		{Key: 51, MinVersion: 0, MaxVersion: 0, Handle: b.handleAlterUserScramCredentials},
		{Key: 55, MinVersion: 0, MaxVersion: 2, Handle: b.handleDescribeQuorum},
		{Key: 57, MinVersion: 0, MaxVersion: 2, Handle: b.handleUpdateFeatures},
		{Key: 60, MinVersion: 0, MaxVersion: 2, Handle: b.handleDescribeCluster},
		{Key: 61, MinVersion: 0, MaxVersion: 0, Handle: b.handleDescribeProducers},
		{Key: 64, MinVersion: 0, MaxVersion: 0, Handle: b.handleUnregisterBroker},
		{Key: 74, MinVersion: 0, MaxVersion: 1, Handle: b.handleListConfigResources},
		{Key: 75, MinVersion: 0, MaxVersion: 0, Handle: b.handleDescribeTopicPartitions},
		{Key: 80, MinVersion: 0, MaxVersion: 1, Handle: b.handleAddRaftVoter},
		{Key: 81, MinVersion: 0, MaxVersion: 0, Handle: b.handleRemoveRaftVoter},
	}
	if b.ClientMetrics != nil {
		routes = append(routes,
			wire.Route{Key: 71, MinVersion: 0, MaxVersion: 0, Handle: b.handleGetTelemetrySubscriptions},
			wire.Route{Key: 72, MinVersion: 0, MaxVersion: 0, Handle: b.handlePushTelemetry})
	}
	return routes
}
