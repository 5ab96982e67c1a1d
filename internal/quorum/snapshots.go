package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/vfs"
)

// snapshots knows the snapshots of the metadata log and when the next one is due.
type snapshots struct {
	fs  vfs.FS
	dir string

	mu   sync.Mutex
	have []SnapshotID // oldest first
	busy bool

	// Owned by the apply worker.
	lastEnd   int64
	lastBytes int64 // metaLog.written when the last snapshot was made
	lastTime  time.Time
}

func openSnapshots(fsys vfs.FS, dir string) (*snapshots, error) {
	s := &snapshots{fs: fsys, dir: dir}
	infos, err := fsys.List(dir)
	if err != nil {
		return nil, err
	}
	for _, i := range infos {
		if id, ok := ParseSnapshotName(i.Name); ok {
			s.have = append(s.have, id)
		} else if strings.HasSuffix(i.Name, ".checkpoint.part") || strings.HasSuffix(i.Name, ".checkpoint.deleted") ||
			strings.HasSuffix(i.Name, ".checkpoint"+fetchedSuffix) {
			if err := fsys.Remove(filepath.Join(dir, i.Name)); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(s.have, func(a, b SnapshotID) int {
		if a.EndOffset != b.EndOffset {
			return int(min(max(a.EndOffset-b.EndOffset, -1), 1))
		}
		return int(a.Epoch) - int(b.Epoch)
	})
	return s, nil
}

// newest reads the newest snapshot that is complete, nil if there is none. A damaged one is left where it is and
// named in the log; an older one takes its place if the log reaches back to it.
func (s *snapshots) newest(log *slog.Logger) (*Snapshot, error) {
	for i := len(s.have) - 1; i >= 0; i-- {
		snap, err := ReadSnapshot(s.fs, filepath.Join(s.dir, s.have[i].FileName()))
		if err == nil {
			s.have = s.have[:i+1]
			return snap, nil
		}
		if !errors.Is(err, ErrDamaged) {
			return nil, err
		}
		log.Error("metadata snapshot is not usable", "error", err)
	}
	s.have = nil
	return nil, nil
}

// note remembers when this process began to count what the log holds beyond the newest snapshot.
func (s *snapshots) note(end int64, now time.Time) { s.lastEnd, s.lastTime = end, now }

// replaceAll makes a snapshot that was fetched the only one: the log does not reach back to the others.
func (s *snapshots) replaceAll(id SnapshotID, now time.Time) error {
	s.note(id.EndOffset, now)
	s.lastBytes = 0
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, old := range s.have {
		if err := s.fs.Remove(filepath.Join(s.dir, old.FileName())); err != nil && !vfs.IsNotExist(err) {
			return fmt.Errorf("remove an old snapshot: %w", err)
		}
	}
	s.have = []SnapshotID{id}
	return nil
}

// latest is the newest complete snapshot. Safe for concurrent use.
func (s *snapshots) latest() (id SnapshotID, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.have) == 0 {
		return id, false
	}
	return s.have[len(s.have)-1], true
}

// maintain does what is due after entries were applied: a snapshot, retention, a cut of Raft's log.
func (q *Quorum) maintain() error {
	if err := q.meta.writeEpochs(); err != nil && !vfs.IsNoSpace(err) {
		return fmt.Errorf("write %s: %w", epochFile, err)
	}
	if q.raft == nil {
		return q.snapshotIfDue()
	}
	// Raft knows that everything up to settled is applied, so it does not ask for those entries again.
	known := q.settled.Index > q.lastCut && q.settled.Index <= q.raftApplied.Load()
	if known && q.raftBytes.Load() > q.cfg.RaftLogBytes && q.cutting.CompareAndSwap(false, true) {
		if err := q.meta.sync(); err != nil {
			return err
		}
		at := q.settled
		q.lastCut = at.Index
		q.appendq.put(appendItem{cut: &at})
	}
	return q.snapshotIfDue()
}

func (q *Quorum) snapshotIfDue() error {
	s := q.snaps
	if q.spawn == nil {
		return nil
	}
	if q.meta.end <= s.lastEnd {
		return nil
	}
	now := q.cfg.Now()
	bytes := q.meta.written - s.lastBytes
	byBytes := q.cfg.SnapshotBytes > 0 && bytes >= q.cfg.SnapshotBytes
	byTime := q.cfg.SnapshotInterval > 0 && now.Sub(s.lastTime) >= q.cfg.SnapshotInterval
	if !byBytes && !byTime {
		return nil
	}
	return q.takeSnapshot(now)
}

// takeSnapshot starts writing a snapshot of the Listener's state; one at a time.
func (q *Quorum) takeSnapshot(now time.Time) error {
	s := q.snaps
	src := q.cfg.Listener.SnapshotSource()
	if src == nil || src.LastOffset()+1 <= s.lastEnd {
		return nil
	}
	s.mu.Lock()
	busy := s.busy
	s.busy = true
	s.mu.Unlock()
	if busy {
		return nil
	}
	id := SnapshotID{src.LastOffset() + 1, src.Epoch()}
	head := SnapshotHead{Epoch: id.Epoch, Timestamp: src.Timestamp(), Now: now.UnixMilli(), KRaftVersion: int16(q.kraft.Load()), Voters: q.voters.Load().record}
	s.lastEnd, s.lastBytes, s.lastTime = id.EndOffset, q.meta.written, now
	ok := q.spawn("quorum-snapshot", func(context.Context) { q.writeSnapshot(id, head, src) })
	if !ok {
		s.mu.Lock()
		s.busy = false
		s.mu.Unlock()
	}
	return nil
}

func (q *Quorum) writeSnapshot(id SnapshotID, head SnapshotHead, src SnapshotSource) {
	s := q.snaps
	began := q.cfg.Now()
	err := WriteSnapshot(s.fs, filepath.Join(s.dir, id.FileName()), head, src.Records)
	s.mu.Lock()
	s.busy = false
	if n := len(s.have); err == nil && (n == 0 || s.have[n-1].EndOffset < id.EndOffset) {
		s.have = append(s.have, id)
	}
	s.mu.Unlock()
	if err != nil {
		q.log.Error("metadata snapshot failed; the log is kept", "snapshot", id.FileName(), "error", err)
		return
	}
	q.log.Info("metadata snapshot written", "snapshot", id.FileName(), "took", q.cfg.Now().Sub(began).String())
	q.applyq.put(applyItem{retain: true})
}

// retainLog removes old snapshots and the segments that only they needed. The newest snapshot always stays.
func (q *Quorum) retainLog() error {
	s := q.snaps
	s.mu.Lock()
	defer s.mu.Unlock()
	now := q.cfg.Now()
	size := q.meta.size()
	for len(s.have) > 1 {
		name := filepath.Join(s.dir, s.have[0].FileName())
		info, err := s.fs.Stat(name)
		if err != nil && !vfs.IsNotExist(err) {
			return err
		}
		// The next snapshot reaches as far back as the log must: what lies below it can go with this one.
		next := s.have[1].EndOffset
		bySize := q.cfg.RetentionBytes > 0 && size > q.cfg.RetentionBytes
		byAge := q.cfg.RetentionAge > 0 && now.Sub(info.ModTime) > q.cfg.RetentionAge
		if !bySize && !byAge {
			break
		}
		if err := s.fs.Remove(name); err != nil && !vfs.IsNotExist(err) {
			return fmt.Errorf("remove an old snapshot: %w", err)
		}
		s.have = s.have[1:]
		if err := q.meta.dropBelow(next); err != nil {
			return fmt.Errorf("remove old metadata segments: %w", err)
		}
		size = q.meta.size()
	}
	q.start.Store(q.meta.start())
	return nil
}
