package quorum

import (
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// LogDirName is the folder of the metadata log inside a log directory.
const LogDirName = "__cluster_metadata-0"

// RaftDirName is the folder of Raft's own log inside the metadata log's folder, where Apache Kafka does not look.
const RaftDirName = "weir"

// TopicID is the id of the metadata topic.
var TopicID = [16]byte{15: 1}

const maxMetaSegmentBytes = 2 << 30

// metaSegment is one file of the metadata log.
type metaSegment struct {
	base  int64
	size  int64
	since time.Time // of the first append
	index []place   // about one for each indexStep bytes
}

// indexed adds a batch at the segment's end to its index, if the last entry is far enough behind.
func (s *metaSegment) indexed(b record.Batch, pos int64) {
	if n := len(s.index); n == 0 || pos-s.index[n-1].pos >= indexStep {
		s.index = append(s.index, place{b.BaseOffset(), pos})
	}
}

// metaLog is the log of committed batches in Kafka's format: segments, leader-epoch-checkpoint, partition.metadata.
// It is synced lazily: what a power cut takes from its end comes again from Raft's log. Owned by the apply worker
// after open; others may read under mu, which the worker holds to change segs, end, epoch and epochs.
type metaLog struct {
	fs  vfs.FS
	dir string
	cfg *Config
	f   vfs.File // the active segment, the last of segs

	mu   sync.RWMutex
	segs []metaSegment
	end  int64 // offset of the next record
	// written counts the bytes behind the snapshot that was loaded, and all that were appended since.
	written int64
	snapEnd int64
	// epoch and timestamp are those of the last batch.
	epoch     int32
	timestamp int64
	epochs    []epochStart
	// epochsDirty says that leader-epoch-checkpoint lacks an epoch.
	epochsDirty bool
}

type epochStart struct {
	epoch int32
	start int64
}

func metaSegmentName(base int64) string { return fmt.Sprintf("%020d.log", base) }

// openMetaLog opens the log, creating it to begin at the snapshot if there are no segments. Every batch from the
// snapshot on is checked; a torn tail of the last segment is cut off, but never below durable, the end that was
// once synced. The batches are given to replay in order.
func openMetaLog(cfg *Config, snap SnapshotID, durable int64, replay func(record.Batch) error) (*metaLog, error) {
	l := &metaLog{fs: cfg.FS, dir: filepath.Join(cfg.Dir, LogDirName), cfg: cfg, end: snap.EndOffset, epoch: snap.Epoch, snapEnd: snap.EndOffset}
	if err := l.list(); err != nil {
		return nil, err
	}
	if err := l.readEpochs(); err != nil {
		return nil, err
	}
	if len(l.segs) == 0 {
		if durable > snap.EndOffset {
			return nil, fmt.Errorf("%w: %s has no segments but reached offset %d before", ErrDamaged, l.dir, durable)
		}
		return l, l.create(snap.EndOffset)
	}
	if l.segs[0].base > snap.EndOffset {
		return nil, fmt.Errorf("%w: %s begins at offset %d but the newest snapshot ends at %d", ErrDamaged, l.dir, l.segs[0].base, snap.EndOffset)
	}
	for i := range l.segs {
		last := i == len(l.segs)-1
		if !last && l.segs[i+1].base <= snap.EndOffset && l.segs[i+1].base > 0 {
			info, err := l.fs.Stat(l.path(l.segs[i].base)) // wholly inside the snapshot
			if err != nil {
				return nil, err
			}
			l.segs[i].size = info.Size
			continue
		}
		if err := l.scan(i, last, durable, replay); err != nil {
			return nil, err
		}
	}
	if l.end < snap.EndOffset { // fetched from the leader, and the process ended before the log began anew
		return l, l.reset(snap, 0)
	}
	if l.end < durable {
		return nil, fmt.Errorf("%w: %s ends at offset %d but was synced up to %d", ErrDamaged, l.dir, l.end, durable)
	}
	active := &l.segs[len(l.segs)-1]
	active.since = cfg.Now() // its real age is not kept; it rolls by age counted from this start
	var err error
	l.f, err = l.fs.Open(l.path(active.base), vfs.ReadWrite)
	return l, err
}

func (l *metaLog) path(base int64) string { return filepath.Join(l.dir, metaSegmentName(base)) }

func (l *metaLog) list() error {
	if err := l.fs.MkdirAll(l.dir); err != nil {
		return err
	}
	infos, err := l.fs.List(l.dir)
	if err != nil {
		return err
	}
	for _, i := range infos {
		stem, ok := strings.CutSuffix(i.Name, ".log")
		if !ok || i.IsDir || len(stem) != 20 {
			continue
		}
		if base, err := strconv.ParseInt(stem, 10, 64); err == nil {
			l.segs = append(l.segs, metaSegment{base: base})
		}
	}
	sort.Slice(l.segs, func(a, b int) bool { return l.segs[a].base < l.segs[b].base })
	return nil
}

// create begins an empty segment at base and makes its name durable.
func (l *metaLog) create(base int64) error {
	f, err := l.fs.Open(l.path(base), vfs.Fresh)
	if err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		f.Close()
		return err
	}
	l.f = f
	l.mu.Lock()
	l.segs = append(l.segs, metaSegment{base: base})
	l.mu.Unlock()
	meta := filepath.Join(l.dir, "partition.metadata")
	if _, err := l.fs.Stat(meta); vfs.IsNotExist(err) {
		text := "version: 0\ntopic_id: " + mr.FormatUUID(TopicID)
		return vfs.WriteFileAtomic(l.fs, meta, []byte(text), false)
	}
	return nil
}

// scan reads one segment.
func (l *metaLog) scan(i int, last bool, durable int64, replay func(record.Batch) error) error {
	seg := &l.segs[i]
	b, err := vfs.ReadFile(l.fs, l.path(seg.base), maxMetaSegmentBytes)
	if err != nil {
		return err
	}
	good, next := 0, seg.base
	for good < len(b) {
		batch, _, err := record.Next(b[good:])
		if err == nil {
			err = batch.VerifyCRC()
		}
		if err == nil && batch.BaseOffset() != next {
			err = fmt.Errorf("offset %d where %d belongs", batch.BaseOffset(), next)
		}
		if err != nil {
			if !last || next < durable {
				return fmt.Errorf("%w: %s at byte %d: %w", ErrDamaged, l.path(seg.base), good, err)
			}
			break
		}
		if err := replay(batch); err != nil {
			return fmt.Errorf("%s: offset %d: %w", l.path(seg.base), next, err)
		}
		if next >= l.snapEnd {
			l.written += int64(len(batch))
		}
		next = batch.NextOffset()
		seg.indexed(batch, int64(good))
		good += len(batch)
		l.note(batch)
	}
	seg.size = int64(good)
	if next > l.end || last {
		l.end = next
	}
	if good < len(b) {
		l.cfg.Log.Warn("metadata log: cut a torn tail", "segment", l.path(seg.base), "bytes", len(b)-good, "offset", next)
		f, err := l.fs.Open(l.path(seg.base), vfs.ReadWrite)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Truncate(int64(good))
	}
	return nil
}

// note keeps epoch and timestamp of a batch that is in the log.
func (l *metaLog) note(b record.Batch) {
	l.timestamp = b.MaxTimestamp()
	l.epoch = b.LeaderEpoch()
	if n := len(l.epochs); n == 0 || l.epochs[n-1].epoch < l.epoch {
		l.epochs = append(l.epochs, epochStart{l.epoch, b.BaseOffset()})
	}
}

// append writes a committed batch, whose base offset must be the end.
func (l *metaLog) append(b record.Batch) error {
	if b.BaseOffset() != l.end {
		return fmt.Errorf("%w: committed batch at offset %d, the log ends at %d", ErrDamaged, b.BaseOffset(), l.end)
	}
	if err := l.rollIfDue(len(b)); err != nil {
		return err
	}
	seg := &l.segs[len(l.segs)-1]
	if _, err := l.f.WriteAt(b, seg.size); err != nil {
		return fmt.Errorf("append to the metadata log: %w", err)
	}
	if seg.size == 0 {
		seg.since = l.cfg.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	seg.indexed(b, seg.size)
	seg.size += int64(len(b))
	l.written += int64(len(b))
	epochs := len(l.epochs)
	l.note(b)
	l.end = b.NextOffset()
	l.epochsDirty = l.epochsDirty || len(l.epochs) != epochs
	return nil
}

func (l *metaLog) rollIfDue(n int) error {
	seg := l.segs[len(l.segs)-1]
	if seg.size == 0 {
		return nil
	}
	full := seg.size+int64(n) > l.cfg.SegmentBytes
	old := l.cfg.SegmentAge > 0 && !seg.since.IsZero() && l.cfg.Now().Sub(seg.since) > l.cfg.SegmentAge
	if !full && !old {
		return nil
	}
	if err := l.sync(); err != nil {
		return err
	}
	rolled := l.f
	if err := l.create(l.end); err != nil {
		return fmt.Errorf("roll the metadata log: %w", err)
	}
	return rolled.Close()
}

// sync makes everything up to end durable. Its failure is for good, also if the disk was only full: what was to be written may be
// lost, and another attempt would not say so. The next start finds it in Raft's log.
func (l *metaLog) sync() error {
	if err := l.f.Sync(); err != nil {
		return fmt.Errorf("sync the metadata log: %v", err) //nolint:errorlint // who sees that it was full would try again
	}
	return nil
}

// start is the first offset that is kept.
func (l *metaLog) start() int64 { return l.segs[0].base }

// size is the number of bytes in all segments.
func (l *metaLog) size() (n int64) {
	for _, s := range l.segs {
		n += s.size
	}
	return n
}

// dropBelow removes the segments that lie wholly below an offset, which a kept snapshot covers.
func (l *metaLog) dropBelow(offset int64) error {
	for len(l.segs) > 1 && l.segs[1].base <= offset {
		if err := l.removeSegment(l.segs[0].base); err != nil {
			return err
		}
		l.mu.Lock()
		l.segs = l.segs[1:]
		l.mu.Unlock()
	}
	return nil
}

func (l *metaLog) removeSegment(base int64) error {
	for _, suffix := range []string{".log", ".index", ".timeindex", ".snapshot", ".txnindex"} {
		err := l.fs.Remove(filepath.Join(l.dir, fmt.Sprintf("%020d%s", base, suffix)))
		if err != nil && !vfs.IsNotExist(err) {
			return err
		}
	}
	return nil
}

func (l *metaLog) close() error {
	err := errors.Join(l.sync(), l.writeEpochs())
	if cerr := l.f.Close(); err == nil {
		err = cerr
	}
	return err
}

const epochFile = "leader-epoch-checkpoint"

func (l *metaLog) readEpochs() error {
	b, err := vfs.ReadFile(l.fs, filepath.Join(l.dir, epochFile), 64<<20)
	if err != nil {
		if vfs.IsNotExist(err) {
			return nil
		}
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for i, line := range lines {
		if i < 2 {
			continue
		}
		var e epochStart
		if _, err := fmt.Sscanf(line, "%d %d", &e.epoch, &e.start); err != nil {
			l.cfg.Log.Warn("metadata log: leader-epoch-checkpoint is not readable and is made anew", "line", line)
			l.epochs = nil
			return nil
		}
		// Epochs that begin in what was not synced come again with the batches.
		if n := len(l.epochs); n == 0 || e.epoch > l.epochs[n-1].epoch {
			l.epochs = append(l.epochs, e)
		}
	}
	return nil
}

// writeEpochs brings leader-epoch-checkpoint up to date, durably: Apache Kafka would stumble over an empty one.
func (l *metaLog) writeEpochs() error {
	if !l.epochsDirty {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "0\n%d\n", len(l.epochs))
	for _, e := range l.epochs {
		fmt.Fprintf(&b, "%d %d\n", e.epoch, e.start)
	}
	err := vfs.WriteFileAtomic(l.fs, filepath.Join(l.dir, epochFile), []byte(b.String()), true)
	l.epochsDirty = err != nil
	return err
}
