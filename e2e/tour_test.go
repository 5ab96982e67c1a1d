//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTour pastes the README's tour, block by block in order, into one shell
// in a copy of the repository that has data of its own.
func TestTour(t *testing.T) {
	dir := checkout(t)
	t.Cleanup(func() {
		cmd := exec.Command("scripts/up.sh", "down")
		cmd.Dir = dir
		_ = cmd.Run()
	})
	blocks := tour(t)
	// A block's last command decides, as it does for a person who looks at the end of what they pasted.
	script := "set -u\n"
	for i, b := range blocks {
		script += b + "\n[ $? = 0 ] || { echo \"block " + string(rune('1'+i)) + " failed\"; exit 1; }\n"
	}
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"Created topic orders.", "bob\t1 pear", "shop", "retention.ms=86400000", "payload: 3 apples", "orders:0:"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the tour never shows %q", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// checkout is a folder with links to everything of the repository but what was
// built and what was stored.
func checkout(t *testing.T) string {
	t.Helper()
	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(top)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, e := range entries {
		if e.Name() == "data" || e.Name() == "bin" || e.Name() == ".git" || e.Name() == "scripts" {
			continue
		}
		if err := os.Symlink(filepath.Join(top, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	// The scripts go to the folder that they are in, so they are copies.
	if err := os.CopyFS(filepath.Join(dir, "scripts"), os.DirFS(filepath.Join(top, "scripts"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tour returns the blocks between the tour's heading and the part that needs
// an Apache Kafka.
func tour(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "## Five minutes")
	part, _, ok2 := strings.Cut(rest, "### In place of Apache Kafka")
	if !ok || !ok2 {
		t.Fatal("README.md has no tour, or no end of it")
	}
	var blocks []string
	for {
		_, after, found := strings.Cut(part, "```sh\n")
		if !found {
			break
		}
		block, tail, _ := strings.Cut(after, "```")
		blocks, part = append(blocks, strings.TrimSpace(block)), tail
	}
	if len(blocks) < 5 {
		t.Fatalf("only %d blocks", len(blocks))
	}
	return blocks
}
