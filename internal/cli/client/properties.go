package client

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/config"
)

// Properties are client settings by their Kafka names. The zero value is empty and must be made before writing.
type Properties map[string]string

// LoadProperties reads a file in the form of Java's properties. The error of a missing file has Java's class.
func LoadProperties(file string) (Properties, error) {
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, &Error{Class: "java.nio.file.NoSuchFileException", Message: file}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	parsed, err := config.ParseProperties(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return parsed.Map(), nil
}

// Clone returns a copy that may be written to.
func (p Properties) Clone() Properties {
	c := make(Properties, len(p)+4)
	for k, v := range p {
		c[k] = v
	}
	return c
}

// With adds (and overrides by) others and returns p.
func (p Properties) With(others ...Properties) Properties {
	for _, o := range others {
		for k, v := range o {
			p[k] = v
		}
	}
	return p
}

// Int is a whole number setting, or def when it is not set.
func (p Properties) Int(key string, def int64) (int64, error) {
	v, ok := p[key]
	if !ok {
		return def, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	if err != nil {
		return 0, ConfigError(fmt.Sprintf("Invalid value %s for configuration %s: Not a number of type LONG", v, key))
	}
	return n, nil
}

// Millis is a setting in milliseconds, or def when it is not set.
func (p Properties) Millis(key string, def time.Duration) (time.Duration, error) {
	n, err := p.Int(key, def.Milliseconds())
	return time.Duration(n) * time.Millisecond, err
}

// Bool is a true/false setting, or def when it is not set.
func (p Properties) Bool(key string, def bool) (bool, error) {
	v, ok := p[key]
	if !ok {
		return def, nil
	}
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, ConfigError(fmt.Sprintf("Invalid value %s for configuration %s: Expected value to be either true or false", v, key))
}

// List is a comma separated setting, blanks trimmed, empty when not set.
func (p Properties) List(key string) (out []string) {
	for v := range strings.SplitSeq(p[key], ",") {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}
