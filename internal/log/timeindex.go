package log

import (
	"encoding/binary"
	"fmt"
	"sort"

	"github.com/weir-stream/weir/internal/vfs"
)

const timeEntrySize = 12

// timeEntry is an entry of a time index: the highest timestamp so far and the offset, relative to the base, of the
// batch that has it.
type timeEntry struct {
	timestamp int64
	relative  uint32
}

// timeIndex is the .timeindex file of one segment: 12-byte entries, int64 timestamp (rising) and int32 relative offset.
// Only entries that are not in the file yet are in memory. It belongs to the holder of the log's lock.
type timeIndex struct {
	n       int
	pending []timeEntry // the last n-written ones
	last    timeEntry   // if n > 0
	known   bool
}

func (x *timeIndex) written() int { return x.n - len(x.pending) }

// lastTimestamp is that of the last entry, -1 if there is none.
func (x *timeIndex) lastTimestamp() int64 {
	if x.n == 0 {
		return -1
	}
	return x.last.timestamp
}

// maybeAppend adds an entry if its timestamp is above the last one's.
func (x *timeIndex) maybeAppend(e timeEntry) {
	if e.timestamp <= x.lastTimestamp() || x.n > 0 && e.relative < x.last.relative {
		return
	}
	x.pending = append(x.pending, e)
	x.n++
	x.last = e
}

// write appends the pending entries to the file.
func (x *timeIndex) write(fsys vfs.FS, name string) error {
	if len(x.pending) == 0 {
		return nil
	}
	if err := writeAt(fsys, name, encodeTimeIndex(x.pending), int64(x.written())*timeEntrySize, false); err != nil {
		return err
	}
	x.pending = nil
	return nil
}

func encodeTimeIndex(ents []timeEntry) []byte {
	buf := make([]byte, 0, len(ents)*timeEntrySize)
	for _, e := range ents {
		buf = binary.BigEndian.AppendUint64(buf, uint64(e.timestamp))
		buf = binary.BigEndian.AppendUint32(buf, e.relative)
	}
	return buf
}

// decodeTimeIndex reads entries up to where the timestamps stop to rise. trailing says that something else than
// zeros follows.
func decodeTimeIndex(p []byte) (ents []timeEntry, trailing bool) {
	ents = make([]timeEntry, 0, min(len(p)/timeEntrySize, 1<<16))
	for len(p) >= timeEntrySize {
		e := timeEntry{int64(binary.BigEndian.Uint64(p)), binary.BigEndian.Uint32(p[8:])}
		if e.timestamp < 0 || e.relative > 1<<31-1 {
			break
		}
		if len(ents) > 0 {
			if last := ents[len(ents)-1]; e.timestamp <= last.timestamp || e.relative < last.relative {
				break
			}
		} else if e.timestamp == 0 && e.relative == 0 && allZero(p) {
			break
		}
		ents = append(ents, e)
		p = p[timeEntrySize:]
	}
	return ents, !allZero(p)
}

func readTimeIndex(fsys vfs.FS, name string) ([]timeEntry, error) {
	p, err := vfs.ReadFile(fsys, name, maxIndexFileBytes)
	if err != nil {
		return nil, err
	}
	ents, damaged := decodeTimeIndex(p)
	if damaged {
		return nil, fmt.Errorf("%s: damaged after %d entries", name, len(ents))
	}
	return ents, nil
}

// floorTime returns the last entry with a timestamp at or below ts, and whether there is one.
func floorTime(ents []timeEntry, ts int64) (timeEntry, bool) {
	i := sort.Search(len(ents), func(i int) bool { return ents[i].timestamp > ts })
	if i == 0 {
		return timeEntry{}, false
	}
	return ents[i-1], true
}

// reset replaces the contents by entries that are all in the file.
func (x *timeIndex) reset(ents []timeEntry) {
	*x = timeIndex{n: len(ents), known: true}
	if len(ents) > 0 {
		x.last = ents[len(ents)-1]
	}
}
