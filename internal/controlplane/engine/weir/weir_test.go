package weir

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// TestBinaryIsPinned: a newer build changes no cluster that exists.
func TestBinaryIsPinned(t *testing.T) {
	dir := t.TempDir()
	e := &Engine{Binary: filepath.Join(dir, "built"), Dir: filepath.Join(dir, "engines")}
	prepare := func(id string) string {
		t.Helper()
		got, err := e.Prepare(context.Background(), &spec.Cluster{ID: id, Brokers: make([]spec.Broker, 1)}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(got.(*installation).binary)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for i, want := range []string{"first", "second"} {
		if err := os.WriteFile(e.Binary, []byte(want), 0o700); err != nil {
			t.Fatal(err)
		}
		if got := prepare("c0"); got != "first" {
			t.Errorf("the old cluster got %s", got)
		}
		if got := prepare([]string{"c0", "c1"}[i]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestWhatItCannotDoIsRefused(t *testing.T) {
	for _, c := range []spec.Cluster{{Secured: true, Brokers: make([]spec.Broker, 3)}, {Brokers: make([]spec.Broker, 3)}} {
		if _, err := (&Engine{Dir: t.TempDir()}).Prepare(context.Background(), &c, io.Discard); err == nil {
			t.Errorf("accepted: %+v", c)
		}
	}
}
