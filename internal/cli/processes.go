package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/weir-stream/weir/internal/config"
)

// process is what a running server writes down about itself, so that kafka-server-stop finds it.
type process struct {
	PID   int    `json:"pid"`
	Node  int32  `json:"node"`
	Roles string `json:"roles"` // broker, controller or broker,controller
	File  string `json:"file"`
}

// processDir is where the servers of this user write down that they run. It is the same whatever TMPDIR says, and
// nobody else may write there.
func processDir() string { return filepath.Join("/tmp", "weir-"+strconv.Itoa(os.Getuid())) }

// ownDir makes dir if need be and refuses it if it belongs to somebody else.
func ownDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || ok && int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%s belongs to somebody else", dir)
	}
	return nil
}

// registerProcess writes down that this server runs. A failure is logged and costs only that kafka-server-stop does
// not find it.
func registerProcess(n *config.Node, file string, log *slog.Logger) (unregister func()) {
	path := filepath.Join(processDir(), strconv.Itoa(os.Getpid())+".json")
	abs, err := filepath.Abs(file)
	if err != nil {
		abs = file
	}
	data, err := json.Marshal(process{PID: os.Getpid(), Node: n.ID, Roles: roles(n), File: abs})
	if err == nil {
		if err = ownDir(processDir()); err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
	}
	if err != nil {
		log.Warn("kafka-server-stop will not find this process", "err", err)
		return func() {}
	}
	return func() { _ = os.Remove(path) }
}

// processes returns the servers of this user that run. What dead ones left is cleared away.
func processes(dir string) []process {
	var out []process
	files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var p process
		if json.Unmarshal(data, &p) != nil || p.PID <= 1 || !isServer(p.PID) {
			_ = os.Remove(path)
			continue
		}
		out = append(out, p)
	}
	return out
}

// isServer tells whether a process lives and is a server: its number may have gone to another one since.
func isServer(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil {
		return false
	}
	line, err := commandLine(pid)
	return err == nil && (strings.Contains(line, "kafka-server-start") || strings.Contains(line, "container-start"))
}

func commandLine(pid int) (string, error) {
	if runtime.GOOS == "linux" {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		return strings.ReplaceAll(string(data), "\x00", " "), err
	}
	data, err := exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return string(data), err
}
