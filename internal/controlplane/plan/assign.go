package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// Target is a broker that holds replicas afterwards.
type Target struct {
	ID   int32
	Rack string
	// Pinned targets keep what they have and get nothing: they are down.
	Pinned bool
}

// window bounds how many replicas of a broker are looked at to find the best
// one to move. Below it the choice is exact; above it, among the next ones.
const window = 1024

// slot is one replica of a partition in the new assignment.
type slot struct {
	broker int // index into targets
	fresh  bool
}

// assigned is one partition while its new assignment is made.
type assigned struct {
	from  *spec.PartitionObservation
	had   []int32
	topic int
	slots []slot
}

// assignment is the state of one run of Assign. Owned by one goroutine.
type assignment struct {
	targets []Target
	racks   []int // of a target; brokers without a rack are racks of their own
	parts   []assigned
	held    [][]int   // target → partitions that it holds
	cursor  []int     // target → where the next look into held begins
	bytes   []int64   // target → bytes that it holds
	topics  [][]int32 // target → topic → replicas
}

// Assign computes the new replica lists by which every replica lies on one of
// the targets, with these promises:
//
//   - each partition keeps its number of replicas, all on different targets;
//   - a replica stays where it is unless its broker is no target, or has at
//     least two replicas more than the one that gets it;
//   - a partition never spreads over fewer racks than before if targets allow
//     it, and a replica that must move goes to a rack that the partition lacks;
//   - afterwards no two targets differ by more than one replica, except where
//     racks or pinned targets forbid it;
//   - preferred leaders are spread as evenly as the replicas allow, by order
//     of the lists, which moves no data.
//
// Brokers are given partitions so that topics and bytes are spread as well.
// The result depends on the arguments only, not on their order, and is sorted
// by topic and partition. A partition with more replicas than targets is an
// error that says so.
func Assign(parts []spec.PartitionObservation, targets []Target) ([]spec.Move, error) {
	a, err := newAssignment(parts, targets)
	if err != nil {
		return nil, err
	}
	a.placeHomeless()
	a.balance()
	a.spreadLeaders()
	return a.moves(), nil
}

func newAssignment(parts []spec.PartitionObservation, targets []Target) (*assignment, error) {
	a := &assignment{targets: slices.Clone(targets)}
	slices.SortFunc(a.targets, func(x, y Target) int { return cmp.Compare(x.ID, y.ID) })
	index, racks, free := map[int32]int{}, map[string]int{}, 0
	for i, t := range a.targets {
		if _, twice := index[t.ID]; twice {
			return nil, fmt.Errorf("broker %d is named twice as a target", t.ID)
		}
		index[t.ID] = i
		name := t.Rack
		if name == "" {
			name = fmt.Sprintf("\x00%d", t.ID)
		}
		if _, ok := racks[name]; !ok {
			racks[name] = len(racks)
		}
		a.racks = append(a.racks, racks[name])
		if !t.Pinned {
			free++
		}
	}
	sorted := slices.Clone(parts)
	slices.SortFunc(sorted, func(x, y spec.PartitionObservation) int {
		return cmp.Or(strings.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition))
	})
	topics := map[string]int{}
	for i := range sorted {
		p := &sorted[i]
		if _, ok := topics[p.Topic]; !ok {
			topics[p.Topic] = len(topics)
		}
		had := Settled(p)
		if len(had) > len(a.targets) {
			return nil, &TooManyReplicas{Topic: p.Topic, Factor: len(had), Brokers: len(a.targets)}
		}
		as := assigned{from: p, had: had, topic: topics[p.Topic]}
		homeless, pinned := 0, 0
		for _, id := range had {
			b, ok := index[id]
			if !ok {
				b = -1
				homeless++
			} else if a.targets[b].Pinned {
				pinned++
			}
			as.slots = append(as.slots, slot{broker: b})
		}
		if homeless > 0 && len(had)-pinned > free {
			return nil, fmt.Errorf("topic %s, partition %d: %d replicas must move, and only %d of the brokers that stay are up",
				p.Topic, p.Partition, homeless, free)
		}
		a.parts = append(a.parts, as)
	}
	n := len(a.targets)
	a.held, a.cursor, a.bytes, a.topics = make([][]int, n), make([]int, n), make([]int64, n), make([][]int32, n)
	for b := range a.topics {
		a.topics[b] = make([]int32, len(topics))
	}
	for i := range a.parts {
		for _, s := range a.parts[i].slots {
			if s.broker >= 0 {
				a.give(i, s.broker)
			}
		}
	}
	return a, nil
}

// TooManyReplicas says that a topic cannot live on so few brokers.
type TooManyReplicas struct {
	Topic           string
	Factor, Brokers int
}

func (e *TooManyReplicas) Error() string {
	return fmt.Sprintf("topic %s has replication factor %d, and only %d brokers would hold replicas", e.Topic, e.Factor, e.Brokers)
}

// Settled is the list of replicas that a partition has, or will have when its
// running reassignment is done.
func Settled(p *spec.PartitionObservation) []int32 {
	out := make([]int32, 0, len(p.Replicas))
	for _, id := range p.Replicas {
		if !slices.Contains(p.Removing, id) {
			out = append(out, id)
		}
	}
	return out
}

// give books partition i on target b.
func (a *assignment) give(i, b int) {
	a.held[b] = append(a.held[b], i)
	a.bytes[b] += a.parts[i].from.Bytes
	a.topics[b][a.parts[i].topic]++
}

// take undoes give for the partition at place at of a.held[b].
func (a *assignment) take(b, at int) {
	i := a.held[b][at]
	last := len(a.held[b]) - 1
	a.held[b][at] = a.held[b][last]
	a.held[b] = a.held[b][:last]
	a.bytes[b] -= a.parts[i].from.Bytes
	a.topics[b][a.parts[i].topic]--
}

func (p *assigned) slotOf(b int) int {
	return slices.IndexFunc(p.slots, func(s slot) bool { return s.broker == b })
}

// spread counts the racks of a partition as if its replica on out were on in;
// both may be -1.
func (a *assignment) spread(p *assigned, out, in int) int {
	n := 0
	var seen [32]int
	count := func(b int) {
		if b >= 0 && !slices.Contains(seen[:min(n, len(seen))], a.racks[b]) {
			if n < len(seen) {
				seen[n] = a.racks[b]
			}
			n++
		}
	}
	for _, s := range p.slots {
		if s.broker != out {
			count(s.broker)
		}
	}
	count(in)
	return n
}

// placeHomeless finds a target for each replica whose broker is none, big
// partitions first.
func (a *assignment) placeHomeless() {
	var order []int
	for i := range a.parts {
		if a.parts[i].slotOf(-1) >= 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(a.parts[y].from.Bytes, a.parts[x].from.Bytes) })
	for _, i := range order {
		p := &a.parts[i]
		for at := p.slotOf(-1); at >= 0; at = p.slotOf(-1) {
			b := a.bestHome(p)
			p.slots[at] = slot{broker: b, fresh: true}
			a.give(i, b)
		}
	}
}

// bestHome is the target that should get one more replica of p.
func (a *assignment) bestHome(p *assigned) int {
	best := -1
	for b := range a.targets {
		if a.targets[b].Pinned || p.slotOf(b) >= 0 {
			continue
		}
		if best < 0 || cmp.Or(
			cmp.Compare(a.spread(p, -1, best), a.spread(p, -1, b)),
			cmp.Compare(len(a.held[b]), len(a.held[best])),
			cmp.Compare(a.topics[b][p.topic], a.topics[best][p.topic]),
			cmp.Compare(a.bytes[b], a.bytes[best]),
		) < 0 {
			best = b
		}
	}
	return best
}

// balance moves replicas from targets with more to targets with fewer until no
// move makes it better. Every move lowers the sum of squares, so it ends.
func (a *assignment) balance() {
	order := make([]int, 0, len(a.targets))
	for b := range a.targets {
		if !a.targets[b].Pinned {
			order = append(order, b)
		}
	}
	for moved := true; moved; {
		moved = false
		slices.SortFunc(order, func(x, y int) int {
			return cmp.Or(cmp.Compare(len(a.held[x]), len(a.held[y])), cmp.Compare(x, y))
		})
	pairs:
		for hi := len(order) - 1; hi > 0; hi-- {
			for lo := 0; lo < hi; lo++ {
				o, u := order[hi], order[lo]
				if len(a.held[o])-len(a.held[u]) < 2 {
					break
				}
				if a.moveOne(o, u) {
					moved = true
					break pairs
				}
			}
		}
	}
}

// moveOne moves the best partition from o to u, and says whether there is one.
func (a *assignment) moveOne(o, u int) bool {
	want := (a.bytes[o] - a.bytes[u]) / int64(len(a.held[o])-len(a.held[u]))
	n, best, seen := len(a.held[o]), -1, 0
	start := 0
	if n > window {
		start = a.cursor[o] % n
	}
	for k := 0; k < n && seen < window; k++ {
		at := (start + k) % n
		p := &a.parts[a.held[o][at]]
		if p.slotOf(u) >= 0 || a.spread(p, o, u) < a.spread(p, -1, -1) {
			continue
		}
		seen++
		a.cursor[o] = at + 1
		if best < 0 || a.better(a.held[o][at], a.held[o][best], o, u, want) {
			best = at
		}
	}
	if best < 0 {
		return false
	}
	i := a.held[o][best]
	p := &a.parts[i]
	at := p.slotOf(o)
	p.slots[at] = slot{broker: u, fresh: !slices.Contains(p.had, a.targets[u].ID)}
	a.take(o, best)
	a.give(i, u)
	return true
}

// better says whether partition x is a better one than y to move from o to u:
// one that moves anyway, of a topic that o has more of, of the size that evens
// the bytes out.
func (a *assignment) better(x, y, o, u int, want int64) bool {
	px, py := &a.parts[x], &a.parts[y]
	cost := func(p *assigned) int {
		if p.slots[p.slotOf(o)].fresh {
			return 0
		}
		return 1
	}
	excess := func(p *assigned) int { return int(a.topics[o][p.topic] - a.topics[u][p.topic]) }
	off := func(p *assigned) int64 { return max(p.from.Bytes-want, want-p.from.Bytes) }
	return cmp.Or(
		cmp.Compare(cost(px), cost(py)),
		cmp.Compare(min(excess(py), 1), min(excess(px), 1)),
		cmp.Compare(off(px), off(py)),
		cmp.Compare(excess(py), excess(px)),
		cmp.Compare(x, y),
	) < 0
}

// moves lists what changed.
func (a *assignment) moves() []spec.Move {
	var out []spec.Move
	for i := range a.parts {
		p := &a.parts[i]
		to := make([]int32, 0, len(p.slots))
		for _, s := range p.slots {
			to = append(to, a.targets[s.broker].ID)
		}
		if !slices.Equal(to, p.had) {
			out = append(out, spec.Move{Topic: p.from.Topic, Partition: p.from.Partition,
				From: slices.Clone(p.had), To: to, Bytes: p.from.Bytes})
		}
	}
	return out
}
