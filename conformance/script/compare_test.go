package script

import (
	"strings"
	"testing"
)

func transcript(facts map[string]string) Transcript {
	return Transcript{Scenario: "s", Entries: []Entry{{Label: "l v1", Facts: facts}}}
}

func TestCompare(t *testing.T) {
	a := transcript(map[string]string{"A": "1", "B": "2", "C": "3"})
	if d := Compare(a, a); len(d) != 0 {
		t.Errorf("the same differs: %v", d)
	}
	d := Compare(a, transcript(map[string]string{"A": "1", "B": "9", "D": "4"}))
	var got []string
	for _, x := range d {
		got = append(got, x.Where+": "+x.Reference+" -> "+x.Subject)
	}
	want := "s/l v1: B: 2 -> 9|s/l v1: C: 3 -> (nothing)|s/l v1: D: (nothing) -> 4"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
	if d := Compare(a, Transcript{Scenario: "s"}); len(d) != 1 || d[0].Subject != absent {
		t.Errorf("a missing answer gives %v", d)
	}
}

func TestExplained(t *testing.T) {
	e, err := ReadExplained(strings.NewReader("# A page\n\n| pattern | why |\n| --- | --- |\n" +
		"| `s/l v*: B` | because it is so here |\n| `s/*: C: 3 -> (nothing)` | because of another thing |\n"))
	if err != nil {
		t.Fatal(err)
	}
	for where, want := range map[Difference]bool{
		{"s/l v1: B", "1", "2"}:      true,
		{"s/l v1: BB", "1", "2"}:     false,
		{"s/x: C", "3", "(nothing)"}: true,
		{"s/x: C", "4", "(nothing)"}: false,
	} {
		if got := e.Reason(where) != ""; got != want {
			t.Errorf("%v explained: %v", where, got)
		}
	}
	if u := e.Unused(); len(u) != 0 {
		t.Errorf("unused: %v", u)
	}
	if _, err := ReadExplained(strings.NewReader("| `s/x` | so |\n")); err == nil {
		t.Error("a row without a reason was accepted")
	}
}
