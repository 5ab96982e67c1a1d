package replica

import (
	"time"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

// FetchSpec is what a consumer wants of one partition.
type FetchSpec struct {
	Replica            *Replica
	CurrentLeaderEpoch int32 // -1: not checked
	Offset             int64
	LastFetchedEpoch   int32 // -1: not checked
	MaxBytes           int32

	seen int64 // the bound that the last Read saw
}

// FetchResult is one partition's part of an answer. Its Range, if any, has to be released.
type FetchResult struct {
	Code wire.Code
	log.ReadInfo
	Diverging *wire.EpochEnd
}

// Read reads one partition as its leader for a consumer. It never waits. With minOneBatch one batch is returned
// even if it is larger than maxBytes.
func (m *Manager) Read(s *FetchSpec, maxBytes int, minOneBatch, committedOnly bool) FetchResult {
	res := FetchResult{ReadInfo: log.ReadInfo{HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1}}
	role, l, err := s.Replica.leaderLog()
	if err == nil {
		err = role.CheckLeaderEpoch(s.CurrentLeaderEpoch)
	}
	if err != nil {
		res.Code = wire.CodeOf(err)
		s.Replica.stats.FetchFailed()
		return res
	}
	if s.LastFetchedEpoch >= 0 {
		var known bool
		if res.Diverging, known = divergence(l, s); !known {
			res.Code = wire.OffsetOutOfRange
			s.Replica.stats.FetchFailed()
			return res
		}
		if res.Diverging != nil {
			res.HighWatermark, res.LastStableOffset, res.LogStartOffset = l.HighWatermark(), l.LastStableOffset(), l.LogStartOffset()
			return res
		}
	}
	bound := log.BoundHighWatermark
	if committedOnly {
		bound = log.BoundLastStable
	}
	s.seen = readable(l, committedOnly)
	info, err := l.Read(s.Offset, maxBytes, minOneBatch, bound)
	if err != nil {
		res.Code = wire.CodeOf(err)
		s.Replica.stats.FetchFailed()
		return res
	}
	res.ReadInfo = info
	return res
}

// CountFetched notes that so many bytes of the partition were sent to a consumer.
func (r *Replica) CountFetched(bytes int64) { r.stats.Fetched(bytes) }

// divergence compares the epoch that the fetcher saw last with this log's history (KIP-595): if the fetcher's
// end lies beyond what this log had in that epoch, the fetcher is told where to cut. known is false for an epoch that
// is later than any of this log.
func divergence(l *log.Log, s *FetchSpec) (cut *wire.EpochEnd, known bool) {
	epoch, end := l.EpochEndOffset(s.LastFetchedEpoch)
	if epoch < 0 || end < 0 {
		return nil, false
	}
	if epoch < s.LastFetchedEpoch || end < s.Offset {
		return &wire.EpochEnd{Epoch: epoch, EndOffset: end}, true
	}
	return nil, true
}

// AwaitData parks a fetch until missing more bytes are committed to the partitions in specs, one of them changes
// its role, or d is over; then end runs once, perhaps on an appender's goroutine: it must not block. It returns nil,
// and end does not run, if something was committed since specs were read: the caller reads again.
func (m *Manager) AwaitData(specs []FetchSpec, committedOnly bool, missing int64, d time.Duration, end func()) *Wait {
	rs := make([]*Replica, 0, len(specs))
	for i := range specs {
		if specs[i].Replica != nil {
			rs = append(rs, specs[i].Replica)
		}
	}
	w := park(rs, missing, d, func(bool) { end() })
	for i := range specs {
		if hasNews(&specs[i], committedOnly) {
			if w.op.Claim() {
				w.leave()
				return nil
			}
			break // it has ended already
		}
	}
	return w
}

// readable is the end of what a consumer may read.
func readable(l *log.Log, committedOnly bool) int64 {
	if committedOnly {
		return l.LastStableOffset()
	}
	return l.HighWatermark()
}

// hasNews reports whether more can be read, or nothing any more, since the partition was read.
func hasNews(s *FetchSpec, committedOnly bool) bool {
	if s.Replica == nil {
		return false
	}
	l := s.Replica.log.Load()
	return l == nil || readable(l, committedOnly) != s.seen
}
