// Package memlog has the logs of a coordinator's topic in memory, for tests: commits can be held back and appends can
// fail. It is no replica and forgets everything with the process.
package memlog

import (
	"fmt"
	"sync"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// Logs is a topic's partitions, made when they are first asked for. Safe for concurrent use.
type Logs struct {
	mu   sync.Mutex
	logs map[int32]*Log
}

// Partition implements coordinator.Partitions.
func (l *Logs) Partition(_ string, p int32) (coordinator.Partition, int32, error) {
	return l.Log(p), 0, nil
}

// Log returns partition p.
func (l *Logs) Log(p int32) *Log {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logs == nil {
		l.logs = map[int32]*Log{}
	}
	if l.logs[p] == nil {
		l.logs[p] = &Log{}
	}
	return l.logs[p]
}

// Log is one partition. Safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	batches []record.Batch
	next    int64
	hw      int64
	held    bool
	waiting []waiting
	failing error
	refuse  func(record.Batch) error
	readErr error
	reads   chan struct{} // closed when held reads may go on
	maxSize int
}

type waiting struct {
	base, end int64
	done      func(int64, error)
}

// Load puts batches into an empty log as they are, offsets included: a segment of another broker.
func (l *Log) Load(segment []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for b, err := range record.Split(segment) {
		if err != nil {
			return err
		}
		l.batches = append(l.batches, b)
		l.next = b.NextOffset()
		l.hw = l.next
	}
	return nil
}

// Hold keeps appends from being committed until Release or Fail.
func (l *Log) Hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = true
}

// Release commits what is held and lets later appends commit at once.
func (l *Log) Release() {
	l.mu.Lock()
	l.held = false
	w := l.waiting
	l.waiting, l.hw = nil, l.next
	l.mu.Unlock()
	for _, w := range w {
		w.done(w.base, nil)
	}
}

// Fail drops what is held from the log and fails it; later appends commit at once.
func (l *Log) Fail(err error) {
	l.mu.Lock()
	l.held = false
	w := l.waiting
	l.waiting, l.next = nil, l.hw
	for len(l.batches) > 0 && l.batches[len(l.batches)-1].BaseOffset() >= l.hw {
		l.batches = l.batches[:len(l.batches)-1]
	}
	l.mu.Unlock()
	for _, w := range w {
		w.done(-1, err)
	}
}

// FailAppends makes all appends fail with err, until it is called with nil.
func (l *Log) FailAppends(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failing = err
}

// Refuse makes appends fail for which f, if not nil, has an error.
func (l *Log) Refuse(f func(record.Batch) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = f
}

// FailReads makes all reads fail with err, until it is called with nil.
func (l *Log) FailReads(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readErr = err
}

// HoldReads makes reads wait until the function that it returns is called.
func (l *Log) HoldReads() (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads = make(chan struct{})
	held := l.reads
	return sync.OnceFunc(func() { close(held) })
}

// SetMaxBatchBytes sets the largest batch that is taken.
func (l *Log) SetMaxBatchBytes(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.maxSize = n
}

// MaxBatchBytes implements coordinator.BatchLimiter.
func (l *Log) MaxBatchBytes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.maxSize
}

// Waiting is the number of appends that are held.
func (l *Log) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

// Append implements coordinator.Partition.
func (l *Log) Append(epoch int32, batch []byte, _ log.AppendOptions, done func(int64, error)) error {
	l.mu.Lock()
	if err := l.refusal(batch); err != nil {
		l.mu.Unlock()
		return err
	}
	b := record.Batch(batch)
	base := l.next
	b.SetBaseOffset(base)
	b.SetLeaderEpoch(epoch)
	l.batches = append(l.batches, b)
	l.next = b.NextOffset()
	if l.held {
		l.waiting = append(l.waiting, waiting{base, l.next, done})
		l.mu.Unlock()
		return nil
	}
	l.hw = l.next
	l.mu.Unlock()
	done(base, nil)
	return nil
}

func (l *Log) refusal(batch []byte) error {
	switch {
	case l.failing != nil:
		return l.failing
	case l.maxSize > 0 && len(batch) > l.maxSize:
		return fmt.Errorf("batch of %d bytes: %w", len(batch), wire.MessageTooLarge)
	case l.refuse != nil:
		return l.refuse(batch)
	}
	return nil
}

// ReadFrom implements coordinator.Partition.
func (l *Log) ReadFrom(offset int64, maxBytes int) ([]byte, error) {
	l.mu.Lock()
	held := l.reads
	l.mu.Unlock()
	if held != nil {
		<-held
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readErr != nil {
		return nil, l.readErr
	}
	var out []byte
	for _, b := range l.batches {
		if b.NextOffset() <= offset {
			continue
		}
		if len(out) > 0 && len(out)+len(b) > maxBytes {
			break
		}
		out = append(out, b...)
	}
	return out, nil
}

// StartOffset implements coordinator.Partition.
func (l *Log) StartOffset() int64 { return 0 }

// HighWatermark implements coordinator.Partition.
func (l *Log) HighWatermark() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hw
}

// Batches returns the batches there are, as they stand in the log.
func (l *Log) Batches() []record.Batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]record.Batch(nil), l.batches...)
}

// Records returns all records there are.
func (l *Log) Records() (out []record.Record) {
	for _, b := range l.Batches() {
		it := b.Records(0)
		for it.Next() {
			r := *it.Record()
			r.Headers = nil
			out = append(out, r)
		}
		if err := it.Close(); err != nil {
			panic(err)
		}
	}
	return out
}
