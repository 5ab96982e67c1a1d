package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// events prints what the verifiable tools do, one JSON object a line. It is safe for concurrent use.
type events struct {
	mu  sync.Mutex
	out io.Writer
}

// event is what all events start with.
type event struct {
	Timestamp int64  `json:"timestamp"`
	Name      string `json:"name"`
}

func newEvent(name string) event { return event{time.Now().UnixMilli(), name} }

func (e *events) print(v any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	enc := json.NewEncoder(e.out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		fmt.Fprintf(e.out, "Bad data can't be written as json: %v\n", err)
	}
}

// javaDouble is a number in JSON as Java writes it, always with a fraction.
type javaDouble float64

// MarshalJSON implements json.Marshaler.
func (d javaDouble) MarshalJSON() ([]byte, error) {
	text := strconv.FormatFloat(float64(d), 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return []byte(text), nil
}

// optional is text in JSON, or null for no text.
func optional(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

// configFile are the two flags of the verifiable tools for a properties file.
type configFile struct{ old, present *kafkaflag.Flag }

func newConfigFile(s *kafkaflag.Set, old string) configFile {
	f := configFile{
		old:     s.String(old, "CONFIG-FILE", "(DEPRECATED) the same as --command-config"),
		present: s.String("command-config", "CONFIG-FILE", "a properties file; what the command line says goes before it"),
	}
	return f
}

// load reads the file that was given, if any.
func (f configFile) load(env Env, s *kafkaflag.Set) (client.Properties, error) {
	if f.old.Present() && f.present.Present() {
		return nil, &kafkaflag.ArgumentError{Set: s, Message: fmt.Sprintf("Options --%s and --command-config are mutually exclusive.", f.old.Name)}
	}
	if f.old.Present() {
		fmt.Fprintf(env.Stdout, "Option --%s has been deprecated and will be removed in a future version. Use --command-config instead.\n", f.old.Name)
	}
	p, err := loadProperties(f.old.Value() + f.present.Value())
	if err != nil {
		return nil, &kafkaflag.ArgumentError{Set: s, Message: err.Error()}
	}
	return p, nil
}
