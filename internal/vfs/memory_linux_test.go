package vfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMemoryIsTheSameUntilSomethingIsNot asks a kernel made of files: each sign of another page cache is told apart.
func TestMemoryIsTheSameUntilSomethingIsNot(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "data")
	check(t, os.WriteFile(file, nil, 0o600))
	bootID := filepath.Join(dir, "proc/sys/kernel/random/boot_id")
	check(t, os.MkdirAll(filepath.Dir(bootID), 0o700))
	check(t, os.WriteFile(bootID, []byte("8d1b0a2c-4a0e-4d27-9d0a-1f2e3d4c5b6a\n"), 0o600))
	volume := int64(ext4Magic)
	up, now := time.Hour, time.Unix(1_000_000, 0)
	k := linux{proc: filepath.Join(dir, "proc"), sys: filepath.Join(dir, "sys"),
		uptime: func() (time.Duration, error) { return up, nil }, now: func() time.Time { return now },
		kind: func(path string) (int64, error) {
			switch {
			case strings.Contains(path, "/proc/"):
				return procMagic, nil
			case strings.HasSuffix(path, "/sys"):
				return sysfsMagic, nil
			}
			return volume, nil
		}}
	mount := func() {
		t.Helper()
		device := filepath.Join(dir, "sys/devices/disk")
		check(t, os.MkdirAll(device, 0o700))
		check(t, os.MkdirAll(filepath.Join(dir, "sys/dev/block"), 0o700))
		for _, fs := range []string{"ext4", "xfs"} {
			check(t, os.MkdirAll(filepath.Join(dir, "sys/fs", fs, "disk"), 0o700))
		}
		link := filepath.Join(dir, "sys/dev/block", deviceOf(t, file))
		if err := os.Symlink(device, link); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	mount()
	get := func() Memory {
		t.Helper()
		m, err := k.pageCache(file)
		check(t, err)
		return m
	}
	first := get()
	up, now = up+time.Minute, now.Add(time.Minute+3*time.Second) // the clock was corrected a little
	if !get().Same(first) {
		t.Fatalf("%+v and %+v", first, get())
	}
	if (Memory{}).Same(Memory{}) {
		t.Error("nothing is the same as nothing")
	}
	for what, change := range map[string]func(){
		"another boot":     func() { check(t, os.WriteFile(bootID, []byte("9d1b0a2c-4a0e-4d27-9d0a-1f2e3d4c5b6a\n"), 0o600)) },
		"a copied machine": func() { now = now.Add(time.Minute) },
		"mounted anew": func() {
			for _, fs := range []string{"ext4", "xfs"} {
				old := filepath.Join(dir, "sys/fs", fs, "disk")
				check(t, os.Rename(old, old+"-was")) // so that its number is not used again
			}
			mount()
		},
		"another file system": func() { volume = xfsMagic },
		"another file": func() {
			check(t, os.WriteFile(file+"2", nil, 0o600))
			check(t, os.Rename(file+"2", file))
		},
	} {
		before := get()
		change()
		if get().Same(before) {
			t.Errorf("%s is not noticed: %+v", what, before)
		}
	}
	volume = tmpfsMagic // the kernel shows nothing of it, and nothing of it outlives it
	k.sys = filepath.Join(dir, "nothing")
	if m := get(); m.ID == "" {
		t.Error("tmpfs is not known")
	}
	for what, magic := range map[string]int64{"NFS": 0x6969, "FUSE": 0x65735546, "overlayfs": 0x794c7630, "Btrfs": 0x9123683e, "9p": 0x01021997} {
		volume = magic
		if m, err := k.pageCache(file); !errors.Is(err, ErrNoMemory) {
			t.Errorf("%s is trusted: %+v, %v", what, m, err)
		}
	}
	volume = ext4Magic
	if _, err := k.pageCache(file); err == nil {
		t.Error("a volume that the kernel does not show is trusted")
	}
	k.kind = func(string) (int64, error) { return ext4Magic, nil } // a container with a boot id of its own
	if _, err := k.pageCache(file); !errors.Is(err, ErrNoMemory) {
		t.Error("a file in the place of the kernel's boot id is trusted:", err)
	}
}

// deviceOf is the number of a file's device as sysfs names it.
func deviceOf(t *testing.T, file string) string {
	t.Helper()
	fi, err := os.Stat(file)
	check(t, err)
	major, minor := device(uint64(fi.Sys().(*syscall.Stat_t).Dev)) //nolint:unconvert // it is 32 bits wide elsewhere
	return fmt.Sprintf("%d:%d", major, minor)
}

// TestMemoryOfThisMachine: where the file system is one of those that are known, two looks at a file see the same.
func TestMemoryOfThisMachine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	check(t, os.WriteFile(file, nil, 0o600))
	first, err := OS().Memory(file)
	if err != nil {
		t.Log(err) // a container's, say
		return
	}
	second, err := OS().Memory(file)
	check(t, err)
	if !second.Same(first) {
		t.Errorf("%+v and %+v", first, second)
	}
}
