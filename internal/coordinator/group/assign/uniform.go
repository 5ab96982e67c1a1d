package assign

import (
	"maps"
	"slices"

	"github.com/weir-stream/weir/internal/wire"
)

// Uniform spreads all partitions evenly and moves as few as that allows. It knows no racks.
func Uniform(g *Group) (map[string]Partitions, error) {
	switch {
	case len(g.Members) == 0:
		return nil, nil
	case g.Homogeneous:
		return uniformHomogeneous(g)
	default:
		return uniformHeterogeneous(g)
	}
}

// topicPartition names a partition.
type topicPartition struct {
	topic     wire.TopicID
	partition int32
}

// hungry is a member that has room for more partitions.
type hungry struct {
	id   string
	room int
}

// uniformHomogeneous serves members that are all subscribed to the same topics: each gets the same number of
// partitions, or one more. A member keeps what it has up to that.
func uniformHomogeneous(g *Group) (map[string]Partitions, error) {
	ids := g.memberIDs()
	topics := slices.SortedFunc(slices.Values(g.Members[ids[0]].Topics), CompareTopics)
	if len(topics) == 0 {
		return nil, nil
	}
	total, free, err := unowned(g, topics)
	if err != nil {
		return nil, err
	}
	subscribed := func(t wire.TopicID) bool { _, ok := slices.BinarySearchFunc(topics, t, CompareTopics); return ok }
	quota, extra := total/len(ids), total%len(ids)
	b := newBuilder(len(ids))
	var unfilled []hungry
	for i, id := range ids {
		old := g.Members[id].Target.only(subscribed)
		b.lists[id] = old
		room, more := quota, extra > 0
		if more {
			room++
		}
		for _, t := range old.Topics() {
			l := old[t]
			if len(l) <= room {
				room -= len(l)
				continue
			}
			for _, p := range l[room:] {
				b.remove(id, t, p)
				free = append(free, topicPartition{t, p})
			}
			room = 0
		}
		// Who has room for the extra partition leaves it to others that may have it already, unless all that come
		// after must take one.
		if room > 0 && more && len(ids)-i > extra {
			room--
			more = false
		}
		if room > 0 {
			unfilled = append(unfilled, hungry{id, room})
		}
		if more {
			extra--
		}
	}
	for _, m := range unfilled {
		n := min(m.room, len(free))
		for _, tp := range free[:n] {
			b.add(m.id, tp.topic, tp.partition)
		}
		free = free[n:]
	}
	return b.result(), nil
}

// unowned counts the topics' partitions and lists those that are in nobody's target assignment.
func unowned(g *Group, topics []wire.TopicID) (total int, free []topicPartition, err error) {
	owned := make(map[wire.TopicID][]bool, len(topics))
	for _, t := range topics {
		n, err := g.count(t)
		if err != nil {
			return 0, nil, err
		}
		owned[t] = make([]bool, n)
		total += int(n)
	}
	for _, m := range g.Members {
		for t, l := range m.Target {
			for _, p := range l {
				if o := owned[t]; int(p) < len(o) {
					o[p] = true
				}
			}
		}
	}
	for _, t := range topics {
		for p, has := range owned[t] {
			if !has {
				free = append(free, topicPartition{t, int32(p)})
			}
		}
	}
	return total, free, nil
}

// maxRounds bounds how often all topics are balanced, as in Apache Kafka: where subscriptions overlap without being
// equal, each round roughly halves what is left.
const maxRounds = 16

// spread is the state of uniformHeterogeneous. Members are named by their index in ids.
type spread struct {
	g           *Group
	ids         []string
	subscribers map[wire.TopicID][]int
	owners      map[wire.TopicID][]int // of each partition, -1 for none
	load        []int                  // partitions of each member
	b           *builder
}

// uniformHeterogeneous serves members with different subscriptions: what nobody has goes to the subscribers with the
// fewest partitions, topics with the most partitions for each subscriber first; then partitions move from the most
// loaded subscribers of a topic to the least loaded ones while that evens them out.
func uniformHeterogeneous(g *Group) (map[string]Partitions, error) {
	ids := g.memberIDs()
	s := &spread{
		g: g, ids: ids, subscribers: map[wire.TopicID][]int{}, owners: map[wire.TopicID][]int{}, load: make([]int, len(ids)),
		b: newBuilder(len(ids)),
	}
	for i, id := range ids {
		for _, t := range g.Members[id].Topics {
			if s.owners[t] == nil {
				n, err := g.count(t)
				if err != nil {
					return nil, err
				}
				s.owners[t] = slices.Repeat([]int{-1}, int(n))
			}
			s.subscribers[t] = append(s.subscribers[t], i)
		}
	}
	if len(s.subscribers) == 0 {
		return nil, nil
	}
	for i, id := range ids {
		s.keep(i, g.Members[id])
	}
	topics := slices.SortedFunc(maps.Keys(s.subscribers), s.compareTopics)
	for _, t := range topics {
		s.assignFree(t)
	}
	s.balance(slices.DeleteFunc(topics, func(t wire.TopicID) bool { return len(s.subscribers[t]) < 2 }))
	return s.b.result(), nil
}

// keep takes over what the member has of its subscription.
func (s *spread) keep(i int, m Member) {
	subscribed := make(map[wire.TopicID]bool, len(m.Topics))
	for _, t := range m.Topics {
		subscribed[t] = true
	}
	old := m.Target.only(func(t wire.TopicID) bool { return subscribed[t] })
	s.b.lists[s.ids[i]] = old
	for t, l := range old {
		for _, p := range l {
			if int(p) < len(s.owners[t]) {
				s.owners[t][p] = i
				s.load[i]++
			}
		}
	}
}

// compareTopics puts topics with many partitions for each subscriber first.
func (s *spread) compareTopics(a, b wire.TopicID) int {
	pa, pb := len(s.owners[a]), len(s.owners[b])
	sa, sb := len(s.subscribers[a]), len(s.subscribers[b])
	if d := pb*sa - pa*sb; d != 0 {
		return d
	}
	if sa != sb {
		return sa - sb
	}
	return CompareTopics(a, b)
}

func (s *spread) assignFree(t wire.TopicID) {
	var l *ladder
	for p, owner := range s.owners[t] {
		if owner >= 0 {
			continue
		}
		if l == nil {
			l = newLadder(s.load, s.subscribers[t])
		}
		s.move(t, int32(p), l.least())
	}
}

func (s *spread) move(t wire.TopicID, p int32, to int) {
	if from := s.owners[t][p]; from >= 0 {
		s.b.remove(s.ids[from], t, p)
		s.load[from]--
	}
	s.b.add(s.ids[to], t, p)
	s.owners[t][p] = to
	s.load[to]++
}

// balance goes round the topics until one round has moved nothing.
func (s *spread) balance(topics []wire.TopicID) {
	last := -1 // the topic that was balanced last
	for range maxRounds {
		for i, t := range topics {
			if i == last {
				return
			}
			if s.balanceTopic(t) || last < 0 {
				last = i
			}
		}
	}
}

// balanceTopic evens out the load of a topic's subscribers by its partitions, and reports whether any moved.
func (s *spread) balanceTopic(t wire.TopicID) bool {
	l := newLadder(s.load, s.subscribers[t])
	if l.spread() <= 1 {
		return false
	}
	has := map[int][]int32{} // what each subscriber could give away
	for p, owner := range s.owners[t] {
		has[owner] = append(has[owner], int32(p))
	}
	moved := false
	for {
		from := l.most()
		for ; from >= 0 && len(has[from]) == 0; from = l.most() {
			l.exclude()
		}
		if from < 0 {
			return moved
		}
		p := has[from][len(has[from])-1]
		has[from] = has[from][:len(has[from])-1]
		to := l.least()
		if l.even() {
			return moved
		}
		s.move(t, p, to)
		moved = true
	}
}
