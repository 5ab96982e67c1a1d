package consumer

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// seeds are those to play: so many, unless WEIR_MODEL_SEEDS says how many and WEIR_MODEL_FROM from where on.
func seeds(t *testing.T, n int) (from, to int) {
	t.Helper()
	for name, v := range map[string]*int{"WEIR_MODEL_SEEDS": &n, "WEIR_MODEL_FROM": &from} {
		if text := os.Getenv(name); text != "" {
			got, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			*v = got
		}
	}
	return from, from + n
}

// settle is C4: when nothing happens any more, all that is wanted is assigned, in the end.
func (m *model) settle() {
	m.quiet = true
	for i := 0; ; i++ {
		m.now += 3000
		m.expire()
		m.resolve()
		for _, c := range slices.Clone(m.clients) {
			if !c.dead {
				m.giveBack(c)
				m.heartbeat(c)
			}
		}
		if i > 12 && !slices.ContainsFunc(m.clients, func(c *client) bool { return c.dead }) && m.settled() {
			break
		}
		if i > 300 {
			m.fail("not settled")
		}
	}
	if !m.g.Empty() && m.g.State() != StateStable {
		m.fail("the group is %s", m.g.State())
	}
}

func (m *model) settled() bool {
	if !m.g.Empty() && m.g.State() != StateStable {
		return false
	}
	owner := map[partition]*client{}
	for _, c := range m.clients {
		for p := range c.owned {
			owner[p] = c
		}
	}
	for _, c := range m.clients {
		if m.g.Member(c.id) == nil {
			continue
		}
		var re = func(string) bool { return false }
		if c.regex != "" {
			r, _ := Compile(c.regex)
			re = r.MatchString
		}
		for n, t := range m.topics.byName {
			for p := range t.Partitions {
				if (slices.Contains(c.topics, n) || re(n)) && owner[partition{t.ID, p}] == nil {
					return false
				}
			}
		}
		for p := range c.owned {
			t, ok := m.topics.TopicByID(p.topic)
			if !ok || !slices.Contains(c.topics, t.Name) && !re(t.Name) {
				return false
			}
		}
	}
	return true
}

// TestModel plays histories of members that come, go, die, fall silent and change their minds, of topics that change, of
// answers that get lost and of coordinators that move.
func TestModel(t *testing.T) {
	n := 150
	if testing.Short() {
		n = 40
	}
	from, to := seeds(t, n)
	for seed := from; seed < to; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed)
			for range 400 {
				m.step()
			}
			m.settle()
			m.move()
			for _, c := range slices.Clone(m.clients) {
				m.leave(c, LeaveEpoch)
			}
			m.commit(m.g.Tombstones())
			g := m.replay()
			if len(g.members)+len(g.target)+len(g.resolved)+len(g.subscribed)+len(g.holders) > 0 {
				m.fail("something is left of the group:\n%s", dump(g))
			}
		})
	}
}

// dump shows all of a group that its log makes.
func dump(g *Group) string {
	var b strings.Builder
	fmt.Fprintf(&b, "epoch %d hash %x target %d at %d old %v\n", g.epoch, g.metadataHash, g.targetEpoch, g.targetTimeMs, g.oldMetadata)
	for _, m := range g.Members() {
		fmt.Fprintf(&b, "%s %d (%d) %d %s %v %q %v revoking %v\n", m.ID, m.Epoch, m.Previous, m.State, name(m.InstanceID), m.Topics, m.Regex, print(m.Assigned),
			print(m.Revoking))
	}
	for _, id := range slices.Sorted(maps.Keys(g.target)) {
		fmt.Fprintf(&b, "target %s %v\n", id, g.target[id])
	}
	fmt.Fprintln(&b, g.static, g.subscribed, g.regexes, g.assignors, len(g.holders), g.holders, g.classic, g.protocols)
	for _, r := range slices.Sorted(maps.Keys(g.resolved)) {
		fmt.Fprintf(&b, "regex %s %v %d\n", r, g.resolved[r].Topics, g.resolved[r].TimestampMs)
	}
	return b.String()
}

func print(o Owned) string {
	var out []string
	for t, ps := range o {
		for p, e := range ps {
			out = append(out, fmt.Sprintf("%d-%d@%d", t[15], p, e))
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
