//go:build !linux

package brokers

import "os/exec"

// startAndWait starts a process and waits for its end.
func startAndWait(cmd *exec.Cmd, started chan<- error, exited chan<- struct{}) {
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait()
		close(exited)
	}
}
