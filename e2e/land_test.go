//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// netnsVariable turns the scenes in network namespaces off with "0"; "inside" says that this process is in one already.
const netnsVariable = "WEIR_E2E_NETNS"

// inOwnNetwork runs the rest of a test in a process with a network and mounts of its own, and reports whether this is that
// process. All that such a test makes ends with its processes, however they end: nothing has to be cleaned up.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	switch os.Getenv(netnsVariable) {
	case "inside":
		return true
	case "0":
		t.Skipf("%s=0", netnsVariable)
	}
	for _, program := range []string{"ip", "tc", "nsenter", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%v (scripts/need.sh installs it as root; %s=0 says that it is known)", err, netnsVariable)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=25m")
	cmd.Env = append(os.Environ(), netnsVariable+"=inside")
	cmd.SysProcAttr = ownNetwork()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("a network namespace cannot be made here: %v (%s=0 says that it is known)", err, netnsVariable)
	}
	text, rerr := os.ReadFile(out.Name())
	if rerr != nil {
		t.Fatal(rerr)
	}
	t.Logf("%s", text)
	if err != nil {
		t.Errorf("the process in its own network: %v", err)
	}
	return false
}

// ownNetwork has a process begin with new namespaces of network and mounts; who is not root becomes root of a user namespace.
func ownNetwork() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		a.Unshareflags = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS
		return a
	}
	a.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS
	a.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	return a
}

// land is a network: a bridge, or a switch in this process, with a namespace for each node at it, and this process, where the
// clients are, as node 0.
type land struct {
	t     *testing.T
	nodes int
	slow  string // how links are made slow here: "air", "delay" or "rate"
	air   *air   // the switch in this process, or nil
}

// newLand makes the network. A node has the address that address gives and is run within the command that within gives.
func newLand(t *testing.T, nodes int, inAir bool) *land {
	l := &land{t: t, nodes: nodes}
	l.run("ip", "link", "set", "lo", "up")
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		t.Skipf("%v (%s=0 says that it is known)", err, netnsVariable)
	}
	l.run("mount", "-t", "tmpfs", "names", "/run/netns") // seen here only
	// So are the servers that say that they run: kafka-server-stop outside must not find these.
	if err := l.disk(filepath.Join("/tmp", fmt.Sprint("weir-", os.Getuid())), 1); err != nil {
		t.Fatal(err)
	}
	if inAir {
		names := []string{"bridge"}
		for n := 1; n <= nodes; n++ {
			names = append(names, fmt.Sprint("port", n))
		}
		l.air = newAir(t, names)
		l.run("ip", "link", "set", "bridge", "address", hardware(0).String())
	} else {
		l.run("ip", "link", "add", "bridge", "type", "bridge")
	}
	l.run("ip", "addr", "add", address(0)+"/24", "dev", "bridge")
	l.run("ip", "link", "set", "bridge", "up")
	for n := 1; n <= nodes; n++ {
		name, port := fmt.Sprint("node", n), fmt.Sprint("port", n)
		l.run("ip", "netns", "add", name)
		if inAir {
			l.run("ip", "link", "set", port, "netns", name, "name", "eth0", "address", hardware(n).String())
		} else {
			l.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
			l.run("ip", "link", "set", port, "master", "bridge", "up")
		}
		l.in(n, "ip", "addr", "add", address(n)+"/24", "dev", "eth0")
		l.in(n, "ip", "link", "set", "eth0", "up")
		l.in(n, "ip", "link", "set", "lo", "up")
	}
	if inAir {
		l.slow = "air"
		l.air.start()
		return l
	}
	l.slow = "rate"
	if exec.Command("tc", "qdisc", "add", "dev", "port1", "root", "netem", "delay", "1ms").Run() == nil {
		l.slow = "delay"
		l.run("tc", "qdisc", "del", "dev", "port1", "root")
	}
	return l
}

func address(node int) string { return fmt.Sprintf("10.9.9.%d", node+100) }

// within is the command that runs another one at a node's place.
func within(node int) []string {
	return []string{"nsenter", fmt.Sprintf("--net=/run/netns/node%d", node), "--"}
}

func (l *land) run(args ...string) {
	l.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		l.t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func (l *land) in(node int, args ...string) {
	l.t.Helper()
	if node > 0 {
		args = append(within(node), args...)
	}
	l.run(args...)
}

// cut has what one node sends to another be lost without a word: it goes to a hardware address that nobody has.
func (l *land) cut(from, to int) {
	l.t.Helper()
	l.in(from, "ip", "neigh", "replace", address(to), "lladdr", "02:00:00:00:00:fe", "dev", device(from), "nud", "permanent")
}

// mend ends cut.
func (l *land) mend(from, to int) {
	l.t.Helper()
	l.in(from, "ip", "neigh", "del", address(to), "dev", device(from))
}

func device(node int) string {
	if node == 0 {
		return "bridge"
	}
	return "eth0"
}

// link is a way from one node to another.
type link struct{ from, to int }

// isolating are the ways between a node and the others, from it, to it or both; clients are among the others or not.
func (l *land) isolating(node int, out, in, clients bool) (ways []link) {
	for other := 0; other <= l.nodes; other++ {
		if other == node || other == 0 && !clients {
			continue
		}
		if out {
			ways = append(ways, link{node, other})
		}
		if in {
			ways = append(ways, link{other, node})
		}
	}
	return ways
}

// slowAir is what degrade does to the ways of a node where it can.
var slowAir = weather{delay: 100 * time.Millisecond, jitter: 50 * time.Millisecond, loss: 0.02, disorder: 0.02}

// degrade makes a node's link slow: late by a tenth of a second, more or less, or where the kernel lacks that, narrow.
func (l *land) degrade(node int) {
	if l.air != nil {
		l.air.around(node, &slowAir)
		return
	}
	for _, side := range []link{{0, node}, {node, node}} {
		dev := "eth0"
		if side.from == 0 {
			dev = fmt.Sprint("port", node)
		}
		if l.slow == "delay" {
			l.in(side.from, "tc", "qdisc", "add", "dev", dev, "root", "netem", "delay", "100ms", "50ms")
		} else {
			l.in(side.from, "tc", "qdisc", "add", "dev", dev, "root", "tbf", "rate", "400kbit", "burst", "4kb", "latency", "400ms")
		}
	}
}

// restore ends degrade.
func (l *land) restore(node int) {
	if l.air != nil {
		l.air.around(node, nil)
		return
	}
	l.run("tc", "qdisc", "del", "dev", fmt.Sprint("port", node), "root")
	l.in(node, "tc", "qdisc", "del", "dev", "eth0", "root")
}

// disk mounts a file system of its own on a folder, which it makes.
func (l *land) disk(dir string, mib int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("disk", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=755", mib)); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	l.t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // so that the test's folder can be removed
	return nil
}

// fill writes to a file system until nothing more fits; the returned function frees it again.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size >= 1; size /= 16 {
		block := make([]byte, size)
		for err = nil; err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}
