package group

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// The world of a mixed history: one topic, members of the consumer protocol and of the classic one in one group, which changes
// its kind as they come and go (KIP-848), while the coordinator fails over and its log stalls or refuses.
type mixedWorld struct {
	t    *testing.T
	b    *bench
	rand *rand.Rand

	mu      sync.Mutex
	rebuilt chan struct{}
	members map[*mixedMember]bool
}

const mixedSession = 20 * time.Second

// mixedMember is a client. What it owns it owns for as long as it was heard of within its session.
type mixedMember struct {
	w        *mixedWorld
	name     string
	instance *string
	classic  bool

	id    string
	epoch int32
	owned []int32
	sent  time.Time // when the last request was
	heard time.Time // when the last one was that was answered well
	full  bool

	stop, dead chan struct{}
}

func mixedAsk[T any](m *mixedMember, send func(*Coordinator, func(T))) (T, bool) {
	m.w.mu.Lock()
	c, rebuilt := m.w.b.c, m.w.rebuilt
	m.sent = time.Now()
	m.w.mu.Unlock()
	got := make(chan T, 2)
	send(c, func(r T) { got <- r })
	select {
	case r := <-got:
		return r, true
	case <-rebuilt:
	case <-time.After(40 * time.Second):
	case <-m.dead:
	}
	var none T
	return none, false
}

// well notes that the coordinator has heard of the member.
func (m *mixedMember) well() {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.heard = m.sent
}

func (m *mixedMember) over() bool {
	select {
	case <-m.stop:
	case <-m.dead:
	default:
		return false
	}
	return true
}

func (m *mixedMember) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-m.dead:
	case <-m.stop:
	}
}

func (m *mixedMember) run() {
	for !m.over() {
		if m.classic {
			m.live()
			m.own(nil)
			m.rest(200 * time.Millisecond)
		} else {
			m.beat(m.epoch)
			m.rest(time.Second)
		}
	}
	m.own(nil)
	select {
	case <-m.dead:
		return
	default:
	}
	if m.classic {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Version, req.Group = 5, "g"
		req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: m.id, InstanceID: m.instance}}
		mixedAsk(m, func(c *Coordinator, reply func(*kmsg.LeaveGroupResponse)) { c.LeaveGroup(req, reply) })
		return
	}
	epoch := int32(-1)
	if m.instance != nil && len(m.name)%2 == 0 {
		epoch = -2
	}
	m.beat(epoch)
}

// own sets what the member owns, and checks C3.
func (m *mixedMember) own(ps []int32) {
	w := m.w
	w.mu.Lock()
	defer w.mu.Unlock()
	m.owned = ps
	for o := range w.members {
		if o == m || time.Since(o.heard) >= mixedSession || w.superseded(o) {
			continue
		}
		for _, p := range o.owned {
			if slices.Contains(ps, p) {
				w.t.Errorf("C3: %s in epoch %d and %s in epoch %d own partition %d", m.name, m.epoch, o.name, o.epoch, p)
			}
		}
	}
}

// superseded reports whether another member has come with the instance id of o, which o may not have heard of yet.
func (w *mixedWorld) superseded(o *mixedMember) bool {
	for x := range w.members {
		if x != o && o.instance != nil && x.instance != nil && *x.instance == *o.instance && !x.sent.Before(o.heard) {
			return true
		}
	}
	return false
}

func (m *mixedMember) topic() wire.TopicID { return m.w.b.image().TopicByName("t").ID }

// beat is one heartbeat of a member of the consumer protocol.
func (m *mixedMember) beat(epoch int32) {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.MemberEpoch, req.RebalanceTimeoutMillis = 1, "g", m.id, m.instance, epoch, -1
	if epoch == 0 {
		m.own(nil)
	}
	if epoch == 0 || m.full {
		req.SubscribedTopicNames, req.RebalanceTimeoutMillis = []string{"t"}, 15_000
	}
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	if len(m.owned) > 0 {
		req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: m.topic(), Partitions: m.owned})
	}
	r, ok := mixedAsk(m, func(c *Coordinator, reply func(*kmsg.ConsumerGroupHeartbeatResponse)) {
		c.ConsumerHeartbeat(Client{m.name, "/h"}, func(string) bool { return true }, req, reply)
	})
	if m.full = !ok || r.ErrorCode != 0; m.full {
		if ok {
			m.refused(wire.Code(r.ErrorCode))
		}
		return
	}
	if epoch < 0 {
		return
	}
	m.well()
	m.epoch = r.MemberEpoch
	if r.Assignment != nil {
		ps := []int32{}
		for _, t := range r.Assignment.Topics {
			ps = append(ps, t.Partitions...)
		}
		m.own(ps)
	}
}

func (m *mixedMember) refused(code wire.Code) {
	switch code {
	case wire.FencedMemberEpoch, wire.UnknownMemberId, wire.GroupIdNotFound:
		m.epoch = 0
		m.own(nil)
	case wire.FencedInstanceId:
		m.own(nil)
		m.kill()
	}
}

func (m *mixedMember) kill() {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	select {
	case <-m.dead:
	default:
		close(m.dead)
	}
}

// live is a classic member from one rebalance to the next: it gives all back, joins, syncs and beats.
func (m *mixedMember) live() {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID = 9, "g", m.id, m.instance
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = int32(mixedSession.Milliseconds()), 15_000, "consumer"
	sub := kmsg.NewConsumerMemberMetadata()
	sub.Version, sub.Topics = 3, []string{"t"}
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: sub.AppendTo(nil)}}
	r, ok := mixedAsk(m, func(c *Coordinator, reply func(*kmsg.JoinGroupResponse)) {
		c.JoinGroup(Client{m.name, "/h"}, req, reply)
	})
	if !ok {
		return
	}
	switch wire.Code(r.ErrorCode) {
	case wire.None, wire.MemberIdRequired:
		m.id = r.MemberID
	case wire.UnknownMemberId:
		m.id = ""
	case wire.FencedInstanceId:
		m.kill()
	}
	if r.ErrorCode == 0 && m.sync(r) {
		for !m.over() {
			m.rest(time.Second)
			if m.over() || !m.beatClassic() {
				return
			}
		}
	}
}

func (m *mixedMember) sync(j *kmsg.JoinGroupResponse) bool {
	m.epoch = j.Generation
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.Generation = 5, "g", m.id, m.instance, m.epoch
	req.ProtocolType, req.Protocol = j.ProtocolType, j.Protocol
	for i, o := range j.Members {
		a := kmsg.NewConsumerMemberAssignment()
		t := kmsg.ConsumerMemberAssignmentTopic{Topic: "t"}
		for p := i; p < simPartitions; p += len(j.Members) {
			t.Partitions = append(t.Partitions, int32(p))
		}
		a.Topics = append(a.Topics, t)
		if !j.SkipAssignment {
			req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: o.MemberID, MemberAssignment: a.AppendTo(nil)})
		}
	}
	r, ok := mixedAsk(m, func(c *Coordinator, reply func(*kmsg.SyncGroupResponse)) { c.SyncGroup(req, reply) })
	if !ok || r.ErrorCode != 0 {
		if ok && wire.Code(r.ErrorCode) == wire.UnknownMemberId {
			m.id = ""
		}
		return false
	}
	m.well()
	ps := []int32{}
	if len(r.MemberAssignment) > 0 {
		var a kmsg.ConsumerMemberAssignment
		if err := a.ReadFrom(r.MemberAssignment); err != nil {
			m.w.t.Errorf("an assignment cannot be read: %v", err)
		}
		for _, t := range a.Topics {
			ps = append(ps, t.Partitions...)
		}
	}
	m.own(ps)
	return true
}

func (m *mixedMember) beatClassic() bool {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.Generation = 4, "g", m.id, m.instance, m.epoch
	r, ok := mixedAsk(m, func(c *Coordinator, reply func(*kmsg.HeartbeatResponse)) { c.Heartbeat(req, reply) })
	if !ok {
		return false
	}
	switch wire.Code(r.ErrorCode) {
	case wire.None:
		m.well()
		return true
	case wire.UnknownMemberId:
		m.id = ""
	case wire.FencedInstanceId:
		m.kill()
	}
	return false
}

func (w *mixedWorld) add(n int, classic bool, instance *string) *mixedMember {
	m := &mixedMember{w: w, name: "m" + strconv.Itoa(n), classic: classic, instance: instance, stop: make(chan struct{}), dead: make(chan struct{}), full: true}
	if !classic {
		m.id = m.name
	}
	w.mu.Lock()
	w.members[m] = true
	w.mu.Unlock()
	go m.run()
	return m
}

func (w *mixedWorld) failOver() {
	w.mu.Lock()
	old := w.rebuilt
	w.mu.Unlock()
	w.b.crash()
	w.b.logs.Log(0).Release()
	w.mu.Lock()
	w.b.start()
	w.rebuilt = make(chan struct{})
	w.mu.Unlock()
	close(old)
}

func (w *mixedWorld) disturb(alive []*mixedMember, n int) []*mixedMember {
	log := w.b.logs.Log(0)
	switch k := w.rand.IntN(10); {
	case k < 4 || len(alive) == 0:
		var instance *string
		if w.rand.IntN(4) == 0 {
			i := "i" + strconv.Itoa(w.rand.IntN(2))
			instance = &i
		}
		return append(alive, w.add(n, w.rand.IntN(2) == 0, instance))
	case k < 7:
		i := w.rand.IntN(len(alive))
		if w.rand.IntN(2) == 0 {
			close(alive[i].stop)
		} else {
			alive[i].kill()
		}
		return slices.Delete(alive, i, i+1)
	case k == 7:
		w.failOver()
	case k == 8:
		log.Hold()
		<-time.After(time.Duration(w.rand.IntN(8000)) * time.Millisecond)
		log.Release()
	case k == 9:
		log.Hold()
		<-time.After(time.Duration(w.rand.IntN(3000)) * time.Millisecond)
		log.Fail(wire.NotEnoughReplicas)
	}
	return alive
}

// covered is C4: the members share all partitions.
func (w *mixedWorld) covered() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []int32
	var who []string
	for m := range w.members {
		if !m.over() {
			all = append(all, m.owned...)
			who = append(who, fmt.Sprint(m.name, " classic ", m.classic, " ", m.epoch, m.owned))
		}
	}
	slices.Sort(all)
	slices.Sort(who)
	if len(all) != simPartitions || len(slices.Compact(all)) != simPartitions {
		return strings.Join(who, "; ")
	}
	return ""
}

func runMixedHistory(t *testing.T, seed uint64) {
	cfg := DefaultConfig()
	cfg.InitialRebalanceDelay = time.Second
	w := &mixedWorld{t: t, b: newBench(cfg), rand: rand.New(rand.NewPCG(seed, 3)), members: map[*mixedMember]bool{}, rebuilt: make(chan struct{})}
	w.b.settings.SessionTimeout = mixedSession
	w.b.topic("t", simPartitions)
	var alive []*mixedMember
	for n := range 40 {
		alive = w.disturb(alive, n)
		<-time.After(time.Duration(w.rand.IntN(9000)) * time.Millisecond)
	}
	w.b.logs.Log(0).Release()
	w.add(99, w.rand.IntN(2) == 0, nil)
	<-time.After(3*mixedSession + 90*time.Second)
	synctest.Wait()
	if lack := w.covered(); lack != "" {
		t.Errorf("C4: after all settled the assignments are %s", lack)
	}
	for m := range w.members {
		m.kill()
	}
	w.b.crash()
}

// TestMixedHistories runs that world under many seeds: WEIR_MODEL_SEEDS says how many, WEIR_MODEL_FROM from where on.
func TestMixedHistories(t *testing.T) {
	seeds, from := uint64(120), uint64(0)
	if testing.Short() {
		seeds = 12
	}
	for name, v := range map[string]*uint64{"WEIR_MODEL_SEEDS": &seeds, "WEIR_MODEL_FROM": &from} {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			*v = n
		}
	}
	for seed := from; seed < from+seeds; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runMixedHistory(t, seed) })
		})
	}
}
