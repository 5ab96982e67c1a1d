package tidy

import (
	"go/ast"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestImportsGoDown(t *testing.T) {
	for _, s := range load(t, ".go") {
		if nested(s.path) {
			continue
		}
		for _, spec := range s.ast.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if why := checkImport(s.importPath(), to, s.isTest()); why != "" {
				t.Errorf("%s: %s", s.fset.Position(spec.Pos()), why)
			}
		}
	}
}

func TestCheckImport(t *testing.T) {
	in := func(p string) string { return module + "/internal/" + p }
	for _, c := range []struct {
		from, to string
		test, ok bool
	}{
		{in("log"), in("vfs"), false, true},
		{in("vfs"), in("log"), false, false},
		{in("vfs"), in("log"), true, false},
		{in("lifecycle"), in("telemetry"), false, false},
		{in("lifecycle"), in("telemetry"), true, true},
		{in("wire"), in("record"), false, false},
		{in("wire/schema"), in("wire"), false, true},
		{in("coordinator/group"), in("coordinator"), false, true},
		{in("controlplane/plan"), in("config"), false, true},
		{in("controlplane/plan"), in("image"), false, false},
		{in("controlplane/plan"), "github.com/twmb/franz-go/pkg/kgo", false, true},
		{in("node"), in("node/format"), false, true},
		{in("node/format"), in("node"), false, false},
		{in("log"), in("testkit/brokers"), true, true},
		{in("log"), in("testkit/brokers"), false, false},
		{in("nowhere"), in("vfs"), false, false},
		{module + "/cmd/weir", in("cli"), false, true},
		{module + "/cmd/weir", in("node"), false, true},
		{module + "/conformance", in("node"), false, true},
	} {
		if why := checkImport(c.from, c.to, c.test); (why == "") != c.ok {
			t.Errorf("%s imports %s (test: %v): allowed should be %v, got %q", c.from, c.to, c.test, c.ok, why)
		}
	}
}

// maxPackageComment keeps package comments to what a reader needs on the door.
const maxPackageComment = 15

func TestPackageComments(t *testing.T) {
	type pkg struct {
		where string
		lines int
	}
	pkgs := map[string]pkg{}
	for _, s := range load(t, ".go") {
		if s.isTest() {
			continue
		}
		key := filepath.Dir(s.path)
		p := pkgs[key]
		p.where = s.path
		if s.ast.Doc != nil {
			if p.lines > 0 {
				t.Errorf("%s: the package has a second package comment here", s.path)
			}
			p.lines = strings.Count(s.ast.Doc.Text(), "\n")
		}
		pkgs[key] = p
	}
	for key, p := range pkgs {
		switch {
		case p.lines == 0:
			t.Errorf("%s has no package comment: say what it does and what it does not", key)
		case p.lines > maxPackageComment:
			t.Errorf("%s: its package comment has %d lines, more than %d", key, p.lines, maxPackageComment)
		}
	}
}

func TestPackageNamesSayWhatIsInside(t *testing.T) {
	for _, s := range load(t, ".go") {
		for part := range strings.SplitSeq(filepath.ToSlash(filepath.Dir(s.path)), "/") {
			if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc"}, part) {
				t.Errorf("%s: %q says nothing; name the package for the Kafka noun that it holds", s.path, part)
			}
		}
	}
}

func TestNoSleepInTests(t *testing.T) {
	for _, s := range load(t, "_test.go") {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && sel.Sel.Name == "Sleep" && !inBubble(s) {
				t.Errorf("%s: a test that sleeps is slow or flaky; use testing/synctest, or wait for a condition with a deadline", s.fset.Position(n.Pos()))
			}
			return true
		})
	}
}

// inBubble says whether a test file runs on virtual time, where a sleep costs
// nothing and is exact.
func inBubble(s *source) bool {
	return slices.ContainsFunc(s.ast.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing/synctest"` })
}
