package log

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// Suffixes of the files of a segment and of files in transition.
const (
	logSuffix       = ".log"
	indexSuffix     = ".index"
	timeIndexSuffix = ".timeindex"
	txnIndexSuffix  = ".txnindex"
	snapshotSuffix  = ".snapshot"
	deletedSuffix   = ".deleted"
	cleanedSuffix   = ".cleaned"
	swapSuffix      = ".swap"
	corruptSuffix   = ".corrupt"
	tmpSuffix       = ".tmp"
)

// unknownTimestamp stands for a highest timestamp that was not read yet.
const unknownTimestamp = math.MinInt64

// segment is one .log file with its indexes. Readers use base, size, the offset view and the file beside the one
// writer, who holds the log's lock; everything else belongs to the writer.
type segment struct {
	log  *Log
	base int64
	size atomic.Int64 // bytes of whole batches: what readers may see
	file atomic.Pointer[openFile]

	// suffix is appended to the names of the files, e.g. .deleted.
	suffix atomic.Pointer[string]

	offsets offsetIndex
	times   timeIndex

	maxTimestamp       atomic.Int64 // -1: none, unknownTimestamp: not read yet
	maxTimestampOffset atomic.Int64 // last offset of the batch that has it
	modified           atomic.Int64 // ms, when it was last written

	sinceIndex int   // bytes since the last index entry
	firstBatch int64 // highest timestamp of the first batch, for rolling by age; unknownTimestamp
	created    int64 // ms
	jitter     int64
	unsynced   atomic.Bool // the index files have writes that no flush has seen
	hasTxns    atomic.Bool
	newTxns    []abortedTxn // not in the .txnindex file yet; guarded by the log's tail lock
}

func newSegment(l *Log, base, nowMs int64) *segment {
	s := &segment{log: l, base: base, created: nowMs, firstBatch: unknownTimestamp}
	s.maxTimestamp.Store(-1)
	s.maxTimestampOffset.Store(base)
	s.modified.Store(nowMs)
	return s
}

func segmentName(base int64) string { return fmt.Sprintf("%020d", base) }

// path is the name of one of the segment's files.
func (s *segment) path(kind string) string {
	name := filepath.Join(s.log.dirPath(), segmentName(s.base)+kind)
	if suffix := s.suffix.Load(); suffix != nil {
		name += *suffix
	}
	return name
}

func (s *segment) logPath() string { return s.path(logSuffix) }

// create makes the .log file, empty, and keeps it open.
func (s *segment) create(preallocate int64) error {
	f, err := s.log.env.fs.Open(s.logPath(), vfs.Fresh)
	if err != nil {
		return err
	}
	if preallocate > 0 {
		if err := f.Truncate(preallocate); err != nil {
			f.Close()
			return err
		}
	}
	s.log.env.files.adopt(s, newOpenFile(f, s.log.ReportReadError))
	return nil
}

// loadIndexes makes the writer's half of both indexes known and the offset index resident.
func (s *segment) loadIndexes() error {
	if s.offsets.known && s.times.known && s.offsets.view.Load() != nil {
		return nil
	}
	if !s.times.known {
		ents, err := readTimeIndex(s.log.env.fs, s.path(timeIndexSuffix))
		if err != nil && !vfs.IsNotExist(err) {
			return s.rebuild(err)
		}
		s.times.reset(ents)
	}
	v, err := s.offsetView()
	if err != nil {
		return err
	}
	if !s.offsets.known {
		ents := v.all()
		s.offsets.n, s.offsets.written, s.offsets.known = len(ents), len(ents), true
		if len(ents) > 0 {
			s.offsets.last = ents[len(ents)-1]
		}
	}
	return nil
}

// offsetView returns the offset index in memory, reading it if it is cold. Safe for readers.
func (s *segment) offsetView() (*offsetView, error) {
	if v := s.offsets.view.Load(); v != nil {
		return v, nil
	}
	ents, err := readOffsetIndex(s.log.env.fs, s.path(indexSuffix))
	size := s.size.Load()
	if err != nil || len(ents) > 0 && ents[len(ents)-1].position() >= size {
		if err != nil && !vfs.IsNotExist(err) {
			s.log.env.logger.Warn("offset index is rebuilt", "partition", s.log.tp.String(), "segment", s.base, "reason", err)
		}
		if ents, err = s.scanOffsets(size); err != nil {
			return nil, err
		}
	}
	v := newOffsetView(ents)
	if !s.offsets.view.CompareAndSwap(nil, v) {
		if now := s.offsets.view.Load(); now != nil {
			return now, nil
		}
	}
	s.log.env.indexes.loaded(s)
	return v, nil
}

// scanOffsets makes the offset index anew from the headers of the segment's batches.
func (s *segment) scanOffsets(size int64) ([]offsetEntry, error) {
	o, err := s.log.env.files.acquire(s)
	if err != nil {
		return nil, err
	}
	defer o.release()
	w := newHeaderWalk(o, 0, size)
	defer w.close()
	var ents []offsetEntry
	interval := int64(s.log.cfg.Load().IndexIntervalBytes)
	indexed := int64(0)
	for {
		h, pos, ok, err := w.next()
		if err != nil || !ok {
			return ents, err
		}
		if pos-indexed > interval {
			ents = append(ents, packOffsetEntry(uint32(h.LastOffset()-s.base), uint32(pos)))
			indexed = pos
		}
	}
}

// rebuild makes both index files anew, since one was found damaged. The caller holds the log's lock.
func (s *segment) rebuild(why error) error {
	s.log.env.logger.Warn("indexes are rebuilt", "partition", s.log.tp.String(), "segment", s.base, "reason", why)
	o, err := s.log.env.files.acquire(s)
	if err != nil {
		return err
	}
	defer o.release()
	s.resetIndexes()
	w := newHeaderWalk(o, 0, s.size.Load())
	defer w.close()
	for {
		h, pos, ok, err := w.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		s.note(h, pos, s.log.cfg.Load())
	}
	return s.writeIndexes()
}

// resetIndexes forgets both indexes and empties their files.
func (s *segment) resetIndexes() {
	s.offsets.reset(nil, 0)
	s.times.reset(nil)
	s.sinceIndex = 0
	s.maxTimestamp.Store(-1)
	s.maxTimestampOffset.Store(s.base)
	for _, kind := range []string{indexSuffix, timeIndexSuffix} {
		if err := truncateFile(s.log.env.fs, s.path(kind), 0); err != nil {
			s.log.env.logger.Warn("index file is not emptied", "error", err)
		}
	}
}

// note takes a batch at a position into the indexes and the highest timestamp. The indexes are resident.
func (s *segment) note(h record.Batch, pos int64, cfg *Config) {
	last := h.LastOffset()
	if ts := h.MaxTimestamp(); ts > s.maxTimestamp.Load() {
		s.maxTimestampOffset.Store(last)
		s.maxTimestamp.Store(ts)
	}
	if s.sinceIndex > int(cfg.IndexIntervalBytes) {
		s.offsets.append(packOffsetEntry(uint32(last-s.base), uint32(pos)))
		s.times.maybeAppend(timeEntry{s.maxTimestamp.Load(), uint32(s.maxTimestampOffset.Load() - s.base)})
		s.sinceIndex = 0
		s.unsynced.Store(true)
	}
	if pos == 0 {
		s.firstBatch = h.MaxTimestamp()
	}
	s.sinceIndex += h.Size()
}

// unwrittenEntries is how many index entries wait in memory.
func (s *segment) unwrittenEntries() int {
	return s.offsets.n - s.offsets.written + len(s.times.pending)
}

// writeIndexes brings the index files up to date.
func (s *segment) writeIndexes() error {
	fsys := s.log.env.fs
	if s.unwrittenEntries() > 0 {
		s.unsynced.Store(true)
	}
	if err := s.offsets.write(fsys, s.path(indexSuffix)); err != nil {
		return err
	}
	if err := s.times.write(fsys, s.path(timeIndexSuffix)); err != nil {
		return err
	}
	return s.writeTxns()
}

// writeTxns appends the aborted transactions that are only in memory to the .txnindex file.
func (s *segment) writeTxns() error {
	s.log.tailMu.Lock()
	txns := s.newTxns
	s.log.tailMu.Unlock()
	if len(txns) == 0 {
		return nil
	}
	name := s.path(txnIndexSuffix)
	off := int64(0)
	if st, err := s.log.env.fs.Stat(name); err == nil {
		off = st.Size - st.Size%abortedEntrySize
	}
	if err := writeAt(s.log.env.fs, name, encodeTxnIndex(txns), off, false); err != nil {
		return err
	}
	s.unsynced.Store(true)
	s.log.tailMu.Lock()
	s.newTxns = nil
	s.log.tailMu.Unlock()
	return nil
}

// restoreTxn adds an aborted transaction that the segment's batches tell of, unless the index has it. One that is missing between
// others, or that begins later there, was not known, or not whole, when the index was written: its first records lay below the log
// start then. The file is written anew with it.
func (s *segment) restoreTxn(t abortedTxn) error {
	known, err := s.aborted()
	if err != nil {
		return err
	}
	i := sort.Search(len(known), func(i int) bool { return known[i].lastOffset >= t.lastOffset })
	switch {
	case i < len(known) && known[i].lastOffset == t.lastOffset && known[i].firstOffset <= t.firstOffset:
		return nil
	case i < len(known):
		if known[i].lastOffset == t.lastOffset {
			known[i] = t
		} else {
			known = slices.Insert(known, i, t)
		}
		if err := writeAt(s.log.env.fs, s.path(txnIndexSuffix), encodeTxnIndex(known), 0, false); err != nil {
			return err
		}
		s.unsynced.Store(true)
		s.log.tailMu.Lock()
		s.newTxns = nil
		s.log.tailMu.Unlock()
	default:
		s.log.tailMu.Lock()
		s.newTxns = append(s.newTxns, t)
		s.log.tailMu.Unlock()
	}
	s.hasTxns.Store(true)
	return nil
}

// finish gives a segment that gets no more batches its last time index entry and complete index files, which exist
// from now on even if they are empty, as Kafka has them.
func (s *segment) finish() error {
	if err := s.loadIndexes(); err != nil {
		return err
	}
	if ts := s.maxTimestamp.Load(); ts >= 0 {
		s.times.maybeAppend(timeEntry{ts, uint32(s.maxTimestampOffset.Load() - s.base)})
	}
	if err := s.writeIndexes(); err != nil {
		return err
	}
	for _, kind := range []string{indexSuffix, timeIndexSuffix} {
		if err := s.fitIndexFile(kind); err != nil {
			return err
		}
	}
	s.unsynced.Store(true)
	return nil
}

// fitIndexFile makes the file exist with exactly the length of its entries.
func (s *segment) fitIndexFile(kind string) error {
	want := int64(s.offsets.n) * offsetEntrySize
	if kind == timeIndexSuffix {
		want = int64(s.times.n) * timeEntrySize
	}
	st, err := s.log.env.fs.Stat(s.path(kind))
	if err == nil && st.Size == want {
		return nil
	}
	if vfs.IsNotExist(err) {
		return writeAt(s.log.env.fs, s.path(kind), nil, 0, false)
	}
	if err != nil {
		return err
	}
	return truncateFile(s.log.env.fs, s.path(kind), want)
}

// syncIndexes makes the index files durable.
func (s *segment) syncIndexes() error {
	for _, kind := range []string{indexSuffix, timeIndexSuffix, txnIndexSuffix} {
		if err := syncFile(s.log.env.fs, s.path(kind)); err != nil {
			return err
		}
	}
	return nil
}

// largestTimestamp is the highest timestamp of the segment, or when it was last written if no batch has one.
func (s *segment) largestTimestamp() (int64, error) {
	if err := s.loadMaxTimestamp(); err != nil {
		return 0, err
	}
	if ts := s.maxTimestamp.Load(); ts >= 0 {
		return ts, nil
	}
	return s.modified.Load(), nil
}

// loadMaxTimestamp reads the highest timestamp from the time index, where a finished segment has it last.
func (s *segment) loadMaxTimestamp() error {
	if s.maxTimestamp.Load() != unknownTimestamp {
		return nil
	}
	ts, rel, err := s.readMaxTimestamp()
	if err != nil {
		return err
	}
	s.maxTimestampOffset.Store(s.base + rel)
	s.maxTimestamp.Store(ts)
	return nil
}

func (s *segment) readMaxTimestamp() (ts, relative int64, err error) {
	ents, err := readTimeIndex(s.log.env.fs, s.path(timeIndexSuffix))
	if err != nil && !vfs.IsNotExist(err) {
		s.log.env.logger.Warn("time index is not used", "error", err)
		ents = nil
	}
	ts = -1
	from := int64(0)
	if len(ents) > 0 {
		last := ents[len(ents)-1]
		ts, relative = last.timestamp, int64(last.relative)
		v, err := s.offsetView()
		if err != nil {
			return 0, 0, err
		}
		from = v.floor(last.relative)
	}
	// A segment that was not finished may have a higher one after the last entry.
	o, err := s.log.env.files.acquire(s)
	if err != nil {
		return 0, 0, err
	}
	defer o.release()
	w := newHeaderWalk(o, from, s.size.Load())
	defer w.close()
	for {
		h, _, ok, err := w.next()
		if err != nil || !ok {
			return ts, relative, err
		}
		if t := h.MaxTimestamp(); t > ts {
			ts, relative = t, h.LastOffset()-s.base
		}
	}
}

// aborted returns the segment's aborted transactions by last offset.
func (s *segment) aborted() ([]abortedTxn, error) {
	if !s.hasTxns.Load() {
		return nil, nil
	}
	// The memory is copied first: an entry that moves to the file in between is then seen twice, not never.
	s.log.tailMu.Lock()
	mem := append([]abortedTxn(nil), s.newTxns...)
	s.log.tailMu.Unlock()
	txns, err := readTxnIndex(s.log.env.fs, s.path(txnIndexSuffix))
	if err != nil {
		return nil, err
	}
	for _, t := range mem {
		if n := len(txns); n == 0 || t.lastOffset > txns[n-1].lastOffset {
			txns = append(txns, t)
		}
	}
	return txns, nil
}
