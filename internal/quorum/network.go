package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/wire"
)

// What waits for one voter, at most; what comes beyond that is dropped, and Raft sends it again.
const (
	maxWaitingMessages = 4096
	maxSendBytes       = 4 << 20
)

// network carries Raft's messages to other voters: a goroutine for each, which sends all that waits in one request and
// has one request under way.
type network struct {
	q        *Quorum
	group    *lifecycle.Group
	mu       sync.Mutex
	outlets  map[uint64]*outlet
	clients  map[string]*peer.Client
	toldAt   time.Time // when it was said last that this node is refused
	contacts contacts
}

// tellEvery is how often at most it is said aloud that other nodes take nothing from this one.
const tellEvery = 30 * time.Second

// tell logs what failed: aloud if waiting will not mend it, which is a matter of rights, or of another cluster.
func (n *network) tell(ctx context.Context, what string, err error, args ...any) {
	level := slog.LevelDebug
	if code := wire.CodeOf(err); code == wire.ClusterAuthorizationFailed || code == wire.InconsistentClusterId {
		what += ": who was asked " + contactText(code)
		n.mu.Lock()
		if now := time.Now(); now.Sub(n.toldAt) > tellEvery {
			n.toldAt, level = now, slog.LevelWarn
		}
		n.mu.Unlock()
	}
	n.q.log.Log(ctx, level, what, append(args, "error", err)...)
}

type outlet struct {
	mu      sync.Mutex
	waiting []*pb.Message
	life    uint64 // the log that they are meant for
	asking  bool   // it is to be asked which log it has
	wake    chan struct{}
	// vain counts the requests in a row that had no answer in time. It belongs to who sends.
	vain int
	// examined is set while somebody looks whether the voter has ended.
	examined atomic.Bool
}

func (q *Quorum) startNetwork(g *lifecycle.Group) {
	n := &network{q: q, group: g, outlets: map[uint64]*outlet{}, clients: map[string]*peer.Client{}}
	q.carry, q.greet = n.send, n.greet
	g.Go("quorum-follow", n.follow)
	n.watchLeader(g)
	q.greetAll()
}

// send implements Quorum.carry.
func (n *network) send(to, life uint64, ms []*pb.Message) {
	o := n.outlet(to)
	o.mu.Lock()
	if o.life != life {
		o.life, o.waiting = life, nil
	}
	if len(o.waiting) < maxWaitingMessages {
		o.waiting = append(o.waiting, ms...)
	}
	o.mu.Unlock()
	o.poke()
}

// greet implements Quorum.greet.
func (n *network) greet(to uint64) {
	o := n.outlet(to)
	o.mu.Lock()
	o.asking = true
	o.mu.Unlock()
	o.poke()
}

func (o *outlet) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// outlet is the way to a voter.
func (n *network) outlet(to uint64) *outlet {
	n.mu.Lock()
	defer n.mu.Unlock()
	o := n.outlets[to]
	if o == nil {
		o = &outlet{wake: make(chan struct{}, 1)}
		n.outlets[to] = o
		n.group.Go("quorum-send", func(ctx context.Context) { n.run(ctx, to, o) })
	}
	return o
}

func (n *network) run(ctx context.Context, to uint64, o *outlet) {
	var lost <-chan struct{} // closed when the connection ends
	for {
		select {
		case <-ctx.Done():
			return
		case <-lost:
			lost = nil
			n.examine(to, o)
			continue
		case <-o.wake:
		}
		for {
			ms, life, any := o.take()
			if !any {
				break
			}
			err := n.deliver(ctx, to, o, life, ms)
			if err == nil {
				lost = n.lost(to)
			} else if ctx.Err() == nil {
				n.tell(ctx, "metadata quorum: messages were not taken", err, "to", to)
				n.q.inLoop(func() { n.q.unreachable(to, ms) })
				if lost != nil && errors.Is(err, peer.ErrLost) && !errors.Is(err, peer.ErrTimeout) {
					lost = nil
					n.examine(to, o)
				}
			}
		}
	}
}

// lost is closed when the connection to a voter ends.
func (n *network) lost(to uint64) <-chan struct{} {
	v, ok := n.q.member(to)
	if !ok || len(v.Endpoints) == 0 {
		return nil
	}
	return n.client("raft", addressesOf(v)[0]).Lost()
}

// take takes what waits, up to the size of one request, and the log that it is meant for. any is false if there is nothing to
// send, not even a question.
func (o *outlet) take() (ms []*pb.Message, life uint64, any bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	any = o.asking || len(o.waiting) > 0
	o.asking = false
	n, bytes := 0, 0
	for n < len(o.waiting) && (n == 0 || bytes < maxSendBytes) {
		for _, e := range o.waiting[n].GetEntries() {
			bytes += len(e.GetData())
		}
		n++
	}
	ms = o.waiting[:n:n]
	o.waiting = o.waiting[n:]
	return ms, o.life, any
}

// silentAfter is how many requests in a row go without an answer in time before the connection is left for a new one.
const silentAfter = 2

func (n *network) deliver(ctx context.Context, to uint64, o *outlet, life uint64, ms []*pb.Message) error {
	v, ok := n.q.member(to)
	if !ok || len(v.Endpoints) == 0 {
		return errNoLeader
	}
	req := &wire.RaftMessagesRequest{ClusterID: n.q.cfg.ClusterID, NodeID: n.q.cfg.NodeID, To: to, EndOffset: n.q.hw.Load(), Tag: n.q.tag(to, life)}
	for _, m := range ms {
		b, err := proto.Marshal(m)
		if err != nil {
			return err
		}
		req.Messages = append(req.Messages, b)
	}
	ctx, cancel := context.WithTimeout(ctx, n.q.cfg.ElectionTimeout)
	defer cancel()
	address := addressesOf(v)[0]
	client := n.client("raft", address)
	resp, err := client.Do(ctx, req)
	n.contacts.note(address, err)
	o.vain++
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && o.vain >= silentAfter {
			client.Renew()
		}
		return err
	}
	o.vain = 0
	r := resp.(*wire.RaftMessagesResponse)
	if code := wire.Code(r.ErrorCode); code != wire.None {
		n.contacts.note(address, code)
		if code == wire.InvalidVoterKey {
			n.q.refused()
		}
		return code
	}
	n.q.heard(to, r.Log)
	return nil
}

// client is the client for one purpose: an answer that waits for records holds up what comes behind it on a connection.
func (n *network) client(purpose, address string) *peer.Client {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := purpose + " " + address
	c := n.clients[key]
	if c == nil {
		c = n.q.cfg.Connect(address)
		n.clients[key] = c
	}
	return c
}

// unreachable tells Raft that messages got lost. It belongs to the loop.
func (q *Quorum) unreachable(to uint64, ms []*pb.Message) {
	q.node.ReportUnreachable(to)
	for _, m := range ms {
		if m.GetType() == pb.MsgSnap {
			q.snapshotFailed(to)
		}
	}
}

// snapshotFailed has Raft try again to bring a voter up that is behind its log. It belongs to the loop.
func (q *Quorum) snapshotFailed(to uint64) { q.node.ReportSnapshot(to, raft.SnapshotFailure) }

// follow asks the leader for what it has, while there is a reason to: see follower.
func (n *network) follow(ctx context.Context) {
	f := &n.q.follow
	failed := 0
	for ctx.Err() == nil {
		if f.done() {
			f.drop()
			failed = 0
			n.rest(ctx, f)
			continue
		}
		err := n.followOnce(ctx, f)
		if err == nil {
			failed = 0
			continue
		}
		if failed++; n.q.raft != nil && failed > 20 {
			f.fail()
		}
		n.tell(ctx, "metadata quorum: the metadata cannot be followed", err)
		n.pause(ctx)
	}
}

// rest waits until there may be a reason to follow.
func (n *network) rest(ctx context.Context, f *follower) {
	t := time.NewTimer(n.q.cfg.ElectionTimeout)
	defer t.Stop()
	select {
	case <-f.wake:
	case <-t.C:
	case <-ctx.Done():
	}
}

func (n *network) pause(ctx context.Context) {
	t := time.NewTimer(followRetry)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// followOnce asks once and hands on what comes.
func (n *network) followOnce(ctx context.Context, f *follower) error {
	all := f.addresses()
	if len(all) == 0 {
		return errNoLeader
	}
	if len(all) > 1 { // all have their turn, also where each names one that does not lead
		f.turn++
	}
	address := all[f.turn%len(all)]
	resp, err := n.ask(ctx, address, f.request())
	if err != nil {
		n.contacts.note(address, err)
		f.forget()
		f.drop()
		return err
	}
	got, err := f.answer(resp)
	n.contacts.note(address, err)
	if err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	if got == nil {
		return nil
	}
	n.q.applyq.put(applyItem{fetched: got})
	select {
	case <-got.done:
	case <-ctx.Done():
	}
	return nil
}

func (n *network) ask(ctx context.Context, address string, req kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchMaxWait+2*n.q.cfg.ElectionTimeout)
	defer cancel()
	client := n.client("follow", address)
	resp, err := client.Do(ctx, req)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		client.Renew()
	}
	return resp, err
}
