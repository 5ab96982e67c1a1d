package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// takeOver gives Raft's log to a metadata log that Apache Kafka wrote with one voter. Its end counts as committed;
// epochs and offsets go on. The originals are kept in a backup beside Raft's log, for the way back.
func takeOver(fsys vfs.FS, n *config.Node, s *State, dirID [16]byte, now time.Time, logger *slog.Logger) error {
	folder := filepath.Join(s.MetadataDir, quorum.LogDirName)
	h, err := readHistory(fsys, folder)
	if err != nil {
		return err
	}
	if h.end == 0 {
		return nil // formatted, but never started
	}
	if err := h.check(n, dirID); err != nil {
		return err
	}
	backup, err := backUp(fsys, folder, now)
	if err != nil {
		return fmt.Errorf("back up %s: %w", folder, err)
	}
	_, err = quorum.Initialize(fsys, s.MetadataDir, n.ID, dirID, h.kraft > 0, quorum.InitialState{Epoch: h.epoch, NextOffset: h.end})
	if err != nil {
		return err
	}
	logger.Info("took over the metadata log that Apache Kafka wrote", "dir", folder, "end", h.end, "epoch", h.epoch,
		"metadata.version", image.MetadataVersion(h.metadataVersion), "backup", backup)
	return nil
}

// history is what a metadata log of Apache Kafka says about its quorum.
type history struct {
	folder          string
	epoch           int32 // highest epoch seen, in the log or in quorum-state
	end             int64
	kraft           int16
	voters          []mr.VotersRecordVoter // of kraft.version 1
	staticVoters    int                    // of quorum-state
	metadataVersion int16
}

// readHistory reads snapshots, log and quorum-state.
func readHistory(fsys vfs.FS, folder string) (*history, error) {
	h := &history{folder: folder}
	entries, err := fsys.List(folder)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", folder, err)
	}
	var newest string
	var id quorum.SnapshotID
	var segments []string
	for _, e := range entries {
		if at, ok := quorum.ParseSnapshotName(e.Name); ok {
			newest, id = e.Name, at // names sort by offset
		} else if !e.IsDir && len(e.Name) == 24 && strings.HasSuffix(e.Name, ".log") {
			segments = append(segments, e.Name)
		}
	}
	if newest != "" {
		if err := h.readSnapshot(fsys, filepath.Join(folder, newest)); err != nil {
			return nil, err
		}
		h.end, h.epoch = id.EndOffset, id.Epoch
	}
	for _, name := range segments {
		if err := scanBatches(fsys, filepath.Join(folder, name), h.apply); err != nil {
			return nil, err
		}
	}
	return h, h.readQuorumState(fsys)
}

func (h *history) readSnapshot(fsys vfs.FS, path string) error {
	snap, err := quorum.ReadSnapshot(fsys, path)
	if err != nil {
		return err
	}
	h.kraft = snap.KRaftVersion
	if snap.Voters != nil {
		h.voters = snap.Voters.Voters
	}
	for v, err := range snap.Records() {
		if err != nil && !errors.Is(err, mr.ErrUnsupported) {
			return fmt.Errorf("%s: %w", path, err)
		}
		h.feature(v)
	}
	return nil
}

func (h *history) feature(v mr.Versioned) {
	if f, ok := v.Record.(*mr.FeatureLevelRecord); ok && f.Name == image.FeatureMetadata {
		h.metadataVersion = f.FeatureLevel
	}
}

// apply notes what a batch of the log says.
func (h *history) apply(b record.Batch) error {
	h.end, h.epoch = max(h.end, b.LastOffset()+1), max(h.epoch, b.LeaderEpoch())
	if !b.IsControl() {
		for v, err := range mr.Records(b) {
			if err != nil && !errors.Is(err, mr.ErrUnsupported) {
				return err
			}
			h.feature(v)
		}
		return nil
	}
	for m, err := range mr.ControlRecords(b) {
		if err != nil {
			return err
		}
		switch r := m.(type) {
		case *mr.KRaftVersionRecord:
			h.kraft = r.KRaftVersion
		case *mr.VotersRecord:
			h.voters = r.Voters
		}
	}
	return nil
}

func (h *history) readQuorumState(fsys vfs.FS) error {
	path := filepath.Join(h.folder, "quorum-state")
	data, err := vfs.ReadFile(fsys, path, 1<<20)
	if vfs.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	var q struct {
		LeaderEpoch   int32             `json:"leaderEpoch"`
		CurrentVoters []json.RawMessage `json:"currentVoters"`
	}
	if err := json.Unmarshal(data, &q); err != nil {
		return refuse("%s cannot be read: %v", path, err)
	}
	h.epoch = max(h.epoch, q.LeaderEpoch)
	h.staticVoters = len(q.CurrentVoters)
	return nil
}

// check refuses what cannot be taken over.
func (h *history) check(n *config.Node, dirID [16]byte) error {
	voters := h.staticVoters
	if h.kraft > 0 {
		voters = len(h.voters)
	}
	switch {
	case h.metadataVersion != 0 && !image.MetadataVersion(h.metadataVersion).Known():
		return refuse("%s has metadata.version %d, but this build knows %d (%s) to %d (%s): start it with the version that wrote it", h.folder,
			h.metadataVersion, image.MinMetadataVersion, image.MinMetadataVersion, image.MaxMetadataVersion, image.MaxMetadataVersion)
	case voters > 1 || len(n.Voters) > 1:
		return refuse("%s was written by a quorum of %d voters, whose logs may differ; only that of one voter can be taken over", h.folder, max(voters, len(n.Voters)))
	case h.kraft > 1:
		return refuse("%s has kraft.version %d, but this build knows 0 and 1", h.folder, h.kraft)
	case h.kraft > 0 && !slices.ContainsFunc(h.voters, func(v mr.VotersRecordVoter) bool { return v.VoterID == n.ID && v.VoterDirectoryID == dirID }):
		return refuse("the voter of %s is not node %d with directory.id %s", h.folder, n.ID, mr.FormatUUID(dirID))
	}
	return nil
}

// backUp keeps the files of the metadata log as they are: by a second name where Weir will not write to them again, and
// by a copy of the last segment, which it goes on with.
func backUp(fsys vfs.FS, folder string, now time.Time) (string, error) {
	target := filepath.Join(folder, quorum.RaftDirName, "before-"+now.UTC().Format("20060102T150405"))
	if err := vfs.MakeDir(fsys, target); err != nil {
		return "", err
	}
	entries, err := fsys.List(folder)
	if err != nil {
		return "", err
	}
	last := ""
	for _, e := range entries {
		if !e.IsDir && strings.HasSuffix(e.Name, ".log") {
			last = strings.TrimSuffix(e.Name, ".log")
		}
	}
	for _, e := range entries {
		if e.IsDir {
			continue
		}
		from, to := filepath.Join(folder, e.Name), filepath.Join(target, e.Name)
		if last != "" && strings.HasPrefix(e.Name, last+".") {
			err = copyFile(fsys, from, to)
		} else {
			err = fsys.Link(from, to)
		}
		if err != nil {
			return "", err
		}
	}
	return target, fsys.SyncDir(target)
}

func copyFile(fsys vfs.FS, from, to string) (err error) {
	src, err := fsys.Open(from, vfs.ReadOnly)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := fsys.Open(to, vfs.Fresh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	buf := make([]byte, 1<<20)
	for off := int64(0); ; {
		n, err := src.ReadAt(buf, off)
		if n > 0 {
			if _, werr := dst.WriteAt(buf[:n], off); werr != nil {
				return werr
			}
			off += int64(n)
		}
		if errors.Is(err, io.EOF) || (err == nil && n == 0) {
			return dst.Sync()
		}
		if err != nil {
			return err
		}
	}
}
