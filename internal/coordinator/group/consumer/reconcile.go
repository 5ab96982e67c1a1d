package consumer

import (
	"github.com/weir-stream/weir/internal/coordinator/group/assign"
	"github.com/weir-stream/weir/internal/wire"
)

// reconcile leads a member on to its target assignment, as far as it can get now, and records that. owns is what the member
// says it has, nil if it does not say; subscriptionChanged asks for what it does not want any more to be taken away at once.
func (o *op) reconcile(m *Member, target assign.Partitions, targetEpoch int32, subscriptionChanged bool, owns *assign.Partitions) (*Member, Revocation, error) {
	if !subscriptionChanged && m.reconciledTo(targetEpoch) {
		return m, RevocationSame, nil
	}
	s := step{o: o, m: m, target: target, epoch: targetEpoch, owns: owns}
	next, err := s.next(subscriptionChanged)
	if err != nil {
		return nil, RevocationSame, err
	}
	if next.sameAssignment(m) {
		return m, RevocationSame, nil
	}
	o.current(next)
	if next.Classic != nil {
		return next, RevocationSame, nil // it has to join and sync in time instead
	}
	if next.State == Unrevoked {
		return next, RevocationBegins, nil
	}
	return next, RevocationEnds, nil
}

// step is one step of one member.
type step struct {
	o      *op
	m      *Member
	target assign.Partitions
	epoch  int32
	owns   *assign.Partitions
}

func (s *step) next(subscriptionChanged bool) (*Member, error) {
	m := s.m
	switch m.State {
	case Stable:
		switch {
		case m.Epoch != s.epoch:
			return s.advance(m.Epoch), nil
		case subscriptionChanged:
			return s.unsubscribe(), nil
		}
		return m, nil
	case Unrevoked:
		switch {
		case !s.stillOwns(m.Revoking):
			return s.advance(m.Epoch), nil
		case subscriptionChanged:
			return s.unsubscribe(), nil
		}
		return m, nil
	case Unreleased:
		return s.advance(m.Epoch), nil
	}
	// A newer coordinator has put the member into a state that is not known here. It begins anew.
	if s.owns == nil || len(*s.owns) > 0 {
		return nil, refuse(wire.FencedMemberEpoch, "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin.")
	}
	return s.advance(s.epoch), nil
}

func (s *step) wanted() map[wire.TopicID]bool {
	out := map[wire.TopicID]bool{}
	for _, t := range s.o.topicsOf(s.m) {
		out[t] = true
	}
	return out
}

// stillOwns reports whether the member may still have any of these: it does until it says that it does not.
func (s *step) stillOwns(these Owned) bool {
	if s.owns == nil {
		return true
	}
	for t, l := range *s.owns {
		for _, p := range l {
			if these.Has(t, p) {
				return true
			}
		}
	}
	return false
}

// unsubscribe takes the partitions of topics away that the member does not want any more.
func (s *step) unsubscribe() *Member {
	wanted := s.wanted()
	next := s.m.clone()
	next.Assigned, next.Revoking = Owned{}, Owned{}
	for t, ps := range s.m.Revoking {
		next.Revoking[t] = ps
	}
	changed := false
	for t, ps := range s.m.Assigned {
		if wanted[t] {
			next.Assigned[t] = ps
			continue
		}
		changed = true
		more := make(map[int32]int32, len(ps))
		for _, l := range []map[int32]int32{next.Revoking[t], ps} {
			for p, epoch := range l {
				more[p] = epoch
			}
		}
		next.Revoking[t] = more
	}
	if !changed {
		return s.m
	}
	next.enter(s.m.Epoch)
	if s.stillOwns(next.Revoking) {
		next.State = Unrevoked
	} else {
		next.Revoking = s.m.Revoking // given back already
	}
	return next
}

// advance takes the member on from an epoch: it gives back what it is not meant to have and stays in that epoch until it
// has; else it enters the target's epoch with all that is free.
func (s *step) advance(from int32) *Member {
	wanted := s.wanted()
	next := s.m.clone()
	next.Assigned, next.Revoking = Owned{}, nil
	revoking, waiting := Owned{}, false
	free := map[wire.TopicID][]int32{}
	for t, target := range s.target {
		if !wanted[t] {
			continue
		}
		for _, p := range target {
			switch epoch, has := s.m.Assigned[t][p]; {
			case has:
				put(next.Assigned, t, p, epoch)
			case s.o.g.held(t, p) && !s.m.Revoking.Has(t, p):
				waiting = true
			default:
				free[t] = append(free[t], p)
			}
		}
	}
	for t, ps := range s.m.Assigned {
		for p, epoch := range ps {
			if !next.Assigned.Has(t, p) {
				put(revoking, t, p, epoch)
			}
		}
	}
	if len(revoking) > 0 && s.stillOwns(revoking) {
		next.State, next.Revoking = Unrevoked, revoking
		next.Epoch = from
		next.Previous = s.m.Epoch
		return next
	}
	for t, l := range free {
		for _, p := range l {
			put(next.Assigned, t, p, s.epoch)
		}
	}
	next.State = Stable
	if waiting {
		next.State = Unreleased
	}
	next.enter(s.epoch)
	return next
}

func put(o Owned, t wire.TopicID, p, epoch int32) {
	if o[t] == nil {
		o[t] = map[int32]int32{}
	}
	o[t][p] = epoch
}
