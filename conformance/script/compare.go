package script

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Difference is one fact on which two brokers do not agree.
type Difference struct {
	Where     string // scenario/label: path
	Reference string
	Subject   string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s\n      reference %s\n      subject   %s", d.Where, d.Reference, d.Subject)
}

// absent stands for a fact that one side did not give.
const absent = "(nothing)"

// Compare lists the differences between two transcripts of one scenario.
func Compare(reference, subject Transcript) []Difference {
	var out []Difference
	ref, sub := byLabel(reference), byLabel(subject)
	for _, label := range labels(reference, subject) {
		where := reference.Scenario + "/" + label
		r, rok := ref[label]
		s, sok := sub[label]
		switch {
		case !rok:
			out = append(out, Difference{where, absent, summary(s)})
		case !sok:
			out = append(out, Difference{where, summary(r), absent})
		default:
			out = append(out, compareFacts(where, r, s)...)
		}
	}
	return out
}

func compareFacts(where string, r, s map[string]string) []Difference {
	var out []Difference
	keys := map[string]bool{}
	for k := range r {
		keys[k] = true
	}
	for k := range s {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		rv, rok := r[k]
		sv, sok := s[k]
		if !rok {
			rv = absent
		}
		if !sok {
			sv = absent
		}
		if rv != sv {
			out = append(out, Difference{where + ": " + k, rv, sv})
		}
	}
	return out
}

// byLabel gives repeated labels numbers, in order.
func byLabel(t Transcript) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, e := range t.Entries {
		label := e.Label
		for i := 2; out[label] != nil; i++ {
			label = fmt.Sprintf("%s (%d)", e.Label, i)
		}
		out[label] = e.Facts
	}
	return out
}

func labels(ts ...Transcript) []string {
	var out []string
	for _, t := range ts {
		m := byLabel(t)
		for _, label := range slices.Sorted(maps.Keys(m)) {
			if !slices.Contains(out, label) {
				out = append(out, label)
			}
		}
	}
	return out
}

func summary(facts map[string]string) string {
	if text, ok := facts[""]; ok && len(facts) == 1 {
		return text
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(facts)) {
		if strings.Contains(k, "Error") {
			parts = append(parts, k+"="+facts[k])
		}
	}
	return fmt.Sprintf("an answer of %d facts %s", len(facts), strings.Join(parts[:min(len(parts), 4)], " "))
}

// Explained are the differences that docs/COMPATIBILITY.md explains: each row
// of its table that begins with a pattern in backquotes.
type Explained struct {
	rows []explanation
}

type explanation struct {
	pattern string
	match   *regexp.Regexp
	reason  string
	used    bool
}

// ReadExplained reads the table. A pattern is held against "where: reference ->
// subject", or against "where" alone when it has no arrow; a * stands for
// anything.
func ReadExplained(r io.Reader) (*Explained, error) {
	var e Explained
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		cells := strings.SplitN(strings.Trim(strings.TrimSpace(sc.Text()), "|"), "|", 2)
		if len(cells) != 2 {
			continue
		}
		pattern, _ := strings.CutPrefix(strings.TrimSpace(cells[0]), "`")
		pattern, ok := strings.CutSuffix(pattern, "`")
		if !ok || !strings.Contains(pattern, "/") {
			continue
		}
		reason := strings.TrimSpace(cells[1])
		if len(reason) < 10 {
			return nil, fmt.Errorf("%q: a difference needs a reason", pattern)
		}
		expr := "(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$"
		e.rows = append(e.rows, explanation{pattern: pattern, match: regexp.MustCompile(expr), reason: reason})
	}
	return &e, sc.Err()
}

// Reason is why a difference is as it should be; "" if nobody has explained it.
func (e *Explained) Reason(d Difference) string {
	for i := range e.rows {
		text := d.Where
		if strings.Contains(e.rows[i].pattern, " -> ") {
			text += ": " + d.Reference + " -> " + d.Subject
		}
		if e.rows[i].match.MatchString(text) {
			e.rows[i].used = true
			return e.rows[i].reason
		}
	}
	return ""
}

// Unused are patterns that no difference has matched: they can go.
func (e *Explained) Unused() []string {
	var out []string
	for _, r := range e.rows {
		if !r.used {
			out = append(out, r.pattern)
		}
	}
	return out
}
