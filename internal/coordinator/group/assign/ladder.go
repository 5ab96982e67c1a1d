package assign

import "slices"

// ladder hands out the members of a topic in turn: from its lower end who should get the next partition, from its upper
// end who should give one away. At each end stands a group of members with equal loads; when each of them has had its
// turn, the group's level moves by one, and members who are on that level join it.
type ladder struct {
	load  []int // of all members, as it is now
	order []int // the members, by load when the ladder was made

	lowEnd, lowLevel, low int // order[:lowEnd] is the lower group; low is whose turn it is

	highStart, highEnd, highLevel, high int // order[highStart:highEnd] is the upper group
}

func newLadder(load, members []int) *ladder {
	l := &ladder{load: load, order: slices.Clone(members)}
	slices.SortFunc(l.order, func(a, b int) int {
		if d := load[a] - load[b]; d != 0 {
			return d
		}
		return a - b
	})
	n := len(l.order)
	l.lowLevel = l.at(0) - 1
	l.highStart, l.highEnd, l.high = n, n, n-1
	l.highLevel = l.at(n-1) + 1
	return l
}

func (l *ladder) at(i int) int { return l.load[l.order[i]] }

// spread is the difference between the highest and the lowest load.
func (l *ladder) spread() int { return l.at(len(l.order)-1) - l.at(0) }

// least is who gets the next partition.
func (l *ladder) least() int {
	if l.low >= l.lowEnd {
		l.lowLevel++
		for l.lowEnd < len(l.order) && l.at(l.lowEnd) == l.lowLevel {
			l.lowEnd++
		}
		l.low = 0
	}
	m := l.order[l.low]
	l.low++
	return m
}

// most is who gives a partition away, -1 when nobody is left.
func (l *ladder) most() int {
	if l.high < l.highStart {
		if l.highEnd <= l.highStart && l.highStart > 0 {
			l.highLevel = l.at(l.highStart - 1) // all of the group are excluded: go on with who is next
		} else {
			l.highLevel--
		}
		for l.highStart > 0 && l.at(l.highStart-1) == l.highLevel {
			l.highStart--
		}
		l.high = l.highEnd - 1
	}
	if l.high < 0 {
		return -1
	}
	m := l.order[l.high]
	l.high--
	return m
}

// exclude takes the member that most has just named out of the upper group: it has nothing to give.
func (l *ladder) exclude() {
	l.highEnd--
	i := l.high + 1
	l.order[i], l.order[l.highEnd] = l.order[l.highEnd], l.order[i]
}

// even reports whether the two ends are as close as they can come.
func (l *ladder) even() bool { return l.highLevel-l.lowLevel <= 1 }
