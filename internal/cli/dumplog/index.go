package dumplog

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/weir-stream/weir/internal/record"
)

const (
	indexEntrySize     = 8  // offset relative to the segment's first, position
	timeIndexEntrySize = 12 // timestamp, offset relative to the segment's first
	maxIndexFile       = 1 << 30
)

func baseName(path string) string { return filepath.Base(path) }

// indexFile is the bytes of an offset or time index.
type indexFile struct {
	path      string
	base      int64
	entrySize int
	p         []byte
}

func readIndex(path string, base int64, entrySize int) (*indexFile, error) {
	p, err := readFile(path, maxIndexFile)
	if err != nil {
		return nil, err
	}
	return &indexFile{path, base, entrySize, p}, nil
}

// readFile reads a file of a bounded size.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(err)
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fileError(err)
	}
	if int64(len(p)) > limit {
		return nil, &JavaError{"java.io.IOException", fmt.Sprintf("%s is larger than %d bytes", path, limit)}
	}
	return p, nil
}

func (x *indexFile) entries() int { return len(x.p) / x.entrySize }

// offset is the n-th entry's offset.
func (x *indexFile) offset(n int) int64 {
	at := n * x.entrySize
	if x.entrySize == timeIndexEntrySize {
		at += 8
	}
	return x.base + int64(be32(x.p[at:]))
}

func (x *indexFile) position(n int) int32  { return be32(x.p[n*x.entrySize+4:]) }
func (x *indexFile) timestamp(n int) int64 { return be64(x.p[n*x.entrySize:]) }

// lastOffset is the offset of the last entry, or the segment's first if there is no entry.
func (x *indexFile) lastOffset() int64 {
	if n := x.entries(); n > 0 {
		return x.offset(n - 1)
	}
	return x.base
}

// lookup is the position of the last entry at or below an offset, 0 if there is none. In a broken index it is where
// a binary search ends.
func (x *indexFile) lookup(offset int64) int32 {
	low, high := 0, x.entries()-1
	if high < 0 {
		return 0
	}
	// Kafka looks among the last entries first.
	switch warm := max(0, high-8192/x.entrySize); {
	case x.offset(warm) < offset:
		low = warm
	case x.offset(0) > offset:
		return 0
	default:
		high = warm
	}
	for low < high {
		mid := (low + high + 1) / 2
		switch found := x.offset(mid); {
		case found > offset:
			high = mid - 1
		case found < offset:
			low = mid
		default:
			return x.position(mid)
		}
	}
	return x.position(low)
}

func corruptIndex(format string, args ...any) error {
	return &JavaError{"org.apache.kafka.storage.internals.log.CorruptIndexException", fmt.Sprintf(format, args...)}
}

// index dumps an offset index next to its log.
func (d *dumper) index(path string) error {
	base, err := offsetInName(path)
	if err != nil {
		return err
	}
	log, err := openSegment(sibling(path, ".log"))
	if err != nil {
		return err
	}
	defer log.close()
	x, err := readIndex(path, base, indexEntrySize)
	if err != nil {
		return err
	}
	if x.entries() == 0 {
		d.printf("%s is empty.\n", path)
		return nil
	}
	if d.IndexSanityOnly {
		return d.checkIndex(x)
	}
	for n := range x.entries() {
		if x.offset(n) == base && n > 0 {
			return nil // zeros up to the end of a file that was not closed
		}
		last, err := log.lastOffsetAt(int64(x.position(n)), int64(d.MaxMessageSize))
		if err != nil {
			return err
		}
		if last != x.offset(n) {
			d.indexMismatches.add(absolute(path), x.offset(n), last)
		}
		if !d.VerifyIndexOnly {
			d.printf("offset: %d position: %d\n", x.offset(n), x.position(n))
		}
	}
	return nil
}

func (d *dumper) checkIndex(x *indexFile) error {
	if last := x.lastOffset(); last < x.base {
		return corruptIndex("Corrupt index found, index file %s has non-zero size but the last offset is %d which is less than "+
			"the base offset %d", absolute(x.path), last, x.base)
	}
	if len(x.p)%indexEntrySize != 0 {
		return corruptIndex("Index file %s is corrupt, found %d bytes which is neither positive nor a multiple of %d",
			absolute(x.path), len(x.p), indexEntrySize)
	}
	d.printf("%s passed sanity check.\n", x.path)
	return nil
}

// slice is the part of a segment from a position on, at most size bytes.
func (s *segment) slice(position, size int64) (*segment, error) {
	illegal := func(format string, args ...any) error {
		return &JavaError{"java.lang.IllegalArgumentException", fmt.Sprintf(format, args...)}
	}
	switch {
	case position < 0:
		return nil, illegal("Invalid position: %d in read from %s", position, s)
	case position > s.size:
		return nil, illegal("Slice from position %d exceeds end position of %s", position, s)
	case size < 0:
		return nil, illegal("Invalid size: %d in read from %s", size, s)
	}
	part := *s
	part.end = min(s.size, position+size)
	return &part, nil
}

// lastOffsetAt is the last offset of the batch at a position.
func (s *segment) lastOffsetAt(position, size int64) (int64, error) {
	part, err := s.slice(position, size)
	if err != nil {
		return 0, err
	}
	b, err := part.next(position)
	if err != nil {
		return 0, err
	}
	if b == nil {
		return 0, &JavaError{"java.util.NoSuchElementException", ""}
	}
	return b.lastOffset()
}

// timeIndex dumps a time index next to its log and offset index.
func (d *dumper) timeIndex(path string) error {
	base, err := offsetInName(path)
	if err != nil {
		return err
	}
	log, err := openSegment(sibling(path, ".log"))
	if err != nil {
		return err
	}
	defer log.close()
	offsets, err := readIndex(sibling(path, ".index"), base, indexEntrySize)
	if err != nil {
		return err
	}
	x, err := readIndex(path, base, timeIndexEntrySize)
	if err != nil {
		return err
	}
	if d.IndexSanityOnly {
		return d.checkTimeIndex(x)
	}
	previous := record.NoTimestamp
	for n := range x.entries() {
		if x.offset(n) == base && n > 0 {
			return nil // zeros up to the end of a file that was not closed
		}
		if err := d.checkTimeEntry(x, n, previous, log, offsets); err != nil {
			return err
		}
		previous = x.timestamp(n)
		if !d.VerifyIndexOnly {
			d.printf("timestamp: %d offset: %d\n", previous, x.offset(n))
		}
	}
	return nil
}

func (d *dumper) checkTimeEntry(x *indexFile, n int, previous int64, log *segment, offsets *indexFile) error {
	offset, timestamp := x.offset(n), x.timestamp(n)
	b, last, err := log.find(int64(offsets.lookup(offset)), offset)
	if err != nil {
		return err
	}
	if b == nil || last != offset {
		d.timeNotFound.add(absolute(x.path), offset, last)
		return nil
	}
	highest := record.NoTimestamp
	err = b.entries(func(e *entry) error {
		highest = max(highest, e.timestamp)
		return nil
	})
	if err != nil {
		return err
	}
	if highest != timestamp {
		d.timeMismatches.add(absolute(x.path), timestamp, highest)
	}
	if previous >= timestamp {
		d.timeOutOfOrder.add(absolute(x.path), timestamp, previous)
	}
	return nil
}

// find is the first batch from a position on whose last offset reaches offset, and that last offset; nil and -1 if
// there is none.
func (s *segment) find(position, offset int64) (*batch, int64, error) {
	part, err := s.slice(position, maxFile)
	if err != nil {
		return nil, 0, err
	}
	for {
		b, err := part.next(position)
		if err != nil || b == nil {
			return nil, -1, err
		}
		last, err := b.lastOffset()
		if err != nil || last >= offset {
			return b, last, err
		}
		position += int64(b.size)
	}
}

func (d *dumper) checkTimeIndex(x *indexFile) error {
	if n := x.entries(); n > 0 {
		if x.timestamp(n-1) < x.timestamp(0) {
			return corruptIndex("Corrupt time index found, time index file (%s) has non-zero size but the last timestamp is %d which is "+
				"less than the first timestamp %d", absolute(x.path), x.timestamp(n-1), x.timestamp(0))
		}
		if x.offset(n-1) < x.base {
			return corruptIndex("Corrupt time index found, time index file (%s) has non-zero size but the last offset is %d which is "+
				"less than the first offset %d", absolute(x.path), x.offset(n-1), x.base)
		}
	}
	if len(x.p)%timeIndexEntrySize != 0 {
		return corruptIndex("Time index file %s is corrupt, found %d bytes which is neither positive nor a multiple of %d",
			absolute(x.path), len(x.p), timeIndexEntrySize)
	}
	d.printf("%s passed sanity check.\n", x.path)
	return nil
}
