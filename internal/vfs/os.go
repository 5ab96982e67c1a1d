package vfs

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/weir-stream/weir/internal/nowait"
)

// OS returns the operating system's file system.
func OS() FS { return osFS{} }

type osFS struct{}

type osFile struct {
	f   *os.File
	raw syscall.RawConn // nil where what is cached is not known
}

// OSFile gives access to the descriptor, for sendfile.
func (f *osFile) OSFile() *os.File { return f.f }

func (f *osFile) Name() string                             { return f.f.Name() }
func (f *osFile) WriteAt(p []byte, off int64) (int, error) { return f.f.WriteAt(p, off) }
func (f *osFile) Truncate(size int64) error                { return f.f.Truncate(size) }
func (f *osFile) Sync() error                              { return dataSync(f.f) }
func (f *osFile) Close() error                             { return f.f.Close() }

func (f *osFile) Size() (int64, error) {
	st, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (osFS) Open(name string, mode Mode) (File, error) {
	flag := os.O_RDONLY
	switch mode {
	case ReadWrite:
		flag = os.O_RDWR
	case Create:
		flag = os.O_RDWR | os.O_CREATE
	case Fresh:
		flag = os.O_RDWR | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(name, flag, 0o644)
	if err != nil {
		return nil, err
	}
	raw, _ := f.SyscallConn()
	return &osFile{f, raw}, nil
}

// cachedMost is the longest read that is tried without waiting: while it copies, nothing else runs on its processor.
const cachedMost = 256 << 10

// ReadAt waits for the disk only for what the page cache has not.
func (f *osFile) ReadAt(p []byte, off int64) (int, error) {
	if f.raw != nil && len(p) > 0 && len(p) <= cachedMost {
		c := cachedReads.Get().(*cachedRead)
		c.p, c.off, c.ok = p, off, false
		err := f.raw.Control(c.try)
		ok := c.ok
		c.p = nil
		cachedReads.Put(c)
		if err == nil && ok {
			return len(p), nil
		}
	}
	return f.f.ReadAt(p, off)
}

// cachedRead is the argument and result of a read that does not wait. try is bound once, so that a read allocates nothing.
type cachedRead struct {
	p   []byte
	off int64
	ok  bool
	try func(fd uintptr)
}

var cachedReads = sync.Pool{New: func() any {
	c := &cachedRead{}
	c.try = func(fd uintptr) {
		n, err := nowait.ReadAt(int(fd), c.p, c.off)
		c.ok = err == nil && n == len(c.p)
	}
	return c
}}

func (osFS) Remove(name string) error             { return os.Remove(name) }
func (osFS) RemoveAll(name string) error          { return os.RemoveAll(name) }
func (osFS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }
func (osFS) Link(oldName, newName string) error   { return os.Link(oldName, newName) }
func (osFS) MkdirAll(name string) error           { return os.MkdirAll(name, 0o755) }

func (osFS) List(dir string) ([]Info, error) {
	ents, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := make([]Info, 0, len(ents))
	for _, e := range ents {
		isDir := e.IsDir()
		if e.Type()&os.ModeSymlink != 0 {
			st, err := os.Stat(filepath.Join(dir, e.Name()))
			isDir = err == nil && st.IsDir()
		}
		out = append(out, Info{Name: e.Name(), IsDir: isDir})
	}
	return out, nil
}

func (osFS) Stat(name string) (Info, error) {
	st, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return Info{Name: st.Name(), Size: st.Size(), IsDir: st.IsDir(), ModTime: st.ModTime()}, nil
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

func (osFS) Usage(dir string) (Usage, error)    { return volumeUsage(dir) }
func (osFS) Memory(name string) (Memory, error) { return pageCache(name) }

// heldLocks keeps one process from taking the same lock twice: the system's record locks would allow it.
var heldLocks = struct {
	sync.Mutex
	names map[string]bool
}{names: map[string]bool{}}

type osLock struct {
	f    *os.File
	name string
}

func (osFS) Lock(name string) (io.Closer, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	heldLocks.Lock()
	defer heldLocks.Unlock()
	if heldLocks.names[abs] {
		return nil, &os.PathError{Op: "lock", Path: name, Err: ErrLocked}
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock", Path: name, Err: err}
	}
	heldLocks.names[abs] = true
	return &osLock{f: f, name: abs}, nil
}

func (l *osLock) Close() error {
	heldLocks.Lock()
	defer heldLocks.Unlock()
	delete(heldLocks.names, l.name)
	return l.f.Close()
}
