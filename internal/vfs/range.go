// Package vfs is the only door to the file system: an interface of files and directories with two
// implementations, the operating system's and one in memory that can lose power, plus an injector of faults.
//
// It knows nothing of logs or segments, and it does not buffer: what WriteAt accepted is what a crash may lose
// until Sync returned.
package vfs

import "sync/atomic"

// Range is a counted reference to a part of an open file, handed from the log to whoever sends it. While a Range
// is held, the file stays open and readable, even if its name is gone. The holder calls Release once; Retain
// makes a second holder. Len may be zero. Safe for concurrent use.
type Range struct {
	File File
	Off  int64
	Len  int64

	refs    atomic.Int32
	release func()
}

// NewRange returns a Range with one holder; release, if not nil, runs when the last holder lets go.
func NewRange(f File, off, length int64, release func()) *Range {
	r := &Range{File: f, Off: off, Len: length, release: release}
	r.refs.Store(1)
	return r
}

// Retain adds a holder.
func (r *Range) Retain() { r.refs.Add(1) }

// Release gives up one hold; the last one runs the release function.
func (r *Range) Release() {
	if r.refs.Add(-1) == 0 && r.release != nil {
		r.release()
	}
}

// ReadAt reads at a position relative to the start of the range.
func (r *Range) ReadAt(p []byte, off int64) (int, error) {
	if rest := r.Len - off; int64(len(p)) > rest {
		p = p[:max(rest, 0)]
	}
	return r.File.ReadAt(p, r.Off+off)
}
