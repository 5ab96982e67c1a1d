package kafkaflag

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// ArgumentErrorf is a refusal in the words of an Argparse set: synopsis and "prog: error: message"; exit code 1.
func (s *Set) ArgumentErrorf(format string, args ...any) error {
	return &ArgumentError{Set: s, Message: fmt.Sprintf(format, args...)}
}

// maxArgumentFile bounds a file of arguments.
const maxArgumentFile = 1 << 20

// expand puts the lines of FILE, each an argument, in the place of @FILE, if the set takes that.
func (s *Set) expand(args []string) ([]string, error) {
	if !s.FromFile {
		return args, nil
	}
	var out []string
	for _, a := range args {
		file, ok := strings.CutPrefix(a, "@")
		if !ok {
			out = append(out, a)
			continue
		}
		info, err := os.Stat(file)
		if err != nil || info.Size() > maxArgumentFile {
			return nil, s.ArgumentErrorf("Could not read arguments from file '%s'", file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, s.ArgumentErrorf("Could not read arguments from file '%s'", file)
		}
		out = append(out, strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"), "\n")...)
	}
	return out, nil
}

func (s *Set) parseArgparse(args []string) error {
	positional := 0
	for i := 0; i < len(args); {
		arg := args[i]
		i++
		switch {
		case arg == "--":
			for ; i < len(args); i++ {
				if !s.takePositional(&positional, args[i]) {
					return s.ArgumentErrorf("unrecognized arguments: '%s'", args[i])
				}
			}
		case looksLikeFlag(arg):
			used, err := s.argparseOption(arg, args[i:])
			if err != nil {
				return err
			}
			i += used
		case len(s.subs) > 0:
			return s.parseSub(arg, args[i:])
		case !s.takePositional(&positional, arg):
			return s.ArgumentErrorf("unrecognized arguments: '%s'", arg)
		}
	}
	return s.checkArgparse()
}

func (s *Set) takePositional(next *int, arg string) bool {
	if *next >= len(s.positional) {
		return false
	}
	f := s.positional[*next]
	f.present, f.values = true, append(f.values, arg)
	if !f.many {
		*next++
	}
	return true
}

func (s *Set) parseSub(word string, args []string) error {
	for _, sub := range s.subs {
		if sub.SubName() == word {
			s.chosen = sub
			return sub.Parse(args)
		}
	}
	return s.ArgumentErrorf("invalid choice: '%s' (choose from %s)", word, quoteList(s.subNames()))
}

func (s *Set) subNames() []string {
	names := make([]string, len(s.subs))
	for i, sub := range s.subs {
		names[i] = sub.SubName()
	}
	return names
}

// argparseOption takes one flag and returns how many of the arguments behind it were its values.
func (s *Set) argparseOption(arg string, following []string) (used int, err error) {
	name, value, hasValue := strings.Cut(arg, "=")
	f := s.byName[strings.TrimPrefix(name, "--")]
	if !strings.HasPrefix(name, "--") {
		if f = s.byShort[name[1]]; f != nil && len(name) > 2 { // -i5
			value, hasValue = name[2:], true
		}
	}
	switch {
	case f == nil:
		return 0, s.ArgumentErrorf("unrecognized arguments: '%s'", arg)
	case f == s.help:
		return 0, &HelpRequest{Set: s}
	case f.removed != "":
		return 0, s.ArgumentErrorf("%s was removed: %s", name, f.removed)
	}
	f.present = true
	switch {
	case f.Kind == None:
		return 0, nil
	case hasValue:
		return 0, s.addValue(f, value)
	}
	for used < len(following) && (used == 0 || f.many) && (!looksLikeFlag(following[used]) || isNumber(following[used])) {
		if err := s.addValue(f, following[used]); err != nil {
			return 0, err
		}
		used++
	}
	if used == 0 && !f.optionalArg {
		return 0, s.ArgumentErrorf("argument %s: expected %s", f.argparseNames(), map[bool]string{
			false: "one argument", true: "at least one argument"}[f.many])
	}
	return used, nil
}

func isNumber(s string) bool { return Float.accepts(s) }

func (s *Set) addValue(f *Flag, v string) error {
	if !f.Kind.accepts(v) {
		return s.ArgumentErrorf("argument %s: could not convert '%s' to %s", f.argparseNames(), v,
			map[Kind]string{Int: "Integer", Long: "Long", Float: "Double"}[f.Kind])
	}
	if len(f.Choices) > 0 && !slices.Contains(f.Choices, v) {
		return s.ArgumentErrorf("argument %s: invalid choice: '%s' (choose from {%s})", f.argparseNames(), v, strings.Join(f.Choices, ","))
	}
	if !f.repeatable {
		f.values = nil // the last one counts
	}
	f.values = append(f.values, v)
	return nil
}

func (s *Set) checkArgparse() error {
	for _, g := range s.exclusive {
		var seen *Flag
		for _, f := range g.flags {
			if f.present && seen != nil {
				return s.ArgumentErrorf("argument %s: not allowed with argument %s", f.argparseNames(), seen.argparseNames())
			}
			if f.present {
				seen = f
			}
		}
	}
	for _, f := range s.flags {
		if f.Required && !f.present {
			return s.ArgumentErrorf("argument %s is required", f.argparseNames())
		}
	}
	for _, g := range s.exclusive {
		if g.required && Count(g.flags...) == 0 {
			names := make([]string, len(g.flags))
			for i, f := range g.flags {
				names[i] = f.argparseNames()
			}
			return s.ArgumentErrorf("one of the arguments %s is required", strings.Join(names, " "))
		}
	}
	if len(s.subs) > 0 && s.chosen == nil {
		return s.ArgumentErrorf("too few arguments")
	}
	for _, f := range s.positional {
		if !f.present && !f.optionalArg && f.Default == "" {
			return s.ArgumentErrorf("too few arguments")
		}
	}
	return nil
}

func (f *Flag) argparseNames() string {
	var names []string
	if f.Short != 0 {
		names = append(names, "-"+string(f.Short))
	}
	for _, n := range append([]string{f.Name}, f.Aliases...) {
		names = append(names, "--"+n)
	}
	return strings.Join(names, "/")
}

func quoteList(words []string) string { return "'" + strings.Join(words, "', '") + "'" }

func (f *Flag) argparseArg() string {
	arg := f.ArgName
	if arg == "" {
		arg = strings.ToUpper(f.Name)
	}
	if len(f.Choices) > 0 {
		arg = "{" + strings.Join(f.Choices, ",") + "}"
	}
	switch {
	case f.Kind == None:
		return ""
	case f.many:
		return " " + arg + " [" + arg + " ...]"
	case f.optionalArg:
		return " [" + arg + "]"
	}
	return " " + arg
}

// synopsisWords are the pieces of the usage line, which is broken between them only.
func (s *Set) synopsisWords() (words []string) {
	for _, f := range s.flags {
		if f.removed != "" || (f.group > 0 && s.exclusive[f.group-1].flags[0] != f) {
			continue
		}
		if f.group > 0 {
			words = append(words, s.groupSynopsis(s.exclusive[f.group-1]))
			continue
		}
		word := f.shortestName() + f.argparseArg()
		if !f.Required {
			word = "[" + word + "]"
		}
		words = append(words, word)
	}
	for _, f := range s.positional {
		words = append(words, f.Name)
	}
	if len(s.subs) > 0 {
		words = append(words, "{"+strings.Join(s.subNames(), ",")+"}", "...")
	}
	return words
}

func (s *Set) groupSynopsis(g exclusiveGroup) string {
	alternatives := make([]string, len(g.flags))
	for i, f := range g.flags {
		alternatives[i] = f.shortestName() + f.argparseArg()
	}
	if g.required {
		return "(" + strings.Join(alternatives, " | ") + ")"
	}
	return "[" + strings.Join(alternatives, " | ") + "]"
}

func (f *Flag) shortestName() string {
	if f.Short != 0 {
		return "-" + string(f.Short)
	}
	return "--" + f.Name
}

const argparseWidth = 75

func (s *Set) writeSynopsis(w io.Writer) {
	line := "usage: " + s.Name
	indent := strings.Repeat(" ", len("usage: "))
	for _, word := range s.synopsisWords() {
		if len(line)+1+len(word) > argparseWidth {
			fmt.Fprintln(w, line)
			line = indent + word
			continue
		}
		line += " " + word
	}
	fmt.Fprintln(w, line)
}

func (s *Set) writeArgparseUsage(w io.Writer) {
	s.writeSynopsis(w)
	fmt.Fprintln(w)
	for _, line := range fill(s.Purpose, argparseWidth) {
		fmt.Fprintln(w, line)
	}
	if len(s.subs)+len(s.positional) > 0 {
		fmt.Fprintln(w, "\npositional arguments:")
	}
	for _, f := range s.positional {
		writeArgparseEntry(w, f.Name, f.describe())
	}
	if len(s.subs) > 0 {
		writeArgparseEntry(w, "{"+strings.Join(s.subNames(), ",")+"}", "")
	}
	for _, sub := range s.subs {
		writeArgparseEntry(w, "  "+sub.SubName(), sub.Purpose)
	}
	fmt.Fprintln(w, "\noptional arguments:")
	for _, f := range s.flags {
		if f.removed != "" {
			continue
		}
		var names []string
		for _, n := range strings.Split(f.argparseNames(), "/") {
			names = append(names, n+f.argparseArg())
		}
		writeArgparseEntry(w, strings.Join(names, ", "), f.describe())
	}
}

func writeArgparseEntry(w io.Writer, name, text string) {
	const column = 25
	lines := fill(text, argparseWidth-column)
	head := "  " + name
	if len(head) <= column-2 && len(lines) > 0 {
		head = fmt.Sprintf("%-*s%s", column, head, lines[0])
		lines = lines[1:]
	}
	fmt.Fprintln(w, head)
	for _, l := range lines {
		fmt.Fprintf(w, "%*s%s\n", column, "", l)
	}
}

func fill(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
