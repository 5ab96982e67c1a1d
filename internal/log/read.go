package log

import (
	"errors"
	"fmt"
	"math"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// Read returns the range of whole batches from the one that holds offset, at most maxBytes long, or one batch if
// it is longer and minOneBatch is set. At the bound the range is nil; below the log start or above the bound's end
// the error wraps wire.OffsetOutOfRange. Reads above the high watermark but within the log give an empty answer for the
// lower bounds, as in Kafka.
func (l *Log) Read(offset int64, maxBytes int, minOneBatch bool, upTo Bound) (ReadInfo, error) {
	if err := l.usable(); err != nil {
		return ReadInfo{}, err
	}
	for range 10 {
		info, err := l.read(offset, maxBytes, minOneBatch, upTo)
		if err == nil || !vfs.IsNotExist(err) {
			return info, l.readError(err)
		}
		// The segment was deleted after its list was loaded: the next look sees the new list, or a new log start.
	}
	return ReadInfo{}, fmt.Errorf("%s: the segment of offset %d is gone: %w", l.tp, offset, wire.KafkaStorageError)
}

func (l *Log) readError(err error) error {
	var corrupt *corruptError
	if errors.As(err, &corrupt) {
		l.env.logger.Error("corrupt bytes are not served", "partition", l.tp.String(), "error", err)
	}
	return l.storageError("read", err)
}

func (l *Log) read(offset int64, maxBytes int, minOneBatch bool, upTo Bound) (ReadInfo, error) {
	end := l.end.Load()
	info := ReadInfo{StartOffset: offset, EndOffset: offset, LogStartOffset: l.start.Load(), LogEndOffset: end}
	bound := l.bound(upTo, end)
	info.HighWatermark, info.LastStableOffset = l.hw.Load(), l.LastStableOffset()
	if offset < info.LogStartOffset || offset > end {
		return info, fmt.Errorf("Received request for offset %d for partition %s, but we only have log segments from offset %d to %d: %w",
			offset, l.tp, info.LogStartOffset, end, wire.OffsetOutOfRange)
	}
	if upTo == BoundLastStable {
		info.Aborted = []wire.AbortedTransaction{}
	}
	if offset >= bound.offset {
		return info, nil
	}
	segs := l.segments()
	i := segmentAt(segs, offset)
	r, err := l.locate(segs, i, offset, maxBytes, minOneBatch, bound)
	if err != nil || r.length == 0 {
		info.Truncated = err == nil && r.cut
		return info, err
	}
	info.Range = vfs.NewRange(r.file, r.pos, r.length, r.file.letGo)
	info.Truncated = r.cut
	info.EndOffset = bound.offset
	if r.cut {
		info.EndOffset = r.end
	}
	if upTo == BoundLastStable {
		if info.Aborted, err = l.abortedIn(offset, info.EndOffset); err != nil {
			info.Range.Release()
			info.Range = nil
			return info, err
		}
	}
	return info, nil
}

// bound returns the offset up to which a reader may see, with its place in a file if that is known.
func (l *Log) bound(upTo Bound, end int64) mark {
	switch upTo {
	case BoundHighWatermark:
		return l.boundAt(l.hw.Load(), &l.hwMark)
	case BoundLastStable:
		lso := l.LastStableOffset()
		if lso == l.hw.Load() {
			return l.boundAt(lso, &l.hwMark)
		}
		return l.boundAt(lso, &l.lsoMark)
	default:
		return mark{offset: end, pos: math.MaxInt64}
	}
}

func (l *Log) boundAt(offset int64, cached *mark) mark {
	l.tailMu.Lock()
	defer l.tailMu.Unlock()
	if cached.offset == offset && cached.seg != nil {
		return *cached
	}
	m := l.marks.at(offset)
	if m.seg != nil {
		*cached = m
	}
	return m
}

// found is a place in a segment. The file has one more user, unless length is 0.
type found struct {
	file   *openFile
	pos    int64
	length int64
	cut    bool  // it ends before the bound
	end    int64 // an offset at or above its last one, if cut
}

// locate finds the range for a read in segs[i] or, if nothing at or above offset is left there, in those after it.
func (l *Log) locate(segs []*segment, i int, offset int64, maxBytes int, minOneBatch bool, bound mark) (found, error) {
	for ; i < len(segs); i++ {
		seg := segs[i]
		size := seg.size.Load()
		if size == 0 {
			continue
		}
		if bound.seg == seg || bound.pos == math.MaxInt64 {
			size = min(size, bound.pos)
		}
		o, err := l.env.files.acquire(seg)
		if err != nil {
			return found{}, err
		}
		r, err := l.locateIn(seg, o, offset, size, maxBytes, minOneBatch, bound)
		if err != nil || r.length == 0 {
			o.release()
		}
		if err != nil || r.length > 0 || r.cut {
			if r.cut && r.end == 0 {
				r.end = bound.offset
				if i+1 < len(segs) {
					r.end = min(r.end, segs[i+1].base)
				}
			}
			return r, err
		}
	}
	return found{}, nil
}

// locateIn finds the range in one segment, of which size bytes may be seen.
func (l *Log) locateIn(seg *segment, o *openFile, offset, size int64, maxBytes int, minOneBatch bool, bound mark) (found, error) {
	start, first, err := l.startOf(seg, o, offset, size)
	if err != nil || start >= size {
		return found{}, err
	}
	r := found{file: o, pos: start}
	stop, exact, err := l.stopOf(seg, o, start, size, bound)
	if err != nil || stop <= start {
		return found{}, err
	}
	r.length = stop - start
	r.cut = !exact
	if r.length <= int64(maxBytes) {
		return r, nil
	}
	r.cut = true
	if first == 0 {
		if first, err = batchSizeAt(o, start, stop); err != nil {
			return found{}, err
		}
	}
	if first >= int64(maxBytes) {
		if first > int64(maxBytes) && !minOneBatch {
			return found{cut: true, end: offset}, nil
		}
		r.length = first
	} else if r.length, err = l.wholeBatches(seg, o, start, start+int64(maxBytes)); err != nil {
		return found{}, err
	}
	r.end, err = endOffsetAt(o, start+r.length, stop, bound.offset)
	return r, err
}

// startOf returns where the batch that holds offset starts, and its size if that was learned on the way.
func (l *Log) startOf(seg *segment, o *openFile, offset, size int64) (pos, first int64, err error) {
	if offset <= seg.base {
		return 0, 0, nil
	}
	l.tailMu.Lock()
	m := l.marks.at(offset)
	l.tailMu.Unlock()
	if m.seg == seg && m.pos < size {
		return m.pos, 0, nil
	}
	return l.translate(seg, o, offset, size)
}

// translate finds the first batch whose last offset is at or above offset; pos is size if there is none.
func (l *Log) translate(seg *segment, o *openFile, offset, size int64) (pos, first int64, err error) {
	v, err := seg.offsetView()
	if err != nil {
		return 0, 0, err
	}
	w := newHeaderWalk(o, v.floor(uint32(min(offset-seg.base, math.MaxUint32))), size)
	defer w.close()
	for {
		h, pos, ok, err := w.next()
		if err != nil {
			return 0, 0, err
		}
		if !ok {
			return size, 0, nil
		}
		if h.LastOffset() >= offset {
			return pos, int64(h.Size()), nil
		}
	}
}

// stopOf returns where the bound lies in the segment: its visible size if the bound is above it. exact says that the
// stop is the bound, and not the segment's end.
func (l *Log) stopOf(seg *segment, o *openFile, start, size int64, bound mark) (stop int64, exact bool, err error) {
	switch {
	case bound.pos == math.MaxInt64:
		return size, seg == l.active(), nil
	case bound.seg == seg:
		return size, true, nil
	}
	end := l.end.Load()
	segs := l.segments()
	for i, s := range segs {
		if s == seg && i+1 < len(segs) {
			end = segs[i+1].base
			if bound.offset >= end {
				return size, bound.offset == end, nil
			}
			break
		}
	}
	if bound.offset >= end {
		// The size was loaded before the end, so all of it lies below.
		return size, true, nil
	}
	if stop, _, err = l.translate(seg, o, bound.offset, size); err != nil {
		return 0, false, err
	}
	l.rememberBound(mark{bound.offset, seg, stop})
	return stop, true, nil
}

// rememberBound keeps the place of the high watermark or last stable offset for the next reads.
func (l *Log) rememberBound(m mark) {
	l.tailMu.Lock()
	defer l.tailMu.Unlock()
	if m.offset == l.hw.Load() {
		l.hwMark = m
	} else {
		l.lsoMark = m
	}
}

// wholeBatches returns how many bytes of whole batches lie in [start, limit); start is where a batch starts.
func (l *Log) wholeBatches(seg *segment, o *openFile, start, limit int64) (int64, error) {
	v, err := seg.offsetView()
	if err != nil {
		return 0, err
	}
	w := newHeaderWalk(o, max(start, v.floorPosition(limit)), seg.size.Load())
	defer w.close()
	for {
		_, pos, ok, err := w.next()
		if err != nil {
			return 0, err
		}
		if w.pos > limit || !ok {
			return pos - start, nil
		}
	}
}

func batchSizeAt(o *openFile, pos, end int64) (int64, error) {
	w := newHeaderWalk(o, pos, end)
	defer w.close()
	h, _, ok, err := w.next()
	if err != nil || !ok {
		return 0, err
	}
	return int64(h.Size()), nil
}

// endOffsetAt is the base offset of the batch at pos, or an offset that is certainly above what lies before it.
func endOffsetAt(o *openFile, pos, stop, bound int64) (int64, error) {
	if pos >= stop {
		return 0, nil
	}
	var head [8]byte
	if err := readFull(o, head[:], pos); err != nil {
		return 0, err
	}
	return min(record.Batch(head[:]).BaseOffset(), bound), nil
}

// abortedIn lists the aborted transactions that overlap [from, to).
func (l *Log) abortedIn(from, to int64) ([]wire.AbortedTransaction, error) {
	out := []wire.AbortedTransaction{}
	segs := l.segments()
	for i := segmentAt(segs, from); i < len(segs); i++ {
		txns, err := segs[i].aborted()
		if err != nil {
			return nil, err
		}
		for _, t := range txns {
			if t.lastOffset >= from && t.firstOffset < to {
				out = append(out, wire.AbortedTransaction{ProducerID: t.producerID, FirstOffset: t.firstOffset})
			}
			if t.lastStableOffset >= to {
				return out, nil
			}
		}
	}
	return out, nil
}
