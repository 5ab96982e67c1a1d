package node

import (
	"context"
	"fmt"
	"sync"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/log"
)

// onlineDirectories are the ids of the directories that work.
func (n *Node) onlineDirectories() [][16]byte {
	var ids [][16]byte
	for _, d := range n.logs.Dirs() {
		if d.Online {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// directoryFailed takes the replicas of a failed directory offline and tells the controller, so that their partitions
// get other leaders. A node without a working directory, or without the one with its metadata, cannot go on.
func (n *Node) directoryFailed(d log.DirState, err error) {
	n.logger.Error("log directory is offline; its partitions are not served", "dir", d.Path, "err", err)
	if !n.assembled.Load() || !n.isBroker() {
		return // join looks at all directories
	}
	n.replicas.DirectoryFailed(d.ID)
	if err := n.tellOffline(); err != nil {
		n.fail(err)
	}
}

// tellOffline tells the controller which directories have failed. The error says that the node cannot go on with what
// is left.
func (n *Node) tellOffline() error {
	offline := n.offlineDirectories()
	if len(offline) == 0 {
		return nil
	}
	for _, d := range n.logs.Dirs() {
		if !d.Online && (len(offline) == len(n.logs.Dirs()) || d.Path == n.config.Load().Node().MetadataDir) {
			return fmt.Errorf("log directory %s failed and the node cannot go on without it: %w", d.Path, d.Err)
		}
	}
	n.uplink.SetOffline(offline)
	return nil
}

// offlineDirectories are the ids of the directories that have failed.
func (n *Node) offlineDirectories() [][16]byte {
	var ids [][16]byte
	for _, d := range n.logs.Dirs() {
		if !d.Online {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// setAsideStrays renames the directories of partitions that the metadata gives to nobody here.
func (n *Node) setAsideStrays() {
	img := n.image.Load()
	strays, err := n.logs.SetAsideStrays(func(tp log.TopicPartition, id log.TopicID) bool {
		t := img.TopicByName(tp.Topic)
		if t == nil || (id != log.TopicID{} && t.ID != id) {
			return true
		}
		p := t.Partition(tp.Partition)
		return p == nil || !p.HasReplica(n.id)
	})
	for _, tp := range strays {
		n.logger.Warn("the metadata knows no such replica here; its directory was renamed to -stray", "partition", tp.String())
	}
	if err != nil {
		n.logger.Error("stray partitions were left as they are", "err", err)
	}
}

// logMoved lets a replica go on with the log that a move between directories has put in the place of the old one, and
// tells the controller where it lies now.
func (n *Node) logMoved(_, now *log.Log) {
	tp := now.TopicPartition()
	n.replicas.LogMoved(tp)
	n.noteAssignment(now.TopicID(), tp.Partition, tp.Topic)
	n.sendAssignments()
}

// assignments gathers in which directory new replicas were put, and tells the controller in one request for many.
type assignments struct {
	mu      sync.Mutex
	pending map[[16]byte]map[[16]byte][]int32 // directory, topic, partitions
	sending bool
}

// noteAssignment remembers a replica whose directory the controller does not know.
func (n *Node) noteAssignment(topic image.TopicID, index int32, name string) {
	l := n.logs.Get(log.TopicPartition{Topic: name, Partition: index})
	if l == nil {
		return
	}
	dir := l.Dir().ID
	n.assign.mu.Lock()
	defer n.assign.mu.Unlock()
	if n.assign.pending == nil {
		n.assign.pending = map[[16]byte]map[[16]byte][]int32{}
	}
	if n.assign.pending[dir] == nil {
		n.assign.pending[dir] = map[[16]byte][]int32{}
	}
	n.assign.pending[dir][topic] = append(n.assign.pending[dir][topic], index)
}

// sendAssignments tells the controller what was noted. It is called after an image was published; the answer to that
// publishing does not wait for it.
func (n *Node) sendAssignments() {
	n.assign.mu.Lock()
	defer n.assign.mu.Unlock()
	if n.assign.sending || len(n.assign.pending) == 0 || n.uplink.Epoch() < 0 {
		return
	}
	batch := n.assign.pending
	n.assign.pending, n.assign.sending = nil, true
	n.work.Go("assign directories", func(ctx context.Context) {
		err := n.uplink.AssignDirectories(ctx, batch)
		n.assign.mu.Lock()
		n.assign.sending = false
		n.assign.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			n.logger.Warn("the controller does not know the directories of new replicas yet", "err", err)
		}
		n.sendAssignments()
	})
}
