package log

import (
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"sync/atomic"

	"github.com/weir-stream/weir/internal/vfs"
)

const offsetEntrySize = 8

// offsetEntry is an entry of an offset index: the last offset of a batch relative to the segment's base, and the file
// position where that batch starts, packed so that the order of entries is the order of the numbers.
type offsetEntry uint64

func packOffsetEntry(relative, position uint32) offsetEntry {
	return offsetEntry(uint64(relative)<<32 | uint64(position))
}

func (e offsetEntry) relative() uint32 { return uint32(e >> 32) }
func (e offsetEntry) position() int64  { return int64(uint32(e)) }

// offsetView is the entries in memory. One writer appends under the log's lock while readers search: slots below n
// never change, and an append that needs more room makes a new view.
type offsetView struct {
	entries []offsetEntry
	n       atomic.Int32
}

func newOffsetView(entries []offsetEntry) *offsetView {
	v := &offsetView{entries: entries[:cap(entries)]}
	v.n.Store(int32(len(entries)))
	return v
}

func (v *offsetView) all() []offsetEntry { return v.entries[:v.n.Load()] }

// offsetIndex is the .index file of one segment: 8-byte entries, int32 offset relative to the base and int32 position,
// both rising. The entries are in memory only while the index is hot; unwritten ones always are. Appending,
// writing and truncating belong to the holder of the log's lock, find to anybody.
type offsetIndex struct {
	view    atomic.Pointer[offsetView]
	n       int // entries, also when none is in memory
	written int // entries in the file
	last    offsetEntry
	known   bool // n, written and last are loaded
}

// append adds an entry. The caller made sure that the index is known and resident.
func (x *offsetIndex) append(e offsetEntry) {
	v := x.view.Load()
	if v == nil {
		v = newOffsetView(make([]offsetEntry, 0, 16))
		x.view.Store(v)
	}
	if x.n == len(v.entries) {
		grown := make([]offsetEntry, x.n, max(2*x.n, 16))
		copy(grown, v.entries)
		nv := newOffsetView(grown)
		nv.entries[x.n] = e
		nv.n.Store(int32(x.n + 1))
		x.view.Store(nv)
	} else {
		v.entries[x.n] = e
		v.n.Store(int32(x.n + 1))
	}
	x.n++
	x.last = e
}

// floor returns the position of the last entry at or below the relative offset, 0 if there is none.
func (v *offsetView) floor(relative uint32) int64 {
	ents := v.all()
	i := sort.Search(len(ents), func(i int) bool { return ents[i].relative() > relative })
	if i == 0 {
		return 0
	}
	return ents[i-1].position()
}

// floorPosition returns the last entry's position that is at or below a position, 0 if there is none.
func (v *offsetView) floorPosition(position int64) int64 {
	ents := v.all()
	i := sort.Search(len(ents), func(i int) bool { return ents[i].position() > position })
	if i == 0 {
		return 0
	}
	return ents[i-1].position()
}

// write appends the entries that are not in the file yet.
func (x *offsetIndex) write(fsys vfs.FS, name string) error {
	if !x.known || x.written == x.n {
		return nil
	}
	ents := x.view.Load().all()[x.written:]
	buf := make([]byte, 0, len(ents)*offsetEntrySize)
	for _, e := range ents {
		buf = binary.BigEndian.AppendUint64(buf, uint64(e))
	}
	if err := writeAt(fsys, name, buf, int64(x.written)*offsetEntrySize, false); err != nil {
		return err
	}
	x.written = x.n
	return nil
}

// truncate drops the entries at or above the relative offset, in memory and in the file.
func (x *offsetIndex) truncate(fsys vfs.FS, name string, relative uint32) error {
	ents := x.view.Load().all()
	keep := sort.Search(len(ents), func(i int) bool { return ents[i].relative() >= relative })
	// A copy, since readers may still look at the old one.
	x.reset(append([]offsetEntry(nil), ents[:keep]...), min(x.written, keep))
	return truncateFile(fsys, name, int64(x.written)*offsetEntrySize)
}

// reset replaces the entries; written of them are in the file.
func (x *offsetIndex) reset(ents []offsetEntry, written int) {
	x.n, x.written, x.known, x.last = len(ents), written, true, 0
	if len(ents) > 0 {
		x.last = ents[len(ents)-1]
	}
	x.view.Store(newOffsetView(ents))
}

// decodeOffsetIndex reads entries up to where they stop to rise: what follows is preallocated space. trailing says
// that something else than zeros follows, or half an entry: the file is damaged.
func decodeOffsetIndex(p []byte) (ents []offsetEntry, trailing bool) {
	ents = make([]offsetEntry, 0, len(p)/offsetEntrySize)
	var prev offsetEntry
	for len(p) >= offsetEntrySize {
		e := offsetEntry(binary.BigEndian.Uint64(p))
		if e>>63 != 0 || e.position() == 0 || e.position() > 1<<31-1 ||
			len(ents) > 0 && (e.relative() <= prev.relative() || e.position() <= prev.position()) {
			break
		}
		ents = append(ents, e)
		prev = e
		p = p[offsetEntrySize:]
	}
	return ents, !allZero(p)
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// readOffsetIndex loads a file. A missing one is an error that satisfies vfs.IsNotExist.
func readOffsetIndex(fsys vfs.FS, name string) ([]offsetEntry, error) {
	p, err := vfs.ReadFile(fsys, name, maxIndexFileBytes)
	if err != nil {
		return nil, err
	}
	ents, damaged := decodeOffsetIndex(p)
	if damaged {
		return nil, fmt.Errorf("%s: damaged after %d entries", name, len(ents))
	}
	return ents, nil
}

// maxIndexFileBytes bounds what is read of an index file: one entry for each byte of a segment is beyond any writer.
const maxIndexFileBytes = 1 << 30

// writeAt opens (and makes) a file for one write.
func writeAt(fsys vfs.FS, name string, p []byte, off int64, sync bool) error {
	f, err := fsys.Open(name, vfs.Create)
	if err != nil {
		return err
	}
	if len(p) > 0 {
		_, err = f.WriteAt(p, off)
	}
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// truncateFile cuts a file to size, if it exists and is longer.
func truncateFile(fsys vfs.FS, name string, size int64) error {
	f, err := fsys.Open(name, vfs.ReadWrite)
	if err != nil {
		if vfs.IsNotExist(err) {
			return nil
		}
		return err
	}
	now, err := f.Size()
	if err == nil && now > size {
		err = f.Truncate(size)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// syncFile makes a file durable, if it exists.
func syncFile(fsys vfs.FS, name string) error {
	f, err := fsys.Open(name, vfs.ReadWrite)
	if err != nil {
		if vfs.IsNotExist(err) {
			return nil
		}
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// readFull reads exactly len(p) bytes; fewer is io.ErrUnexpectedEOF.
func readFull(f vfs.File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
