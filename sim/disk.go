package sim

import (
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/weir-stream/weir/internal/vfs"
)

// disk is what a machine keeps: its files outlive processes, and what was synced outlives the machine's power.
type disk struct {
	mu     sync.Mutex
	rng    *rand.Rand
	mem    *vfs.Mem
	now    func() time.Time
	mount  *mount
	slow   time.Duration // a call takes up to this
	bad    string        // calls below this directory fail
	full   bool          // writes of records fail for want of room
	filled bool          // that was so while this process ran
	frozen chan struct{} // calls wait until it is closed
}

func newDisk(rng *rand.Rand, now func() time.Time) *disk {
	d := &disk{rng: rng, now: now}
	d.wipe()
	return d
}

// mount is one process's use of the disk.
type mount struct {
	vfs.FS
	d    *disk
	over bool
}

// begin gives a process the disk.
func (d *disk) begin() *mount {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &mount{d: d}
	m.FS = vfs.Inject(d.mem, m.hook)
	d.mount = m
	return m
}

// end takes the disk away from the process.
func (d *disk) end() {
	d.mu.Lock()
	if d.mount != nil {
		d.mount.over = true
	}
	d.bad, d.slow, d.full, d.filled = "", 0, false, false
	d.thaw()
	d.mu.Unlock()
}

// cut is the end of the machine's power: of what was not synced, some is left.
func (d *disk) cut() {
	d.end()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mem.PowerOff()
	d.mem = d.mem.Crash(d.rng)
}

// wipe empties the disk.
func (d *disk) wipe() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mem = vfs.NewMem()
	d.mem.SetClock(d.now)
}

func (d *disk) set(f func()) {
	d.mu.Lock()
	f()
	d.mu.Unlock()
}

func (d *disk) thaw() {
	if d.frozen != nil {
		close(d.frozen)
		d.frozen = nil
	}
}

// Lock implements vfs.FS: the system takes the locks of an ended process back.
func (m *mount) Lock(name string) (io.Closer, error) {
	f, err := m.Open(name, vfs.Create)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (m *mount) hook(op vfs.Op) error {
	d := m.d
	d.mu.Lock()
	frozen := d.frozen
	var wait time.Duration
	if d.slow > 0 && (op.Kind == vfs.OpSync || op.Kind == vfs.OpWrite && d.rng.IntN(10) == 0) {
		wait = time.Duration(d.rng.Int64N(int64(d.slow)))
	}
	d.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	if wait > 0 {
		t := time.NewTimer(wait)
		<-t.C
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case m.over:
		return vfs.ErrPowerLost
	case d.bad != "" && strings.HasPrefix(op.Name, d.bad+"/") && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpSync || op.Kind == vfs.OpRead && d.rng.IntN(4) == 0):
		return syscall.EIO
	case d.full && op.Kind == vfs.OpWrite && strings.HasSuffix(op.Name, ".log") && !strings.Contains(op.Name, "__cluster_metadata"):
		return syscall.ENOSPC
	}
	return nil
}
