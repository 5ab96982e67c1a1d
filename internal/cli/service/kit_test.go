package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/restapi"
)

// bench is a command line beside a service that answers as it is told to.
type bench struct {
	*testing.T
	url      string
	mu       sync.Mutex
	answers  map[string][]any // by "METHOD /path"; the last one stays
	asked    []string
	terminal bool
	stdin    string
	out, err bytes.Buffer
}

// status is an answer that is no 200.
type status struct {
	code int
	body any
}

func newBench(t *testing.T) *bench {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_DATA_HOME", "WEIR_SERVER", "WEIR_TOKEN"} {
		t.Setenv(name, "")
	}
	b := &bench{T: t, answers: map[string][]any{}}
	srv := httptest.NewServer(b)
	t.Cleanup(srv.Close)
	b.url = srv.URL
	if err := writeUserFile(userFile{Server: srv.URL, Token: "weir_t", Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	return b
}

// ServeHTTP gives the answers in turn.
func (b *bench) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := r.Method + " " + strings.TrimPrefix(r.URL.EscapedPath(), restapi.Prefix)
	body, _ := io.ReadAll(r.Body)
	b.asked = append(b.asked, strings.TrimSpace(key+" "+string(body)))
	if r.Header.Get("Authorization") != "Bearer weir_t" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	list := b.answers[key]
	if len(list) == 0 {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"detail":"no answer for `+key+`"}`)
		return
	}
	answer := list[0]
	if len(list) > 1 {
		b.answers[key] = list[1:]
	}
	if s, ok := answer.(status); ok {
		w.WriteHeader(s.code)
		answer = s.body
	}
	if text, ok := answer.(string); ok {
		_, _ = io.WriteString(w, text)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (b *bench) answer(key string, list ...any) { b.answers[key] = list }

// run runs a command line as cmd/weir would and returns the exit code.
func (b *bench) run(args ...string) int {
	b.Helper()
	b.out.Reset()
	b.err.Reset()
	root := &cobra.Command{Use: "weir", SilenceErrors: true, SilenceUsage: true}
	root.AddGroup(&cobra.Group{ID: Group})
	root.AddCommand(Commands(Env{Stdin: strings.NewReader(b.stdin), Stdout: &b.out, Stderr: &b.err, IsTerminal: func(any) bool { return b.terminal }, Version: "1"})...)
	root.SetArgs(args)
	root.SetOut(&b.out)
	root.SetErr(&b.err)
	err := root.ExecuteContext(b.Context())
	if err != nil && !kafkaflag.Handled(err) {
		b.err.WriteString("weir: " + err.Error() + "\n")
		return 1
	}
	return kafkaflag.Report(&b.out, &b.err, err)
}

// want runs a command line and checks its code and words of its output.
func (b *bench) want(code int, words []string, args ...string) {
	b.Helper()
	got := b.run(args...)
	all := b.out.String() + b.err.String()
	if got != code {
		b.Errorf("weir %s: code %d, want %d\n%s", strings.Join(args, " "), got, code, all)
	}
	for _, w := range words {
		if !strings.Contains(all, w) {
			b.Errorf("weir %s: no %q in\n%s", strings.Join(args, " "), w, all)
		}
	}
}

func (b *bench) count(prefix string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.asked {
		if strings.HasPrefix(a, prefix) {
			n++
		}
	}
	return n
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}
