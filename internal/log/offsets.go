package log

import (
	"math"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// OffsetForTimestamp finds the first record at or after ts; Offset is -1 if there is none.
func (l *Log) OffsetForTimestamp(ts int64) (TimestampOffset, error) {
	none := TimestampOffset{Timestamp: -1, Offset: -1, LeaderEpoch: -1}
	if err := l.usable(); err != nil {
		return none, err
	}
	start := l.start.Load()
	for _, s := range l.segments() {
		if s.size.Load() == 0 {
			continue
		}
		if err := s.loadMaxTimestampShared(); err != nil {
			return none, l.readError(err)
		}
		if s.maxTimestamp.Load() < ts {
			continue
		}
		got, err := s.findTimestamp(ts, start)
		if err != nil {
			return none, l.readError(err)
		}
		if got.Offset >= 0 {
			return got, nil
		}
	}
	return none, nil
}

// OffsetForMaxTimestamp finds the first record with the highest timestamp.
func (l *Log) OffsetForMaxTimestamp() (TimestampOffset, error) {
	none := TimestampOffset{Timestamp: -1, Offset: -1, LeaderEpoch: -1}
	if err := l.usable(); err != nil {
		return none, err
	}
	var best *segment
	for _, s := range l.segments() {
		if err := s.loadMaxTimestampShared(); err != nil {
			return none, l.readError(err)
		}
		if s.maxTimestamp.Load() >= 0 && (best == nil || s.maxTimestamp.Load() > best.maxTimestamp.Load()) {
			best = s
		}
	}
	if best == nil {
		return none, nil
	}
	got, err := best.findTimestamp(best.maxTimestamp.Load(), l.start.Load())
	if err != nil {
		return none, l.readError(err)
	}
	if got.Offset < 0 {
		return none, nil
	}
	return got, nil
}

// loadMaxTimestampShared is loadMaxTimestamp for those who do not hold the log's lock.
func (s *segment) loadMaxTimestampShared() error {
	if s.maxTimestamp.Load() != unknownTimestamp {
		return nil
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.loadMaxTimestamp()
}

// allTimes reads the whole time index; the caller holds the log's lock.
func (s *segment) allTimes() ([]timeEntry, error) {
	ents, err := readTimeIndex(s.log.env.fs, s.path(timeIndexSuffix))
	if vfs.IsNotExist(err) {
		err = nil
	}
	if err != nil {
		s.log.env.logger.Warn("time index is not used", "error", err)
		return nil, nil
	}
	return append(ents, s.times.pending...), nil
}

// findTimestamp finds the first record of the segment at or above offset from whose timestamp is at or above ts.
func (s *segment) findTimestamp(ts, from int64) (TimestampOffset, error) {
	s.log.mu.Lock()
	ents, err := s.allTimes()
	s.log.mu.Unlock()
	if err != nil {
		return TimestampOffset{}, err
	}
	offset := max(from, s.base)
	// The entry says: nothing before its offset is above its timestamp. So with timestamp == ts an earlier record may
	// have ts as well, and the search starts from the entry before.
	if e, ok := floorTime(ents, ts-1); ok {
		offset = max(offset, s.base+int64(e.relative))
	}
	v, err := s.offsetView()
	if err != nil {
		return TimestampOffset{}, err
	}
	o, err := s.log.env.files.acquire(s)
	if err != nil {
		return TimestampOffset{}, err
	}
	defer o.release()
	w := newHeaderWalk(o, v.floor(uint32(min(offset-s.base, math.MaxUint32))), s.size.Load())
	defer w.close()
	for {
		h, pos, ok, err := w.next()
		if err != nil {
			return TimestampOffset{}, err
		}
		if !ok {
			return TimestampOffset{Timestamp: -1, Offset: -1, LeaderEpoch: -1}, nil
		}
		if h.MaxTimestamp() < ts || h.LastOffset() < from {
			continue
		}
		if got, ok, err := findInBatch(o, h, pos, ts, from); err != nil || ok {
			return got, err
		}
	}
}

// findInBatch looks at the records of one batch.
func findInBatch(f vfs.File, h record.Batch, pos, ts, from int64) (TimestampOffset, bool, error) {
	buf := bufpool.Get(h.Size())
	defer buf.Release()
	if err := readFull(f, buf.B, pos); err != nil {
		return TimestampOffset{}, false, err
	}
	it := record.Batch(buf.B).Records(0)
	for it.Next() {
		if r := it.Record(); r.Timestamp >= ts && r.Offset >= from {
			got := TimestampOffset{Timestamp: r.Timestamp, Offset: r.Offset, LeaderEpoch: record.Batch(buf.B).LeaderEpoch()}
			return got, true, it.Close()
		}
	}
	return TimestampOffset{}, false, it.Close()
}
