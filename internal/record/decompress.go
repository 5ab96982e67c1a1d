package record

import (
	"bytes"
	"errors"
	"io"
	"math/bits"
	"runtime"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/weir-stream/weir/internal/bufpool"
)

// errNoRoom says that the contents do not fit the buffer; the caller streams instead.
var errNoRoom = errors.New("no room")

// slow bounds the memory of batches that must be streamed: as many at a time as there are processors.
var slow = make(chan struct{}, runtime.GOMAXPROCS(0))

// source is decompressed contents as a stream. Its errors wrap a wire.Code.
type source interface {
	io.Reader
	close()
}

// openSource starts to decompress src. No stream holds more than a block (4 MiB for lz4; for snappy the largest
// block, which is bounded by limit and by 22 times its compressed size) or a window (32 KiB gzip, 8 MiB zstd; one
// at a time up to 128 MiB).
func openSource(c Codec, src []byte, limit int) (source, error) {
	switch c {
	case Gzip:
		return openGzip(src)
	case Snappy:
		return openSnappy(src, limit)
	case Lz4:
		return openLz4(src)
	case Zstd:
		return openZstd(src)
	}
	return nil, errUnknownCodec
}

// into decompresses all of src to the spare capacity of dst, or returns errNoRoom.
func into(dst []byte, c Codec, src []byte) ([]byte, error) {
	switch c {
	case Gzip:
		return gzipInto(dst, src)
	case Snappy:
		return snappyInto(dst, src)
	case Lz4:
		return lz4Into(dst, src)
	case Zstd:
		return zstdInto(dst, src)
	}
	return dst, errUnknownCodec
}

// firstGuess is the buffer to try first: most batches hold well below eight times their compressed size.
func firstGuess(compressed, limit int) int {
	n := min(max(8*compressed, 64<<10), bufpool.MaxClass, max(limit, 1))
	return min(1<<bits.Len(uint(n-1)), bufpool.MaxClass)
}

// Decompress returns the whole contents in a buffer that the caller releases. More than limit bytes are an error;
// memory grows with what really comes out. The error wraps wire.InvalidRecord or wire.UnsupportedCompressionType.
func Decompress(c Codec, src []byte, limit int) (*bufpool.Buf, error) {
	buf := bufpool.Get(firstGuess(len(src), limit))
	out, err := into(buf.B[:0], c, src)
	if err == nil && len(out) > limit {
		err = tooLarge(limit)
	}
	if err == nil {
		buf.B = out
		return buf, nil
	}
	if err != errNoRoom {
		buf.Release()
		return nil, err
	}
	slow <- struct{}{}
	defer func() { <-slow }()
	s, err := openSource(c, src, limit)
	if err != nil {
		buf.Release()
		return nil, err
	}
	defer s.close()
	n := 0
	for {
		if n == len(buf.B) {
			buf = buf.Grow(min(2*n, limit+1))
		}
		m, err := s.Read(buf.B[n:])
		n += m
		if n > limit {
			err = tooLarge(limit)
		}
		if err == io.EOF {
			buf.B = buf.B[:n]
			return buf, nil
		}
		if err != nil {
			buf.Release()
			return nil, err
		}
	}
}

// gzipStream reads members until the input ends, as Java's reader does.
type gzipStream struct {
	in bytes.Reader
	gz gzip.Reader
}

var gzipStreams = sync.Pool{New: func() any { return new(gzipStream) }}

func openGzip(src []byte) (*gzipStream, error) {
	s := gzipStreams.Get().(*gzipStream)
	s.in.Reset(src)
	if err := s.gz.Reset(&s.in); err != nil {
		s.close()
		return nil, corrupt(Gzip, err)
	}
	return s, nil
}

func (s *gzipStream) Read(p []byte) (int, error) {
	n, err := s.gz.Read(p)
	if err != nil && err != io.EOF {
		err = corrupt(Gzip, err)
	}
	return n, err
}

func (s *gzipStream) close() {
	s.in.Reset(nil)
	s.gz.Header = gzip.Header{}
	gzipStreams.Put(s)
}

func gzipInto(dst, src []byte) ([]byte, error) {
	s, err := openGzip(src)
	if err != nil {
		return dst, err
	}
	defer s.close()
	return readInto(dst, s)
}

// readInto reads a stream to its end into the spare capacity of dst.
func readInto(dst []byte, s source) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			var one [1]byte
			switch n, err := s.Read(one[:]); {
			case n > 0:
				return dst, errNoRoom
			case err == io.EOF:
				return dst, nil
			case err != nil:
				return dst, err
			}
			continue
		}
		n, err := s.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// Windows of zstd frames: all levels up to 19 stay within zstdWindow. Frames of levels 20 to 22 declare up to
// zstdWideWindow, which is what Java's reader accepts too; they are decoded one at a time.
const (
	zstdWindow     = 8 << 20
	zstdWideWindow = 128 << 20
)

// zstdDecoders lends decoders, at most one per processor, made when first needed and kept.
var (
	zstdSlots = make(chan struct{}, runtime.GOMAXPROCS(0))
	zstdIdle  = make(chan *zstd.Decoder, cap(zstdSlots))
	zstdWide  = make(chan struct{}, 1)
)

func newZstdDecoder(window uint64) *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(window), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}

func takeZstd() *zstd.Decoder {
	zstdSlots <- struct{}{}
	select {
	case d := <-zstdIdle:
		return d
	default:
		return newZstdDecoder(zstdWindow)
	}
}

func giveZstd(d *zstd.Decoder) {
	zstdIdle <- d
	<-zstdSlots
}

func zstdInto(dst, src []byte) ([]byte, error) {
	d := takeZstd()
	out, err := d.DecodeAll(src, dst)
	giveZstd(d)
	switch {
	case err == nil && len(out) <= cap(dst):
		return out, nil
	case err == nil, errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return dst, errNoRoom
	}
	return dst, corrupt(Zstd, err)
}

// zstdStream starts with a decoder of the usual window and changes to a wide one when a frame declares more.
type zstdStream struct {
	src  []byte
	in   bytes.Reader
	d    *zstd.Decoder
	wide bool
	read int64
}

func openZstd(src []byte) (*zstdStream, error) {
	s := &zstdStream{src: src, d: takeZstd()}
	s.in.Reset(src)
	if err := s.d.Reset(&s.in); err != nil {
		s.close()
		return nil, corrupt(Zstd, err)
	}
	return s, nil
}

func (s *zstdStream) Read(p []byte) (int, error) {
	n, err := s.d.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) && !s.wide && n == 0 {
		return s.widen(p)
	}
	s.read += int64(n)
	if err != nil && err != io.EOF {
		err = corrupt(Zstd, err)
	}
	return n, err
}

// widen starts again with a decoder for wide windows and skips what was already read.
func (s *zstdStream) widen(p []byte) (int, error) {
	if err := s.d.Reset(nil); err != nil {
		return 0, corrupt(Zstd, err)
	}
	giveZstd(s.d)
	zstdWide <- struct{}{}
	s.wide = true
	s.d = newZstdDecoder(zstdWideWindow)
	s.in.Reset(s.src)
	if err := s.d.Reset(&s.in); err != nil {
		return 0, corrupt(Zstd, err)
	}
	if _, err := io.CopyN(io.Discard, s.d, s.read); err != nil {
		return 0, corrupt(Zstd, err)
	}
	return s.Read(p)
}

func (s *zstdStream) close() {
	if s.wide {
		s.d.Close()
		<-zstdWide
		return
	}
	_ = s.d.Reset(nil) // drops the reference to the input; a nil reader cannot fail
	giveZstd(s.d)
}
