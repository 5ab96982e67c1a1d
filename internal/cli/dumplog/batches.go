package dumplog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"

	"github.com/weir-stream/weir/internal/record"
)

const (
	logOverhead  = 12 // offset and size, which all formats share
	minRecord    = 14 // the least size that any format has
	toMagic      = 17 // bytes up to and including the magic
	maxFile      = math.MaxInt32
	attrCodec    = 0x07
	attrAppended = 0x08
)

// segment is an open log or snapshot file, or the part of one between two positions.
type segment struct {
	path string
	file *os.File
	end  int64 // of the part, never beyond the file's end
	size int64 // of the file
}

func openSegment(path string) (*segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("is a directory")}
	}
	if err != nil {
		f.Close()
		return nil, fileError(err)
	}
	if info.Size() > maxFile {
		f.Close()
		return nil, kafkaError("The size of segment %s (%d) is larger than the maximum allowed segment size of %d",
			path, info.Size(), int64(maxFile))
	}
	return &segment{path: path, file: f, end: info.Size(), size: info.Size()}, nil
}

func (s *segment) close() { _ = s.file.Close() } // only read

func (s *segment) String() string {
	return fmt.Sprintf("FileRecords(size=%d, file=%s, start=0, end=%d)", s.size, s.path, maxFile)
}

// fileError is the error of the operating system as Java names it.
func fileError(err error) error {
	var p *fs.PathError
	if !errors.As(err, &p) {
		return &JavaError{"java.io.IOException", err.Error()}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &JavaError{"java.nio.file.NoSuchFileException", p.Path}
	case errors.Is(err, fs.ErrPermission):
		return &JavaError{"java.nio.file.AccessDeniedException", p.Path}
	}
	return &JavaError{"java.io.IOException", p.Err.Error()}
}

func kafkaError(format string, args ...any) error {
	return &JavaError{"org.apache.kafka.common.KafkaException", fmt.Sprintf(format, args...)}
}

func corrupt(format string, args ...any) error {
	return &JavaError{"org.apache.kafka.common.errors.CorruptRecordException", fmt.Sprintf(format, args...)}
}

// batch is one batch of a segment, or one message of the old formats.
type batch struct {
	seg      *segment
	position int64
	size     int // with the offset and size in front
	offset   int64
	magic    int8
	head     []byte // its header, from the file, perhaps reaching into what follows
	whole    []byte // all of it, once loaded
}

// next reads the head of the batch at position; nil without an error where the segment ends.
func (s *segment) next(position int64) (*batch, error) {
	if position >= s.end-toMagic {
		return nil, nil
	}
	var prefix [toMagic]byte
	if _, err := s.file.ReadAt(prefix[:], position); err != nil {
		return nil, kafkaError("Unexpected EOF while attempting to read the next batch")
	}
	b := record.Batch(prefix[:])
	size := b.Size() - logOverhead
	if size < minRecord {
		return nil, corrupt("Found record size %d smaller than minimum record overhead (%d) in file %s.", size, minRecord, s.path)
	}
	if position > s.end-logOverhead-int64(size) {
		return nil, nil
	}
	return &batch{seg: s, position: position, size: logOverhead + size, offset: b.BaseOffset(), magic: b.Magic()}, nil
}

func (b *batch) load(size int) ([]byte, error) {
	p := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(b.seg.file, b.position, int64(size)), p); err != nil {
		return nil, kafkaError("Failed to load record batch at position %d from %s", b.position, b.seg)
	}
	return p, nil
}

// header is the batch's header, without the records.
func (b *batch) header() (record.Batch, error) {
	if b.head == nil {
		p, err := b.load(record.HeaderSize)
		if err != nil {
			return nil, err
		}
		b.head = p
	}
	return b.head, nil
}

// full is all of the batch.
func (b *batch) full() ([]byte, error) {
	if b.whole == nil {
		p, err := b.load(b.size)
		if err != nil {
			return nil, err
		}
		b.whole = p
	}
	return b.whole, nil
}

// lastOffset is the offset of the batch's last record.
func (b *batch) lastOffset() (int64, error) {
	if b.magic < record.CurrentMagic {
		return b.offset, nil
	}
	h, err := b.header()
	if err != nil {
		return 0, err
	}
	return h.LastOffset(), nil
}

// log dumps a segment or a snapshot of metadata.
func (d *dumper) log(path string) error {
	if err := d.printStart(path); err != nil {
		return err
	}
	s, err := openSegment(path)
	if err != nil {
		return err
	}
	defer s.close()
	s.end = min(s.end, int64(d.MaxBytes))
	if d.MaxBytes < 0 {
		return &JavaError{"java.lang.IllegalArgumentException", fmt.Sprintf("Invalid size: %d in read from %s", d.MaxBytes, s)}
	}
	position, lastOffset := int64(0), int64(-1)
	for {
		b, err := s.next(position)
		if err != nil {
			return err
		}
		if b == nil {
			break
		}
		if err := d.printBatch(b); err != nil {
			return err
		}
		if d.Deep {
			if lastOffset, err = d.records(b, lastOffset); err != nil {
				return err
			}
		}
		position += int64(b.size)
	}
	if position < s.end && d.MaxBytes == noLimit {
		d.printf("Found %d invalid bytes at the end of %s\n", s.end-position, baseName(path))
	}
	return nil
}

func (d *dumper) printBatch(b *batch) error {
	if b.magic < record.CurrentMagic {
		return d.printOldBatch(b)
	}
	h, err := b.header()
	if err != nil {
		return err
	}
	p := append(d.line[:0], "baseOffset: "...)
	p = strconv.AppendInt(p, b.offset, 10)
	p = appendInt(p, " lastOffset: ", h.LastOffset())
	p = appendInt(p, " count: ", int64(h.NumRecords()))
	p = appendInt(p, " baseSequence: ", int64(h.BaseSequence()))
	p = appendInt(p, " lastSequence: ", int64(addSequence(h.BaseSequence(), h.LastOffsetDelta())))
	p = appendInt(p, " producerId: ", h.ProducerID())
	p = appendInt(p, " producerEpoch: ", int64(h.ProducerEpoch()))
	p = appendInt(p, " partitionLeaderEpoch: ", int64(h.LeaderEpoch()))
	p = strconv.AppendBool(append(p, " isTransactional: "...), h.IsTransactional())
	p = strconv.AppendBool(append(p, " isControl: "...), h.IsControl())
	p = append(p, " deleteHorizonMs: "...)
	p = appendOptional(p, h.HasDeleteHorizon(), h.BaseTimestamp())
	d.line = p
	d.out.Write(p)
	codec, err := codecName(int8(h.Attributes()))
	if err != nil {
		return err
	}
	valid := false
	if b.size >= record.HeaderSize {
		whole, err := b.full()
		if err != nil {
			return err
		}
		valid = record.Batch(whole).VerifyCRC() == nil
	}
	d.printPosition(b, h.TimestampType().String(), h.MaxTimestamp(), codec, h.CRC(), valid)
	return nil
}

// printPosition prints what the lines of all formats end with.
func (d *dumper) printPosition(b *batch, timestampType string, timestamp int64, codec string, crc uint32, valid bool) {
	p := appendInt(d.line[:0], " position: ", b.position)
	p = append(append(p, ' '), timestampType...)
	p = appendInt(p, ": ", timestamp)
	p = appendInt(p, " size: ", int64(b.size))
	p = appendInt(p, " magic: ", int64(b.magic))
	p = append(append(p, " compresscodec: "...), codec...)
	p = appendInt(p, " crc: ", int64(crc))
	p = strconv.AppendBool(append(p, " isvalid: "...), valid)
	d.line = append(p, '\n')
	d.out.Write(d.line)
}

func appendInt(p []byte, label string, n int64) []byte {
	return strconv.AppendInt(append(p, label...), n, 10)
}

// appendOptional appends a number that may be missing, as Java prints an OptionalLong.
func appendOptional(p []byte, present bool, n int64) []byte {
	if !present {
		return append(p, "OptionalLong.empty"...)
	}
	return append(appendInt(p, "OptionalLong[", n), ']')
}

func codecName(attributes int8) (string, error) {
	c := record.Codec(attributes & attrCodec)
	if c > record.Zstd {
		return "", &JavaError{"java.lang.IllegalArgumentException", fmt.Sprintf("Unknown compression type id: %d", c)}
	}
	return c.String(), nil
}

// addSequence is the sequence number n records on, -1 without sequence numbers. It wraps as Java's integers do.
func addSequence(base, n int32) int32 {
	switch {
	case base == record.NoSequence:
		return record.NoSequence
	case base > math.MaxInt32-n:
		return n - (math.MaxInt32 - base) - 1
	}
	return base + n
}
