package sasl

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// TestSecretsAreComparedInConstantTime: nothing in the rooms that judge passwords, proofs and tokens compares bytes by a
// function that ends at the first difference (CVE-2021-38153).
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	files := 0
	for _, dir := range []string{".", "../channel", "../authz", "../audit"} {
		set := token.NewFileSet()
		parsed, err := parser.ParseDir(set, dir, func(i fs.FileInfo) bool { return !strings.HasSuffix(i.Name(), "_test.go") }, 0) //nolint:staticcheck // no types are needed
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parsed {
			for _, f := range p.Files {
				files++
				ast.Inspect(f, func(n ast.Node) bool {
					sel, ok := n.(*ast.SelectorExpr)
					if !ok {
						return true
					}
					if x, ok := sel.X.(*ast.Ident); ok && (x.Name == "bytes" && (sel.Sel.Name == "Equal" || sel.Sel.Name == "Compare") ||
						x.Name == "slices" && sel.Sel.Name == "Equal" || x.Name == "reflect" && sel.Sel.Name == "DeepEqual") {
						t.Errorf("%s: %s.%s; secrets are compared by hmac.Equal or subtle.ConstantTimeCompare", set.Position(n.Pos()), x.Name, sel.Sel.Name)
					}
					return true
				})
			}
		}
	}
	text, err := os.ReadFile("plain.go")
	if err != nil || files < 10 || !strings.Contains(string(text), "hmac.Equal(got[:], want[:])") {
		t.Errorf("%d files, %v: the comparison of passwords is not where it was", files, err)
	}
}
