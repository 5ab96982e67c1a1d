package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/provider"
	"github.com/weir-stream/weir/internal/restapi"
	"github.com/weir-stream/weir/internal/vfs"
)

// The patience of up and down.
const (
	startPatience = 60 * time.Second
	endPatience   = 30 * time.Second
	pollDaemon    = 100 * time.Millisecond
	// answerPatience is how long a service that listens may take to answer.
	answerPatience = 5 * time.Second
	maxLogBytes    = 16 << 20
)

// local is a service on this machine, by its directory.
type local struct {
	dir string
}

func (l local) path(name string) string { return filepath.Join(l.dir, name) }

// lock keeps two ups and downs apart.
func (l local) lock(ctx context.Context) (io.Closer, error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fail("cannot make %s: %v. Choose another --dir", l.dir, err)
	}
	for {
		c, err := vfs.OS().Lock(l.path(upLock))
		if !errors.Is(err, vfs.ErrLocked) {
			return c, err
		}
		if !pause(ctx, pollDaemon) {
			return nil, ctx.Err()
		}
	}
}

// storeLock is the file that the running service holds.
const storeLock = "weir.lock"

// held says whether a service runs in the directory.
func (l local) held() (bool, error) {
	if !exists(l.path(storeLock)) {
		return false, nil
	}
	c, err := vfs.OS().Lock(l.path(storeLock))
	if errors.Is(err, vfs.ErrLocked) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, c.Close()
}

// client speaks to the service with the account's own token.
func (l local) client() (*client, state, error) {
	var s state
	if err := readJSON(l.path(stateFile), &s); err != nil {
		return nil, s, err
	}
	token, err := os.ReadFile(l.path(tokenFile))
	if err != nil {
		return nil, s, err
	}
	return newClient(s.Address, strings.TrimSpace(string(token))), s, nil
}

// status asks the service how it is, and makes sure that it is the one of this
// directory: another program may have its port by now.
func (l local) status(ctx context.Context) (restapi.Status, *client, error) {
	var out restapi.Status
	c, _, err := l.client()
	if err != nil {
		return out, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	if err := c.get(ctx, "/status", &out); err != nil {
		return out, nil, err
	}
	if out.Dir != l.dir {
		return out, nil, fmt.Errorf("%s is the service of %s", c.server, orDash(out.Dir))
	}
	return out, c, nil
}

// start starts the service in the background and waits until it answers.
func (l local) start(ctx context.Context, args []string) (*client, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l.turnLog()
	out, err := os.OpenFile(l.path(logFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fail("cannot write the log: %v", err)
	}
	defer out.Close()
	cmd := exec.Command(self, append([]string{"service", "run", "--dir", l.dir}, args...)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, l.dir
	provider.Detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // how it ended stands in the log
	deadline := time.Now().Add(startPatience)
	for time.Now().Before(deadline) {
		if c, s, err := l.client(); err == nil && s.PID == cmd.Process.Pid {
			if _, _, err := l.status(ctx); err == nil {
				return c, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, interrupted("the service starts in the background: weir status")
		case <-ended:
			return nil, fail("the service did not start. The end of %s:\n%s", l.path(logFile), l.logTail(15))
		case <-time.After(pollDaemon):
		}
	}
	return nil, fail("the service does not answer after %s. The end of %s:\n%s", spell(startPatience), l.path(logFile), l.logTail(15))
}

// turnLog keeps the log from growing for ever: one old one is kept.
func (l local) turnLog() {
	if info, err := os.Stat(l.path(logFile)); err == nil && info.Size() > maxLogBytes {
		_ = os.Rename(l.path(logFile), l.path(logFile)+".1") // a large log is no reason not to start
	}
}

// logTail is the end of the service's log.
func (l local) logTail(lines int) string {
	text, _ := tail(l.path(logFile), lines) // an unreadable log has no end
	return strings.TrimRight(string(text), "\n")
}

// tail reads the last lines of a file, and where it ends.
func tail(path string, lines int) ([]byte, int64) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0
	}
	const most = 1 << 20
	from := max(0, info.Size()-most)
	text := make([]byte, info.Size()-from)
	n, _ := f.ReadAt(text, from)
	text = text[:n]
	at := len(text)
	for range lines + 1 {
		if at = bytes.LastIndexByte(text[:max(at, 0)], '\n'); at < 0 {
			break
		}
	}
	return text[at+1:], from + int64(n)
}

// end asks the service's process to end, insists after a while, and waits
// until the directory is free. It reports whether there was one.
func (l local) end(ctx context.Context, say func(string)) (bool, error) {
	held, err := l.held()
	if err != nil || !held {
		return false, err
	}
	pid, err := l.holder()
	if err != nil {
		return true, err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return true, fail("process %d, which runs the service, cannot be ended: %v", pid, err)
	}
	insist := time.Now().Add(endPatience)
	for {
		if held, err = l.held(); err != nil || !held {
			return true, err
		}
		if !insist.IsZero() && time.Now().After(insist) {
			say(fmt.Sprintf("the service did not end within %s: it is killed; brokers live on", spell(endPatience)))
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as well
			insist = time.Time{}
		}
		if !pause(ctx, pollDaemon) {
			return true, ctx.Err()
		}
	}
}

// holderFile is where the process that holds the directory names itself.
const holderFile = "weir.pid"

func (l local) holder() (int, error) {
	text, err := os.ReadFile(l.path(holderFile))
	if err != nil {
		return 0, err
	}
	pid := 0
	if n, _ := fmt.Sscanf(string(text), "%d", &pid); n != 1 || pid < 2 {
		return 0, fail("%s does not name a process: end the service that holds %s by hand", l.path(holderFile), l.dir)
	}
	return pid, nil
}
