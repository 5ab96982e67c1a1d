package sasl

import (
	"errors"
	"fmt"
	"strings"
)

// The login modules that there are.
const (
	PlainLoginModule = "org.apache.kafka.common.security.plain.PlainLoginModule"
	ScramLoginModule = "org.apache.kafka.common.security.scram.ScramLoginModule"
	OAuthLoginModule = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
)

// moduleOf are the login modules by mechanism.
var moduleOf = map[string]string{Plain: PlainLoginModule, ScramSHA256: ScramLoginModule, ScramSHA512: ScramLoginModule, OAuthBearer: OAuthLoginModule}

// JAAS is the entry of a sasl.jaas.config: a login module and its options.
type JAAS struct {
	Module  string
	Options map[string]string
}

// maxJAAS bounds the text of a JAAS line.
const maxJAAS = 1 << 20

// ParseJAAS reads the value of sasl.jaas.config: "module flag key=value …;". The module must be one that Weir has;
// nothing is ever loaded by its name. Errors show no option's value.
func ParseJAAS(text string) (JAAS, error) {
	if len(text) > maxJAAS {
		return JAAS{}, fmt.Errorf("the JAAS config property is too long (%d bytes)", len(text))
	}
	s := &jaasScanner{text: text}
	module, err := s.word("a login module")
	if err != nil {
		return JAAS{}, err
	}
	if known := module == PlainLoginModule || module == ScramLoginModule || module == OAuthLoginModule; !known {
		return JAAS{}, fmt.Errorf("Weir has no login module %q; it has PlainLoginModule, ScramLoginModule and OAuthBearerLoginModule of org.apache.kafka.common.security", module)
	}
	j, err := s.entry(module)
	if err != nil {
		return JAAS{}, err
	}
	return j, s.end()
}

// entry reads what follows a login module's name, up to the semicolon.
func (s *jaasScanner) entry(module string) (JAAS, error) {
	j := JAAS{Module: module, Options: map[string]string{}}
	flag, err := s.word("a control flag")
	if err != nil {
		return JAAS{}, err
	}
	switch strings.ToLower(flag) {
	case "required", "requisite", "sufficient", "optional":
	default:
		return JAAS{}, errors.New("the login module control flag in the JAAS config must be required, requisite, sufficient or optional")
	}
	for {
		kind, key, err := s.next()
		switch {
		case err != nil:
			return JAAS{}, err
		case kind == ';':
			return j, nil
		case kind != 'w' && kind != '"':
			return JAAS{}, errors.New("the JAAS config entry is not terminated by a semicolon")
		}
		if err := s.option(key, j.Options); err != nil {
			return JAAS{}, err
		}
	}
}

// For checks that the module is the one of a mechanism.
func (j *JAAS) For(mechanism string) error {
	if want := moduleOf[mechanism]; j.Module != want {
		return fmt.Errorf("the login module of %s is %s, not %s", mechanism, want, j.Module)
	}
	return nil
}

// PlainUsers are the users that the options user_NAME of PLAIN have.
func (j *JAAS) PlainUsers() map[string]string {
	users := map[string]string{}
	for k, v := range j.Options {
		if name, ok := strings.CutPrefix(k, "user_"); ok && name != "" {
			users[name] = v
		}
	}
	return users
}

type jaasScanner struct {
	text   string
	at     int
	braces bool // { and } are tokens, as in a file
}

func (s *jaasScanner) option(key string, into map[string]string) error {
	kind, _, err := s.next()
	if err != nil {
		return err
	}
	if kind != '=' {
		return fmt.Errorf("the JAAS config has no value for the key %q", key)
	}
	kind, value, err := s.next()
	if err != nil {
		return err
	}
	if kind != 'w' && kind != '"' {
		return fmt.Errorf("the JAAS config has no value for the key %q", key)
	}
	into[key] = value
	return nil
}

// end refuses what stands after the semicolon: one login module is all there may be.
func (s *jaasScanner) end() error {
	kind, _, err := s.next()
	if err == nil && kind != 0 {
		err = errors.New("the JAAS config property has more than one login module, there must be exactly 1")
	}
	return err
}

func (s *jaasScanner) word(what string) (string, error) {
	kind, text, err := s.next()
	if err == nil && (kind != 'w' || text == "") {
		err = fmt.Errorf("the JAAS config has no %s where one is expected", strings.TrimPrefix(what, "a "))
	}
	return text, err
}

// next returns the next token: 'w' a word, '"' a quoted text, '=', ';' or a brace, 0 at the end.
func (s *jaasScanner) next() (kind byte, text string, err error) {
	if err := s.skip(); err != nil {
		return 0, "", err
	}
	if s.at >= len(s.text) {
		return 0, "", nil
	}
	switch c := s.text[s.at]; c {
	case '=', ';':
		s.at++
		return c, "", nil
	case '"', '\'':
		text, err := s.quoted(c)
		return '"', text, err
	case '{', '}':
		if s.braces {
			s.at++
			return c, "", nil
		}
	}
	ends := " \t\r\n=;\"'"
	if s.braces {
		ends += "{}"
	}
	from := s.at
	for s.at < len(s.text) && !strings.ContainsRune(ends, rune(s.text[s.at])) {
		s.at++
	}
	return 'w', s.text[from:s.at], nil
}

// skip passes over blanks and comments.
func (s *jaasScanner) skip() error {
	for s.at < len(s.text) {
		rest := s.text[s.at:]
		switch {
		case strings.ContainsRune(" \t\r\n", rune(rest[0])):
			s.at++
		case strings.HasPrefix(rest, "//"):
			if n := strings.IndexByte(rest, '\n'); n >= 0 {
				s.at += n
			} else {
				s.at = len(s.text)
			}
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return errors.New("the JAAS config has a comment without end")
			}
			s.at += n + 4
		default:
			return nil
		}
	}
	return nil
}

// quoted reads a text in quotes; a backslash quotes the next character.
func (s *jaasScanner) quoted(quote byte) (string, error) {
	var b strings.Builder
	for s.at++; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == quote:
			s.at++
			return b.String(), nil
		case c == '\\' && s.at+1 < len(s.text):
			s.at++
			switch e := s.text[s.at]; e {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			default:
				b.WriteByte(e)
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", errors.New("the JAAS config has a quoted text without end")
}
