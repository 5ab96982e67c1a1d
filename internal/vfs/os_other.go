//go:build !linux

package vfs

import "os"

// dataSync is a full flush where fdatasync does not exist or does not reach the medium.
func dataSync(f *os.File) error { return f.Sync() }
