package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"

	"github.com/weir-stream/weir/internal/vfs"
)

// LogSink puts events among the lines of the process's log.
type LogSink struct{ Logger *slog.Logger }

// Write implements Sink.
func (s LogSink) Write(line []byte) {
	s.Logger.LogAttrs(context.Background(), slog.LevelInfo, string(line))
}

// Flush implements Sink.
func (LogSink) Flush(context.Context) error { return nil }

// Close implements Sink.
func (LogSink) Close() error { return nil }

// File appends lines to a file. When it has MaxBytes it becomes NAME.1, NAME.1 becomes NAME.2, and so on; beyond Keep
// older ones the oldest goes. After a fault the file is opened anew with the next line.
type File struct {
	fs       vfs.FS
	name     string
	maxBytes int64
	keep     int
	file     vfs.File // nil: not open
	at       int64
	buf      []byte
}

// OpenFile opens or makes the file, in a directory that it makes if need be. Its end may be half a line, after a crash;
// that line is ended.
func OpenFile(fsys vfs.FS, name string, maxBytes int64, keep int) (*File, error) {
	f := &File{fs: fsys, name: name, maxBytes: maxBytes, keep: keep}
	if err := fsys.MkdirAll(path.Dir(name)); err != nil {
		return nil, fmt.Errorf("make the directory of the audit log %s: %w", name, err)
	}
	return f, f.open()
}

func (f *File) open() error {
	file, err := f.fs.Open(f.name, vfs.Create)
	if err != nil {
		return fmt.Errorf("open the audit log %s: %w", f.name, err)
	}
	size, err := file.Size()
	last := []byte{'\n'}
	if err == nil && size > 0 {
		_, err = file.ReadAt(last, size-1)
	}
	if err == nil && last[0] != '\n' {
		_, err = file.WriteAt([]byte{'\n'}, size)
		size++
	}
	if err != nil {
		_ = file.Close() // the fault is reported
		return fmt.Errorf("look at the end of the audit log %s: %w", f.name, err)
	}
	f.file, f.at = file, size
	return nil
}

// Write implements Sink.
func (f *File) Write(line []byte) { f.buf = append(append(f.buf, line...), '\n') }

// Flush implements Sink.
func (f *File) Flush(context.Context) error {
	if len(f.buf) == 0 {
		return nil
	}
	buf := f.buf
	f.buf = f.buf[:0]
	if f.file == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if f.at > 0 && f.at+int64(len(buf)) > f.maxBytes {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	n, err := f.file.WriteAt(buf, f.at)
	f.at += int64(n)
	if err != nil {
		f.giveUp()
		return fmt.Errorf("write the audit log %s: %w", f.name, err)
	}
	return nil
}

func (f *File) giveUp() {
	_ = f.file.Close() // it has failed already
	f.file = nil
}

func (f *File) rotate() error {
	f.giveUp()
	older := func(i int) string { return fmt.Sprintf("%s.%d", f.name, i) }
	if f.keep == 0 {
		if err := f.fs.Remove(f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the audit log %s: %w", f.name, err)
		}
		return f.open()
	}
	for i := f.keep - 1; i >= 0; i-- {
		from := f.name
		if i > 0 {
			from = older(i)
		}
		if err := f.fs.Rename(from, older(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotate the audit log %s: %w", f.name, err)
		}
	}
	return f.open()
}

// Close implements Sink: what was written is on disk then.
func (f *File) Close() error {
	err := f.Flush(context.Background())
	if f.file == nil {
		return err
	}
	return errors.Join(err, f.file.Sync(), f.file.Close())
}
