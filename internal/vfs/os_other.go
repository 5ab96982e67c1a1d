//go:build !linux

package vfs

import "os"

// dataSync is a full flush where fdatasync does not exist or does not reach the medium.
func dataSync(f *os.File) error { return f.Sync() }

// pageCache knows of no system but Linux when its page cache is another.
func pageCache(string) (Memory, error) { return Memory{}, ErrNoMemory }
