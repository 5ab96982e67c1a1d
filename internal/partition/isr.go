package partition

import (
	"errors"
	"slices"
	"time"

	"github.com/weir-stream/weir/internal/wire"
)

// Member is a replica of a proposed ISR, with the epoch of the process that is in sync, -1 if it is not known.
type Member struct {
	ID          int32
	BrokerEpoch int64
}

// Proposal is a change of the ISR that the leader asks the controller for. Immutable.
type Proposal struct {
	LeaderEpoch    LeaderEpoch
	PartitionEpoch int32
	ISR            []Member
	// Expands says that it adds replicas; else it takes some out.
	Expands bool
}

func (p *Proposal) has(id int32) bool {
	return slices.ContainsFunc(p.ISR, func(m Member) bool { return m.ID == id })
}

// Verdict is the controller's answer to a proposal.
type Verdict struct {
	Err            error // a wire.Code; nil if it was taken
	Leader         int32
	LeaderEpoch    LeaderEpoch
	PartitionEpoch int32
	ISR            []int32
}

// Outcome says what follows from a verdict.
type Outcome int

const (
	// OutcomeStale: nothing; the metadata has overtaken the answer, or will tell.
	OutcomeStale Outcome = iota
	// OutcomeCommitted: the role has changed; the high watermark may go on.
	OutcomeCommitted
	// OutcomeRefused: the ISR stays as it was, and the next fetch may bring a new proposal.
	OutcomeRefused
	// OutcomeRetry: nobody knows whether it was taken; the same proposal has to be sent again.
	OutcomeRetry
)

// ProposeExpand proposes that a follower joins the ISR, if it has all that is committed and all that was there when this
// leadership began, and its broker is the live one. Nil: not now.
func (l *Leader) ProposeExpand(id int32, highWatermark int64, alive Alive) *Proposal {
	f := l.follower(id)
	if l.proposal != nil || f == nil || f.inMaximalISR || f.LogEndOffset < highWatermark || f.LogEndOffset < l.epochStart || !eligible(f, alive) {
		return nil
	}
	return l.propose(append(slices.Clone(l.role.ISR), id), true)
}

// ProposeShrink proposes that the followers that lag leave the ISR. Nil: none do, or a proposal is under way.
func (l *Leader) ProposeShrink(localEnd int64, now time.Time) *Proposal {
	if l.proposal != nil {
		return nil
	}
	isr := make([]int32, 0, len(l.role.ISR))
	for _, id := range l.role.ISR {
		if f := l.follower(id); id == l.role.Self || f != nil && l.caughtUp(f, localEnd, now) {
			isr = append(isr, id)
		}
	}
	if len(isr) == len(l.role.ISR) || !slices.Contains(isr, l.role.Self) {
		return nil
	}
	return l.propose(isr, false)
}

func (l *Leader) propose(isr []int32, expands bool) *Proposal {
	p := &Proposal{LeaderEpoch: l.role.LeaderEpoch, PartitionEpoch: l.role.PartitionEpoch, Expands: expands}
	for _, id := range isr {
		m := Member{ID: id, BrokerEpoch: -1}
		if f := l.follower(id); f != nil {
			m.BrokerEpoch = f.BrokerEpoch
		}
		p.ISR = append(p.ISR, m)
	}
	l.proposal = p
	l.remember()
	return p
}

// Pending is the proposal that is under way, nil if there is none.
func (l *Leader) Pending() *Proposal { return l.proposal }

// Decide takes the controller's answer to p.
//
// Only an answer that says that nothing was changed ends the proposal. After one that says that this leader is behind
// (FENCED_LEADER_EPOCH, INVALID_UPDATE_VERSION, …) the proposal may have been taken, by a request whose answer was lost:
// it counts until the metadata tells. A proposal is sent again only over a new connection, and a controller acts on what
// came by the old one at once or not at all.
func (l *Leader) Decide(p *Proposal, v Verdict) Outcome {
	if l.proposal != p {
		return OutcomeStale
	}
	var code wire.Code
	if v.Err != nil && !errors.As(v.Err, &code) {
		return OutcomeRetry
	}
	switch code {
	case wire.None:
		return l.committed(v)
	case wire.IneligibleReplica, wire.OperationNotAttempted:
		l.proposal = nil
		l.remember()
		return OutcomeRefused
	case wire.FencedLeaderEpoch, wire.InvalidUpdateVersion, wire.InvalidRequest, wire.NewLeaderElected,
		wire.UnknownTopicOrPartition, wire.UnknownTopicId:
		return OutcomeStale
	default:
		return OutcomeRetry
	}
}

func (l *Leader) committed(v Verdict) Outcome {
	if v.LeaderEpoch != l.role.LeaderEpoch || v.PartitionEpoch <= l.role.PartitionEpoch || v.Leader != l.role.Self {
		return OutcomeStale
	}
	l.part(v.ISR)
	role := *l.role
	role.PartitionEpoch, role.ISR = v.PartitionEpoch, v.ISR
	l.role, l.proposal = &role, nil
	l.remember()
	return OutcomeCommitted
}
