package apachekafka

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/engine"
)

// TestFormatAgainstKafka: Weir's kafka-storage gives a cluster the features
// and accounts that Apache Kafka's own gives it.
func TestFormatAgainstKafka(t *testing.T) {
	dist, weir := os.Getenv("WEIR_KAFKA_DIST"), os.Getenv("WEIR_BIN")
	if dist == "" || weir == "" {
		t.Skip("WEIR_KAFKA_DIST and WEIR_BIN name no Apache Kafka and no weir")
	}
	java, err := findJava()
	if err != nil {
		t.Fatal(err)
	}
	c, m := sample()
	c.KafkaClusterID = "AAAAAAAAAAAAAAAAAAAAAQ"
	m.Layout = engine.Layout{Dir: t.TempDir()}
	if err := os.Mkdir(m.Layout.Certs(), 0o700); err != nil {
		t.Fatal(err)
	}
	begins := func(i *installation) []string {
		t.Helper()
		text, err := i.bootstrap(t.Context(), c, m)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(m.Layout.Certs()); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
		file := filepath.Join(t.TempDir(), bootstrapFile)
		if err := certs.WritePrivate(file, text); err != nil {
			t.Fatal(err)
		}
		dump, err := exec.Command(weir, "kafka-dump-log", "--cluster-metadata-decoder", "--files", file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, dump)
		}
		return regexp.MustCompile(`"type":"[A-Z_]+"|"name":"[^"]+"|"featureLevel":\d+|"mechanism":\d+|"iterations":\d+`).FindAllString(string(dump), -1)
	}
	want := begins(&installation{dist: dist, java: java})
	got := begins(&installation{weir: weir})
	if len(want) < 20 || !slices.Equal(want, got) {
		t.Errorf("Apache Kafka %q, Weir %q", want, got)
	}
}

// TestFormatWhatWeirDoesNotKnow: other versions have other features.
func TestFormatWhatWeirDoesNotKnow(t *testing.T) {
	for version, want := range map[string]bool{"4.3.1": true, "4.3": true, "4.30.0": false, "4.2.0": false, "4.4.0": false, "": false} {
		if weirFormats(version) != want {
			t.Errorf("%q", version)
		}
	}
}
