package log

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/wire"
)

// moveChunk is how much a move copies at a time.
const moveChunk = 1 << 20

// moveRetry is how long a move that could not go on waits.
const moveRetry = 5 * time.Second

// MoveTo starts to copy a log to another directory as its future replica; when it has caught up it takes the place of the
// present one, and OnSwapped is called. A second call with another directory starts over; the present
// directory cancels. Errors wrap wire.ReplicaNotAvailable, wire.LogDirNotFound or wire.KafkaStorageError.
func (m *Manager) MoveTo(tp TopicPartition, dirID [16]byte) error {
	lock := m.openLock(tp)
	lock.Lock()
	defer lock.Unlock()
	l := m.Get(tp)
	if l == nil {
		return fmt.Errorf("%s has no replica here: %w", tp, wire.ReplicaNotAvailable)
	}
	to, err := m.dirFor(dirID)
	if err != nil {
		if m.dirByID(dirID) == nil {
			return fmt.Errorf("no log directory has the id %s: %w", base64.RawURLEncoding.EncodeToString(dirID[:]), wire.LogDirNotFound)
		}
		return err
	}
	if f := m.Future(tp); f != nil {
		if f.dir.Load() == to {
			return nil
		}
		m.mu.Lock()
		delete(m.futures, tp)
		m.mu.Unlock()
		if err := m.retire(f, deleteDirSuffix); err != nil {
			return err
		}
	}
	if l.dir.Load() == to {
		return nil
	}
	to.logs.Add(1)
	f, err := m.create(tp, l.TopicID(), to, uniqueDirName(tp, futureDirSuffix))
	if err != nil {
		return err
	}
	f.setFuture(true)
	if err := f.TruncateFullyTo(l.start.Load()); err != nil {
		return err
	}
	m.mu.Lock()
	m.futures[tp] = f
	m.mu.Unlock()
	m.kickMover()
	return nil
}

// Futures returns the future replicas of moves that are under way, in no order.
func (m *Manager) Futures() []*Log {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make([]*Log, 0, len(m.futures))
	for _, l := range m.futures {
		out = append(out, l)
	}
	return out
}

func (m *Manager) dirByID(id [16]byte) *directory {
	for _, d := range m.dirs {
		if d.id == id {
			return d
		}
	}
	return nil
}

func (l *Log) setFuture(v bool) {
	l.tailMu.Lock()
	l.future = v
	l.tailMu.Unlock()
}

// SetMoveRate bounds what moves between directories write (replica.alter.log.dirs.io.max.bytes.per.second), those that are under way
// too; 0 is no bound. Safe for concurrent use.
func (m *Manager) SetMoveRate(bytesPerSec float64) { m.moveRate.Store(math.Float64bits(bytesPerSec)) }

func (m *Manager) kickMover() {
	select {
	case m.moves <- struct{}{}:
	default:
	}
}

// move is the loop that carries the moves out, one after the other.
func (m *Manager) move(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.moves:
		case <-timer.C:
		}
		failed := false
		for _, f := range m.Futures() {
			if err := m.moveOne(ctx, f); err != nil && ctx.Err() == nil {
				failed = true
				m.cfg.Logger.Warn("move between log directories is tried again", "partition", f.tp.String(), "error", err)
			}
		}
		if failed {
			timer.Reset(moveRetry)
		}
	}
}

var errMoveOver = errors.New("the move was cancelled")

// moveOne copies until the future replica has caught up, and swaps it in.
func (m *Manager) moveOne(ctx context.Context, f *Log) error {
	src := m.Get(f.tp)
	if src == nil {
		return nil // waits for the replica, or for the operator
	}
	cut := src.truncations.Load()
	if end, start := f.end.Load(), src.start.Load(); end > src.end.Load() || end < start {
		if err := f.TruncateFullyTo(start); err != nil {
			return err
		}
	}
	for {
		if m.Future(f.tp) != f {
			return nil
		}
		n, err := m.copyChunk(src, f, cut)
		if err == nil {
			err = m.throttleMove(ctx, f, n)
		}
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if err := f.flush(); err != nil {
			return err
		}
		done, err := m.swapIn(src, f, cut)
		if done || err != nil {
			return err
		}
	}
}

// throttleStep is how long a move that is held back goes without looking at its rate and whether it is still wanted.
const throttleStep = 100 * time.Millisecond

// throttleMove waits for as long as n bytes take at the rate that is set, which may change meanwhile.
func (m *Manager) throttleMove(ctx context.Context, f *Log, n int) error {
	for left := float64(n); left > 0; {
		rate := m.rate()
		if rate <= 0 || rate >= math.MaxInt64 || m.Future(f.tp) != f {
			return nil
		}
		wait := min(time.Duration(left/rate*float64(time.Second)), throttleStep)
		left -= max(rate*wait.Seconds(), 1)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
	return nil
}

func (m *Manager) rate() float64 { return math.Float64frombits(m.moveRate.Load()) }

// copyChunk copies what follows the future replica's end; 0 if there is nothing.
func (m *Manager) copyChunk(src, f *Log, cut int64) (int, error) {
	if src.truncations.Load() != cut {
		return 0, fmt.Errorf("%s was truncated: the copy starts over: %w", src.tp, f.TruncateFullyTo(src.start.Load()))
	}
	at := f.end.Load()
	if start := src.start.Load(); at < start {
		if err := f.TruncateFullyTo(start); err != nil {
			return 0, err
		}
		at = start
	}
	chunk := moveChunk
	if rate := m.rate(); rate > 0 { // what is slow comes in small pieces, so that it can be seen to go on
		chunk = int(min(max(rate, 1), moveChunk))
	}
	info, err := src.Read(at, chunk, true, BoundLogEnd)
	if err != nil || info.Range == nil {
		return 0, err
	}
	defer info.Range.Release()
	buf := bufpool.Get(int(info.Range.Len))
	defer buf.Release()
	if err := readFull(info.Range.File, buf.B, info.Range.Off); err != nil {
		return 0, err
	}
	got, err := f.AppendPrepared(buf.B)
	return got.Bytes, err
}

// swapIn puts a future replica that has caught up in the place of the present one; false if there was more to copy.
// OnSwapped is called without the partition's lock: its callee has locks of its own, under which it opens logs.
func (m *Manager) swapIn(src, f *Log, cut int64) (bool, error) {
	swapped, err := m.swapLocked(src, f, cut)
	if swapped && err == nil && m.cfg.OnSwapped != nil {
		m.cfg.OnSwapped(src, f)
	}
	return swapped, err
}

func (m *Manager) swapLocked(src, f *Log, cut int64) (bool, error) {
	lock := m.openLock(f.tp)
	lock.Lock()
	defer lock.Unlock()
	if m.Future(f.tp) != f || m.Get(f.tp) != src {
		return false, errMoveOver
	}
	swapped, err := m.exchange(src, f, cut)
	if err != nil || !swapped {
		return swapped, err
	}
	m.cfg.Logger.Info("log was moved", "partition", f.tp.String(), "to", f.dirPath())
	if err := m.retire(src, deleteDirSuffix); err != nil {
		m.cfg.Logger.Warn("moved log is not removed", "partition", f.tp.String(), "error", err)
	}
	return true, nil
}

// exchange does the swap while both logs stand still.
func (m *Manager) exchange(src, f *Log, cut int64) (bool, error) {
	src.mu.Lock()
	defer src.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if src.end.Load() != f.end.Load() || src.truncations.Load() != cut {
		return false, nil
	}
	if err := errors.Join(src.writable(), f.writable()); err != nil {
		return false, err
	}
	f.epochs.load(src.epochs.entries())
	f.epochs.markDirty()
	f.tailMu.Lock()
	f.start.Store(src.start.Load())
	f.setHighWatermarkLocked(src.hw.Load())
	f.future = false
	f.tailMu.Unlock()
	f.role.epoch.Store(src.role.epoch.Load())
	f.role.leader.Store(src.role.leader.Load())
	d := f.dir.Load()
	to := filepath.Join(d.path, f.tp.String())
	if err := f.syncSmallFiles(); err != nil {
		return false, err
	}
	if err := m.env.fs.Rename(f.dirPath(), to); err != nil {
		f.setFuture(true)
		return false, d.problem("swap "+f.tp.String(), err)
	}
	f.path.Store(&to)
	f.madeAt.Store(d.entriesMade.Add(1))
	d.startsDirty.Store(true)
	src.gone = fmt.Errorf("%s was moved to %s: %w", src.tp, to, wire.NotLeaderOrFollower)
	m.mu.Lock()
	m.logs[f.tp] = f
	delete(m.futures, f.tp)
	m.mu.Unlock()
	if err := m.env.fs.SyncDir(d.path); err != nil {
		return true, f.syncFailed(err)
	}
	return true, nil
}
