package record

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/pierrec/lz4/v4"

	"github.com/weir-stream/weir/internal/bufpool"
)

// The lz4 frame format as Java's client reads it: version 1, independent blocks, no dictionary. Checksums of the header
// and of blocks are compared. That of the contents has to be there if it is announced and is not compared, as in
// Apache Kafka: the batch's CRC covers the same bytes, and it costs more than half as much as decompressing. The frames
// that are written are those of Java's client: 64 KiB blocks, no checksums but the header's.
const (
	lz4Magic          = 0x184D2204
	lz4FlagVersion    = 0x40
	lz4FlagVersionMax = 0xc0
	lz4FlagIndep      = 0x20
	lz4FlagBlockSum   = 0x10
	lz4FlagSize       = 0x08
	lz4FlagContentSum = 0x04
	lz4FlagReserved   = 0x02
	lz4FlagDict       = 0x01
	lz4Uncompressed   = 1 << 31
	lz4BlockSize      = 64 << 10
)

// lz4Header is the start of every frame that is written: magic, flags, block size 64 KiB, header checksum.
var lz4Header = [7]byte{0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82}

var (
	errLz4Short    = errors.New("frame is cut off")
	errLz4Header   = errors.New("frame header is not valid")
	errLz4Linked   = errors.New("dependent blocks are not supported (block independence must be set)")
	errLz4Checksum = errors.New("checksum does not match")
	errLz4Block    = errors.New("block is not valid")
	errLz4Trailing = errors.New("bytes after the end of the frame")
)

// lz4Frame walks the blocks of one frame.
type lz4Frame struct {
	src       []byte
	blockMax  int
	flags     byte
	size      uint64 // declared contents size, if lz4FlagSize is set
	delivered uint64
}

// open reads the frame's header.
func (f *lz4Frame) open(src []byte) error {
	if len(src) < 7 || binary.LittleEndian.Uint32(src) != lz4Magic {
		return errLz4Header
	}
	flags, bd := src[4], src[5]
	if flags&lz4FlagVersionMax != lz4FlagVersion || flags&(lz4FlagReserved|lz4FlagDict) != 0 || bd&0x8f != 0 || bd>>4 < 4 {
		return errLz4Header
	}
	if flags&lz4FlagIndep == 0 {
		return errLz4Linked
	}
	end := 6
	f.size = 0
	if flags&lz4FlagSize != 0 {
		end += 8
		if len(src) <= end {
			return errLz4Short
		}
		f.size = binary.LittleEndian.Uint64(src[6:])
	}
	if byte(xxh32Sum(src[4:end])>>8) != src[end] {
		return errLz4Checksum
	}
	f.flags, f.blockMax, f.src, f.delivered = flags, 1<<(8+2*(bd>>4)), src[end+1:], 0
	return nil
}

// next cuts off the next block; io.EOF after the end mark, once all that was declared has been seen.
func (f *lz4Frame) next() (block []byte, raw bool, err error) {
	if len(f.src) < 4 {
		return nil, false, errLz4Short
	}
	word := binary.LittleEndian.Uint32(f.src)
	f.src = f.src[4:]
	if word == 0 {
		return nil, false, f.finish()
	}
	raw = word&lz4Uncompressed != 0
	n := int(word &^ lz4Uncompressed)
	if n > f.blockMax {
		return nil, false, errLz4Block
	}
	need := n
	if f.flags&lz4FlagBlockSum != 0 {
		need += 4
	}
	if len(f.src) < need {
		return nil, false, errLz4Short
	}
	block = f.src[:n]
	if need > n && xxh32Sum(block) != binary.LittleEndian.Uint32(f.src[n:]) {
		return nil, false, errLz4Checksum
	}
	f.src = f.src[need:]
	return block, raw, nil
}

func (f *lz4Frame) finish() error {
	if f.flags&lz4FlagContentSum != 0 {
		if len(f.src) < 4 {
			return errLz4Short
		}
		f.src = f.src[4:]
	}
	if f.flags&lz4FlagSize != 0 && f.size != f.delivered {
		return errLz4Header
	}
	if len(f.src) > 0 {
		return errLz4Trailing
	}
	return io.EOF
}

// decode writes the next block's contents to the start of dst, which need not hold a whole block; errNoRoom if it
// turns out too short.
func (f *lz4Frame) decode(dst []byte) (int, error) {
	block, raw, err := f.next()
	if err != nil {
		return 0, err
	}
	n := 0
	if raw {
		if len(block) > len(dst) {
			return 0, errNoRoom
		}
		n = copy(dst, block)
	} else if n, err = lz4.UncompressBlock(block, dst[:min(len(dst), f.blockMax)]); err != nil {
		if len(dst) < f.blockMax {
			return 0, errNoRoom
		}
		return 0, errLz4Block
	}
	f.delivered += uint64(n)
	return n, nil
}

// lz4Into decompresses a frame to the spare capacity of dst.
func lz4Into(dst, src []byte) ([]byte, error) {
	var f lz4Frame
	if err := f.open(src); err != nil {
		return dst, corrupt(Lz4, err)
	}
	for {
		n, err := f.decode(dst[len(dst):cap(dst)])
		switch {
		case err == io.EOF:
			return dst, nil
		case err == errNoRoom:
			return dst, err
		case err != nil:
			return dst, corrupt(Lz4, err)
		}
		dst = dst[:len(dst)+n]
	}
}

// lz4Stream is a frame as a reader that holds one block.
type lz4Stream struct {
	frame lz4Frame
	buf   *bufpool.Buf
	rest  []byte
}

func openLz4(src []byte) (*lz4Stream, error) {
	s := &lz4Stream{}
	if err := s.frame.open(src); err != nil {
		return nil, corrupt(Lz4, err)
	}
	s.buf = bufpool.Get(s.frame.blockMax)
	return s, nil
}

func (s *lz4Stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		n, err := s.frame.decode(s.buf.B)
		if err == io.EOF {
			return 0, err
		}
		if err != nil {
			return 0, corrupt(Lz4, err)
		}
		s.rest = s.buf.B[:n]
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *lz4Stream) close() { s.buf.Release() }

var (
	lz4Fast = sync.Pool{New: func() any { return new(lz4.Compressor) }}
	lz4High = sync.Pool{New: func() any { return new(lz4.CompressorHC) }}
)

// lz4Append compresses src as one frame. Level 9, the default, is the fast compressor, as in Java's client; any
// other level asks for the thorough one, which knows nine depths.
func lz4Append(dst, src []byte, level int) ([]byte, error) {
	compress := func(block, out []byte) (int, error) {
		c := lz4Fast.Get().(*lz4.Compressor)
		defer lz4Fast.Put(c)
		return c.CompressBlock(block, out)
	}
	if level != DefaultLz4Level {
		compress = func(block, out []byte) (int, error) {
			c := lz4High.Get().(*lz4.CompressorHC)
			defer lz4High.Put(c)
			c.Level = lz4.CompressionLevel(1 << (8 + min(max(level, 1), 9)))
			return c.CompressBlock(block, out)
		}
	}
	dst = append(dst, lz4Header[:]...)
	for len(src) > 0 {
		block := src[:min(len(src), lz4BlockSize)]
		src = src[len(block):]
		at := len(dst)
		dst = extend(dst, 4+lz4.CompressBlockBound(len(block)))
		n, err := compress(block, dst[at+4:])
		if err != nil {
			return nil, err
		}
		word := uint32(n)
		if n == 0 || n >= len(block) {
			n = copy(dst[at+4:], block)
			word = uint32(n) | lz4Uncompressed
		}
		binary.LittleEndian.PutUint32(dst[at:], word)
		dst = dst[:at+4+n]
	}
	return append(dst, 0, 0, 0, 0), nil
}
