package apachekafka

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-stream/weir/internal/controlplane/engine"
)

// fakeJava is a java that runs a script.
func fakeJava(t *testing.T, script string) *installation {
	t.Helper()
	java := filepath.Join(t.TempDir(), "java")
	if err := os.WriteFile(java, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return &installation{dist: "/d", java: java, agent: "/a.jar"}
}

// starts is a node that writes its archive when it is told to end.
const starts = `
echo once >> "$0.runs"
for a; do case $a in -XX:ArchiveClassesAtExit=*) made=${a#*=};; esac; done
trap 'echo classes > "$made"; exit 143' TERM
echo 'INFO [KafkaRaftServer nodeId=1] Kafka Server started'
while :; do sleep 0.02; done
`

// TestArchiveIsMadeOnce, and one that cannot be made stops nothing and is not
// tried again.
func TestArchiveIsMadeOnce(t *testing.T) {
	for script, want := range map[string]bool{starts: true, "echo once >> \"$0.runs\"\necho 'no such option'; exit 1\n": false} {
		i, cache := fakeJava(t, script), t.TempDir()
		var said bytes.Buffer
		for range 2 {
			file := i.ensureArchive(t.Context(), cache, "4.3.1", &said)
			if (file != "") != want {
				t.Fatalf("%q: %s", file, said.String())
			}
			if text, err := os.ReadFile(file); want && (err != nil || string(text) != "classes\n") {
				t.Errorf("%q %v", text, err)
			}
		}
		if runs, err := os.ReadFile(i.java + ".runs"); err != nil || string(runs) != "once\n" {
			t.Errorf("it ran %q %v", runs, err)
		}
		if !want && !strings.Contains(said.String(), "no such option") {
			t.Errorf("said %q", said.String())
		}
		if left, err := filepath.Glob(filepath.Join(cache, "making-*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	}
}

// TestArchiveBelongsToAJVM: another java, or other jars, have another one.
func TestArchiveBelongsToAJVM(t *testing.T) {
	one, two := fakeJava(t, "exit 0\n"), fakeJava(t, "exit 1 # longer\n")
	other := *one
	other.dist = t.TempDir()
	if a, b, c := one.fingerprint(), two.fingerprint(), other.fingerprint(); a == b || a == c || a != one.fingerprint() {
		t.Error(a, b, c)
	}
}

// TestArchiveAgainstKafka: the JVM takes the archive for the command line of a
// broker, and starts without one that is gone or damaged.
func TestArchiveAgainstKafka(t *testing.T) {
	if os.Getenv("WEIR_KAFKA_DIST") == "" {
		t.Skip("WEIR_KAFKA_DIST names no Apache Kafka")
	}
	c, m := sample()
	c.DistDir = os.Getenv("WEIR_KAFKA_DIST")
	got, err := (&Engine{}).Prepare(t.Context(), c, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	i := got.(*installation)
	if i.classes == "" {
		t.Fatal("no archive was made")
	}
	damaged := filepath.Join(t.TempDir(), "damaged.jsa")
	if err := os.WriteFile(damaged, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(archive, share string) string {
		t.Helper()
		j := *i
		j.classes = archive
		cmd, err := j.Command(c, c.Brokers[0], m)
		if err != nil {
			t.Fatal(err)
		}
		var args []string
		for _, a := range cmd.Args {
			if !strings.HasPrefix(a, "-javaagent") && !strings.HasPrefix(a, "-Xshare") && !strings.HasSuffix(a, engine.PropertiesFile) && !strings.HasPrefix(a, "-Dlog4j2") {
				args = append(args, a)
			}
		}
		text, err := exec.Command(cmd.Path, append([]string{"-Xshare:" + share, "-Xlog:class+load"}, append(args, "--version")...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v: %.2000s", archive, share, err, text)
		}
		return string(text)
	}
	if out := run(i.classes, "on"); !strings.Contains(out, "source: shared objects file (top)") {
		t.Errorf("no class comes from the archive: %.3000s", out)
	}
	for _, archive := range []string{damaged, filepath.Join(t.TempDir(), "gone.jsa")} {
		run(archive, "auto")
	}
}
