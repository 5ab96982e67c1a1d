package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestTablesAreWhatTheSchemaSays(t *testing.T) {
	files, err := Generate("../schema")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is out of date; run go generate ./internal/config (%v)", name, err)
		}
	}
	on, err := filepath.Glob("../table_*.go")
	if err != nil || len(on) != len(files) {
		t.Errorf("%d tables lie there, the schema makes %d", len(on), len(files))
	}
}
