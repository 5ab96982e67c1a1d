package assign

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-stream/weir/internal/wire"
)

func topic(n int) wire.TopicID { return wire.TopicID{15: byte(n)} }

// scene is a group that changes: members come and go, subscribe otherwise, topics grow.
type scene struct {
	counts []int32 // of topics 1, 2, …
	same   bool    // all members have the same subscription
	common []int
	subs   map[string][]int
	static map[string]*string
	target map[string]Partitions
	next   int
}

func newScene(r *rand.Rand, same bool) *scene {
	s := &scene{same: same, subs: map[string][]int{}, static: map[string]*string{}, target: map[string]Partitions{}}
	for range 1 + r.IntN(6) {
		s.counts = append(s.counts, int32(1+r.IntN(9)))
	}
	s.common = s.someTopics(r)
	for range 1 + r.IntN(5) {
		s.join(r)
	}
	return s
}

func (s *scene) someTopics(r *rand.Rand) []int {
	var out []int
	for t := range s.counts {
		if r.IntN(3) > 0 {
			out = append(out, t+1)
		}
	}
	return out
}

func (s *scene) join(r *rand.Rand) {
	id := fmt.Sprintf("m%02d-%02d", r.IntN(100), s.next)
	s.next++
	if s.subs[id] = s.common; !s.same {
		s.subs[id] = s.someTopics(r)
	}
	if r.IntN(3) == 0 {
		instance := fmt.Sprintf("i%02d-%s", r.IntN(100), id)
		s.static[id] = &instance
	}
}

func (s *scene) change(r *rand.Rand) {
	ids := slices.Sorted(maps.Keys(s.subs))
	switch k := r.IntN(5); {
	case k == 0 || len(ids) == 0:
		s.join(r)
	case k == 1 && len(ids) > 1:
		id := ids[r.IntN(len(ids))]
		delete(s.subs, id)
		delete(s.target, id)
	case k == 2 && s.same:
		s.common = s.someTopics(r)
		for id := range s.subs {
			s.subs[id] = s.common
		}
	case k == 2:
		s.subs[ids[r.IntN(len(ids))]] = s.someTopics(r)
	case k == 3:
		s.counts[r.IntN(len(s.counts))] += int32(r.IntN(4))
	case k == 4 && len(s.counts) < 8:
		s.counts = append(s.counts, int32(1+r.IntN(9)))
	}
}

func (s *scene) group() *Group {
	g := &Group{Members: map[string]Member{}, Homogeneous: s.same, Partitions: func(t wire.TopicID) int32 {
		if n := int(t[15]); n <= len(s.counts) {
			return s.counts[n-1]
		}
		return -1
	}}
	for id, subs := range s.subs {
		m := Member{InstanceID: s.static[id], Target: s.target[id]}
		for _, t := range subs {
			m.Topics = append(m.Topics, topic(t))
		}
		g.Members[id] = m
	}
	return g
}

// valid: everything that somebody is subscribed to is with one of its subscribers, once, in order; nothing else is.
func valid(g *Group, got map[string]Partitions) error {
	owner := map[topicPartition]string{}
	for id, ps := range got {
		for t, l := range ps {
			if !slices.Contains(g.Members[id].Topics, t) {
				return fmt.Errorf("%s has topic %x that it is not subscribed to", id, t[15])
			}
			if len(l) == 0 || !slices.IsSorted(l) {
				return fmt.Errorf("%s: list %v of topic %x", id, l, t[15])
			}
			for _, p := range l {
				if o := owner[topicPartition{t, p}]; o != "" || p >= g.Partitions(t) {
					return fmt.Errorf("%x-%d is with %s and %s", t[15], p, o, id)
				}
				owner[topicPartition{t, p}] = id
			}
		}
	}
	for _, m := range g.Members {
		for _, t := range m.Topics {
			for p := range g.Partitions(t) {
				if owner[topicPartition{t, p}] == "" {
					return fmt.Errorf("%x-%d is with nobody", t[15], p)
				}
			}
		}
	}
	return nil
}

func sizes(g *Group, got map[string]Partitions) []int {
	var out []int
	for id := range g.Members {
		out = append(out, got[id].Len())
	}
	slices.Sort(out)
	return out
}

// kept counts what stays with whom had it, if it may.
func kept(g *Group, got map[string]Partitions) (stays, could int) {
	for id, m := range g.Members {
		for t, l := range m.Target {
			for _, p := range l {
				if slices.Contains(m.Topics, t) {
					could++
					if got[id].Has(t, p) {
						stays++
					}
				}
			}
		}
	}
	return stays, could
}

func play(t *rapid.T, same bool, assign Assignor, check func(*scene, *Group, map[string]Partitions)) {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	s := newScene(r, same)
	for range rapid.IntRange(1, 12).Draw(t, "changes") {
		s.change(r)
		g := s.group()
		got, err := assign(g)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(g, got); err != nil {
			t.Fatal(err)
		}
		check(s, g, got)
		again, _ := assign(g)
		if !maps.EqualFunc(got, again, Partitions.Equal) {
			t.Fatalf("the same group gets\n%v and\n%v", got, again)
		}
		s.target = got
		if s.target == nil {
			s.target = map[string]Partitions{}
		}
	}
}

func TestUniformHomogeneous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		play(t, true, Uniform, func(_ *scene, g *Group, got map[string]Partitions) {
			n := sizes(g, got)
			if n[len(n)-1]-n[0] > 1 {
				t.Fatalf("not balanced: %v", n)
			}
			// Whoever had no more than the quota gives nothing away that it may keep.
			for id, m := range g.Members {
				mine := m.Target.only(func(t wire.TopicID) bool { return slices.Contains(m.Topics, t) })
				if mine.Len() > n[0] {
					continue
				}
				for t2, l := range mine {
					for _, p := range l {
						if !got[id].Has(t2, p) {
							t.Fatalf("%s had %d partitions of %d and loses %x-%d", id, mine.Len(), n[0], t2[15], p)
						}
					}
				}
			}
		})
	})
}

func TestUniformHeterogeneous(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		play(t, false, Uniform, func(_ *scene, g *Group, got map[string]Partitions) {
			// Each topic's subscribers: who has partitions of it could not help another one by giving one.
			for _, m := range g.Members {
				for _, tp := range m.Topics {
					for id, o := range g.Members {
						if !slices.Contains(o.Topics, tp) {
							continue
						}
						for id2, o2 := range g.Members {
							if slices.Contains(o2.Topics, tp) && len(got[id][tp]) > 0 && got[id].Len()-got[id2].Len() > 1 {
								t.Fatalf("%s has %d partitions and one of topic %x, which %s with %d could have", id, got[id].Len(), tp[15],
									id2, got[id2].Len())
							}
						}
					}
				}
			}
		})
	})
}

// TestUniformLeavesABalancedGroupAlone: asked again about its own answer, it moves nothing.
func TestUniformLeavesABalancedGroupAlone(t *testing.T) {
	for _, same := range []bool{true, false} {
		rapid.Check(t, func(t *rapid.T) {
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
			s := newScene(r, same)
			s.target, _ = Uniform(s.group())
			g := s.group()
			got, _ := Uniform(g)
			if stays, could := kept(g, got); stays != could {
				t.Fatalf("%d of %d partitions move though nothing changed", could-stays, could)
			}
		})
	}
}

func TestRange(t *testing.T) {
	for _, same := range []bool{true, false} {
		rapid.Check(t, func(t *rapid.T) {
			play(t, same, Range, func(s *scene, g *Group, got map[string]Partitions) {
				for id, ps := range got {
					for tp, l := range ps {
						if int(l[len(l)-1]-l[0]) != len(l)-1 {
							t.Fatalf("%s has %v of topic %x, which is no range", id, l, tp[15])
						}
						// Topics with as many partitions are dealt out alike if all have the same subscribers.
						for other := range ps {
							if s.same && g.Partitions(other) == g.Partitions(tp) && !slices.Equal(ps[other], l) {
								t.Fatalf("%s has %v of one topic and %v of another", id, l, ps[other])
							}
						}
					}
				}
			})
		})
	}
}

// TestRangeKeepsStaticMembers: a static member that comes back under another id has what it had.
func TestRangeKeepsStaticMembers(t *testing.T) {
	g := &Group{Homogeneous: true, Partitions: func(wire.TopicID) int32 { return 7 }, Members: map[string]Member{}}
	for i, id := range []string{"z", "y", "x"} {
		instance := fmt.Sprint("i", i)
		g.Members[id] = Member{InstanceID: &instance, Topics: []wire.TopicID{topic(1)}}
	}
	before, _ := Range(g)
	g.Members["a"] = g.Members["z"]
	delete(g.Members, "z")
	after, _ := Range(g)
	if !before["z"].Equal(after["a"]) || !before["y"].Equal(after["y"]) || before["z"].Len() != 3 {
		t.Fatalf("before %v, after %v", before, after)
	}
}

func TestUnknownTopic(t *testing.T) {
	for _, same := range []bool{true, false} {
		g := &Group{Homogeneous: same, Partitions: func(wire.TopicID) int32 { return -1 },
			Members: map[string]Member{"a": {Topics: []wire.TopicID{topic(1)}}}}
		for _, a := range []Assignor{Uniform, Range} {
			if _, err := a(g); !errors.Is(err, ErrUnknownTopic) {
				t.Fatalf("got %v", err)
			}
		}
	}
}

// TestNothingIsShared: the answer does not write into the members' present targets.
func TestNothingIsShared(t *testing.T) {
	mine := Partitions{topic(1): {0, 1, 2, 3}}
	g := &Group{Homogeneous: true, Partitions: func(wire.TopicID) int32 { return 4 }, Members: map[string]Member{
		"a": {Topics: []wire.TopicID{topic(1)}, Target: mine}, "b": {Topics: []wire.TopicID{topic(1)}},
	}}
	for _, g.Homogeneous = range []bool{true, false} {
		got, err := Uniform(g)
		if err != nil || got["b"].Len() != 2 {
			t.Fatal(got, err)
		}
	}
	if !slices.Equal(mine[topic(1)], []int32{0, 1, 2, 3}) {
		t.Fatalf("the old target has become %v", mine)
	}
}

// lines prints an answer as the oracle does.
func lines(g *Group, got map[string]Partitions) string {
	var b strings.Builder
	for _, id := range g.memberIDs() {
		b.WriteString(id)
		for _, t := range got[id].Topics() {
			for _, p := range got[id][t] {
				fmt.Fprintf(&b, " %d:%d", t[15], p)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
