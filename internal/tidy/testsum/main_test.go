package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const stream = `{"Action":"run","Package":"github.com/weir-stream/weir/p","Test":"TestA"}
{"Action":"run","Package":"github.com/weir-stream/weir/p","Test":"TestA/x"}
{"Action":"run","Package":"github.com/weir-stream/weir/p","Test":"TestA/y"}
{"Action":"output","Package":"github.com/weir-stream/weir/p","Test":"TestA/y","Output":"    a_test.go:3: not so\n"}
{"Action":"pass","Package":"github.com/weir-stream/weir/p","Test":"TestA/x"}
{"Action":"fail","Package":"github.com/weir-stream/weir/p","Test":"TestA/y"}
{"Action":"fail","Package":"github.com/weir-stream/weir/p","Test":"TestA"}
{"Action":"run","Package":"github.com/weir-stream/weir/p","Test":"TestB"}
{"Action":"output","Package":"github.com/weir-stream/weir/p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"github.com/weir-stream/weir/p","Test":"TestB","Output":"    b_test.go:9: no java here\n"}
{"Action":"skip","Package":"github.com/weir-stream/weir/p","Test":"TestB"}
{"Action":"run","Package":"github.com/weir-stream/weir/p","Test":"TestC"}
`

func TestReadCountsLeavesAndWhatNeverEnded(t *testing.T) {
	var out strings.Builder
	c := read(strings.NewReader(stream), &out)
	if c.Passed != 1 || c.Failed != 2 || len(c.Skips) != 1 {
		t.Fatalf("got %+v, want 1 passed, 2 failed (a sub-test and one that never ended), 1 skipped", c)
	}
	if want := "p.TestB: b_test.go:9: no java here"; c.Skips[0] != want {
		t.Errorf("skip = %q, want %q", c.Skips[0], want)
	}
	for _, want := range []string{"a_test.go:3: not so", "TestC never ended"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
}

func TestElsewhereIsNotMissing(t *testing.T) {
	text := strings.ReplaceAll(stream, "no java here", "elsewhere: make conform")
	if c := read(strings.NewReader(text), &strings.Builder{}); len(c.Skips) != 0 {
		t.Errorf("skips = %v", c.Skips)
	}
}

func TestBuildFailureCounts(t *testing.T) {
	build := `{"Action":"fail","Package":"github.com/weir-stream/weir/q"}` + "\n"
	if c := read(strings.NewReader(build), &strings.Builder{}); c.Failed != 1 {
		t.Errorf("a package that does not build gave %d failures", c.Failed)
	}
	if c := read(strings.NewReader(stream+build), &strings.Builder{}); c.Failed != 3 {
		t.Errorf("behind other failures it was not counted: %d failures", c.Failed)
	}
}

func TestClosing(t *testing.T) {
	for _, c := range []struct {
		name, ci string
		runs     []counts
		last     string
		code     int
	}{
		{"good", "true", []counts{{Passed: 3}, {Passed: 2}}, "5 passed, 0 failed, 0 skipped", 0},
		{"bad", "", []counts{{Passed: 3, Failed: 1}}, "3 passed, 1 failed, 0 skipped", 1},
		{"skipped at a desk", "", []counts{{Passed: 3, Skips: []string{"p.T: no java"}}}, "3 passed, 0 failed, 1 skipped", 0},
		{"skipped in CI", "true", []counts{{Passed: 3, Skips: []string{"p.T: no java"}}}, "3 passed, 0 failed, 1 skipped", 1},
		{"on request only", "true", []counts{{Passed: 3, Skips: []string{"p.T: WEIR_KAFKA_DIST is not set"}}}, "3 passed, 0 failed, 1 skipped", 0},
		{"nothing ran", "", []counts{{}}, "0 passed, 0 failed, 0 skipped", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("CI", c.ci)
			path := filepath.Join(t.TempDir(), "counts")
			for _, r := range c.runs {
				if err := r.save(path, "run"); err != nil {
					t.Fatal(err)
				}
			}
			var out strings.Builder
			if code := closing(path, &out); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if got := lines[len(lines)-1]; got != c.last {
				t.Errorf("last line %q, want %q", got, c.last)
			}
		})
	}
	if _, err := os.Stat("nothing"); err == nil {
		t.Fatal("the test left a file behind")
	}
}
