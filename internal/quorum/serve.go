package quorum

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// maxServedBytes bounds one answer, whatever is asked for.
const maxServedBytes = 8 << 20

// ReplicaState is how far a replica of the metadata log is, as the leader knows.
type ReplicaState struct {
	ID           int32
	DirectoryID  [16]byte
	LogEndOffset int64 // -1: not known
	LastFetch    time.Time
	LastCaughtUp time.Time
}

type replicaKey struct {
	id  int32
	dir [16]byte
}

// replicaStates remembers who was heard of and how far they were. Safe for concurrent use.
type replicaStates struct {
	mu sync.Mutex
	by map[replicaKey]ReplicaState
}

func (r *replicaStates) init() { r.by = map[replicaKey]ReplicaState{} }

// maxReplicas bounds how many replicas are remembered.
const maxReplicas = 10000

// note remembers that a replica had everything before end when the log ended at logEnd.
func (r *replicaStates) note(id int32, dir [16]byte, end, logEnd int64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := replicaKey{id, dir}
	s, ok := r.by[key]
	if !ok && len(r.by) >= maxReplicas {
		return
	}
	s.ID, s.DirectoryID, s.LogEndOffset, s.LastFetch = id, dir, end, now
	if end >= logEnd {
		s.LastCaughtUp = now
	}
	r.by[key] = s
}

func (r *replicaStates) get(id int32, dir [16]byte) ReplicaState {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.by[replicaKey{id, dir}]; ok {
		return s
	}
	return ReplicaState{ID: id, DirectoryID: dir, LogEndOffset: -1}
}

// others are the replicas heard of since a time that are not voters.
func (r *replicaStates) others(voters *voterSet, since time.Time) []ReplicaState {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []ReplicaState
	for key, s := range r.by {
		if s.LastFetch.Before(since) {
			delete(r.by, key)
			continue
		}
		none := [16]byte{} // not known, or not known then
		if v, in := voters.find(key.id); !in || v.DirectoryID != key.dir && v.DirectoryID != none && key.dir != none {
			out = append(out, s)
		}
	}
	return out
}

// forgetReplicas is how long a replica that is not a voter is remembered after its last Fetch, as in Kafka.
const forgetReplicas = 5 * time.Minute

// Status is the state of the quorum now.
func (q *Quorum) Status() Status {
	now, set := q.cfg.Now(), q.voters.Load()
	st := Status{
		LeaderID: q.leader.Load(), LeaderEpoch: int32(q.term.Load()), HighWatermark: q.hw.Load(), LogEndOffset: q.hw.Load(),
		LogStart: q.start.Load(), KRaftVersion: int16(q.kraft.Load()), Voters: set.list(), Observers: q.seen.others(set, now.Add(-forgetReplicas)),
	}
	for _, v := range st.Voters {
		s := q.seen.get(v.ID, v.DirectoryID)
		if v.ID == q.cfg.NodeID {
			s.LogEndOffset, s.LastFetch, s.LastCaughtUp = st.LogEndOffset, now, now
		}
		st.States = append(st.States, s)
	}
	return st
}

// Leader is who leads, as far as this node knows (id -1: nobody), in which epoch and where.
func (q *Quorum) Leader() (v Voter, epoch int32) {
	if q.node == nil || q.outside() || q.isStranger() || q.leader.Load() < 0 && q.lonely.Load() {
		return q.follow.known()
	}
	return q.leaderNow()
}

// leaderNow is who leads, as far as this node knows, and where.
func (q *Quorum) leaderNow() (v Voter, epoch int32) {
	epoch = int32(q.term.Load())
	id := q.leader.Load()
	if known, ok := q.voters.Load().find(id); ok && id >= 0 {
		return known, epoch
	}
	return Voter{ID: -1}, epoch
}

// Fetch answers a Fetch of the metadata log (KIP-595), waiting for records as long as the request allows. Only the leader
// has answers; until it is certain of what is committed its high watermark is -1.
func (q *Quorum) Fetch(ctx context.Context, req *kmsg.FetchRequest) *kmsg.FetchResponse {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	switch {
	case req.ClusterID != nil && *req.ClusterID != q.cfg.ClusterID:
		resp.ErrorCode = int16(wire.InconsistentClusterId)
		return resp
	case len(req.Topics) != 1 || len(req.Topics[0].Partitions) != 1:
		resp.ErrorCode = int16(wire.InvalidRequest)
		return resp
	}
	asked := &req.Topics[0]
	t := kmsg.NewFetchResponseTopic()
	t.Topic, t.TopicID = asked.Topic, asked.TopicID
	p := kmsg.NewFetchResponseTopicPartition()
	p.Partition, p.HighWatermark, p.LastStableOffset, p.RecordBatches = asked.Partitions[0].Partition, -1, -1, []byte{}
	if (req.Version >= 13 && asked.TopicID != TopicID) || (req.Version < 13 && asked.Topic != topicName) || p.Partition != 0 {
		p.ErrorCode = int16(wire.UnknownTopicOrPartition)
		if req.Version >= 13 {
			p.ErrorCode = int16(wire.UnknownTopicId)
		}
	} else {
		q.fetch(ctx, req, &asked.Partitions[0], &p)
		q.addLeader(req.Version, resp, &p)
	}
	t.Partitions = append(t.Partitions, p)
	resp.Topics = append(resp.Topics, t)
	return resp
}

// checkEpoch says whether a request of a replica in an epoch can be answered here.
func (q *Quorum) checkEpoch(epoch int32) wire.Code {
	now := int32(q.term.Load())
	switch {
	case q.electedTerm.Load() == 0:
		return wire.NotLeaderOrFollower
	case epoch >= 0 && epoch < now:
		return wire.FencedLeaderEpoch
	case epoch > now:
		return wire.UnknownLeaderEpoch
	}
	return wire.None
}

func (q *Quorum) addLeader(version int16, resp *kmsg.FetchResponse, p *kmsg.FetchResponseTopicPartition) {
	leader, epoch := q.leaderNow()
	p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = leader.ID, epoch
	if version < 16 || len(leader.Endpoints) == 0 {
		return
	}
	b := kmsg.NewFetchResponseBroker()
	b.NodeID, b.Host, b.Port = leader.ID, leader.Endpoints[0].Host, int32(leader.Endpoints[0].Port)
	resp.Brokers = append(resp.Brokers, b)
}

// fetch fills one answer: records, a reference to a snapshot, or where the replica's log parts from this one.
func (q *Quorum) fetch(ctx context.Context, req *kmsg.FetchRequest, in *kmsg.FetchRequestTopicPartition, out *kmsg.FetchResponseTopicPartition) {
	id := req.ReplicaID
	if req.Version >= 15 {
		id = req.ReplicaState.ID
	}
	deadline := time.NewTimer(time.Duration(req.MaxWaitMillis) * time.Millisecond)
	defer deadline.Stop()
	for {
		grown, changed := q.grown(), q.Changed()
		if code := q.checkEpoch(in.CurrentLeaderEpoch); code != wire.None {
			out.ErrorCode = int16(code)
			return
		}
		start, end, _ := q.meta.bounds()
		certain := q.leads.Load()
		if certain && id >= 0 {
			q.seen.note(id, in.ReplicaDirectoryID, in.FetchOffset, end, q.cfg.Now())
		}
		// What is in the log is committed. But more may be than a new leader knows of, and a replica may have it.
		if certain || in.FetchOffset < end {
			out.HighWatermark, out.LogStartOffset = end, start
			if q.fetchFrom(in, out, start, int(req.MaxBytes), certain) || certain && in.HighWatermark < end && req.Version >= 18 {
				return
			}
		}
		select {
		case <-grown:
		case <-changed:
		case <-ctx.Done():
			return
		case <-deadline.C:
			return
		}
	}
}

// fetchFrom reports whether there is something to answer.
func (q *Quorum) fetchFrom(in *kmsg.FetchRequestTopicPartition, out *kmsg.FetchResponseTopicPartition, start int64, maxBytes int, certain bool) bool {
	if in.FetchOffset < start {
		return q.refer(out)
	}
	at, ok := q.meta.endOfEpoch(in.LastFetchedEpoch)
	if certain && in.FetchOffset > 0 && (!ok || at.epoch != in.LastFetchedEpoch || at.start < in.FetchOffset) && !q.endsSnapshot(in) {
		out.DivergingEpoch.Epoch, out.DivergingEpoch.EndOffset = at.epoch, at.start
		return true
	}
	b, err := q.meta.read(in.FetchOffset, min(max(maxBytes, 1), maxServedBytes))
	if errors.Is(err, errBelowStart) {
		return q.refer(out)
	}
	if err != nil {
		q.log.Error("metadata quorum: cannot read for a replica", "error", err)
		out.ErrorCode = int16(wire.KafkaStorageError)
		return true
	}
	out.RecordBatches = b
	return len(b) > 0
}

// endsSnapshot reports whether a replica stands where one of the snapshots here ends, in its epoch.
func (q *Quorum) endsSnapshot(in *kmsg.FetchRequestTopicPartition) bool {
	q.snaps.mu.Lock()
	defer q.snaps.mu.Unlock()
	for _, id := range q.snaps.have {
		if id.EndOffset == in.FetchOffset && id.Epoch == in.LastFetchedEpoch {
			return true
		}
	}
	return false
}

// refer sends a replica that is behind the log's start to the newest snapshot.
func (q *Quorum) refer(out *kmsg.FetchResponseTopicPartition) bool {
	id, ok := q.snaps.latest()
	if !ok {
		return false
	}
	out.SnapshotID.EndOffset, out.SnapshotID.Epoch = id.EndOffset, id.Epoch
	return true
}

// FetchSnapshot answers FetchSnapshot (KIP-630): a part of a snapshot's file.
func (q *Quorum) FetchSnapshot(req *kmsg.FetchSnapshotRequest) *kmsg.FetchSnapshotResponse {
	resp := req.ResponseKind().(*kmsg.FetchSnapshotResponse)
	switch {
	case req.ClusterID != nil && *req.ClusterID != q.cfg.ClusterID:
		resp.ErrorCode = int16(wire.InconsistentClusterId)
		return resp
	case len(req.Topics) != 1 || len(req.Topics[0].Partitions) != 1:
		resp.ErrorCode = int16(wire.InvalidRequest)
		return resp
	}
	in := &req.Topics[0].Partitions[0]
	t := kmsg.NewFetchSnapshotResponseTopic()
	t.Topic = req.Topics[0].Topic
	p := kmsg.NewFetchSnapshotResponseTopicPartition()
	p.Partition = in.Partition
	if t.Topic != topicName || in.Partition != 0 {
		p.ErrorCode = int16(wire.UnknownTopicOrPartition)
	} else {
		leader, epoch := q.leaderNow()
		p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = leader.ID, epoch
		p.ErrorCode = int16(q.checkEpoch(in.CurrentLeaderEpoch))
		if p.ErrorCode == 0 {
			p.ErrorCode = int16(q.readSnapshot(in, &p, int64(min(max(req.MaxBytes, 1), maxServedBytes))))
		}
		if len(leader.Endpoints) > 0 {
			e := kmsg.NewFetchSnapshotResponseNodeEndpoint()
			e.NodeID, e.Host, e.Port = leader.ID, leader.Endpoints[0].Host, leader.Endpoints[0].Port
			resp.NodeEndpoints = append(resp.NodeEndpoints, e)
		}
	}
	t.Partitions = append(t.Partitions, p)
	resp.Topics = append(resp.Topics, t)
	return resp
}

func (q *Quorum) readSnapshot(in *kmsg.FetchSnapshotRequestTopicPartition, out *kmsg.FetchSnapshotResponseTopicPartition, maxBytes int64) wire.Code {
	id := SnapshotID{in.SnapshotID.EndOffset, in.SnapshotID.Epoch}
	out.SnapshotID.EndOffset, out.SnapshotID.Epoch = id.EndOffset, id.Epoch
	f, err := q.cfg.FS.Open(filepath.Join(q.meta.dir, id.FileName()), vfs.ReadOnly)
	if vfs.IsNotExist(err) {
		return wire.SnapshotNotFound
	}
	if err != nil {
		return wire.KafkaStorageError
	}
	defer f.Close()
	size, err := f.Size()
	switch {
	case err != nil:
		return wire.KafkaStorageError
	case in.Position < 0 || in.Position >= size:
		return wire.PositionOutOfRange
	}
	out.Size, out.Position = size, in.Position
	out.Bytes = make([]byte, min(maxBytes, size-in.Position))
	if _, err := f.ReadAt(out.Bytes, in.Position); err != nil {
		q.log.Error("metadata quorum: cannot read a snapshot for a replica", "error", err)
		out.Bytes = nil
		return wire.KafkaStorageError
	}
	return wire.None
}

// Messages takes Raft's messages from another voter.
func (q *Quorum) Messages(req *wire.RaftMessagesRequest) *wire.RaftMessagesResponse {
	resp := &wire.RaftMessagesResponse{Version: req.Version}
	if req.Tag.FromLog != 0 {
		resp.Log = q.life // who names its log can read an answer that names one
	}
	resp.ErrorCode = int16(q.messages(req))
	return resp
}

func (q *Quorum) messages(req *wire.RaftMessagesRequest) wire.Code {
	switch {
	case req.ClusterID != q.cfg.ClusterID:
		return wire.InconsistentClusterId
	case q.node == nil || req.To != q.raftID:
		return wire.InconsistentVoterSet
	}
	life := lifeUntold
	if t := &req.Tag; t.FromLog != 0 {
		life = t.FromLog
		if q.strange(t) {
			return wire.InvalidVoterKey
		}
		if !q.known(t.From, life) || t.ToLog != q.life {
			return wire.None // the answer says why nothing was taken
		}
	}
	var ms []*pb.Message
	for _, b := range req.Messages {
		m := new(pb.Message)
		if err := unmarshal(append([]byte{}, b...), m); err != nil {
			return wire.InvalidRequest
		}
		from, in := q.member(m.GetFrom())
		if !in || m.GetTo() != q.raftID || !betweenVoters(m.GetType()) || !q.known(m.GetFrom(), life) {
			continue
		}
		q.seen.note(from.ID, from.DirectoryID, req.EndOffset, q.hw.Load(), q.cfg.Now())
		if m.GetType() != pb.MsgSnap {
			ms = append(ms, m)
			continue
		}
		q.follow.want(m, life)
	}
	q.deliver(life, ms)
	return wire.None
}

// deliver hands messages of another voter to the loop.
func (q *Quorum) deliver(life uint64, ms []*pb.Message) {
	var in []*pb.Message
	for _, m := range ms {
		switch m.GetType() {
		case pb.MsgSnapStatus: // sent by a voter that could not fetch what it was referred to
			q.inLoop(func() { q.snapshotFailed(m.GetFrom()) })
		case pb.MsgUnreachable: // sent by a voter that has less than the leader believes
			q.inLoop(func() { q.overestimated(m.GetFrom(), m.GetIndex()) })
		default:
			in = append(in, m)
		}
	}
	if len(in) > 0 {
		q.stepFrom(life, in)
	}
}

// betweenVoters are the messages that voters send each other.
func betweenVoters(t pb.MessageType) bool {
	switch t {
	case pb.MsgApp, pb.MsgAppResp, pb.MsgVote, pb.MsgVoteResp, pb.MsgPreVote, pb.MsgPreVoteResp, pb.MsgSnap, pb.MsgSnapStatus, pb.MsgUnreachable,
		pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgTimeoutNow:
		return true
	}
	return false
}
