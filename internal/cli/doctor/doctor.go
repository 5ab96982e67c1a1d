// Package doctor looks at a node's settings, or at a running cluster, as an attacker and an operator would, and says what
// it found: how bad, by what one sees it, and how it is mended. It works with every Kafka and only reads.
//
// Facts are gathered first (file.go, cluster.go, probe.go); checks are pure functions on them (checks_*.go), each with a
// name. A fact that could not be had is said, not guessed.
package doctor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Severity is how bad a finding is.
type Severity string

// The severities. An error is something that an attacker can use, that loses records or that keeps clients out.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

var rank = map[Severity]int{Error: 0, Warning: 1, Info: 2}

// Finding is one thing that should be otherwise.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	Where    string   `json:"where"`
	Evidence string   `json:"evidence"`
	// Fix is a line of a file or a command.
	Fix string `json:"fix"`
}

// Report is what was found and what could not be looked at.
type Report struct {
	Target   string    `json:"target"`
	Checks   []string  `json:"checks"`
	Findings []Finding `json:"findings"`
	// Unknown says what could not be learned, and why.
	Unknown  []string `json:"unknown"`
	Errors   int      `json:"errors"`
	Warnings int      `json:"warnings"`
}

// check is a named look at the facts.
type check struct {
	name string
	run  func(*facts) []Finding
}

// diagnose runs all checks that apply.
func diagnose(f *facts) Report {
	r := Report{Target: f.target, Findings: []Finding{}, Unknown: f.unknown, Checks: []string{}}
	if r.Unknown == nil {
		r.Unknown = []string{}
	}
	for _, c := range checks {
		r.Checks = append(r.Checks, c.name)
		for _, found := range c.run(f) {
			found.Check = c.name
			switch found.Severity {
			case Error:
				r.Errors++
			case Warning:
				r.Warnings++
			}
			r.Findings = append(r.Findings, found)
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(rank[a.Severity], rank[b.Severity]) })
	return r
}

// table prints for people.
func (r *Report) table(w io.Writer) {
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%-8s %s  (%s)\n         %s\n", strings.ToUpper(string(f.Severity)), oneLine(f.Where), f.Check, oneLine(f.Evidence))
		for i, line := range strings.Split(f.Fix, "\n") {
			fmt.Fprintf(w, "    %s %s\n", []string{"fix:", "    "}[min(i, 1)], oneLine(line))
		}
	}
	for _, u := range r.Unknown {
		fmt.Fprintf(w, "UNKNOWN  %s\n", oneLine(u))
	}
	infos := len(r.Findings) - r.Errors - r.Warnings
	fmt.Fprintf(w, "%s: %d errors, %d warnings, %d notes by %d checks\n", r.Target, r.Errors, r.Warnings, infos, len(r.Checks))
}

func (r *Report) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// oneLine keeps text of elsewhere from moving the cursor.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
