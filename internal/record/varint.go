package record

import "math/bits"

// uvarint32 reads an unsigned varint of at most 32 bits at p[i]. The next position is -1 if it is cut off, longer
// than five bytes or wider than 32 bits.
func uvarint32(p []byte, i int) (uint32, int) {
	if i < len(p) && p[i] < 0x80 {
		return uint32(p[i]), i + 1
	}
	return uvarint32Slow(p, i)
}

//go:noinline
func uvarint32Slow(p []byte, i int) (uint32, int) {
	var v uint32
	for k := 0; k < 5; k++ {
		if i >= len(p) {
			return 0, -1
		}
		b := p[i]
		i++
		if k == 4 && b > 0x0f {
			return 0, -1
		}
		v |= uint32(b&0x7f) << (7 * k)
		if b < 0x80 {
			return v, i
		}
	}
	return 0, -1
}

// uvarint64 is uvarint32 for 64 bits and ten bytes.
func uvarint64(p []byte, i int) (uint64, int) {
	var v uint64
	for k := 0; k < 10; k++ {
		if i >= len(p) {
			return 0, -1
		}
		b := p[i]
		i++
		if k == 9 && b > 1 {
			return 0, -1
		}
		v |= uint64(b&0x7f) << (7 * k)
		if b < 0x80 {
			return v, i
		}
	}
	return 0, -1
}

func unzigzag32(u uint32) int32 { return int32(u>>1) ^ -int32(u&1) }
func unzigzag64(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
func zigzag64(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }

// AppendVarint appends a zigzag varint, as records use them.
func AppendVarint(dst []byte, v int64) []byte {
	u := zigzag64(v)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

// varintSize is the length that AppendVarint appends.
func varintSize(v int64) int {
	return max(1, (bits.Len64(zigzag64(v))+6)/7)
}
