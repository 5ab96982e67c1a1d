package vfs

import (
	"fmt"
	"io"
	"path/filepath"
)

// ReadFile reads a whole file of at most limit bytes.
func ReadFile(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name, ReadOnly)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%s: %d bytes are more than the %d allowed", name, size, limit)
	}
	p := make([]byte, size)
	n, err := f.ReadAt(p, 0)
	if err == io.EOF {
		err = nil
	}
	return p[:n], err
}

// MakeDir makes a directory and its missing parents, durably: a power cut does not take away what was made.
func MakeDir(fsys FS, name string) error {
	var made []string // the directories that get a new entry, from the innermost
	for dir := filepath.Clean(name); ; dir = filepath.Dir(dir) {
		if _, err := fsys.Stat(dir); !IsNotExist(err) {
			break
		}
		made = append(made, filepath.Dir(dir))
	}
	if err := fsys.MkdirAll(name); err != nil {
		return err
	}
	for _, dir := range made {
		if err := fsys.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// WriteFileAtomic replaces a file by way of name.tmp and a rename, so that a reader, or a start after a crash of the
// process, sees the old or the new content. With durable set it also survives a power cut when it returns:
// the file is synced before the rename and the directory after it.
func WriteFileAtomic(fsys FS, name string, data []byte, durable bool) error {
	err := replaceFile(fsys, name, data, durable)
	if err == nil && durable {
		err = fsys.SyncDir(filepath.Dir(name))
	}
	return err
}

// WriteFileSynced is WriteFileAtomic up to the sync of the directory, which the caller does for several files at once:
// until then a power cut leaves the old or the new content.
func WriteFileSynced(fsys FS, name string, data []byte) error {
	return replaceFile(fsys, name, data, true)
}

func replaceFile(fsys FS, name string, data []byte, sync bool) error {
	tmp := name + ".tmp"
	f, err := fsys.Open(tmp, Fresh)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(tmp, name)
	}
	return err
}
