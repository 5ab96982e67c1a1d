package replica

import (
	"errors"
	"slices"
	"time"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/wire"
)

// Reader says who reads.
type Reader struct {
	Follower    int32 // the broker of a follower; -1: a consumer
	BrokerEpoch int64 // of the follower's process, -1 if it does not say
	// CommittedOnly stands for read_committed.
	CommittedOnly bool
	// AnyReplica lets a consumer read from this broker though it does not lead (KIP-392), and Rack is where it is.
	AnyReplica bool
	Rack       string
	// Session is the follower's fetch session, nil if it has none.
	Session *Follows
}

func (r *Reader) follows() bool { return r.Follower >= 0 }

func (r *Reader) bound() log.Bound {
	switch {
	case r.follows():
		return log.BoundLogEnd
	case r.CommittedOnly:
		return log.BoundLastStable
	default:
		return log.BoundHighWatermark
	}
}

// readable is the end of what may be read.
func (r *Reader) readable(l *log.Log) int64 {
	switch r.bound() {
	case log.BoundLogEnd:
		return l.LogEndOffset()
	case log.BoundLastStable:
		return l.LastStableOffset()
	default:
		return l.HighWatermark()
	}
}

// FetchSpec is what is wanted of one partition.
type FetchSpec struct {
	Replica            *Replica
	CurrentLeaderEpoch int32 // -1: not checked
	Offset             int64
	LastFetchedEpoch   int32 // -1: not checked
	LogStartOffset     int64 // of a follower
	MaxBytes           int32

	seen  int64 // the bound that the last Read saw
	noted bool  // where the follower is was taken over
}

// FetchResult is one partition's part of an answer. Its Range, if any, has to be released.
type FetchResult struct {
	Code wire.Code
	log.ReadInfo
	Diverging *wire.EpochEnd
	// Preferred is the replica that the consumer had better read from (KIP-392), -1: this one. There is no Range then.
	Preferred int32
	// Settled says of a follower's read that nothing is to be told or done until something happens: the follower has all
	// that there is, and is in sync.
	Settled bool
}

// Read reads one partition, for a follower or a consumer. It never waits. With minOneBatch one batch is returned
// even if it is larger than maxBytes. What a follower has is taken over with its first Read of a request.
func (m *Manager) Read(s *FetchSpec, by *Reader, maxBytes int, minOneBatch bool) FetchResult {
	res := FetchResult{ReadInfo: log.ReadInfo{HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1}, Preferred: -1}
	role, l, err := s.Replica.logFor(by, s.CurrentLeaderEpoch)
	if err == nil && s.LastFetchedEpoch >= 0 {
		var known bool
		if res.Diverging, known = partition.Divergence(l, s.LastFetchedEpoch, s.Offset); !known {
			err = wire.OffsetOutOfRange
		} else if res.Diverging != nil {
			res.HighWatermark, res.LastStableOffset, res.LogStartOffset = l.HighWatermark(), l.LastStableOffset(), l.LogStartOffset()
			return res
		}
	}
	if err == nil {
		if res.Preferred = m.closest(s, by, role, l); res.Preferred >= 0 {
			res.HighWatermark, res.LastStableOffset, res.LogStartOffset = l.HighWatermark(), l.LastStableOffset(), l.LogStartOffset()
			return res
		}
		s.seen = by.readable(l)
		if m.holdsBack(s.Replica, by) {
			maxBytes, minOneBatch = 0, false
		}
		res.ReadInfo, err = l.Read(s.Offset, maxBytes, minOneBatch, by.bound())
	}
	if err == nil && by.follows() && !s.noted {
		at := partition.Fetched{Offset: s.Offset, LogStartOffset: s.LogStartOffset, BrokerEpoch: by.BrokerEpoch, LeaderEnd: res.LogEndOffset, Now: m.now()}
		if by.Session != nil {
			at.Visited = by.Session.lastVisit
		}
		err = m.noteFetch(s.Replica, l, role.LeaderEpoch, by.Follower, at)
		s.noted = true
		res.HighWatermark = l.HighWatermark()
	}
	if err != nil {
		if res.Range != nil {
			res.Range.Release()
		}
		s.Replica.stats.FetchFailed()
		return FetchResult{Code: wire.CodeOf(err), ReadInfo: log.ReadInfo{HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1}, Preferred: -1}
	}
	res.Settled = by.follows() && s.Offset >= res.LogEndOffset && slices.Contains(s.Replica.role.Load().ISR, by.Follower)
	return res
}

// logFor returns the role and the log for a reader: the leader serves all, a follower the consumers that may come to it.
func (r *Replica) logFor(by *Reader, claimed partition.LeaderEpoch) (*partition.Role, *log.Log, error) {
	role, l, err := r.leaderLog(claimed)
	if !by.AnyReplica || by.follows() || role.Leader < 0 || !errors.Is(err, wire.NotLeaderOrFollower) {
		return role, l, err
	}
	return r.replicaLog()
}

// replicaLog returns the role and the log for a request that any replica may serve.
func (r *Replica) replicaLog() (*partition.Role, *log.Log, error) {
	role, l := r.role.Load(), r.log.Load()
	if l == nil {
		return role, nil, wire.KafkaStorageError
	}
	return role, l, nil
}

// CountFetched notes that so many bytes of the partition were sent to a consumer.
func (r *Replica) CountFetched(bytes int64) { r.stats.Fetched(bytes) }

// CountReplicated notes that so many bytes of the partition were sent to a follower.
func (m *Manager) CountReplicated(r *Replica, bytes int64) {
	r.stats.ReplicatedOut(bytes)
	if bytes > 0 && r.throttledAsLeader.Load() {
		m.leaderThrottle.record(bytes, m.now())
	}
}

// AwaitData parks a fetch until missing more bytes can be read from the partitions in specs, one of them changes
// its role, or d is over; then end runs once, perhaps on an appender's goroutine: it must not block. How much can be read is
// not always known, so that the caller looks again. It returns nil, and end does not run, if something came since specs
// were read: the caller reads again.
func (m *Manager) AwaitData(specs []FetchSpec, by *Reader, missing int64, d time.Duration, end func()) *Wait {
	lists := make([]*waitList, 0, len(specs))
	// Copies: as soon as the wait has begun it may end, and who goes on reads again, which writes to specs.
	read := make([]sighting, len(specs))
	for i := range specs {
		read[i] = sighting{specs[i].Replica, specs[i].seen}
		switch r := specs[i].Replica; {
		case r == nil:
		case by.follows():
			lists = append(lists, &r.appended)
		default:
			lists = append(lists, &r.waits)
		}
	}
	w := park(lists, missing, d, func(bool) { end() })
	for i := range read {
		if read[i].hasNews(by) {
			if w.op.Claim() {
				w.leave()
				return nil
			}
			break // it has ended already
		}
	}
	return w
}

// sighting is how far a partition could be read when it was.
type sighting struct {
	replica *Replica
	seen    int64
}

// hasNews reports whether more can be read, or nothing any more, since the partition was read.
func (s sighting) hasNews(by *Reader) bool {
	if s.replica == nil {
		return false
	}
	l := s.replica.log.Load()
	return l == nil || by.readable(l) != s.seen
}
