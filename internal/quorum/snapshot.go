package quorum

import (
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"strconv"
	"strings"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// maxSnapshotBytes bounds how large a snapshot may be to be read.
const maxSnapshotBytes = 4 << 30

// snapshotBatchBytes is about how large the batches of a snapshot get.
const snapshotBatchBytes = 512 << 10

// SnapshotID names a snapshot: it has everything before EndOffset, the last of it written in Epoch.
type SnapshotID struct {
	EndOffset int64
	Epoch     int32
}

// FileName is the name of the snapshot's file.
func (id SnapshotID) FileName() string {
	return fmt.Sprintf("%020d-%010d.checkpoint", id.EndOffset, id.Epoch)
}

// ParseSnapshotName reads the name of a snapshot's file; ok is false for any other name.
func ParseSnapshotName(name string) (id SnapshotID, ok bool) {
	stem, ok := strings.CutSuffix(name, ".checkpoint")
	if !ok || len(stem) != 31 || stem[20] != '-' {
		return id, false
	}
	end, err1 := strconv.ParseUint(stem[:20], 10, 63)
	epoch, err2 := strconv.ParseUint(stem[21:], 10, 31)
	return SnapshotID{int64(end), int32(epoch)}, err1 == nil && err2 == nil
}

// Snapshot is a complete snapshot that was read into memory.
type Snapshot struct {
	ID SnapshotID
	// Timestamp is that of the last record contained.
	Timestamp int64
	// KRaftVersion and Voters are those of the control records; Voters is nil if there are none.
	KRaftVersion int16
	Voters       *mr.VotersRecord

	batches []record.Batch
}

// Records yields the metadata records, with the errors of metarecord.Records.
func (s *Snapshot) Records() iter.Seq2[mr.Versioned, error] {
	return func(yield func(mr.Versioned, error) bool) {
		for _, b := range s.batches {
			for v, err := range mr.Records(b) {
				if !yield(v, err) || err != nil && !errors.Is(err, mr.ErrUnsupported) {
					return
				}
			}
		}
	}
}

// ReadSnapshot reads and checks a snapshot file (a .checkpoint or bootstrap.checkpoint). A file without a footer, or
// with a batch that does not check, is an error that wraps ErrDamaged.
func ReadSnapshot(fsys vfs.FS, path string) (*Snapshot, error) {
	b, err := vfs.ReadFile(fsys, path, maxSnapshotBytes)
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	s := &Snapshot{}
	if id, ok := ParseSnapshotName(filepath.Base(path)); ok {
		s.ID = id
	}
	header, footer := false, false
	for batch, err := range record.Split(b) {
		if err == nil {
			err = batch.VerifyCRC()
		}
		if err != nil {
			return nil, fmt.Errorf("snapshot %s: %w: %w", path, ErrDamaged, err)
		}
		for m, err := range mr.ControlRecords(batch) {
			if err != nil {
				return nil, fmt.Errorf("snapshot %s: %w: %w", path, ErrDamaged, err)
			}
			switch r := m.(type) {
			case *mr.SnapshotHeaderRecord:
				header, s.Timestamp = true, r.LastContainedLogTimestamp
			case *mr.KRaftVersionRecord:
				s.KRaftVersion = r.KRaftVersion
			case *mr.VotersRecord:
				s.Voters = r
			case *mr.SnapshotFooterRecord:
				footer = true
			}
		}
		s.batches = append(s.batches, batch)
	}
	if !header || !footer {
		return nil, fmt.Errorf("snapshot %s: %w: header or footer is missing", path, ErrDamaged)
	}
	return s, nil
}

// SnapshotHead is what stands in a snapshot before its records.
type SnapshotHead struct {
	Epoch int32
	// Timestamp is the last contained one, Now that of the batches.
	Timestamp, Now int64
	// KRaftVersion, if above 0, is written together with Voters.
	KRaftVersion int16
	Voters       *mr.VotersRecord
}

// WriteSnapshot writes a snapshot to path by way of path.part and a rename. When it returns the snapshot is durable.
func WriteSnapshot(fsys vfs.FS, path string, head SnapshotHead, records iter.Seq[mr.Versioned]) (err error) {
	part := path + ".part"
	f, err := fsys.Open(part, vfs.Fresh)
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	w := &snapshotWriter{f: f, head: head}
	err = w.write(records)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(part, path)
	}
	if err == nil {
		err = fsys.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write snapshot %s: %w", path, err)
	}
	return nil
}

type snapshotWriter struct {
	f    vfs.File
	pos  int64
	next int64
	head SnapshotHead
	b    record.Builder
	buf  []byte
}

func (w *snapshotWriter) write(records iter.Seq[mr.Versioned]) error {
	w.begin()
	header := mr.SnapshotHeaderRecord{LastContainedLogTimestamp: w.head.Timestamp}
	w.b.AppendControl(w.head.Now, record.ControlSnapshotHeader, header.Append(nil, 0))
	if w.head.KRaftVersion > 0 {
		v := mr.KRaftVersionRecord{KRaftVersion: w.head.KRaftVersion}
		w.b.AppendControl(w.head.Now, record.ControlKRaftVersion, v.Append(nil, 0))
		if w.head.Voters != nil {
			w.b.AppendControl(w.head.Now, record.ControlKRaftVoters, w.head.Voters.Append(nil, 0))
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.begin()
	var frame []byte
	for v := range records {
		frame = v.AppendFrame(frame[:0])
		w.b.Append(w.head.Now, nil, frame)
		if w.b.UncompressedSize() >= snapshotBatchBytes {
			if err := w.flush(); err != nil {
				return err
			}
			w.begin()
		}
	}
	if w.b.NumRecords() > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.begin()
	w.b.AppendControl(w.head.Now, record.ControlSnapshotFooter, (&mr.SnapshotFooterRecord{}).Append(nil, 0))
	return w.flush()
}

func (w *snapshotWriter) begin() {
	w.b.Reset(record.Compression{}, w.next)
	w.b.SetLeaderEpoch(w.head.Epoch)
}

func (w *snapshotWriter) flush() (err error) {
	n := w.b.NumRecords()
	if w.buf, err = w.b.AppendTo(w.buf[:0]); err != nil {
		return err
	}
	if _, err = w.f.WriteAt(w.buf, w.pos); err != nil {
		return err
	}
	w.pos += int64(len(w.buf))
	w.next += int64(n)
	return nil
}
