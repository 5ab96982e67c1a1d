package record

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/s2"

	"github.com/weir-stream/weir/internal/bufpool"
)

// Snappy comes in two shapes: the block stream of the xerial library (a 16-byte header, then blocks with an int32
// length each), which Java's client writes, and one raw block, which librdkafka and Go clients write. Both are read;
// the stream is written, with Java's block size.
const (
	xerialHeader    = 16
	xerialBlockSize = 32 << 10
)

var (
	xerialMagic    = [8]byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}
	xerialVersions = [8]byte{0, 0, 0, 1, 0, 0, 0, 1}

	errSnappyShort = errors.New("block is cut off")
	errSnappyBlock = errors.New("block is not valid")
)

func isXerial(src []byte) bool {
	return len(src) >= xerialHeader && [8]byte(src) == xerialMagic
}

// snappyCheck returns what a raw block decompresses to after walking its tags, so that nothing is allocated for a
// length that lies. It also refuses the extension of S2 (a copy of offset 0), which the decoder behind would read
// but Java's would not.
func snappyCheck(src []byte) (int, error) {
	declared, n := binary.Uvarint(src)
	if n <= 0 || n > 5 || declared > 1<<31-1 {
		return 0, errSnappyBlock
	}
	var total uint64
	for i := n; i < len(src); {
		tag := src[i]
		var offset uint32 = 1
		switch tag & 3 {
		case 0: // literal
			x := int(tag >> 2)
			extra := 0
			if x >= 60 {
				extra = x - 59
				if i+1+extra > len(src) {
					return 0, errSnappyShort
				}
				x = 0
				for k := extra; k > 0; k-- {
					x = x<<8 | int(src[i+k])
				}
			}
			i += 1 + extra + x + 1
			if i > len(src) {
				return 0, errSnappyShort
			}
			total += uint64(x) + 1
			continue
		case 1:
			if i+2 > len(src) {
				return 0, errSnappyShort
			}
			offset = uint32(tag&0xe0)<<3 | uint32(src[i+1])
			total += uint64(tag>>2&7) + 4
			i += 2
		case 2:
			if i+3 > len(src) {
				return 0, errSnappyShort
			}
			offset = uint32(binary.LittleEndian.Uint16(src[i+1:]))
			total += uint64(tag>>2) + 1
			i += 3
		case 3:
			if i+5 > len(src) {
				return 0, errSnappyShort
			}
			offset = binary.LittleEndian.Uint32(src[i+1:])
			total += uint64(tag>>2) + 1
			i += 5
		}
		if offset == 0 {
			return 0, errSnappyBlock
		}
	}
	if total != declared {
		return 0, errSnappyBlock
	}
	return int(declared), nil
}

// snappyBlocks walks the raw blocks of either shape.
type snappyBlocks struct {
	src    []byte
	xerial bool
	begun  bool
}

func (s *snappyBlocks) open(src []byte) error {
	*s = snappyBlocks{src: src}
	if isXerial(src) {
		s.xerial = true
		s.src = src[xerialHeader:]
	}
	return nil
}

// next cuts off the next block and says what it decompresses to; io.EOF at the end.
func (s *snappyBlocks) next() (block []byte, n int, err error) {
	if len(s.src) == 0 && (s.xerial || s.begun) {
		return nil, 0, io.EOF
	}
	s.begun = true
	if !s.xerial {
		block, s.src = s.src, nil
		n, err = snappyCheck(block)
		return block, n, err
	}
	if len(s.src) < 4 {
		return nil, 0, errSnappyShort
	}
	size := int32(binary.BigEndian.Uint32(s.src))
	if size < 0 || int64(size) > int64(len(s.src)-4) {
		return nil, 0, errSnappyShort
	}
	block, s.src = s.src[4:4+size], s.src[4+size:]
	n, err = snappyCheck(block)
	return block, n, err
}

// snappyInto decompresses to the spare capacity of dst.
func snappyInto(dst, src []byte) ([]byte, error) {
	var s snappyBlocks
	if err := s.open(src); err != nil {
		return dst, corrupt(Snappy, err)
	}
	for {
		block, n, err := s.next()
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, corrupt(Snappy, err)
		}
		if n > cap(dst)-len(dst) {
			return dst, errNoRoom
		}
		if _, err = s2.Decode(dst[len(dst):len(dst):cap(dst)], block); err != nil {
			return dst, corrupt(Snappy, err)
		}
		dst = dst[:len(dst)+n]
	}
}

// snappyStream is either shape as a reader that holds one block.
type snappyStream struct {
	blocks snappyBlocks
	limit  int
	buf    *bufpool.Buf
	rest   []byte
}

func openSnappy(src []byte, limit int) (*snappyStream, error) {
	s := &snappyStream{limit: limit}
	if err := s.blocks.open(src); err != nil {
		return nil, corrupt(Snappy, err)
	}
	return s, nil
}

func (s *snappyStream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		block, n, err := s.blocks.next()
		if err == io.EOF {
			return 0, err
		}
		if err != nil {
			return 0, corrupt(Snappy, err)
		}
		if n > s.limit {
			return 0, tooLarge(s.limit)
		}
		if s.buf == nil {
			s.buf = bufpool.Get(n)
		}
		s.buf = s.buf.Grow(n)
		if s.rest, err = s2.Decode(s.buf.B[:0:n], block); err != nil {
			return 0, corrupt(Snappy, err)
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *snappyStream) close() { s.buf.Release() }

// snappyAppend compresses src as a xerial stream.
func snappyAppend(dst, src []byte) ([]byte, error) {
	dst = append(dst, xerialMagic[:]...)
	dst = append(dst, xerialVersions[:]...)
	for len(src) > 0 {
		block := src[:min(len(src), xerialBlockSize)]
		src = src[len(block):]
		at := len(dst)
		dst = extend(dst, 4+s2.MaxEncodedLen(len(block)))
		out := s2.EncodeSnappy(dst[at+4:], block)
		binary.BigEndian.PutUint32(dst[at:], uint32(len(out)))
		dst = dst[:at+4+len(out)]
	}
	return dst, nil
}
