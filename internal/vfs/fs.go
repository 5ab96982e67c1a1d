package vfs

// File is an open file. All access is by explicit position; there is no cursor.
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
