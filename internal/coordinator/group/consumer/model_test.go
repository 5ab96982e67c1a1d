package consumer

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-stream/weir/internal/coordinator/group/assign"
	"github.com/weir-stream/weir/internal/coordrecord"
	"github.com/weir-stream/weir/internal/wire"
)

// fakeTopics are topics that are made, deleted and get more partitions.
type fakeTopics struct {
	byName map[string]Topic
	made   int64
}

func (f *fakeTopics) Topic(name string) (Topic, bool) { t, ok := f.byName[name]; return t, ok }

func (f *fakeTopics) TopicByID(id wire.TopicID) (Topic, bool) {
	for _, t := range f.byName {
		if t.ID == id {
			return t, true
		}
	}
	return Topic{}, false
}

func (f *fakeTopics) Hash(name string) uint64 {
	return TopicHash(f.byName[name], func(int32) []string { return nil })
}

func (f *fakeTopics) NewTopicsVersion() int64 { return f.made }

func (f *fakeTopics) create(name string, partitions int32) {
	f.made++
	f.byName[name] = Topic{ID: wire.TopicID{14: byte(f.made >> 8), 15: byte(f.made)}, Name: name, Partitions: partitions}
}

// client is a member's process. It owns what it was told to until it has given it back.
type client struct {
	id       string
	instance *string
	topics   []string
	regex    string
	epoch    int32
	owned    map[partition]bool
	revoke   map[partition]bool // told to give back, not done yet
	full     bool               // says all with the next heartbeat
	dead     bool               // silent for ever
	lastMs   int64              // when the coordinator heard of it
	revokeBy int64              // 0: no deadline
	revokeIn int32              // the epoch of that deadline
}

// model is a coordinator with its log, and clients.
type model struct {
	t       *testing.T
	r       *rand.Rand
	now     int64
	topics  *fakeTopics
	g       *Group
	log     [][2][]byte
	clients []*client
	next    int
	env     *Env
	pending []string // expressions to be resolved
	epoch   int32
	trace   []string
	quiet   bool
}

const (
	modelSessionMs   = 45_000
	modelRebalanceMs = 60_000
)

func newModel(t *testing.T, seed int) *model {
	m := &model{t: t, r: rand.New(rand.NewPCG(uint64(seed), 1)), now: 1_000_000, topics: &fakeTopics{byName: map[string]Topic{}}, g: New("g")}
	for i := range 1 + m.r.IntN(4) {
		m.topics.create(fmt.Sprint("t", i), int32(1+m.r.IntN(5)))
	}
	m.env = &Env{Topics: m.topics, MaxSize: 6, RegexRefreshMs: 600_000, Assignors: []string{assign.UniformName, assign.RangeName}}
	if m.r.IntN(3) == 0 {
		m.env.Assignors = []string{assign.RangeName, assign.UniformName}
	}
	if m.r.IntN(2) == 0 {
		m.env.AssignmentIntervalMs = 1000
	}
	return m
}

func (m *model) tell(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf("%d: ", m.now)+fmt.Sprintf(format, args...))
}

func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s\n%s\n%s", fmt.Sprintf(format, args...), strings.Join(m.trace, "\n"), dump(m.g))
}

// takeBack applies records and takes them back, which must leave no trace.
func (m *model) takeBack(records []Record) {
	before := dump(m.g)
	var undo []func()
	for _, r := range records {
		undo = append(undo, m.g.Apply(r))
	}
	for _, f := range slices.Backward(undo) {
		f()
	}
	if got := dump(m.g); got != before {
		m.fail("taken back:\n%s\nwas:\n%s", got, before)
	}
}

// commit applies the records of an operation.
func (m *model) commit(records []Record) {
	if len(records) > 0 && m.r.IntN(4) == 0 {
		m.takeBack(records)
	}
	for _, r := range records {
		m.g.Apply(r)
		k, v := r.Encode()
		m.log = append(m.log, [2][]byte{k, v})
	}
	if m.g.epoch < m.epoch {
		m.fail("the group epoch falls from %d to %d", m.epoch, m.g.epoch)
	}
	m.epoch = m.g.epoch
}

// replay makes the group anew from its log, compacted up to a random point.
func (m *model) replay() *Group {
	last, clean := map[string]int{}, m.r.IntN(len(m.log)+1)
	for i, kv := range m.log[:clean] {
		last[string(kv[0])] = i
	}
	g := New("g")
	for i, kv := range m.log {
		if i < clean && (last[string(kv[0])] != i || kv[1] == nil && m.r.IntN(2) == 0) {
			continue
		}
		key, err := coordrecord.DecodeGroupKey(kv[0])
		if err != nil {
			m.fail("%v", err)
		}
		r := Record{Key: key}
		if kv[1] != nil {
			if r.Value, _, err = coordrecord.DecodeGroupValue(key.RecordType(), kv[1]); err != nil {
				m.fail("%v", err)
			}
		}
		g.Apply(r)
	}
	return g
}

func (m *model) move() {
	g := m.replay()
	if got, want := dump(g), dump(m.g); got != want {
		m.fail("read back:\n%s\nwas:\n%s", got, want)
	}
	m.tell("the coordinator moves")
	m.g, m.pending = g, nil
	for _, c := range m.clients {
		c.lastMs = m.now
		if mem := g.Member(c.id); mem != nil && mem.State == Unrevoked {
			c.revokeBy, c.revokeIn = m.now+modelRebalanceMs, mem.Epoch
		}
	}
}

func (m *model) join() {
	m.next++
	c := &client{id: fmt.Sprint("m", m.next), owned: map[partition]bool{}, revoke: map[partition]bool{}, full: true, lastMs: m.now}
	if m.r.IntN(3) == 0 {
		instance := fmt.Sprint("i", m.r.IntN(4))
		c.instance = &instance
	}
	m.subscribe(c)
	m.clients = append(m.clients, c)
	m.tell("%s comes (%v, %v, %q)", c.id, name(c.instance), c.topics, c.regex)
}

func name(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

func (m *model) subscribe(c *client) {
	c.topics, c.regex, c.full = []string{}, "", true
	switch m.r.IntN(4) {
	case 0:
		c.regex = []string{"t.*", "t[01]", "t[^0]", "x|t2"}[m.r.IntN(4)]
	case 1:
		c.topics = []string{"t0", "t1"}
	default:
		for i := range 5 {
			if m.r.IntN(2) == 0 {
				c.topics = append(c.topics, fmt.Sprint("t", i))
			}
		}
	}
}

func (c *client) has() assign.Partitions {
	out := assign.Partitions{}
	for p := range c.owned {
		out[p.topic] = append(out[p.topic], p.index)
	}
	for _, l := range out {
		slices.Sort(l)
	}
	return out
}

// heartbeat sends one, whose answer may get lost.
func (m *model) heartbeat(c *client) {
	h := &Heartbeat{MemberID: c.id, Epoch: c.epoch, InstanceID: c.instance, RebalanceMs: -1, ClientID: "c", ClientHost: "/h"}
	if c.full || c.epoch == 0 {
		owned := c.has()
		h.RebalanceMs, h.Topics, h.Regex, h.Owned = modelRebalanceMs, c.topics, &c.regex, &owned
	} else if m.r.IntN(2) == 0 || m.quiet {
		owned := c.has()
		h.Owned = &owned
	}
	m.env.NowMs, m.env.Resolving = m.now, m.pending != nil
	a, err := m.g.Heartbeat(m.env, h)
	lost := !m.quiet && m.r.IntN(8) == 0
	if err != nil {
		m.tell("%s in epoch %d: %v", c.id, c.epoch, err)
		if !lost {
			m.refused(c, err)
		}
		return
	}
	if !m.quiet && m.r.IntN(20) == 0 {
		m.tell("%s in epoch %d: its records are not committed", c.id, c.epoch)
		c.full = true
		return
	}
	m.commit(a.Records)
	c.lastMs = m.now
	switch a.Revocation {
	case RevocationBegins:
		c.revokeBy, c.revokeIn = m.now+int64(a.RebalanceMs), a.Epoch
	case RevocationEnds:
		c.revokeBy = 0
	}
	if a.Resolve != nil {
		m.pending = a.Resolve
	}
	m.tell("%s in epoch %d with %v: epoch %d, %v, lost %v", c.id, c.epoch, h.Owned, a.Epoch, a.Assignment, lost)
	if lost {
		c.full = true
		return
	}
	if a.Epoch < c.epoch {
		m.fail("the epoch of %s falls from %d to %d", c.id, c.epoch, a.Epoch)
	}
	c.epoch, c.full = a.Epoch, false
	if a.Assignment != nil {
		m.take(c, *a.Assignment)
	}
	m.check()
}

// take has a client do as it is told: it has new partitions at once, and gives others back now or later.
func (m *model) take(c *client, p assign.Partitions) {
	told := map[partition]bool{}
	for t, l := range p {
		for _, i := range l {
			told[partition{t, i}] = true
			c.owned[partition{t, i}] = true
		}
	}
	c.revoke = map[partition]bool{}
	for o := range c.owned {
		if !told[o] {
			c.revoke[o] = true
		}
	}
	if m.quiet || m.r.IntN(2) == 0 {
		m.giveBack(c)
	}
}

func (m *model) giveBack(c *client) {
	for o := range c.revoke {
		delete(c.owned, o)
	}
	c.revoke = map[partition]bool{}
}

func (m *model) refused(c *client, err error) {
	var r *Refusal
	if !errors.As(err, &r) {
		m.fail("%v", err)
	}
	switch r.Code {
	case wire.FencedMemberEpoch, wire.UnknownMemberId:
		c.epoch, c.full = 0, true
		clear(c.owned)
		clear(c.revoke)
	case wire.FencedInstanceId:
		c.dead = true
		clear(c.owned)
	case wire.UnreleasedInstanceId, wire.GroupMaxSizeReached:
		if m.r.IntN(3) == 0 {
			c.dead = true
		}
	default:
		m.fail("%s: %v", r.Code.Name(), err)
	}
}

func (m *model) leave(c *client, epoch int32) {
	m.tell("%s leaves with %d", c.id, epoch)
	m.env.NowMs = m.now
	records, gone, err := m.g.Leave(Leaving{MemberID: c.id, Epoch: epoch, InstanceID: c.instance})
	if err == nil && gone != nil {
		records = m.g.Fence(m.env, []*Member{gone})
	}
	if err == nil {
		m.commit(records)
	}
	c.dead = true
	clear(c.owned)
}

// expire fences who was not heard of, and who did not give back in time.
func (m *model) expire() {
	for _, c := range m.clients {
		mem := m.g.Member(c.id)
		if mem == nil {
			continue
		}
		late := c.revokeBy != 0 && m.now >= c.revokeBy && mem.Epoch == c.revokeIn
		if m.now-c.lastMs >= modelSessionMs || late {
			m.tell("%s is fenced, late %v", c.id, late)
			m.env.NowMs = m.now
			m.commit(m.g.Fence(m.env, []*Member{mem}))
			c.revokeBy = 0
		}
	}
	m.clients = slices.DeleteFunc(m.clients, func(c *client) bool { return c.dead && m.g.Member(c.id) == nil })
}

func (m *model) resolve() {
	if m.pending == nil {
		return
	}
	found := map[string]Resolved{}
	for _, regex := range m.pending {
		re, err := Compile(regex)
		if err != nil {
			m.fail("%v", err)
		}
		r := Resolved{Version: m.topics.made, TimestampMs: m.now}
		for _, t := range slices.Sorted(maps.Keys(m.topics.byName)) {
			if re.MatchString(t) {
				r.Topics = append(r.Topics, t)
			}
		}
		found[regex] = r
	}
	m.pending, m.env.NowMs = nil, m.now
	m.commit(m.g.Resolved(m.env, found))
}

func (m *model) changeTopics() {
	n := fmt.Sprint("t", m.r.IntN(5))
	t, ok := m.topics.byName[n]
	switch {
	case !ok:
		m.topics.create(n, int32(1+m.r.IntN(5)))
	case m.r.IntN(2) == 0:
		delete(m.topics.byName, n)
	default:
		t.Partitions += int32(1 + m.r.IntN(2))
		m.topics.byName[n] = t
	}
	m.tell("topic %s is %+v", n, m.topics.byName[n])
	m.g.Refresh()
}

// check is C3: of the members that hold their current epoch no two have the same partition; and no two members are assigned the
// same one, nor one that another has yet to give back.
func (m *model) check() {
	owner := map[partition]string{}
	for _, c := range m.clients {
		mem := m.g.Member(c.id)
		if c.dead || mem == nil || c.epoch != mem.Epoch && c.epoch != mem.Previous || c.epoch == 0 {
			continue
		}
		for p := range c.owned {
			if other := owner[p]; other != "" {
				m.fail("%s and %s own %x-%d", other, c.id, p.topic[15], p.index)
			}
			owner[p] = c.id
		}
	}
	for p, n := range m.g.holders {
		if n != 1 {
			m.fail("%x-%d has %d holders", p.topic[15], p.index, n)
		}
	}
}

func (m *model) step() {
	m.now += int64(m.r.IntN(6000))
	m.expire()
	live := slices.DeleteFunc(slices.Clone(m.clients), func(c *client) bool { return c.dead })
	switch k := m.r.IntN(40); {
	case k == 0 || len(live) == 0:
		m.join()
	case k == 1:
		c := live[m.r.IntN(len(live))]
		epoch := LeaveEpoch
		if c.instance != nil && m.r.IntN(2) == 0 {
			epoch = StaticLeaveEpoch
		}
		m.leave(c, epoch)
		if epoch == StaticLeaveEpoch && m.r.IntN(2) == 0 {
			m.join()
			m.clients[len(m.clients)-1].instance = c.instance
		}
	case k == 2:
		c := live[m.r.IntN(len(live))]
		m.tell("%s dies", c.id)
		c.dead = true
	case k == 3:
		m.changeTopics()
	case k == 4:
		m.subscribe(live[m.r.IntN(len(live))])
	case k == 5:
		m.move()
	case k < 9:
		m.resolve()
	case k < 12:
		m.giveBack(live[m.r.IntN(len(live))])
	default:
		m.heartbeat(live[m.r.IntN(len(live))])
	}
	m.check()
}
