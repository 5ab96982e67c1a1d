package mutants

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTableIsTrue: each fault has its place in the source, which `make sim-mutants` would find out late.
func TestTableIsTrue(t *testing.T) {
	names := map[string]bool{}
	for _, m := range All {
		if names[m.Name] {
			t.Errorf("%s is there twice", m.Name)
		}
		names[m.Name] = true
		source, err := os.ReadFile(filepath.Join("../../..", m.File))
		if err != nil {
			t.Error(err)
		} else if n := strings.Count(string(source), m.Old); n != 1 || m.Old == m.New {
			t.Errorf("%s: %s has the text to change %d times, want once", m.Name, m.File, n)
		}
	}
}
