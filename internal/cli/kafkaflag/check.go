package kafkaflag

import (
	"fmt"
	"strings"
)

// UsageErrorf is a refusal that prints its message and the usage on standard error; exit code 1.
func (s *Set) UsageErrorf(format string, args ...any) error {
	return &UsageError{Set: s, Message: fmt.Sprintf(format, args...)}
}

// CheckRequired refuses a command line that lacks one of flags.
func (s *Set) CheckRequired(flags ...*Flag) error {
	for _, f := range flags {
		if !f.present {
			return s.UsageErrorf("Missing required argument \"%s\"", f)
		}
	}
	return nil
}

// CheckInvalid refuses f together with one of others. It says nothing when f itself is absent.
func (s *Set) CheckInvalid(f *Flag, others ...*Flag) error {
	if !f.present {
		return nil
	}
	for _, o := range others {
		if o != f && o.present {
			return s.UsageErrorf("Option \"%s\" can't be used with option \"%s\"", f, o)
		}
	}
	return nil
}

// CheckInvalidTogether refuses all of first together with one of others.
func (s *Set) CheckInvalidTogether(first, others []*Flag) error {
	for _, f := range first {
		if !f.present {
			return nil
		}
	}
	for _, o := range others {
		if o.present {
			return s.UsageErrorf("Option combination \"%s\" can't be used with option \"%s\"", "["+Join(first)+"]", o)
		}
	}
	return nil
}

// CheckOneOf refuses a command line that does not have exactly one of flags.
func (s *Set) CheckOneOf(flags ...*Flag) error {
	if Count(flags...) != 1 {
		return s.UsageErrorf("Exactly one of the following arguments is required: %s", Join(flags))
	}
	return nil
}

// Count is the number of flags that are on the command line.
func Count(flags ...*Flag) (n int) {
	for _, f := range flags {
		if f.present {
			n++
		}
	}
	return n
}

// Join lists flags as Kafka's messages do: "[topic], [include]".
func Join(flags []*Flag) string {
	names := make([]string, len(flags))
	for i, f := range flags {
		names[i] = f.String()
	}
	return strings.Join(names, ", ")
}

// KeyValues splits values of the form key=value in order. A value without "=" is refused unless emptyOK, in which
// case it stands for an empty value; the error text is Kafka's.
func KeyValues(values []string, emptyOK bool) ([][2]string, error) {
	out := make([][2]string, 0, len(values))
	for _, v := range values {
		if v == "" {
			continue
		}
		key, value, _ := strings.Cut(v, "=")
		if value == "" && !emptyOK {
			return nil, fmt.Errorf("Missing value for key %s}", key)
		}
		out = append(out, [2]string{key, value})
	}
	return out, nil
}
