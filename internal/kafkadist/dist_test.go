package kafkadist

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeMaven puts an mvn and a java on the PATH. The mvn leaves one jar with
// the broker's class in the folder that it is told to copy to.
func fakeMaven(t *testing.T, classes ...string) string {
	t.Helper()
	dir := t.TempDir()
	jar := filepath.Join(dir, "kafka.jar")
	f, err := os.Create(jar)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for _, c := range classes {
		if _, err := z.Create(strings.ReplaceAll(c, ".", "/") + ".class"); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	script := `#!/bin/sh
for a in "$@"; do case $a in -DoutputDirectory=*) out=${a#-DoutputDirectory=};; esac; done
mkdir -p "$out" && cp ` + jar + ` "$out/kafka_2.13-9.jar" && : > "$out/reload4j-1.2.25.jar" && echo called >> ` + dir + `/calls
`
	for name, text := range map[string]string{"mvn": script, "java": "#!/bin/sh\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return dir
}

func TestEnsureAssemblesOnce(t *testing.T) {
	maven := fakeMaven(t, "kafka.Kafka", "kafka.admin.ConfigCommand", "org.apache.kafka.tools.TopicCommand", "kafka.admin.TopicCommand")
	cache := t.TempDir()
	for range 2 {
		d, err := EnsureIn(context.Background(), cache, "4.3.1", io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]bool{"kafka-topics": true, "kafka-configs": true, "kafka-server-start": true, "kafka-acls": false} {
			if d.Has(name) != want {
				t.Errorf("Has(%s) = %v", name, !want)
			}
		}
		topics, err := os.ReadFile(d.Bin("kafka-topics"))
		if err != nil || !strings.Contains(string(topics), "org.apache.kafka.tools.TopicCommand") {
			t.Errorf("kafka-topics does not run the newest class: %v\n%s", err, topics)
		}
		if _, err := os.Stat(filepath.Join(d.Dir, "libs", "reload4j-1.2.25.jar")); err == nil {
			t.Error("the second binding of slf4j was left")
		}
	}
	if calls, _ := os.ReadFile(filepath.Join(maven, "calls")); strings.Count(string(calls), "called") != 1 {
		t.Errorf("maven was called %q, want once", calls)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "*-building-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestEnsureFailsClearly(t *testing.T) {
	t.Run("no broker in the jars", func(t *testing.T) {
		fakeMaven(t, "org.example.Other")
		_, err := EnsureIn(context.Background(), t.TempDir(), "4.3.1", io.Discard)
		if err == nil || !strings.Contains(err.Error(), "kafka.Kafka is in no jar") {
			t.Errorf("err = %v", err)
		}
	})
	t.Run("a version that is no version", func(t *testing.T) {
		if _, err := EnsureIn(context.Background(), t.TempDir(), "../x", io.Discard); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("no java", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := EnsureIn(context.Background(), t.TempDir(), "4.3.1", io.Discard)
		if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "java") {
			t.Errorf("err = %v", err)
		}
	})
	t.Run("maven says why", func(t *testing.T) {
		dir := fakeMaven(t)
		if err := os.WriteFile(filepath.Join(dir, "mvn"), []byte("#!/bin/sh\necho 'no such artifact' >&2\nexit 3\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := EnsureIn(context.Background(), t.TempDir(), "4.3.1", io.Discard)
		if err == nil || !strings.Contains(err.Error(), "no such artifact") {
			t.Errorf("err = %v", err)
		}
	})
}
