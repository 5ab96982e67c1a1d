package log

import (
	"context"
	"fmt"
	"hash/maphash"
	"path/filepath"
	"time"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/vfs"
)

// sweepEvery is how often a directory looks for deferred deletions and idle logs.
const sweepEvery = time.Second

// coolAfterMs is how long a log must be untouched before it gives up what it holds in memory for appends.
const coolAfterMs = 60_000

// Start runs the background work in a group: one sweeper and one syncer for each directory, and the cleaner's threads.
// Nothing runs for each partition.
func (m *Manager) Start(g *lifecycle.Group) {
	m.failMu.Lock()
	m.group = g
	early := m.failures
	m.failures = nil
	m.failMu.Unlock()
	for _, st := range early {
		g.Go("directory failure", func(context.Context) { m.tellFailure(st) })
	}
	for _, d := range m.dirs {
		if d.offline() != nil {
			continue
		}
		d.syncer.start(g, d.path)
		if m.cfg.Durability == DurabilityFsync {
			// What recovery found above the recovery point is in the page cache at best.
			for _, l := range m.logsIn(d) {
				if l.flushed.Load() < l.end.Load() {
					l.RequestSync()
				}
			}
		}
		g.Go("sweep "+d.path, func(ctx context.Context) { m.sweep(ctx, d) })
	}
	if m.cfg.CleanerEnabled {
		m.cleaner.start(g)
	}
	g.Go("moves between directories", m.move)
}

// task is one kind of background work with the time it is due.
type task struct {
	every time.Duration
	due   time.Time
	run   func(now time.Time)
}

// sweep is the one loop of a directory.
func (m *Manager) sweep(ctx context.Context, d *directory) {
	now := m.env.now()
	start := now.Add(m.cfg.InitialTaskDelay)
	tasks := []*task{
		{every: sweepEvery, due: now, run: func(now time.Time) { m.sweepOnce(d, now.UnixMilli()) }},
		{every: m.cfg.RetentionCheckInterval, due: start, run: func(now time.Time) { m.retainDir(d, now.UnixMilli()) }},
		{every: m.cfg.ProducerExpirationCheck, due: start, run: func(now time.Time) { m.expireDir(d, now.UnixMilli()) }},
		{every: m.cfg.HighWatermarkInterval, due: now.Add(m.cfg.HighWatermarkInterval), run: func(time.Time) { m.checkpoint(d, highWatermarkFile) }},
		{every: m.cfg.RecoveryPointInterval, due: start, run: func(time.Time) { m.checkpoint(d, recoveryPointFile, cleanerFile) }},
		{every: m.cfg.LogStartInterval, due: start, run: func(time.Time) { m.checkpoint(d, logStartFile) }},
	}
	if m.cfg.FlushCheckInterval > 0 {
		tasks = append(tasks, &task{every: m.cfg.FlushCheckInterval, due: start, run: func(now time.Time) { m.flushDir(d, now.UnixMilli()) }})
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if d.offline() != nil {
			return
		}
		now := m.env.now()
		next := now.Add(time.Hour)
		for _, t := range tasks {
			if !t.due.After(now) {
				t.run(now)
				t.due = now.Add(t.every)
			}
			if t.due.Before(next) {
				next = t.due
			}
		}
		timer.Reset(max(next.Sub(m.env.now()), time.Millisecond))
	}
}

// sweepOnce removes what is due, and on a full volume makes room at once.
func (m *Manager) sweepOnce(d *directory, nowMs int64) {
	if d.full.Load() {
		m.retainDir(d, nowMs)
		d.runDeletes(nowMs)
		d.full.Store(false)
	} else {
		d.runDeletes(nowMs)
	}
	if d.startsDirty.Swap(false) {
		m.checkpoint(d, logStartFile)
	}
	if nowMs-d.cooledMs >= coolAfterMs {
		d.cooledMs = nowMs
		for _, l := range m.logsIn(d) {
			l.cool(nowMs)
		}
	}
}

// RetainNow applies the deletion rules to every log at once, as the background work does from time to time.
func (m *Manager) RetainNow() {
	for _, d := range m.dirs {
		if d.offline() == nil {
			m.retainDir(d, m.env.nowMs())
		}
	}
}

func (m *Manager) retainDir(d *directory, nowMs int64) {
	for _, l := range m.logsIn(d) {
		if d.offline() != nil {
			return
		}
		if _, _, err := l.retain(nowMs); err != nil {
			d.logger.Warn("retention", "partition", l.tp.String(), "error", err)
		}
	}
}

func (m *Manager) expireDir(d *directory, nowMs int64) {
	for _, l := range m.logsIn(d) {
		l.expireProducers(nowMs)
	}
}

// flushDir asks for a sync of the logs whose oldest unsynced record is older than their flush.ms.
func (m *Manager) flushDir(d *directory, nowMs int64) {
	for _, l := range m.logsIn(d) {
		if l.flushed.Load() < l.end.Load() && nowMs-l.lastFlushMs.Load() >= l.cfg.Load().FlushMs {
			l.RequestSync()
		}
	}
}

// cool gives up the memory that an idle log holds for appends.
func (l *Log) cool(nowMs int64) {
	if last := l.lastTouched.Load(); last == 0 || nowMs-last < coolAfterMs || !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	active := l.active()
	if active.offsets.view.Load() == nil && l.marks.slots == nil {
		return
	}
	if err := active.writeIndexes(); err != nil {
		return
	}
	if active.offsets.known && active.offsets.n == active.offsets.written {
		active.offsets.view.Store(nil)
	}
	l.tailMu.Lock()
	l.marks.clear()
	l.tailMu.Unlock()
	if l.producers != nil && l.producers.undo != nil {
		l.producers.undo = nil
	}
}

// checkpoint writes checkpoint files of a directory. A full disk is no reason to give the directory up: the old file is
// still there, and the next time comes.
func (m *Manager) checkpoint(d *directory, names ...string) {
	if err := m.writeCheckpoints(d, names...); err != nil {
		if d.problem("checkpoint", err) != nil && d.offline() == nil {
			d.logger.Warn("checkpoint is not written", "dir", d.path, "error", err)
		}
	}
}

var checkpointSeed = maphash.MakeSeed()

func (m *Manager) writeCheckpoints(d *directory, names ...string) error {
	for _, name := range names {
		if name == highWatermarkFile && !d.watermarksDirty.Swap(false) {
			continue
		}
		offsets, err := m.collect(d, name)
		if err == nil {
			err = m.writeOffsets(d, name, offsets)
		}
		if err != nil {
			d.watermarksDirty.Store(true)
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// writeOffsets writes one checkpoint, if it differs from what was written last.
func (m *Manager) writeOffsets(d *directory, name string, offsets map[TopicPartition]int64) error {
	d.checkpointing.Lock()
	defer d.checkpointing.Unlock()
	if name == recoveryPointFile {
		// A log may have been truncated since its point was taken.
		for tp, o := range offsets {
			if l := m.Get(tp); l != nil {
				offsets[tp] = min(o, l.flushed.Load())
			}
		}
	}
	p := encodeOffsets(offsets)
	sum := maphash.Bytes(checkpointSeed, p) | 1
	if d.written[name] != sum {
		if err := vfs.WriteFileAtomic(m.env.fs, filepath.Join(d.path, name), p, true); err != nil {
			return err
		}
		d.written[name] = sum
	}
	if name == recoveryPointFile {
		for tp, o := range offsets {
			if l := m.Get(tp); l != nil {
				l.pointWritten.Store(o)
			}
		}
	}
	return nil
}

// forget rewrites the checkpoints before a partition is made anew whose name they may still hold: what they say of the
// old one must not be taken for the new one's after a crash.
func (m *Manager) forget(d *directory, tp TopicPartition) error {
	d.mu.Lock()
	stale := d.stale[tp]
	d.mu.Unlock()
	if !stale {
		return nil
	}
	for _, name := range []string{recoveryPointFile, logStartFile, highWatermarkFile, cleanerFile} {
		offsets, err := m.collect(d, name)
		if err == nil {
			err = m.writeOffsets(d, name, offsets)
		}
		if err != nil {
			return err
		}
	}
	d.mu.Lock()
	clear(d.stale)
	d.mu.Unlock()
	return nil
}

// lowered is called by a log, with its lock held, that is truncated below what the checkpoints on disk may hold of it. The other logs'
// points are those of the last checkpoint, since their locks must not be taken here.
func (m *Manager) lowered(l *Log) error {
	d := l.dir.Load()
	offsets := map[TopicPartition]int64{}
	for _, other := range m.logsIn(d) {
		if !other.IsFuture() {
			offsets[other.tp] = min(other.pointWritten.Load(), other.flushed.Load())
		}
	}
	if err := m.writeOffsets(d, recoveryPointFile, offsets); err != nil {
		return err
	}
	d.watermarksDirty.Store(true)
	return m.writeCheckpoints(d, logStartFile, highWatermarkFile) // what these hold is not behind other logs' locks
}

// collect gathers what a checkpoint holds.
func (m *Manager) collect(d *directory, name string) (map[TopicPartition]int64, error) {
	out := map[TopicPartition]int64{}
	for _, l := range m.logsIn(d) {
		if l.IsFuture() {
			continue
		}
		switch name {
		case recoveryPointFile:
			point, err := l.safePoint()
			if err != nil {
				return nil, err
			}
			out[l.tp] = point
		case logStartFile:
			if start := l.start.Load(); start > l.segments()[0].base {
				out[l.tp] = start
			}
		case highWatermarkFile:
			out[l.tp] = l.hw.Load()
		case cleanerFile:
			if first := l.firstDirtyOffset(); first >= 0 {
				out[l.tp] = first
			}
		}
	}
	return out, nil
}

// safePoint returns the recovery point to write down: the records below it are durable, and so are the index entries for
// them, which recovery relies on.
func (l *Log) safePoint() (int64, error) {
	point := l.flushed.Load()
	if point == l.pointWritten.Load() {
		return point, nil
	}
	l.mu.Lock()
	if l.gone != nil {
		l.mu.Unlock()
		return point, nil
	}
	active := l.active()
	err := active.writeIndexes()
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if active.base < point && active.unsynced.Swap(false) {
		if err := active.syncIndexes(); err != nil {
			return 0, l.syncFailed(err)
		}
	}
	return point, nil
}
