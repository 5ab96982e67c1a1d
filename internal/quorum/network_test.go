package quorum

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/weir-stream/weir/internal/lifecycle"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/wire"
)

// TestSilentVoterIsDialledAnew: messages to a voter whose connection has gone dead, as after a partition, go over another
// one soon: TCP would wait for up to two minutes after the way is open again.
func TestSilentVoterIsDialledAnew(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := lifecycle.New("test", slog.Default())
	defer g.Stop()
	defer l.Close()
	var dials atomic.Int32
	taken := make(chan struct{})
	g.Go("voter", func(context.Context) {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			dead := dials.Add(1) == 1
			g.Go("voter's connection", func(context.Context) { answerRaft(nc, dead, taken) })
		}
	})
	q := &Quorum{cfg: Config{ClusterID: "c", ElectionTimeout: 100 * time.Millisecond, Log: slog.Default()}, log: slog.Default()}
	q.lives.init()
	q.cfg.Connect = func(address string) *peer.Client {
		return peer.New(peer.Config{Address: address, RequestTimeout: time.Hour, Group: g})
	}
	addr := l.Addr().(*net.TCPAddr)
	q.voters.Store(&voterSet{byRaft: map[uint64]Voter{7: {ID: 2, Endpoints: []Endpoint{{Host: "127.0.0.1", Port: uint16(addr.Port)}}}}})
	n := &network{q: q, group: g, outlets: map[uint64]*outlet{}, clients: map[string]*peer.Client{}}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for {
		n.send(7, lifeUntold, []*pb.Message{{Type: pb.MsgHeartbeat.Enum(), To: new(uint64(7))}})
		select {
		case <-taken:
			if got := dials.Load(); got != 2 {
				t.Errorf("%d connections, want 2", got)
			}
			return
		case <-end:
			t.Fatalf("nothing was taken over %d connections", dials.Load())
		case <-tick.C:
		}
	}
}

// answerRaft is a voter's end of a connection: one that is dead reads and says nothing after the greeting.
func answerRaft(nc net.Conn, dead bool, taken chan struct{}) {
	defer nc.Close()
	in := bufio.NewReader(nc)
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return
		}
		p := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(in, p); err != nil {
			return
		}
		h, err := wire.ParseHeader(p)
		if err != nil {
			return
		}
		var body interface{ AppendTo([]byte) []byte }
		switch {
		case h.Key == wire.KeyApiVersions:
			resp := kmsg.NewPtrApiVersionsResponse()
			resp.SetVersion(h.Version)
			body = resp
		case dead:
			continue
		default:
			body = &wire.RaftMessagesResponse{}
		}
		out := body.AppendTo(wire.AppendResponseHeader(make([]byte, 4), h.Key, h.Version, h.CorrelationID))
		binary.BigEndian.PutUint32(out, uint32(len(out)-4))
		if _, err := nc.Write(out); err != nil {
			return
		}
		if h.Key != wire.KeyApiVersions {
			select {
			case taken <- struct{}{}:
			default:
			}
		}
	}
}

// TestNoLeaderIsSaid: a node that finds no leader says so, with what each address answers, once in a while, and when it is over.
func TestNoLeaderIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &lockedText{}
		logger := slog.New(slog.NewTextHandler(out, nil))
		g := lifecycle.New("test", logger)
		defer g.Stop()
		q := &Quorum{log: logger, changed: make(chan struct{})}
		q.leader.Store(-1)
		n := &network{q: q}
		n.contacts.note("a:1", wire.InconsistentClusterId)
		n.contacts.note("c:1", wire.UnknownTopicId)
		n.contacts.note("b:1", fmt.Errorf("connection refused"))
		n.watchLeader(g)
		time.Sleep(leaderlessFor - 2*time.Second)
		synctest.Wait()
		if s := out.String(); s != "" {
			t.Fatalf("too soon: %s", s)
		}
		time.Sleep(tellEvery)
		synctest.Wait()
		if s := out.String(); strings.Count(s, "no leader is known") != 1 || !strings.Contains(s, "a:1 belongs to another cluster") || !strings.Contains(s, "b:1 fails: connection refused; c:1 is no controller") {
			t.Fatal(s)
		}
		q.leader.Store(2)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := out.String(); strings.Count(s, "a leader is known again") != 1 {
			t.Fatal(s)
		}
	})
}

// lockedText is what was logged. Safe for concurrent use.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestWhoDoesNotLeadIsNotFollowed: a node that leads no more may name itself for ever, and one that has lost its disk, or was removed, is named by
// others. Neither is asked again and again: another is.
func TestWhoDoesNotLeadIsNotFollowed(t *testing.T) {
	s := newSimulation(t, t, 1, "", new(members))
	own := s.nodes[2].q
	f := &own.follow
	take := func(code wire.Code, leader, epoch, want int32) {
		t.Helper()
		_ = f.heard(code, leader, epoch, nil) // the code is in it
		if got, _ := f.known(); got.ID != want {
			t.Errorf("%v of leader %d in epoch %d: %d is followed, want %d", code, leader, epoch, got.ID, want)
		}
	}
	take(wire.NotLeaderOrFollower, 1, 2, 1)
	take(wire.None, 1, 2, 1)
	take(wire.NotLeaderOrFollower, 1, 2, -1)
	take(wire.NotLeaderOrFollower, 1, 2, 1) // by one that does not know better
	take(wire.FencedLeaderEpoch, 1, 3, 1)   // it leads again
	take(wire.NotLeaderOrFollower, -1, 2, -1)
	take(wire.NotLeaderOrFollower, 1, 3, 1)
	take(wire.NotLeaderOrFollower, own.cfg.NodeID, 4, -1)
	take(wire.NotLeaderOrFollower, own.cfg.NodeID, 4, -1)
	take(wire.NotLeaderOrFollower, 0, 5, 0)
}

// TestWhoHasAnIDOfAStaticQuorumIsReplaced: a voter's disk is lost twice after a static quorum has become dynamic. By its settings it takes part in
// Raft by its node id, each time; in the voters' record is the directory that it had between, or none. Under that id nobody finds
// it who adds it: it ends.
func TestWhoHasAnIDOfAStaticQuorumIsReplaced(t *testing.T) {
	for _, c := range []struct {
		name     string
		founders []int // nodes
		voters   map[int32][16]byte
		replaced bool
	}{
		{name: "in its place", founders: []int{0, 1, 2}, voters: map[int32][16]byte{2: {3}}},
		{name: "removed", founders: []int{0, 1, 2}},
		{name: "lost once", founders: []int{0, 1}, voters: map[int32][16]byte{2: {9}}, replaced: true},
		{name: "lost, and removed", founders: []int{0, 1}, replaced: true},
	} {
		s := newSimulation(t, t, 1, "", &members{static: true})
		q := s.nodes[2].q
		r := mr.NewVotersRecord()
		for _, i := range c.founders {
			r = withVoter(r, s.nodes[i].voter())
		}
		r = withFounders(r)
		r = withoutVoter(r, 2)
		for id, dir := range c.voters {
			r = withVoter(r, Voter{ID: id, DirectoryID: dir})
		}
		if err := q.noteVoters(r); err != nil {
			t.Fatal(err)
		}
		if err := q.checkPlace(); err != nil {
			t.Errorf("%s: in a static quorum: %v", c.name, err)
		}
		q.kraft.Store(1)
		if err := q.checkPlace(); errors.Is(err, ErrReplaced) != c.replaced {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
