package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-stream/weir/internal/config"
)

// TestFormatProperties shows that what is written is what a broker reads.
func TestFormatProperties(t *testing.T) {
	want := map[string]string{"b": `C:\x`, "a": "1", "rules": `RULE:^CN=broker-[0-9]+$/x/`}
	props, err := config.ParseProperties(FormatProperties(want))
	if err != nil || len(props) != 3 || props[0].Key != "a" {
		t.Fatalf("%v %v", props, err)
	}
	for k, v := range want {
		if got, _ := props.Get(k); got != v {
			t.Errorf("%s: %q", k, got)
		}
	}
}

// TestFormatted: a stranger's storage is never taken, nor overwritten.
func TestFormatted(t *testing.T) {
	dir := t.TempDir()
	if done, err := Formatted(dir, "c", 1); done || err != nil {
		t.Errorf("empty: %v %v", done, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "meta.properties"), []byte("cluster.id=c\nnode.id=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if done, err := Formatted(dir, "c", 1); !done || err != nil {
		t.Errorf("ours: %v %v", done, err)
	}
	for cluster, id := range map[string]int32{"other": 1, "c": 2} {
		if _, err := Formatted(dir, cluster, id); err == nil {
			t.Errorf("%s %d was taken", cluster, id)
		}
	}
}
