package partition

import "github.com/weir-stream/weir/internal/wire"

// History is a log's leader epochs.
type History interface {
	// EpochEndOffset is the largest epoch at or below the asked one, and where it ends; (-1, -1) if the asked one is above
	// all.
	EpochEndOffset(epoch int32) (int32, int64)
}

// Divergence compares the epoch that a fetcher saw last, and its offset, with the leader's history (KIP-595): where the
// leader's log parted from it, or nil if it did not. known is false for an epoch that is later than any of the leader's
// log.
func Divergence(leader History, lastFetchedEpoch int32, offset int64) (parted *wire.EpochEnd, known bool) {
	epoch, end := leader.EpochEndOffset(lastFetchedEpoch)
	if epoch < 0 || end < 0 {
		return nil, false
	}
	if epoch < lastFetchedEpoch || end < offset {
		return &wire.EpochEnd{Epoch: epoch, EndOffset: end}, true
	}
	return nil, true
}

// TruncationOffset is where a follower cuts its log when its leader says that the logs part after end, in end's epoch
// (KIP-101, KIP-279). If the follower lacks that epoch it cuts where its own next older one ended, and asks again.
func TruncationOffset(follower History, logEndOffset int64, end wire.EpochEnd) int64 {
	epoch, own := follower.EpochEndOffset(end.Epoch)
	switch {
	case epoch < 0: // it has no epochs, or none that is as new
		return min(end.EndOffset, logEndOffset)
	case epoch < end.Epoch:
		return min(own, logEndOffset)
	default:
		return min(own, end.EndOffset, logEndOffset)
	}
}
