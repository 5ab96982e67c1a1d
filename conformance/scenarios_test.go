//go:build conform

package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/conformance/scenarios"
	"github.com/weir-stream/weir/conformance/script"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// maxShown bounds what one scenario prints when much is different.
const maxShown = 40

// TestScenarios plays every scenario against Apache Kafka and the subject, one
// after the other, and compares what they said. WEIR_CONFORM_ONLY is a pattern
// of scenarios to play.
func TestScenarios(t *testing.T) {
	explained := explanations(t)
	only := regexp.MustCompile(os.Getenv("WEIR_CONFORM_ONLY"))
	ref := remembered(t, "", only)
	if ref == nil {
		ref = play(t, "reference", scenarios.All(), func(t *testing.T) *brokers.Broker { return apache(t, nil) }, only)
		remember(t, "", ref)
	}
	sub := play(t, "subject", scenarios.All(), func(t *testing.T) *brokers.Broker { return subject(t, nil) }, only)
	if len(ref) == 0 || len(sub) == 0 {
		t.Fatal("a side could not be asked")
	}
	for _, name := range slices.Sorted(maps.Keys(ref)) {
		t.Run(name, func(t *testing.T) { judge(t, explained, ref[name], sub[name]) })
	}
	if !t.Failed() && only.String() == "" && !selfComparison() {
		for _, p := range explained.Unused() {
			t.Logf("docs/COMPATIBILITY.md explains %q, which no longer differs", p)
		}
	}
}

// play runs all scenarios against one broker, which ends with it.
func play(t *testing.T, side string, all []script.Scenario, broker func(*testing.T) *brokers.Broker, only *regexp.Regexp) map[string]script.Transcript {
	out := map[string]script.Transcript{}
	t.Run(side, func(t *testing.T) {
		b := broker(t)
		for _, sc := range all {
			if only.MatchString(sc.Name) {
				begin := time.Now()
				out[sc.Name] = script.Play(sc, b.Addr, b.DataDir())
				t.Logf("%-20s %4d answers in %5.1fs", sc.Name, len(out[sc.Name].Entries), time.Since(begin).Seconds())
			}
			dump(t, side, out[sc.Name])
			if !b.Running() {
				t.Fatalf("%s is down behind scenario %s", b.Name(), sc.Name)
			}
		}
	})
	return out
}

// remembered reads what Apache Kafka said last time from the file named by
// WEIR_CONFORM_REFERENCE, so that a person who works on a difference needs no
// JVM for each try. Scenarios that are not in the file are not judged.
func remembered(t *testing.T, kind string, only *regexp.Regexp) map[string]script.Transcript {
	path := reference(kind)
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	out := map[string]script.Transcript{}
	if err := errors.Join(err, json.Unmarshal(text, &out)); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(out, func(name string, _ script.Transcript) bool { return !only.MatchString(name) })
	return out
}

// reference is the file of one kind of scenarios beside the one that is named, or "".
func reference(kind string) string {
	path := os.Getenv("WEIR_CONFORM_REFERENCE")
	if path == "" {
		return ""
	}
	return filepath.Join(filepath.Dir(path), kind+filepath.Base(path))
}

func remember(t *testing.T, kind string, ref map[string]script.Transcript) {
	path := reference(kind)
	if path == "" {
		return
	}
	text, err := json.Marshal(ref)
	if err := errors.Join(err, os.WriteFile(path, text, 0o644)); err != nil {
		t.Error(err)
	}
}

// dump writes a transcript to the folder WEIR_CONFORM_DUMP, for reading.
func dump(t *testing.T, side string, tr script.Transcript) {
	dir := os.Getenv("WEIR_CONFORM_DUMP")
	if dir == "" {
		return
	}
	var text strings.Builder
	for _, e := range tr.Entries {
		fmt.Fprintf(&text, "%s\n", e.Label)
		for _, path := range slices.Sorted(maps.Keys(e.Facts)) {
			fmt.Fprintf(&text, "    %s = %s\n", path, e.Facts[path])
		}
	}
	if err := os.WriteFile(filepath.Join(dir, tr.Scenario+"."+side), []byte(text.String()), 0o644); err != nil {
		t.Error(err)
	}
}

func judge(t *testing.T, explained *script.Explained, ref, sub script.Transcript) {
	shown, known := 0, 0
	for _, d := range script.Compare(ref, sub) {
		if explained.Reason(d) != "" {
			known++
			continue
		}
		if shown++; shown <= maxShown {
			t.Error(d)
		}
	}
	if shown > maxShown {
		t.Errorf("and %d more", shown-maxShown)
	}
	t.Logf("%d answers, %d differences explained, %d not", len(ref.Entries), known, shown)
}

func explanations(t *testing.T) *script.Explained {
	t.Helper()
	f, err := os.Open("../docs/COMPATIBILITY.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e, err := script.ReadExplained(f)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
