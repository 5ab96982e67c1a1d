//go:build conform

package conformance

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
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
	ref := play(t, "reference", func(t *testing.T) *brokers.Broker { return apache(t, nil) }, only)
	sub := play(t, "subject", func(t *testing.T) *brokers.Broker { return subject(t, nil) }, only)
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
func play(t *testing.T, side string, broker func(*testing.T) *brokers.Broker, only *regexp.Regexp) map[string]script.Transcript {
	out := map[string]script.Transcript{}
	t.Run(side, func(t *testing.T) {
		b := broker(t)
		for _, sc := range scenarios.All() {
			if only.MatchString(sc.Name) {
				begin := time.Now()
				out[sc.Name] = script.Play(sc, b.Addr, b.DataDir())
				t.Logf("%-20s %4d answers in %5.1fs", sc.Name, len(out[sc.Name].Entries), time.Since(begin).Seconds())
			}
			if !b.Running() {
				t.Fatalf("%s is down behind scenario %s", b.Name(), sc.Name)
			}
		}
	})
	return out
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
	t.Log(fmt.Sprintf("%d answers, %d differences explained, %d not", len(ref.Entries), known, shown))
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
