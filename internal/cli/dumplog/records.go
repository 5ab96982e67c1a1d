package dumplog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/weir-stream/weir/internal/record"
)

// entry is one record. Its slices alias the batch.
type entry struct {
	offset    int64
	timestamp int64
	sequence  int32
	key       []byte // nil: null
	value     []byte // nil: null
	headers   []record.Header
	old       *oldEntry // nil unless of an old format
}

// oldEntry is what the lines of records of the old formats say besides. Their sizes can lie; then noSizes says what
// reading the sizes ends in, and broken what reading the key or the value does.
type oldEntry struct {
	valid              bool
	crc                uint32
	keySize, valueSize int64
	noSizes, broken    error
}

// sizes are the lengths of key and value, negative for null.
func (e *entry) sizes() (key, value int64) {
	if e.old != nil {
		return e.old.keySize, e.old.valueSize
	}
	return sizeOf(e.key), sizeOf(e.value)
}

func invalidRecord(format string, args ...any) error {
	return &JavaError{"org.apache.kafka.common.InvalidRecordException", fmt.Sprintf(format, args...)}
}

// errUnderflow and errIllegal are the two ways in which Java fails to read a number.
var (
	errUnderflow = errors.New("bytes end too early")
	errIllegal   = errors.New("varint or length is not possible")
)

// outOfBounds is what Java throws for a field that a batch is too short to have.
var outOfBounds = &JavaError{"java.lang.IndexOutOfBoundsException", ""}

// records prints the records of a batch and returns the offset of the last one.
func (d *dumper) records(b *batch, lastOffset int64) (int64, error) {
	print := func(e *entry) error {
		if e.offset != lastOffset+1 {
			d.nonConsecutive.add(absolute(b.seg.path), lastOffset, e.offset)
		}
		lastOffset = e.offset
		return d.printRecord(b, e)
	}
	return lastOffset, b.entries(print)
}

// entries hands the records of the batch to yield, in order, until one of them is broken or yield fails.
func (b *batch) entries(yield func(*entry) error) error {
	whole, err := b.full()
	if err != nil {
		return err
	}
	if b.magic < record.CurrentMagic {
		return b.oldEntries(whole, yield)
	}
	if len(whole) < record.HeaderSize {
		return outOfBounds
	}
	batch := record.Batch(whole)
	count := batch.NumRecords()
	if count == 0 {
		return nil
	}
	if batch.Attributes()&attrCodec == 0 {
		return readEntries(batch, batch.Payload(), false, yield)
	}
	if _, err := codecName(int8(batch.Attributes())); err != nil {
		return err
	}
	// Kafka's tool reads all records of a compressed batch before it prints the first.
	buf, err := record.Decompress(batch.Codec(), batch.Payload(), record.DefaultMaxUncompressed)
	if err != nil {
		return kafkaError("Failed to decompress record stream")
	}
	defer buf.Release()
	var all []entry
	if err := readEntries(batch, buf.B, true, func(e *entry) error { all = append(all, *e); return nil }); err != nil {
		return err
	}
	for i := range all {
		if err := yield(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

// readEntries reads a batch's records from p, its contents. Streamed contents fail in other words than plain ones.
func readEntries(b record.Batch, p []byte, streamed bool, yield func(*entry) error) error {
	count := b.NumRecords()
	if count < 0 {
		return invalidRecord("Found invalid record count %d in magic v%d batch", count, b.Magic())
	}
	c := cursor{p: p}
	for ; count > 0; count-- {
		size, err := c.varint()
		switch {
		case err == errUnderflow, err != nil && streamed, streamed && size < 0:
			return invalidRecord("Incorrect declared batch size, premature EOF reached")
		case err != nil:
			return &JavaError{"java.lang.IllegalArgumentException", c.why}
		case int(size) > len(c.p) && streamed:
			return invalidRecord("Invalid record size: expected %d bytes in record payload, but the record payload reached EOF.", size)
		case int(size) > len(c.p):
			return invalidRecord("Invalid record size: expected %d bytes in record payload, but instead the buffer has only %d "+
				"remaining bytes.", size, len(c.p))
		}
		body := c
		if streamed {
			body.p = body.p[:size]
		}
		before := len(body.p)
		var e entry
		if err := body.entry(b, &e, before, int(size)); err != nil {
			return err
		}
		if streamed {
			c.p = c.p[size:]
		} else {
			c.p = body.p
		}
		if count == 1 && len(c.p) > 0 {
			return invalidRecord("Incorrect declared batch size, records still remaining in file")
		}
		if err := yield(&e); err != nil {
			return err
		}
	}
	return nil
}

// cursor takes values off p.
type cursor struct {
	p   []byte
	why string // more about errIllegal
}

// entry reads the body of a record, which has size bytes by its own account.
func (c *cursor) entry(b record.Batch, e *entry, before, size int) error {
	count, err := c.fields(b, e)
	if err == nil {
		switch {
		case count < 0:
			return invalidRecord("Found invalid number of record headers %d", count)
		case int(count) > len(c.p):
			return invalidRecord("Found invalid number of record headers. %d is larger than the remaining size of the buffer", count)
		}
		err = c.headers(e, int(count))
	}
	var java *JavaError
	switch {
	case errors.As(err, &java):
		return java
	case err != nil:
		return invalidRecord("Found invalid record structure")
	case before-len(c.p) != size:
		return invalidRecord("Invalid record size: expected to read %d bytes in record payload, but instead read %d", size, before-len(c.p))
	}
	return nil
}

func (c *cursor) fields(b record.Batch, e *entry) (headers int32, err error) {
	if _, err = c.take(1); err != nil {
		return 0, err
	}
	timeDelta, err := c.varlong()
	if err != nil {
		return 0, err
	}
	if e.timestamp = b.BaseTimestamp() + timeDelta; b.Attributes()&attrAppended != 0 {
		e.timestamp = b.MaxTimestamp()
	}
	offsetDelta, err := c.varint()
	if err != nil {
		return 0, err
	}
	e.offset, e.sequence = b.BaseOffset()+int64(offsetDelta), record.NoSequence
	if b.BaseSequence() >= 0 {
		e.sequence = addSequence(b.BaseSequence(), offsetDelta)
	}
	if e.key, err = c.block(); err != nil {
		return 0, err
	}
	if e.value, err = c.block(); err != nil {
		return 0, err
	}
	return c.varint()
}

func (c *cursor) headers(e *entry, n int) error {
	for range n {
		size, err := c.varint()
		if err != nil {
			return err
		}
		if size < 0 {
			return invalidRecord("Invalid negative header key size %d", size)
		}
		var h record.Header
		if h.Key, err = c.take(int(size)); err != nil {
			return err
		}
		if h.Value, err = c.block(); err != nil {
			return err
		}
		e.headers = append(e.headers, h)
	}
	return nil
}

// block reads a length and its bytes, nil for a negative length.
func (c *cursor) block() ([]byte, error) {
	n, err := c.varint()
	if err != nil || n < 0 {
		return nil, err
	}
	return c.take(int(n))
}

func (c *cursor) take(n int) ([]byte, error) {
	if n > len(c.p) {
		return nil, errUnderflow
	}
	p := c.p[:n:n]
	c.p = c.p[n:]
	return p, nil
}

func (c *cursor) varint() (int32, error) {
	u, err := c.uvarint(5)
	return int32(uint32(u)>>1) ^ -int32(u&1), err
}

func (c *cursor) varlong() (int64, error) {
	u, err := c.uvarint(10)
	return int64(u>>1) ^ -int64(u&1), err
}

// uvarint reads a varint of at most limit bytes.
func (c *cursor) uvarint(limit int) (uint64, error) {
	var u uint64
	for i := 0; i < len(c.p); i++ {
		u |= uint64(c.p[i]&0x7f) << (7 * i)
		if c.p[i] < 0x80 {
			c.p = c.p[i+1:]
			return u, nil
		}
		if i+1 == limit {
			c.why = fmt.Sprintf("Varint is too long, the most significant bit in the %dth byte is set, converted value: %x", limit, uint32(u))
			return 0, errIllegal
		}
	}
	return 0, errUnderflow
}

// printRecord prints one record on one line.
func (d *dumper) printRecord(b *batch, e *entry) error {
	p := append(d.line[:0], '|')
	control := false
	timestampType := oldTimestampType(b)
	if b.magic >= record.CurrentMagic {
		full := record.Batch(b.whole)
		control, timestampType = full.IsControl(), full.TimestampType().String()
	}
	if !d.SkipRecordMetadata {
		if e.old != nil && e.old.noSizes != nil {
			return e.old.noSizes
		}
		p = appendInt(p, " offset: ", e.offset)
		p = append(append(p, ' '), timestampType...)
		p = appendInt(p, ": ", e.timestamp)
		keySize, valueSize := e.sizes()
		p = appendInt(p, " keySize: ", keySize)
		p = appendInt(p, " valueSize: ", valueSize)
		if b.magic >= record.CurrentMagic {
			p = appendInt(p, " sequence: ", int64(e.sequence))
			p = append(p, " headerKeys: ["...)
			for i, h := range e.headers {
				if i > 0 {
					p = append(p, ',')
				}
				p = append(p, javaText(h.Key)...)
			}
			p = append(p, ']')
		}
		if e.old != nil {
			p = strconv.AppendBool(append(p, " isValid: "...), e.old.valid)
			p = appendInt(p, " crc: ", int64(e.old.crc))
		}
		if control {
			var err error
			if p, err = appendControl(p, e); err != nil {
				d.out.Write(p)
				return err
			}
		}
	} else if !d.PrintData || control {
		p = p[:0] // nothing is left to print
	}
	if d.PrintData && !control {
		key, payload, err := d.decode(e)
		if err != nil {
			if !d.SkipRecordMetadata {
				d.out.Write(p)
			}
			return err
		}
		if key.ok {
			p = append(append(p, " key: "...), key.text...)
		}
		if payload.ok {
			p = append(append(p, " payload: "...), payload.text...)
		}
		if d.SkipRecordMetadata && !key.ok && !payload.ok {
			p = p[:0]
		}
	}
	d.line = append(p, '\n')
	d.out.Write(d.line)
	return nil
}

func sizeOf(b []byte) int64 {
	if b == nil {
		return -1
	}
	return int64(len(b))
}

func be16(p []byte) int16 { return int16(binary.BigEndian.Uint16(p)) }
func be32(p []byte) int32 { return int32(binary.BigEndian.Uint32(p)) }
func be64(p []byte) int64 { return int64(binary.BigEndian.Uint64(p)) }
