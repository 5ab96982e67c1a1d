// Package bufpool lends byte buffers in size classes, so that a frame, an answer or a decompressed batch costs no
// allocation once the process is warm. Buffers go by ownership: whoever holds one releases it, once.
//
// It keeps nothing above the largest class, it does not clear buffers, and it does not limit how much is lent:
// budgets belong to the callers.
package bufpool

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// The classes are the powers of two and their half steps between MinClass and MaxClass (4, 6, 8, 12 ... KiB), so
// that at most a third of a buffer is idle. A frame that carries one full batch of 2^n bytes is a little longer than
// 2^n, which is why the half steps exist.
const (
	MinClass = 4 << 10
	MaxClass = 2 << 20

	minShift = 12
	classes  = 2*(21-minShift) + 1
)

// Buf is a lent buffer. B has the length that was asked for; it may be resliced up to its capacity, but Release
// always gives back the whole.
type Buf struct {
	B []byte

	whole []byte
	class int8
	out   atomic.Bool
}

var (
	pools [classes]sync.Pool
	lent  atomic.Int64
)

// Get lends a buffer of length n. Its contents are undefined. Safe for concurrent use.
func Get(n int) *Buf {
	c := classOf(n)
	if c < 0 {
		b := &Buf{class: -1, whole: make([]byte, n)}
		return b.lend(n)
	}
	if b, ok := pools[c].Get().(*Buf); ok {
		return b.lend(n)
	}
	b := &Buf{class: int8(c), whole: make([]byte, classSize(c))}
	return b.lend(n)
}

func (b *Buf) lend(n int) *Buf {
	b.B = b.whole[:n]
	b.out.Store(true)
	lent.Add(int64(cap(b.whole)))
	return b
}

// Release gives the buffer back; nobody may use its bytes afterwards. It panics if the buffer was already
// released. Releasing nil does nothing.
func (b *Buf) Release() {
	if b == nil {
		return
	}
	if !b.out.CompareAndSwap(true, false) {
		panic("bufpool: buffer released twice")
	}
	lent.Add(-int64(cap(b.whole)))
	b.B = nil
	if b.class < 0 {
		b.whole = nil
		return
	}
	pools[b.class].Put(b)
}

// Detach takes the buffer out of the pool's care: its bytes live as long as somebody holds them. It stands in for
// Release.
func (b *Buf) Detach() {
	if !b.out.CompareAndSwap(true, false) {
		panic("bufpool: buffer released twice")
	}
	lent.Add(-int64(cap(b.whole)))
}

// Cap is how far B can be resliced.
func (b *Buf) Cap() int { return cap(b.whole) }

// Grow makes sure that B can hold n bytes, keeping its present contents: it returns b itself, or a larger buffer after
// releasing b. The length of B becomes n.
func (b *Buf) Grow(n int) *Buf {
	if n <= cap(b.whole) {
		b.B = b.whole[:n]
		return b
	}
	bigger := Get(n)
	copy(bigger.B, b.B)
	b.Release()
	return bigger
}

// Lent is how many bytes are out at the moment, over all classes. It is exact when nobody calls Get or Release.
func Lent() int64 { return lent.Load() }

// ClassSize is the capacity that Get(n) would lend.
func ClassSize(n int) int {
	if c := classOf(n); c >= 0 {
		return classSize(c)
	}
	return n
}

// classOf returns the smallest class that holds n, or -1.
func classOf(n int) int {
	if n <= MinClass {
		return 0
	}
	if n > MaxClass {
		return -1
	}
	shift := bits.Len(uint(n-1)) - 1 // 2^shift < n <= 2^(shift+1)
	if n <= 3<<(shift-1) {
		return 2*(shift-minShift) + 1
	}
	return 2*(shift-minShift) + 2
}

func classSize(c int) int {
	size := 1 << (minShift + c/2)
	if c%2 == 1 {
		size += size / 2
	}
	return size
}
