package plan

import "slices"

// spreadLeaders evens out how many partitions have each target as their first
// replica: first among the partitions that move anyway, then along chains of
// partitions until no chain helps.
func (a *assignment) spreadLeaders() {
	led := make([][]int, len(a.targets))
	for i := range a.parts {
		if p := &a.parts[i]; len(p.slots) > 0 {
			led[p.slots[0].broker] = append(led[p.slots[0].broker], i)
		}
	}
	for i := range a.parts {
		if p := &a.parts[i]; slices.ContainsFunc(p.slots, func(s slot) bool { return s.fresh }) {
			a.leadByLeast(led, i)
		}
	}
	for a.shiftLeaders(led) {
	}
}

// leadByLeast gives a partition to its replica that leads the fewest, if that
// is an improvement.
func (a *assignment) leadByLeast(led [][]int, i int) {
	p := &a.parts[i]
	best := 0
	for at, s := range p.slots {
		if !a.targets[s.broker].Pinned && len(led[s.broker]) < len(led[p.slots[best].broker]) {
			best = at
		}
	}
	if from, to := p.slots[0].broker, p.slots[best].broker; len(led[from])-len(led[to]) > 1 {
		a.lead(led, i, from, to)
	}
}

// lead makes the replica on to the first of partition i instead of from.
func (a *assignment) lead(led [][]int, i, from, to int) {
	p := &a.parts[i]
	at := p.slotOf(to)
	p.slots[0], p.slots[at] = p.slots[at], p.slots[0]
	at = slices.Index(led[from], i)
	led[from] = slices.Delete(led[from], at, at+1)
	led[to] = append(led[to], i)
}

// shiftLeaders looks for a chain of partitions from a target that leads many
// to one that leads at least two fewer, and shifts leadership along it.
func (a *assignment) shiftLeaders(led [][]int) bool {
	order := make([]int, 0, len(a.targets))
	for b := range a.targets {
		if !a.targets[b].Pinned {
			order = append(order, b)
		}
	}
	slices.SortStableFunc(order, func(x, y int) int { return len(led[y]) - len(led[x]) })
	for _, from := range order {
		if len(led[from])-len(led[order[len(order)-1]]) < 2 {
			return false
		}
		if a.shiftFrom(led, from) {
			return true
		}
	}
	return false
}

// shiftFrom searches breadth first, so that the chain is as short as it can be.
func (a *assignment) shiftFrom(led [][]int, from int) bool {
	type hop struct{ broker, via int }
	cameBy := make([]hop, len(a.targets)) // how the search got to a target
	for b := range cameBy {
		cameBy[b] = hop{-1, -1}
	}
	queue := []int{from}
	cameBy[from] = hop{from, -1}
	for len(queue) > 0 {
		b := queue[0]
		queue = queue[1:]
		for _, i := range led[b] {
			for _, s := range a.parts[i].slots[1:] {
				if cameBy[s.broker].broker >= 0 || a.targets[s.broker].Pinned {
					continue
				}
				cameBy[s.broker] = hop{b, i}
				if len(led[from])-len(led[s.broker]) < 2 {
					queue = append(queue, s.broker)
					continue
				}
				for at := s.broker; at != from; at = cameBy[at].broker {
					a.lead(led, cameBy[at].via, cameBy[at].broker, at)
				}
				return true
			}
		}
	}
	return false
}
