package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// recoverSegments checks every batch from the recovery point on, makes the indexes of what it read anew and cuts the log
// at the first batch that is not whole. What lies behind the cut is set aside if it holds whole batches:
// a torn tail is what a power cut leaves, a hole is damage that somebody may want to look at. Below durable a hole between
// segments is one that compaction has made, whatever the topic's settings are, which are not known at a start or may have
// changed.
func (l *Log) recoverSegments(recoveryPoint, durable, nowMs int64) error {
	segs := l.segments()
	first := segmentAt(segs, recoveryPoint)
	// Later snapshots may know of batches that did not survive, and the transaction indexes are only good below.
	l.dropSnapshots(func(o int64) bool { return o > segs[first].base })
	for _, s := range segs[:first] {
		if err := s.checkFormat(); err != nil {
			return err
		}
	}
	if first > 0 {
		// What the process before did when it finished this segment may be in the page cache only.
		segs[first-1].unsynced.Store(true)
	}
	if first > 0 && recoveryPoint == segs[first].base {
		// The segment before was synced to its last record, perhaps before its preallocated space was trimmed.
		again, err := l.trimEnd(segs[first-1])
		if err != nil {
			return err
		}
		if again {
			first--
		}
	}
	for i := first; i < len(segs); i++ {
		s := segs[i]
		end, whole, err := l.recoverSegment(s, recoveryPoint)
		if err != nil {
			return err
		}
		l.end.Store(end)
		if i == len(segs)-1 {
			break
		}
		// A hole between segments is a lost tail, unless compaction makes holes here.
		next := segs[i+1].base
		if whole && (end == next || end < next && (l.cfg.Load().Compact || next <= durable)) {
			continue
		}
		l.env.logger.Error("segments after a damaged one are set aside", "partition", l.tp.String(), "end", end, "count", len(segs)-1-i)
		if err := l.env.lack(); err != nil {
			return err
		}
		for _, later := range segs[i+1:] {
			if err := l.setSegmentAside(later); err != nil {
				return err
			}
		}
		segs = segs[:i+1]
		l.segs.Store(&segs)
	}
	return nil
}

// trimEnd cuts preallocated space off a segment that was synced to its last record; again says that it is not whole, and must
// be checked.
func (l *Log) trimEnd(s *segment) (again bool, err error) {
	if s.size.Load() == 0 {
		return false, nil
	}
	_, size, err := s.findEnd()
	var corrupt *corruptError
	if errors.As(err, &corrupt) {
		return true, nil
	}
	if err != nil || size == s.size.Load() {
		return false, err
	}
	s.size.Store(size)
	return false, l.trim(s)
}

// setSegmentAside keeps the records of a segment that cannot be served and removes its indexes.
func (l *Log) setSegmentAside(s *segment) error {
	l.env.files.drop(s)
	for _, kind := range []string{indexSuffix, timeIndexSuffix, txnIndexSuffix} {
		if err := removeIfThere(l.env.fs, s.path(kind)); err != nil {
			return err
		}
	}
	if s.size.Load() == 0 {
		return removeIfThere(l.env.fs, s.logPath())
	}
	l.env.logger.Error("segment is set aside", "file", s.logPath())
	return l.setAside(s.logPath())
}

// recoverSegment checks one segment. whole is false if something was cut off.
func (l *Log) recoverSegment(s *segment, recoveryPoint int64) (end int64, whole bool, err error) {
	o, err := l.env.files.acquire(s)
	if err != nil {
		return 0, false, err
	}
	defer o.release()
	if err := s.checkFormat(); err != nil {
		return 0, false, err
	}
	size := s.size.Load()
	pos, end, err := l.recoveryStart(s, o, recoveryPoint)
	if err != nil {
		return 0, false, err
	}
	scan := batchScan{f: o, pos: pos, end: size}
	defer scan.close()
	cfg := l.cfg.Load()
	for {
		b, at, ok, serr := scan.next()
		if serr != nil {
			return 0, false, serr
		}
		if !ok || b.BaseOffset() < end || b.LastOffsetDelta() < 0 || b.LastOffset() < b.BaseOffset() || b.LastOffset()-s.base > math.MaxInt32 {
			scan.pos = at
			break
		}
		s.note(b, at, cfg)
		if s.unwrittenEntries() >= indexSpill {
			if err := s.writeIndexes(); err != nil {
				return 0, false, err
			}
		}
		l.epochs.assign(b.LeaderEpoch(), b.BaseOffset())
		end = b.NextOffset()
	}
	whole = scan.pos == size
	if !whole {
		if err := l.cutDamaged(s, o, scan.pos, size, end); err != nil {
			return 0, false, err
		}
	}
	s.size.Store(scan.pos)
	if err := s.finish(); err != nil {
		return 0, false, err
	}
	return end, whole, l.recoverTxns(s, o, min(end, recoveryPoint))
}

// recoveryStart decides where in the segment the check begins. The checkpoint of the recovery point was written after
// data and indexes below it were synced, so an index entry below it is good if the batch that it
// points to is; the entries above it are dropped.
func (l *Log) recoveryStart(s *segment, o *openFile, recoveryPoint int64) (pos, end int64, err error) {
	offsets, oerr := readOffsetIndex(l.env.fs, s.path(indexSuffix))
	times, terr := readTimeIndex(l.env.fs, s.path(timeIndexSuffix))
	good := recoveryPoint > s.base && oerr == nil && terr == nil
	keep := 0
	if good {
		for keep < len(offsets) && s.base+int64(offsets[keep].relative()) < recoveryPoint {
			keep++
		}
		good = keep > 0 && l.pointsToBatch(s, o, offsets[keep-1])
	}
	if !good {
		s.resetIndexes()
		return 0, s.base, nil
	}
	from := offsets[keep-1]
	s.offsets.reset(append([]offsetEntry(nil), offsets[:keep]...), keep)
	kept := 0
	for kept < len(times) && times[kept].relative <= from.relative() {
		kept++
	}
	s.times.reset(times[:kept])
	s.maxTimestamp.Store(-1)
	s.maxTimestampOffset.Store(s.base)
	if kept > 0 {
		s.maxTimestamp.Store(times[kept-1].timestamp)
		s.maxTimestampOffset.Store(s.base + int64(times[kept-1].relative))
	}
	for kind, n := range map[string]int64{indexSuffix: int64(keep) * offsetEntrySize, timeIndexSuffix: int64(kept) * timeEntrySize} {
		if err := truncateFile(l.env.fs, s.path(kind), n); err != nil {
			return 0, 0, err
		}
	}
	// The batch of the entry itself was taken in already; note counts it again only for the distance to the next.
	s.sinceIndex = 0
	head := make([]byte, record.HeaderSize)
	if err := readFull(o, head, from.position()); err != nil {
		return 0, 0, err
	}
	s.sinceIndex = record.Batch(head).Size()
	return from.position() + int64(s.sinceIndex), record.Batch(head).NextOffset(), nil
}

func (l *Log) pointsToBatch(s *segment, o *openFile, e offsetEntry) bool {
	scan := batchScan{f: o, pos: e.position(), end: s.size.Load()}
	defer scan.close()
	b, _, ok, err := scan.next()
	return err == nil && ok && b.LastOffset() == s.base+int64(e.relative())
}

// cutDamaged cuts a segment at pos. If whole batches follow, they are kept in a file beside it first.
func (l *Log) cutDamaged(s *segment, o *openFile, pos, size, end int64) error {
	zero, err := zeroFrom(o, pos, size)
	if err != nil {
		return err
	}
	torn, err := endsInABatch(o, pos, size, end)
	if err == nil && !torn { // in preallocated space that is what a lost page leaves, too
		err = l.env.lack()
	}
	if err != nil {
		return err
	}
	if !zero {
		follows, err := findBatchAfter(o, pos+1, size, end)
		if err != nil {
			return err
		}
		kept := ""
		if follows {
			if kept, err = l.keepTail(s, o, pos, size); err != nil {
				return err
			}
		}
		l.env.logger.Error("damaged end of a segment is cut off", "file", s.logPath(), "position", pos, "bytes", size-pos,
			"logEndOffset", end, "keptAs", kept)
	}
	return o.Truncate(pos)
}

// endsInABatch reports whether a file ends within the batch that begins at pos: a process that dies while it appends leaves
// that, and nobody was told of the batch. Anything else that is not a batch stands in the place of what was there.
func endsInABatch(f vfs.File, pos, size, end int64) (bool, error) {
	head := make([]byte, min(size-pos, record.HeaderSize))
	if err := readFull(f, head, pos); err != nil {
		return false, err
	}
	if len(head) < record.LogOverhead {
		return true, nil
	}
	length := int64(int32(binary.BigEndian.Uint32(head[8:])))
	return int64(binary.BigEndian.Uint64(head)) >= end && length >= record.HeaderSize-record.LogOverhead &&
		pos+record.LogOverhead+length > size && (len(head) < 17 || head[16] == record.CurrentMagic), nil
}

// keepTail copies the end of a segment to a file that nobody reads.
func (l *Log) keepTail(s *segment, o *openFile, pos, size int64) (string, error) {
	name := fmt.Sprintf("%s.%d%s", s.logPath(), pos, corruptSuffix)
	f, err := l.env.fs.Open(name, vfs.Fresh)
	if err != nil {
		return "", err
	}
	buf := bufpool.Get(1 << 20)
	defer buf.Release()
	for at := pos; at < size && err == nil; {
		p := buf.B[:min(int64(len(buf.B)), size-at)]
		if err = readFull(o, p, at); err == nil {
			_, err = f.WriteAt(p, at-pos)
		}
		at += int64(len(p))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	l.newFiles.Store(true)
	return name, err
}

// findBatchAfter looks at every position for a whole batch with offsets above those that were read.
func findBatchAfter(f vfs.File, from, size, minOffset int64) (bool, error) {
	const window = 1 << 20
	buf := bufpool.Get(window + record.HeaderSize)
	defer buf.Release()
	for at := from; at+record.HeaderSize <= size; at += window {
		p := buf.B[:min(int64(window+record.HeaderSize), size-at)]
		if err := readFull(f, p, at); err != nil {
			return false, err
		}
		for i := 0; i+record.HeaderSize <= len(p); i++ {
			if p[i+16] != record.CurrentMagic || p[i+8] > 0x7f {
				continue
			}
			h := record.Batch(p[i : i+record.HeaderSize])
			n := int64(int32(binary.BigEndian.Uint32(p[i+8:]))) + record.LogOverhead
			if n < record.HeaderSize || at+int64(i)+n > size || h.BaseOffset() < minOffset || h.LastOffsetDelta() < 0 {
				continue
			}
			scan := batchScan{f: f, pos: at + int64(i), end: size}
			_, _, ok, err := scan.next()
			scan.close()
			if err != nil || ok {
				return ok, err
			}
		}
	}
	return false, nil
}

// recoverTxns keeps of the .txnindex of a recovered segment what was synced for certain: the entries of markers below the recovery
// point, or the segment's end. What lies behind them a power cut may have left as anything, so it is dropped; the entries are
// made again when the producers are replayed.
func (l *Log) recoverTxns(s *segment, o *openFile, below int64) error {
	if !s.hasTxns.Load() {
		return nil
	}
	name := s.path(txnIndexSuffix)
	p, err := vfs.ReadFile(l.env.fs, name, maxIndexFileBytes)
	if err != nil {
		return err
	}
	txns, err := decodeTxnIndex(p)
	keep := 0
	for keep < len(txns) && txns[keep].lastOffset < below {
		keep++
	}
	for keep > 0 {
		// Entries rise, so that it is the last that may be one of those that were not synced, if it does not say what it did.
		good, verr := s.hasMarker(o, txns[keep-1])
		if verr != nil {
			return verr
		}
		if good {
			break
		}
		keep--
	}
	if err == nil && keep == len(txns) {
		return nil
	}
	if err != nil {
		l.env.logger.Warn("transaction index is cut back", "file", name, "entries", len(txns), "kept", keep, "reason", err)
	}
	return truncateFile(l.env.fs, name, int64(keep)*abortedEntrySize)
}

// hasMarker reports whether the batch at an aborted transaction's last offset can be its marker. Where compaction has left none
// there is nothing to say against it.
func (s *segment) hasMarker(o *openFile, t abortedTxn) (bool, error) {
	if t.lastOffset < s.base || t.firstOffset == t.lastOffset {
		return false, nil
	}
	v, err := s.offsetView()
	if err != nil {
		return false, err
	}
	w := newHeaderWalk(o, v.floor(uint32(t.lastOffset-s.base)), s.size.Load())
	defer w.close()
	for {
		h, _, ok, err := w.next()
		switch {
		case err != nil:
			return false, err
		case !ok || h.BaseOffset() > t.lastOffset:
			return true, nil
		case h.LastOffset() >= t.lastOffset:
			return h.IsControl() && h.ProducerID() == t.producerID, nil
		}
	}
}

// batchScan reads whole batches of a file one after the other and compares their checksums.
type batchScan struct {
	f        vfs.File
	pos, end int64
	buf      *bufpool.Buf
	winOff   int64
	win      []byte
}

const scanWindow = 1 << 20

func (c *batchScan) close() {
	c.buf.Release()
	c.buf = nil
}

// next returns the next batch (valid until the next call) and its position. ok is false at the end, and where no whole
// batch with a right checksum starts; an error is a fault of the file system.
func (c *batchScan) next() (b record.Batch, pos int64, ok bool, err error) {
	pos = c.pos
	head, err := c.view(record.HeaderSize)
	if err != nil || head == nil {
		return nil, pos, false, err
	}
	h := record.Batch(head)
	size := int64(h.Size())
	if h.Magic() != record.CurrentMagic || size < record.HeaderSize || pos+size > c.end {
		return nil, pos, false, nil
	}
	whole, err := c.view(size)
	if err != nil || whole == nil {
		return nil, pos, false, err
	}
	b = record.Batch(whole)
	if b.VerifyCRC() != nil {
		return nil, pos, false, nil
	}
	c.pos += size
	return b, pos, true, nil
}

// view returns n bytes from the position; nil if the file ends before.
func (c *batchScan) view(n int64) ([]byte, error) {
	if c.pos+n > c.end {
		return nil, nil
	}
	if c.pos < c.winOff || c.pos+n > c.winOff+int64(len(c.win)) {
		want := min(max(n, scanWindow), c.end-c.pos)
		if c.buf == nil || int64(c.buf.Cap()) < want {
			c.buf.Release()
			c.buf = bufpool.Get(int(want))
		}
		c.win = nil
		p := c.buf.B[:cap(c.buf.B)][:want]
		if err := readFull(c.f, p, c.pos); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, nil
			}
			return nil, err
		}
		c.winOff, c.win = c.pos, p
	}
	off := c.pos - c.winOff
	return c.win[off : off+n], nil
}
