//go:build e2e && linux

package e2e

import (
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// weather is what frames meet on their way from one node to another.
type weather struct {
	// Each frame is late by delay, more or less by up to jitter. Frames keep their order, but for a share that is not held to it.
	delay, jitter time.Duration
	disorder      float64
	// loss is the share of frames that never come.
	loss float64
	// Again and again, after up to spikeEvery, all frames of the way are held up for spike.
	spike, spikeEvery time.Duration
}

// airQueue is how many frames may be on one way; more are lost, as in any router.
const airQueue = 2000

// air is a switch in this process: each node's eth0, and this process's own device, is a TAP device whose other end is here. It
// does in user space what the kernel's netem does, which not every kernel has.
type air struct {
	taps               []io.ReadWriteCloser // by node; 0 is the clients' place
	ways               map[link]*airway
	all                atomic.Pointer[weather] // of all ways that have none of their own
	frames, lost, late atomic.Int64
}

// airway is the way from one node to another. Its loop owns what is under way.
type airway struct {
	own atomic.Pointer[weather]
	in  chan []byte
}

// newAir makes a TAP device with a name for each node and for this process; newLand then puts them where they belong.
func newAir(t *testing.T, names []string) *air {
	t.Helper()
	a := &air{ways: map[link]*airway{}}
	a.all.Store(&weather{})
	for _, name := range names {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV) {
			t.Skipf("open /dev/net/tun: %v (%s=0 says that it is known)", err, netnsVariable)
		}
		if err != nil {
			t.Fatal(err)
		}
		req, err := unix.NewIfreq(name)
		if err != nil {
			t.Fatal(err)
		}
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			t.Fatalf("TUNSETIFF %s: %v", name, err)
		}
		tap := os.NewFile(uintptr(fd), name)
		t.Cleanup(func() { _ = tap.Close() })
		a.taps = append(a.taps, tap)
	}
	return a
}

// start carries frames until the devices are closed.
func (a *air) start() {
	for from := range a.taps {
		for to := range a.taps {
			if from != to {
				w := &airway{in: make(chan []byte, airQueue)}
				a.ways[link{from, to}] = w
				go a.carry(w, a.taps[to])
			}
		}
	}
	for from, tap := range a.taps {
		go a.listen(from, tap)
	}
}

// hardware is a node's address on the switch.
func hardware(node int) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 1, byte(node)} }

func (a *air) listen(from int, tap io.Reader) {
	buf := make([]byte, 65536)
	for {
		n, err := tap.Read(buf)
		if err != nil {
			return
		}
		if n < 14 {
			continue
		}
		all := buf[0]&1 != 0 // for many: who has this address
		for to := range a.taps {
			if to == from || !all && hardware(to).String() != net.HardwareAddr(buf[:6]).String() {
				continue
			}
			select {
			case a.ways[link{from, to}].in <- append([]byte(nil), buf[:n]...):
			default:
				a.lost.Add(1)
			}
		}
	}
}

// carry hands on the frames of a way when they are due.
func (a *air) carry(w *airway, to io.Writer) {
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	var held flight
	var last, nextSpike, spikeEnds time.Time
	timer := time.NewTimer(time.Hour)
	for {
		var due <-chan time.Time
		if len(held) > 0 {
			timer.Reset(time.Until(held[0].due))
			due = timer.C
		}
		select {
		case frame := <-w.in:
			now, is := time.Now(), a.all.Load()
			if own := w.own.Load(); own != nil {
				is = own
			}
			a.frames.Add(1)
			if rng.Float64() < is.loss || len(held) >= airQueue {
				a.lost.Add(1)
				continue
			}
			at := now.Add(is.delay)
			if is.jitter > 0 {
				at = at.Add(time.Duration(rng.Int64N(int64(2*is.jitter))) - is.jitter)
			}
			if is.spike > 0 && now.After(nextSpike) {
				spikeEnds = now.Add(is.spike)
				nextSpike = spikeEnds.Add(time.Duration(rng.Int64N(int64(is.spikeEvery))))
			}
			if at.Before(spikeEnds) {
				at = spikeEnds
			}
			if rng.Float64() >= is.disorder {
				if at.Before(last) {
					at = last
				}
				last = at
			} else {
				a.late.Add(1)
			}
			heap.Push(&held, airborne{at, a.frames.Load(), frame})
		case <-due:
		}
		for now := time.Now(); len(held) > 0 && !held[0].due.After(now); {
			f := heap.Pop(&held).(airborne)
			if _, err := to.Write(f.frame); errors.Is(err, os.ErrClosed) {
				return
			}
		}
	}
}

// airborne is a frame under way; flight has those of a way, the next one first.
type airborne struct {
	due    time.Time
	number int64
	frame  []byte
}

type flight []airborne

func (f flight) Len() int { return len(f) }
func (f flight) Less(i, j int) bool {
	if f[i].due.Equal(f[j].due) {
		return f[i].number < f[j].number
	}
	return f[i].due.Before(f[j].due)
}
func (f flight) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flight) Push(x any)   { *f = append(*f, x.(airborne)) }
func (f *flight) Pop() any {
	old := *f
	last := old[len(old)-1]
	*f = old[:len(old)-1]
	return last
}

// set changes the weather of all ways.
func (a *air) set(w weather) { a.all.Store(&w) }

// around gives the ways from and to a node weather of their own; nil takes it away.
func (a *air) around(node int, w *weather) {
	for l, way := range a.ways {
		if l.from == node || l.to == node {
			way.own.Store(w)
		}
	}
}

func (a *air) String() string {
	return fmt.Sprintf("%d frames, %d lost, %d out of order", a.frames.Load(), a.lost.Load(), a.late.Load())
}

// TestAir: frames take their time, come all the same when some are lost or out of order, and a cut way is cut in the air too.
func TestAir(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	l := newLand(t, 1, true)
	there := listenAt(t, 1)
	go func() {
		for {
			c, err := there.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c) // an echo
				_ = c.Close()
			}()
		}
	}()
	echo := func(size int) (took time.Duration, err error) {
		begin := time.Now()
		c, err := net.DialTimeout("tcp", there.Addr().String(), 5*time.Second)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		took = time.Since(begin)
		sent := make([]byte, size)
		for i := range sent {
			sent[i] = byte(i % 251)
		}
		go func() { _, _ = c.Write(sent) }()
		got := make([]byte, size)
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, got); err != nil {
			return 0, err
		}
		if !bytes.Equal(sent, got) {
			t.Error("what comes back is not what was sent")
		}
		return took, nil
	}
	l.air.set(weather{delay: 30 * time.Millisecond, jitter: 10 * time.Millisecond, loss: 0.02, disorder: 0.02})
	took, err := echo(1 << 20)
	if err != nil || took < 40*time.Millisecond {
		t.Errorf("a connection is made within %v: %v", took, err)
	}
	if l.air.lost.Load() == 0 || l.air.late.Load() == 0 {
		t.Errorf("%v", l.air)
	}
	l.air.set(weather{})
	l.cut(0, 1)
	if c, err := net.DialTimeout("tcp", there.Addr().String(), 300*time.Millisecond); err == nil {
		_ = c.Close()
		t.Error("a way that is cut is not")
	}
	l.mend(0, 1)
	if _, err := echo(100); err != nil {
		t.Error(err)
	}
}

// listenAt opens a port at a node's place.
func listenAt(t *testing.T, node int) net.Listener {
	t.Helper()
	made := make(chan net.Listener, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, which is elsewhere now, ends with the goroutine
		defer close(made)
		place, err := os.Open(fmt.Sprintf("/run/netns/node%d", node))
		if err != nil {
			t.Error(err)
			return
		}
		defer place.Close()
		if err := unix.Setns(int(place.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		l, err := net.Listen("tcp", address(node)+":0")
		if err != nil {
			t.Error(err)
			return
		}
		made <- l
	}()
	l := <-made
	if l == nil {
		t.FailNow()
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
