package consumer

import (
	"fmt"
	"testing"

	"github.com/weir-stream/weir/internal/coordinator/group/assign"
)

// bigGroup is a group of so many members that are subscribed to topics of 100 partitions each.
func bigGroup(b *testing.B, members, topics int) (*Group, *Env) {
	b.Helper()
	f := &fakeTopics{byName: map[string]Topic{}}
	var names []string
	for i := range topics {
		names = append(names, fmt.Sprint("t", i))
		f.create(names[i], 100)
	}
	byID := &indexedTopics{fakeTopics: f, byID: map[[16]byte]Topic{}}
	for _, t := range f.byName {
		byID.byID[t.ID] = t
	}
	g, env := New("g"), &Env{NowMs: 1, Topics: byID, MaxSize: members + 1, AssignmentIntervalMs: 1000, Assignors: []string{"uniform"}}
	for i := range members {
		env.NowMs += 10
		beatOne(b, g, env, &Heartbeat{MemberID: fmt.Sprint("m", i), RebalanceMs: 1, Topics: names, Owned: &assign.Partitions{}})
	}
	for range 4 {
		env.NowMs += 1000
		for i := range members {
			m := g.Member(fmt.Sprint("m", i))
			owned := m.Assigned.Partitions()
			beatOne(b, g, env, &Heartbeat{MemberID: m.ID, Epoch: m.Epoch, RebalanceMs: -1, Owned: &owned})
		}
	}
	if g.State() != StateStable {
		b.Fatal(g.State())
	}
	return g, env
}

func beatOne(b *testing.B, g *Group, env *Env, h *Heartbeat) {
	a, err := g.Heartbeat(env, h)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range a.Records {
		g.Apply(r)
	}
}

// BenchmarkHeartbeat is a heartbeat of a member that has nothing to say, in a stable group.
func BenchmarkHeartbeat(b *testing.B) {
	g, env := bigGroup(b, 100, 20)
	h := &Heartbeat{MemberID: "m7", Epoch: g.Member("m7").Epoch, RebalanceMs: -1}
	b.ReportAllocs()
	for b.Loop() {
		beatOne(b, g, env, h)
	}
}

// BenchmarkAssign is a target assignment for 1,000 members and 10,000 partitions, after one has left.
func BenchmarkAssign(b *testing.B) {
	g, env := bigGroup(b, 1000, 100)
	for _, r := range g.Fence(env, []*Member{g.Member("m5")}) {
		g.Apply(r)
	}
	env.NowMs += 10_000
	h := &Heartbeat{MemberID: "m7", Epoch: g.Member("m7").Epoch, RebalanceMs: -1}
	b.ReportAllocs()
	for b.Loop() {
		a, err := g.Heartbeat(env, h)
		if err != nil || len(a.Records) < 2 {
			b.Fatal(err, len(a.Records))
		}
	}
}

// indexedTopics finds topics by id at once.
type indexedTopics struct {
	*fakeTopics
	byID map[[16]byte]Topic
}

func (i *indexedTopics) TopicByID(id [16]byte) (Topic, bool) { t, ok := i.byID[id]; return t, ok }
