//go:build mutants

package mutants

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMutants plants each fault in turn. WEIR_MUTANT is a part of the names of those to plant.
func TestMutants(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range All {
		if !strings.Contains(m.Name, os.Getenv("WEIR_MUTANT")) {
			continue
		}
		t.Run(strings.ReplaceAll(m.Name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			said, caught := plant(t, root, m)
			if !caught {
				t.Errorf("%s in %s is not noticed by %s", m.Name, m.File, m.Check)
			}
			t.Log(said)
		})
	}
}

// plant runs the check over the changed source and returns what it said first.
func plant(t *testing.T, root string, m Mutant) (said string, caught bool) {
	t.Helper()
	file := filepath.Join(root, m.File)
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), m.Old); n != 1 {
		t.Fatalf("%s has the text to change %d times, want once: the code has changed, and so must this table\n%s", m.File, n, m.Old)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, "changed.go")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{changed: strings.Replace(string(source), m.Old, m.New, 1), filepath.Join(dir, "overlay.json"): string(overlay)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pkg := m.Package
	if pkg == "" {
		pkg = filepath.Dir(m.File)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", filepath.Join(dir, "overlay.json"), "-count=1", "-failfast", "-vet=off", "-ldflags=-s -w", "-timeout", "10m", "-run", m.Check, "./"+pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "WEIR_SIM_TRACES="+dir)
	if m.Seeds > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprint("WEIR_MODEL_SEEDS=", m.Seeds), fmt.Sprint("WEIR_SIM_SEEDS=", m.Seeds))
	}
	if m.From > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprint("WEIR_MODEL_FROM=", m.From), fmt.Sprint("WEIR_SIM_FROM=", m.From))
	}
	out, err := cmd.CombinedOutput()
	text := string(out)
	if strings.Contains(text, "[build failed]") || strings.Contains(text, "[setup failed]") || strings.Contains(text, "no tests to run") {
		t.Fatalf("the check did not run:\n%s", text)
	}
	if strings.Contains(text, "panic: test timed out") {
		t.Fatalf("the check did not end:\n%s", first(text))
	}
	return first(text), err != nil && (strings.Contains(text, "--- FAIL") || strings.Contains(text, "panic:"))
}

// first is the first line of a test's output that says what was found.
func first(out string) string {
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "===") && !strings.Contains(line, " acknowledged, ") {
			return line
		}
	}
	return ""
}
