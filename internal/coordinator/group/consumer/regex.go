package consumer

import (
	"errors"
	"regexp"
	"regexp/syntax"

	"github.com/weir-stream/weir/internal/wire"
)

// maxRegexSize bounds what a regular expression of a member may cost, in steps of its program: a topic's name has 249
// characters at most. A program of that size takes some megabytes while it is matched against all topics.
const maxRegexSize = 50_000

// Compile checks a regular expression for topics: it has to match their whole names. The syntax of RE2, which Apache Kafka
// uses, is Go's.
func Compile(regex string) (*regexp.Regexp, error) {
	parsed, err := syntax.Parse(regex, syntax.Perl)
	if err == nil && regexSize(parsed) > maxRegexSize {
		err = &syntax.Error{Code: syntax.ErrLarge, Expr: regex}
	}
	if err != nil {
		return nil, refuse(wire.InvalidRegularExpression, "SubscribedTopicRegex `%s` is not a valid regular expression: %s.", regex, why(err))
	}
	return regexp.Compile(`^(?:` + regex + `)$`)
}

// regexSize is about how many steps the expression's program has.
func regexSize(re *syntax.Regexp) int {
	n := 1
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass:
		n = max(len(re.Rune), 1)
	case syntax.OpRepeat:
		return max(re.Max, re.Min, 1) * (regexSize(re.Sub[0]) + 1)
	}
	for _, sub := range re.Sub {
		if n += regexSize(sub); n > maxRegexSize {
			break
		}
	}
	return n
}

// why is what is wrong with an expression, without the expression.
func why(err error) string {
	var e *syntax.Error
	if errors.As(err, &e) {
		return e.Code.String()
	}
	return err.Error()
}
