package brokers

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startAndWait starts a process that dies with this one, so that a test that
// is killed leaves no broker behind. The kernel ties that to the thread that
// starts it, which is therefore kept until the process has ended.
func startAndWait(cmd *exec.Cmd, started chan<- error, exited chan<- struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait()
		close(exited)
	}
}
