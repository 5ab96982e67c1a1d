package dumplog

import (
	"fmt"
	"hash/crc32"

	"github.com/weir-stream/weir/internal/record"
)

// oldMessage is a message of format 0 or 1, behind its offset and size:
//
//	0 crc uint32 (CRC-32 IEEE of all that follows) | 4 magic int8 | 5 attributes int8 | 6 timestamp int64, format 1 only |
//	keySize int32 | key | valueSize int32 | value
//
// A compressed message has further messages as its value.
type oldMessage []byte

const (
	attrsOffset     = 5
	timestampOffset = 6
	timestampSize   = 8
)

func (m oldMessage) magic() int8 { return int8(m[4]) }

func (m oldMessage) keySizeOffset() int {
	if m.magic() == 0 {
		return timestampOffset
	}
	return timestampOffset + timestampSize
}

// int32At reads a number, which a message that is too short does not have.
func (m oldMessage) int32At(at int) (int32, error) {
	if at > len(m)-4 {
		return 0, outOfBounds
	}
	return be32(m[at:]), nil
}

// sized is the bytes behind the size at a position, nil for a negative size, and the position after them.
func (m oldMessage) sized(at int) (p []byte, after int, err error) {
	n, err := m.int32At(at)
	switch {
	case err != nil:
		return nil, 0, err
	case n < 0:
		return nil, at + 4, nil
	case int64(n) > int64(len(m)-at-4):
		return nil, 0, &JavaError{"java.lang.IllegalArgumentException",
			fmt.Sprintf("newLimit > capacity: (%d > %d)", n, len(m)-at-4)}
	}
	return m[at+4 : at+4+int(n)], at + 4 + int(n), nil
}

func (m oldMessage) timestamp() (int64, error) {
	switch {
	case m.magic() == 0:
		return record.NoTimestamp, nil
	case len(m) < timestampOffset+timestampSize:
		return 0, outOfBounds
	}
	return be64(m[timestampOffset:]), nil
}

func (m oldMessage) timestampType() string {
	switch {
	case m.magic() == 0:
		return "NoTimestampType"
	case m[attrsOffset]&attrAppended != 0:
		return record.LogAppendTime.String()
	}
	return record.CreateTime.String()
}

func (m oldMessage) crc() uint32 { return uint32(be32(m)) }

func (m oldMessage) valid() bool { return m.crc() == crc32.ChecksumIEEE(m[4:]) }

// oldTimestampType is what the lines of the batch's records say.
func oldTimestampType(b *batch) string {
	if b.magic >= record.CurrentMagic || b.whole == nil {
		return ""
	}
	return oldMessage(b.whole[logOverhead:]).timestampType()
}

func (d *dumper) printOldBatch(b *batch) error {
	whole, err := b.full()
	if err != nil {
		return err
	}
	m := oldMessage(whole[logOverhead:])
	d.printf("offset: %d", b.offset)
	if m.magic() < 0 {
		return &JavaError{"java.lang.IllegalArgumentException", fmt.Sprintf("Invalid magic used in LegacyRecord: %d", m.magic())}
	}
	timestamp, err := m.timestamp()
	if err != nil {
		return err
	}
	codec, err := codecName(int8(m[attrsOffset]))
	if err != nil {
		return err
	}
	d.printPosition(b, m.timestampType(), timestamp, codec, m.crc(), m.valid())
	return nil
}

// oldEntries hands over the message, or the messages in it if it is compressed.
func (b *batch) oldEntries(whole []byte, yield func(*entry) error) error {
	m := oldMessage(whole[logOverhead:])
	codec, err := codecName(int8(m[attrsOffset]))
	if err != nil {
		return err
	}
	if codec == record.None.String() {
		return yieldOld(b.offset, m, nil, yield)
	}
	inner, err := innerMessages(m)
	if err != nil {
		return err
	}
	base := int64(0)
	if last := inner[len(inner)-1].offset; m.magic() != 0 && b.offset != 0 {
		if b.offset < last {
			return invalidRecord("Found invalid wrapper offset in compressed v1 message set, wrapper offset '%d' is less than "+
				"the last inner message offset '%d' and it is not zero.", b.offset, last)
		}
		base = b.offset - last
	}
	for _, in := range inner {
		if in.message[attrsOffset]&attrCodec != 0 {
			return invalidRecord("Inner messages must not be compressed")
		}
		if err := yieldOld(base+in.offset, in.message, m, yield); err != nil {
			return err
		}
	}
	return nil
}

type innerMessage struct {
	offset  int64
	message oldMessage
}

// innerMessages decompresses the messages in a message. There is at least one.
func innerMessages(m oldMessage) ([]innerMessage, error) {
	codec := record.Codec(m[attrsOffset] & attrCodec)
	if codec == record.Zstd {
		return nil, invalidRecord("Invalid wrapper compressionType found in legacy deep record iterator %d", m.magic())
	}
	_, after, err := m.sized(m.keySizeOffset())
	if err != nil {
		return nil, err
	}
	value, _, err := m.sized(after)
	if err != nil {
		return nil, err
	}
	if value == nil {
		return nil, invalidRecord("Found invalid compressed record set with null value (magic = %d)", m.magic())
	}
	buf, err := record.Decompress(codec, value, record.DefaultMaxUncompressed)
	if err != nil {
		return nil, kafkaError("Failed to decompress record stream")
	}
	defer buf.Release()
	p := append([]byte(nil), buf.B...)
	var all []innerMessage
	for len(p) >= logOverhead {
		size := be32(p[8:])
		if size < minRecord {
			return nil, corrupt("Record size is less than the minimum record overhead (%d)", minRecord)
		}
		if int64(size) > int64(len(p)-logOverhead) {
			break
		}
		end := logOverhead + int(size)
		all = append(all, innerMessage{be64(p), oldMessage(p[logOverhead:end])})
		p = p[end:]
	}
	if len(all) == 0 {
		return nil, invalidRecord("Found invalid compressed record set with no inner records")
	}
	return all, nil
}

// yieldOld hands over a message. wrapper is the compressed message that it came in; nil if there was none.
func yieldOld(offset int64, m, wrapper oldMessage, yield func(*entry) error) error {
	e := entry{offset: offset, sequence: record.NoSequence, old: &oldEntry{valid: m.valid(), crc: m.crc()}}
	from := m
	if wrapper != nil && m.magic() == 1 && wrapper[attrsOffset]&attrAppended != 0 {
		from = wrapper
	}
	var err error
	if e.timestamp, err = from.timestamp(); err != nil {
		return err
	}
	keyAt := m.keySizeOffset()
	keySize, err := m.int32At(keyAt)
	valueAt := keyAt + 4 + int(max(0, keySize))
	var valueSize int32
	if err == nil {
		valueSize, err = m.int32At(valueAt)
	}
	e.old.keySize, e.old.valueSize, e.old.noSizes = int64(keySize), int64(valueSize), err
	if e.key, _, err = m.sized(keyAt); err == nil {
		e.value, _, err = m.sized(valueAt)
	}
	e.old.broken = err
	return yield(&e)
}
