package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/controlplane/provider"
)

// readyFD is the environment variable in which a background server finds the number of the file to write to once
// it serves.
const readyFD = "WEIR_READY_FD"

// daemonPatience is how long the start in the background waits for the server to be ready. A server that takes
// longer, for a recovery, goes on in the background.
const daemonPatience = 15 * time.Second

// startDaemon starts the server as a process of its own and waits until it serves, fails, or takes long.
func startDaemon(ctx context.Context, env Env, file string, overrides []string, notices []config.Notice) error {
	for _, n := range notices {
		if !n.Info {
			fmt.Fprintln(env.Stderr, "WARN "+n.String())
		}
	}
	dir := os.Getenv("LOG_DIR")
	if dir == "" {
		dir = "logs"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the directory for the log: %w", err)
	}
	logPath := filepath.Join(dir, "kafkaServer.out")
	out, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open the log: %w", err)
	}
	defer out.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"kafka-server-start", file}
	for _, o := range overrides {
		args = append(args, "--override", o)
	}
	cmd := exec.Command(self, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{w}
	cmd.Env = append(os.Environ(), readyFD+"=3")
	provider.Detach(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = w.Close()
	return awaitDaemon(ctx, env, cmd, r, logPath)
}

func awaitDaemon(ctx context.Context, env Env, cmd *exec.Cmd, r *os.File, logPath string) error {
	ready := make(chan bool, 1)
	go func() {
		line, _ := bufio.NewReader(r).ReadString('\n')
		ready <- line != ""
	}()
	select {
	case ok := <-ready:
		if ok {
			fmt.Fprintf(env.Stdout, "weir runs in the background as process %d; its log is %s\n", cmd.Process.Pid, logPath)
			return nil
		}
		err := cmd.Wait()
		code := 1
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() > 0 {
			code = exit.ExitCode()
		}
		return &kafkaflag.ExitError{Code: code, Message: "weir did not start; see " + logPath}
	case <-time.After(daemonPatience):
		fmt.Fprintf(env.Stdout, "weir runs in the background as process %d and is not ready yet; its log is %s\n", cmd.Process.Pid, logPath)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reportReady tells the process that started this one in the background, if there is one.
func reportReady() {
	fd, err := strconv.Atoi(os.Getenv(readyFD))
	if err != nil || fd < 3 {
		return
	}
	_ = os.Unsetenv(readyFD)
	f := os.NewFile(uintptr(fd), "ready")
	if f == nil {
		return
	}
	_, _ = fmt.Fprintln(f, "ready")
	_ = f.Close()
}
