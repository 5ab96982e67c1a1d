package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrPowerLost is what every call on a Mem, or on a file of it, gives after PowerOff.
var ErrPowerLost = errors.New("power lost")

// Mem is a file system in memory that keeps two images of everything: what processes see and what would survive a
// power cut. A write becomes durable by File.Sync, a directory entry by SyncDir; Crash gives a new file system
// with what a cut at this moment may have left. Renames between directories are refused (EXDEV), since
// nothing here needs them. Safe for concurrent use.
type Mem struct {
	mu       sync.Mutex
	root     *memNode
	locks    map[string]bool
	off      bool
	capacity int64 // 0: no limit
	used     int64
	now      func() time.Time
	boots    int   // power cuts so far
	made     int64 // files and directories so far
}

// memNode is a file or a directory. Exactly one half of the fields is used.
type memNode struct {
	id      int64
	modTime time.Time

	// A file: data is what is seen, durable what was last synced, dirty the sectors that differ in between.
	data    []byte
	durable []byte
	dirty   map[int64]struct{}
	links   int

	// A directory: children is what is seen, durableKids what survives, pending the changes in between in order.
	isDir       bool
	children    map[string]*memNode
	durableKids map[string]*memNode
	pending     []dirChange
}

// dirChange is one atomic change of a directory: a removed name, an added one, or both (a rename).
type dirChange struct {
	remove string
	add    string
	node   *memNode
}

const sectorSize = 512

// NewMem returns an empty file system with a durable root directory.
func NewMem() *Mem {
	m := &Mem{locks: map[string]bool{}, now: time.Now}
	m.root = newMemDir(m.now())
	return m
}

func newMemDir(t time.Time) *memNode {
	return &memNode{modTime: t, isDir: true, children: map[string]*memNode{}, durableKids: map[string]*memNode{}}
}

// SetClock replaces the source of modification times.
func (m *Mem) SetClock(now func() time.Time) {
	m.mu.Lock()
	m.now = now
	m.mu.Unlock()
}

// SetCapacity bounds the bytes in files; a write beyond it writes what fits and gives ENOSPC. 0 means no bound.
func (m *Mem) SetCapacity(n int64) {
	m.mu.Lock()
	m.capacity = n
	m.mu.Unlock()
}

// Used is the number of bytes in files that have a name.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// PowerOff makes every further call fail with ErrPowerLost.
func (m *Mem) PowerOff() {
	m.mu.Lock()
	m.off = true
	m.mu.Unlock()
}

func split(name string) []string {
	name = strings.Trim(path.Clean("/"+name), "/")
	if name == "" {
		return nil
	}
	return strings.Split(name, "/")
}

func pathErr(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// enter takes the lock and checks for power; it is followed by a deferred unlock.
func (m *Mem) enter() error {
	m.mu.Lock()
	if m.off {
		return ErrPowerLost
	}
	return nil
}

func (m *Mem) lookup(name string) (*memNode, error) {
	n := m.root
	for _, part := range split(name) {
		if !n.isDir {
			return nil, syscall.ENOTDIR
		}
		c := n.children[part]
		if c == nil {
			return nil, fs.ErrNotExist
		}
		n = c
	}
	return n, nil
}

// parent returns the directory that holds name, and the last element.
func (m *Mem) parent(name string) (*memNode, string, error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", syscall.EINVAL
	}
	dir, err := m.lookup(strings.Join(parts[:len(parts)-1], "/"))
	if err != nil {
		return nil, "", err
	}
	if !dir.isDir {
		return nil, "", syscall.ENOTDIR
	}
	return dir, parts[len(parts)-1], nil
}

func (m *Mem) apply(dir *memNode, c dirChange) {
	dir.modTime = m.now()
	dir.pending = append(dir.pending, c)
	if c.remove != "" {
		if n := dir.children[c.remove]; n != nil && c.node != n {
			m.unlink(n)
		}
		delete(dir.children, c.remove)
	}
	if c.add != "" {
		if old := dir.children[c.add]; old != nil && old != c.node {
			m.unlink(old)
		}
		dir.children[c.add] = c.node
	}
}

func (m *Mem) unlink(n *memNode) {
	if n.isDir {
		for _, c := range n.children {
			m.unlink(c)
		}
		return
	}
	if n.links--; n.links == 0 {
		m.used -= int64(len(n.data))
	}
}

// Open implements FS.
func (m *Mem) Open(name string, mode Mode) (File, error) {
	err := m.enter()
	defer m.mu.Unlock()
	if err != nil {
		return nil, pathErr("open", name, err)
	}
	dir, base, err := m.parent(name)
	if err != nil {
		return nil, pathErr("open", name, err)
	}
	n := dir.children[base]
	switch {
	case n != nil && n.isDir:
		return nil, pathErr("open", name, syscall.EISDIR)
	case n == nil && (mode == ReadOnly || mode == ReadWrite):
		return nil, pathErr("open", name, fs.ErrNotExist)
	case n == nil:
		m.made++
		n = &memNode{id: m.made, modTime: m.now(), links: 1, dirty: map[int64]struct{}{}}
		m.apply(dir, dirChange{add: base, node: n})
	case mode == Fresh:
		m.resize(n, 0)
	}
	return &memFile{m: m, n: n, name: name, readOnly: mode == ReadOnly}, nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	err := m.enter()
	defer m.mu.Unlock()
	if err != nil {
		return pathErr("remove", name, err)
	}
	dir, base, err := m.parent(name)
	if err != nil {
		return pathErr("remove", name, err)
	}
	n := dir.children[base]
	if n == nil {
		return pathErr("remove", name, fs.ErrNotExist)
	}
	if n.isDir && len(n.children) > 0 {
		return pathErr("remove", name, syscall.ENOTEMPTY)
	}
	m.apply(dir, dirChange{remove: base})
	return nil
}

// RemoveAll implements FS. Its durability is that of the one entry in the parent.
func (m *Mem) RemoveAll(name string) error {
	err := m.enter()
	defer m.mu.Unlock()
	if err != nil {
		return pathErr("removeall", name, err)
	}
	dir, base, err := m.parent(name)
	if err != nil || dir.children[base] == nil {
		return nil
	}
	m.apply(dir, dirChange{remove: base})
	return nil
}

// Rename implements FS.
func (m *Mem) Rename(oldName, newName string) error {
	err := m.enter()
	defer m.mu.Unlock()
	if err != nil {
		return pathErr("rename", oldName, err)
	}
	from, oldBase, err := m.parent(oldName)
	if err != nil {
		return pathErr("rename", oldName, err)
	}
	to, newBase, err := m.parent(newName)
	if err != nil {
		return pathErr("rename", newName, err)
	}
	n := from.children[oldBase]
	if n == nil {
		return pathErr("rename", oldName, fs.ErrNotExist)
	}
	if from != to {
		return pathErr("rename", oldName, syscall.EXDEV)
	}
	if old := to.children[newBase]; old != nil && old != n {
		if old.isDir != n.isDir {
			return pathErr("rename", newName, syscall.EEXIST)
		}
		if old.isDir && len(old.children) > 0 {
			return pathErr("rename", newName, syscall.ENOTEMPTY)
		}
	}
	if oldBase != newBase {
		m.apply(to, dirChange{remove: oldBase, add: newBase, node: n})
	}
	return nil
}

// Link implements FS.
func (m *Mem) Link(oldName, newName string) error {
	err := m.enter()
	defer m.mu.Unlock()
	if err != nil {
		return pathErr("link", newName, err)
	}
	n, err := m.lookup(oldName)
	if err != nil {
		return pathErr("link", oldName, err)
	}
	dir, base, err := m.parent(newName)
	if err != nil {
		return pathErr("link", newName, err)
	}
	if n.isDir || dir.children[base] != nil {
		return pathErr("link", newName, fs.ErrExist)
	}
	n.links++
	m.apply(dir, dirChange{add: base, node: n})
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string) error {
	err := m.enter()
	defer m.mu.Unlock()
	if err != nil {
		return pathErr("mkdir", name, err)
	}
	n := m.root
	for _, part := range split(name) {
		c := n.children[part]
		if c == nil {
			c = newMemDir(m.now())
			m.apply(n, dirChange{add: part, node: c})
		}
		if !c.isDir {
			return pathErr("mkdir", name, syscall.ENOTDIR)
		}
		n = c
	}
	return nil
}

// List implements FS.
func (m *Mem) List(dir string) ([]Info, error) {
	err := m.enter()
	defer m.mu.Unlock()
	if err != nil {
		return nil, pathErr("list", dir, err)
	}
	n, err := m.lookup(dir)
	if err != nil {
		return nil, pathErr("list", dir, err)
	}
	if !n.isDir {
		return nil, pathErr("list", dir, syscall.ENOTDIR)
	}
	out := make([]Info, 0, len(n.children))
	for name, c := range n.children {
		out = append(out, Info{Name: name, IsDir: c.isDir})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (Info, error) {
	err := m.enter()
	defer m.mu.Unlock()
	if err != nil {
		return Info{}, pathErr("stat", name, err)
	}
	n, err := m.lookup(name)
	if err != nil {
		return Info{}, pathErr("stat", name, err)
	}
	return Info{Name: path.Base(name), Size: int64(len(n.data)), IsDir: n.isDir, ModTime: n.modTime}, nil
}

// Memory implements FS: a power cut is the end of one.
func (m *Mem) Memory(name string) (Memory, error) {
	err := m.enter()
	defer m.mu.Unlock()
	if err != nil {
		return Memory{}, pathErr("stat", name, err)
	}
	n, err := m.lookup(name)
	if err != nil {
		return Memory{}, pathErr("stat", name, err)
	}
	return Memory{ID: fmt.Sprintf("boot %d, file %d", m.boots, n.id)}, nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	err := m.enter()
	defer m.mu.Unlock()
	if err != nil {
		return pathErr("sync", dir, err)
	}
	n, err := m.lookup(dir)
	if err != nil {
		return pathErr("sync", dir, err)
	}
	n.settle(len(n.pending))
	return nil
}

// settle makes the first k pending changes durable.
func (n *memNode) settle(k int) {
	for _, c := range n.pending[:k] {
		if c.remove != "" {
			delete(n.durableKids, c.remove)
		}
		if c.add != "" {
			n.durableKids[c.add] = c.node
		}
	}
	n.pending = append([]dirChange(nil), n.pending[k:]...)
}

// Usage implements FS.
func (m *Mem) Usage(dir string) (Usage, error) {
	err := m.enter()
	defer m.mu.Unlock()
	if err != nil {
		return Usage{}, pathErr("statfs", dir, err)
	}
	total := m.capacity
	if total == 0 {
		total = 1 << 40
	}
	return Usage{Total: total, Free: max(total-m.used, 0)}, nil
}

type memLock struct {
	m    *Mem
	name string
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	f, err := m.Open(name, Create)
	if err != nil {
		return nil, err
	}
	f.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	key := path.Clean(name)
	if m.locks[key] {
		return nil, pathErr("lock", name, ErrLocked)
	}
	m.locks[key] = true
	return &memLock{m, key}, nil
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}
