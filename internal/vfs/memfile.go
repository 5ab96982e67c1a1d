package vfs

import (
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
)

type memFile struct {
	m        *Mem
	n        *memNode
	name     string
	readOnly bool
	closed   bool
}

func (f *memFile) Name() string { return f.name }

// enter takes the file system's lock; the caller unlocks it.
func (f *memFile) enter(op string) error {
	err := f.m.enter()
	if err == nil && f.closed {
		err = os.ErrClosed
	}
	if err != nil {
		return pathErr(op, f.name, err)
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	err := f.enter("read")
	defer f.m.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathErr("read", f.name, syscall.EINVAL)
	}
	if off >= int64(len(f.n.data)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.enter("write")
	defer f.m.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if f.readOnly {
		return 0, pathErr("write", f.name, syscall.EBADF)
	}
	if off < 0 {
		return 0, pathErr("write", f.name, syscall.EINVAL)
	}
	if end := off + int64(len(p)); f.m.capacity > 0 && end > int64(len(f.n.data)) {
		room := max(f.m.capacity-f.m.used, 0)
		if grow := end - int64(len(f.n.data)); grow > room {
			err = pathErr("write", f.name, syscall.ENOSPC)
			p = p[:max(int64(len(p))-(grow-room), 0)]
		}
	}
	if len(p) == 0 {
		return 0, err
	}
	end := off + int64(len(p))
	if end > int64(len(f.n.data)) {
		f.m.resize(f.n, end)
	}
	copy(f.n.data[off:], p)
	f.n.touch(off, end)
	f.n.modTime = f.m.now()
	return len(p), err
}

// touch marks the sectors of [from, to) as not yet durable.
func (n *memNode) touch(from, to int64) {
	for s := from / sectorSize; s*sectorSize < to; s++ {
		n.dirty[s] = struct{}{}
	}
}

// resize cuts or zero-fills a file. What is cut off, or filled, counts as changed.
func (m *Mem) resize(n *memNode, size int64) {
	old := int64(len(n.data))
	if n.links > 0 {
		m.used += size - old
	}
	switch {
	case size < old:
		n.touch(size, old)
		clear(n.data[size:])
		n.data = n.data[:size]
	case size > old:
		n.touch(old, size)
		if size > int64(cap(n.data)) {
			grown := make([]byte, size, max(size, 2*int64(cap(n.data))))
			copy(grown, n.data)
			n.data = grown
		}
		n.data = n.data[:size]
	}
}

func (f *memFile) Truncate(size int64) error {
	err := f.enter("truncate")
	defer f.m.mu.Unlock()
	if err != nil {
		return err
	}
	if f.readOnly || size < 0 {
		return pathErr("truncate", f.name, syscall.EINVAL)
	}
	f.m.resize(f.n, size)
	f.n.modTime = f.m.now()
	return nil
}

func (f *memFile) Sync() error {
	err := f.enter("sync")
	defer f.m.mu.Unlock()
	if err != nil {
		return err
	}
	n := f.n
	if len(n.durable) > len(n.data) {
		n.durable = n.durable[:len(n.data)]
	} else if len(n.durable) < len(n.data) {
		n.durable = append(n.durable, make([]byte, len(n.data)-len(n.durable))...)
	}
	for s := range n.dirty {
		from := s * sectorSize
		if from < int64(len(n.data)) {
			to := min(from+sectorSize, int64(len(n.data)))
			copy(n.durable[from:to], n.data[from:to])
		}
	}
	clear(n.dirty)
	return nil
}

func (f *memFile) Size() (int64, error) {
	err := f.enter("stat")
	defer f.m.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return int64(len(f.n.data)), nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return pathErr("close", f.name, os.ErrClosed)
	}
	f.closed = true
	return nil
}

// Crash returns what a power cut at this moment may leave, chosen by the source: of each directory the durable
// entries and the first few of the changes since, of each file the durable bytes with any of the sectors of
// 512 bytes written since, and any length in between. The file system itself goes on; PowerOff ends it.
func (m *Mem) Crash(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	// How much survives differs from cut to cut, so that all-lost and nothing-lost come up as well.
	c := crasher{rng: rng, keep: []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)], seen: map[*memNode]*memNode{}}
	out := &Mem{locks: map[string]bool{}, now: m.now, capacity: m.capacity, boots: m.boots + 1, made: m.made}
	out.root = c.node(m.root)
	for _, n := range c.seen {
		if !n.isDir {
			out.used += int64(len(n.data))
		}
	}
	return out
}

type crasher struct {
	rng  *rand.Rand
	keep float64
	seen map[*memNode]*memNode
}

func (c *crasher) node(n *memNode) *memNode {
	if got := c.seen[n]; got != nil {
		got.links++
		return got
	}
	out := &memNode{id: n.id, modTime: n.modTime, isDir: n.isDir, links: 1}
	c.seen[n] = out
	if n.isDir {
		c.dir(n, out)
	} else {
		c.file(n, out)
	}
	return out
}

func (c *crasher) dir(n, out *memNode) {
	kids := map[string]*memNode{}
	for name, k := range n.durableKids {
		kids[name] = k
	}
	survived := 0
	for survived < len(n.pending) && c.rng.Float64() < c.keep {
		survived++
	}
	for _, ch := range n.pending[:survived] {
		if ch.remove != "" {
			delete(kids, ch.remove)
		}
		if ch.add != "" {
			kids[ch.add] = ch.node
		}
	}
	out.children = make(map[string]*memNode, len(kids))
	out.durableKids = make(map[string]*memNode, len(kids))
	for _, name := range sortedNames(kids) {
		k := c.node(kids[name])
		out.children[name] = k
		out.durableKids[name] = k
	}
}

func (c *crasher) file(n, out *memNode) {
	size := int64(len(n.durable))
	switch now := int64(len(n.data)); {
	case now == size || c.rng.Float64() < c.keep:
		size = now
	case now > size && c.rng.IntN(2) == 0:
		size += c.rng.Int64N(now - size)
	}
	out.data = make([]byte, size)
	copy(out.data, n.durable)
	for s := int64(0); s*sectorSize < size; s++ {
		if _, ok := n.dirty[s]; !ok || c.rng.Float64() >= c.keep {
			continue
		}
		// What a truncation cut off, and has come back, is as it was.
		from, to := s*sectorSize, min((s+1)*sectorSize, size)
		if from < int64(len(n.data)) {
			copy(out.data[from:to], n.data[from:])
		}
	}
	out.durable = append([]byte(nil), out.data...)
	out.dirty = map[int64]struct{}{}
}

// Kill returns what the end of all processes at this moment leaves: everything, synced or not. The file system itself goes
// on.
func (m *Mem) Kill() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := &Mem{locks: map[string]bool{}, now: m.now, capacity: m.capacity, used: m.used, boots: m.boots, made: m.made}
	out.root = m.root.copied(map[*memNode]*memNode{})
	return out
}

func (n *memNode) copied(seen map[*memNode]*memNode) *memNode {
	if n == nil || seen[n] != nil {
		return seen[n]
	}
	out := *n
	seen[n] = &out
	out.data, out.durable, out.dirty = slices.Clone(n.data), slices.Clone(n.durable), maps.Clone(n.dirty)
	out.children, out.durableKids, out.pending = maps.Clone(n.children), maps.Clone(n.durableKids), slices.Clone(n.pending)
	for name, k := range out.children {
		out.children[name] = k.copied(seen)
	}
	for name, k := range out.durableKids {
		out.durableKids[name] = k.copied(seen)
	}
	for i := range out.pending {
		out.pending[i].node = out.pending[i].node.copied(seen)
	}
	return &out
}
