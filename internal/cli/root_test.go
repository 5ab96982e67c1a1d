package cli

import (
	"bytes"
	"strings"
	"testing"
)

// TestHelpListsBothHalves: the service's verbs and Kafka's tools, each under
// its heading, with and without --help; the service's own process is hidden.
func TestHelpListsBothHalves(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"help"}} {
		var out, errs bytes.Buffer
		code := Main(append([]string{"weir"}, args...), Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
		text := out.String()
		at := 0
		for _, want := range []string{"weir up", "The service, which runs clusters for you:", "  cluster ", "  down ", "  up ", "Weir itself:", "  version ", "Kafka's tools", "  kafka-topics "} {
			i := strings.Index(text[at:], want)
			if i < 0 {
				t.Fatalf("%q: no %q behind the ones before it in\n%s", args, want, text)
			}
			at += i
		}
		if code != 0 || strings.Contains(text, "  service ") || strings.Contains(text, "  container-start ") {
			t.Errorf("%q: code %d\n%s", args, code, text)
		}
	}
}

// TestVerbsComplete: the shell completes verbs, flags and choices.
func TestVerbsComplete(t *testing.T) {
	for line, want := range map[string]string{
		"cluster sc":                        "scale",
		"cluster create x --eng":            "--engine",
		"cluster create x --engine ":        "apache-kafka",
		"cluster create x --profile ":       "prod-5",
		"cluster list -o ":                  "yaml",
		"heal ":                             "simulate",
		"up --":                             "--json",
		"user create app --cluster x --con": "--consume",
	} {
		var out, errs bytes.Buffer
		Main(append([]string{"weir", "__complete"}, strings.Split(line, " ")...), Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
		if !strings.Contains("\n"+out.String(), "\n"+want) {
			t.Errorf("%q completes to\n%s", line, out.String())
		}
	}
}
