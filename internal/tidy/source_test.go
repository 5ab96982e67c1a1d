package tidy

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the top of the repository, seen from this package.
const root = "../.."

// skipDirs hold nothing that is written by hand.
var skipDirs = []string{".git", "bin", "data", "dist", "node_modules", ".cache", "testdata"}

// A source is one file of the repository.
type source struct {
	path      string // from the top, with slashes
	text      []byte
	ast       *ast.File // nil unless it is Go
	fset      *token.FileSet
	generated bool
}

func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// importPath is the path of the package that the file is part of.
func (s *source) importPath() string { return module + "/" + filepath.ToSlash(filepath.Dir(s.path)) }

// load reads all files of the repository with one of the suffixes.
func load(t *testing.T, suffixes ...string) []*source {
	t.Helper()
	var out []*source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != root && slices.Contains(skipDirs, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(p, s) }) {
			return nil
		}
		s, err := parse(p)
		if err == nil {
			out = append(out, s)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("no source found: is the test run in its own folder?")
	}
	return out
}

func parse(p string) (*source, error) {
	text, err := os.ReadFile(p)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(root, p)
	if err != nil {
		return nil, err
	}
	s := &source{path: filepath.ToSlash(rel), text: text}
	if strings.HasSuffix(p, ".go") {
		s.fset = token.NewFileSet()
		s.ast, err = parser.ParseFile(s.fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		s.generated = ast.IsGenerated(s.ast)
	}
	return s, nil
}

// lines counts as wc -l does.
func (s *source) lines() int { return bytes.Count(s.text, []byte("\n")) }

// nested says whether a file belongs to another module of the repository,
// which has its own dependencies and no rooms.
func nested(path string) bool {
	for d := filepath.Dir(path); d != "."; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(root, d, "go.mod")); err == nil {
			return true
		}
	}
	return false
}
