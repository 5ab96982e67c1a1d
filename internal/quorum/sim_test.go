package quorum

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// simulation runs voters and an observer step by step in one goroutine, from a seed: each step is a message that arrives,
// a tick, a turn of one of a node's workers, a proposal or a fault. Files are in memory and lose what was not synced
// when a node crashes.
type simulation struct {
	t      judge
	rnd    *rand.Rand
	now    time.Time
	nodes  []*simNode
	net    []parcel
	late   []parcel     // copies that come once more, much later: after one of the two has lost its disk
	posted *[]parcel    // all that was sent, if somebody wants to know
	older  map[int]bool // nodes of a build that names no logs
	cut    map[[2]int]bool
	// faulty says that it is the time of faults.
	faulty bool

	// What the checkers know.
	log     map[int64]record.Batch // by base offset: what was applied anywhere
	end     int64
	leaders map[int32]int // epoch → node
	topics  int
	planted string

	members *members // of a dynamic quorum; nil: it is static
}

// judge is told what a checker found.
type judge interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

type parcel struct {
	from   int
	sender *Quorum
	to     uint64
	bytes  []byte // none: a question
	end    int64
	tag    wire.RaftTag
}

type simNode struct {
	s        *simulation
	index    int
	fs       *vfs.Mem
	q        *Quorum // nil: down
	rec      *recorder
	observer bool
	leads    int32
	hw       int64
	lives    int
	trouble  error // of following
}

// simListener checks what a node is told.
type simListener struct {
	*recorder
	n *simNode
}

func (l simListener) Commit(batches []record.Batch) error {
	for _, b := range batches {
		l.n.s.applied(l.n, b)
	}
	return l.recorder.Commit(batches)
}

func (l simListener) Leader(epoch int32, next int64) {
	s := l.n.s
	if other, ok := s.leaders[epoch]; ok && other != l.n.index {
		s.t.Fatalf("election safety: nodes %d and %d lead in epoch %d", other, l.n.index, epoch)
	}
	s.leaders[epoch] = l.n.index
	if next < s.end {
		s.t.Fatalf("leader completeness: node %d leads in epoch %d from offset %d, %d was committed", l.n.index, epoch, next, s.end)
	}
	l.n.leads = epoch
}

func (l simListener) Resigned(int32, int32) { l.n.leads = 0 }

// applied checks that all nodes apply the same.
func (s *simulation) applied(n *simNode, b record.Batch) {
	have, ok := s.log[b.BaseOffset()]
	if ok && !bytes.Equal(have, b) {
		s.t.Fatalf("state machine safety: node %d applied another batch at offset %d", n.index, b.BaseOffset())
	}
	if !ok && b.BaseOffset() < s.end {
		s.t.Fatalf("state machine safety: node %d applied a batch at offset %d, inside one that others applied", n.index, b.BaseOffset())
	}
	if !ok {
		s.log[b.BaseOffset()] = bytes.Clone(b)
	}
	s.end = max(s.end, b.NextOffset())
}

func newSimulation(t *testing.T, by judge, seed uint64, planted string, m *members) *simulation {
	cryptotest.SetGlobalRandom(t, seed)
	s := &simulation{t: by, planted: planted, rnd: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_700_000_000, 0), cut: map[[2]int]bool{},
		log: map[int64]record.Batch{}, leaders: map[int32]int{}, members: m}
	for i := range s.voters() + 1 {
		n := &simNode{s: s, index: i, observer: i == s.voters()}
		n.fs = emptyDisk()
		s.members.format(n, i < simVoters)
		s.nodes = append(s.nodes, n)
		n.start()
	}
	return s
}

func emptyDisk() *vfs.Mem {
	fs := vfs.NewMem()
	if err := errors.Join(fs.MkdirAll("/data"), fs.SyncDir("/")); err != nil {
		panic(err) // it is memory
	}
	return fs
}

func (n *simNode) config() Config {
	var voters []Voter
	for i := range simVoters {
		voters = append(voters, Voter{ID: int32(i)})
	}
	cfg := testConfig(n.fs, nil)
	cfg.NodeID, cfg.DirectoryID, cfg.Voters, cfg.Observer = int32(n.index), n.directory(), voters, n.observer
	if n.s.members != nil {
		cfg.Endpoints = n.voter().Endpoints
		if !n.founder() {
			cfg.Dynamic = !n.observer
		}
		if !n.s.members.static {
			cfg.Voters = nil
		}
		if cfg.Dynamic {
			cfg.Voters = nil
		}
	}
	cfg.Now = func() time.Time { return n.s.now }
	if n.s.planted == "nothing is synced" {
		cfg.FS = lies{n.fs}
	}
	cfg.OnFault = func(err error) { n.s.t.Fatalf("node %d: %v", n.index, err) }
	cfg.SegmentBytes, cfg.SnapshotBytes, cfg.RaftLogBytes, cfg.RetentionBytes = 900, 2500, 1500, 2500
	return cfg
}

// voters is how many voters there are; the last node observes.
func (s *simulation) voters() int {
	if s.members != nil {
		return simVoters + 2
	}
	return simVoters
}

const simVoters = 3

func (n *simNode) start() {
	n.rec = newRecorder()
	cfg := n.config()
	cfg.Listener = simListener{n.rec, n}
	q, err := Open(cfg)
	if err != nil {
		n.s.t.Fatalf("node %d does not start: %v", n.index, err)
	}
	q.spawn = func(_ string, f func(context.Context)) bool { f(context.Background()); return true }
	q.carry, q.greet = n.send, n.greet
	n.q, n.leads, n.hw = q, 0, 0
	n.plant()
	n.q.greetAll()
}

// plant makes a fault that the checkers must find.
func (n *simNode) plant() {
	if n.q.node == nil {
		return
	}
	if n.s.planted == "a wiped voter votes" {
		n.q.fresh.Store(false)
	}
}

// lies is a disk that says it has synced, and forgets.
type lies struct{ *vfs.Mem }

func (l lies) Open(name string, mode vfs.Mode) (vfs.File, error) {
	f, err := l.Mem.Open(name, mode)
	return lyingFile{f}, err
}

type lyingFile struct{ vfs.File }

func (lyingFile) Sync() error { return nil }

func (n *simNode) send(to, life uint64, ms []*pb.Message) {
	for _, m := range ms {
		b, err := proto.Marshal(m)
		if err != nil {
			n.s.t.Fatal(err)
		}
		n.s.post(parcel{n.index, n.q, to, b, n.q.hw.Load(), n.q.tag(to, life)})
	}
}

func (n *simNode) greet(to uint64) {
	n.s.post(parcel{n.index, n.q, to, nil, n.q.hw.Load(), n.q.tag(to, lifeUnknown)})
}

// untold reports whether a node is of a build that names no logs.
func (s *simulation) untold(node int) bool {
	return s.older[node] || s.planted == "late messages are taken"
}

func (s *simulation) post(p parcel) {
	if s.untold(p.from) {
		p.tag = wire.RaftTag{}
	}
	s.net = append(s.net, p)
	if s.posted != nil {
		*s.posted = append(*s.posted, p)
	}
	if p.bytes != nil && s.rnd.IntN(8) == 0 {
		if s.late = append(s.late, p); len(s.late) > 40 {
			s.late = slices.Delete(s.late, 0, 1+s.rnd.IntN(20))
		}
	}
}

func (s *simulation) deliver(i int, keep bool) {
	p := s.net[i]
	if !keep {
		s.net[i] = s.net[len(s.net)-1]
		s.net = s.net[:len(s.net)-1]
	}
	s.arrive(p)
}

func (s *simulation) arrive(p parcel) {
	to := s.byRaft(p.to)
	if to == nil || s.cut[[2]int{p.from, to.index}] {
		return
	}
	req := &wire.RaftMessagesRequest{ClusterID: "c", NodeID: int32(p.from), To: p.to, EndOffset: p.end, Tag: p.tag}
	if p.bytes != nil {
		req.Messages = [][]byte{p.bytes}
	}
	resp := to.q.Messages(req)
	if from := s.nodes[p.from]; from.q == p.sender && wire.Code(resp.ErrorCode) == wire.InvalidVoterKey {
		from.q.refused()
	}
	if s.untold(to.index) {
		resp.Log = 0
	}
	from := s.nodes[p.from]
	if from.q == p.sender && !s.cut[[2]int{to.index, p.from}] && s.rnd.IntN(20) > 0 { // the answer
		from.q.heard(p.to, resp.Log)
	}
}

// comeLate has messages arrive that were sent long ago.
func (s *simulation) comeLate() {
	for range min(len(s.late), 1+s.rnd.IntN(4)) {
		s.arrive(s.late[s.rnd.IntN(len(s.late))])
	}
}

// byRaft is the node that has an id in Raft now, nil if none does.
func (s *simulation) byRaft(id uint64) *simNode {
	for _, n := range s.nodes {
		if n.q != nil && n.q.raftID == id {
			return n
		}
	}
	return nil
}

func (n *simNode) turn() {
	if n.q == nil || n.q.node == nil {
		return
	}
	n.q.takeInputs()
	n.q.handleReady()
}

func (n *simNode) appendStep() {
	if n.q == nil || n.q.node == nil {
		return
	}
	if items := n.q.appendq.poll(); len(items) > 0 {
		if err := n.q.appendItems(context.Background(), items); err != nil {
			n.s.t.Fatalf("node %d: append: %v", n.index, err)
		}
	}
}

func (n *simNode) applyStep() {
	if n.q == nil {
		return
	}
	if items := n.q.applyq.poll(); len(items) > 0 {
		err := n.q.applyItems(context.Background(), items)
		if errors.Is(err, ErrReplaced) {
			n.s.members.replaced++
			n.crash()
			n.start()
			return
		}
		if err != nil {
			n.s.t.Fatalf("node %d: apply: %v", n.index, err)
		}
	}
	if hw := n.q.hw.Load(); hw < n.hw {
		n.s.t.Fatalf("high watermark of node %d fell from %d to %d", n.index, n.hw, hw)
	} else {
		n.hw = hw
	}
}

// followStep lets a node ask the leader for the metadata log once, if it has a reason to.
func (n *simNode) followStep() {
	if n.q == nil || n.q.follow.done() {
		return
	}
	f := &n.q.follow
	to := n.s.nodes[n.s.rnd.IntN(n.s.voters())]
	if f.leader.ID >= 0 {
		to = n.s.nodes[f.leader.ID]
	}
	if m, _ := f.target(); m != nil {
		to = n.s.byRaft(m.GetFrom())
	}
	if to == nil || to.q == nil || n.s.cut[[2]int{n.index, to.index}] || n.s.cut[[2]int{to.index, n.index}] {
		f.forget()
		f.drop()
		if n.s.rnd.IntN(3) == 0 {
			f.fail()
		}
		return
	}
	var resp kmsg.Response
	switch req := f.request().(type) {
	case *kmsg.FetchRequest:
		req.SetVersion(18)
		req.MaxWaitMillis, req.MaxBytes = 0, 1+int32(n.s.rnd.IntN(2000))
		resp = to.q.Fetch(context.Background(), req)
	case *kmsg.FetchSnapshotRequest:
		req.SetVersion(1)
		req.MaxBytes = 1 + int32(n.s.rnd.IntN(2000))
		resp = to.q.FetchSnapshot(req)
	}
	got, err := f.answer(resp)
	if err != nil {
		n.trouble = err
	}
	if err != nil || got == nil {
		return
	}
	n.q.applyq.put(applyItem{fetched: got})
	if n.s.faulty && n.s.rnd.IntN(30) == 0 {
		n.crash() // with what was fetched at hand
		n.start()
		return
	}
	n.applyStep()
}

func (s *simulation) propose() {
	for _, n := range s.nodes {
		if n.q == nil || n.leads == 0 {
			continue
		}
		var records []mr.Versioned
		for range 1 + s.rnd.IntN(3) {
			s.topics++
			records = append(records, mr.V0(&mr.TopicRecord{Name: fmt.Sprint("t", s.topics)}))
		}
		if _, err := n.q.Propose(n.leads, records); err != nil && !errors.Is(err, ErrNotLeader) {
			s.t.Fatal(err)
		}
	}
}

func (n *simNode) crash() {
	n.q.follow.loading = nil
	n.fs.PowerOff()
	n.fs = n.fs.Crash(n.s.rnd)
	n.q, n.leads = nil, 0
}

// wiped is a node whose disk is empty now.
func (n *simNode) wiped() {
	n.q, n.leads = nil, 0
	n.lives++
	n.fs = emptyDisk()
	n.start()
}

// wipe empties a voter's disk, if all voters stand well: more at a time is more than a static quorum can bear.
func (s *simulation) wipe() {
	for _, n := range s.nodes[:s.voters()] {
		if n.q == nil || n.q.fresh.Load() || n.q.hw.Load() == 0 {
			return
		}
	}
	s.nodes[s.rnd.IntN(s.voters())].wiped()
	if s.rnd.IntN(2) == 0 {
		s.comeLate()
	}
}

func (s *simulation) step() {
	n := s.nodes[s.rnd.IntN(len(s.nodes))]
	switch r := s.rnd.IntN(1000); {
	case r < 380:
		if len(s.net) > 0 {
			i := s.rnd.IntN(min(len(s.net), 30)) // mostly in order
			switch s.rnd.IntN(50) {
			case 0: // lost
				s.net = append(s.net[:i], s.net[i+1:]...)
			case 1: // twice
				s.deliver(i, true)
			default:
				s.deliver(i, false)
			}
		}
	case r < 580:
		n.turn()
	case r < 730:
		n.appendStep()
	case r < 860:
		n.applyStep()
	case r < 900:
		n.followStep()
	case r < 940:
		s.now = s.now.Add(10 * time.Millisecond)
		if n.q != nil && n.q.node != nil {
			n.q.tick()
		}
	case r < 980:
		s.propose()
	case r < 985:
		s.comeLate()
	default:
		s.fault(n)
	}
}

func (s *simulation) fault(n *simNode) {
	switch r := s.rnd.IntN(100); {
	case n.q == nil:
		n.start()
	case r < 12:
		n.crash()
	case r < 24:
		s.cut[[2]int{s.rnd.IntN(len(s.nodes)), s.rnd.IntN(len(s.nodes))}] = true
	case r < 50:
		clear(s.cut)
	case r < 60 && n.q.node != nil:
		n.q.inLoop(func() {
			if n.q.electedTerm.Load() != 0 {
				n.q.handOver(0)
			}
		})
	case r < 64 && s.members != nil:
		s.members.wipe(s)
	case r < 64:
		s.wipe()
	case r < 72 && n.q.node != nil: // signs of an end, true or not
		n.q.inLoop(func() { n.q.leaderEnded(n.q.node.BasicStatus().Lead) })
	case r >= 90 && s.members != nil && s.members.static:
		s.members.wipe(s)
	case r >= 72 && s.members != nil:
		s.members.change(s)
	}
}

// heal ends all faults and waits until every node has everything.
func (s *simulation) heal() {
	clear(s.cut)
	for _, n := range s.nodes {
		if n.q == nil {
			n.start()
		}
	}
	for round := range 4000 {
		for len(s.net) > 0 {
			s.deliver(0, false)
			if s.rnd.IntN(4) == 0 {
				break
			}
		}
		s.now = s.now.Add(10 * time.Millisecond)
		for _, n := range s.nodes {
			n.turn()
			n.appendStep()
			n.turn()
			n.applyStep()
			n.followStep()
			if n.q.node != nil && s.rnd.IntN(5) == 0 {
				n.q.tick()
			}
		}
		if round%20 == 0 {
			s.propose()
			s.members.tidy(s)
		}
		if round > 600 && s.settled() {
			return
		}
	}
	for _, n := range s.nodes {
		s.t.Logf("node %d: end %d of %d, leads %d, leader %d in epoch %d, fresh %v, conf %v, voters %s, following: %v", n.index, n.q.meta.end, s.end, n.leads, n.q.leader.Load(), n.q.term.Load(), n.q.fresh.Load(), n.q.applied.Conf, n.q.voters.Load().keys(), n.trouble)
	}
	s.t.Fatal("the healed cluster does not get well")
}

func (s *simulation) settled() bool {
	leaders := 0
	for _, n := range s.nodes {
		if n.q.meta.end < s.end || n.q.fresh.Load() && !n.q.outside() {
			return false
		}
		if n.leads != 0 {
			leaders++
		}
	}
	if leaders != 1 {
		return false
	}
	for _, n := range s.nodes { // a node's broker goes where this says
		if v, _ := n.q.Leader(); v.ID != int32(s.leading().index) {
			return false
		}
	}
	return s.members.settled(s)
}

// round delivers all messages and lets every node work; tick says that time passes.
func (s *simulation) round(tick bool) {
	for n := len(s.net); n > 0; n-- {
		s.deliver(0, false)
	}
	for _, n := range s.nodes {
		n.turn()
		n.appendStep()
		n.turn()
		n.applyStep()
		if n.q != nil && n.q.node != nil && tick {
			n.q.tick()
		}
	}
}

func (s *simulation) leading() *simNode {
	for _, n := range s.nodes {
		if n.q != nil && n.leads != 0 {
			return n
		}
	}
	return nil
}

// TestEndedLeaderIsReplacedAtOnce: voters that see the signs, one of them late, elect another leader before the
// election timeout; without signs they wait for it.
func TestEndedLeaderIsReplacedAtOnce(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		for _, signs := range []bool{true, false} {
			s := newSimulation(t, t, seed, "", nil)
			for i := 0; s.leading() == nil; i++ {
				if s.round(i%4 == 0); i > 10000 {
					t.Fatal("nobody leads")
				}
			}
			for range 40 {
				s.round(true)
			}
			dead := s.leading()
			id := dead.q.raftID
			dead.crash()
			s.net = nil
			ticks := 0
			for ; ticks < electionTicks-2 && s.leading() == nil; ticks++ {
				for i, n := range s.nodes {
					if n.q != nil && n.q.node != nil && signs && ticks == i%2 {
						n.q.leaderEnded(id)
					}
				}
				for i := range 8 {
					s.round(i == 0)
				}
			}
			if got := s.leading() != nil; got != signs {
				t.Errorf("seed %d: signs %v: another leads %v after %d ticks", seed, signs, got, ticks)
			}
		}
	}
}

// compare checks that all nodes have the same state.
func (s *simulation) compare() {
	want := s.nodes[0].rec
	for _, n := range s.nodes[1:] {
		if shorter := min(len(n.rec.names), len(want.names)); fmt.Sprint(n.rec.names[:shorter]) != fmt.Sprint(want.names[:shorter]) {
			s.t.Fatalf("node %d has other topics than node 0:\n%v\n%v", n.index, n.rec.names, want.names)
		}
	}
}

func simulate(t *testing.T, by judge, seed uint64, steps int, planted string, m *members) {
	s := newSimulation(t, by, seed, planted, m)
	s.faulty = true
	for range steps {
		s.step()
	}
	s.faulty = false
	s.heal()
	s.compare()
}

// simSeeds says which seeds to run: WEIR_SIM_SEED one, WEIR_SIM_SEEDS as many from WEIR_SIM_FROM (1) on.
func simSeeds() (first, count uint64) {
	number := func(name string, otherwise uint64) uint64 {
		if v, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return v
		}
		return otherwise
	}
	few := uint64(60)
	if testing.Short() {
		few = 15
	}
	first, count = number("WEIR_SIM_FROM", 1), number("WEIR_SIM_SEEDS", few)
	if seed := number("WEIR_SIM_SEED", 0); seed > 0 {
		first, count = seed, 1
	}
	return first, count
}

// TestSimulation: seeds of random histories keep the rules of Raft and get well in the end.
func TestSimulation(t *testing.T) {
	first, count := simSeeds()
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { simulate(t, t, seed, 6000, "", nil) })
	}
}

// catcher ends a run at the first thing that a checker finds.
type catcher struct{ found string }

func (c *catcher) Fatal(args ...any)            { c.Fatalf("%s", fmt.Sprint(args...)) }
func (c *catcher) Logf(string, ...any)          {}
func (c *catcher) Fatalf(f string, args ...any) { c.found = fmt.Sprintf(f, args...); panic(c) }

// TestSimulationFindsPlantedFaults: the checkers are worth something.
func TestSimulationFindsPlantedFaults(t *testing.T) {
	for _, planted := range []string{"a wiped voter votes", "nothing is synced", "late messages are taken"} {
		found := ""
		for seed := uint64(1); seed < 400 && found == ""; seed++ {
			t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
				c := new(catcher)
				defer func() {
					if p := recover(); p != nil {
						found = fmt.Sprintf("%s (%v)", c.found, p)
					}
				}()
				simulate(t, c, seed, 6000, planted, nil)
			})
		}
		if found == "" {
			t.Errorf("%s: not found", planted)
		}
		t.Logf("%s: %.120s", planted, found)
	}
}
