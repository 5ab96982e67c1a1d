// Package quorum keeps the metadata log: its voters agree on record batches with etcd's Raft (RawNode, one owner loop,
// asynchronous storage writes), store entries and votes in __cluster_metadata-0/weir/, and apply what is committed to
// the __cluster_metadata-0 log and its snapshots in Apache Kafka's formats. Observers, and voters that fell behind
// Raft's log, follow the leader's metadata log by Kafka's Fetch and FetchSnapshot.
//
// It does not know what the records mean: a Listener is told of leadership and of committed batches, in order,
// and writes the snapshots' records. Raft's messages are its own; it takes no part in Kafka's Vote protocol.
package quorum

import (
	"errors"
	"log/slog"
	"time"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// Endpoint is where a voter listens for the others.
type Endpoint struct {
	Name string
	Host string
	Port uint16
}

// Config says where the log is and who this node is.
type Config struct {
	FS vfs.FS
	// Dir is the metadata log directory, the parent of __cluster_metadata-0.
	Dir string
	// NodeID is this node's id and DirectoryID that of Dir.
	NodeID      int32
	DirectoryID [16]byte
	ClusterID   string
	// Endpoints are this voter's controller listeners, for the voters record.
	Endpoints []Endpoint
	Listener  Listener
	// Voters are the members of a static quorum (controller.quorum.voters); nil for a dynamic one, whose voters stand in
	// the log, and for a node that is its quorum alone.
	Voters []Voter
	// Dynamic says that the settings name no voters: they stand in the log, and who has none yet stands outside until it
	// is added (kraft.version 1).
	Dynamic bool
	// Observer says that this node never votes: it follows the leader.
	Observer bool
	// Bootstrap are the addresses at which an observer asks who leads, until it knows (host:port).
	Bootstrap []string
	// Connect makes a client to another node's controller listener. nil: there are no other nodes.
	Connect func(address string) *peer.Client
	// ElectionTimeout is how long the leader may be silent before there is an election [1 s].
	ElectionTimeout time.Duration

	// SegmentBytes and SegmentAge roll the metadata log (metadata.log.segment.bytes and .ms).
	SegmentBytes int64
	SegmentAge   time.Duration
	// SnapshotBytes and SnapshotInterval say when a snapshot is due (metadata.log.max.record.bytes.between.snapshots,
	// metadata.log.max.snapshot.interval.ms; 0: never by time).
	SnapshotBytes    int64
	SnapshotInterval time.Duration
	// RetentionBytes and RetentionAge say how much of log and snapshots is kept (metadata.max.retention.bytes and .ms;
	// 0 or less: no limit).
	RetentionBytes int64
	RetentionAge   time.Duration
	// RaftLogBytes is when Raft's own log is cut; 0 means 8 MiB.
	RaftLogBytes int64

	// FetchBytes and FetchSnapshotBytes are what a node that follows asks for at a time, of the log and of a snapshot; 0: 1 MiB.
	FetchBytes, FetchSnapshotBytes int32

	// FullDiskPatience is for how long a full disk may keep this node from storing what others have committed, before that is
	// a fault; 0: for ever. What only this node would commit waits for ever.
	FullDiskPatience time.Duration

	// OnFault is called, from any goroutine and perhaps more than once, when the disk failed or the state cannot be
	// right: nothing is committed from then on, and the process should end.
	OnFault func(error)

	// OnEnded is called, from any goroutine, when a voter's process shows the signs of having ended: its connection was
	// lost and its listener refuses new ones. nil: nobody asks.
	OnEnded func(nodeID int32)

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: slog.Default
}

// Listener is told what happened, always from one goroutine at a time and in order. It must not call back into the
// Quorum except for Propose and the reads.
type Listener interface {
	// LoadSnapshot replaces all state by what the snapshot has. It comes at most once, before any Commit, or when
	// this node fell behind the log's start.
	LoadSnapshot(s *Snapshot) error
	// Commit applies committed batches, control batches included. The bytes must not be kept.
	Commit(batches []record.Batch) error
	// Leader says that this node leads in epoch and that the next record gets offset next. All earlier batches
	// were given to Commit.
	Leader(epoch int32, next int64)
	// Resigned says that this node does not lead any more, and who does (-1: not known).
	Resigned(epoch, leader int32)
	// SnapshotSource returns the present state for a snapshot, nil if there is none to be had now (for
	// example amid a metadata transaction).
	SnapshotSource() SnapshotSource
}

// SnapshotSource is a state at one offset of the metadata log.
type SnapshotSource interface {
	// LastOffset, Epoch and Timestamp are those of the last record contained.
	LastOffset() int64
	Epoch() int32
	Timestamp() int64
	// Records calls yield with every record of the state in Kafka's order.
	Records(yield func(mr.Versioned) bool)
}

// ErrNotLeader says that the proposal was not made since this node does not lead in that epoch.
var ErrNotLeader = errors.New("not the leader of the metadata quorum")

// ErrDamaged is wrapped by the error of Open when files are damaged in a way that a crash cannot explain.
var ErrDamaged = errors.New("damaged metadata")

// Status is the state of the quorum as DescribeQuorum shows it.
type Status struct {
	LeaderID      int32 // -1: none
	LeaderEpoch   int32
	HighWatermark int64
	LogEndOffset  int64
	LogStart      int64
	KRaftVersion  int16
	// Voters are in the order of their ids. States and Observers say how far the replicas are, as far as a leader knows.
	Voters    []Voter
	States    []ReplicaState
	Observers []ReplicaState
}
