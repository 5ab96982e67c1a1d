package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/wire"
)

// Value is a parsed value. Which field holds it follows from the Def's Type; the zero Value with Null set is
// null.
type Value struct {
	Null bool
	Bool bool
	Int  int64 // Int, Short, Long
	Dbl  float64
	Str  string // String, Class, Password
	List []string
}

// Error is a refused setting: which key, which value and what is allowed. Its text is Kafka's.
type Error struct {
	Key, Value, Reason string
	// Full replaces the usual sentence where Kafka's is different.
	Full string
	// Code is the protocol's code where it is another one than usual for the kind of resource.
	Code wire.Code
}

// Unwrap returns the Code, if there is one.
func (e *Error) Unwrap() error {
	if e.Code == wire.None {
		return nil
	}
	return e.Code
}

func (e *Error) Error() string {
	if e.Full != "" {
		return e.Full
	}
	return "Invalid value " + e.Value + " for configuration " + e.Key + ": " + e.Reason
}

// Parse reads raw as a value of the setting and checks it. Errors are *Error.
func (d *Def) Parse(raw string) (Value, error) {
	v, err := parseType(d.Name, raw, d.Type)
	if err != nil {
		return v, err
	}
	if d.Valid != nil {
		if err := d.Valid.check(d.Name, &v); err != nil {
			return v, err
		}
	}
	return v, nil
}

func parseType(name, raw string, t Type) (Value, error) {
	s := strings.TrimSpace(raw)
	switch t {
	case Boolean:
		switch {
		case strings.EqualFold(s, "true"):
			return Value{Bool: true}, nil
		case strings.EqualFold(s, "false"):
			return Value{}, nil
		}
		return Value{}, &Error{Key: name, Value: raw, Reason: "Expected value to be either true or false"}
	case Int, Short, Long:
		n, err := strconv.ParseInt(s, 10, map[Type]int{Int: 32, Short: 16, Long: 64}[t])
		if err != nil {
			return Value{}, &Error{Key: name, Value: raw, Reason: "Not a number of type " + t.String()}
		}
		return Value{Int: n}, nil
	case Double:
		f, err := parseDouble(s)
		if err != nil {
			return Value{}, &Error{Key: name, Value: raw, Reason: "Not a number of type DOUBLE"}
		}
		return Value{Dbl: f}, nil
	case List:
		return Value{List: splitList(s)}, nil
	default:
		return Value{Str: s}, nil
	}
}

// parseDouble accepts what Java's Double.parseDouble accepts of decimal numbers. NaN, which passes every range
// check, is refused.
func parseDouble(s string) (float64, error) {
	switch s {
	case "Infinity", "+Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	if strings.ContainsAny(s, "xX_iInNpP") {
		return 0, fmt.Errorf("not a decimal number")
	}
	if n := len(s); n > 1 && strings.ContainsRune("dDfF", rune(s[n-1])) {
		s = s[:n-1]
	}
	return strconv.ParseFloat(s, 64)
}

// splitList cuts at commas and trims; the empty text is the empty list.
func splitList(s string) []string {
	if s == "" {
		return []string{}
	}
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// Text is the canonical text of v, as DescribeConfigs shows it. Null values have none.
func (d *Def) Text(v Value) string {
	switch d.Type {
	case Boolean:
		return strconv.FormatBool(v.Bool)
	case Int, Short, Long:
		return strconv.FormatInt(v.Int, 10)
	case Double:
		return javaDouble(v.Dbl)
	case List:
		return strings.Join(v.List, ",")
	default:
		return v.Str
	}
}

// javaDouble prints f as Java's Double.toString does: 0.5, 1.0E10, 1.7976931348623157E308.
func javaDouble(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0:
		return "0.0"
	}
	if a := math.Abs(f); a >= 1e-3 && a < 1e7 {
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	mantissa, exp, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	sign := ""
	if exp[0] == '-' {
		sign = "-"
	}
	return mantissa + "E" + sign + strings.TrimLeft(exp[1:], "0")
}

// defaultValue is the parsed default; Required settings have none and give null.
func (d *Def) defaultValue() Value {
	if d.Null || d.Required {
		return Value{Null: true}
	}
	v, err := parseType(d.Name, d.Default, d.Type)
	if err != nil {
		panic("config: the default of " + d.Name + " does not parse: " + err.Error())
	}
	return v
}
