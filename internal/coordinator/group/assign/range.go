package assign

import (
	"cmp"
	"slices"

	"github.com/weir-stream/weir/internal/wire"
)

// share is how one topic is dealt out: ranges one after the other.
type share struct {
	partitions, members int32
	extra               int32 // how many members still get one partition more
	next                int32 // first partition of the next range
	dealt               bool
}

// deal returns the range of the next member.
func (s *share) deal() (from, to int32) {
	if !s.dealt {
		s.dealt, s.extra = true, s.partitions%s.members
	}
	quota := s.partitions / s.members
	if s.extra > 0 {
		quota++
		s.extra--
	}
	from = s.next
	s.next = min(from+quota, s.partitions)
	return from, s.next
}

// Range gives each subscriber of a topic a range of its partitions. Members come in the order of their instance ids,
// static ones first, so that a static member keeps its place; topics with the same subscribers and as many partitions
// are dealt out alike (co-partitioned). It does not look at the present assignment.
func Range(g *Group) (map[string]Partitions, error) {
	ids := g.memberIDs()
	slices.SortStableFunc(ids, func(a, b string) int { return byInstance(g.Members[a].InstanceID, g.Members[b].InstanceID) })
	shares := map[wire.TopicID]*share{}
	for _, id := range ids {
		for _, t := range g.Members[id].Topics {
			if shares[t] == nil {
				n, err := g.count(t)
				if err != nil {
					return nil, err
				}
				shares[t] = &share{partitions: n}
			}
			shares[t].members++
		}
	}
	out := make(map[string]Partitions, len(ids))
	for _, id := range ids {
		mine := make(Partitions, len(g.Members[id].Topics))
		for _, t := range g.Members[id].Topics {
			if from, to := shares[t].deal(); from < to {
				l := make([]int32, 0, to-from)
				for p := from; p < to; p++ {
					l = append(l, p)
				}
				mine[t] = l
			}
		}
		out[id] = mine
	}
	return out, nil
}

// byInstance puts static members before others, in the order of their instance ids.
func byInstance(a, b *string) int {
	switch {
	case a != nil && b != nil:
		return cmp.Compare(*a, *b)
	case a != nil:
		return -1
	case b != nil:
		return 1
	}
	return 0
}
