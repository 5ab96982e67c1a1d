//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// pasteShell starts with the program on its path, and has a home of its own. Ports of the pages become free ones.
type pasteShell struct {
	*testing.T
	home, path string
	ports      *strings.Replacer
}

func newPasteShell(t *testing.T) *pasteShell {
	t.Helper()
	bin, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp(lastingFolder(t), "home-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	if home, err = filepath.Abs(home); err != nil {
		t.Fatal(err)
	}
	port, err := brokers.FreePort(21700)
	if err != nil {
		t.Fatal(err)
	}
	return &pasteShell{T: t, home: home, path: bin + ":" + os.Getenv("PATH"),
		ports: strings.NewReplacer("localhost:9092", fmt.Sprint("localhost:", port), "security init ~/kafka\n", fmt.Sprintf("security init ~/kafka --port %d\n", port), "19492", fmt.Sprint(port))}
}

// lastingFolder is the folder of the tests or, if that lies under /tmp, which weir doctor finds fault with, one that does not.
func lastingFolder(t *testing.T) string {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(here, "/tmp/") {
		return "/var/tmp"
	}
	return here
}

func (p *pasteShell) command(block string) *exec.Cmd {
	cmd := exec.Command("bash", "-c", "set -u\n"+p.ports.Replace(block+"\n"))
	cmd.Dir, cmd.Env = p.home, []string{"HOME=" + p.home, "PATH=" + p.path, "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// paste runs a block and returns what it prints; each of its lines has to succeed.
func (p *pasteShell) paste(block string) string {
	p.Helper()
	out, err := p.command("set -e\n" + block).CombinedOutput()
	if err != nil {
		p.Fatalf("%v after\n%s\n%s", err, block, out)
	}
	return string(out)
}

// inBackground pastes a block whose last line serves until the test ends.
func (p *pasteShell) inBackground(block string) {
	p.Helper()
	cmd := p.command(block)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
		if p.Failed() {
			p.Logf("%s", out.String())
		}
	})
}

// shellBlocks are the blocks of a page, from a heading on, to be pasted.
func shellBlocks(t *testing.T, page, from, to string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(text), from)
	part, _, ok2 := strings.Cut(part, to)
	if !ok || !ok2 {
		t.Fatalf("%s has no part from %q to %q", page, from, to)
	}
	var blocks []string
	for {
		_, after, found := strings.Cut(part, "```sh\n")
		if !found {
			return blocks
		}
		block, rest, _ := strings.Cut(after, "```")
		blocks, part = append(blocks, strings.TrimSpace(block)), rest
	}
}

// TestSecuredTour pastes docs/SECURING.md, the rules of docs/SECURITY.md and the README's secured broker, each into a shell, as a
// new user would.
func TestSecuredTour(t *testing.T) {
	p := newPasteShell(t)
	blocks := shellBlocks(t, "../docs/SECURING.md", "## One node", "| check |")
	if len(blocks) != 6 {
		t.Fatalf("docs/SECURING.md has %d blocks", len(blocks))
	}
	p.inBackground(blocks[0])
	p.await("weir kafka-topics --bootstrap-server localhost:9092 --command-config ~/kafka/client.properties --list")
	all := ""
	for _, b := range append(blocks[1:], shellBlocks(t, "../docs/SECURITY.md", "## Authorization", "### What each request needs")...) {
		all += p.paste(b)
	}
	for _, want := range []string{"Created topic orders.", "hello", "Completed updating config for user app2.", "User:alice", "operation=WRITE", "node-3", "0 errors"} {
		if !strings.Contains(all, want) {
			t.Errorf("the pages never show %q", want)
		}
	}
	if strings.Count(all, "hello") != 2 {
		t.Errorf("app1 and app2 do not both read the record")
	}
	if t.Failed() {
		t.Log(all)
	}
}

// TestSecuredReadme pastes the README's secured broker.
func TestSecuredReadme(t *testing.T) {
	p := newPasteShell(t)
	blocks := shellBlocks(t, "../README.md", "One with TLS, an administrator", "Three nodes, your own host names")
	if len(blocks) != 1 {
		t.Fatalf("%d blocks", len(blocks))
	}
	out := p.paste("mkdir data\n" + blocks[0] + "\nwait")
	if !strings.Contains(out, "Created topic orders.") {
		t.Error(out)
	}
}

// await runs a command until it succeeds.
func (p *pasteShell) await(command string) {
	p.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(60 * time.Second); ; <-tick.C {
		out, err := p.command(command).CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
}
