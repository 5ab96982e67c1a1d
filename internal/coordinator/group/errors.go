package group

import "github.com/weir-stream/weir/internal/wire"

// errorCode is what a client is told when the coordinator's log refused its records: codes of a produce request mean
// nothing to it.
func errorCode(err error) wire.Code {
	switch c := wire.CodeOf(err); c {
	case wire.UnknownTopicOrPartition, wire.NotEnoughReplicas, wire.NotEnoughReplicasAfterAppend, wire.RequestTimedOut:
		return wire.CoordinatorNotAvailable
	case wire.NotLeaderOrFollower, wire.KafkaStorageError, wire.FencedLeaderEpoch, wire.UnknownLeaderEpoch:
		return wire.NotCoordinator
	case wire.MessageTooLarge, wire.RecordListTooLarge, wire.InvalidFetchSize:
		return wire.UnknownServerError
	default:
		return c
	}
}
