package handler

import "github.com/weir-stream/weir/internal/wire"

// Limits of frames for the APIs that may need more than the general small one. Produce is bounded by
// socket.request.max.bytes alone.
const (
	largeFrame  = 100 << 20
	mediumFrame = 16 << 20
)

// Routes is the table of a broker's listeners. What is not in it is not advertised.
func (b *Broker) Routes() []wire.Route {
	return []wire.Route{
		{Key: 0, MinVersion: 3, MaxVersion: 13, ClaimFromZero: true, MaxFrameBytes: largeFrame, Pipelined: true, Handle: b.handleProduce},
		{Key: 1, MinVersion: 4, MaxVersion: 18, MaxFrameBytes: mediumFrame, Handle: b.handleFetch},
		{Key: 2, MinVersion: 1, MaxVersion: 11, MaxFrameBytes: mediumFrame, Handle: b.handleListOffsets},
		{Key: 3, MinVersion: 0, MaxVersion: 13, MaxFrameBytes: mediumFrame, Handle: b.handleMetadata},
		{Key: 18, MinVersion: 0, MaxVersion: 5, Handle: b.handleAPIVersions},
		{Key: 19, MinVersion: 2, MaxVersion: 7, MaxFrameBytes: mediumFrame, Handle: b.handleCreateTopics},
		{Key: 20, MinVersion: 1, MaxVersion: 6, MaxFrameBytes: mediumFrame, Handle: b.handleDeleteTopics},
		{Key: 21, MinVersion: 0, MaxVersion: 2, MaxFrameBytes: mediumFrame, Handle: b.handleDeleteRecords},
		{Key: 22, MinVersion: 0, MaxVersion: 5, Handle: b.handleInitProducerID},
		{Key: 23, MinVersion: 2, MaxVersion: 4, MaxFrameBytes: mediumFrame, Handle: b.handleOffsetForLeaderEpoch},
		{Key: 34, MinVersion: 1, MaxVersion: 2, MaxFrameBytes: mediumFrame, Handle: b.handleAlterReplicaLogDirs},
		{Key: 35, MinVersion: 1, MaxVersion: 5, MaxFrameBytes: mediumFrame, Handle: b.handleDescribeLogDirs},
		{Key: 37, MinVersion: 0, MaxVersion: 3, MaxFrameBytes: mediumFrame, Handle: b.handleCreatePartitions},
		{Key: 43, MinVersion: 0, MaxVersion: 2, MaxFrameBytes: mediumFrame, Handle: b.handleElectLeaders},
		{Key: 45, MinVersion: 0, MaxVersion: 1, MaxFrameBytes: mediumFrame, Handle: b.handleAlterPartitionReassignments},
		{Key: 46, MinVersion: 0, MaxVersion: 0, MaxFrameBytes: mediumFrame, Handle: b.handleListPartitionReassignments},
		{Key: 55, MinVersion: 0, MaxVersion: 2, Handle: b.handleDescribeQuorum},
		{Key: 57, MinVersion: 0, MaxVersion: 2, Handle: b.handleUpdateFeatures},
		{Key: 60, MinVersion: 0, MaxVersion: 2, Handle: b.handleDescribeCluster},
		{Key: 61, MinVersion: 0, MaxVersion: 0, MaxFrameBytes: mediumFrame, Handle: b.handleDescribeProducers},
		{Key: 64, MinVersion: 0, MaxVersion: 0, Handle: b.handleUnregisterBroker},
		{Key: 75, MinVersion: 0, MaxVersion: 0, MaxFrameBytes: mediumFrame, Handle: b.handleDescribeTopicPartitions},
	}
}
