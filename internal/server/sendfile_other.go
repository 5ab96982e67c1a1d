//go:build !linux

package server

import (
	"os"

	"github.com/weir-stream/weir/internal/vfs"
)

// sendfile is used on Linux only.
type sendfile struct{}

func (s *sender) trySendfile(uintptr) bool { return true }

func (s *sender) sendRange(_ *os.File, r *vfs.Range) error { return s.copyRange(r) }

func (s *sender) writeRaw(p []byte, _ bool) (int, error) { return s.c.nc.Write(p) }
