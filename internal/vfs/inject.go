package vfs

import (
	"io"
	"sort"
)

// OpKind names a kind of call for an injector.
type OpKind string

// The kinds of calls that a Hook sees.
const (
	OpOpen     OpKind = "open"
	OpRead     OpKind = "read"
	OpWrite    OpKind = "write"
	OpTruncate OpKind = "truncate"
	OpSync     OpKind = "sync"
	OpRemove   OpKind = "remove"
	OpRename   OpKind = "rename"
	OpMkdir    OpKind = "mkdir"
	OpList     OpKind = "list"
	OpStat     OpKind = "stat"
	OpSyncDir  OpKind = "syncdir"
	OpLock     OpKind = "lock"
)

// Op is a call about to be made. Off and Len are set for reads and writes, Off is the new size of a truncation.
type Op struct {
	Kind OpKind
	Name string
	Off  int64
	Len  int
}

// Hook sees each call before it is made. An error fails the call without making it; a *Short lets a write
// do a part first. It may wait (a slow disk). It is called from many goroutines.
type Hook func(Op) error

// Short is a fault of a write that wrote the first N bytes.
type Short struct {
	N   int
	Err error
}

// Error implements error.
func (s *Short) Error() string { return s.Err.Error() }

// Unwrap gives the fault itself.
func (s *Short) Unwrap() error { return s.Err }

// Inject returns a file system that asks hook before each call to fsys.
func Inject(fsys FS, hook Hook) FS { return &injected{fsys, hook} }

type injected struct {
	fs   FS
	hook Hook
}

type injectedFile struct {
	File
	hook Hook
}

func (i *injected) ask(k OpKind, name string) error {
	if err := i.hook(Op{Kind: k, Name: name}); err != nil {
		return pathErr(string(k), name, err)
	}
	return nil
}

func (i *injected) Open(name string, mode Mode) (File, error) {
	if err := i.ask(OpOpen, name); err != nil {
		return nil, err
	}
	f, err := i.fs.Open(name, mode)
	if err != nil {
		return nil, err
	}
	return &injectedFile{f, i.hook}, nil
}

func (i *injected) Remove(name string) error {
	if err := i.ask(OpRemove, name); err != nil {
		return err
	}
	return i.fs.Remove(name)
}

func (i *injected) RemoveAll(name string) error {
	if err := i.ask(OpRemove, name); err != nil {
		return err
	}
	return i.fs.RemoveAll(name)
}

func (i *injected) Rename(oldName, newName string) error {
	if err := i.ask(OpRename, oldName); err != nil {
		return err
	}
	return i.fs.Rename(oldName, newName)
}

func (i *injected) Link(oldName, newName string) error {
	if err := i.ask(OpRename, oldName); err != nil {
		return err
	}
	return i.fs.Link(oldName, newName)
}

func (i *injected) MkdirAll(name string) error {
	if err := i.ask(OpMkdir, name); err != nil {
		return err
	}
	return i.fs.MkdirAll(name)
}

func (i *injected) List(dir string) ([]Info, error) {
	if err := i.ask(OpList, dir); err != nil {
		return nil, err
	}
	return i.fs.List(dir)
}

func (i *injected) Stat(name string) (Info, error) {
	if err := i.ask(OpStat, name); err != nil {
		return Info{}, err
	}
	return i.fs.Stat(name)
}

func (i *injected) SyncDir(dir string) error {
	if err := i.ask(OpSyncDir, dir); err != nil {
		return err
	}
	return i.fs.SyncDir(dir)
}

func (i *injected) Lock(name string) (io.Closer, error) {
	if err := i.ask(OpLock, name); err != nil {
		return nil, err
	}
	return i.fs.Lock(name)
}

func (i *injected) Memory(name string) (Memory, error) {
	if err := i.ask(OpStat, name); err != nil {
		return Memory{}, err
	}
	return i.fs.Memory(name)
}

func (i *injected) Usage(dir string) (Usage, error) { return i.fs.Usage(dir) }

func (f *injectedFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.hook(Op{Kind: OpRead, Name: f.Name(), Off: off, Len: len(p)}); err != nil {
		return 0, pathErr("read", f.Name(), err)
	}
	return f.File.ReadAt(p, off)
}

func (f *injectedFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.hook(Op{Kind: OpWrite, Name: f.Name(), Off: off, Len: len(p)})
	if err == nil {
		return f.File.WriteAt(p, off)
	}
	n := 0
	if s, ok := err.(*Short); ok && s.N > 0 {
		n, _ = f.File.WriteAt(p[:min(s.N, len(p))], off)
		err = s.Err
	}
	return n, pathErr("write", f.Name(), err)
}

func (f *injectedFile) Truncate(size int64) error {
	if err := f.hook(Op{Kind: OpTruncate, Name: f.Name(), Off: size}); err != nil {
		return pathErr("truncate", f.Name(), err)
	}
	return f.File.Truncate(size)
}

func (f *injectedFile) Sync() error {
	if err := f.hook(Op{Kind: OpSync, Name: f.Name()}); err != nil {
		return pathErr("sync", f.Name(), err)
	}
	return f.File.Sync()
}

func sortedNames[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
