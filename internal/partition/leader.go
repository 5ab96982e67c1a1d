package partition

import (
	"slices"
	"time"

	"github.com/weir-stream/weir/internal/wire"
)

// unknownOffset is where a follower stands that has not fetched in this leader epoch.
const unknownOffset int64 = -1

// Alive tells the epoch of a broker's registration, and whether the metadata lets it join an ISR: neither fenced nor
// on its way out.
type Alive func(broker int32) (brokerEpoch int64, active bool)

// Follower is what a leader knows of one of its followers.
type Follower struct {
	ID int32
	// LogEndOffset and LogStartOffset are those of its last fetch, -1 before it. Everything below the end is in its log,
	// and on its disk where the log syncs before it promises.
	LogEndOffset   int64
	LogStartOffset int64
	// BrokerEpoch is that of the process that fetched, -1 if it did not say.
	BrokerEpoch int64
	// LastCaughtUp is the last moment at which it is known to have had all that this log had then.
	LastCaughtUp time.Time

	lastFetch    time.Time
	leaderEnd    int64            // this log's end at its last fetch
	visited      func() time.Time // of its last fetch, see Fetched
	inMaximalISR bool
}

// Fetched is what the fetch of a follower tells.
type Fetched struct {
	Offset         int64 // its log end
	LogStartOffset int64
	BrokerEpoch    int64
	LeaderEnd      int64 // this log's end when it was read for the fetch
	Now            time.Time
	// Visited, if not nil, tells of a follower that is asked about news only: the last moment at which it had been told of all
	// that had happened to this log until then, so that it had all as long as nobody has brought another Fetched.
	Visited func() time.Time
}

// Leader is the state of a partition's leader in one leader epoch: how far its followers are, and the change of the ISR
// that is under way (KIP-497). Pure, and not safe for concurrent use.
//
// Invariants: the maximal ISR, the union of what is committed and what is proposed, holds every replica that the
// controller may think in sync; the high watermark never passes the end of one of them; at most one proposal is under
// way, and none is begun before its outcome is known.
type Leader struct {
	role       *Role
	epochStart int64
	lagMax     time.Duration
	followers  []Follower
	proposal   *Proposal
}

// NewLeader begins the leadership of the role's epoch in a log that ends at localEnd.
func NewLeader(role *Role, localEnd int64, lagMax time.Duration, now time.Time) *Leader {
	l := &Leader{role: role, epochStart: localEnd, lagMax: lagMax}
	l.follow(now)
	return l
}

// follow makes the followers those of the role, and keeps what is known of them.
func (l *Leader) follow(now time.Time) {
	old := l.followers
	l.followers = make([]Follower, 0, len(l.role.Replicas))
	for _, id := range l.role.Replicas {
		if id == l.role.Self {
			continue
		}
		f := Follower{ID: id, LogEndOffset: unknownOffset, LogStartOffset: unknownOffset, BrokerEpoch: -1, leaderEnd: unknownOffset}
		if i := slices.IndexFunc(old, func(o Follower) bool { return o.ID == id }); i >= 0 {
			f = old[i]
		} else if slices.Contains(l.role.ISR, id) {
			f.LastCaughtUp = now // it gets its time before it is found to lag
		}
		l.followers = append(l.followers, f)
	}
	l.remember()
}

// remember notes who is in the maximal ISR.
func (l *Leader) remember() {
	for i := range l.followers {
		f := &l.followers[i]
		f.inMaximalISR = slices.Contains(l.role.ISR, f.ID) || l.proposal != nil && l.proposal.has(f.ID)
	}
}

// Role is the role as of the last Update or answer of the controller.
func (l *Leader) Role() *Role { return l.role }

// EpochStart is where the log ended when the leadership began.
func (l *Leader) EpochStart() int64 { return l.epochStart }

// Followers are the followers. The slice is the leader's.
func (l *Leader) Followers() []Follower { return l.followers }

// SetLagMax changes replica.lag.time.max.ms.
func (l *Leader) SetLagMax(d time.Duration) { l.lagMax = d }

// Update takes over news of the metadata in the same leader epoch. Those of the partition epoch that is known already,
// from an answer of the controller, may still change the replicas, and leave a proposal alone; newer ones end it: the
// controller decided without it or on it.
func (l *Leader) Update(role *Role, now time.Time) {
	if role.LeaderEpoch != l.role.LeaderEpoch || role.PartitionEpoch < l.role.PartitionEpoch {
		return
	}
	if role.PartitionEpoch > l.role.PartitionEpoch {
		l.proposal = nil
	}
	l.part(role.ISR)
	l.role = role
	l.follow(now)
}

// part forgets that those had caught up who leave the ISR: nobody waits for them to come back. What took them out may be
// that the disk of one failed, though its broker is alive.
func (l *Leader) part(isr []int32) {
	for i := range l.followers {
		if f := &l.followers[i]; slices.Contains(l.role.ISR, f.ID) && !slices.Contains(isr, f.ID) {
			f.LastCaughtUp, f.leaderEnd = time.Time{}, unknownOffset
		}
	}
}

// NoteFetch takes over where a follower is. It is NOT_LEADER_OR_FOLLOWER for a broker without a replica, as in Kafka, and
// for one whose process has been replaced by a newer one (KIP-903).
func (l *Leader) NoteFetch(id int32, at Fetched) error {
	f := l.follower(id)
	switch {
	case f == nil:
		return wire.NotLeaderOrFollower
	case at.BrokerEpoch >= 0 && at.BrokerEpoch < f.BrokerEpoch:
		return wire.NotLeaderOrFollower
	}
	switch {
	case at.Offset >= at.LeaderEnd:
		f.LastCaughtUp = later(f.LastCaughtUp, at.Now)
	case f.leaderEnd >= 0 && at.Offset >= f.leaderEnd:
		// It has what was there when it fetched before.
		f.LastCaughtUp = later(f.lastCaughtUp(), f.lastFetch)
	}
	f.LogEndOffset, f.LogStartOffset, f.BrokerEpoch = at.Offset, at.LogStartOffset, at.BrokerEpoch
	f.lastFetch, f.leaderEnd, f.visited = at.Now, at.LeaderEnd, at.Visited
	return nil
}

// NotVisited says that a follower does not ask for this partition's news any more.
func (l *Leader) NotVisited(id int32) {
	if f := l.follower(id); f != nil {
		f.LastCaughtUp, f.visited = f.lastCaughtUp(), nil
	}
}

// lastCaughtUp is LastCaughtUp with what is known without a fetch: who had all, and was told of all news since, had it still
// when it was told last.
func (f *Follower) lastCaughtUp() time.Time {
	if f.visited == nil || f.leaderEnd < 0 || f.LogEndOffset < f.leaderEnd {
		return f.LastCaughtUp
	}
	return later(f.LastCaughtUp, f.visited())
}

func (l *Leader) follower(id int32) *Follower {
	for i := range l.followers {
		if l.followers[i].ID == id {
			return &l.followers[i]
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// caughtUp reports whether a follower has all, or had it not longer ago than the lag that is allowed.
func (l *Leader) caughtUp(f *Follower, localEnd int64, now time.Time) bool {
	return f.LogEndOffset >= localEnd || now.Sub(f.lastCaughtUp()) <= l.lagMax
}

// HighWatermark is how far the high watermark may go from current, given the end of this leader's own log (its flushed
// end where the log syncs before it promises): as far as all of the maximal ISR have the log, and those who are about
// to join it, so that they can. While fewer replicas than min.insync.replicas are in the committed ISR it stays
// (KIP-966): what it passes may be missing on all but the ISR and the eligible leader replicas. It never goes back.
func (l *Leader) HighWatermark(current, localEnd int64, minInSync int, now time.Time, alive Alive) int64 {
	if l.role.CheckInSync(minInSync) != nil || !slices.Contains(l.role.ISR, l.role.Self) {
		return current
	}
	hw := localEnd
	for i := range l.followers {
		f := &l.followers[i]
		if f.LogEndOffset < hw && (f.inMaximalISR || l.caughtUp(f, localEnd, now) && eligible(f, alive)) {
			hw = f.LogEndOffset
		}
	}
	return max(current, hw)
}

// eligible reports whether a follower may join the ISR as far as the metadata is concerned: the process that fetches
// is the one that is registered.
func eligible(f *Follower, alive Alive) bool {
	epoch, active := alive(f.ID)
	return active && (f.BrokerEpoch == -1 || f.BrokerEpoch == epoch)
}

// InSync reports whether the follower is in the committed ISR.
func (f *Follower) InSync(role *Role) bool { return slices.Contains(role.ISR, f.ID) }
