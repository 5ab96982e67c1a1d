// Package provider runs processes on this machine that live on when the
// service ends, and finds them again. A process is known by a file that holds
// its id together with the moment it started, so that another process that got
// the same id later is never taken for it, and never signalled.
//
// It restarts nothing by itself and knows nothing of Kafka.
package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process says what to start and how to find it again.
type Process struct {
	Path    string
	Args    []string
	Env     []string // KEY=value; nothing is inherited
	Dir     string
	LogFile string // takes standard output and error, appended
	PIDFile string
}

// Running is a process that is alive.
type Running struct {
	PID       int
	StartedAt time.Time
	// Stopped says that the process was halted by a signal and makes no progress.
	Stopped bool
}

// Usage is what a process uses.
type Usage struct {
	CPU      time.Duration // user and system, since its start
	RSSBytes int64
	// OpenFiles is -1 where the system does not say.
	OpenFiles int
}

// ErrNotRunning is wrapped when there is no process to act on.
var ErrNotRunning = errors.New("not running")

// Local runs processes on this machine. It is safe for concurrent use; one
// service at a time may use the same files.
type Local struct {
	mu sync.Mutex
	// children are processes that this service started: they stay behind as
	// zombies until it takes their exit status.
	children map[int]bool
}

// NewLocal makes a provider; processes started by an earlier one are found by
// their files.
func NewLocal() *Local { return &Local{children: map[int]bool{}} }

// record is the content of a process file.
type record struct {
	PID int `json:"pid"`
	// Identity names the start of the process so that no other can have it.
	Identity  string    `json:"identity"`
	StartedAt time.Time `json:"startedAt"`
}

// launcher writes the process's own id before it becomes the program, so that
// a service that dies right after the start can find the process.
const launcher = `umask 077; echo $$ > "$1.new" && mv "$1.new" "$1" && shift && exec "$@"`

// Start starts a process in a session of its own, unless it runs already;
// either way it returns the process that runs.
func (l *Local) Start(ctx context.Context, p Process) (Running, error) {
	if r, err := l.Find(p.PIDFile); err == nil {
		return r, nil
	} else if !errors.Is(err, ErrNotRunning) {
		return Running{}, err
	}
	if err := ctx.Err(); err != nil {
		return Running{}, err
	}
	path, err := exec.LookPath(p.Path)
	if err != nil {
		return Running{}, fmt.Errorf("start: %w", err)
	}
	for _, f := range []string{p.LogFile, p.PIDFile} {
		if err := os.MkdirAll(filepath.Dir(f), 0o700); err != nil {
			return Running{}, fmt.Errorf("start %s: %w", path, err)
		}
	}
	out, err := os.OpenFile(p.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return Running{}, fmt.Errorf("start %s: %w", path, err)
	}
	defer out.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", launcher, "sh", claimFile(p.PIDFile), path}, p.Args...)...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = p.Env, p.Dir, out, out
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	Detach(cmd)
	if err := cmd.Start(); err != nil {
		return Running{}, fmt.Errorf("start %s: %w", path, err)
	}
	l.mu.Lock()
	l.children[cmd.Process.Pid] = true
	l.mu.Unlock()
	pid := cmd.Process.Pid
	return l.keep(p.PIDFile, pid, errors.Join(cmd.Process.Release()))
}

// keep writes the process file of a live process.
func (l *Local) keep(file string, pid int, err error) (Running, error) {
	if err != nil {
		return Running{}, err
	}
	l.reap()
	info, err := inspect(pid)
	if err != nil {
		return Running{}, fmt.Errorf("process %d ended at once; its output says why: %w", pid, err)
	}
	text, err := json.Marshal(record{PID: pid, Identity: info.identity, StartedAt: info.startedAt})
	if err == nil {
		err = writeFile(file, append(text, '\n'))
	}
	if err != nil {
		return Running{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return Running{PID: pid, StartedAt: info.startedAt, Stopped: info.stopped}, nil
}

func claimFile(pidFile string) string { return pidFile + ".claim" }

// Find returns the process that a file names, if it is that process still, and
// ErrNotRunning otherwise.
func (l *Local) Find(pidFile string) (Running, error) {
	l.reap()
	text, err := os.ReadFile(pidFile)
	if errors.Is(err, fs.ErrNotExist) {
		return l.findClaim(pidFile)
	}
	if err != nil {
		return Running{}, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil || r.PID <= 0 {
		return Running{}, fmt.Errorf("%s is damaged: find the process by hand, end it and remove the file", pidFile)
	}
	info, err := inspect(r.PID)
	if err != nil || info.identity != r.Identity {
		// An older file may hide a start whose record was never written.
		return l.findClaim(pidFile)
	}
	return Running{PID: r.PID, StartedAt: info.startedAt, Stopped: info.stopped}, nil
}

// findClaim finds a process whose starter died before it wrote the record: it
// began before it wrote its claim, which a later process with its id did not.
func (l *Local) findClaim(pidFile string) (Running, error) {
	none := fmt.Errorf("%s: %w", pidFile, ErrNotRunning)
	claim := claimFile(pidFile)
	stat, err := os.Stat(claim)
	if err != nil {
		return Running{}, none
	}
	text, err := os.ReadFile(claim)
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || convErr != nil || pid <= 0 {
		return Running{}, none
	}
	info, err := inspect(pid)
	// One second: the resolution of start times on some systems.
	if err != nil || info.startedAt.After(stat.ModTime().Add(time.Second)) || info.startedAt.Before(stat.ModTime().Add(-time.Minute)) {
		return Running{}, none
	}
	return l.keep(pidFile, pid, nil)
}

// Signal sends a signal to the process that a file names.
func (l *Local) Signal(pidFile string, sig syscall.Signal) error {
	r, err := l.Find(pidFile)
	if err != nil {
		return err
	}
	return syscall.Kill(r.PID, sig)
}

// Stop asks a process to end and ends it by force after grace. It returns nil
// when the process is gone, also when there was none; forced says that force
// was used.
func (l *Local) Stop(ctx context.Context, pidFile string, grace time.Duration) (forced bool, err error) {
	r, err := l.Find(pidFile)
	if errors.Is(err, ErrNotRunning) {
		return false, forget(pidFile)
	}
	if err != nil {
		return false, err
	}
	sig := syscall.SIGTERM
	if r.Stopped {
		// A halted process takes no other signal.
		sig = syscall.SIGKILL
	}
	deadline := time.NewTimer(grace)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if sig != 0 {
			if err := l.Signal(pidFile, sig); err != nil && !errors.Is(err, ErrNotRunning) && !errors.Is(err, syscall.ESRCH) {
				return forced, fmt.Errorf("process %d: %w", r.PID, err)
			}
			forced, sig = sig == syscall.SIGKILL, 0
		}
		if _, err := l.Find(pidFile); errors.Is(err, ErrNotRunning) {
			l.reap() // it may have ended just now
			return forced, forget(pidFile)
		}
		select {
		case <-ctx.Done():
			return forced, ctx.Err()
		case <-deadline.C:
			sig = syscall.SIGKILL
		case <-tick.C:
		}
	}
}

// Kill ends a process by force and returns when it is gone; one that does not
// run is no error.
func (l *Local) Kill(ctx context.Context, pidFile string) error {
	if err := l.Signal(pidFile, syscall.SIGKILL); err != nil && !errors.Is(err, ErrNotRunning) && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	_, err := l.Stop(ctx, pidFile, 0)
	return err
}

func forget(pidFile string) error {
	for _, f := range []string{pidFile, claimFile(pidFile)} {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Usage says what the process that a file names uses.
func (l *Local) Usage(pidFile string) (Usage, error) {
	r, err := l.Find(pidFile)
	if err != nil {
		return Usage{}, err
	}
	return usage(r.PID)
}

// reap takes the exit status of children that ended.
func (l *Local) reap() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for pid := range l.children {
		var status syscall.WaitStatus
		if got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil); got == pid || errors.Is(err, syscall.ECHILD) {
			delete(l.children, pid)
		}
	}
}

// DiskUsage is what the files below a folder take on the disk: a broker makes
// its index files large and full of holes, which cost nothing. Files that go
// away meanwhile do not count.
func DiskUsage(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += allocated(info)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	return sum, err
}

// allocated is what a file takes on the disk, in POSIX' blocks of 512 bytes.
func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

func writeFile(path string, data []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
