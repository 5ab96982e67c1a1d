package client

import (
	"fmt"
	"strings"
)

// JAAS is a parsed sasl.jaas.config line: "module flag key=value … ;".
type JAAS struct {
	Module  string // class name of the login module
	Control string // required, requisite, sufficient or optional
	Options map[string]string
}

// ParseJAAS reads one login module entry as Java's JAAS reads it: values may be quoted with double or single
// quotes, in which a backslash escapes the next character, and the entry ends with a semicolon.
func ParseJAAS(line string) (JAAS, error) {
	lex := jaasLexer{rest: line}
	j := JAAS{Options: map[string]string{}}
	if j.Module = lex.word(); j.Module == "" {
		return JAAS{}, ConfigError("JAAS config entry not terminated by semi-colon")
	}
	j.Control = lex.word()
	switch strings.ToLower(j.Control) {
	case "required", "requisite", "sufficient", "optional":
	default:
		return JAAS{}, ConfigError(fmt.Sprintf("Invalid login module control flag '%s' in JAAS config", j.Control))
	}
	for {
		lex.blanks()
		if lex.take(';') {
			break
		}
		key := lex.word()
		if key == "" {
			return JAAS{}, ConfigError("JAAS config entry not terminated by semi-colon")
		}
		if lex.blanks(); !lex.take('=') {
			return JAAS{}, ConfigError(fmt.Sprintf("Value not specified for key '%s' in JAAS config", key))
		}
		value, ok := lex.value()
		if !ok {
			return JAAS{}, ConfigError(fmt.Sprintf("Value not specified for key '%s' in JAAS config", key))
		}
		j.Options[key] = value
	}
	if lex.blanks(); lex.rest != "" {
		return JAAS{}, ConfigError("JAAS config property contains more than one login module, should be 1 module")
	}
	return j, nil
}

type jaasLexer struct{ rest string }

func (l *jaasLexer) blanks() { l.rest = strings.TrimLeft(l.rest, " \t\r\n") }

func (l *jaasLexer) take(c byte) bool {
	if l.rest == "" || l.rest[0] != c {
		return false
	}
	l.rest = l.rest[1:]
	return true
}

// word reads up to a blank, "=", ";" or quote.
func (l *jaasLexer) word() string {
	l.blanks()
	end := strings.IndexAny(l.rest, " \t\r\n=;\"'")
	if end < 0 {
		end = len(l.rest)
	}
	w := l.rest[:end]
	l.rest = l.rest[end:]
	return w
}

func (l *jaasLexer) value() (string, bool) {
	l.blanks()
	if l.rest == "" || (l.rest[0] != '"' && l.rest[0] != '\'') {
		w := l.word()
		return w, w != ""
	}
	quote := l.rest[0]
	var b strings.Builder
	for i := 1; i < len(l.rest); i++ {
		switch c := l.rest[i]; {
		case c == quote:
			l.rest = l.rest[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(l.rest):
			i++
			b.WriteByte(l.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
