package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// The world of a history: a topic whose partitions grow all the time, and consumers that come, go, hang and crash
// while the coordinator fails over and its log stalls or refuses. What is checked carries the names of
// docs' invariants: C1 to C5.
const (
	simPartitions = 6
	simSession    = 10 * time.Second
	simRebalance  = 15 * time.Second
)

type world struct {
	t    *testing.T
	b    *bench
	rand *rand.Rand

	mu        sync.Mutex
	rebuilt   chan struct{} // closed when the coordinator is another one
	consumers map[*classicConsumer]bool
	acked     [simPartitions]int64 // highest offset whose commit was acknowledged (C1)
	tried     [simPartitions]map[int64]bool
	processed [simPartitions]int64 // everything below was processed at least once (C2)
	produced  int64
	newest    int32 // newest generation that anybody was told
}

// classicConsumer is one member's client.
type classicConsumer struct {
	w        *world
	name     string
	instance *string
	memberID string

	hang atomic.Bool // falls silent once, for longer than a session

	generation int32
	owned      []int // nil when it knows that it owns nothing
	position   [simPartitions]int64
	stop       chan struct{} // closed: leave
	dead       chan struct{} // closed: crash without a word
	gone       chan struct{}
}

func (w *world) coordinator() (*Coordinator, chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.c, w.rebuilt
}

// ask waits for an answer; no answer (a crashed coordinator, a time-out, the consumer's own end) is false.
func ask[T any](c *classicConsumer, send func(*Coordinator, func(T))) (T, bool) {
	coord, rebuilt := c.w.coordinator()
	got := make(chan T, 2)
	send(coord, func(r T) { got <- r })
	select {
	case r := <-got:
		return r, true
	case <-rebuilt:
	case <-time.After(40 * time.Second):
	case <-c.dead:
	}
	var none T
	return none, false
}

func (c *classicConsumer) run() {
	defer close(c.gone)
	for !c.over() {
		if c.join() {
			c.poll()
		}
		c.disown()
		select {
		case <-time.After(200 * time.Millisecond):
		case <-c.dead:
		case <-c.stop:
		}
	}
	select {
	case <-c.dead:
		return
	default:
	}
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group = 5, "g"
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = c.memberID, c.instance
	req.Members = append(req.Members, m)
	ask(c, func(co *Coordinator, reply func(*kmsg.LeaveGroupResponse)) { co.LeaveGroup(req, reply) })
}

func (c *classicConsumer) over() bool {
	select {
	case <-c.stop:
	case <-c.dead:
	default:
		return false
	}
	return true
}

func (c *classicConsumer) disown() {
	c.w.mu.Lock()
	c.owned = nil
	c.w.mu.Unlock()
}

// join gets an assignment, as a client does.
func (c *classicConsumer) join() bool {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID = 9, "g", c.memberID, c.instance
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(simSession.Milliseconds()), int32(simRebalance.Milliseconds())
	req.ProtocolType = "consumer"
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", subscription([]string{"t"})
	req.Protocols = append(req.Protocols, p)
	r, ok := ask(c, func(co *Coordinator, reply func(*kmsg.JoinGroupResponse)) {
		co.JoinGroup(Client{c.name, "/h"}, req, reply)
	})
	if !ok {
		return false
	}
	switch wire.Code(r.ErrorCode) {
	case wire.None, wire.MemberIdRequired:
		c.memberID = r.MemberID
	case wire.UnknownMemberId:
		c.memberID = ""
	case wire.FencedInstanceId:
		c.memberID = ""
		c.crash()
	}
	if r.ErrorCode != 0 {
		return false
	}
	c.generation = r.Generation
	return c.sync(r)
}

func (c *classicConsumer) crash() {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	select {
	case <-c.dead:
	default:
		close(c.dead)
	}
}

func (c *classicConsumer) sync(j *kmsg.JoinGroupResponse) bool {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = "g", c.memberID, c.instance, c.generation
	for i, m := range j.Members {
		if j.SkipAssignment {
			break
		}
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID = m.MemberID
		for p := i; p < simPartitions; p += len(j.Members) {
			a.MemberAssignment = append(a.MemberAssignment, byte(p))
		}
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	r, ok := ask(c, func(co *Coordinator, reply func(*kmsg.SyncGroupResponse)) { co.SyncGroup(req, reply) })
	if !ok || r.ErrorCode != 0 {
		if ok && wire.Code(r.ErrorCode) == wire.UnknownMemberId {
			c.memberID = ""
		}
		return false
	}
	c.own(r.MemberAssignment)
	return c.restore()
}

// own takes the assignment over and checks C3: nobody else in the newest generation owns any of it.
func (c *classicConsumer) own(assignment []byte) {
	w := c.w
	w.mu.Lock()
	defer w.mu.Unlock()
	c.owned = []int{}
	for _, p := range assignment {
		c.owned = append(c.owned, int(p))
	}
	w.newest = max(w.newest, c.generation)
	if c.generation < w.newest {
		return
	}
	for o := range w.consumers {
		if o == c || o.owned == nil || o.generation != c.generation || o.instance != nil && c.instance != nil && *o.instance == *c.instance {
			continue
		}
		for _, p := range o.owned {
			if slices.Contains(c.owned, p) {
				w.t.Errorf("C3: %s and %s both own partition %d in generation %d", c.name, o.name, p, c.generation)
			}
		}
	}
}

// restore reads the committed offsets of what is owned and checks C1: nothing acknowledged is behind.
func (c *classicConsumer) restore() bool {
	type result struct {
		code   wire.Code
		topics []FetchedTopic
	}
	var ps []int32
	for _, p := range c.owned {
		ps = append(ps, int32(p))
	}
	floor := c.ackedNow()
	r, ok := ask(c, func(co *Coordinator, reply func(result)) {
		co.FetchOffsets("g", Anybody, []FetchTopic{{Name: "t", Partitions: ps}}, false, func(code wire.Code, ts []FetchedTopic) { reply(result{code, ts}) })
	})
	if !ok || r.code != wire.None {
		return false
	}
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for _, o := range r.topics[0].Partitions {
		at := max(o.Offset, 0)
		if at < floor[o.Partition] {
			c.w.t.Errorf("C1: partition %d was committed up to %d and is at %d", o.Partition, floor[o.Partition], at)
		}
		if at > 0 && !c.w.tried[o.Partition][at] {
			c.w.t.Errorf("partition %d is at %d, which nobody committed", o.Partition, at)
		}
		c.position[o.Partition] = at
	}
	return true
}

func (c *classicConsumer) ackedNow() [simPartitions]int64 {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	return c.w.acked
}

// poll processes, commits and beats until it must join again.
func (c *classicConsumer) poll() {
	for !c.over() {
		if c.hang.CompareAndSwap(true, false) {
			<-time.After(simSession + 5*time.Second)
		}
		if !c.commit() {
			return
		}
		req := kmsg.NewPtrHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.InstanceID, req.Generation = 4, "g", c.memberID, c.instance, c.generation
		r, ok := ask(c, func(co *Coordinator, reply func(*kmsg.HeartbeatResponse)) { co.Heartbeat(req, reply) })
		if !ok {
			return
		}
		switch wire.Code(r.ErrorCode) {
		case wire.None:
		case wire.UnknownMemberId:
			c.memberID = ""
			return
		case wire.FencedInstanceId:
			c.crash()
			return
		default:
			return
		}
		select {
		case <-time.After(2 * time.Second):
		case <-c.dead:
		case <-c.stop:
		}
	}
}

// commit processes what there is of its partitions and commits it.
func (c *classicConsumer) commit() bool {
	w := c.w
	r := &Commit{Group: "g", MemberID: c.memberID, InstanceID: c.instance, Generation: c.generation, RetentionMs: -1, APIVersion: 9}
	t := CommitTopic{Name: "t"}
	w.mu.Lock()
	for _, p := range c.owned {
		if c.position[p] <= w.processed[p] { // C2: no gap between what was processed and what is
			w.processed[p] = max(w.processed[p], w.produced)
		}
		c.position[p] = w.produced
		t.Partitions = append(t.Partitions, CommitPartition{Index: int32(p), Offset: w.produced, LeaderEpoch: -1})
		w.tried[p][w.produced] = true
	}
	w.mu.Unlock()
	if len(t.Partitions) == 0 {
		return true
	}
	r.Topics = []CommitTopic{t}
	codes, ok := ask(c, func(co *Coordinator, reply func([]wire.Code)) { co.CommitOffsets(r, reply) })
	if !ok {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if codes[0] == wire.None {
		if c.generation < w.newest-1 {
			w.t.Errorf("C5: a commit of generation %d was taken in generation %d", c.generation, w.newest)
		}
		for _, p := range t.Partitions {
			w.acked[p.Index] = max(w.acked[p.Index], p.Offset)
		}
	}
	return codes[0] == wire.None || codes[0] == wire.RebalanceInProgress || codes[0].Retriable()
}

func (w *world) add(name string, instance *string) *classicConsumer {
	c := &classicConsumer{w: w, name: name, instance: instance, stop: make(chan struct{}), dead: make(chan struct{}), gone: make(chan struct{})}
	w.mu.Lock()
	w.consumers[c] = true
	w.mu.Unlock()
	go c.run()
	return c
}

func (w *world) remove(c *classicConsumer, politely bool) {
	if politely {
		close(c.stop)
	} else {
		c.crash()
	}
	w.mu.Lock()
	delete(w.consumers, c)
	w.mu.Unlock()
}

// failOver replaces the coordinator by a new one over the same log.
func (w *world) failOver() {
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

// disturb does one thing to the world.
func (w *world) disturb(alive []*classicConsumer, n int) []*classicConsumer {
	log := w.b.logs.Log(0)
	switch k := w.rand.IntN(10); {
	case k < 3 || len(alive) == 0:
		var instance *string
		if w.rand.IntN(3) == 0 {
			i := "i" + strconv.Itoa(w.rand.IntN(3))
			instance = &i
		}
		return append(alive, w.add("c"+strconv.Itoa(n), instance))
	case k < 6:
		i := w.rand.IntN(len(alive))
		w.remove(alive[i], w.rand.IntN(2) == 0)
		return slices.Delete(alive, i, i+1)
	case k == 9:
		alive[w.rand.IntN(len(alive))].hang.Store(true)
	case k == 6:
		w.failOver()
	case k == 7:
		log.Hold()
		<-time.After(time.Duration(w.rand.IntN(8000)) * time.Millisecond)
		log.Release()
	case k == 8:
		log.Hold()
		<-time.After(time.Duration(w.rand.IntN(3000)) * time.Millisecond)
		log.Fail(wire.NotEnoughReplicas)
	}
	return alive
}

// covered checks C4: the living members share all partitions.
func (w *world) covered() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []int
	var who []string
	for c := range w.consumers {
		all = append(all, c.owned...)
		who = append(who, fmt.Sprint(c.name, c.generation, c.owned))
	}
	slices.Sort(all)
	slices.Sort(who)
	if len(all) != simPartitions || len(slices.Compact(all)) != simPartitions {
		return strings.Join(who, " ")
	}
	return ""
}

func runHistory(t *testing.T, seed uint64) {
	cfg := DefaultConfig()
	cfg.InitialRebalanceDelay = time.Second
	w := &world{t: t, b: newBench(cfg), rand: rand.New(rand.NewPCG(seed, 0)), consumers: map[*classicConsumer]bool{}, rebuilt: make(chan struct{})}
	for p := range w.tried {
		w.tried[p] = map[int64]bool{}
	}
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-time.After(100 * time.Millisecond):
				w.mu.Lock()
				w.produced++
				w.mu.Unlock()
			case <-stop:
				return
			}
		}
	}()
	var alive []*classicConsumer
	for n := range 40 {
		alive = w.disturb(alive, n)
		<-time.After(time.Duration(w.rand.IntN(9000)) * time.Millisecond)
	}
	alive = append(alive, w.add("last", nil))
	<-time.After(2*simSession + simRebalance + 5*time.Second)
	synctest.Wait()
	// Two consumers with one instance id fence each other; the loser has stopped, and owns nothing.
	if lack := w.covered(); lack != "" {
		t.Errorf("C4: after all settled the assignments are %s", lack)
	}
	w.mu.Lock()
	for p := range w.processed {
		if w.produced-w.processed[p] > 100 {
			t.Errorf("C2: partition %d was processed up to %d of %d", p, w.processed[p], w.produced)
		}
	}
	w.mu.Unlock()
	close(stop)
	for _, c := range alive {
		w.remove(c, false)
	}
	w.b.crash()
}

// TestHistories runs the world under many seeds.
func TestHistories(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runHistory(t, seed) })
		})
	}
}
