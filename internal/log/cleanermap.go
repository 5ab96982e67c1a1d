package log

import "hash/maphash"

// offsetMap remembers the last offset of each key by a 128-bit hash of the key, in open addressing. It grows as keys come,
// up to its limit. Two keys with one hash would lose the older of them; with 128 bits that does not happen.
// Owned by one cleaner thread.
type offsetMap struct {
	seeds  [2]maphash.Seed
	limit  int // slots at most
	load   float64
	slots  []offsetSlot
	used   int
	latest int64 // offset up to which the log was taken in, -1 at first
}

type offsetSlot struct {
	h1, h2 uint64
	offset int64 // plus one; 0 is free
}

const offsetSlotSize = 24

func newOffsetMap(maxBytes int64, load float64) *offsetMap {
	m := &offsetMap{limit: int(max(maxBytes/offsetSlotSize, 64)), load: load, latest: -1}
	m.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	m.slots = make([]offsetSlot, min(m.limit, 1024))
	return m
}

// full says that no further key may be put.
func (m *offsetMap) full() bool { return m.used >= int(float64(m.limit)*m.load) }

func (m *offsetMap) find(h1, h2 uint64) *offsetSlot {
	for i := h1 % uint64(len(m.slots)); ; i = (i + 1) % uint64(len(m.slots)) {
		s := &m.slots[i]
		if s.offset == 0 || s.h1 == h1 && s.h2 == h2 {
			return s
		}
	}
}

func (m *offsetMap) put(key []byte, offset int64) {
	if m.used >= int(float64(len(m.slots))*m.load) && len(m.slots) < m.limit {
		m.grow()
	}
	h1, h2 := maphash.Bytes(m.seeds[0], key), maphash.Bytes(m.seeds[1], key)
	s := m.find(h1, h2)
	if s.offset == 0 {
		m.used++
	}
	*s = offsetSlot{h1, h2, offset + 1}
}

func (m *offsetMap) grow() {
	old := m.slots
	m.slots = make([]offsetSlot, min(2*len(old), m.limit))
	for _, s := range old {
		if s.offset != 0 {
			*m.find(s.h1, s.h2) = s
		}
	}
}

// get returns the last offset of a key, -1 if it is not known.
func (m *offsetMap) get(key []byte) int64 {
	return m.find(maphash.Bytes(m.seeds[0], key), maphash.Bytes(m.seeds[1], key)).offset - 1
}
