package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/wire"
)

// offsetModel is what a coordinator of groups without members should hold, beside a real one.
type offsetModel struct {
	b       *bench
	now     map[string]modelOffset        // committed, by "group topic/partition"
	pending []map[string]*modelOffset     // changes not committed yet, nil for a removal
	view    func() map[string]modelOffset // with pending ones applied
	held    bool
	flying  map[string]*modelOffset // of the operation whose batch is in flight
}

type modelOffset struct {
	offset int64
	at     time.Time
}

func newOffsetModel() *offsetModel {
	m := &offsetModel{b: newBench(DefaultConfig()), now: map[string]modelOffset{}}
	m.view = func() map[string]modelOffset {
		v := maps.Clone(m.now)
		for _, p := range m.pending {
			apply(v, p)
		}
		return v
	}
	return m
}

func apply(v map[string]modelOffset, change map[string]*modelOffset) {
	for k, o := range change {
		if o == nil {
			delete(v, k)
		} else {
			v[k] = *o
		}
	}
}

// done notes the changes of an operation that was posted.
func (m *offsetModel) done(change map[string]*modelOffset) {
	synctest.Wait()
	if m.flying == nil && m.b.logs.Log(0).Waiting() > 0 {
		m.flying = change
	}
	if m.held {
		m.pending = append(m.pending, change)
	} else {
		apply(m.now, change)
	}
}

var (
	groups     = rapid.SampledFrom([]string{"g", "h"})
	partitions = rapid.SampledFrom([]string{"t/0", "t/1", "u/0"})
)

func (m *offsetModel) commit(t *rapid.T) {
	g := groups.Draw(t, "group")
	c := &Commit{Group: g, Generation: -1, RetentionMs: -1, APIVersion: 9}
	change := map[string]*modelOffset{}
	for _, tp := range rapid.SliceOfNDistinct(partitions, 1, 3, func(s string) string { return s }).Draw(t, "partitions") {
		o := rapid.Int64Range(0, 100).Draw(t, "offset")
		name, p, _ := strings.Cut(tp, "/")
		c.Topics = append(c.Topics, CommitTopic{Name: name, Partitions: []CommitPartition{{Index: int32(p[0] - '0'), Offset: o, LeaderEpoch: -1}}})
		change[g+" "+tp] = &modelOffset{o, time.Now()}
	}
	m.b.c.CommitOffsets(c, func([]wire.Code) {})
	m.done(change)
}

func (m *offsetModel) deleteGroup(t *rapid.T) {
	g := groups.Draw(t, "group")
	m.b.c.DeleteGroups([]string{g}, func([]wire.Code) {})
	change := map[string]*modelOffset{}
	for k := range m.view() {
		if strings.HasPrefix(k, g+" ") {
			change[k] = nil
		}
	}
	m.done(change)
}

func (m *offsetModel) deleteOffset(t *rapid.T) {
	g, tp := groups.Draw(t, "group"), partitions.Draw(t, "partition")
	name, p, _ := strings.Cut(tp, "/")
	m.b.c.DeleteOffsets(g, []FetchTopic{{Name: name, Partitions: []int32{int32(p[0] - '0')}}}, func(wire.Code, []wire.Code) {})
	change := map[string]*modelOffset{}
	if _, ok := m.view()[g+" "+tp]; ok {
		change[g+" "+tp] = nil
	}
	m.done(change)
}

func (m *offsetModel) hold(*rapid.T) {
	m.b.logs.Log(0).Hold()
	m.held = true
}

// settle ends a hold: with a commit, a failure, or a crash after which the batch that was in flight is there or not.
func (m *offsetModel) settle(t *rapid.T) {
	if !m.held {
		return
	}
	log := m.b.logs.Log(0)
	kept := m.pending[:0]
	switch rapid.SampledFrom([]string{"release", "fail", "crash kept", "crash lost"}).Draw(t, "end") {
	case "release":
		log.Release()
		kept = m.pending
	case "fail":
		log.Fail(wire.NotEnoughReplicas)
	case "crash kept":
		kept = []map[string]*modelOffset{m.flying} // the rest was waiting for it
		m.b.crash()
		log.Release()
		m.b.start()
	case "crash lost":
		m.b.crash()
		log.Fail(wire.NotLeaderOrFollower)
		m.b.start()
	}
	synctest.Wait()
	for _, p := range kept {
		apply(m.now, p)
	}
	m.pending, m.flying, m.held = nil, nil, false
}

func (m *offsetModel) reload(*rapid.T) {
	if m.held {
		return
	}
	m.b.crash()
	m.b.start()
}

func (m *offsetModel) advance(t *rapid.T) {
	if m.held {
		return
	}
	<-time.After(time.Duration(rapid.IntRange(1, 5000).Draw(t, "minutes")) * time.Minute)
	synctest.Wait()
	got := m.fetched()
	for k, o := range m.now {
		age := time.Since(o.at)
		_, there := got[k]
		const retention, check = 7 * 24 * time.Hour, 10 * time.Minute
		if age >= retention+check && time.Since(m.b.started) > check || age >= retention && !there {
			delete(m.now, k)
		}
	}
}

// fetched reads all offsets there are.
func (m *offsetModel) fetched() map[string]int64 {
	out := map[string]int64{}
	for _, g := range []string{"g", "h"} {
		m.b.c.FetchOffsets(g, Anybody, nil, false, func(code wire.Code, ts []FetchedTopic) {
			for _, t := range ts {
				for _, p := range t.Partitions {
					out[fmt.Sprintf("%s %s/%d", g, t.Name, p.Partition)] = p.Offset
				}
			}
		})
	}
	synctest.Wait()
	return out
}

func (m *offsetModel) check(t *rapid.T) {
	if m.held {
		return // a fetch would wait
	}
	got, want := m.fetched(), map[string]int64{}
	for k, o := range m.now {
		want[k] = o.offset
	}
	if !maps.Equal(got, want) {
		t.Fatalf("offsets are %v, want %v", got, want)
	}
}

// checkInBubbles checks a property, each time in virtual time of its own. What rapid throws must reach its own
// goroutine.
func checkInBubbles(t *testing.T, prop func(*rapid.T)) {
	rapid.Check(t, func(rt *rapid.T) {
		var thrown any
		synctest.Test(t, func(*testing.T) {
			defer func() { thrown = recover() }()
			prop(rt)
		})
		if thrown != nil {
			rt.Logf("%v", thrown) // rapid cannot tell apart what is thrown again, and may show another error
			panic(thrown)
		}
	})
}

// TestOffsetsAgainstModel commits, deletes, expires, loses and reloads offsets in random order.
func TestOffsetsAgainstModel(t *testing.T) {
	checkInBubbles(t, func(rt *rapid.T) {
		m := newOffsetModel()
		defer func() { m.b.crash() }()
		rt.Repeat(map[string]func(*rapid.T){
			"commit": m.commit, "delete group": m.deleteGroup, "delete offset": m.deleteOffset, "hold": m.hold,
			"settle": m.settle, "reload": m.reload, "advance": m.advance, "": m.check,
		})
	})
}

// dump is the lasting state of a shard: what a reload must bring back. Groups in the midst of a rebalance are left
// out, since a rebalance is in memory only.
func dump(b *bench) string {
	var out strings.Builder
	b.c.rt.Run(0, func(_ *coordinator.Tx, m *machine) {
		for _, id := range slices.Sorted(maps.Keys(m.groups)) {
			g := m.groups[id]
			if g.is(stateStable) || g.is(stateEmpty) {
				fmt.Fprintf(&out, "%s %v %q %q generation %d leader %q topics %v %v\n", id, g.state, g.protocolType, g.protocolName(),
					g.generation, g.leader, slices.Sorted(maps.Keys(g.subscribed)), g.subscribedKnown)
				for _, mem := range g.order {
					fmt.Fprintf(&out, "  %s %v %s %s %d %d %q %q\n", mem.id, deref(mem.instanceID), mem.clientID, mem.clientHost,
						mem.rebalanceMs, mem.sessionMs, mem.metadata(g.protocolName()), mem.assignment)
				}
			}
			fmt.Fprintf(&out, "%s%s\n", id, offsetsLine(m.fetchAll(id, false)))
		}
	}, func(err error) { out.WriteString(err.Error()) })
	synctest.Wait()
	return out.String()
}

func deref(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

// TestReloadKeepsGroups drives a group with random requests of members that know little of each other, and compares
// its state before and after a reload.
func TestReloadKeepsGroups(t *testing.T) {
	checkInBubbles(t, func(rt *rapid.T) {
		cfg := DefaultConfig()
		cfg.InitialRebalanceDelay = 0
		w := &wild{b: newBench(cfg)}
		defer func() { w.b.crash() }()
		rt.Repeat(map[string]func(*rapid.T){
			"join": w.join, "sync": w.sync, "leave": w.leave, "commit": w.commit, "pass": w.pass, "reload": w.reload,
			"": func(*rapid.T) {},
		})
	})
}

// wild sends requests of members of one group, with the ids and generations it has seen.
type wild struct {
	b          *bench
	members    []string
	generation int32
	leader     string
}

func (w *wild) join(t *rapid.T) {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version = rapid.SampledFrom([]int16{3, 4, 8, 9}).Draw(t, "version")
	req.Group, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = "g", "consumer", 10_000, 20_000
	if len(w.members) > 0 && rapid.Bool().Draw(t, "known") {
		req.MemberID = rapid.SampledFrom(w.members).Draw(t, "member")
	} else if i := rapid.SampledFrom([]string{"", "", "i1", "i2"}).Draw(t, "instance"); i != "" {
		req.InstanceID = &i
	}
	for _, n := range rapid.SampledFrom([][]string{{"range"}, {"range", "sticky"}, {"sticky", "range"}}).Draw(t, "protocols") {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = n, subscription([]string{rapid.SampledFrom([]string{"t", "u"}).Draw(t, "topic")})
		req.Protocols = append(req.Protocols, p)
	}
	w.b.c.JoinGroup(Client{"c", "/h"}, req, func(r *kmsg.JoinGroupResponse) {
		if r.MemberID != "" && !slices.Contains(w.members, r.MemberID) {
			w.members = append(w.members, r.MemberID)
		}
		if r.ErrorCode == 0 {
			w.generation, w.leader = r.Generation, r.LeaderID
		}
	})
	synctest.Wait()
}

func (w *wild) sync(t *rapid.T) {
	if len(w.members) == 0 {
		return
	}
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.Generation, req.MemberID = "g", w.generation, rapid.SampledFrom(append(w.members, w.leader)).Draw(t, "member")
	for _, m := range w.members {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = m, []byte(fmt.Sprint(m, w.generation))
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	w.b.c.SyncGroup(req, func(*kmsg.SyncGroupResponse) {})
	synctest.Wait()
}

func (w *wild) leave(t *rapid.T) {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group = 5, "g"
	m := kmsg.NewLeaveGroupRequestMember()
	if len(w.members) > 0 && rapid.Bool().Draw(t, "by id") {
		m.MemberID = rapid.SampledFrom(w.members).Draw(t, "member")
	} else {
		i := "i1"
		m.InstanceID = &i
	}
	req.Members = append(req.Members, m)
	w.b.c.LeaveGroup(req, func(*kmsg.LeaveGroupResponse) {})
	synctest.Wait()
}

func (w *wild) commit(t *rapid.T) {
	c := &Commit{Group: "g", Generation: w.generation, MemberID: w.leader, RetentionMs: -1, APIVersion: 9,
		Topics: []CommitTopic{{Name: "t", Partitions: []CommitPartition{{Offset: rapid.Int64Range(0, 9).Draw(t, "offset")}}}}}
	w.b.c.CommitOffsets(c, func([]wire.Code) {})
	synctest.Wait()
}

func (w *wild) pass(t *rapid.T) {
	<-time.After(time.Duration(rapid.IntRange(0, 12_000).Draw(t, "ms")) * time.Millisecond)
	synctest.Wait()
}

func (w *wild) reload(t *rapid.T) {
	before := dump(w.b)
	w.b.crash()
	w.b.start()
	after := dump(w.b)
	for _, line := range strings.SplitAfter(before, "\n") {
		if !strings.Contains(after, line) {
			t.Fatalf("before the reload:\n%s\nafter it:\n%s", before, after)
		}
	}
}
