//go:build e2e

package e2e

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// run runs a command in the top folder with the data elsewhere.
func run(t *testing.T, data, input string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "WEIR_DATA="+data)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func must(t *testing.T, data, input, name string, args ...string) string {
	t.Helper()
	out, err := run(t, data, input, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

var addrPattern = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// TestUpAndDown: up answers, prints the same a second time, keeps its data and
// its port, and down leaves no process.
func TestUpAndDown(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	t.Cleanup(func() { _, _ = run(t, data, "", "scripts/up.sh", "down") })
	first := must(t, data, "", "scripts/up.sh", "up")
	addr := addrPattern.FindString(first)
	if addr == "" {
		t.Fatalf("up does not say where:\n%s", first)
	}
	if second := must(t, data, "", "scripts/up.sh", "up"); second != first {
		t.Errorf("up said\n%s\nand the second time\n%s", first, second)
	}
	must(t, data, "", "bin/weir", "kafka-topics", "--bootstrap-server", addr, "--create", "--topic", "hello")
	must(t, data, "one\ntwo\n", "bin/weir", "kafka-console-producer", "--bootstrap-server", addr, "--topic", "hello")
	consume := []string{"kafka-console-consumer", "--bootstrap-server", addr, "--topic", "hello", "--from-beginning", "--max-messages", "2", "--timeout-ms", "15000"}
	if out := must(t, data, "", "bin/weir", consume...); !strings.Contains(out, "one\ntwo\n") {
		t.Errorf("the consumer printed %q", out)
	}
	pid := readPID(t, data)
	must(t, data, "", "scripts/up.sh", "down")
	if alive(pid) {
		t.Errorf("down left process %d", pid)
	}
	must(t, data, "", "scripts/up.sh", "down") // again: nothing to do

	// Another program sits on the port now: up takes the next.
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	moved := addrPattern.FindString(must(t, data, "", "scripts/up.sh", "up"))
	if moved == addr || moved == "" {
		t.Errorf("up says %q though somebody else listens on %s", moved, addr)
	}
	consume[2] = moved
	if out := must(t, data, "", "bin/weir", consume...); !strings.Contains(out, "one\ntwo\n") {
		t.Errorf("after a restart the consumer printed %q", out)
	}
}
