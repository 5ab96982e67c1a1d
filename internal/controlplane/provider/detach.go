package provider

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// Detach makes a command that is not started yet live on by itself: in a
// session of its own, and without the files that this process was given by the
// one that started it. A daemon that keeps a caller's pipe or lock open makes
// that caller, and all who want the lock, wait for it for ever.
func Detach(cmd *exec.Cmd) {
	closeInherited()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}

// closeInherited marks every file but the standard ones to be closed in
// processes that are started later. What Go opens is marked already.
func closeInherited() {
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		return // a system without the folder keeps what it was given
	}
	for _, f := range open {
		if fd, err := strconv.Atoi(f.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}
