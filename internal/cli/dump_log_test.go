package cli

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files from the real tools of WEIR_KAFKA_DIST")

// dumpLogCase is a line of testdata/dumplog/cases: a name and the arguments of a run in testdata/dumplog.
type dumpLogCase struct {
	name string
	args []string
}

func dumpLogCases(t *testing.T) (cases []dumpLogCase) {
	t.Helper()
	text, err := os.ReadFile("testdata/dumplog/cases")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 0 {
			cases = append(cases, dumpLogCase{words[0], words[1:]})
		}
	}
	return cases
}

// inDumpLogData goes to the directory with the segments, and returns a function that takes its name out of a text.
func inDumpLogData(t *testing.T) (portable func(string) string) {
	t.Helper()
	t.Chdir("testdata/dumplog")
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return func(s string) string { return strings.ReplaceAll(s, dir, "/DIR") }
}

// TestDumpLogGolden dumps files that Apache Kafka wrote and compares with what its own tool printed.
func TestDumpLogGolden(t *testing.T) {
	cases := dumpLogCases(t)
	portable := inDumpLogData(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join("golden", c.name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			got := portable(runTool(t, newDumpLog, "", c.args...).String())
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("kafka-dump-log %s (-want +got):\n%s", strings.Join(c.args, " "), diff)
			}
		})
	}
}

// TestDumpLogAgainstKafka compares the golden files with the real tool, or writes them with -update.
func TestDumpLogAgainstKafka(t *testing.T) {
	o := startOracle(t, "testdata/dumplog")
	cases := dumpLogCases(t)
	portable := inDumpLogData(t)
	for _, c := range cases {
		file := filepath.Join("golden", c.name+".txt")
		real := portable(o.run(t, "DumpLogSegments", c.args...).String())
		if *update {
			if err := os.WriteFile(file, []byte(real), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), real); diff != "" {
			t.Errorf("%s is not what Kafka prints (-golden +kafka):\n%s", file, diff)
		}
	}
}
