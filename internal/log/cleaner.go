package log

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// errCleaningStopped says that the log changed under the cleaner: nothing was replaced, the next round tries again.
var errCleaningStopped = errors.New("the log was changed meanwhile")

// cleanRun is one compaction of one log: first the keys of the dirty part are read as far as memory goes, then all
// segments below are written anew, in groups that fit one segment, and swapped in.
type cleanRun struct {
	log      *Log
	nowMs    int64
	keys     *offsetMap
	throttle func(bytes int) error
	bufBytes int

	cut      int64 // the log's count of truncations at the start
	BytesIn  int64
	BytesOut int64
}

// clean compacts [start of the log, uncleanable), of which the part from dirty on has not been compacted before. It
// returns where the next run starts.
func (r *cleanRun) clean(dirty, uncleanable int64) (int64, error) {
	l := r.log
	r.cut = l.truncations.Load()
	if err := r.readKeys(dirty, uncleanable); err != nil {
		return dirty, err
	}
	end := r.keys.latest + 1
	if end <= dirty {
		return dirty, nil
	}
	lastOf, err := l.lastOfProducers()
	if err != nil {
		return dirty, err
	}
	cfg := l.cfg.Load()
	txns := newCleanedTxns()
	f := &batchFilter{keys: r.keys, txns: txns, nowMs: r.nowMs, deleteRetentionMs: cfg.DeleteRetentionMs, upper: end, lastOf: lastOf}
	if err := addAborted(txns, l.segments(), 0); err != nil {
		return dirty, err
	}
	for _, group := range groupSegments(l.segments(), end, cfg) {
		if err := r.cleanGroup(f, group, end); err != nil {
			return dirty, err
		}
	}
	return end, nil
}

// addAborted queues the aborted transactions whose marker is at or above an offset.
func addAborted(txns *cleanedTxns, segs []*segment, from int64) error {
	for i := segmentAt(segs, from); i < len(segs); i++ {
		aborted, err := segs[i].aborted()
		if err != nil {
			return err
		}
		txns.add(slices.DeleteFunc(aborted, func(t abortedTxn) bool { return t.lastOffset < from }))
	}
	return nil
}

// lastOfProducers tells where each producer's last batch ended.
func (l *Log) lastOfProducers() (map[int64]producerLast, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return nil, err
	}
	if err := l.loadProducers(); err != nil {
		return nil, err
	}
	out := make(map[int64]producerLast, len(l.producers.entries))
	for i := range l.producers.entries {
		e := &l.producers.entries[i]
		out[e.id] = producerLast{e.lastOffset(), e.epoch}
	}
	return out, nil
}

// groupSegments puts neighbours together that fit one segment after cleaning, at the latest when none of them shrinks.
func groupSegments(segs []*segment, end int64, cfg *Config) [][]*segment {
	var out [][]*segment
	var group []*segment
	size, index := int64(0), int64(0)
	for i, s := range segs {
		if s.base >= end || i == len(segs)-1 {
			break
		}
		held := s.size.Load()
		entries := int64(s.offsets.n) * offsetEntrySize
		if len(group) > 0 && (size+held > int64(cfg.SegmentBytes) || index+entries > int64(cfg.SegmentIndexBytes) ||
			segs[i+1].base-1-group[0].base > math.MaxInt32) {
			out = append(out, group)
			group, size, index = nil, 0, 0
		}
		group = append(group, s)
		size += held
		index += entries
	}
	if len(group) > 0 {
		out = append(out, group)
	}
	return out
}

// readKeys fills the map from the dirty part, up to the first batch that does not fit.
func (r *cleanRun) readKeys(dirty, uncleanable int64) error {
	l := r.log
	txns := newCleanedTxns()
	segs := l.segments()
	if err := addAborted(txns, segs, dirty); err != nil {
		return err
	}
	for i := segmentAt(segs, dirty); i < len(segs) && segs[i].base < uncleanable; i++ {
		full, err := r.readSegmentKeys(segs[i], txns, dirty, uncleanable)
		if err != nil || full {
			return err
		}
	}
	return nil
}

func (r *cleanRun) readSegmentKeys(s *segment, txns *cleanedTxns, dirty, uncleanable int64) (full bool, err error) {
	o, err := r.log.env.files.acquire(s)
	if err != nil {
		return false, err
	}
	defer o.release()
	pos := int64(0)
	if dirty > s.base {
		v, err := s.offsetView()
		if err != nil {
			return false, err
		}
		pos = v.floor(uint32(min(dirty-s.base, math.MaxUint32)))
	}
	scan := batchScan{f: o, pos: pos, end: s.size.Load()}
	defer scan.close()
	var records record.Records
	for {
		b, at, ok, err := scan.next()
		if err != nil {
			return false, err
		}
		if !ok {
			if at < scan.end {
				return false, &corruptError{s.logPath(), at, "no whole batch"}
			}
			return false, nil
		}
		if b.BaseOffset() >= uncleanable {
			return true, nil
		}
		if err := r.throttle(len(b)); err != nil {
			return false, err
		}
		if full, err := r.readBatchKeys(b, txns, dirty, &records); err != nil || full {
			return full, err
		}
	}
}

func (r *cleanRun) readBatchKeys(b record.Batch, txns *cleanedTxns, dirty int64, records *record.Records) (full bool, err error) {
	if b.LastOffset() < dirty {
		if b.IsControl() {
			_, err = txns.control(b)
		} else {
			txns.data(b)
		}
		return false, err
	}
	if b.IsControl() {
		if _, err := txns.control(b); err != nil {
			return false, err
		}
	} else if !txns.data(b) {
		records.Reset(b, 0)
		for records.Next() {
			rec := records.Record()
			if rec.Key == nil || rec.Offset < dirty {
				continue
			}
			if r.keys.full() {
				// What was put of this batch stays: those are true offsets, and latest says how far the map goes.
				r.keys.latest = max(r.keys.latest, rec.Offset-1)
				return true, records.Close()
			}
			r.keys.put(rec.Key, rec.Offset)
		}
		if err := records.Close(); err != nil {
			return false, err
		}
	}
	r.keys.latest = max(r.keys.latest, b.LastOffset())
	return false, nil
}

// cleanGroup writes one group of segments into one and swaps it in.
func (r *cleanRun) cleanGroup(f *batchFilter, group []*segment, end int64) error {
	l := r.log
	out := newSegment(l, group[0].base, r.nowMs)
	out.suffix.Store(ptr(cleanedSuffix))
	out.offsets.reset(nil, 0)
	out.times.reset(nil)
	var kept []abortedTxn
	f.txns.kept = &kept
	defer l.env.files.drop(out)
	w, err := newSegmentWriter(out, r.bufBytes)
	if err == nil {
		for _, s := range group {
			if err = r.cleanSegment(f, s, w); err != nil {
				break
			}
		}
	}
	if err == nil {
		err = w.finish(kept)
	}
	if w != nil {
		w.close()
	}
	if err == nil {
		out.modified.Store(group[len(group)-1].modified.Load())
		err = l.replaceSegments(out, group, r.cut)
	}
	if err != nil {
		for _, kind := range []string{logSuffix, indexSuffix, timeIndexSuffix, txnIndexSuffix} {
			if out.suffix.Load() != nil && *out.suffix.Load() == cleanedSuffix {
				_ = removeIfThere(l.env.fs, out.path(kind)) // the next start removes what is left
			}
		}
	}
	return err
}

func (r *cleanRun) cleanSegment(f *batchFilter, s *segment, w *segmentWriter) error {
	o, err := r.log.env.files.acquire(s)
	if err != nil {
		return err
	}
	defer o.release()
	scan := batchScan{f: o, end: s.size.Load()}
	defer scan.close()
	for {
		b, at, ok, err := scan.next()
		if err != nil {
			return err
		}
		if !ok {
			if at < scan.end {
				return &corruptError{s.logPath(), at, "no whole batch"}
			}
			return nil
		}
		r.BytesIn += int64(len(b))
		out, err := f.filter(b)
		if err != nil {
			return &corruptError{s.logPath(), at, err.Error()}
		}
		if len(out) > 0 {
			if err := w.write(record.Batch(out)); err != nil {
				return err
			}
			r.BytesOut += int64(len(out))
		}
		if err := r.throttle(len(b) + len(out)); err != nil {
			return err
		}
	}
}

// segmentWriter writes the batches of a cleaned segment through a buffer.
type segmentWriter struct {
	seg *segment
	o   *openFile
	buf *bufpool.Buf
	n   int
	pos int64
}

func newSegmentWriter(s *segment, bufBytes int) (*segmentWriter, error) {
	if err := s.create(0); err != nil {
		return nil, err
	}
	o, err := s.log.env.files.acquire(s)
	if err != nil {
		return nil, err
	}
	return &segmentWriter{seg: s, o: o, buf: bufpool.Get(max(bufBytes, 64<<10))}, nil
}

func (w *segmentWriter) close() {
	w.o.release()
	w.buf.Release()
	w.buf = nil
}

func (w *segmentWriter) write(b record.Batch) error {
	w.seg.note(b, w.pos+int64(w.n), w.seg.log.cfg.Load())
	if w.n+len(b) > len(w.buf.B) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if len(b) > len(w.buf.B) {
		_, err := w.o.WriteAt(b, w.pos)
		w.pos += int64(len(b))
		return err
	}
	w.n += copy(w.buf.B[w.n:], b)
	return nil
}

func (w *segmentWriter) flush() error {
	if w.n == 0 {
		return nil
	}
	_, err := w.o.WriteAt(w.buf.B[:w.n], w.pos)
	w.pos += int64(w.n)
	w.n = 0
	return err
}

// finish completes the files and makes them durable.
func (w *segmentWriter) finish(txns []abortedTxn) error {
	if err := w.flush(); err != nil {
		return err
	}
	s := w.seg
	s.size.Store(w.pos)
	if len(txns) > 0 {
		slices.SortFunc(txns, func(a, b abortedTxn) int { return int(a.lastOffset - b.lastOffset) })
		s.newTxns = txns
		s.hasTxns.Store(true)
	}
	if err := s.finish(); err != nil {
		return err
	}
	if err := w.o.Sync(); err != nil {
		return s.log.syncFailed(err)
	}
	if err := s.syncIndexes(); err != nil {
		return s.log.syncFailed(err)
	}
	s.unsynced.Store(false)
	return nil
}

// replaceSegments swaps a cleaned segment in for a group of neighbours. The .log file becomes .swap last, which is the
// point from where a start after a crash goes on instead of back.
func (l *Log) replaceSegments(out *segment, group []*segment, cut int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	segs := l.segments()
	at := slices.Index(segs, group[0])
	if at < 0 || l.truncations.Load() != cut || at+len(group) >= len(segs) || !slices.Equal(segs[at:at+len(group)], group) {
		return errCleaningStopped
	}
	kinds := []string{indexSuffix, timeIndexSuffix, txnIndexSuffix, logSuffix}
	if err := l.renameFiles(out, kinds, swapSuffix); err != nil {
		return l.storageError("swap segment", err)
	}
	if err := l.env.fs.SyncDir(l.dirPath()); err != nil {
		return l.syncFailed(err)
	}
	out.created, out.firstBatch = group[0].created, unknownTimestamp
	l.segs.Store(ptr(slices.Concat(segs[:at], []*segment{out}, segs[at+len(group):])))
	for _, s := range group {
		if err := l.markDeleted(s); err != nil {
			return l.storageError("swap segment", err)
		}
	}
	bases := map[int64]bool{}
	for _, s := range group[1:] {
		bases[s.base] = true
	}
	l.dropSnapshots(func(o int64) bool { return bases[o] })
	if err := l.renameFiles(out, kinds, ""); err != nil {
		return l.storageError("swap segment", err)
	}
	l.newFiles.Store(true)
	return nil
}

// renameFiles gives the files of a segment another suffix.
func (l *Log) renameFiles(s *segment, kinds []string, suffix string) error {
	to := newSegment(l, s.base, 0)
	to.suffix.Store(&suffix)
	for _, kind := range kinds {
		if err := l.env.fs.Rename(s.path(kind), to.path(kind)); err != nil && !(kind == txnIndexSuffix && vfs.IsNotExist(err)) {
			return err
		}
	}
	s.suffix.Store(&suffix)
	return nil
}

// throttled returns a function that waits as long as a rate asks for.
func throttled(ctx context.Context, bytesPerSec float64) func(int) error {
	var debt float64
	return func(n int) error {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("cleaning is stopped: %w", err)
		}
		if bytesPerSec <= 0 || bytesPerSec >= math.MaxInt64 {
			return nil
		}
		debt += float64(n) / bytesPerSec
		if debt < 0.05 {
			return nil
		}
		t := time.NewTimer(time.Duration(debt * float64(time.Second)))
		defer t.Stop()
		debt = 0
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			return nil
		}
	}
}
