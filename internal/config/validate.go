package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Validator restricts the values of a setting.
type Validator interface {
	// check returns an *Error if v is not allowed.
	check(name string, v *Value) error
	// String says in Kafka's notation what is allowed.
	String() string
}

// atLeast allows whole numbers from a bound on.
type atLeast int64

func (r atLeast) check(name string, v *Value) error {
	if v.Int < int64(r) {
		return &Error{Key: name, Value: strconv.FormatInt(v.Int, 10), Reason: "Value must be at least " + strconv.FormatInt(int64(r), 10)}
	}
	return nil
}
func (r atLeast) String() string { return "[" + strconv.FormatInt(int64(r), 10) + ",...]" }

// between allows whole numbers between two bounds, both included.
type between struct{ lo, hi int64 }

func (r between) check(name string, v *Value) error {
	if err := atLeast(r.lo).check(name, v); err != nil {
		return err
	}
	if v.Int > r.hi {
		return &Error{Key: name, Value: strconv.FormatInt(v.Int, 10), Reason: "Value must be no more than " + strconv.FormatInt(r.hi, 10)}
	}
	return nil
}
func (r between) String() string {
	return "[" + strconv.FormatInt(r.lo, 10) + ",...," + strconv.FormatInt(r.hi, 10) + "]"
}

// fraction allows numbers between two bounds, both included.
type fraction struct{ lo, hi float64 }

func (r fraction) check(name string, v *Value) error {
	if v.Dbl < r.lo {
		return &Error{Key: name, Value: javaDouble(v.Dbl), Reason: "Value must be at least " + short(r.lo)}
	}
	if v.Dbl > r.hi {
		return &Error{Key: name, Value: javaDouble(v.Dbl), Reason: "Value must be no more than " + short(r.hi)}
	}
	return nil
}
func (r fraction) String() string { return "[" + short(r.lo) + ",...," + short(r.hi) + "]" }
func short(f float64) string      { return strconv.FormatFloat(f, 'f', -1, 64) }

// oneOf allows some words; as the validator of a list it holds for each element.
type oneOf struct {
	words []string
	fold  bool // in any case
}

func (r oneOf) ok(s string) bool {
	return slices.ContainsFunc(r.words, func(w string) bool { return w == s || r.fold && strings.EqualFold(w, s) })
}

func (r oneOf) reason() string {
	if r.fold {
		return "String must be one of (case insensitive): " + strings.Join(r.words, ", ")
	}
	return "String must be one of: " + strings.Join(r.words, ", ")
}

func (r oneOf) check(name string, v *Value) error {
	if !r.ok(v.Str) {
		return &Error{Key: name, Value: v.Str, Reason: r.reason()}
	}
	return nil
}

func (r oneOf) String() string {
	s := "[" + strings.Join(r.words, ", ") + "]"
	if r.fold {
		return "(case insensitive) " + s
	}
	return s
}

// listRule is what holds for lists: no element twice, none empty, words from a choice, and perhaps at least one.
type listRule struct {
	words    []string // nil: any
	nonEmpty bool
}

func (r listRule) check(name string, v *Value) error {
	if len(v.List) == 0 && r.nonEmpty && !v.Null {
		allowed := "any non-empty value"
		if r.words != nil {
			allowed = "[" + strings.Join(r.words, ", ") + "]"
		}
		return &Error{Key: name, Full: "Configuration '" + name + "' must not be empty. Valid values include: " + allowed}
	}
	for i, e := range v.List {
		if slices.Contains(v.List[:i], e) {
			return &Error{Key: name, Value: strings.Join(v.List, ","), Full: "Configuration '" + name + "' values must not be duplicated."}
		}
	}
	for _, e := range v.List {
		if r.words != nil {
			choice := oneOf{words: r.words}
			if !choice.ok(e) {
				return &Error{Key: name, Value: e, Reason: choice.reason()}
			}
		} else if e == "" {
			return &Error{Key: name, Value: strings.Join(v.List, ","), Full: "Configuration '" + name + "' values must not be empty."}
		}
	}
	return nil
}

func (r listRule) String() string {
	switch {
	case r.words != nil:
		return "[" + strings.Join(r.words, ", ") + "]"
	case r.nonEmpty:
		return "non-empty list"
	}
	return ""
}

// gzipLevel allows 1 to 9 and -1, the codec's own default.
type gzipLevel struct{}

func (gzipLevel) check(name string, v *Value) error {
	if v.Int == -1 || v.Int >= 1 && v.Int <= 9 {
		return nil
	}
	return &Error{Key: name, Value: strconv.FormatInt(v.Int, 10), Reason: "Value must be between 1 and 9 or equal to -1"}
}
func (gzipLevel) String() string { return "[1,...,9] or -1" }

// nonEmptyString allows every text but the empty one.
type nonEmptyString struct{}

func (nonEmptyString) check(name string, v *Value) error {
	if v.Str == "" && !v.Null {
		return &Error{Key: name, Value: v.Str, Reason: "String must be non-empty"}
	}
	return nil
}
func (nonEmptyString) String() string { return "non-empty string" }

// throttledReplicas allows * or partition:broker pairs.
type throttledReplicas struct{}

var replicaPair = regexp.MustCompile(`^[0-9]+:[0-9]+$`)

func (r throttledReplicas) check(name string, v *Value) error {
	if len(v.List) == 0 || len(v.List) == 1 && v.List[0] == "*" {
		return nil
	}
	for _, e := range v.List {
		if !replicaPair.MatchString(e) {
			return &Error{Key: name, Value: "[" + strings.Join(v.List, ", ") + "]",
				Reason: name + " must be the literal '*' or a list of replicas in the following format: " + r.String()}
		}
	}
	return nil
}
func (throttledReplicas) String() string {
	return "[partitionId]:[brokerId],[partitionId]:[brokerId],..."
}

// autoOffsetReset allows latest, earliest and by_duration: with an ISO 8601 duration that is not negative.
type autoOffsetReset struct{}

var isoDuration = regexp.MustCompile(`^(?i)P(?:[0-9]+D)?(?:T(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+(?:[.,][0-9]{0,9})?S)?)?$`)

func (r autoOffsetReset) check(name string, v *Value) error {
	if v.Str == "latest" || v.Str == "earliest" {
		return nil
	}
	if d, ok := strings.CutPrefix(v.Str, "by_duration:"); ok && isoDuration.MatchString(d) && d[len(d)-1] != 'P' && d[len(d)-1] != 'T' {
		return nil
	}
	return &Error{Key: name, Value: v.Str, Reason: "Invalid value `" + v.Str + "` for configuration " + name +
		". The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."}
}
func (autoOffsetReset) String() string {
	return "[latest, earliest, by_duration:PnDTnHnMn.nS]"
}

// voterList allows entries of the form id@host:port.
type voterList struct{}

func (voterList) check(name string, v *Value) error {
	if _, err := parseVoters(v.List); err != nil {
		return err
	}
	return nil
}
func (voterList) String() string { return "{id}@{host}:{port},..." }

// addressList allows entries of the form host:port.
type addressList struct{}

func (addressList) check(name string, v *Value) error {
	for _, e := range v.List {
		if _, _, ok := splitHostPort(e); !ok {
			return &Error{Key: name, Value: e, Full: "Failed to parse host name from " + e + " for the configuration " + name +
				". Each entry should be in the form \"{host}:{port}\""}
		}
	}
	return nil
}
func (addressList) String() string { return "{host}:{port},..." }
