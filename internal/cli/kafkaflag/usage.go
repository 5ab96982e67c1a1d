package kafkaflag

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

const usageWidth = 80

// WriteUsage prints the table of flags in the dialect's form.
func (s *Set) WriteUsage(w io.Writer) {
	if s.Dialect == Argparse {
		s.writeArgparseUsage(w)
		return
	}
	flags := slices.DeleteFunc(slices.Clone(s.flags), func(f *Flag) bool { return f.removed != "" })
	slices.SortFunc(flags, func(a, b *Flag) int { return strings.Compare(a.Name, b.Name) })
	const half = (usageWidth - 2) / 2
	heading, underline := "Option", "------"
	if slices.ContainsFunc(flags, func(f *Flag) bool { return f.Required }) {
		heading, underline = "Option (* = required)", "---------------------"
	}
	left, right := make([]string, len(flags)), make([]string, len(flags))
	leftWidth, rightWidth := len(heading), len("Description")
	for i, f := range flags {
		left[i], right[i] = f.synopsis(), f.describe()
		leftWidth, rightWidth = max(leftWidth, len(left[i])), max(rightWidth, len(right[i]))
	}
	leftWidth, rightWidth = min(leftWidth, half), min(rightWidth, half)
	fmt.Fprintf(w, "%-*s  %-*s\n", leftWidth, heading, rightWidth, "Description")
	fmt.Fprintf(w, "%-*s  %-*s\n", leftWidth, underline, rightWidth, "-----------")
	for i := range flags {
		a, b := wrap(left[i], leftWidth), wrap(right[i], rightWidth)
		for n := range max(len(a), len(b)) {
			fmt.Fprintf(w, "%-*s  %-*s\n", leftWidth, at(a, n), rightWidth, at(b, n))
		}
	}
}

func (f *Flag) synopsis() string {
	names := "--" + strings.Join(append([]string{f.Name}, f.Aliases...), ", --")
	if f.Required {
		names = "* " + names
	}
	if f.Kind == None {
		return names
	}
	arg := map[Kind]string{Text: "String", Int: "Integer", Long: "Long", Float: "Double"}[f.Kind]
	if f.ArgName != "" {
		arg += ": " + f.ArgName
	}
	if f.optionalArg {
		return names + " [" + arg + "]"
	}
	return names + " <" + arg + ">"
}

func (f *Flag) describe() string {
	if f.Default != "" {
		return f.Usage + " (default: " + f.Default + ")"
	}
	return f.Usage
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// wrap breaks text at blanks into lines of at most width bytes; lines after the first are indented by two, and a
// word that is longer than a line is cut.
func wrap(text string, width int) (lines []string) {
	indent, line := "", ""
	flush := func() {
		lines = append(lines, indent+line)
		indent, line = "  ", ""
	}
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(indent)+len(line)+1+len(word) > width {
			flush()
		}
		for line == "" && len(indent)+len(word) > width {
			line, word = word[:width-len(indent)], word[width-len(indent):]
			flush()
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" || len(lines) == 0 {
		flush()
	}
	return lines
}
