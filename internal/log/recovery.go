package log

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// loadState is what is known of a log before its directory is read.
type loadState struct {
	recoveryPoint int64
	start         int64 // 0: none
	highWatermark int64
	clean         bool // the directory was left cleanly: nothing needs to be checked
}

// OldFormatError says that a segment has message format 0 or 1, which Weir does not read.
type OldFormatError struct {
	File  string
	Magic int8
}

// Error implements error.
func (e *OldFormatError) Error() string {
	return fmt.Sprintf("%s has message format %d; only format 2 (Apache Kafka 0.11 and later) is supported: let an Apache Kafka 3.x broker rewrite the topic first", e.File, e.Magic)
}

// load reads the partition's directory: it brings unfinished changes of files to an end, checks what an unclean stop may
// have left, and sets every offset. The log is not shared yet.
func (l *Log) load(st loadState) error {
	nowMs := l.env.nowMs()
	durable := max(st.recoveryPoint, l.firstDirty)
	files, err := l.tidyFiles()
	if err != nil {
		return err
	}
	if ents, err := l.readEpochs(); err == nil {
		l.epochs.load(ents)
	} else if err := errors.Join(l.env.lack(), l.damaged(err)); err != nil {
		return err
	} else {
		st.clean, st.recoveryPoint = false, 0 // the batches have the epochs
	}
	if err := l.openSegments(files, nowMs); err != nil {
		return err
	}
	l.start.Store(max(st.start, l.segments()[0].base))
	if st.clean {
		err = l.trustSegments()
	} else {
		l.doubtFiles()
		err = l.recoverSegments(st.recoveryPoint, durable, nowMs)
	}
	if err != nil {
		return err
	}
	return l.settleOffsets(st, nowMs)
}

// doubtFiles takes it that the process before has synced nothing but what lies below the recovery point: the next flush
// syncs the small files and the directory entries as well.
func (l *Log) doubtFiles() {
	l.newFiles.Store(true)
	l.metadataUnsynced.Store(true)
	l.epochs.markDirty()
	if d := l.dir.Load(); d != nil {
		l.madeAt.Store(d.entriesMade.Add(1))
	}
}

// damaged sets a file aside that does not have its format, and passes every other error on.
func (l *Log) damaged(err error) error {
	var d *damagedError
	if !errors.As(err, &d) {
		return err
	}
	l.env.logger.Warn("damaged file is set aside", "partition", l.tp.String(), "error", err)
	return l.setAside(d.name)
}

// setAside renames a file so that nothing takes it for what it was, and keeps it.
func (l *Log) setAside(name string) error {
	to := name + corruptSuffix
	for i := 1; ; i++ {
		if _, err := l.env.fs.Stat(to); vfs.IsNotExist(err) {
			break
		}
		to = fmt.Sprintf("%s%s.%d", name, corruptSuffix, i)
	}
	l.newFiles.Store(true)
	return l.env.fs.Rename(name, to)
}

// logFiles is what lies in a partition's directory.
type logFiles struct {
	logs      []int64 // bases of .log files, rising
	txns      map[int64]bool
	snapshots []int64
}

// tidyFiles finishes what a stop interrupted: .swap files take their places, .cleaned and .tmp files go, .deleted ones too,
// indexes without a segment as well.
func (l *Log) tidyFiles() (logFiles, error) {
	dir := l.dirPath()
	ents, err := l.env.fs.List(dir)
	if err != nil {
		return logFiles{}, err
	}
	if err := l.finishSwaps(ents); err != nil {
		return logFiles{}, err
	}
	if ents, err = l.env.fs.List(dir); err != nil {
		return logFiles{}, err
	}
	files := logFiles{txns: map[int64]bool{}}
	indexes := map[string]int64{}
	for _, e := range ents {
		name := filepath.Join(dir, e.Name)
		switch base, kind, ok := parseBase(e.Name); {
		case e.IsDir:
		case strings.HasSuffix(e.Name, deletedSuffix), strings.HasSuffix(e.Name, cleanedSuffix), strings.HasSuffix(e.Name, tmpSuffix):
			if err := removeIfThere(l.env.fs, name); err != nil {
				return files, err
			}
		case !ok:
		case kind == logSuffix:
			files.logs = append(files.logs, base)
		case kind == snapshotSuffix:
			files.snapshots = append(files.snapshots, base)
		case kind == indexSuffix, kind == timeIndexSuffix, kind == txnIndexSuffix:
			indexes[name] = base
			files.txns[base] = files.txns[base] || kind == txnIndexSuffix
		}
	}
	slices.Sort(files.logs)
	slices.Sort(files.snapshots)
	for name, base := range indexes {
		if !slices.Contains(files.logs, base) {
			l.env.logger.Warn("index without a segment is removed", "file", name)
			if err := removeIfThere(l.env.fs, name); err != nil {
				return files, err
			}
		}
	}
	return files, nil
}

// openSegments makes the list of segments from the files, without opening any. A log without one starts at its log
// start offset.
func (l *Log) openSegments(files logFiles, nowMs int64) error {
	var segs []*segment
	for _, base := range files.logs {
		s := newSegment(l, base, nowMs)
		st, err := l.env.fs.Stat(s.logPath())
		if err != nil {
			return err
		}
		s.size.Store(st.Size)
		s.modified.Store(st.ModTime.UnixMilli())
		s.created = st.ModTime.UnixMilli()
		s.hasTxns.Store(files.txns[base])
		s.maxTimestamp.Store(unknownTimestamp)
		segs = append(segs, s)
	}
	l.snapshots = files.snapshots
	if len(segs) == 0 {
		seg, err := l.addSegment(l.start.Load(), nowMs)
		if err != nil {
			return err
		}
		segs = append(segs, seg)
	}
	l.segs.Store(&segs)
	return nil
}

// trustSegments takes a cleanly left log as it is; only the end is looked up, and the format of each segment.
func (l *Log) trustSegments() error {
	segs := l.segments()
	for _, s := range segs {
		if s.size.Load() == 0 {
			s.maxTimestamp.Store(-1)
			continue
		}
		if err := s.checkFormat(); err != nil {
			return err
		}
	}
	active := segs[len(segs)-1]
	end, size, err := active.findEnd()
	if err != nil {
		var corrupt *corruptError
		if !errors.As(err, &corrupt) {
			return err
		}
		l.env.logger.Warn("cleanly left segment is not whole and recovered", "partition", l.tp.String(), "error", err)
		return l.recoverSegments(active.base, active.base, l.env.nowMs())
	}
	active.size.Store(size)
	l.end.Store(end)
	return nil
}

// checkFormat refuses segments of message format 0 and 1.
func (s *segment) checkFormat() error {
	o, err := s.log.env.files.acquire(s)
	if err != nil {
		return err
	}
	defer o.release()
	var head [record.HeaderSize]byte
	n, err := o.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return err
	}
	if n > 16 && (head[16] == 0 || head[16] == 1) && !allZero(head[:16]) {
		return &OldFormatError{File: s.logPath(), Magic: int8(head[16])}
	}
	return nil
}

// findEnd walks from the last index entry to the end of a segment. Preallocated space after the last batch does not
// count.
func (s *segment) findEnd() (end, size int64, err error) {
	end, size = s.base, s.size.Load()
	if size == 0 {
		return end, 0, nil
	}
	v, err := s.offsetView()
	if err != nil {
		return 0, 0, err
	}
	pos := int64(0)
	if ents := v.all(); len(ents) > 0 {
		pos = ents[len(ents)-1].position()
	}
	o, err := s.log.env.files.acquire(s)
	if err != nil {
		return 0, 0, err
	}
	defer o.release()
	w := newHeaderWalk(o, pos, size)
	defer w.close()
	for {
		h, at, ok, err := w.next()
		if err != nil {
			if zero, zerr := zeroFrom(o, at, size); zerr != nil || !zero {
				return 0, 0, errors.Join(err, zerr)
			}
			return end, at, nil
		}
		if !ok {
			return end, size, nil
		}
		end = h.NextOffset()
	}
}

// zeroFrom reports whether a file holds nothing but zeros in [from, to).
func zeroFrom(f vfs.File, from, to int64) (bool, error) {
	buf := bufpool.Get(1 << 20)
	defer buf.Release()
	for from < to {
		p := buf.B[:min(int64(len(buf.B)), to-from)]
		if err := readFull(f, p, from); err != nil {
			return false, err
		}
		if !allZero(p) {
			return false, nil
		}
		from += int64(len(p))
	}
	return true, nil
}

// settleOffsets sets what follows from the segments and the checkpoints.
func (l *Log) settleOffsets(st loadState, nowMs int64) error {
	end := l.end.Load()
	if end < max(st.start, st.recoveryPoint, st.highWatermark) {
		if err := l.env.lack(); err != nil {
			return err
		}
	}
	if st.start > end {
		// The records below the log start were deleted and the files did not survive: go on from there.
		l.env.logger.Warn("log ends below its start offset and starts over there", "partition", l.tp.String(), "end", end, "start", st.start)
		if err := l.truncateFullyLocked(st.start, st.start, nowMs); err != nil {
			return err
		}
		end = st.start
	}
	if l.epochs.truncateTail(end) { // records of older epochs may come there before the next flush
		if err := l.saveEpochs(false); err != nil {
			l.env.logger.Warn("leader epochs are not written", "error", err)
		}
	}
	l.epochs.truncateHead(l.start.Load())
	l.hw.Store(max(min(st.highWatermark, end), l.start.Load()))
	if st.clean {
		l.flushed.Store(end)
	} else {
		l.flushed.Store(min(st.recoveryPoint, end))
	}
	l.pointWritten.Store(l.flushed.Load())
	l.dropSnapshots(func(o int64) bool { return o > end })
	if len(l.snapshots) == 0 && len(l.segments()) == 1 && l.segments()[0].size.Load() == 0 {
		l.producers = &producerState{mapEnd: end}
		return nil
	}
	return l.rebuildProducers(l.start.Load(), end)
}

// finishSwaps brings the replacement of segments by a cleaned one to its end: a .log.swap file says that all files of the
// new segment were durable. Index files that were renamed before their .log was are dropped.
func (l *Log) finishSwaps(ents []vfs.Info) error {
	dir := l.dirPath()
	committed := map[int64]bool{}
	var bases []int64
	for _, e := range ents {
		if base, kind, ok := parseBase(e.Name); ok {
			switch kind {
			case logSuffix + swapSuffix:
				committed[base] = true
			case logSuffix:
				bases = append(bases, base)
			}
		}
	}
	slices.Sort(bases)
	for base := range committed {
		if err := l.dropReplaced(base, bases); err != nil {
			return err
		}
	}
	for _, e := range ents {
		name, isSwap := strings.CutSuffix(e.Name, swapSuffix)
		base, kind, ok := parseBase(name)
		if !isSwap || !ok {
			continue
		}
		full := filepath.Join(dir, e.Name)
		if !committed[base] {
			if err := removeIfThere(l.env.fs, full); err != nil {
				return err
			}
			continue
		}
		l.env.logger.Info("replacement of a segment is finished", "partition", l.tp.String(), "file", name)
		if err := l.env.fs.Rename(full, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("finish the swap of %s%s: %w", segmentName(base), kind, err)
		}
		l.newFiles.Store(true)
	}
	return nil
}

// dropReplaced removes the segments whose offsets the swapped one covers.
func (l *Log) dropReplaced(base int64, bases []int64) error {
	s := newSegment(l, base, 0)
	s.suffix.Store(ptr(swapSuffix))
	st, err := l.env.fs.Stat(s.logPath())
	if err != nil {
		return err
	}
	s.size.Store(st.Size)
	f, err := l.env.fs.Open(s.logPath(), vfs.ReadOnly)
	if err != nil {
		return err
	}
	defer f.Close()
	w := newHeaderWalk(f, 0, st.Size)
	defer w.close()
	end := base + 1
	for {
		h, _, ok, err := w.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		end = h.NextOffset()
	}
	for i, b := range bases {
		next := int64(math.MaxInt64)
		if i+1 < len(bases) {
			next = bases[i+1]
		}
		if b == base || b > base && next <= end {
			old := newSegment(l, b, 0)
			if err := l.removeNow(old); err != nil {
				return err
			}
		}
	}
	return nil
}
