package log

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/wire"
)

// cleaner chooses which logs to compact and runs the threads that do it.
type cleaner struct {
	m *Manager
}

func newCleaner(m *Manager) *cleaner { return &cleaner{m: m} }

func (c *cleaner) start(g *lifecycle.Group) {
	for i := range c.m.cfg.CleanerThreads {
		g.Go(fmt.Sprintf("cleaner %d", i), c.loop)
	}
}

func (c *cleaner) loop(ctx context.Context) {
	timer := time.NewTimer(c.m.cfg.CleanerBackoff)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for ctx.Err() == nil && c.cleanFilthiest(ctx) {
		}
		timer.Reset(c.m.cfg.CleanerBackoff)
	}
}

// CleanNow compacts everything that is due, as the background threads do.
func (m *Manager) CleanNow(ctx context.Context) {
	for ctx.Err() == nil && m.cleaner.cleanFilthiest(ctx) {
	}
}

// cleanable is what a compaction of a log would do.
type cleanable struct {
	log                *Log
	dirty, uncleanable int64
	ratio              float64
}

// cleanFilthiest compacts the log with the highest share of dirty bytes among those that are due; false if none is.
func (c *cleaner) cleanFilthiest(ctx context.Context) bool {
	nowMs := c.m.env.nowMs()
	var best cleanable
	for _, l := range c.m.All() {
		if !l.cfg.Load().Compact || l.cleaning.Load() != 0 || l.usable() != nil {
			continue
		}
		got, due, err := l.cleanable(nowMs)
		if err != nil {
			c.m.cfg.Logger.Warn("log is not looked at for compaction", "partition", l.tp.String(), "error", err)
			continue
		}
		if due && (best.log == nil || got.ratio > best.ratio) {
			best = got
		}
	}
	if best.log == nil || !best.log.cleaning.CompareAndSwap(0, cleaningRuns) {
		return false
	}
	if err := c.cleanOne(ctx, best, nowMs); err != nil {
		c.failed(best.log, err)
		return false
	}
	best.log.cleaning.Store(0)
	return true
}

// States of Log.cleaning.
const (
	cleaningRuns  int32 = 1
	neverCleanAny int32 = 2 // its contents cannot be read: an operator must look
)

func (c *cleaner) failed(l *Log, err error) {
	var corrupt *corruptError
	switch {
	case errors.As(err, &corrupt):
		c.m.cfg.Logger.Error("log cannot be compacted and is left out from now on", "partition", l.tp.String(), "error", err)
		l.cleaning.Store(neverCleanAny)
		return
	case errors.Is(err, errCleaningStopped), errors.Is(err, context.Canceled):
	case errors.Is(err, wire.KafkaStorageError):
		c.m.cfg.Logger.Warn("compaction failed", "partition", l.tp.String(), "error", err)
	default:
		c.m.cfg.Logger.Warn("compaction failed", "partition", l.tp.String(), "error", l.storageError("compaction", err))
	}
	l.cleaning.Store(0)
}

func (c *cleaner) cleanOne(ctx context.Context, what cleanable, nowMs int64) error {
	cfg := c.m.cfg
	threads := int64(max(cfg.CleanerThreads, 1))
	run := &cleanRun{log: what.log, nowMs: nowMs,
		keys:     newOffsetMap(cfg.CleanerDedupeBufferBytes/threads, cfg.CleanerIOBufferLoadFactor),
		throttle: throttled(ctx, cfg.CleanerMaxIOBytesPerSec/float64(threads)),
		bufBytes: cfg.CleanerIOBufferBytes / int(2*threads)}
	if err := c.m.settleBelow(what.log, what.uncleanable); err != nil {
		return err
	}
	next, err := run.clean(what.dirty, what.uncleanable)
	if err != nil {
		return err
	}
	l := what.log
	l.tailMu.Lock()
	if l.truncations.Load() == run.cut {
		l.firstDirty = next
	}
	l.tailMu.Unlock()
	cfg.Logger.Info("log is compacted", "partition", l.tp.String(), "from", what.dirty, "to", next, "bytesRead", run.BytesIn, "bytesKept", run.BytesOut)
	if next <= what.dirty {
		return errCleaningStopped // nothing fits the buffer; do not spin
	}
	return nil
}

// settleBelow makes all below an offset durable, and the recovery point that says so: what is compacted gets holes, which
// above the recovery point look like what lost power leaves.
func (m *Manager) settleBelow(l *Log, offset int64) error {
	if l.flushed.Load() < offset {
		if err := l.flushTo(offset); err != nil {
			return err
		}
	}
	if l.pointWritten.Load() < offset {
		d := l.dir.Load()
		if err := m.writeCheckpoints(d, recoveryPointFile); err != nil {
			return d.problem("checkpoint", err)
		}
	}
	if l.pointWritten.Load() < offset {
		return errCleaningStopped // it was truncated
	}
	return nil
}

// cleanable looks at what a compaction would do and whether it is due: enough of the log is dirty, or a record waits for
// longer than max.compaction.lag.ms.
func (l *Log) cleanable(nowMs int64) (cleanable, bool, error) {
	cfg := l.cfg.Load()
	segs := l.segments()
	active := segs[len(segs)-1]
	start := l.start.Load()
	dirty := l.firstDirtyOffset()
	if dirty < start || dirty > active.base {
		dirty = start
	}
	uncleanable := min(active.base, l.LastStableOffset(), l.flushed.Load())
	oldest := int64(math.MaxInt64)
	var cleanBytes, dirtyBytes int64
	for i, s := range segs[:len(segs)-1] {
		switch {
		case segs[i+1].base <= dirty:
			cleanBytes += s.size.Load()
			continue
		case s.base >= uncleanable:
			continue
		}
		if cfg.MinCompactionLagMs > 0 {
			ts, err := l.sharedTimestamp(s)
			if err != nil {
				return cleanable{}, false, err
			}
			if ts > nowMs-cfg.MinCompactionLagMs {
				uncleanable = min(uncleanable, s.base)
				continue
			}
		}
		if s.base < dirty {
			cleanBytes += s.size.Load()
			continue
		}
		dirtyBytes += s.size.Load()
		if cfg.MaxCompactionLagMs < math.MaxInt64 && oldest == math.MaxInt64 {
			ts, err := l.sharedFirstTimestamp(s)
			if err != nil {
				return cleanable{}, false, err
			}
			if ts >= 0 {
				oldest = ts
			}
		}
	}
	got := cleanable{log: l, dirty: dirty, uncleanable: uncleanable}
	if dirtyBytes == 0 || uncleanable <= dirty {
		return got, false, nil
	}
	got.ratio = float64(dirtyBytes) / float64(cleanBytes+dirtyBytes)
	overdue := oldest != math.MaxInt64 && oldest < nowMs-cfg.MaxCompactionLagMs
	return got, got.ratio > cfg.MinCleanableDirtyRatio || overdue, nil
}

func (l *Log) sharedTimestamp(s *segment) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.largestTimestamp()
}

func (l *Log) sharedFirstTimestamp(s *segment) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.firstBatchTimestamp()
}
