package quorum

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// What a follower asks for at a time.
const (
	standardFetchBytes = 1 << 20
	fetchMaxWait       = 500 * time.Millisecond
	// followRetry is the pause after an answer that was of no use.
	followRetry = 50 * time.Millisecond
	// maxSnapshotPart bounds what one answer adds to a snapshot that is being fetched.
	maxSnapshotPart = 64 << 20
)

// topicName is the name of the metadata topic.
const topicName = "__cluster_metadata"

// fetched is what came from the leader: batches, or a snapshot that stands complete beside the log. done is closed when
// the apply worker has it.
type fetched struct {
	batches       []byte
	highWatermark int64
	snapshot      *SnapshotID
	done          chan struct{}
}

// follower fetches the committed log from the leader, as Kafka's observers do (KIP-595, 630). For an observer it runs
// all the time; for a voter it runs when the leader refers it to a point behind Raft's log: the reference goes to Raft
// when the metadata log has reached the point. What is not committed is passed over, so nothing is ever cut.
//
// request and answer belong to one goroutine, the one that follows.
type follower struct {
	q *Quorum

	mu     sync.Mutex  // for wanted, and to change leader and epoch
	wanted *pb.Message // a voter's reference to a point
	life   uint64      // the log that the reference is from
	wake   chan struct{}

	leader  Voter // id -1: not known
	epoch   int32
	turn    int // which of the bootstrap addresses is next
	loading *loading
}

// loading is a snapshot that is being fetched.
type loading struct {
	id   SnapshotID
	pos  int64
	file vfs.File
}

func (f *follower) init(q *Quorum) {
	f.q, f.wake = q, make(chan struct{}, 1)
	f.leader.ID = -1
}

// want asks to catch up to the point that a message of the leader refers to.
func (f *follower) want(m *pb.Message, life uint64) {
	f.mu.Lock()
	f.wanted, f.life = m, life
	f.mu.Unlock()
	f.poke()
}

// poke has the one who follows look whether there is a reason to.
func (f *follower) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// target is the reference that is wanted, and where it ends.
func (f *follower) target() (m *pb.Message, end int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wanted == nil {
		return nil, 0
	}
	at, err := pointOf(f.wanted.GetSnapshot())
	if err != nil {
		f.wanted = nil
		return nil, 0
	}
	return f.wanted, at.NextOffset
}

// done gives the reference to Raft if the metadata log has durably reached it, and reports whether nothing is left to do.
func (f *follower) done() bool {
	m, end := f.target()
	if m == nil {
		return f.q.raft != nil && !f.q.astray()
	}
	if f.q.synced.Load() < end {
		return false
	}
	f.mu.Lock()
	life := f.life
	if f.wanted == m {
		f.wanted = nil
	}
	f.mu.Unlock()
	f.q.stepFrom(life, []*pb.Message{m})
	return true
}

// fail gives the reference up and tells the leader, which sends another one later.
func (f *follower) fail() {
	m, _ := f.target()
	if m == nil {
		return
	}
	f.mu.Lock()
	f.wanted = nil
	f.mu.Unlock()
	f.q.send(m.GetFrom(), []*pb.Message{{Type: pb.MsgSnapStatus.Enum(), From: &f.q.raftID, To: m.From, Term: m.Term, Reject: new(true)}})
}

// request is what to ask the leader next.
func (f *follower) request() kmsg.Request {
	if f.loading != nil {
		return f.snapshotRequest()
	}
	_, end, epoch := f.q.meta.bounds()
	req := kmsg.NewPtrFetchRequest()
	req.ClusterID = &f.q.cfg.ClusterID
	req.ReplicaID = f.q.cfg.NodeID
	req.ReplicaState.ID, req.ReplicaState.Epoch = f.q.cfg.NodeID, -1
	req.MaxWaitMillis, req.MaxBytes = int32(fetchMaxWait.Milliseconds()), cmp.Or(f.q.cfg.FetchBytes, standardFetchBytes)
	req.SessionEpoch = -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topicName, TopicID
	p := kmsg.NewFetchRequestTopicPartition()
	p.CurrentLeaderEpoch, p.FetchOffset, p.LastFetchedEpoch, p.LogStartOffset = f.epoch, end, epoch, -1
	p.ReplicaDirectoryID, p.HighWatermark = f.q.cfg.DirectoryID, end
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func (f *follower) snapshotRequest() kmsg.Request {
	req := kmsg.NewPtrFetchSnapshotRequest()
	req.ClusterID, req.ReplicaID, req.MaxBytes = &f.q.cfg.ClusterID, f.q.cfg.NodeID, cmp.Or(f.q.cfg.FetchSnapshotBytes, standardFetchBytes)
	t := kmsg.NewFetchSnapshotRequestTopic()
	t.Topic = topicName
	p := kmsg.NewFetchSnapshotRequestTopicPartition()
	p.CurrentLeaderEpoch, p.Position, p.ReplicaDirectoryID = f.epoch, f.loading.pos, f.q.cfg.DirectoryID
	p.SnapshotID.EndOffset, p.SnapshotID.Epoch = f.loading.id.EndOffset, f.loading.id.Epoch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// errNoLeader says that the node that was asked does not lead.
var errNoLeader = errors.New("the node that was asked does not lead the metadata quorum")

// answer takes what came. An error means that the next request is to wait a little.
func (f *follower) answer(resp kmsg.Response) (*fetched, error) {
	switch r := resp.(type) {
	case *kmsg.FetchResponse:
		return f.fetchAnswer(r)
	case *kmsg.FetchSnapshotResponse:
		return f.snapshotAnswer(r)
	}
	return nil, fmt.Errorf("an answer of type %T", resp)
}

func (f *follower) fetchAnswer(r *kmsg.FetchResponse) (*fetched, error) {
	if r.ErrorCode != 0 {
		return nil, wire.Code(r.ErrorCode)
	}
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("an answer for %d topics", len(r.Topics))
	}
	p := &r.Topics[0].Partitions[0]
	endpoints := map[int32]Endpoint{}
	for _, b := range r.Brokers {
		endpoints[b.NodeID] = Endpoint{Host: b.Host, Port: uint16(b.Port)}
	}
	if err := f.heard(wire.Code(p.ErrorCode), p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch, endpoints); err != nil {
		return nil, err
	}
	switch {
	case p.SnapshotID.EndOffset >= 0:
		return nil, f.load(SnapshotID{p.SnapshotID.EndOffset, p.SnapshotID.Epoch})
	case p.DivergingEpoch.Epoch >= 0 || p.DivergingEpoch.EndOffset >= 0:
		// What this node has was committed, so it is the other side that lacks something: it may not have caught up yet.
		return nil, fmt.Errorf("the leader's metadata log diverges after epoch %d at offset %d", p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset)
	case p.HighWatermark < 0:
		// It has just been elected, and may be waiting for this very node: what the reference asks for may be here.
		if m, end := f.target(); m != nil {
			if _, have, _ := f.q.meta.bounds(); have >= end {
				return &fetched{highWatermark: -1, done: make(chan struct{})}, nil
			}
		}
		return nil, errNoLeader
	}
	return &fetched{batches: p.RecordBatches, highWatermark: p.HighWatermark, done: make(chan struct{})}, nil
}

// heard takes over who leads, by an answer. A node does not follow itself, whoever says that it leads: it did, and has lost its disk
// since, or was removed.
func (f *follower) heard(code wire.Code, leader, epoch int32, endpoints map[int32]Endpoint) error {
	asked, was := f.leader.ID, f.epoch
	if leader == f.q.cfg.NodeID {
		leader = -1
	}
	if leader >= 0 && epoch >= f.epoch && (leader != f.leader.ID || epoch > f.epoch) {
		v := Voter{ID: leader}
		if e, ok := endpoints[leader]; ok && e.Host != "" {
			v.Endpoints = []Endpoint{e}
		} else if known, ok := f.q.voters.Load().find(leader); ok {
			v.Endpoints = known.Endpoints
		}
		f.lead(v, epoch)
	} else if leader < 0 && epoch > f.epoch {
		f.forget()
		f.epoch = epoch
	}
	if code != wire.None && asked >= 0 && f.leader.ID == asked && f.epoch == was {
		f.forget() // it does not lead, and may go on for ever to name itself
	}
	switch code {
	case wire.None:
		return nil
	case wire.NotLeaderOrFollower:
		f.fail() // a reference of one that does not lead any more leads nowhere
		return fmt.Errorf("%w: %w", errNoLeader, code)
	case wire.FencedLeaderEpoch, wire.UnknownLeaderEpoch, wire.BrokerNotAvailable:
		return fmt.Errorf("%w: %w", errNoLeader, code)
	}
	return code
}

// forget looks for the leader anew.
func (f *follower) forget() { f.lead(Voter{ID: -1}, f.epoch) }

// lead notes who leads.
func (f *follower) lead(v Voter, epoch int32) {
	f.mu.Lock()
	f.leader, f.epoch = v, epoch
	f.mu.Unlock()
	if f.q.node == nil || f.q.outside() {
		f.q.noteLeader(v.ID, int64(epoch))
	}
}

// known is who leads. Safe for concurrent use.
func (f *follower) known() (Voter, int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leader, f.epoch
}

// addresses are where the next request may go: to the leader if it is known, else to each of those who may know.
func (f *follower) addresses() []string {
	if m, _ := f.target(); m != nil && f.q.raft != nil {
		if v, ok := f.q.voters.Load().byRaft[m.GetFrom()]; ok {
			return addressesOf(v)
		}
	}
	if f.leader.ID >= 0 {
		if a := addressesOf(f.leader); len(a) > 0 {
			return a
		}
	}
	all := append([]string{}, f.q.cfg.Bootstrap...)
	for _, v := range f.q.voters.Load().list() {
		if v.ID != f.q.cfg.NodeID {
			all = append(all, addressesOf(v)...)
		}
	}
	return all
}

func addressesOf(v Voter) []string {
	var out []string
	for _, e := range v.Endpoints {
		out = append(out, net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))))
	}
	return out
}

// load begins to fetch a snapshot.
func (f *follower) load(id SnapshotID) error {
	f.drop()
	if _, end, _ := f.q.meta.bounds(); id.EndOffset <= end {
		return fmt.Errorf("the leader offers a snapshot up to offset %d, which is here already", id.EndOffset)
	}
	file, err := f.q.cfg.FS.Open(f.part(id), vfs.Fresh)
	if err != nil {
		return fmt.Errorf("fetch a metadata snapshot: %w", err)
	}
	f.loading = &loading{id: id, file: file}
	f.q.log.Info("metadata quorum: fetching a snapshot", "snapshot", id.FileName())
	return nil
}

// fetchedSuffix ends the name of a snapshot that is being fetched: one of this node's own may be written at the same time.
const fetchedSuffix = ".fetched"

func (f *follower) part(id SnapshotID) string {
	return filepath.Join(f.q.meta.dir, id.FileName()+fetchedSuffix)
}

// drop gives up a snapshot that is being fetched.
func (f *follower) drop() {
	if f.loading == nil {
		return
	}
	_ = f.loading.file.Close() // it is not wanted
	_ = f.q.cfg.FS.Remove(f.part(f.loading.id))
	f.loading = nil
}

func (f *follower) snapshotAnswer(r *kmsg.FetchSnapshotResponse) (*fetched, error) {
	l := f.loading
	if r.ErrorCode != 0 || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		f.drop()
		return nil, fmt.Errorf("fetch a metadata snapshot: error %d, %d topics", r.ErrorCode, len(r.Topics))
	}
	p := &r.Topics[0].Partitions[0]
	endpoints := map[int32]Endpoint{}
	for _, e := range r.NodeEndpoints {
		endpoints[e.NodeID] = Endpoint{Host: e.Host, Port: e.Port}
	}
	if err := f.heard(wire.Code(p.ErrorCode), p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch, endpoints); err != nil {
		f.drop() // the next Fetch says which snapshot there is
		return nil, err
	}
	if p.Position != l.pos || len(p.Bytes) == 0 || len(p.Bytes) > maxSnapshotPart || l.pos+int64(len(p.Bytes)) > p.Size {
		f.drop()
		return nil, fmt.Errorf("fetch a metadata snapshot: %d bytes at %d of %d, asked for %d", len(p.Bytes), p.Position, p.Size, l.pos)
	}
	if _, err := l.file.WriteAt(p.Bytes, l.pos); err != nil {
		f.drop()
		return nil, fmt.Errorf("fetch a metadata snapshot: %w", err)
	}
	if l.pos += int64(len(p.Bytes)); l.pos < p.Size {
		return nil, nil
	}
	return f.loaded()
}

// loaded ends the fetching of a snapshot: its part is durable. The apply worker gives it its name.
func (f *follower) loaded() (*fetched, error) {
	l := f.loading
	err := l.file.Sync()
	if cerr := l.file.Close(); err == nil {
		err = cerr
	}
	f.loading = nil
	if err != nil {
		return nil, fmt.Errorf("fetch a metadata snapshot: %w", err)
	}
	return &fetched{snapshot: &l.id, done: make(chan struct{})}, nil
}

// applyFetched takes over what was fetched. It belongs to the apply worker.
func (q *Quorum) applyFetched(ctx context.Context, in *fetched) error {
	defer close(in.done)
	if in.snapshot != nil {
		return q.applySnapshot(*in.snapshot)
	}
	var fresh []record.Batch
	for rest := in.batches; len(rest) > 0; {
		var b record.Batch
		var err error
		if b, rest, err = record.Next(rest); err == nil {
			err = b.VerifyCRC()
		}
		if err != nil {
			q.log.Warn("metadata quorum: what the leader sent does not check and is fetched again", "error", err)
			break
		}
		if b.NextOffset() > in.highWatermark || b.BaseOffset() > q.meta.end {
			break
		}
		if b.BaseOffset() == q.meta.end {
			if err := q.markPull(); err != nil {
				return err
			}
		}
		if b, err = q.appendBatch(ctx, b); err != nil || ctx.Err() != nil {
			return err
		}
		if b != nil {
			fresh = append(fresh, b)
		}
	}
	if m, end := q.follow.target(); m != nil && q.raft != nil && q.meta.end >= end {
		if err := q.meta.sync(); err != nil { // Raft's log will begin here
			return err
		}
		q.synced.Store(q.meta.end)
	}
	if q.raft == nil {
		q.applied.NextOffset = q.meta.end
	}
	q.grow()
	if len(fresh) == 0 {
		return nil
	}
	return q.cfg.Listener.Commit(fresh)
}

// applySnapshot replaces the state, and the log, by a snapshot that was fetched.
func (q *Quorum) applySnapshot(id SnapshotID) error {
	path := filepath.Join(q.meta.dir, id.FileName())
	if id.EndOffset <= q.meta.end {
		return q.cfg.FS.Remove(path + fetchedSuffix)
	}
	s, err := ReadSnapshot(q.cfg.FS, path+fetchedSuffix)
	if errors.Is(err, ErrDamaged) {
		q.log.Warn("metadata quorum: a snapshot that the leader sent is not usable and is fetched again", "error", err)
		return q.cfg.FS.Remove(path + fetchedSuffix)
	}
	if err != nil {
		return err
	}
	s.ID = id
	// The next start goes on from the snapshot as soon as it has its name, ahead of Raft's log.
	if err := q.markPull(); err != nil {
		return err
	}
	if err := q.cfg.FS.Rename(path+fetchedSuffix, path); err != nil {
		return fmt.Errorf("name a metadata snapshot: %w", err)
	}
	if err := q.cfg.FS.SyncDir(q.meta.dir); err != nil {
		return err
	}
	if s.Voters != nil {
		if err := q.noteVoters(s.Voters); err != nil {
			return err
		}
	}
	q.kraft.Store(int32(s.KRaftVersion))
	if err := q.checkPlace(); err != nil {
		return err
	}
	if err := q.cfg.Listener.LoadSnapshot(s); err != nil {
		return fmt.Errorf("snapshot %s: %w", id.FileName(), err)
	}
	if err := q.meta.reset(id, s.Timestamp); err != nil {
		return fmt.Errorf("begin the metadata log anew: %w", err)
	}
	q.snapEnd = id.EndOffset
	q.synced.Store(id.EndOffset)
	q.grow()
	q.log.Info("metadata quorum: went on from a snapshot of the leader", "snapshot", id.FileName())
	return q.snaps.replaceAll(id, q.cfg.Now())
}
