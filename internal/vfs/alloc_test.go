//go:build !race

package vfs

import (
	"path/filepath"
	"testing"
)

func TestOSReadAtAllocatesNothing(t *testing.T) {
	f, err := OS().Open(filepath.Join(t.TempDir(), "f"), Create)
	check(t, err)
	defer f.Close()
	_, err = f.WriteAt(make([]byte, 100), 0)
	check(t, err)
	p := make([]byte, 10)
	if n := testing.AllocsPerRun(100, func() { _, _ = f.ReadAt(p, 5) }); n >= 1 {
		t.Errorf("a read allocates %v times", n)
	}
}
