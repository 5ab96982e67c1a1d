package record

import (
	"bytes"
	"compress/flate"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// extend lengthens p by n bytes of undefined content.
func extend(p []byte, n int) []byte {
	p = slices.Grow(p, n)
	return p[:len(p)+n]
}

// Append compresses src behind dst, in the form that Java's client reads.
func (c Compression) Append(dst, src []byte) ([]byte, error) {
	switch c.Codec {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return gzipAppend(dst, src, c.Level)
	case Snappy:
		return snappyAppend(dst, src)
	case Lz4:
		return lz4Append(dst, src, c.Level)
	case Zstd:
		return zstdAppend(dst, src, c.Level), nil
	}
	return nil, errUnknownCodec
}

// gzipWriters has a pool for each level from -1 (the default) to 9.
var gzipWriters [11]sync.Pool

func gzipAppend(dst, src []byte, level int) ([]byte, error) {
	if level < flate.DefaultCompression || level > flate.BestCompression {
		level = flate.DefaultCompression
	}
	pool := &gzipWriters[level+1]
	out := bytes.NewBuffer(dst)
	w, ok := pool.Get().(*gzip.Writer)
	if !ok {
		var err error
		if w, err = gzip.NewWriterLevel(out, level); err != nil {
			return nil, err
		}
	}
	defer pool.Put(w)
	w.Reset(out)
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// zstdEncoders has a pool for each of the encoder's speeds. A window of at most 2 MiB keeps an encoder small; no
// batch needs more.
var zstdEncoders [zstd.SpeedBestCompression + 1]sync.Pool

func zstdAppend(dst, src []byte, level int) []byte {
	speed := zstd.EncoderLevelFromZstd(level)
	pool := &zstdEncoders[speed]
	e, ok := pool.Get().(*zstd.Encoder)
	if !ok {
		var err error
		e, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(speed), zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(2<<20), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true))
		if err != nil {
			panic(err) // the options are constants
		}
	}
	defer pool.Put(e)
	return e.EncodeAll(src, dst)
}
