package tlsconf

import (
	"fmt"
	"regexp"
	"strings"
)

// Rules are ssl.principal.mapping.rules: how a distinguished name becomes the name of a user. The first rule that
// matches counts.
type Rules struct {
	rules []rule
	text  string
}

type rule struct {
	pattern      *regexp.Regexp // nil: DEFAULT
	replacement  string
	lower, upper bool
}

// ParseRules reads DEFAULT and RULE:pattern/replacement/[LU], separated by commas.
func ParseRules(text string) (*Rules, error) {
	rs := &Rules{text: text}
	for rest := strings.TrimSpace(text); rest != ""; {
		r, after, err := parseRule(rest)
		if err != nil {
			return nil, err
		}
		rs.rules = append(rs.rules, r)
		after = strings.TrimSpace(after)
		if after != "" {
			if after[0] != ',' {
				return nil, fmt.Errorf("Invalid rule: `%s`, unmatched substring: `%s`", rest, after)
			}
			after = strings.TrimSpace(after[1:])
		}
		rest = after
	}
	if len(rs.rules) == 0 {
		rs.rules = []rule{{}}
	}
	return rs, nil
}

func parseRule(s string) (rule, string, error) {
	if after, ok := strings.CutPrefix(s, "DEFAULT"); ok {
		return rule{}, after, nil
	}
	body, ok := strings.CutPrefix(s, "RULE:")
	if !ok {
		return rule{}, "", fmt.Errorf("Invalid rule: `%s`", s)
	}
	pattern, body, ok := untilSlash(body)
	if !ok {
		return rule{}, "", fmt.Errorf("Invalid rule: `%s`", s)
	}
	replacement, body, ok := untilSlash(body)
	if !ok {
		return rule{}, "", fmt.Errorf("Invalid rule: `%s`", s)
	}
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	if err != nil {
		return rule{}, "", fmt.Errorf("Invalid rule: `%s`: its pattern is not one that Weir understands (RE2): %w", s, err)
	}
	r := rule{pattern: re, replacement: expansion(replacement, re.NumSubexp())}
	switch {
	case strings.HasPrefix(body, "L"):
		r.lower, body = true, body[1:]
	case strings.HasPrefix(body, "U"):
		r.upper, body = true, body[1:]
	}
	return r, body, nil
}

// untilSlash cuts at the first slash that is not escaped.
func untilSlash(s string) (before, after string, ok bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '/':
			return s[:i], s[i+1:], true
		}
	}
	return "", "", false
}

// expansion turns Java's replacement into Go's: $1 is a group if the pattern has it, a backslash quotes.
func expansion(s string, groups int) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteString(strings.ReplaceAll(s[i:i+1], "$", "$$"))
		case s[i] == '$' && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9' && int(s[i+1]-'0') <= groups:
			b.WriteString("${" + s[i+1:i+2] + "}")
			i++
		case s[i] == '$':
			b.WriteString("$$")
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// Name maps a distinguished name.
func (rs *Rules) Name(dn string) (string, error) {
	for _, r := range rs.rules {
		if r.pattern == nil {
			return dn, nil
		}
		m := r.pattern.FindStringSubmatchIndex(dn)
		if m == nil {
			continue
		}
		name := string(r.pattern.ExpandString(nil, r.replacement, dn, m))
		switch {
		case r.lower:
			name = strings.ToLower(name)
		case r.upper:
			name = strings.ToUpper(name)
		}
		return name, nil
	}
	return "", fmt.Errorf("No rules apply to %s, rules %s", dn, rs.text)
}
