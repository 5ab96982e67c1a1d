package sasl

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ParseJAASFile reads a file of java.security.auth.login.config: sections of login modules, "KafkaServer { module flag key=value …; };".
// It returns what it has, by the section's name. Modules that Weir does not have are kept: a file may have sections for other
// programs. Errors show no option's value.
func ParseJAASFile(text string) (map[string][]JAAS, error) {
	if len(text) > maxJAAS {
		return nil, fmt.Errorf("the JAAS file is too long (%d bytes)", len(text))
	}
	s := &jaasScanner{text: text, braces: true}
	out := map[string][]JAAS{}
	for {
		kind, name, err := s.next()
		switch {
		case err != nil:
			return nil, err
		case kind == 0:
			return out, nil
		case kind != 'w' && kind != '"':
			return nil, errors.New("the JAAS file has no section's name where one is expected")
		}
		if kind, _, err = s.next(); err == nil && kind != '{' {
			err = fmt.Errorf("the JAAS file's section %q does not begin with {", name)
		}
		if err == nil {
			out[name], err = s.section(name)
		}
		if err != nil {
			return nil, err
		}
	}
}

// section reads the modules of a section, and the brace and semicolon that end it.
func (s *jaasScanner) section(name string) (all []JAAS, err error) {
	for {
		kind, word, err := s.next()
		switch {
		case err != nil:
			return nil, err
		case kind == '}':
			if kind, _, err = s.next(); err == nil && kind != ';' {
				err = fmt.Errorf("the JAAS file's section %q does not end with };", name)
			}
			return all, err
		case kind != 'w' && kind != '"':
			return nil, fmt.Errorf("the JAAS file's section %q has no login module where one is expected", name)
		}
		j, err := s.entry(word)
		if err != nil {
			return nil, err
		}
		all = append(all, j)
	}
}

// Text is the entry as sasl.jaas.config has it.
func (j *JAAS) Text() string {
	var b strings.Builder
	b.WriteString(j.Module + " required")
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	for _, key := range slices.Sorted(maps.Keys(j.Options)) {
		b.WriteString(" " + key + `="` + quote.Replace(j.Options[key]) + `"`)
	}
	return b.String() + ";"
}
