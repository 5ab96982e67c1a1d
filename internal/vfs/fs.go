package vfs

import (
	"errors"
	"io"
	"io/fs"
	"syscall"
	"time"
)

// File is an open file. All access is by explicit position; there is no cursor. Safe for concurrent use, except
// that a write and a truncation that overlap have no defined order.
type File interface {
	Name() string
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	// Sync makes all that was written durable (fdatasync). After an error the file must be given up: the
	// kernel may have dropped the pages, so a second Sync that succeeds proves nothing.
	Sync() error
	Size() (int64, error)
	Close() error
}

// Mode says how Open opens a file.
type Mode int

// The ways to open a file.
const (
	ReadOnly  Mode = iota // must exist
	ReadWrite             // must exist
	Create                // read and write, made if missing, content kept
	Fresh                 // read and write, made if missing, content dropped
)

// Info describes a directory entry.
type Info struct {
	Name    string // last element of the path
	Size    int64
	IsDir   bool
	ModTime time.Time
}

// Usage is the space of the volume that holds a directory, in bytes.
type Usage struct {
	Total, Free int64
}

// FS is a file system. Names are slash-separated paths as the operating system understands them. Making, renaming
// and removing entries is durable only after SyncDir of the parent directory. Errors satisfy errors.Is with
// fs.ErrNotExist and the syscall errors. Safe for concurrent use.
type FS interface {
	Open(name string, mode Mode) (File, error)
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// RemoveAll removes a tree; a missing one is no error.
	RemoveAll(name string) error
	// Rename replaces newName atomically if it is a file.
	Rename(oldName, newName string) error
	// Link makes newName a second name of the file oldName.
	Link(oldName, newName string) error
	// MkdirAll makes a directory and its missing parents.
	MkdirAll(name string) error
	// List returns the entries of a directory, sorted by name. Only Name and IsDir are filled.
	List(dir string) ([]Info, error)
	Stat(name string) (Info, error)
	// SyncDir makes the entries of a directory durable.
	SyncDir(dir string) error
	// Lock makes the file if missing and takes an exclusive lock on it against other processes; Close of the
	// result lets it go. A lock that is held gives ErrLocked.
	Lock(name string) (io.Closer, error)
	Usage(dir string) (Usage, error)
	// Memory says where that is which was written to a file's file system and is not synced. ErrNoMemory, or the fault of a
	// call: it cannot be told whether it is still there when somebody asks again.
	Memory(name string) (Memory, error)
}

// Memory is one life of a page cache: what was written and not synced is there for as long as it is the same. A machine
// that lost its power, a volume that was mounted anew, and a file that was replaced or copied have another.
type Memory struct {
	// ID names the system's start, the mounted volume and the file.
	ID string `json:"id"`
	// Began is when the system started, by its clock, in seconds; a machine that was copied with its memory, or set back to
	// an earlier picture of it, has the old ID and another time.
	Began int64 `json:"began"`
}

// beganMost is by how much the system's clock may have been corrected, in seconds.
const beganMost = 10

// Same reports whether nothing that was written between two looks is gone.
func (m Memory) Same(o Memory) bool {
	d := m.Began - o.Began
	return m.ID != "" && m.ID == o.ID && -beganMost <= d && d <= beganMost
}

// ErrNoMemory says that nobody can tell how long a file system keeps what was not synced.
var ErrNoMemory = errors.New("it is not known how long the file system keeps what is not synced")

// ErrLocked says that another process (or another holder in this one) has the lock.
var ErrLocked = errors.New("locked by another process")

// IsNoSpace reports whether the error says that the volume, or the quota on it, is full.
func IsNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// IsTransient reports whether the error speaks of a shortage in the process or the system, not of the disk:
// too many open files, no memory, interrupted, or a full volume.
func IsTransient(err error) bool {
	return IsNoSpace(err) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.EINTR) || errors.Is(err, syscall.EAGAIN)
}

// IsNotExist reports whether the error says that a name is not there.
func IsNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
