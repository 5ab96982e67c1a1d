package record

import (
	"encoding/binary"
	"math/bits"
)

// xxh32 is the 32-bit xxHash with seed 0, which lz4 frames use for their header and blocks.
type xxh32 struct {
	v     [4]uint32
	total uint64
	tail  [16]byte
	n     int
}

const (
	xxPrime1 uint32 = 2654435761
	xxPrime2 uint32 = 2246822519
	xxPrime3 uint32 = 3266489917
	xxPrime4 uint32 = 668265263
	xxPrime5 uint32 = 374761393
)

func (x *xxh32) reset() {
	p1, p2 := xxPrime1, xxPrime2
	*x = xxh32{v: [4]uint32{p1 + p2, p2, 0, -p1}}
}

func (x *xxh32) write(p []byte) {
	x.total += uint64(len(p))
	if x.n > 0 {
		c := copy(x.tail[x.n:], p)
		x.n += c
		p = p[c:]
		if x.n < 16 {
			return
		}
		x.rounds(x.tail[:])
		x.n = 0
	}
	if whole := len(p) &^ 15; whole > 0 {
		x.rounds(p[:whole])
		p = p[whole:]
	}
	x.n = copy(x.tail[:], p)
}

func (x *xxh32) rounds(p []byte) {
	v0, v1, v2, v3 := x.v[0], x.v[1], x.v[2], x.v[3]
	for ; len(p) >= 16; p = p[16:] {
		v0 = bits.RotateLeft32(v0+binary.LittleEndian.Uint32(p)*xxPrime2, 13) * xxPrime1
		v1 = bits.RotateLeft32(v1+binary.LittleEndian.Uint32(p[4:])*xxPrime2, 13) * xxPrime1
		v2 = bits.RotateLeft32(v2+binary.LittleEndian.Uint32(p[8:])*xxPrime2, 13) * xxPrime1
		v3 = bits.RotateLeft32(v3+binary.LittleEndian.Uint32(p[12:])*xxPrime2, 13) * xxPrime1
	}
	x.v = [4]uint32{v0, v1, v2, v3}
}

func (x *xxh32) sum() uint32 {
	h := xxPrime5
	if x.total >= 16 {
		h = bits.RotateLeft32(x.v[0], 1) + bits.RotateLeft32(x.v[1], 7) +
			bits.RotateLeft32(x.v[2], 12) + bits.RotateLeft32(x.v[3], 18)
	}
	h += uint32(x.total)
	p := x.tail[:x.n]
	for ; len(p) >= 4; p = p[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(p)*xxPrime3, 17) * xxPrime4
	}
	for _, c := range p {
		h = bits.RotateLeft32(h+uint32(c)*xxPrime5, 11) * xxPrime1
	}
	h = (h ^ h>>15) * xxPrime2
	h = (h ^ h>>13) * xxPrime3
	return h ^ h>>16
}

func xxh32Sum(p []byte) uint32 {
	var x xxh32
	x.reset()
	x.write(p)
	return x.sum()
}
