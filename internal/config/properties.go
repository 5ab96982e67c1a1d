package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Property is one key of a properties file with the line it starts on (from 1).
type Property struct {
	Key, Value string
	Line       int
}

// Properties are the entries of a properties file in file order, duplicates included. As in Java the last of
// several values of a key counts.
type Properties []Property

// Get returns the value of key that counts.
func (p Properties) Get(key string) (string, bool) {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i].Key == key {
			return p[i].Value, true
		}
	}
	return "", false
}

// Map returns key to value; later entries win.
func (p Properties) Map() map[string]string {
	m := make(map[string]string, len(p))
	for _, e := range p {
		m[e.Key] = e.Value
	}
	return m
}

// ParseProperties reads the syntax of java.util.Properties: comments with # or !, the separators =, : and
// white space, continuation lines, and the escapes \t \n \r \f \uXXXX. Bytes are taken as UTF-8 where they are
// valid UTF-8 and as ISO-8859-1 (which Java assumes always) where they are not. The only possible error is a
// malformed \u escape.
func ParseProperties(data []byte) (Properties, error) {
	if !utf8.Valid(data) {
		data = fromLatin1(data)
	}
	sc := propScanner{text: string(data), line: 1}
	var out Properties
	for {
		logical, line, ok := sc.next()
		if !ok {
			return out, nil
		}
		rawKey, rawValue := splitProperty(logical)
		key, err := unescape(rawKey)
		if err == nil {
			var value string
			if value, err = unescape(rawValue); err == nil {
				out = append(out, Property{Key: key, Value: value, Line: line})
				continue
			}
		}
		return nil, fmt.Errorf("line %d: %w", line, err)
	}
}

func fromLatin1(data []byte) []byte {
	out := make([]byte, 0, len(data)+len(data)/8)
	for _, b := range data {
		out = utf8.AppendRune(out, rune(b))
	}
	return out
}

// propScanner cuts a text into logical lines, that is lines with their continuations joined and with comments
// and blank lines left out.
type propScanner struct {
	text string
	pos  int
	line int
}

// natural returns the next natural line without its terminator.
func (s *propScanner) natural() (string, bool) {
	if s.pos >= len(s.text) {
		return "", false
	}
	rest := s.text[s.pos:]
	end := strings.IndexAny(rest, "\r\n")
	if end < 0 {
		s.pos = len(s.text)
		return rest, true
	}
	s.pos += end + 1
	if rest[end] == '\r' && end+1 < len(rest) && rest[end+1] == '\n' {
		s.pos++
	}
	s.line++
	return rest[:end], true
}

func (s *propScanner) next() (logical string, line int, ok bool) {
	for {
		line = s.line
		first, more := s.natural()
		if !more {
			return "", 0, false
		}
		first = trimLeftBlank(first)
		if first == "" || first[0] == '#' || first[0] == '!' {
			continue
		}
		if !endsInBackslash(first) {
			return first, line, true
		}
		var b strings.Builder
		part := first
		for endsInBackslash(part) {
			b.WriteString(part[:len(part)-1])
			nextPart, more := s.natural()
			if !more {
				part = ""
				break
			}
			part = trimLeftBlank(nextPart)
		}
		b.WriteString(part)
		if b.Len() == 0 {
			continue
		}
		return b.String(), line, true
	}
}

func trimLeftBlank(s string) string { return strings.TrimLeft(s, " \t\f") }

// endsInBackslash tells whether s ends in an odd number of backslashes, which continues the line.
func endsInBackslash(s string) bool {
	n := 0
	for i := len(s) - 1; i >= 0 && s[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// splitProperty parts a logical line at the first separator that is not escaped.
func splitProperty(s string) (key, value string) {
	end, escaped := len(s), false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if escaped {
			escaped = false
			continue
		}
		if c == '\\' {
			escaped = true
			continue
		}
		if c == '=' || c == ':' || isBlank(c) {
			end = i
			break
		}
	}
	key, rest := s[:end], trimLeftBlank(s[end:])
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = trimLeftBlank(rest[1:])
	}
	return key, rest
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\f' }

func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	var units []uint16 // pending UTF-16 units of \u escapes, so that surrogate pairs come out as one rune
	flush := func() {
		out = appendUTF16(out, units)
		units = units[:0]
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			if s[i] != '\\' {
				flush()
				out = append(out, s[i])
			}
			continue
		}
		i++
		if s[i] == 'u' {
			if i+5 > len(s) {
				return "", fmt.Errorf("malformed \\u escape %q: four hex digits must follow", `\`+s[i:])
			}
			n, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
			if err != nil {
				return "", fmt.Errorf("malformed \\u escape %q: four hex digits must follow", `\`+s[i:i+5])
			}
			units = append(units, uint16(n))
			i += 4
			continue
		}
		flush()
		out = append(out, escapedByte(s[i]))
	}
	flush()
	return string(out), nil
}

func escapedByte(c byte) byte {
	switch c {
	case 't':
		return '\t'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 'f':
		return '\f'
	}
	return c
}

func appendUTF16(out []byte, units []uint16) []byte {
	for i := 0; i < len(units); i++ {
		r := rune(units[i])
		if r >= 0xD800 && r < 0xDC00 && i+1 < len(units) && units[i+1] >= 0xDC00 && units[i+1] < 0xE000 {
			r = 0x10000 + (r-0xD800)<<10 + rune(units[i+1]) - 0xDC00
			i++
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}
