package log

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// indexSpill is how many index entries may wait in memory before they are written.
const indexSpill = 512

// appendScratch is what one append needs besides its bytes; reused, so that an append allocates nothing for each record.
type appendScratch struct {
	bytes   []byte // what is written, with batches as views of it
	batches []record.Batch
	events  []txnEvent
	bufs    []*bufpool.Buf
	maxTs   int64
	records int
}

var scratchPool = sync.Pool{New: func() any { return new(appendScratch) }}

func getScratch() *appendScratch {
	sc := scratchPool.Get().(*appendScratch)
	sc.maxTs = record.NoTimestamp
	sc.records = 0
	return sc
}

func (sc *appendScratch) put() {
	for _, b := range sc.bufs {
		b.Release()
	}
	clear(sc.bufs)
	clear(sc.batches)
	sc.bufs, sc.batches, sc.events, sc.bytes = sc.bufs[:0], sc.batches[:0], sc.events[:0], nil
	scratchPool.Put(sc)
}

func (sc *appendScratch) add(b record.Batch) {
	sc.batches = append(sc.batches, b)
	sc.maxTs = max(sc.maxTs, b.MaxTimestamp())
	sc.records += int(b.NumRecords())
}

// AppendAsLeader checks the batches, gives them offsets and leaderEpoch (patched in place) and appends them. The
// caller owns the bytes; the log does not keep them. An epoch other than the one of the last BecomeLeader gives
// wire.NotLeaderOrFollower. A full or failed disk gives wire.KafkaStorageError. On return the records are in the
// page cache; if SyncsBeforeAck they are durable when FlushedOffset is above LastOffset, for which the
// next round of syncs was asked.
func (l *Log) AppendAsLeader(batches []byte, leaderEpoch int32, opt AppendOptions) (AppendInfo, error) {
	info := AppendInfo{BaseOffset: -1, LastOffset: -1, AppendTimeMs: -1, LeaderEpoch: leaderEpoch, LogStartOffset: l.start.Load()}
	sc := getScratch()
	defer sc.put()
	cfg := l.cfg.Load()
	nowMs := l.env.nowMs()
	if err := l.prepare(sc, batches, opt, cfg, nowMs, &info); err != nil {
		return info, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return info, err
	}
	if !l.role.leader.Load() || leaderEpoch != l.role.epoch.Load() {
		return info, fmt.Errorf("%s: append in leader epoch %d, the log is in epoch %d: %w", l.tp, leaderEpoch, l.role.epoch.Load(), wire.NotLeaderOrFollower)
	}
	if dup, err := l.findDuplicate(sc, opt, &info); dup || err != nil {
		return info, err
	}
	next := l.end.Load()
	info.BaseOffset = next
	for _, b := range sc.batches {
		b.SetBaseOffset(next)
		b.SetLeaderEpoch(leaderEpoch)
		next = b.NextOffset()
	}
	if next < 0 {
		return info, fmt.Errorf("%s: offsets are used up: %w", l.tp, wire.KafkaStorageError)
	}
	if err := l.appendLocked(sc, opt, nowMs, cfg); err != nil {
		info.BaseOffset = -1
		return info, err
	}
	info.LastOffset = next - 1
	info.LogStartOffset = l.start.Load()
	info.Bytes, info.Records, info.MaxTimestamp = len(sc.bytes), sc.records, sc.maxTs
	return info, nil
}

// writable says whether the log takes appends. The caller holds mu.
func (l *Log) writable() error {
	if l.gone != nil {
		return l.gone
	}
	return l.usable()
}

// prepare checks a leader's batches and brings them into the form that is written, without any lock.
func (l *Log) prepare(sc *appendScratch, p []byte, opt AppendOptions, cfg *Config, nowMs int64, info *AppendInfo) error {
	sc.bytes = p
	recompressed := false
	for len(p) > 0 {
		b, rest, err := record.Next(p)
		if err != nil {
			return err
		}
		if opt.Origin == OriginClient {
			if len(sc.batches) > 0 {
				return fmt.Errorf("more than one record batch in an append of a client: %w", wire.InvalidRecord)
			}
			if b, err = l.prepareClient(sc, b, cfg, nowMs, info); err != nil {
				return err
			}
			if &b[0] != &p[0] {
				recompressed, info.Recompressed = true, true
			}
		} else if opt.Origin == OriginCoordinator && len(b) > int(cfg.MaxMessageBytes) {
			return l.tooLarge(len(b), cfg)
		}
		if cfg.MessageTimestampType == record.LogAppendTime && opt.Origin != OriginReplication {
			b.StampTimestamps(record.LogAppendTime, nowMs)
			info.AppendTimeMs = nowMs
		}
		sc.add(b)
		p = rest
	}
	if len(sc.batches) == 0 {
		return fmt.Errorf("append without a record batch: %w", wire.InvalidRecord)
	}
	if recompressed { // only a client's single batch is
		sc.bytes = sc.batches[0]
	}
	if len(sc.bytes) > int(cfg.SegmentBytes) {
		return fmt.Errorf("Message batch size is %d bytes in append to partition %s, which exceeds the maximum configured segment size of %d: %w",
			len(sc.bytes), l.tp, cfg.SegmentBytes, wire.RecordListTooLarge)
	}
	return nil
}

func (l *Log) tooLarge(size int, cfg *Config) error {
	return fmt.Errorf("The record batch size in the append to %s is %d bytes which exceeds the maximum configured value of %d: %w",
		l.tp, size, cfg.MaxMessageBytes, wire.MessageTooLarge)
}

// prepareClient does everything that a broker must check of a producer's batch, and compresses it anew if the topic
// asks for another codec.
func (l *Log) prepareClient(sc *appendScratch, b record.Batch, cfg *Config, nowMs int64, info *AppendInfo) (record.Batch, error) {
	if len(b) > int(cfg.MaxMessageBytes) {
		return nil, l.tooLarge(len(b), cfg)
	}
	if b.BaseOffset() != 0 {
		return nil, fmt.Errorf("The baseOffset of the record batch in the append to %s should be 0, but it is %d: %w", l.tp, b.BaseOffset(), wire.InvalidRecord)
	}
	limits := record.Limits{FromClient: true, TimestampType: cfg.MessageTimestampType, NowMs: nowMs,
		BeforeMaxMs: cfg.MessageTimestampBeforeMs, AfterMaxMs: cfg.MessageTimestampAfterMs, KeysRequired: cfg.Compact}
	if cfg.Compact {
		limits.Partition = l.tp.String()
	}
	if cfg.MaxDecompressedBytes < record.DefaultMaxUncompressed {
		limits.MaxUncompressed = int(cfg.MaxDecompressedBytes)
	}
	got, err := record.Validate(b, limits)
	if err != nil {
		for _, e := range got.RecordErrors {
			info.RecordErrors = append(info.RecordErrors, RecordError{e.BatchIndex, e.Message})
		}
		if len(got.RecordErrors) > 0 {
			info.ErrorMessage = err.Error()
		}
		return nil, err
	}
	if to, other := cfg.compressionFor(b.Codec()); other {
		nb, buf, err := record.Recompress(b, to, limits.MaxUncompressed)
		if err != nil {
			return nil, err
		}
		sc.bufs = append(sc.bufs, buf)
		if len(nb) > int(cfg.MaxMessageBytes) {
			return nil, l.tooLarge(len(nb), cfg)
		}
		b = nb
	}
	if cfg.MessageTimestampType == record.CreateTime {
		b.StampTimestamps(record.CreateTime, got.MaxTimestamp)
	}
	return b, nil
}

// findDuplicate answers a batch that the producer sent before with the offsets of then.
func (l *Log) findDuplicate(sc *appendScratch, opt AppendOptions, info *AppendInfo) (bool, error) {
	if opt.Origin != OriginClient { // a coordinator's batches have no sequence of their own
		return false, nil
	}
	for _, b := range sc.batches {
		if !b.HasProducerID() || b.IsControl() {
			continue
		}
		if err := l.loadProducers(); err != nil {
			return false, err
		}
		if kept, ok := l.producers.duplicate(b); ok {
			info.Duplicate = true
			info.BaseOffset, info.LastOffset = kept.firstOffset(), kept.lastOffset
			info.LogStartOffset = l.start.Load()
			info.MaxTimestamp = kept.timestamp
			info.AppendTimeMs = kept.timestamp // also with CreateTime, as in Kafka
			return true, nil
		}
	}
	return false, nil
}

// appendAccepted appends batches up to the first one of an epoch above maxEpoch. allowed, asked under the log's lock, may
// refuse.
func (l *Log) appendAccepted(p []byte, maxEpoch int32, allowed func() error) (AppendInfo, error) {
	info := AppendInfo{BaseOffset: -1, LastOffset: -1, AppendTimeMs: -1, LogStartOffset: l.start.Load()}
	sc := getScratch()
	defer sc.put()
	taken := 0
	for taken < len(p) {
		b, _, err := record.Next(p[taken:])
		if errors.Is(err, record.ErrTruncated) && len(sc.batches) > 0 {
			break
		}
		if err != nil {
			return info, err
		}
		if b.LeaderEpoch() > maxEpoch {
			break
		}
		if err := b.VerifyCRC(); err != nil {
			return info, err
		}
		sc.add(b)
		taken += len(b)
	}
	if len(sc.batches) == 0 {
		return info, nil
	}
	sc.bytes = p[:taken]
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return info, err
	}
	if err := allowed(); err != nil {
		return info, err
	}
	nowMs, cfg := l.env.nowMs(), l.cfg.Load()
	if err := l.checkAccepted(sc, nowMs); err != nil {
		return info, err
	}
	if err := l.appendLocked(sc, AppendOptions{Origin: OriginReplication}, nowMs, cfg); err != nil {
		return info, err
	}
	first, last := sc.batches[0], sc.batches[len(sc.batches)-1]
	info.BaseOffset, info.LastOffset = first.BaseOffset(), last.LastOffset()
	info.LeaderEpoch = last.LeaderEpoch()
	info.Bytes, info.Records, info.MaxTimestamp = taken, sc.records, sc.maxTs
	return info, nil
}

// checkAccepted makes sure that the offsets rise from the log end on. A log without records may start over at a first
// batch that begins below its end: its leader's log starts within that batch.
func (l *Log) checkAccepted(sc *appendScratch, nowMs int64) error {
	next := l.end.Load()
	first := sc.batches[0]
	if first.BaseOffset() < next && first.LastOffset() >= next && l.start.Load() == next {
		if err := l.truncateFullyLocked(first.BaseOffset(), next, nowMs); err != nil {
			return err
		}
		next = first.BaseOffset()
	}
	for _, b := range sc.batches {
		if b.BaseOffset() < next || b.LastOffsetDelta() < 0 || b.BaseOffset() > math.MaxInt64-math.MaxInt32-1 {
			return fmt.Errorf("%s: batch at offset %d where the log ends at %d: %w", l.tp, b.BaseOffset(), next, wire.OffsetOutOfRange)
		}
		next = b.NextOffset()
	}
	return nil
}

// appendLocked writes batches with their final offsets and brings everything up to date. On an error nothing has
// changed. The caller holds mu.
func (l *Log) appendLocked(sc *appendScratch, opt AppendOptions, nowMs int64, cfg *Config) error {
	if err := l.applyProducers(sc, opt); err != nil {
		return err
	}
	last := sc.batches[len(sc.batches)-1].LastOffset()
	seg, err := l.segmentFor(sc, opt, last, nowMs, cfg)
	if err != nil {
		l.rollbackProducers()
		return err
	}
	pos := seg.size.Load()
	if err := l.write(seg, sc.bytes, pos); err != nil {
		l.rollbackProducers()
		return err
	}
	if l.producers != nil {
		l.producers.commit()
		l.producers.mapEnd = last + 1
		l.settleVerifications(sc.events, sc.batches, opt)
	}
	at := pos
	for _, b := range sc.batches {
		seg.note(b, at, cfg)
		l.epochs.assign(b.LeaderEpoch(), b.BaseOffset())
		at += int64(len(b))
	}
	seg.modified.Store(nowMs)
	l.lastTouched.Store(nowMs)
	l.publish(sc, seg, at, last+1)
	if len(sc.events) > 0 || seg.unwrittenEntries() >= indexSpill {
		if err := seg.writeIndexes(); err != nil {
			// They stay in memory and are written later, at the latest when the segment is finished.
			l.env.logger.Warn("index is not written", "partition", l.tp.String(), "error", err)
		}
	}
	l.unflushed += int64(sc.records)
	if l.unflushed >= cfg.FlushMessages || l.env.durability == DurabilityFsync {
		l.RequestSync()
	}
	return nil
}

// segmentFor returns the segment to append to, rolling if the present one is done. A roll takes a snapshot of the
// producers, which must not know of the append yet.
func (l *Log) segmentFor(sc *appendScratch, opt AppendOptions, last, nowMs int64, cfg *Config) (*segment, error) {
	seg := l.active()
	roll, err := l.shouldRoll(seg, len(sc.bytes), last, sc.maxTs, nowMs, cfg)
	if err != nil || !roll {
		return seg, err
	}
	l.rollbackProducers()
	sc.events = sc.events[:0]
	// Relative offsets have 31 bits: a follower whose leader's log has a great hole rolls to the batch itself.
	base := l.end.Load()
	if first := sc.batches[0].BaseOffset(); last-base > math.MaxInt32 {
		base = first
	}
	if err := l.rollLocked(base, nowMs); err != nil {
		return nil, err
	}
	return l.active(), l.applyProducers(sc, opt)
}

func (l *Log) applyProducers(sc *appendScratch, opt AppendOptions) error {
	begun := false
	for _, b := range sc.batches {
		if !b.HasProducerID() {
			continue
		}
		if err := l.loadProducers(); err != nil {
			return err
		}
		if !begun {
			l.producers.begin()
			begun = true
		}
		err := l.checkVerified(b, opt)
		var ev txnEvent
		changed := false
		if err == nil {
			ev, changed, err = l.producers.apply(b, opt)
		}
		if err != nil {
			l.producers.rollback()
			return err
		}
		if changed {
			sc.events = append(sc.events, ev)
		}
	}
	return nil
}

func (l *Log) rollbackProducers() {
	if l.producers != nil && l.producers.undoing {
		l.producers.rollback()
	}
}

// write is the one write of an append. What a failed one left behind is cut off again, so that no later and shorter
// batch can be followed by its remains.
func (l *Log) write(seg *segment, p []byte, pos int64) error {
	o, err := l.env.files.acquire(seg)
	if err != nil {
		return l.storageError("open", err)
	}
	defer o.release()
	if _, err := o.WriteAt(p, pos); err != nil {
		if terr := o.Truncate(pos); terr != nil {
			l.dir.Load().fail(fmt.Errorf("undo a failed write of %s: %w", l.tp, terr))
		}
		return l.storageError("append", err)
	}
	return nil
}

// publish makes an append visible to readers.
func (l *Log) publish(sc *appendScratch, seg *segment, size, end int64) {
	l.tailMu.Lock()
	for _, ev := range sc.events {
		if ev.last < 0 {
			l.txns.begin(ev.producerID, ev.first)
			continue
		}
		stable := l.txns.end(ev)
		if ev.aborted {
			seg.newTxns = append(seg.newTxns, abortedTxn{ev.producerID, ev.first, ev.last, stable})
			seg.hasTxns.Store(true)
		}
	}
	if len(sc.events) > 0 {
		l.firstUnstable.Store(l.txns.firstUnstable())
	}
	l.marks.add(mark{end, seg, size})
	l.tailMu.Unlock()
	// The end first: a reader who sees the new size must also see the new end, or it would take the new bytes for
	// bytes below an old high watermark that equals the old end.
	l.end.Store(end)
	seg.size.Store(size)
}
