package vfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The file systems whose page cache is this machine's alone, and that are known by the time they were mounted. Not in the
// list, and so never trusted: what comes over a network or from another process (NFS, CIFS, Ceph, FUSE, 9p, virtiofs), what
// is a view of another one (overlayfs, eCryptfs), and what can be set back to an earlier picture while it is mounted, with
// the same files in it (Btrfs, ZFS).
const (
	ext4Magic  = 0xef53
	xfsMagic   = 0x58465342
	tmpfsMagic = 0x01021994
	procMagic  = 0x9fa0
	sysfsMagic = 0x62656572
)

// linux is where the kernel says what it knows.
type linux struct {
	proc, sys string
	kind      func(path string) (int64, error) // the file system's magic number
	uptime    func() (time.Duration, error)
	now       func() time.Time
}

var running = linux{
	proc: "/proc", sys: "/sys", now: time.Now,
	kind: func(path string) (int64, error) {
		var st syscall.Statfs_t
		err := syscall.Statfs(path, &st)
		return int64(st.Type), err //nolint:unconvert // it is 32 bits wide elsewhere
	},
	uptime: func() (time.Duration, error) { // also while the machine is suspended, whose memory stays
		var info syscall.Sysinfo_t
		err := syscall.Sysinfo(&info)
		return time.Duration(info.Uptime) * time.Second, err
	},
}

func pageCache(name string) (Memory, error) { return running.pageCache(name) }

// pageCache makes the name of the kernel's run of its random boot id, that of the mounted volume of the object that the
// kernel shows for it from mount to unmount, and that of the file of its number and the time of its last change, which no
// copy has.
func (k linux) pageCache(name string) (Memory, error) {
	boot, err := k.bootID()
	if err != nil {
		return Memory{}, err
	}
	fi, err := os.Stat(name)
	if err != nil {
		return Memory{}, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return Memory{}, ErrNoMemory
	}
	volume, err := k.volume(name, uint64(st.Dev)) //nolint:unconvert // it is 32 bits wide elsewhere
	if err != nil {
		return Memory{}, err
	}
	up, err := k.uptime()
	if err != nil {
		return Memory{}, fmt.Errorf("uptime: %w", err)
	}
	return Memory{
		ID:    fmt.Sprintf("boot %s, %s, file %d of %d.%09d", boot, volume, st.Ino, st.Ctim.Sec, st.Ctim.Nsec),
		Began: k.now().Add(-up).Unix(),
	}, nil
}

// bootID is the kernel's, and not one that a container was given in its place.
func (k linux) bootID() (string, error) {
	name := filepath.Join(k.proc, "sys/kernel/random/boot_id")
	if kind, err := k.kind(name); err != nil {
		return "", &os.PathError{Op: "statfs", Path: name, Err: err}
	} else if kind != procMagic {
		return "", fmt.Errorf("%s is not the kernel's own: %w", name, ErrNoMemory)
	}
	p, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(p))
	if len(id) != 36 {
		return "", fmt.Errorf("%s says %q: %w", name, id, ErrNoMemory)
	}
	return id, nil
}

// volume names one mount of a volume, from when the first path to it appears until the last one goes.
func (k linux) volume(name string, dev uint64) (string, error) {
	kind, err := k.kind(name)
	if err != nil {
		return "", &os.PathError{Op: "statfs", Path: name, Err: err}
	}
	major, minor := device(dev)
	folder := ""
	switch kind {
	case tmpfsMagic: // when it is unmounted, its files are no more
		return fmt.Sprintf("tmpfs %d:%d", major, minor), nil
	case ext4Magic:
		folder = "ext4"
	case xfsMagic:
		folder = "xfs"
	default:
		return "", fmt.Errorf("file system %#x of %s: %w", kind, name, ErrNoMemory)
	}
	if kind, err := k.kind(k.sys); err != nil || kind != sysfsMagic {
		return "", fmt.Errorf("%s is not the kernel's own: %w", k.sys, errors.Join(err, ErrNoMemory))
	}
	device, err := filepath.EvalSymlinks(filepath.Join(k.sys, fmt.Sprintf("dev/block/%d:%d", major, minor)))
	if err != nil {
		return "", err
	}
	fi, err := os.Stat(filepath.Join(k.sys, "fs", folder, filepath.Base(device)))
	if err != nil {
		return "", err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return "", ErrNoMemory
	}
	return fmt.Sprintf("%s %d:%d mounted as %d", folder, major, minor, st.Ino), nil
}

// device takes a device's number apart.
func device(dev uint64) (major, minor uint64) {
	return (dev>>8)&0xfff | (dev>>32)&^uint64(0xfff), dev&0xff | (dev>>12)&0xffffff00
}
