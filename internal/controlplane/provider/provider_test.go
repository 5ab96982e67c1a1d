package provider

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sample is a process that runs until it is ended.
func sample(t *testing.T, script string) (*Local, Process) {
	t.Helper()
	dir := t.TempDir()
	l := NewLocal()
	p := Process{Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=/bin:/usr/bin", "MARK=yes"}, Dir: dir,
		LogFile: filepath.Join(dir, "logs", "out"), PIDFile: filepath.Join(dir, "pid.json")}
	t.Cleanup(func() {
		if _, err := l.Stop(context.Background(), p.PIDFile, 0); err != nil {
			t.Error(err)
		}
	})
	return l, p
}

const sleeps = `echo mark=$MARK; exec sleep 600`

func start(t *testing.T, l *Local, p Process) Running {
	t.Helper()
	r, err := l.Start(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// await polls a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatal("waited in vain: " + what)
		case <-tick.C:
		}
	}
}

func TestStartedOnceAndFoundByAnother(t *testing.T) {
	l, p := sample(t, sleeps)
	first := start(t, l, p)
	if again := start(t, l, p); again.PID != first.PID {
		t.Error("started twice")
	}
	// A service that comes later knows the files only.
	found, err := NewLocal().Find(p.PIDFile)
	if err != nil || found.PID != first.PID || found.Stopped {
		t.Errorf("%+v %v", found, err)
	}
	if sid, _, _ := syscall.Syscall(syscall.SYS_GETSID, uintptr(first.PID), 0, 0); int(sid) != first.PID {
		t.Error("no session of its own")
	}
	if age := time.Since(first.StartedAt); age < -time.Second || age > time.Minute {
		t.Errorf("started %v ago", age)
	}
	await(t, "output", func() bool { out, _ := os.ReadFile(p.LogFile); return string(out) == "mark=yes\n" })
	if u, err := l.Usage(p.PIDFile); err != nil || u.RSSBytes <= 0 {
		t.Errorf("%+v %v", u, err)
	}
}

// TestCallersFilesAreNotKept: a pipe that the service was given by its caller
// is closed for its reader while the process that the service started lives.
func TestCallersFilesAreNotKept(t *testing.T) {
	var ends [2]int
	if err := syscall.Pipe(ends[:]); err != nil { // inherited unless somebody sees to it
		t.Fatal(err)
	}
	reader := os.NewFile(uintptr(ends[0]), "reader")
	defer reader.Close()
	l, p := sample(t, sleeps)
	start(t, l, p)
	if err := syscall.Close(ends[1]); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { _, err := reader.Read(make([]byte, 1)); ended <- err }()
	select {
	case err := <-ended:
		if !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the process keeps the caller's pipe open")
	}
}

// TestReusedIDIsNotOurs: the file names a live process, but one that began at
// another moment.
func TestReusedIDIsNotOurs(t *testing.T) {
	l, p := sample(t, sleeps)
	r := start(t, l, p)
	text, err := os.ReadFile(p.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(t.TempDir(), "pid.json")
	var rec record
	if err := json.Unmarshal(text, &rec); err != nil {
		t.Fatal(err)
	}
	rec.Identity += "0"
	forged, err := json.Marshal(rec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stranger, forged, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Find(stranger); !errors.Is(err, ErrNotRunning) {
		t.Errorf("found: %v", err)
	}
	if err := l.Signal(stranger, syscall.SIGKILL); !errors.Is(err, ErrNotRunning) {
		t.Errorf("signalled: %v", err)
	}
	if _, err := l.Stop(context.Background(), stranger, 0); err != nil {
		t.Error(err)
	}
	if found, err := l.Find(p.PIDFile); err != nil || found.PID != r.PID {
		t.Error("the stranger was ended")
	}
}

// TestStarterDied: the process wrote its own id, nobody recorded it.
func TestStarterDied(t *testing.T) {
	l, p := sample(t, sleeps)
	r := start(t, l, p)
	await(t, "claim", func() bool { _, err := os.Stat(claimFile(p.PIDFile)); return err == nil })
	if err := os.Remove(p.PIDFile); err != nil {
		t.Fatal(err)
	}
	later := NewLocal()
	if found, err := later.Find(p.PIDFile); err != nil || found.PID != r.PID {
		t.Fatalf("%+v %v", found, err)
	}
	// An old claim with the id of a younger process is nobody's.
	old := filepath.Join(t.TempDir(), "pid.json")
	if err := os.WriteFile(claimFile(old), []byte(strconv.Itoa(r.PID)), 0o600); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(claimFile(old), past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := later.Find(old); !errors.Is(err, ErrNotRunning) {
		t.Errorf("found: %v", err)
	}
}

func TestStop(t *testing.T) {
	for _, c := range []struct {
		name, script string
		halt, forced bool
	}{
		{"ends when asked", sleeps, false, false},
		{"deaf", `trap '' TERM; echo deaf; while :; do sleep 0.05; done`, false, true},
		{"halted", sleeps, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, p := sample(t, c.script)
			start(t, l, p)
			await(t, "output", func() bool { out, _ := os.ReadFile(p.LogFile); return len(out) > 0 })
			grace := 20 * time.Second
			if c.halt {
				if err := l.Signal(p.PIDFile, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				await(t, "halt", func() bool { r, err := l.Find(p.PIDFile); return err == nil && r.Stopped })
			} else if c.forced {
				grace = 300 * time.Millisecond
			}
			forced, err := l.Stop(context.Background(), p.PIDFile, grace)
			if err != nil || forced != c.forced {
				t.Errorf("forced %v, %v", forced, err)
			}
			if _, err := l.Find(p.PIDFile); !errors.Is(err, ErrNotRunning) {
				t.Errorf("still there: %v", err)
			}
			if forced, err := l.Stop(context.Background(), p.PIDFile, grace); forced || err != nil {
				t.Errorf("second stop: %v %v", forced, err)
			}
		})
	}
}

func TestDeathIsSeen(t *testing.T) {
	l, p := sample(t, sleeps)
	first := start(t, l, p)
	if err := l.Signal(p.PIDFile, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// A zombie is dead, and does not count as alive until it is reaped.
	await(t, "death", func() bool { _, err := l.Find(p.PIDFile); return errors.Is(err, ErrNotRunning) })
	if second := start(t, l, p); second.PID == first.PID {
		t.Error("not started again")
	}
}

func TestBadInput(t *testing.T) {
	l, p := sample(t, sleeps)
	p.Path = filepath.Join(p.Dir, "none")
	if _, err := l.Start(context.Background(), p); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("%v", err)
	}
	broken := filepath.Join(p.Dir, "broken.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Find(broken); err == nil || errors.Is(err, ErrNotRunning) {
		t.Errorf("a damaged file counts as no process: %v", err)
	}
}

func TestPorts(t *testing.T) {
	busy, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := busy.Addr().(*net.TCPAddr).Port
	if err := Free(port); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("%v", err)
	}
	if _, err := NewPorts(port, port).Pick(1); err == nil {
		t.Error("a busy port was handed out")
	}
	ports := NewPorts(21090, 21099, 21091)
	seen := map[int]bool{21091: true}
	for range 4 {
		got, err := ports.Pick(2)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range got {
			if seen[g] {
				t.Errorf("%d twice", g)
			}
			seen[g] = true
		}
	}
	if got, err := ports.Pick(2); err == nil {
		t.Errorf("got %v of one", got)
	}
	ports.Release(21090)
	if got, err := ports.Pick(2); err != nil || len(got) != 2 {
		t.Errorf("%v %v", got, err)
	}
}

func TestDiskUsage(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), make([]byte, 100<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	// As a broker makes an index: large, and nothing but a hole.
	err := os.WriteFile(filepath.Join(dir, "b"), nil, 0o600)
	if err = errors.Join(err, os.Truncate(filepath.Join(dir, "b"), 10<<20)); err != nil {
		t.Fatal(err)
	}
	if n, err := DiskUsage(dir); err != nil || n < 50<<10 || n > 5<<20 {
		t.Errorf("%d %v", n, err)
	}
	if n, err := DiskUsage(filepath.Join(dir, "none")); err != nil || n != 0 {
		t.Errorf("%d %v", n, err)
	}
}
