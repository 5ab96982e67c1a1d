package tidy

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The patterns are put together so that this file does not match itself.
var (
	unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b`)
	machine    = regexp.MustCompile(`(?:^|[\s"'` + "`" + `=(:])/(?:wo` + `rk|ro` + `ot|ho` + `me|Us` + `ers)/[A-Za-z0-9_.]`)
)

func TestNothingUnfinished(t *testing.T) {
	forEachLine(t, func(s *source, n int, line string) {
		if m := unfinished.FindString(line); m != "" {
			t.Errorf("%s:%d: %s: do it, or open an issue and say nothing here", s.path, n, m)
		}
	}, ".go", ".sh", ".py", ".js", ".yml", ".yaml", "Makefile", "Dockerfile")
}

func TestNoMachinePaths(t *testing.T) {
	forEachLine(t, func(s *source, n int, line string) {
		if m := machine.FindString(line); m != "" {
			t.Errorf("%s:%d: %q is a path of one machine; the repository must work anywhere", s.path, n, m)
		}
	}, ".go", ".sh", ".py", ".js", ".md", ".yml", ".yaml", "Makefile", "Dockerfile", ".ci/run")
}

func forEachLine(t *testing.T, f func(s *source, n int, line string), suffixes ...string) {
	t.Helper()
	for _, s := range load(t, suffixes...) {
		sc := bufio.NewScanner(bytes.NewReader(s.text))
		sc.Buffer(nil, 1<<24)
		for n := 1; sc.Scan(); n++ {
			f(s, n, sc.Text())
		}
		if err := sc.Err(); err != nil {
			t.Errorf("%s: %v", s.path, err)
		}
	}
}

// Files beyond these sizes must be in testdata/large.txt with their length.
const (
	largeCode = 500
	largeTest = 700
)

// TestLargeFilesDoNotGrow is a ratchet: what is large already may shrink but
// not grow, and nothing new gets that large. After a split, lower the number.
func TestLargeFilesDoNotGrow(t *testing.T) {
	allowed := readLarge(t)
	for _, s := range load(t, ".go", ".sh", ".py") {
		limit := largeCode
		if s.isTest() {
			limit = largeTest
		}
		was, listed := allowed[s.path]
		delete(allowed, s.path)
		n := s.lines()
		switch {
		case s.generated:
		case !listed && n > limit:
			t.Errorf("%s has %d lines, more than %d: split it by idea while it is small", s.path, n, limit)
		case listed && n > was:
			t.Errorf("%s has grown from %d to %d lines: split it, what only grows is never read", s.path, was, n)
		case listed && n <= limit:
			t.Errorf("%s has only %d lines now: take it out of internal/tidy/testdata/large.txt", s.path, n)
		}
	}
	for path := range allowed {
		t.Errorf("internal/tidy/testdata/large.txt names %s, which is gone", path)
	}
}

func readLarge(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile("testdata/large.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		path, number, ok := strings.Cut(line, " ")
		n, err := strconv.Atoi(strings.TrimSpace(number))
		if !ok || err != nil {
			t.Fatalf("testdata/large.txt: %q: want a path and a number", line)
		}
		out[path] = n
	}
	return out
}

// TestRoomsAreDocumented holds the table of docs/ARCHITECTURE.md and the order
// that the other test enforces together.
func TestRoomsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(root + "/docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	here := map[string]bool{}
	for _, s := range load(t, ".go") {
		if r, ok := roomOf(s.importPath()); ok && !r.test {
			here[r.name] = true
		}
	}
	names := make([]string, 0, len(here))
	for name := range here {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.Contains(string(text), fmt.Sprintf("`%s`", name)) {
			t.Errorf("docs/ARCHITECTURE.md does not name the room `%s`", name)
		}
	}
}
